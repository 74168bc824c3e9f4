"""The system gives no more threads: a run ends with that error, or goes on with those it has."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gofer import Cancelled, Group, JobManager, _parts, job
from gofer._core.intake import Intake
from gofer._core.lanes import NOTHING, THREADS
from gofer._core.states import RUNNING
from gofer.backends import _workers, threads


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody start a thread, and hide those that are parked."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_workers.workers, "_parked", [])
    monkeypatch.setattr(_parts, "start_thread", refuse)


@pytest.mark.usefixtures("refused")
def test_a_run_on_a_loop_fails_where_no_thread_can_be_had() -> None:
    """Nobody would ever run its sync jobs, so it does not wait for that."""
    manager = JobManager([job(lambda: 1, name=f"j{i}") for i in range(3)])
    with pytest.raises(RuntimeError, match="can't start new thread"):
        asyncio.run(manager.aexecute())


@pytest.mark.usefixtures("refused")
def test_a_run_of_the_callers_own_thread_goes_on_without_others() -> None:
    """The caller works, too, so everything is done, one job after the other."""
    run = JobManager([job(lambda: 1, name=f"j{i}") for i in range(8)]).execute()
    assert list(run.results.values()) == [1] * 8


def test_a_refused_run_starved_though_a_thread_of_another_run_became_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It stays in line, so the thread that the other run leaves serves it."""
    refused, start, starts = threading.Event(), _parts.start_thread, [0]

    def once(thread: threading.Thread) -> None:
        starts[0] += 1
        if starts[0] > 1:
            refused.set()
            raise RuntimeError("can't start new thread")
        start(thread)

    workers = _workers.Workers()
    monkeypatch.setattr("gofer._running.workers", workers)
    monkeypatch.setattr(_parts, "start_thread", once)
    both, begun = threading.Barrier(2), threading.Event()

    def holds_both() -> None:
        both.wait(30)
        begun.set()
        refused.wait(30)

    other = JobManager([job(holds_both, name=name) for name in "ab"])
    thread = threading.Thread(target=other.execute)
    meet = threading.Barrier(2, timeout=20)
    manager = JobManager([job(lambda: meet.wait() * 0, name=name) for name in "cd"])
    thread.start()
    begun.wait(30)
    assert manager.execute().ok
    thread.join()
    assert not workers._wanting


@pytest.mark.usefixtures("refused")
def test_a_run_that_is_over_stayed_in_line_for_a_thread() -> None:
    """Nobody keeps it alive once it has ended."""
    for _ in range(10):
        assert JobManager([job(lambda: 1, name=f"j{i}") for i in range(8)]).execute().ok
    assert not _workers.workers._wanting


def test_a_caller_left_the_rest_to_a_thread_that_was_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody is on the way, so it looks again before it waits."""
    execution = JobManager([job(lambda: 1, name="a")])._begin(None, None, None)
    work, times = threads.work, [0]

    def leaves_at_first(*args: object) -> bool:
        times[0] += 1
        return times[0] == 1 or work(*args)  # type: ignore[arg-type]

    def waits(*_: object) -> None:
        raise AssertionError("it waits, and nobody comes")

    execution.refused = True
    monkeypatch.setattr(threads, "work", leaves_at_first)
    monkeypatch.setattr(threads, "wait", waits)
    threads._work_and_wait(execution)
    assert execution.over()


def test_a_caller_that_waits_goes_on_where_a_thread_is_refused() -> None:
    """Its jobs do not fail for the want of a thread, as it has one."""
    execution = JobManager([job(lambda: 1, name=name) for name in "ab"])._begin(None, None, None)
    execution.core.waking = True
    execution.caller = threading.get_ident()
    gate = threading.Lock()
    gate.acquire()
    execution.parked.append(gate)
    _workers._refused(execution, RuntimeError("can't start new thread"))
    assert gate.acquire(blocking=False)
    assert (execution.core.waking, execution.errors) == (False, {})
    assert execution.core.take(THREADS, 0.0) == 0
    assert execution.core.states[0] == RUNNING


def test_a_caller_went_round_while_another_thread_had_the_desk() -> None:
    """Where threads are refused it looks again, so it waits for the desk, and leaves no word."""
    execution = JobManager([job(lambda: 1, name="a")])._begin(None, None, None)

    class Desk:
        waited = False

        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
            self.waited = self.waited or blocking
            return blocking

        def release(self) -> None:
            pass

    execution.refused = True
    execution.desk = desk = Desk()  # type: ignore[assignment]
    threads.work(execution, "here")
    assert desk.waited
    assert NOTHING not in [i for i, _ in execution.ended_elsewhere]


def test_a_stop_as_go_was_about_to_wait_for_a_place_kept_it_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stop tells those who wait, without the lock: who comes to it after that must look again."""
    monkeypatch.setattr(_workers.workers, "summon", lambda execution: None)  # none comes in time
    with pytest.raises(Cancelled), Group(limit=1) as group:
        waits = group.go(int)

        def stop_then(core: Intake, looks: list[int] = []) -> bool:  # noqa: B006 - it counts them
            looks.append(1)
            if len(looks) == 2:  # the last one before it waits
                group.context.cancel("now")
            return False

        monkeypatch.setattr(Intake, "admits", stop_then)
        group.go(int)
        pytest.fail("it was admitted")
    assert waits.state == "not started"
