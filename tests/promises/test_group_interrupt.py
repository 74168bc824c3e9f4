"""Promise 13, for groups and maps: Ctrl-C, by a real signal to a real process, at each place.

See ``test_interrupt`` for how a program tells what happens to it.
"""

from __future__ import annotations

import os
import signal
import textwrap
from collections.abc import Callable, Iterator

import pytest

from .test_interrupt import Program

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a console's Ctrl-C cannot be sent")

START = """
import itertools, gofer
from gofer import AsyncGroup, Group, current_context

sys.unraisablehook = lambda lost: say(f"lost: {lost.exc_value!r}")
started = []

def sync_job(*_):
    started.append(1)
    sync_work(current_context())

async def async_job(*_):
    started.append(1)
    await async_work()

def sync_but_first(item):
    if item:
        return sync_job()
    while len(started) < 3:
        time.sleep(0.001)

async def async_but_first(item):
    if item:
        return await async_job()
    while len(started) < 3:
        await asyncio.sleep(0.001)

def sync_polite():
    current_context().on_cancel(lambda: say("heard the first"))
    say("ready")
    current_context().sleep(3600)

async def async_polite():
    current_context().on_cancel(lambda: say("heard the first"))
    say("ready")
    await asyncio.sleep(3600)

def sync_call(fn):
    fn()

async def async_call(fn):
    await fn()

def rest():
    say("here")
    time.sleep(3600)

async def arest():
    say("here")
    await asyncio.sleep(3600)
"""

PLACES = {
    # name: what is written there; FNS are functions of nothing, CALL calls one of them
    "block": """
        with Group() as group:
            for fn in FNS:
                group.go(fn)
            rest()
    """,
    "go": """
        with Group(limit=3) as group:
            for fn in FNS:
                group.go(fn)
            group.go(never)
    """,
    "exit": """
        with Group(limit=3) as group:
            for fn in FNS:
                group.go(fn)
    """,
    "next": """
        for _ in gofer.map(CALL, FNS):
            say("a result")
    """,
    "block, awaited": """
        async with AsyncGroup() as group:
            for fn in FNS:
                await group.go(fn)
            await arest()
    """,
    "go, awaited": """
        async with AsyncGroup(limit=3) as group:
            for fn in FNS:
                await group.go(fn)
            await group.go(never)
    """,
    "exit, awaited": """
        async with AsyncGroup(limit=3) as group:
            for fn in FNS:
                await group.go(fn)
    """,
    "next, awaited": """
        async for _ in gofer.amap(CALL, FNS):
            say("a result")
    """,
}

BODIES = {
    "body": """
        for _ in gofer.map(KIND_but_first, range(4), limit=4):
            rest()
    """,
    "body, awaited": """
        async for _ in gofer.amap(KIND_but_first, range(4), limit=4):
            await arest()
    """,
}


def program_at(place: str, kind: str, fns: str) -> str:
    """Return a program that is at a place, with three jobs of a kind, and catches Ctrl-C."""
    text = {**PLACES, **BODIES}[place]
    text = text.replace("FNS", fns).replace("KIND", kind).replace("CALL", f"{kind}_call")
    is_awaited = place.endswith("awaited")
    return "\n".join(
        [
            START,
            f"{'async ' if is_awaited else ''}def use():",
            textwrap.indent(textwrap.dedent(text), "    "),
            f"def main(): {'asyncio.run(use())' if is_awaited else 'use()'}",
            "",
        ]
    )


CATCH = """
try:
    main()
except KeyboardInterrupt:
    say("KeyboardInterrupt")
"""


@pytest.fixture
def start() -> Iterator[Callable[[str], Program]]:
    """Start programs, and end those that are left."""
    programs: list[Program] = []

    def start(text: str) -> Program:
        programs.append(Program(text))
        return programs[-1]

    yield start
    for program in programs:
        program.end()


def reaches(program: Program, place: str) -> None:
    """Wait until all three jobs of a program run, and the rest of it is where it should be."""
    rests = "block" in place or "body" in place
    program.waits_for("ready", "ready", "ready", *(["here"] if rests else []))


@pytest.mark.parametrize("place", [*PLACES, *BODIES])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_interrupt_cancels_and_awaits_a_groups_jobs(
    start: Callable[[str], Program], kind: str, place: str
) -> None:
    """Promise 13: every job has ended before KeyboardInterrupt comes out, and none starts."""
    program = start(program_at(place, kind, f"[{kind}_job] * 3") + CATCH)
    reaches(program, place)
    program.interrupt()

    assert program.rest() == ["ended", "ended", "ended", "KeyboardInterrupt"]


@pytest.mark.parametrize("place", ["block", "exit", "next", "block, awaited", "next, awaited"])
def test_a_program_that_does_not_catch_it_dies_of_the_signal(
    start: Callable[[str], Program], place: str
) -> None:
    """Promise 13: whoever started it sees by its exit code that it was interrupted."""
    program = start(
        "sys.stderr = open(os.devnull, 'w')\n"
        + program_at(place, "sync", "[sync_job] * 3")
        + "main()"
    )
    reaches(program, place)
    program.interrupt()

    assert program.lines.read().splitlines() == ["ended", "ended", "ended"]
    assert program.process.wait() == -signal.SIGINT


