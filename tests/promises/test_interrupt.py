"""Promise 13: Ctrl-C, by a real signal to a real process.

Each test starts a program that says what happens to it, a line at a time, and interrupts it when it
says that it is ready. What a program says is written in one piece, so that lines of several
threads do not mix.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import gofer

# 13. Ctrl-C cancels the run, waits for the jobs, raises `KeyboardInterrupt`; a second Ctrl-C does
#     not wait.

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a console's Ctrl-C cannot be sent")

TIMEOUT = 30.0

START = """
import asyncio, os, signal, sys, threading, time
from gofer import Context, JobManager, job

signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever this was started by

def say(text):
    os.write(1, f"{text}\\n".encode())

def sync_work(ctx):
    try:
        say("ready")
        ctx.sleep(3600)
    finally:
        time.sleep(0.05)
        say("ended")

async def async_work():
    try:
        say("ready")
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(0.05)
        say("ended")

def sync_deaf():
    say("ready")
    while True:
        time.sleep(0.01)

async def async_deaf():
    say("ready")
    while True:
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            pass

def jobs(fn, count):
    return [job(fn, name=f"{fn.__name__}{i}") for i in range(count)]

def never():
    say("started after the interrupt")
"""

WORK = {
    "sync": "jobs(sync_work, 3)",
    "async": "jobs(async_work, 3)",
    "both": "[*jobs(sync_work, 2), *jobs(async_work, 1)]",
}
EXECUTE = {"execute": "manager.execute()", "aexecute": "asyncio.run(manager.aexecute())"}


class Program:
    """A program that runs until it has said everything, or is killed because it hangs."""

    def __init__(self, text: str) -> None:
        source = Path(gofer.__file__).parents[1]
        self.process = subprocess.Popen(
            [sys.executable, "-c", START + textwrap.dedent(text)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(source)},
            text=True,
        )
        assert self.process.stdout is not None
        self.lines = self.process.stdout
        self._killer = threading.Timer(TIMEOUT, self.process.kill)
        self._killer.start()

    def waits_for(self, *lines: str) -> None:
        """Read on until these lines were said, in any order, and no other."""
        left = list(lines)
        while left:
            line = self.lines.readline().strip()
            assert line in left, f"it said {line!r}, not {left}"
            left.remove(line)

    def interrupt(self) -> None:
        """Send what Ctrl-C sends, to a program that waits.

        CPython looks for signals between two instructions; one that comes after the last look and
        before the system call that waits is seen only when that call returns. No program could
        do anything about it, so this does not interrupt one that is just about to wait.
        """
        until = time.monotonic() + 1.0  # those that never rest look for signals all the time
        before = None
        while (now := self._rests()) != before and time.monotonic() < until:
            before = now
            time.sleep(0.02)
        self.process.send_signal(signal.SIGINT)

    def _rests(self) -> list[str] | None:
        """Return what changes whenever the main thread runs; None where there is no /proc."""
        pid = self.process.pid
        try:
            status = Path(f"/proc/{pid}/task/{pid}/status").read_text()
        except OSError:
            return None
        return [line for line in status.splitlines() if "State" in line or "ctxt" in line]

    def rest(self) -> list[str]:
        """Wait for its end, and return what it had still to say; fail if that was a crash."""
        rest = self.lines.read().splitlines()
        assert self.process.wait() == 0, f"it hung or crashed after {rest}"
        return rest

    def end(self) -> None:
        """Leave nothing behind."""
        self._killer.cancel()
        self._killer.join()
        self.process.kill()
        self.process.wait()
        self.lines.close()


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


@pytest.mark.parametrize("execute", EXECUTE)
@pytest.mark.parametrize("work", WORK)
def test_an_interrupt_cancels_and_awaits_the_jobs(
    start: Callable[[str], Program], work: str, execute: str
) -> None:
    """Promise 13: every job has ended before KeyboardInterrupt comes out; no other starts."""
    program = start(f"""
        later = job(never, after=[{WORK[work]}[0]])
        manager = JobManager([*{WORK[work]}, later])
        try:
            {EXECUTE[execute]}
        except KeyboardInterrupt:
            say("KeyboardInterrupt")
    """)
    program.waits_for("ready", "ready", "ready")
    program.interrupt()

    assert program.rest() == ["ended", "ended", "ended", "KeyboardInterrupt"]


@pytest.mark.parametrize("work", WORK)
def test_an_interrupt_ends_nested_runs(start: Callable[[str], Program], work: str) -> None:
    """Promise 13: those of inner runs, too, before it comes out of the outermost."""
    program = start(f"""
        inner = JobManager({WORK[work]}, name="inner")
        middle = JobManager([inner], name="middle")
        try:
            JobManager([middle]).execute()
        except KeyboardInterrupt:
            say("KeyboardInterrupt")
    """)
    program.waits_for("ready", "ready", "ready")
    program.interrupt()

    assert program.rest() == ["ended", "ended", "ended", "KeyboardInterrupt"]


@pytest.mark.parametrize("execute", EXECUTE)
@pytest.mark.parametrize("work", WORK)
def test_the_program_may_go_on_after_an_interrupt(
    start: Callable[[str], Program], work: str, execute: str
) -> None:
    """Promise 13: the next run works, and the next interrupt does; Python's handler is back."""
    program = start(f"""
        manager = JobManager({WORK[work]})
        for _ in range(3):
            try:
                {EXECUTE[execute]}
            except KeyboardInterrupt:
                say("KeyboardInterrupt")
        manager = JobManager([job(lambda: 7, name="seven")])
        say({EXECUTE[execute]}["seven"])
        say(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    """)
    for _ in range(3):
        program.waits_for("ready", "ready", "ready")
        program.interrupt()
        program.waits_for("ended", "ended", "ended", "KeyboardInterrupt")

    assert program.rest() == ["7", "True"]


