"""The system gives no more threads: a run ends with that error, or goes on with those it has."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gofer import JobManager, _parts, job
from gofer.backends import _workers


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