ALL_THREE = "[{kind}_deaf, {kind}_deaf, {kind}_polite]"
# An async job that is deaf keeps asyncio.run itself from ending, whoever runs it.
DEAF = [*[(place, "sync") for place in PLACES], *[(p, "async") for p in PLACES if "aw" not in p]]


@pytest.mark.parametrize(("place", "kind"), DEAF)
def test_a_second_interrupt_does_not_wait_for_a_deaf_job_of_a_group(
    start: Callable[[str], Program], place: str, kind: str
) -> None:
    """Promise 13: it comes out at once, and the program ends."""
    program = start(program_at(place, kind, ALL_THREE.format(kind=kind)) + CATCH)
    reaches(program, place)
    program.interrupt()
    program.waits_for("heard the first")
    program.interrupt()

    assert program.rest() == ["KeyboardInterrupt"]


def test_an_interrupt_while_a_map_is_being_left_is_not_lost(
    start: Callable[[str], Program],
) -> None:
    """Promise 13: what is raised while an iterator is thrown away would only be printed."""
    program = start(
        START
        + textwrap.dedent("""
        def work(item):
            if not item:
                while not started:
                    time.sleep(0.001)
                return
            started.append(1)
            try:
                current_context().sleep(3600)
            finally:
                say("closing")
                time.sleep(0.5)
                say("closed")

        try:
            for _ in gofer.map(work, range(2), limit=2):
                break
            rest()
        except KeyboardInterrupt:
            say("KeyboardInterrupt")
        """)
    )
    program.waits_for("closing")
    program.interrupt()

    told = program.rest()
    assert [line for line in told if line != "here"] == ["closed", "KeyboardInterrupt"]


def test_the_handler_is_pythons_own_again_after_each_end(
    start: Callable[[str], Program],
) -> None:
    """Promise 13: however a group or a map has ended, also one that was never used up."""
    program = start(
        START
        + textwrap.dedent("""
        def fails(*_):
            raise ValueError

        def is_back():
            say(signal.getsignal(signal.SIGINT) is signal.default_int_handler)

        with Group() as group:
            group.go(pow, 2, 2)
        is_back()
        try:
            with Group() as group:
                group.go(fails)
        except ValueError:
            is_back()
        list(gofer.map(str, range(3)))
        is_back()
        for _ in gofer.map(str, range(30)):
            break
        is_back()
        results = gofer.map(str, range(30))
        next(results)
        del results
        is_back()
        first, second = gofer.map(str, range(30)), gofer.map(str, range(30))
        next(first), next(second)
        first.close(), second.close()  # not in the reverse order
        is_back()
        """)
    )

    assert program.rest() == ["True"] * 6


def test_a_programs_own_handler_is_left_alone_by_groups_and_maps(
    start: Callable[[str], Program],
) -> None:
    """Promise 13: who has taken Ctrl-C over has it."""
    program = start(
        START
        + textwrap.dedent("""
        def handle(signum, frame):
            say("mine")
            ctx.cancel("the program's own reason")

        ctx = Context()
        signal.signal(signal.SIGINT, handle)
        try:
            for _ in gofer.map(sync_job, range(3), ctx=ctx):
                pass
        except gofer.Cancelled as error:
            say(error.cause)
        say(signal.getsignal(signal.SIGINT) is handle)
        """)
    )
    program.waits_for("ready", "ready", "ready")
    program.interrupt()

    assert program.rest() == ["mine", *["ended"] * 3, "the program's own reason", "True"]


@pytest.mark.parametrize("what", ["group", "map"])
def test_an_interrupt_while_a_group_takes_jobs_is_never_lost(
    start: Callable[[str], Program], what: str
) -> None:
    """Promise 13: whatever line of Gofer's it hits, the group ends, and it comes out."""
    program = start(
        START
        + f"def use(): use_a_{what}()\n"
        + textwrap.dedent("""
        async def quick(item):
            pass

        def brief(item):
            pass

        def use_a_group():
            with Group(limit=3) as group:
                for i in range(200):
                    group.go(quick if i % 3 else brief, i)

        def use_a_map():
            for _ in gofer.map(brief, range(100), limit=3):
                pass
            for _ in gofer.map(quick, range(100), limit=3):
                pass

        def interrupt():
            while not stop.wait(0.003):
                armed.wait()
                armed.clear()
                os.kill(os.getpid(), signal.SIGINT)

        armed, stop, interrupted = threading.Event(), threading.Event(), 0
        thread = threading.Thread(target=interrupt, daemon=True)
        thread.start()
        while interrupted < 100:
            try:
                armed.set()
                while True:
                    use()
            except KeyboardInterrupt:
                interrupted += 1
        stop.set()
        armed.set()
        try:
            thread.join()
            time.sleep(0.1)
        except KeyboardInterrupt:
            pass
        say(interrupted)
        use()
        """)
    )

    assert program.rest() == ["100"]
