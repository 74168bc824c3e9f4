"""What fails or is stopped on a cluster: the promises that it can keep."""

from __future__ import annotations

import asyncio
import os
import signal
import traceback
from typing import Any

import pytest

import gofer
from gofer import Context, JobManager, job
from gofer.errors import Cancelled, DeadlineExceeded, JobPanic, NotAwaitedError


def test_a_jobs_own_exception_comes_out_with_its_traceback_and_a_note(cluster: Any) -> None:
    """Promise 9, but that the object is a copy."""

    @job
    def breaks() -> None:
        raise ConnectionError("no answer")

    @job
    def never(*, breaks: None) -> None:
        raise AssertionError

    with pytest.raises(ConnectionError, match="no answer") as caught:
        JobManager([breaks, never]).execute(backend=cluster)
    assert "in breaks" in "".join(traceback.format_exception(caught.value))
    (note,) = caught.value.__notes__
    assert note.startswith("job 'breaks' failed ")
    assert note.endswith("; not started: never")


def test_a_failure_stops_what_runs_and_nothing_else_starts(cluster: Any, signals: Any) -> None:
    """Promise 11: the news takes a moment, and then no job begins any more."""

    @job
    def breaks(ctx: Context) -> None:
        signals.wait("runs", ctx)
        raise ValueError("no")

    @job
    def runs(ctx: Context) -> None:
        signals.set("runs")
        try:
            ctx.sleep(60)
        finally:
            signals.set("saw it")

    many = [job(lambda: signals.set("late"), name=f"n{i}", after=["runs"]) for i in range(10)]
    run = JobManager([breaks, runs, *many]).execute(backend=cluster, check=False)
    assert isinstance(run.error, ValueError)
    assert run.record("runs").state == "cancelled"
    assert signals.times("saw it") == 1
    assert {run.record(f"n{i}").state for i in range(10)} == {"not started"}
    assert signals.times("late") == 0


def test_a_stop_that_took_two_names_of_a_worker_for_two_workers_waited_for_ever(
    cluster: Any, signals: Any
) -> None:
    """More jobs than places: news and the answer to the stop have to name a worker alike."""

    def runs(ctx: Context) -> None:
        try:
            os.mkdir(f"{signals.folder}/first")
        except FileExistsError:
            signals.set("runs")
            ctx.sleep(60)
        signals.wait("runs", ctx)
        raise ValueError("no")

    many = [job(runs, name=f"n{i}") for i in range(20)]
    run = JobManager(many).execute(backend=cluster, check=False)
    assert isinstance(run.error, ValueError)
    states = [run.record(each).state for each in many]
    assert set(states) == {"failed", "cancelled", "not started"}
    began = [run.record(each).thread for each in many if run.record(each).state == "cancelled"]
    assert all(thread.startswith("worker ") and " at " in thread for thread in began)
    # A job that was on its way had begun when the run was over, and kept its worker for a minute.
    assert JobManager([job(lambda: 1, name="next")]).execute(Context(20), backend=cluster).ok
    assert signals.times("runs") <= len(began)


def test_what_ended_before_the_failure_can_still_be_fetched(cluster: Any) -> None:
    """Its results are kept, as on one machine."""

    @job
    def good() -> int:
        return 5

    @job
    def breaks(*, good: int) -> None:
        raise ValueError("no")

    run = JobManager([good, breaks]).execute(backend=cluster, check=False)
    assert run["good"] == 5
    assert run.results == {"good": 5}


def test_without_fail_fast_all_that_can_run_does(cluster: Any) -> None:
    """Promise 12: one group, in the order of the jobs."""

    def breaks(n: int = 0) -> None:
        raise ValueError("no")

    jobs = [
        job(breaks, name="one"),
        job(lambda: 1, name="two"),
        job(breaks, name="three"),
        job(print, name="four", after=["one"]),
        job(lambda: 5, name="five", after=["two"]),
    ]
    run = JobManager(jobs, fail_fast=False).execute(backend=cluster, check=False)
    states = {each.name: each.state for each in run.records}
    assert states["four"] == "not started"
    assert run["five"] == 5
    with pytest.raises(ExceptionGroup, match="2 of 5 jobs failed") as caught:
        run.check()
    assert ["'one'" in str(each.__notes__) for each in caught.value.exceptions] == [True, False]


