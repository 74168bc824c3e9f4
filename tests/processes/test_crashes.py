"""A worker that dies fails the job that it ran, by name, and no other."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import failing_jobs as failing
import process_jobs as jobs
import pytest
import stopping_jobs as stopping

from gofer import Group, JobManager, Retry, job
from gofer.backends import _staff
from gofer.errors import JobCrashed

ENDS = {
    # how it dies: exit code, signal, whether faulthandler has a stack
    "segfault": (None, "SIGSEGV", True),
    "abort": (None, "SIGABRT", True),
    "SIGKILL": (None, "SIGKILL", False),
    "exit 0": (0, None, False),
    "exit 1": (1, None, False),
}

MOMENTS = {
    "unpickling the arguments": (jobs.take, jobs.DiesWhenLoaded),
    "running": (jobs.die, str),
    "pickling the result": (jobs.give_dying, str),
    "while the pipe is full": (jobs.die_while_sending, str),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("how", ENDS)
def test_a_crash_fails_exactly_the_job_that_the_worker_ran(
    backend: Any, how: str, moment: str, tmp_path: Path
) -> None:
    """At any moment, in any way: one error with its name; the others ran once; the pool goes on."""
    fn, make = MOMENTS[moment]
    exitcode, signal, has_stack = ENDS[how]
    with pytest.raises(ExceptionGroup) as caught:
        with Group(backend=backend, fail_fast=False) as group:
            before = [group.go(jobs.work, str(tmp_path), i) for i in range(6)]
            dies = group.go(fn, make(how))
            after = [group.go(jobs.work, str(tmp_path), i) for i in range(6, 12)]

    (error,) = caught.value.exceptions
    assert isinstance(error, JobCrashed)
    assert error is dies.error
    assert error.job == dies.name == f"{fn.__name__}[6]"
    assert (error.exitcode, error.signal) == (exitcode, signal)
    assert error.worker.startswith("process ")
    assert ("Fatal Python error" in error.stack) == has_stack
    assert (signal or f"exited with {exitcode}") in str(error)
    if moment == "running" and has_stack:
        assert "process_jobs.py" in str(error)
    assert [each.result() for each in [*before, *after]] == list(range(12))
    assert [jobs.runs_of(tmp_path, i) for i in range(12)] == [1] * 12
    run = JobManager([job(jobs.pid)]).execute(backend=backend)
    assert run["pid"] != int(error.worker.split()[1])


def test_many_crashes_in_one_run_are_told_apart(backend: Any, tmp_path: Path) -> None:
    """Each failed job has the end of its own worker."""
    crashing = [job(lambda how=how: jobs.die(how), name=how) for how in ENDS]
    run = JobManager(crashing, fail_fast=False).execute(backend=backend, check=False)

    errors = {each.name: each.error for each in run.records}
    assert {name: (e.exitcode, e.signal) for name, e in errors.items()} == {
        name: each[:2] for name, each in ENDS.items()
    }
    assert len({e.worker for e in errors.values()}) == len(ENDS)


@pytest.mark.parametrize("how", ["exit 0", "SIGKILL"])
def test_a_crash_is_retried_as_the_job_says(backend: Any, how: str, tmp_path: Path) -> None:
    """The retry applies, to another worker; the report has both attempts."""
    run = JobManager(
        [
            job(failing.fail_once, name="fails", retry=Retry(2, on=JobCrashed, wait_initial=0.0)),
            job(lambda: str(tmp_path), name="folder", backend="threads"),
            job(lambda: how, name="error", backend="threads"),
        ]
    ).execute(backend=backend)

    assert run["fails"] == "the second"
    first, second = run.record("fails").attempts
    assert isinstance(first.error, JobCrashed)
    assert second.error is None
    assert len(set((tmp_path / "tries").read_text().split())) == 2


def test_a_crash_is_a_panic_that_recover_can_let_through(backend: Any) -> None:
    """``JobCrashed`` is a ``JobPanic`` with or without ``recover``, and is raised as it is."""
    for recover in (True, False):
        with pytest.raises(JobCrashed) as caught:
            JobManager([job(lambda: jobs.die("exit 5"), name="five")], recover=recover).execute(
                backend=backend
            )
        assert caught.value.exitcode == 5
        assert "job 'five' failed" in caught.value.__notes__[0]


def test_a_worker_that_dies_in_front_of_a_grandchild_is_noticed(
    backend: Any, tmp_path: Path
) -> None:
    """Its child holds its descriptors, in a session of its own: its end is seen all the same."""
    import os
    import signal

    with pytest.raises(JobCrashed) as caught:
        with Group(backend=backend) as group:
            group.go(stopping.dies_with_child, str(tmp_path))
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)

    assert caught.value.exitcode == 3


def test_a_job_that_ended_after_its_worker_had_closed_its_socket_was_said_to_have_crashed(
    one: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal is read when the worker is dead: until then the job may still end."""
    real = _staff.select.select

    def select(*given: Any) -> Any:  # the pool waits for the worker's death
        jobs.mark(str(tmp_path), "noticed", "")
        return real(*given)

    monkeypatch.setattr(_staff, "select", SimpleNamespace(select=select))
    monkeypatch.setattr(_staff, "_DYING", 60.0)
    with Group(backend=one) as group:
        ended = group.go(jobs.close_all_and_go_on, str(tmp_path))
    assert ended.result() == "done"
