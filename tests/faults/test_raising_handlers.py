"""Row 21, for other signals: what a handler of the program's own raises while a run is executed."""

from __future__ import annotations

import os
import types

import pytest

from gofer import Context, JobHandle, _map
from gofer._locks import Lock
from gofer.backends import _interrupt

from .programs import ends, says

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")

RINGS = """
class Rings(Exception):
    pass

def handler(signum, frame):
    say("rings")
    raise Rings

signal.signal(signal.SIGALRM, handler)

def ring():
    os.kill(os.getpid(), signal.SIGALRM)

def works(ctx):
    '''In a thread, beside a job of the main thread: it is stopped, and has its time to end.'''
    main.acquire()
    try:
        ctx.sleep(60)
    finally:
        time.sleep(0.05)
        say("ended")

main = threading.Lock()
main.acquire()

def sends(workers, real=gofer.backends._workers.Workers._send, times=[]):
    '''The main thread sends for another, which counts as on its way already.'''
    if threading.current_thread() is threading.main_thread() and not times:
        times.append(1)
        ring()
    real(workers)
"""

INSIDE = """
gofer.backends._workers.Workers._send = sends
main.release()
jobs = [job(works), job(lambda: time.sleep(0.05), name="beside")]
try:
    {how}
except Rings as error:
    say("Rings")
say(JobManager([job(lambda: barrier.wait(30), name=f"b{{i}}") for i in range(2)]).execute().ok)
say(signal.getsignal(signal.SIGALRM) is handler)
"""

HOW = {
    "run": "JobManager(jobs).execute()",
    "report": "JobManager(jobs).execute(check=False)",
    "group": """
    with Group() as group:
        for each in jobs:
            group.go(each, *[group.context] * (each.name == "works"))""",
    "map": "list(gofer.map(lambda i: i, range(3), limit=2))",
}


@pytest.mark.parametrize("how", HOW)
def test_what_a_handler_raised_in_a_line_of_gofers_left_a_thread_on_its_way_for_ever(
    how: str,
) -> None:
    """It cancels what runs, comes out when that has ended, and the next run has its threads."""
    done = says(RINGS + "\nbarrier = threading.Barrier(2)\n" + INSIDE.format(how=HOW[how]))

    assert done[0] == "rings"
    assert done[-3:] == ["Rings", "True", "True"]
    assert set(done[1:-3]) <= {"ended"}, "each that had begun"


def test_what_a_handler_raises_in_a_job_is_the_jobs_failure() -> None:
    """Of the main thread's job: an alarm may be a job's own timeout, and a retry may follow."""
    lines = says(
        RINGS
        + """
def rings_once(times=[]):
    times.append(1)
    if len(times) == 1:
        ring()
        say("not here")
    return len(times)

say(JobManager([job(rings_once, retry=gofer.Retry(2, on=Rings))]).execute()["rings_once"])
try:
    JobManager([job(ring, name="one")]).execute()
except Rings as error:
    say(error.__notes__[0][:16])
def sleeps(ctx):
    threading.Timer(0.05, ring).start()
    ctx.sleep(60)
run = JobManager([job(sleeps)]).execute(check=False)
say(repr(run.error))
"""
    )

    assert lines == ["rings", "2", "rings", "job 'one' failed", "rings", "Rings()"]


def test_what_a_handler_raises_in_a_groups_block_is_the_blocks_error() -> None:
    """Also where the block sleeps, in a context that is not the group's."""
    lines = says(
        RINGS
        + """
main.release()
try:
    with Group() as group:
        group.go(works, group.context)
        while main.acquire(False):
            main.release()
            time.sleep(0.001)
        threading.Timer(0.05, ring).start()
        Context().sleep(60)
except Rings:
    say("Rings")
"""
    )

    assert lines == ["rings", "ended", "Rings"]


def test_a_handler_that_exits_ends_the_jobs_first() -> None:
    """As for SIGTERM in a container: ``sys.exit`` while the main thread waits for the run."""
    done = ends(
        RINGS
        + """
main.release()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
async def kills():
    while main.acquire(False):
        main.release()
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(60)
JobManager([job(kills), job(works)]).execute(check=False)
"""
    )

    assert (done.returncode, done.stdout, done.stderr) == (3, "ended\n", "")


@pytest.mark.parametrize("error", ["Rings()", "SystemExit(3)"])
def test_a_map_that_is_left_tells_of_what_a_handler_raised(error: str) -> None:
    """What closes a generator can raise nothing to anybody: Python's own hook is told.

    The signal is not sent again, as its handler may be gone by then, and it would end the program.
    """
    lines = says(
        RINGS
        + f"""
def once(*_):
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    say("rings")
    raise {error}
signal.signal(signal.SIGALRM, once)
"""
        + """
sys.unraisablehook = lambda facts: say(f"{facts.err_msg}: {facts.exc_value!r}")
def rings_late(n):
    if n:
        begun.set()
        while not leaving.is_set():
            time.sleep(0.001)
        time.sleep(0.05)
        ring()
        time.sleep(0.05)
    begun.wait()  # a map may give its first result before it takes the next item
    return n
leaving, begun = threading.Event(), threading.Event()
for n in gofer.map(rings_late, range(2), limit=2):
    leaving.set()
    break
time.sleep(0.05)
say("left")
"""
    )

    assert lines == ["rings", f"a signal's handler failed: {error}", "left"]


