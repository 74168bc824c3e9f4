"""Jobs that are to be stopped: they look, they do not, they refuse."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
import time

from process_jobs import mark, note, runs_of, wait_for

import gofer


def wait(ctx: gofer.Context, param: str) -> None:
    """Note that it runs; wait until it is cancelled; note that too."""
    try:
        mark(param, "began", str(os.getpid()))
        ctx.sleep(60)
    finally:
        mark(param, "cleaned", repr(ctx.cause))


def spin(folder: str) -> None:
    """Never look whether it is cancelled; note that ``finally`` was reached."""
    try:
        mark(folder, "began", str(os.getpid()))
        while True:
            time.sleep(0.005)
    finally:
        mark(folder, "cleaned", "")


async def awaits(folder: str) -> None:
    """Await for ever; note that ``finally`` was reached."""
    try:
        mark(folder, "began", str(os.getpid()))
        await asyncio.sleep(60)
    finally:
        mark(folder, "cleaned", "")


def deaf(folder: str) -> None:
    """Ignore SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    mark(folder, "began", str(os.getpid()))
    while True:
        time.sleep(0.05)


def swallow(folder: str) -> None:
    """Swallow whatever is raised in it."""
    mark(folder, "began", str(os.getpid()))
    while True:
        try:
            time.sleep(0.05)
        except BaseException:
            continue


def hog(folder: str, seconds: float = 60.0) -> None:
    """Keep the GIL for long, in one call of C."""
    import re

    mark(folder, "began", str(os.getpid()))
    if seconds < 1:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            re.match(r"(a+)+$", "a" * 18 + "b")
        return
    re.match(r"(a+)+$", "a" * 64 + "b")


def has_child(folder: str) -> None:
    """Have a child process, and wait."""
    child = subprocess.Popen(["sleep", "60"])
    mark(folder, "child", str(child.pid))
    time.sleep(60)


def dies_with_child(folder: str) -> None:
    """Die and leave a child behind, in a session of its own, that holds all descriptors."""
    child = os.fork()
    if child == 0:
        os.setsid()
        time.sleep(60)
        os._exit(0)
    mark(folder, "child", str(child))
    os._exit(3)


def wait_and_work(*, folder: str) -> str:
    """Wait for another job to begin, and a little longer than that one may take."""
    wait_for(folder, "began")
    time.sleep(1.0)
    note(folder, "worked")
    return "worked"


def spin_in(ctx: gofer.Context, param: str) -> None:
    """Never look whether it is cancelled."""
    spin(param)


def wait_forever(ctx: gofer.Context, param: str) -> None:
    """Note that it runs, and wait."""
    wait(ctx, param)


def slow_once(*, folder: str) -> str:
    """Take long, the first time."""
    note(folder, "calls")
    if runs_of(folder, "calls") == 1:
        time.sleep(60)
    return "fast"


def waits(ctx: gofer.Context) -> None:
    """Wait to be cancelled."""
    ctx.sleep(60)


def dive(depth: int) -> list[int]:
    """Run a manager in this process whose job does the same, one less deep, in another process."""
    if depth == 0:
        return [0]
    from gofer.backends.processes import ProcessBackend

    backend = ProcessBackend(1)
    try:
        below = gofer.job(lambda: dive(depth - 1), name="below")
        return [depth, *gofer.JobManager([below], limit=1).execute(backend=backend)["below"]]
    finally:
        backend.close()


def first_or_spin(item: tuple[str, int]) -> int:
    """Return for the first when another has begun, else never."""
    if item[1]:
        spin(item[0])
    assert wait_for(item[0], "began")
    return item[1]


def on_cancel(ctx: gofer.Context, param: str) -> None:
    """Have a callback called by the cancellation."""
    called = threading.Event()
    ctx.on_cancel(called.set)
    mark(param, "began", "")
    if called.wait(30) and ctx.cancelled:
        mark(param, "called", str(ctx.cause))
