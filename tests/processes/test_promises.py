"""The promises of the design that worker processes keep, and how far: see ``docs/backends.md``.

The promises are written once in ``tests/promises``, for every way to run jobs in this process;
their jobs close over events and barriers, which do not travel. So what they say is asked anew here.
The other files of this folder have the rest: 2, 4, 6, 9 to 14, 18.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import failing_jobs as failing
import process_jobs as jobs
import pytest
import stopping_jobs as stopping

import gofer
from gofer import Context, Group, JobManager, Observer, job


def test_as_many_jobs_run_at_once_as_there_are_workers(warmed: Any, tmp_path: Path) -> None:
    """Promise 1, as far as there are workers: two jobs that wait for each other end."""
    (tmp_path / "here").mkdir()
    with Group(backend=warmed) as group:
        here = [group.go(jobs.meet, str(tmp_path / "here"), i, 2) for i in range(2)]
    assert len({each.result() for each in here}) == 2


def test_nested_runs_never_deadlock(one: Any) -> None:
    """Promise 5: with one worker, four deep; a run in a worker has its own threads and workers."""
    run = JobManager([job(lambda: stopping.dive(3), name="dive")], limit=1).execute(backend=one)
    assert run["dive"] == [3, 2, 1, 0]

    def from_here() -> int:
        return int(JobManager([job(jobs.pid)]).execute(backend=one)["pid"])

    outer = JobManager([job(from_here, name=str(i), backend="threads") for i in range(4)], limit=1)
    assert len(set(outer.execute(backend=one).results.values())) == 1


def test_nothing_outlives_the_call(warmed: Any, tmp_path: Path) -> None:
    """Promise 7: when ``execute`` raises, what was stopped has ended, ``finally`` included."""
    for i in range(5):
        folder = tmp_path / str(i)
        folder.mkdir()
        with pytest.raises(ValueError, match="now"):
            JobManager(
                [
                    job(lambda folder=folder: str(folder), name="folder", backend="threads"),
                    job(stopping.spin, needs={"folder": "folder"}),
                    job(failing.fails_when_it_began, needs={"folder": "folder"}),
                ]
            ).execute(backend=warmed)
        assert (folder / "cleaned").exists()


def test_the_first_failure_wins(warmed: Any) -> None:
    """Promise 8: in 200 racing runs no sibling's cancellation is what is raised."""
    manager = JobManager(
        [
            job(lambda: failing.raises(LookupError, "a"), name="a"),
            job(lambda: failing.raises(LookupError, "b"), name="b"),
            job(stopping.waits),
        ]
    )
    for _ in range(200):
        run = manager.execute(Context(timeout=60), backend=warmed, check=False)
        assert isinstance(run.error, LookupError)
        assert run.record(run.error.args[0]).error is run.error


def test_an_error_is_the_same_object_wherever_it_is_looked_at(one: Any) -> None:
    """Promise 9, in its own way: what is raised, recorded and told is one object, rebuilt here."""
    told: list[Any] = []

    class Watch(Observer):
        def job_ended(self, run: Any, record: Any) -> None:
            told.append(record.error)

    manager = JobManager([job(lambda: failing.raises(KeyError), name="fails")], observers=[Watch()])
    run = manager.execute(backend=one, check=False)
    with pytest.raises(KeyError) as caught:
        run.check()
    assert caught.value is run.error is run.record("fails").error is told[0]


def test_a_failure_is_announced_when_it_happens(warmed: Any, tmp_path: Path) -> None:
    """Promise 15: while another job of the run still runs in its process."""
    folder = str(tmp_path)

    class Watch(Observer):
        def job_ended(self, run: Any, record: Any) -> None:
            if record.error is not None:
                jobs.mark(folder, "told", "")

    manager = JobManager(
        [
            job(lambda: failing.raises(KeyError), name="fails"),
            job(lambda: jobs.wait_for(folder, "told"), name="waits"),
        ],
        fail_fast=False,
        observers=[Watch()],
    )
    run = manager.execute(backend=warmed, check=False)
    assert run["waits"] is True


def test_observers_are_told_of_each_job_in_order(backend: Any) -> None:
    """Promise 15: started, then ended, once each; also of jobs that share a worker."""
    told: list[tuple[str, str]] = []
    lock = threading.Lock()

    class Watch(Observer):
        def job_started(self, run: Any, name: str) -> None:
            with lock:
                told.append(("started", name))

        def job_ended(self, run: Any, record: Any) -> None:
            with lock:
                told.append(("ended", record.name))

    many = [job(jobs.pid, name=str(i)) for i in range(50)]
    JobManager([*many, job(jobs.apid, after=["0"])], observers=[Watch()]).execute(backend=backend)
    for name in [*map(str, range(50)), "apid"]:
        assert [event for event, which in told if which == name] == ["started", "ended"]


def test_a_plan_is_checked_before_a_worker_starts(one: Any) -> None:
    """Promise 16: nothing is sent."""
    with pytest.raises(gofer.PlanError, match="did you mean 'pid'"):
        JobManager([job(jobs.pid), job(jobs.take, needs={"thing": "pit"})]).execute(backend=one)
    assert one._pool._staff.hands == []


def test_the_report_has_the_worker_and_the_times(one: Any) -> None:
    """Promise 19: start, end, waiting, attempts, and ``process 4711`` in the place of a thread."""
    run = JobManager([job(jobs.pid), job(lambda *, pid: pid, name="same")]).execute(backend=one)
    first, second = run.record("pid"), run.record("same")
    assert first.thread == second.thread == f"process {run['pid']}"
    assert 0 <= first.start <= first.end <= second.start <= second.end <= run.duration
    assert [len(each.attempts) for each in run.records] == [1, 1]
    assert [*run.critical_path] == ["pid", "same"]
