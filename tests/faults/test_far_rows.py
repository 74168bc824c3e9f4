"""Rows 6, 9, 12, 16, 18, 26 and 35 in worker processes, by each start method."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from gofer import Context, JobCrashed, JobManager, NotPicklable, Retry, job
from gofer.backends import ProcessBackend

from . import far
from .programs import says
from .test_processes import outcome, works

pytestmark = pytest.mark.skipif(
    not hasattr(os, "killpg"), reason="the processes backend needs a system like Linux or macOS"
)


def test_a_full_c_stack_is_a_crash_of_its_job(workers: ProcessBackend) -> None:
    """Row 9: by its signal; where Python itself looks after the C stack, a RecursionError."""
    run = outcome(workers, far.overflows_the_stack)
    error = run.record("fails").error

    assert [record.state for record in run.records] == ["succeeded", "failed", "not started"]
    if type(error) is not RecursionError or sys.version_info < (3, 12):
        assert type(error) is JobCrashed
        assert error.signal == "SIGSEGV"
    assert works(workers)


def test_an_error_in_a_finally_in_a_worker_is_attached(
    workers: ProcessBackend, tmp_path: Path
) -> None:
    """Row 12: the first failure comes out, the other is named in its note and kept."""
    jobs = [
        job(lambda: str(tmp_path), name="folder", backend="threads"),
        job(far.cleans_badly, name="cleans", needs={"path": "folder"}),
        job(far.fails_beside, name="fails", needs={"path": "folder"}),
    ]
    run = JobManager(jobs).execute(backend=workers, check=False)

    assert [str(each) for each in run.errors] == ["first", "'in finally'"]
    assert "failed too: cleans (KeyError: 'in finally')" in run.error.__notes__[0]
    assert works(workers)


def test_workers_that_die_in_a_back_off_are_replaced(
    workers: ProcessBackend, tmp_path: Path
) -> None:
    """Row 16: the next attempt comes to another; nobody is asked who has gone meanwhile."""

    def kills(ctx: Context) -> int:
        while not (tmp_path / "failed").exists():
            ctx.sleep(0.001)
        number = int((tmp_path / "failed").read_text())
        os.kill(number, signal.SIGKILL)
        return number

    retry = Retry(2, on=OSError, wait_initial=0.5, wait_max=0.5)
    jobs = [
        job(lambda: str(tmp_path), name="folder", backend="threads"),
        job(far.fails_once, name="tries", retry=retry, needs={"path": "folder"}),
        job(kills, backend="threads"),
    ]
    run = JobManager(jobs).execute(backend=workers, check=False)

    if run.ok:
        assert run["tries"] != run["kills"]
    else:  # it was killed before it could say that its attempt had failed
        assert isinstance(run.error, JobCrashed)
    assert works(workers)


def test_all_workers_may_die_at_once_and_again(workers: ProcessBackend) -> None:
    """Row 16: each time as many crashes as jobs, by name; then all are there again."""
    for _ in range(3):
        jobs = [job(far.killed, name=str(i)) for i in range(6)]
        run = JobManager(jobs, fail_fast=False).execute(backend=workers, check=False)

        assert [type(error) for error in run.errors] == [JobCrashed] * 6
        assert {error.job for error in run.errors} == {str(i) for i in range(6)}
        assert works(workers)


@pytest.mark.parametrize("start", ["forkserver", "spawn"])
def test_a_pool_may_be_closed_whose_workers_die_as_they_leave(start: str) -> None:
    """Row 16: it is closed all the same, and works when it is used again."""
    backend = ProcessBackend(2, start=start)
    for _ in range(2):
        jobs = [job(far.dies_at_its_end, name=str(i)) for i in range(2)]
        assert JobManager(jobs).execute(backend=backend).ok
        backend.close()


@pytest.mark.parametrize("start", ["forkserver", "spawn"])
def test_a_worker_starts_while_threads_hold_locks(start: str) -> None:
    """Row 18: those of the log, of the output and of imports; a fork would copy them, held."""
    lines = says(HOLDS_LOCKS.format(start=start))

    assert lines == ["True", "held"]


HOLDS_LOCKS = """
import importlib, logging
from gofer.backends import ProcessBackend

if __name__ == "__main__":
    handler = logging.StreamHandler(sys.stdout)
    logging.getLogger().addHandler(handler)
    held, over = threading.Event(), threading.Event()
    def holds():
        with handler.lock, logging._lock, importlib._bootstrap._ModuleLockManager("far_away"):
            held.set()
            over.wait()
    thread = threading.Thread(target=holds)
    thread.start()
    held.wait()
    backend = ProcessBackend(1, start="{start}")
    say(JobManager([job(os.getpid)]).execute(backend=backend)["getpid"] != os.getpid())
    say("held" if thread.is_alive() else "free")
    over.set()
    thread.join()
    backend.close()
"""


def test_a_result_that_does_not_travel_is_told_with_its_type(workers: ProcessBackend) -> None:
    """Row 6: the message names the job, and the type that cannot be pickled."""
    error = outcome(workers, far.holds_a_lock).record("fails").error

    assert type(error) is NotPicklable
    assert "job 'fails'" in str(error)
    assert "lock" in str(error)
    assert works(workers)


def test_a_wall_clock_that_jumps_moves_no_deadline_of_a_worker(workers: ProcessBackend) -> None:
    """Row 26: the worker's own, too."""
    with Context(timeout=3600) as ctx:
        run = JobManager([job(far.clocks_jump)]).execute(ctx, backend=workers)

    assert 1800 < run["clocks_jump"] <= 3600


def test_context_variables_reach_workers(workers: ProcessBackend) -> None:
    """Row 35: those of a module whose value pickles, as they are for the caller of each run."""
    manager = JobManager([job(far.variable)])
    for value in ("one", "two"):
        token = far.VARIABLE.set(value)
        assert manager.execute(backend=workers)["variable"] == value
        far.VARIABLE.reset(token)
    assert manager.execute(backend=workers)["variable"] == "none"