def test_an_interrupt_leaves_the_run_for_observers_and_check_false(
    start: Callable[[str], Program],
) -> None:
    """Promise 13: ``check=False`` does not swallow it, and the report is complete."""
    program = start("""
        from gofer import Observer

        class Tell(Observer):
            def run_ended(self, run):
                say(f"{run.state} {[record.state for record in run.records]}")

        manager = JobManager([*jobs(sync_work, 2), *jobs(async_work, 1)], observers=[Tell()])
        try:
            manager.execute(check=False)
        except KeyboardInterrupt:
            say("KeyboardInterrupt")
    """)
    program.waits_for("ready", "ready", "ready")
    program.interrupt()

    assert program.rest() == [
        *["ended"] * 3,
        "cancelled ['cancelled', 'cancelled', 'cancelled']",
        "KeyboardInterrupt",
    ]


@pytest.mark.parametrize(
    ("deaf", "execute"),
    [("sync_deaf", "execute"), ("async_deaf", "execute"), ("sync_deaf", "aexecute")],
)
def test_a_second_interrupt_does_not_wait(
    start: Callable[[str], Program], deaf: str, execute: str
) -> None:
    """Promise 13: a job that hears nothing keeps neither ``execute`` nor the program's end."""
    program = start(f"""
        def polite(ctx):
            ctx.on_cancel(lambda: say("heard the first"))
            say("ready")
            ctx.sleep(3600)

        manager = JobManager([*jobs({deaf}, 2), *jobs(polite, 1)])
        try:
            {EXECUTE[execute]}
        except KeyboardInterrupt:
            say("KeyboardInterrupt")
    """)
    program.waits_for("ready", "ready", "ready")
    program.interrupt()
    program.waits_for("heard the first")
    program.interrupt()

    assert program.rest() == ["KeyboardInterrupt"]


def test_a_handler_of_the_programs_own_is_left_alone(start: Callable[[str], Program]) -> None:
    """Promise 13: who has taken Ctrl-C over has it; a run neither replaces nor ignores it."""
    program = start("""
        ctx = Context()

        def handle(signum, frame):
            say("mine")
            ctx.cancel("the program's own reason")

        signal.signal(signal.SIGINT, handle)
        try:
            JobManager(jobs(sync_work, 3)).execute(ctx)
        except BaseException as error:
            say(f"{type(error).__name__}: {error}")
        say(signal.getsignal(signal.SIGINT) is handle)
    """)
    program.waits_for("ready", "ready", "ready")
    program.interrupt()
    lines = program.rest()

    assert lines[0] == "mine"
    assert lines[1:4] == ["ended"] * 3
    assert "the program's own reason" in lines[4]
    assert lines[5] == "True"


def test_an_interrupt_right_at_the_start_is_an_interrupt(start: Callable[[str], Program]) -> None:
    """Promise 13: a job that begins before ``execute`` has begun to wait is awaited all the same.

    Each job asks again only where it was not cancelled, so that none is a second Ctrl-C.
    """
    program = start("""
        async def interrupts():
            try:
                while True:
                    os.kill(os.getpid(), signal.SIGINT)
                    await asyncio.sleep(1)
            finally:
                await asyncio.sleep(0.005)
                say("ended")

        sys.setswitchinterval(1e-6)  # so that the job's thread goes first, now and then
        manager = JobManager([interrupts])
        for _ in range(50):
            try:
                manager.execute()
            except KeyboardInterrupt:
                say("KeyboardInterrupt")
    """)

    assert program.rest() == ["ended", "KeyboardInterrupt"] * 50


@pytest.mark.parametrize("kind", ["async def", "def"])
def test_an_interrupt_while_a_thread_is_started_is_an_interrupt(
    start: Callable[[str], Program], kind: str
) -> None:
    """Promise 13: also for the first run of all, which starts the loop's thread or a worker."""
    program = start(f"""
        from gofer import _parts

        def start_thread(thread, start=_parts.start_thread):
            _parts.start_thread = start
            start(thread)
            os.kill(os.getpid(), signal.SIGINT)

        {kind} brief(): pass

        _parts.start_thread = start_thread
        manager = JobManager(jobs(brief, 3))
        try:
            manager.execute()
        except KeyboardInterrupt:
            say("KeyboardInterrupt")
        say(len(manager.execute().results))
    """)

    assert program.rest() == ["KeyboardInterrupt", "3"]


def test_an_interrupt_while_jobs_come_and_go_is_never_lost(
    start: Callable[[str], Program],
) -> None:
    """Promise 13: whatever line of Gofer's it hits, the run ends, and it comes out."""
    program = start("""
        async def quick(): pass
        def brief(): pass

        made = []
        for i in range(200):
            fn = quick if i % 3 else brief
            made.append(job(fn, name=str(i), after=[str(i - 2)] if i > 1 else []))
        manager = JobManager(made, limit=3)
        interrupted = 0
        stop, armed = threading.Event(), threading.Event()

        def interrupt():
            while not stop.wait(0.003):
                armed.wait()
                armed.clear()
                os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt, daemon=True)
        thread.start()
        while interrupted < 100:
            try:
                armed.set()
                while True:
                    manager.execute()
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
        say(len(manager.execute().results))
    """)

    assert program.rest() == ["100", "200"]