def test_the_functions_that_count_as_their_callers_are_there() -> None:
    """They are known by name; one that is called otherwise now would be forgotten."""
    names = {*_interrupt._WAITERS, *_interrupt._TRANSPARENT, *_interrupt._PULLS}
    known = {
        (getattr(member, "fget", None) or member).__code__.co_qualname
        for kind in (Context, Lock, JobHandle, _interrupt._Guard)
        for member in vars(kind).values()
        if isinstance(member, (property, types.FunctionType))
    }

    assert names - known == {_map._map.__code__.co_qualname}


HANDLED = {
    "job": """
def tries(ctx, inner=inner):
    try:
        inner.execute()
    except Rings:
        return "handled"
say(JobManager([job(tries), job(lambda: 1, name="beside")]).execute()["tries"])
""",
    "block": """
with Group() as group:
    other = group.go(lambda: "handled")
    try:
        inner.execute()
    except Rings:
        pass
say(other.result())
""",
    "loop": """
said = []
for n in gofer.map(lambda n: n, range(3)):
    try:
        inner.execute()
    except Rings:
        said.append(n)
say("handled" if said == [0, 1, 2] else said)
""",
    "items": """
def items():
    try:
        threading.Timer(0.05, ring).start()
        time.sleep(60)
    except Rings:
        yield "handled"
say(*gofer.map(lambda item: item, items()))
""",
    "lock": """
def holds():
    with free.lock("x"):
        held.set()
        let_go.wait()
free, held, let_go = Context(), threading.Event(), threading.Event()
threading.Thread(target=holds).start()
with Group() as group:
    held.wait()
    threading.Timer(0.05, ring).start()
    try:
        with free.lock("x"):
            say("not here")
    except Rings:
        say("handled")
    let_go.set()
    with free.lock("x"):
        pass
""",
    "polling": """
def polls(ctx, times=[]):
    times.append(1)
    if len(times) == 1:
        threading.Timer(0.01, ring).start()
        while True:
            ctx.check()
    return "handled"
say(JobManager([job(polls, retry=gofer.Retry(2, on=Rings))]).execute()["polls"])
""",
}


@pytest.mark.parametrize("where", HANDLED)
def test_a_timeout_that_is_handled_where_it_is_raised_disturbs_nothing_around(where: str) -> None:
    """Only the innermost run is cancelled, and comes out with it."""
    lines = says(
        RINGS
        + """
async def inner_job():
    threading.Timer(0.05, ring).start()
    await asyncio.sleep(60)
inner = JobManager([job(inner_job)])
"""
        + HANDLED[where]
    )

    assert set(lines) == {"rings", "handled"}
    assert lines[-1] == "handled"


def test_handlers_may_call_the_one_before_and_be_changed_while_runs_go_on() -> None:
    """Each of ours stands for one of the program's, wherever it was kept or put."""
    lines = says(
        RINGS
        + """
signal.signal(signal.SIGALRM, lambda *_: say("A"))
with Group():
    before = signal.getsignal(signal.SIGALRM)
    signal.signal(signal.SIGALRM, lambda *args: (say("B"), before(*args)))
    signal.signal(signal.SIGUSR1, before)
for each in (signal.SIGALRM, signal.SIGUSR1, signal.SIGALRM):
    JobManager([job(lambda: os.kill(os.getpid(), each), name="kills")]).execute()
    os.kill(os.getpid(), each)
signal.signal(signal.SIGALRM, handler)
def sets(ctx):  # a run inside sees what a job has set
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("out"))
    try:
        JobManager([inner_job]).execute()
    except SystemExit as error:
        say(error)
        raise
async def inner_job():
    threading.Timer(0.05, ring).start()
    await asyncio.sleep(60)
try:
    JobManager([job(sets)]).execute(check=False)
except SystemExit:
    say("exits")
"""
    )

    assert lines == [*["B", "A"] * 2, "A", "A", *["B", "A"] * 2, "out", "exits"]


def test_ctrl_c_comes_out_of_a_handler_that_runs_in_a_block() -> None:
    """What the handler has interrupted decides, and how slow it is does not matter."""
    lines = says(
        """
signal.signal(signal.SIGINT, signal.default_int_handler)
def slow(*_):
    say("slow")
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
signal.signal(signal.SIGUSR1, slow)
try:
    with Group():
        os.kill(os.getpid(), signal.SIGUSR1)
        say("not here")
except KeyboardInterrupt:
    say("interrupted")
"""
    )

    assert lines == ["slow", "interrupted"]


def test_ctrl_c_in_a_loop_over_a_map_in_a_job_was_taken_for_two() -> None:
    """It leaves the map with the loop, so it is not repeated, and what runs is waited for."""
    lines = says(
        """
signal.signal(signal.SIGINT, signal.default_int_handler)
def cleans(ctx):
    begun.set()
    try:
        ctx.sleep(60)
    finally:
        time.sleep(0.3)
        say("cleaned")
def loops():
    for _ in gofer.map(lambda n: n, range(3)):
        begun.wait()
        os.kill(os.getpid(), signal.SIGINT)
begun = threading.Event()
try:
    JobManager([job(loops), job(cleans)]).execute()
except KeyboardInterrupt:
    say("interrupted")
time.sleep(0.1)
"""
    )

    assert lines == ["cleaned", "interrupted"]
