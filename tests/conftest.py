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
        found |= {task for task in asyncio.all_tasks(loop) if not task.done()}
    return found | _child_processes()


def _child_processes() -> set[object]:
    """Return one entry for each, zombies included; nothing on systems without Linux's /proc."""
    found: set[object] = set()
    ours = _idle_workers()
    for each in Path("/proc/self/task").glob("*/children"):
        try:
            found |= {f"process {pid}" for pid in each.read_text().split() if pid not in ours}
        except OSError:  # the thread has ended meanwhile
            continue
    return found


def _idle_workers() -> set[str]:
    """Return the workers that have no job, and the servers that start them: they may stay."""
    processes = sys.modules.get("gofer.backends.processes")
    found = set()
    for pool in tuple(processes._pools) if processes else ():
        staff = pool._staff
        found |= {str(hand.pid) for hand in tuple(staff.hands) if not hand.in_flight}
        server = getattr(staff._starter, "_server", None)
        found |= {str(server.pid)} if server is not None else set()
    return found


@pytest.fixture(autouse=True)
def _nothing_outlives_the_test() -> Iterator[None]:
    before = whats_there()
    yield
    until = time.monotonic() + GRACE
    while (left := whats_there() - before) and time.monotonic() < until:
        time.sleep(0.01)
    assert not left, f"the test has left behind: {left}"
