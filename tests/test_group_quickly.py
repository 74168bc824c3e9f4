"""``go`` without the run's lock: whatever happens between its steps, no job is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from gofer import Cancelled, Group, _parts
from gofer._core.lanes import THREADS

pytestmark = pytest.mark.skipif(not _parts.HAS_GIL, reason="without a GIL, go takes the lock")


def _meanwhile(group: Group, what: Callable[[Group], object]) -> None:
    """Have something happen right after the next job of a group was put in line."""
    execution = group._running_execution()

    class Door:
        def __enter__(self) -> None:
            pass

        def __exit__(self, *_: object) -> None:
            execution._door = threading.Lock()
            what(group)

    execution._door = Door()


def _busy(group: Group) -> threading.Event:
    """Have the group run a job, with a thread on its way; return what ends the job."""
    started, release = threading.Event(), threading.Event()

    def wait() -> None:
        started.set()
        release.wait(30)

    group.go(wait)
    started.wait(30)
    group._core.waking = True
    return release


def test_the_thread_on_its_way_may_arrive_before_the_job_is_seen() -> None:
    """Then whoever adds the job sends for another."""
    group = Group()
    ran = threading.Event()
    with group:
        release = _busy(group)
        _meanwhile(group, lambda group: setattr(group._core, "waking", False))
        handle = group.go(ran.set)
        assert ran.wait(30)
        release.set()
    assert handle.ok


def test_the_group_may_be_stopped_before_the_job_is_seen() -> None:
    """``go`` raises, and nothing is left of the job."""
    group = Group()
    with group:
        release = _busy(group)
        _meanwhile(group, lambda group: group.context.cancel("enough"))
        try:
            with pytest.raises(Cancelled, match="enough"):
                group.go(print)
            assert list(group._running_execution().handles) == [0]
        finally:
            release.set()


def test_a_job_that_was_taken_before_the_group_was_closed_is_run() -> None:
    """``go`` of another thread comes in the same moment as the end of the block."""
    group = Group()
    with group:
        release = _busy(group)

        def close(group: Group) -> None:
            group._core.closed = True
            group._core.take(THREADS, 1.0)

        _meanwhile(group, close)
        handle = group.go(print)
        execution = group._running_execution()
        execution.call(1, "here")
        execution.core.ended(1, 3, 2.0)
        release.set()
    assert handle.ok


def test_many_threads_add_jobs_to_one_group() -> None:
    """Every job runs once, whoever added it."""
    ran: list[int] = []
    handles: list[Any] = []

    def add(first: int) -> None:
        handles.extend([group.go(ran.append, first + i) for i in range(500)])

    with Group() as group:
        threads = [threading.Thread(target=add, args=(1000 * n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(ran) == [1000 * n + i for n in range(4) for i in range(500)]
    assert all(handle.ok for handle in handles)
    assert len({handle.name for handle in handles}) == 2000
