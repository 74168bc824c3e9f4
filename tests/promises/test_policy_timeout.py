"""Policies: a job with a ``timeout`` has failed when it is over, whatever its code does."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from gofer import (
    Cancelled,
    Context,
    DeadlineExceeded,
    JobManager,
    JobTimeout,
    Retry,
    current_context,
    job,
)

from .virtual import Virtual, virtual

__all__ = ["virtual"]  # a fixture

blocking = pytest.mark.parametrize("backend", ["threads", "mixed"], indirect=True)


async def test_a_job_that_takes_too_long_fails_with_its_timeout(
    backend: Any, virtual: Virtual
) -> None:
    """``JobTimeout`` is a ``TimeoutError`` that knows the job and the seconds."""

    async def slow(ctx: Context) -> None:
        await backend.until_cancelled(ctx)

    manager = JobManager([backend.job(slow, timeout=2.0)])
    with pytest.raises(TimeoutError) as caught:
        await backend.execute(manager)
    assert type(caught.value) is JobTimeout
    assert (caught.value.job, caught.value.timeout) == ("slow", 2.0)
    assert virtual.now == 1002.0


async def test_a_job_that_is_quick_enough_gives_its_result(backend: Any) -> None:
    """The timeout leaves no trace in the report."""

    async def quick(ctx: Context) -> float | None:
        return ctx.remaining()

    run = await backend.execute(JobManager([backend.job(quick, timeout=1000.0)]))
    assert 900.0 < run["quick"] <= 1000.0
    assert run.record("quick").error is None
    assert len(run.record("quick").attempts) == 1


async def test_its_own_context_is_cancelled_and_no_other(backend: Any, virtual: Virtual) -> None:
    """The job sees it in its context; the run, and what runs beside it, do not."""
    seen: list[bool] = []
    ended = backend.Event()

    async def slow(ctx: Context) -> None:
        assert current_context() is ctx
        try:
            await backend.until_cancelled(ctx)
        finally:
            seen.append(ctx.cancelled)
            ended.set()

    async def beside(ctx: Context) -> bool:
        await ended.wait()
        return ctx.cancelled

    jobs = [backend.job(slow, timeout=2.0, fallback="late"), backend.job(beside)]
    run = await backend.execute(JobManager(jobs))
    assert run.results == {"slow": "late", "beside": False}
    assert seen == [True]


async def test_dependents_go_on_while_the_late_call_still_runs(
    backend: Any, virtual: Virtual
) -> None:
    """The job counts as ended at once; the run waits for its code at the end (promise 7)."""
    virtual.jumps = False
    started, go, order = backend.Event(), backend.Event(), []

    async def deaf() -> None:
        started.set()
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                pass
        order.append("the late call")

    async def dependent(*, deaf: str) -> str:
        order.append(f"what follows, with {deaf}")
        go.set()
        return deaf

    async def mover() -> None:
        await started.wait()
        await backend.eventually(lambda: virtual._due or virtual.slept)
        virtual.advance(2.0)

    jobs = [backend.job(deaf, timeout=2.0, fallback="less"), backend.job(dependent)]
    run = await backend.execute(JobManager([*jobs, backend.job(mover)]))
    assert order == ["what follows, with less", "the late call"]
    record = run.record("deaf")
    assert (record.state, record.fell_back, record.end) == ("succeeded", True, 2.0)
    assert isinstance(record.error, JobTimeout)


async def test_a_limit_of_the_run_is_free_when_the_job_has_timed_out(
    backend: Any, virtual: Virtual
) -> None:
    """``limit=`` counts jobs, and the job has ended: what follows may start."""
    go = backend.Event()

    async def deaf() -> None:
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                pass

    async def dependent(*, deaf: None) -> None:
        go.set()

    jobs = [backend.job(deaf, timeout=2.0, fallback=None), backend.job(dependent)]
    run = await backend.execute(JobManager(jobs, limit=1))
    assert run.ok


async def test_the_timeout_covers_all_attempts(backend: Any, virtual: Virtual) -> None:
    """It is one for the job, not one for each attempt."""
    virtual.jumps = False
    tries = []

    async def flaky(ctx: Context) -> None:
        tries.append(1)
        virtual.advance(2.0)
        if len(tries) == 3:
            await backend.until_cancelled(ctx)
        raise ConnectionError

    retry = Retry(9, wait_initial=0.0)
    manager = JobManager([backend.job(flaky, retry=retry, timeout=5.0)])
    run = await backend.execute(manager, check=False)
    assert isinstance(run.error, JobTimeout)
    assert [type(each.error) for each in run.record("flaky").attempts] == [
        ConnectionError,
        ConnectionError,
        JobTimeout,
    ]
    assert "after 3 attempts in 6.000 s" in run.error.__notes__[0]


async def test_no_wait_ends_after_the_timeout(backend: Any, virtual: Virtual) -> None:
    """Where the next attempt would come too late, the last error comes at once."""
    virtual.jumps = False
    error = ConnectionError("mine")

    async def fails() -> None:
        raise error

    retry = Retry(9, wait_initial=7.0, wait_max=7.0)
    manager = JobManager([backend.job(fails, retry=retry, timeout=5.0)])
    run = await backend.execute(manager, check=False)
    assert run.error is error
    assert virtual.now == 1000.0


async def test_the_timeout_covers_the_wait_for_a_limit(backend: Any, virtual: Virtual) -> None:
    """Whoever waits for a place in vain has not been called at all."""
    called = []
    holds, leaves = backend.Event(), backend.Event()

    async def holder() -> None:
        holds.set()
        await leaves.wait()

    async def second() -> None:
        called.append(1)

    async def third(*, second: str) -> str:
        leaves.set()
        return second

    manager = JobManager(
        [
            backend.job(holder, limit="db"),
            backend.job(holds.wait, name="first"),
            backend.job(second, after=["first"], limit="db", timeout=2.0, fallback="late"),
            backend.job(third),
        ],
        limits={"db": 1},
    )
    run = await backend.execute(manager)
    assert run["third"] == "late"
    assert called == []
    assert run.record("second").waiting_for_limit == 2.0


@pytest.mark.parametrize("timeout", [1.0, 5.0])
async def test_of_timeout_and_deadline_the_first_wins(
    backend: Any, virtual: Virtual, timeout: float
) -> None:
    """Each is reported as what it is: a failed job with its fallback, or a run that is over."""
    virtual.jumps = False
    started = backend.Event()

    async def slow(ctx: Context) -> None:
        started.set()
        await backend.until_cancelled(ctx)

    async def mover() -> None:
        await started.wait()
        virtual.advance(1.5 if timeout == 1.0 else 2.5)

    jobs = [backend.job(slow, timeout=timeout, fallback="late"), backend.job(mover)]
    run = await backend.execute(JobManager(jobs), Context(timeout=2.0), check=False)
    if timeout == 5.0:
        assert isinstance(run.error, DeadlineExceeded)
        assert run.record("slow").state == "cancelled"
        assert run.record("slow").error is None
    else:
        assert run.ok
        assert isinstance(run.record("slow").error, JobTimeout)
        assert run["slow"] == "late"


async def test_an_error_that_comes_in_time_is_the_jobs_own(backend: Any) -> None:
    """The timeout changes nothing about a job that fails by itself."""
    error = KeyError("mine")

    async def fails() -> None:
        raise error

    with pytest.raises(KeyError) as caught:
        await backend.execute(JobManager([backend.job(fails, timeout=1000.0)]))
    assert caught.value is error
    assert caught.value.__traceback__ is not None
    files = []
    trace = caught.tb
    while trace is not None:
        files.append(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    assert not [f for f in files if "_policied" in f or "_calls" in f or "_worlds" in f]


async def test_a_stopped_run_ends_a_job_with_a_timeout_as_cancelled(backend: Any) -> None:
    """A sibling's failure cancels it, and the run waits until its code has ended."""
    gauge, started = backend.Gauge(), backend.Event()

    async def slow(ctx: Context) -> None:
        with gauge:
            started.set()
            await backend.until_cancelled(ctx)

    async def fails() -> None:
        await started.wait()
        raise KeyError

    jobs = [backend.job(slow, timeout=1000.0, fallback=1), backend.job(fails)]
    run = await backend.execute(JobManager(jobs), check=False)
    assert run.record("slow").state == "cancelled"
    assert (gauge.now, gauge.total) == (0, 1)


