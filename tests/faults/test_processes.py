"""Rows 1 to 9 and 13 to 19 in worker processes, with each start method."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import gofer
from gofer import (
    Context,
    DeadlineExceeded,
    Group,
    JobCrashed,
    JobManager,
    JobPanic,
    NotPicklable,
    RemoteError,
    Retry,
    job,
)
from gofer.backends import ProcessBackend

from . import far
from .programs import TIMEOUT, says
from .test_raising import ARGUMENTS, BUILTIN

pytestmark = pytest.mark.skipif(
    not hasattr(os, "killpg"), reason="the processes backend needs a system like Linux or macOS"
)


def outcome(workers: ProcessBackend, fn: Any, param: Any = None, **options: Any) -> Any:
    """Return a run of a job that fails, beside one that works, with one that needs both."""
    jobs = [job(far.one, name="beside"), job(fn, name="fails", **options)]
    jobs.append(job(far.one, name="later", after=["beside", "fails"]))
    return JobManager(jobs, fail_fast=False).execute(None, param, backend=workers, check=False)


def works(workers: ProcessBackend) -> bool:
    """Return whether the pool goes on: four jobs at once end well."""
    jobs = [job(far.one, name=str(i)) for i in range(4)]
    return JobManager(jobs).execute(backend=workers).ok


def test_each_kind_of_base_exception_comes_back(workers: ProcessBackend) -> None:
    """Rows 1, 3, 7 and 8: type and text are there, a panic is a JobPanic, no process exits."""
    for kind in BUILTIN:
        if kind is KeyboardInterrupt:
            continue
        arguments = ARGUMENTS.get(kind, ("said",))
        run = outcome(workers, far.raises, (kind.__name__, arguments))
        error = run.record("fails").error

        assert [record.state for record in run.records] == ["succeeded", "failed", "not started"]
        is_panic = not issubclass(kind, Exception) or kind in (StopIteration, StopAsyncIteration)
        if is_panic:
            assert type(error) is JobPanic, kind
            error = error.__cause__
        assert type(error) is kind
        assert str(error) == str(kind(*arguments))
    assert works(workers)


def test_a_keyboard_interrupt_of_a_job_stops_the_run(workers: ProcessBackend) -> None:
    """Row 2: it is the user's will, wherever it was raised."""
    with pytest.raises(KeyboardInterrupt):
        outcome(workers, far.raises, ("KeyboardInterrupt", ()))
    assert works(workers)


@pytest.mark.parametrize("name", ["BadStr", "BadReduce", "NotRebuilt", "BadState"])
def test_an_error_that_does_not_travel_has_a_stand_in(workers: ProcessBackend, name: str) -> None:
    """Rows 4 and 5: with the type's name and a safe text; no other job is harmed."""
    arguments = (1, 2) if name == "NotRebuilt" else ("said",)
    run = outcome(workers, far.raises, (name, arguments))
    error = run.record("fails").error

    assert [record.state for record in run.records] == ["succeeded", "failed", "not started"]
    assert type(error) in (RemoteError, getattr(far, name))
    if type(error) is RemoteError:
        assert name in str(error)
    assert str(run)
    assert works(workers)


@pytest.mark.parametrize("fn", [far.deep, far.result_unpickles])
def test_a_result_that_does_not_travel_fails_its_job(workers: ProcessBackend, fn: Any) -> None:
    """Row 6: too deep, or not to be rebuilt here: that job alone, named."""
    run = outcome(workers, fn)

    assert [record.state for record in run.records] == ["succeeded", "failed", "not started"]
    assert isinstance(run.record("fails").error, (NotPicklable, RuntimeError, RecursionError))
    assert "job 'fails' failed" in run.record("fails").error.__notes__[0]
    assert works(workers)


def test_python_s_own_recursion_limit_is_a_failure(workers: ProcessBackend) -> None:
    """Row 9: as in threads."""
    run = outcome(workers, far.recurses)

    assert type(run.record("fails").error) is RecursionError
    assert works(workers)


CRASHES = [
    (far.segfaults, None, "SIGSEGV"),
    (far.exits_well, 0, None),
    (far.exits_badly, 1, None),
    (far.killed, None, "SIGKILL"),
    (far.aborts, None, "SIGABRT"),
    (far.result_kills, None, "SIGKILL"),
    (far.leaves_a_grandchild, 3, None),
]


@pytest.mark.parametrize(("fn", "code", "name"), CRASHES, ids=lambda each: str(each))
def test_a_crash_is_that_jobs_failure_by_name(
    workers: ProcessBackend, fn: Any, code: int | None, name: str | None
) -> None:
    """Rows 13 and 15: exit code or signal, soon, also where a grandchild holds the pipes."""
    start = time.monotonic()
    run = outcome(workers, fn)
    error = run.record("fails").error

    assert [record.state for record in run.records] == ["succeeded", "failed", "not started"]
    assert type(error) is JobCrashed
    assert (error.exitcode, error.signal) == (code, name)
    assert time.monotonic() - start < 15
    assert works(workers)


