"""Worker processes come when there is work, are used again, and go; none is left, none hangs."""

from __future__ import annotations

import os
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import process_jobs as jobs
import pytest
from watching import comes, is_alive

import gofer
from gofer import Group, JobManager, job
from gofer._core.schedule import Schedule
from gofer.backends import _staff, processes
from gofer.backends.processes import ProcessBackend
from gofer.errors import BackendError, InvalidTransition, JobCrashed, WorkerFailed

SUPPORT = str(Path(jobs.__file__).parent)
STARTS = ["forkserver", "spawn"]


def pid(backend: Any) -> int:
    """Run a job; return its worker."""
    return int(JobManager([job(jobs.pid)]).execute(backend=backend)["pid"])


def pids_of(backend: Any) -> list[int]:
    """Return the workers that a pool has."""
    return [hand.pid for hand in backend._pool._staff.hands]


def test_a_worker_is_used_again_by_the_next_run(one: Any) -> None:
    """And by the next kind of run."""
    first = pid(one)
    assert pid(one) == first
    assert list(gofer.map(jobs.take_pid, range(3), backend=one)) == [first] * 3
    assert pids_of(one) == [first]


def test_jobs_that_wait_behind_a_long_one_go_to_another_worker(tmp_path: Path) -> None:
    """Though only one worker was there when they were given out, and nothing else happens."""
    backend = ProcessBackend(2)
    try:
        pid(backend)
        with Group(backend=backend) as group:
            waits = group.go(jobs.wait_for, str(tmp_path), "done", 20.0)
            group.go(jobs.mark, str(tmp_path), "done", "")
        assert waits.result()
    finally:
        backend.close()