@blocking
async def test_an_abandoned_job_is_left_behind_and_reported(backend: Any, virtual: Virtual) -> None:
    """With ``abandon=True`` the run ends at the timeout; the late result falls into nothing."""
    virtual.jumps = False
    started, go, gone = threading.Event(), threading.Event(), threading.Event()

    def deaf() -> str:
        started.set(), go.wait(30)  # here it stands
        gone.set()
        return "too late"

    def mover() -> None:
        started.wait(30)
        virtual.advance(2.0)

    made = job(deaf, timeout=2.0, abandon=True, fallback="less")
    run = await backend.execute(JobManager([made, job(mover)]))
    record = run.record("deaf")
    assert not gone.is_set()
    assert (run["deaf"], record.state, record.fell_back) == ("less", "succeeded", True)
    line = deaf.__code__.co_firstlineno + 1
    assert record.left_behind == f"{deaf.__code__.co_filename}:{line}"
    assert "left behind at" in str(run)
    go.set()
    assert gone.wait(30)
    assert run["deaf"] == "less"


@blocking
async def test_an_abandoned_job_does_not_delay_a_run_that_is_stopped(backend: Any) -> None:
    """A cancelled run leaves it at once; its state is ``cancelled``."""
    go, started = threading.Event(), threading.Event()

    def deaf() -> None:
        started.set()
        go.wait(30)

    ctx = Context()

    def stop() -> None:
        started.wait(30)
        ctx.cancel("enough")

    try:
        with pytest.raises(Cancelled):
            await backend.execute(JobManager([job(deaf, abandon=True), job(stop)]), ctx)
    finally:
        go.set()


@blocking
async def test_the_caller_never_runs_a_job_that_may_be_abandoned(backend: Any) -> None:
    """It could not leave otherwise."""

    def where() -> str:
        return threading.current_thread().name

    run = await backend.execute(JobManager([job(where, abandon=True)]))
    assert run["where"] == "gofer:where"
    assert run.record("where").thread.startswith("gofer-call-")


async def test_a_late_call_that_is_deaf_is_named(backend: Any, virtual: Virtual, log: Any) -> None:
    """Five seconds after it was given up a warning says where it stands."""
    started, go = backend.Event(), backend.Event()

    async def deaf() -> None:
        started.set()
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                pass

    async def dependent(*, deaf: None) -> None:
        await started.wait()
        virtual.advance(6.0)
        go.set()

    jobs = [backend.job(deaf, timeout=2.0, fallback=None), backend.job(dependent)]
    await backend.execute(JobManager(jobs))
    said = [each for each in log.messages if "still runs at" in each]
    assert len(said) == 1
    assert "5 s after it was given up" in said[0]
