"""What holds for every test: nothing outlives it, and Hypothesis is as repeatable as it can be."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import weakref
from asyncio.base_events import BaseEventLoop
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

STAYING = {"gofer:idle", "gofer:timer", "gofer:loop", "gofer:processes"}
"""Gofer's own threads, shared by all runs: they may stay where they are daemons."""

GRACE = 10.0
"""Seconds that what a test has left may take to end; only a test that fails waits for them."""

_loops: weakref.WeakSet[BaseEventLoop] = weakref.WeakSet()
_make_loop = BaseEventLoop.__init__


def _make_and_note_loop(loop: BaseEventLoop) -> None:
    _make_loop(loop)
    _loops.add(loop)


BaseEventLoop.__init__ = _make_and_note_loop  # asyncio does not tell which loops there are


def whats_there() -> set[object]:
    """Return every thread, asyncio task and child process that a test could have left."""
    found: set[object] = {
        thread for thread in threading.enumerate() if not (thread.daemon and thread.name in STAYING)
    }
    for loop in list(_loops):
        pending = {task for task in asyncio.all_tasks(loop) if not task.done()}
        found |= pending
        if loop.is_closed() and not pending:  # some are long garbage before they are collected
            _loops.discard(loop)
    ours, idle = _workers()
    children = _children("self").union(*[_children(str(pid)) for pid in ours])
    return found | {f"process {pid}" for pid in children - idle}


def _children(process: str) -> set[int]:
    """Return those of a process, zombies included; none on systems without Linux's /proc."""
    found: set[int] = set()
    for each in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found |= {int(pid) for pid in each.read_text().split()}
        except OSError:  # the thread has ended meanwhile
            continue
    return found


def _workers() -> tuple[set[int], set[int]]:
    """Return the processes of Gofer's pools, and those of them that may stay.

    That is who waits for jobs, and the servers that start workers. A worker that has a job, or that
    its pool does not know any more, may not; nor may what a worker has started.
    """
    processes = sys.modules.get("gofer.backends.processes")
    found: set[int] = set()
    idle: set[int] = set()
    for pool in () if processes is None else tuple(processes._pools):
        staff = pool._staff
        hands = tuple(staff.hands)
        found |= {hand.pid for hand in hands}
        idle |= {hand.pid for hand in hands if not hand.in_flight}
        server = getattr(staff._starter, "_server", None)
        if server is not None:
            found.add(server.pid)
            idle.add(server.pid)
    return found, idle


@pytest.fixture(autouse=True)
def _nothing_outlives_the_test() -> Iterator[None]:
    before = whats_there()
    yield
    until = time.monotonic() + GRACE
    while (left := whats_there() - before) and time.monotonic() < until:
        time.sleep(0.01)
    assert not left, f"the test has left behind: {left}"