def test_a_worker_leaves_after_idling(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the thread of the pool with the last one."""
    monkeypatch.setattr(_staff, "IDLE_AFTER", 0.05)
    backend = ProcessBackend(1)
    first = pid(backend)
    assert comes(lambda: not is_alive(first))
    assert comes(lambda: backend._pool._thread is None)
    assert pid(backend) != first
    backend.close()


def test_an_idle_worker_that_is_killed_is_not_noticed(one: Any) -> None:
    """The next run gets another."""
    for signum in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
        first = pid(one)
        os.kill(first, signum)
        assert comes(lambda first=first: first not in pids_of(one))
        assert pid(one) != first


def test_a_worker_leaves_after_as_many_jobs_as_were_said() -> None:
    """``max_jobs_per_worker``, also where several were sent at once; none is lost."""
    backend = ProcessBackend(1, max_jobs_per_worker=3)
    pids = list(gofer.map(jobs.take_pid, range(10), backend=backend))
    backend.close()

    assert [pids.count(each) for each in dict.fromkeys(pids)] == [3, 3, 3, 1]


@pytest.mark.parametrize("start", STARTS)
def test_a_thread_that_a_job_leaves_does_not_keep_its_worker(start: str) -> None:
    """It would keep an interpreter from ending, and the pool from having another worker."""
    backend = ProcessBackend(1, start=start, max_jobs_per_worker=1)
    pids = [JobManager([job(jobs.leave_thread)]).execute(backend=backend)["leave_thread"]]
    pids.append(pid(backend))
    backend.close()

    assert pids[0] != pids[1]
    assert comes(lambda: not any(map(is_alive, pids)))


def test_a_memory_limit_is_a_memory_error_of_the_job() -> None:
    """The worker goes on, and small jobs run."""
    backend = ProcessBackend(1, memory_limit=3 << 30)  # a Python without a GIL maps one at once
    with Group(backend=backend, fail_fast=False) as group:
        small = group.go(jobs.allocate, 1 << 20)
    with pytest.raises(MemoryError):
        with Group(backend=backend) as group:
            group.go(jobs.allocate, 6 << 30)
    again = pid(backend)
    backend.close()

    assert small.result() == 1 << 20
    assert again


def test_a_killed_forkserver_is_started_again(one: Any) -> None:
    """Its workers live on; the next one that is needed comes from another server."""
    first = pid(one)
    os.kill(one._pool._staff._starter._server.pid, signal.SIGKILL)
    assert pid(one) == first
    with pytest.raises(JobCrashed):
        JobManager([job(lambda: jobs.die("exit 4"), name="dies")]).execute(backend=one)
    assert pid(one) != first


@pytest.mark.parametrize("start", STARTS)
def test_an_interpreter_that_is_not_there_is_one_readable_error(
    start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing hangs, and nothing is tried for ever."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    backend = ProcessBackend(2, start=start)
    with pytest.raises(WorkerFailed, match=r"no worker process could be started: .*nowhere"):
        pid(backend)
    monkeypatch.undo()
    assert pid(backend)
    backend.close()


@pytest.mark.parametrize("start", STARTS)
def test_an_interpreter_that_ends_at_once_is_one_readable_error(
    start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that ends before it is ready is tried a few times, then all that waits fails."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    backend = ProcessBackend(2, start=start)
    with pytest.raises(WorkerFailed, match="worker process"):
        pid(backend)
    monkeypatch.undo()
    assert pid(backend)
    backend.close()


def test_no_thread_to_be_had_is_one_error_and_the_next_run_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pool does not take the thread that there is not for one that serves."""
    from gofer import _parts

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    backend = ProcessBackend(1)
    monkeypatch.setattr(_parts, "start_thread", refuse)
    with pytest.raises(RuntimeError, match="new thread"):
        pid(backend)
    monkeypatch.undo()
    assert pid(backend)
    backend.close()


@pytest.mark.parametrize(
    ("place", "name"),
    [("_pool.Pool", "_assign"), ("_staff.Staff", "_read"), ("_hand.Hand", "flush")],
)
def test_a_fault_of_the_pools_thread_fails_all_that_waits(
    place: str, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No silent hang: each job has the fault as its error, and the next run is served."""
    import gofer.backends._hand
    import gofer.backends._pool

    backend = ProcessBackend(1)
    pid(backend)
    module, _, kind = place.partition(".")
    owner = getattr(getattr(gofer.backends, module), kind)
    before = getattr(owner, name)
    faults = [LookupError("a fault")]

    def faulty(*args: Any) -> Any:
        if faults:
            raise faults.pop()
        return before(*args)

    with pytest.raises(ExceptionGroup) as caught:
        with Group(backend=backend, fail_fast=False) as group:
            waits = group.go(jobs.wait_for, str(tmp_path), "never")
            jobs.wait_for(str(tmp_path), "x", 0.2)
            monkeypatch.setattr(owner, name, faulty)
            more = [group.go(jobs.square, i) for i in range(3)]
    monkeypatch.undo()

    assert not faults
    assert isinstance(waits.error, LookupError)
    assert caught.value.exceptions[0] is waits.error
    assert all(each.done for each in more)
    assert pid(backend)
    backend.close()


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("ended", MemoryError("none left")),
        ("began", MemoryError("none left")),
        ("ended", InvalidTransition("booked before")),
    ],
)
def test_a_run_hung_whose_job_in_a_worker_could_not_be_booked(
    place: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault between two jobs that are booked together: all end, and the next run is served."""
    backend = ProcessBackend(2)
    names = [str(i) for i in range(6)]
    manager = JobManager(
        [*[job(partial(jobs.square, 2), name=name) for name in names], job(jobs.pid, after=names)]
    )
    before, calls = getattr(Schedule, place), []

    def faulty(core: Schedule, *args: Any) -> Any:
        calls.append(args[0])
        if len(calls) == 2:
            if isinstance(error, InvalidTransition):
                before(core, *args)
            raise error
        return before(core, *args)

    monkeypatch.setattr(Schedule, place, faulty)
    run = manager.execute(backend=backend, check=False)
    monkeypatch.undo()

    assert len(calls) > 2
    assert all(record.state != "running" for record in run.records)
    if isinstance(error, MemoryError) and place == "ended":
        assert run.error is error
        assert run.record("pid").state == "not started"
    assert manager.execute(backend=backend).ok
    backend.close()


@pytest.mark.parametrize("start", STARTS)
def test_a_pool_that_is_closed_while_its_worker_starts_says_nothing(
    start: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The worker finds nobody there, and leaves."""
    backend = ProcessBackend(1, start=start)
    with pytest.raises(gofer.DeadlineExceeded):
        JobManager([job(jobs.pid)]).execute(gofer.Context(timeout=0.001), backend=backend)
    backend.close()

    assert comes(lambda: backend._pool._thread is None)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("start", STARTS)
def test_a_pool_may_be_used_inside_a_worker(start: str, backend: Any) -> None:
    """It has workers of its own."""
    with Group(backend=backend) as group:
        nested = group.go(jobs.nested, start)
    assert len(set(nested.result())) == 2
    assert os.getpid() not in nested.result()


def test_a_pool_that_is_forgotten_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its workers leave after idling, its thread with them, and it is collected."""
    import gc
    import weakref

    monkeypatch.setattr(_staff, "IDLE_AFTER", 0.05)
    backend = ProcessBackend(1)
    worker = pid(backend)
    pool = weakref.ref(backend._pool)
    del backend
    assert comes(lambda: not is_alive(worker))
    assert comes(lambda: gc.collect() is None or pool() is None)
    assert pool() not in processes._pools


def test_nothing_is_used_up_by_many_runs_crashes_and_stops(one: Any) -> None:
    """Descriptors and processes are as many after 60 workers have died as before."""

    def used() -> int:
        return len(os.listdir("/proc/self/fd"))

    pid(one)
    before = used()
    for _ in range(60):
        with pytest.raises(JobCrashed):
            JobManager([job(lambda: jobs.die("exit 1"), name="dies")]).execute(backend=one)
    pid(one)
    assert used() <= before + 2
    assert len(one._pool._staff._starter._ended) <= 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"workers": 0}, "workers must be a whole number of at least 1, got 0"),
        ({"workers": True}, "workers must be"),
        ({"start": "fork"}, "start must be 'forkserver' or 'spawn', got 'fork'"),
        ({"max_jobs_per_worker": 0}, "max_jobs_per_worker must be"),
        ({"memory_limit": 1.5}, "memory_limit must be"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], text: str) -> None:
    """At once, and with what to write."""
    with pytest.raises(BackendError, match=text):
        ProcessBackend(**options)