def test_innocents_run_once_while_others_crash(workers: ProcessBackend) -> None:
    """Row 13: of 40 jobs ten crash; the other thirty end well, each once."""
    jobs = [job(far.exits_well if i % 4 == 0 else far.one, name=str(i)) for i in range(40)]
    run = JobManager(jobs, fail_fast=False).execute(backend=workers, check=False)

    assert len(run.errors) == 10
    assert sum(value == 1 for value in run.results.values()) == 30


def test_a_crash_counts_as_an_attempt(workers: ProcessBackend) -> None:
    """Rows 13 and 16: so many attempts, then the last crash is the failure: no loop."""
    retry = Retry(3, on=JobCrashed, wait_initial=0)
    run = outcome(workers, far.exits_badly, retry=retry)

    assert len(run.record("fails").attempts) == 3
    assert isinstance(run.record("fails").error, JobCrashed)


def test_an_idle_worker_that_is_killed_is_noticed_by_nobody(workers: ProcessBackend) -> None:
    """Row 14: the next run works."""
    for _ in range(3):
        jobs = [job(far.pid, name=str(i)) for i in range(2)]
        run = JobManager(jobs).execute(backend=workers)
        for number in set(run.results.values()):
            os.kill(number, signal.SIGKILL)
        assert works(workers)


def test_a_job_deaf_to_everything_ends_at_the_deadline(workers: ProcessBackend) -> None:
    """Rows 22 and 23: in a process a stop is a stop."""
    with Context(timeout=0.2) as ctx, pytest.raises(DeadlineExceeded):
        JobManager([job(far.deaf)]).execute(ctx, backend=workers)
    assert works(workers)


def test_groups_and_maps_survive_a_crash(workers: ProcessBackend) -> None:
    """Row 13: as runs do."""
    with pytest.raises(JobCrashed), Group(backend=workers) as group:
        group.go(far.exits_well)
    handles = list(gofer.map(exits_on_three, range(6), backend=workers, check=False))

    assert [handle.ok for handle in handles] == [True, True, True, False, True, True]


def exits_on_three(number: int) -> int:
    """Crash at one item."""
    if number == 3:
        os._exit(0)
    return number


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """Row 17: SIGKILL of the program: no worker is left, whether idle or in a job."""
    import subprocess

    program = (
        "import sys, os; from gofer import JobManager, job\n"
        "from tests.faults import far\n"
        "from gofer.backends import ProcessBackend\n"
        "if __name__ == '__main__':\n"
        "    backend = ProcessBackend(2, start=sys.argv[1])\n"
        "    pids = JobManager([job(far.pid, name=str(i)) for i in range(2)])"
        ".execute(backend=backend).results\n"
        "    print(*pids.values(), flush=True)\n"
        "    jobs = [job(far.sleeps, name=str(i)) for i in range(2)]\n"
        "    JobManager(jobs).execute(backend=backend)\n"
    )
    root = Path(__file__).parents[2]
    places = os.pathsep.join([str(root), str(Path(gofer.__file__).parents[1])])
    for start in ("forkserver", "spawn"):
        process = subprocess.Popen(
            [sys.executable, "-c", program, start],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": places},
            text=True,
        )
        assert process.stdout is not None
        numbers = [int(each) for each in process.stdout.readline().split()]
        assert numbers
        process.kill()
        process.wait()
        process.stdout.close()
        until = time.monotonic() + TIMEOUT
        while (left := [n for n in numbers if alive(n)]) and time.monotonic() < until:
            time.sleep(0.01)
        assert left == []


@pytest.mark.parametrize("start", ["forkserver", "spawn"])
def test_a_run_hung_where_no_descriptor_was_left_for_a_worker(start: str) -> None:
    """Row 19: one readable error, nothing stays queued, and later runs have workers."""
    lines = says(NO_DESCRIPTOR.format(start=start))

    assert lines == ["refused", "True"]


NO_DESCRIPTOR = """
import resource
from gofer.backends import ProcessBackend

if __name__ == "__main__":
    backend = ProcessBackend(2, start="{start}")
    manager = JobManager([job(os.getpid, name=str(i)) for i in range(3)])
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    import gofer.backends.processes
    seen = set()
    for spare in range(1, 12):
        now = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (now + spare, before[1]))
        run = manager.execute(backend=backend, check=False)
        if not run.ok:
            assert "Too many open files" in str(run.error) or "worker" in str(run.error), run.error
            seen.add("refused")
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        backend.close()
    say(*seen)
    say(manager.execute(backend=backend).ok)
    backend.close()
"""


def alive(number: int) -> bool:
    """Return whether a process is there, and no zombie."""
    try:
        status = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