def test_a_panic_is_one(cluster: Any) -> None:
    """Promise 10: ``SystemExit`` fails its job, and the worker goes on."""

    @job
    def leaves() -> None:
        raise SystemExit(3)

    @job
    async def stops() -> None:
        raise asyncio.CancelledError

    for each in (leaves, stops):
        with pytest.raises(JobPanic) as caught:
            JobManager([each]).execute(backend=cluster)
        assert isinstance(caught.value.__cause__, (SystemExit, asyncio.CancelledError))


def test_a_deadline_is_one(cluster: Any) -> None:
    """Promise 14: it cancels what runs, and ``DeadlineExceeded`` comes out."""

    @job
    def slow(ctx: Context) -> None:
        ctx.sleep(60)

    @job
    async def also() -> None:
        await asyncio.sleep(60)

    with Context(timeout=0.3) as ctx, pytest.raises(DeadlineExceeded):
        JobManager([slow, also]).execute(ctx, backend=cluster)


def test_a_cancelled_context_cancels_the_run(cluster: Any, on_start: Any) -> None:
    """Promise 14: with its cause."""

    @job
    def slow(ctx: Context) -> None:
        ctx.sleep(60)

    with Context() as ctx, pytest.raises(Cancelled, match="enough"):
        watcher = on_start("slow", lambda: ctx.cancel("enough"))
        JobManager([slow], observers=[watcher]).execute(ctx, backend=cluster)


def test_a_context_that_is_cancelled_before_starts_nothing(cluster: Any, signals: Any) -> None:
    """Not even a message is sent."""
    with Context() as ctx:
        ctx.cancel()
        with pytest.raises(Cancelled):
            manager = JobManager([job(lambda: signals.set("ran"), name="one")])
            manager.execute(ctx, backend=cluster)
    assert signals.times("ran") == 0


@pytest.mark.skipif(os.name == "nt", reason="signals are a matter of POSIX")
def test_ctrl_c_cancels_the_run_and_waits_for_the_jobs(
    cluster: Any, signals: Any, on_start: Any
) -> None:
    """Promise 13."""

    @job
    def slow(ctx: Context) -> None:
        try:
            ctx.sleep(60)
        finally:
            signals.set("ended")

    watcher = on_start("slow", lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        JobManager([slow], observers=[watcher]).execute(backend=cluster)
    assert signals.times("ended") == 1


def test_cancelling_the_awaiting_task_cancels_the_jobs(cluster: Any, signals: Any) -> None:
    """Promise 14, from a loop."""

    @job
    async def slow() -> None:
        signals.set("began")
        try:
            await asyncio.sleep(60)
        finally:
            signals.set("ended")

    async def main() -> None:
        task = asyncio.create_task(JobManager([slow]).aexecute(backend=cluster))
        await asyncio.to_thread(signals.wait, "began")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert signals.times("ended") == 1


def test_a_job_that_returns_a_coroutine_is_an_error(cluster: Any) -> None:
    """Promise 18."""

    async def later() -> int:
        return 1

    with pytest.raises(NotAwaitedError, match="job 'early' returned a coroutine"):
        JobManager([job(lambda: later(), name="early")]).execute(backend=cluster)


def test_a_run_that_was_stopped_says_what_it_knows(cluster: Any, signals: Any) -> None:
    """A job deaf to cancellation is waited for; its record says how it ended."""

    @job
    def deaf(ctx: Context) -> int:
        signals.set("runs")
        ctx.on_cancel(lambda: signals.set("stopped"))
        signals.wait("stopped")
        return 1

    @job
    def breaks() -> None:
        signals.wait("runs")
        raise ValueError("no")

    run = JobManager([deaf, breaks]).execute(backend=cluster, check=False)
    assert run.record("deaf").state == "succeeded"
    assert run.record("deaf").end > run.record("breaks").end


def test_many_runs_at_the_same_time_share_nothing(cluster: Any) -> None:
    """Promise 4."""

    @job
    def one(ctx: Context, param: int) -> int:
        return param

    @job
    def two(*, one: int) -> int:
        return one * 2

    manager = JobManager([one, two])
    with gofer.Group() as group:
        handles = [
            group.go(lambda n=n: manager.execute(param=n, backend=cluster)["two"])
            for n in range(1, 9)
        ]
    assert [each.result() for each in handles] == [2 * n for n in range(1, 9)]


def test_without_dask_the_error_says_what_to_install() -> None:
    """It is an extra."""
    import subprocess
    import sys

    program = """
import sys
sys.modules["distributed"] = None
try:
    from gofer.backends import DaskBackend
except Exception as error:
    print(type(error).__name__, error)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    expected = "BackendError the Dask backend needs Dask: pip install 'gofer[dask]'"
    assert ran.stdout.strip() == expected
