"""A thread that ends a job while another books one leaves its end to that one, and goes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from gofer import JobManager, job
from gofer._core.states import FAILED, SUCCEEDED
from gofer._running import RunExecution
from gofer.backends import threads

pytestmark = pytest.mark.skipif(threads._WAITS, reason="without a GIL, a thread waits for the desk")


def _begun(*fns: Callable[..., Any]) -> RunExecution:
    """Begin a run of jobs, each of which needs the one before."""
    jobs: list[Any] = []
    for i, fn in enumerate(fns):
        jobs.append(job(fn, name=f"j{i}", after=[f"j{i - 1}"] if i else []))
    return JobManager(jobs)._begin(None, None, None)


def test_an_end_is_left_to_who_has_the_desk() -> None:
    """That thread books it, and makes ready what waited for it."""
    execution = _begun(lambda: execution.desk.acquire(), lambda: None)
    assert threads.work(execution, "here")
    assert [i for i, _ in execution.ended_elsewhere] == [0]
    assert execution.core.running == 1
    summoned: list[Any] = []
    execution.workers = type("Workers", (), {"summon": lambda _, run: summoned.append(run)})()
    execution.desk.release()
    threads._clear_desk(execution)
    assert (execution.core.states[0], execution.ended_elsewhere) == (SUCCEEDED, [])
    assert summoned == [execution]
    assert not threads.work(execution, "here")
    assert execution.over()


def test_the_desk_may_be_given_back_before_the_end_is_left() -> None:
    """Whoever left it asks once more, and finds the desk free."""
    execution = _begun(lambda: None)

    class Desk:
        asked = 0

        def acquire(self, _: bool) -> bool:
            self.asked += 1
            return self.asked != 2  # the first is the arrival

        def release(self) -> None:
            pass

    execution.desk = Desk()  # type: ignore[assignment]
    assert threads.work(execution, "here")
    assert (execution.core.states[0], execution.ended_elsewhere) == (SUCCEEDED, [])
    assert execution.over()


@pytest.mark.parametrize("thread", [None, threading.Thread()], ids=["the caller", "a worker"])
def test_a_thread_that_arrives_while_the_desk_is_taken_leaves_word(
    thread: threading.Thread | None,
) -> None:
    """It is not on its way any more, so whoever has the desk sends for another if need be."""
    execution = _begun(lambda: None)
    execution.core.waking = True
    unparked: list[str] = []
    execution.parked.append(type("Gate", (), {"release": lambda _: unparked.append("one")})())
    with execution.desk:
        assert threads.work(execution, "label", thread)
        assert execution.core.waking
        assert not unparked
    threads._clear_desk(execution)
    assert execution.core.waking
    assert unparked == ["one"]
    assert not threads.work(execution, "here")
    assert execution.over()


def test_a_failure_waits_for_the_desk() -> None:
    """Failures are rare, and what they stop is decided by who met them."""
    booked = threading.Event()

    def fails() -> None:
        execution.desk.acquire()
        threading.Timer(0.01, release).start()
        raise ValueError("no")

    def release() -> None:
        assert not booked.is_set()
        execution.desk.release()

    execution = _begun(fails)
    assert not threads.work(execution, "here")
    booked.set()
    assert execution.core.states[0] == FAILED
    assert not execution.desk.locked()


def test_after_a_stop_nobody_asks_for_the_desk() -> None:
    """Its thread may have been torn out of its work, by a signal handler that raised."""
    execution = _begun(lambda: execution.desk.acquire(), lambda: None)
    assert threads.work(execution, "here")
    execution.ctx.cancel("torn")
    threads._clear_desk(execution)
    assert (execution.core.states[0], execution.ended_elsewhere) == (SUCCEEDED, [])
    assert execution.over()


def test_the_end_of_the_last_job_is_told_by_who_books_it() -> None:
    """The caller of the run, who waits, goes on."""
    execution = _begun(lambda: execution.desk.acquire())
    assert threads.work(execution, "here")
    gate = threading.Lock()
    gate.acquire()
    execution.parked.append(gate)
    execution.desk.release()
    threads._clear_desk(execution)
    assert gate.acquire(timeout=30)