def test_a_process_that_cannot_be_started_uses_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Descriptors are given back, whatever the step that fails."""
    import tempfile

    def used() -> int:
        return len(os.listdir("/proc/self/fd"))

    def refuse(*_: object) -> Any:
        raise OSError(24, "Too many open files")

    before = used()
    for owner, name in ((os, "pipe"), (tempfile, "TemporaryFile")):
        backend = ProcessBackend(1)
        monkeypatch.setattr(owner, name, refuse)
        with pytest.raises(WorkerFailed, match="Too many open files"):
            pid(backend)
        monkeypatch.undo()
        backend.close()
    assert comes(lambda: used() <= before)


def test_workers_see_the_environment_as_it_is_when_they_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not as it was when the server that forks them was started."""
    backend = ProcessBackend(1, max_jobs_per_worker=1)
    pid(backend)
    monkeypatch.setenv("GOFER_TEST_COLOR", "red")
    assert comes(lambda: not pids_of(backend))
    with Group(backend=backend) as group:
        color = group.go(os.getenv, "GOFER_TEST_COLOR")
    backend.close()
    assert color.result() == "red"


def test_a_group_that_is_given_a_new_function_each_time_does_not_grow(one: Any) -> None:
    """Neither here nor in the worker is every function kept for ever; each still runs."""
    import functools

    with Group(backend=one, limit=64) as group:
        handles = [group.go(functools.partial(jobs.square, i)) for i in range(5000)]
        port = next(iter(one._pool._ports))
        assert len(port.functions) <= 500
    assert [each.result() for each in handles] == [i * i for i in range(5000)]
