"""An observer that raises or blocks: it harms no run, and holds up no job but its own."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

import gofer
from gofer import JobManager, Run

from .modes import Mode
from .test_raising import BUILTIN, made

EVENTS = ["run_started", "job_started", "attempt_ended", "job_ended", "run_ended"]


@pytest.mark.parametrize("event", EVENTS)
def test_whatever_an_observer_raises_the_run_is_the_same(
    mode: Mode, event: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each kind of BaseException, out of each method; the hook is told, once for each call."""
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    for kind in BUILTIN:

        def raises(*_: object, kind: type[BaseException] = kind) -> None:
            raise made(kind)

        observer = gofer.Observer()
        setattr(observer, event, raises)
        jobs = [mode.job(lambda: 1, name="a"), mode.job(lambda: 2, name="b", after=["a"])]
        run = mode.execute(JobManager(jobs, observers=[observer]))

        assert run.results == {"a": 1, "b": 2}
        assert {each.exc_type for each in told} == {kind}
        assert len(told) == (1 if event.startswith("run") else 2)
        told.clear()


@pytest.mark.parametrize("event", ["job_started", "job_ended"])
def test_an_observer_that_blocks_holds_up_its_own_job_alone(event: str) -> None:
    """In threads the others go on; the run ends when the observer lets go."""
    go, others = threading.Event(), threading.Semaphore(0)

    class Blocks(gofer.Observer):
        def job_started(self, run: Run, name: str) -> None:
            if event == "job_started" and name == "slow":
                assert go.wait(30)

        def job_ended(self, run: Run, record: gofer.JobRecord) -> None:
            if event == "job_ended" and record.name == "slow":
                assert go.wait(30)

    def works() -> int:
        others.release()
        return 1

    def opens() -> None:
        for _ in range(10):
            assert others.acquire(timeout=30)
        go.set()

    jobs = [gofer.job(lambda: 1, name="slow")]
    jobs += [gofer.job(works, name=f"w{i}") for i in range(10)]
    run = JobManager([*jobs, gofer.job(opens)], observers=[Blocks()]).execute()

    assert run.ok
