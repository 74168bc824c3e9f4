"""Promise 14: cancelled tasks, deadlines and cancelled contexts, never one for the other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gofer import Cancelled, Context, DeadlineExceeded, JobManager

awaiting = pytest.mark.parametrize("backend", ["loop", "mixed"], indirect=True)


class Boom(Exception):
    """What jobs fail with."""


# 14. Cancelling the awaiting task of `aexecute` cancels and awaits the jobs, then lets
#     `CancelledError` out; `task.cancelling()` stays exact. A deadline raises `DeadlineExceeded` (a
#     `TimeoutError`), a cancelled context raises `Cancelled` (a `BaseException`, as asyncio's),
#     never one for the other.


@pytest.mark.parametrize("times", [1, 2])
@awaiting
async def test_cancelling_the_awaiting_task_cancels_and_awaits_the_jobs(
    backend: Any, times: int
) -> None:
    """Promise 14: ``cancelling()`` is the number of ``cancel()`` calls, no more and no less."""
    gauge, started, cancelled = backend.Gauge(), backend.Barrier(6), backend.Barrier(6)
    counts: list[int] = []

    async def work(ctx: Context) -> None:
        with gauge:
            await started.wait()
            try:
                await backend.until_cancelled(ctx)
            finally:
                if times == 2:
                    await cancelled.wait()
                await backend.sleep(0.05)

    async def execute() -> None:
        current = asyncio.current_task()
        assert current is not None
        try:
            await manager.aexecute()
        finally:
            counts.extend([current.cancelling(), gauge.now])

    manager = JobManager(backend.jobs(5, work))
    task = asyncio.create_task(execute())
    await started.wait()
    task.cancel()
    if times == 2:
        await cancelled.wait()  # the first one has arrived in every job
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert task.cancelled()
    assert counts == [times, 0]
    assert gauge.total == 5


@awaiting
async def test_a_task_that_was_not_cancelled_is_not_marked(backend: Any) -> None:
    """Promise 14: failures, deadlines and cancelled contexts leave ``cancelling()`` at 0."""

    async def work(ctx: Context, what: str) -> None:
        if what == "failure":
            raise Boom
        if what == "context":
            current.cancel()
        await backend.until_cancelled(ctx)

    manager = JobManager([backend.job(work)])
    task = asyncio.current_task()
    assert task is not None
    errors = {"failure": Boom, "context": Cancelled, "deadline": DeadlineExceeded}
    for what, error in errors.items():
        current = Context(timeout=0.05 if what == "deadline" else None)
        with pytest.raises(error):
            await manager.aexecute(current, what)

        assert task.cancelling() == 0
    await asyncio.sleep(0)  # no cancellation is on its way either


@awaiting
async def test_aexecute_obeys_asyncio_timeout(backend: Any) -> None:
    """Promise 14: a timeout around the await becomes TimeoutError there, the jobs having ended."""
    gauge, started = backend.Gauge(), backend.Event()

    async def work(ctx: Context) -> None:
        with gauge:
            started.set()
            await backend.until_cancelled(ctx)

    async def expire() -> None:
        await started.wait()
        timeout.reschedule(asyncio.get_running_loop().time())

    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(None) as timeout:
            expiring = asyncio.create_task(expire())
            await JobManager([backend.job(work)]).aexecute()
    await expiring
    task = asyncio.current_task()

    assert task is not None
    assert task.cancelling() == 0
    assert timeout.expired()
    assert type(caught.value) is TimeoutError
    assert (gauge.now, gauge.total) == (0, 1)


@awaiting
async def test_aexecute_obeys_a_task_group(backend: Any) -> None:
    """Promise 14: where a neighbour in a TaskGroup fails, only its error is in the group."""
    gauge, started = backend.Gauge(), backend.Event()

    async def work(ctx: Context) -> None:
        with gauge:
            started.set()
            await backend.until_cancelled(ctx)

    async def neighbour() -> None:
        await started.wait()
        raise Boom

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(JobManager([backend.job(work)]).aexecute())
            group.create_task(neighbour())

    assert [type(error) for error in caught.value.exceptions] == [Boom]
    assert running.cancelled()
    assert gauge.now == 0


@awaiting
async def test_an_error_during_the_tasks_cancellation_does_not_replace_it(backend: Any) -> None:
    """Promise 14: a job that fails while its task is cancelled is reported, not raised."""
    started = backend.Event()

    async def clumsy(ctx: Context) -> None:
        started.set()
        try:
            await backend.until_cancelled(ctx)
        finally:
            raise Boom

    task = asyncio.create_task(JobManager([backend.job(clumsy)]).aexecute())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert task.cancelled()


@awaiting
async def test_a_task_cancelled_before_its_first_line_starts_no_job(backend: Any) -> None:
    """Promise 14: there is no run that nobody waits for."""
    started: list[int] = []
    manager = JobManager([backend.job(lambda: started.append(1), name="job")])
    task = asyncio.create_task(manager.aexecute())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert started == []


async def test_a_deadline_raises_deadline_exceeded(backend: Any) -> None:
    """Promise 14: it is a TimeoutError, and no ``Cancelled``; the jobs have ended."""
    gauge = backend.Gauge()

    async def work(ctx: Context) -> None:
        with gauge:
            await backend.until_cancelled(ctx)

    with Context(timeout=0.1) as ctx:
        run = await backend.execute(JobManager(backend.jobs(5, work)), ctx, check=False)

    assert type(run.error) is DeadlineExceeded
    assert isinstance(run.error, TimeoutError)
    assert gauge.now == 0
    with pytest.raises(DeadlineExceeded):
        run.check()


async def test_a_cancelled_context_raises_cancelled_with_its_cause(backend: Any) -> None:
    """Promise 14: it is a BaseException, and no timeout; also where the deadline is near."""
    cause = ConnectionError("the client went away")

    async def work(ctx: Context) -> None:
        ours.cancel(cause)
        await backend.until_cancelled(ctx)

    with Context(timeout=backend.timeout) as ours:
        with pytest.raises(Cancelled) as caught:
            await backend.execute(JobManager([backend.job(work)]), ours)

    assert caught.value.cause is cause
    assert not isinstance(caught.value, Exception)


async def test_a_context_above_the_callers_counts_as_well(backend: Any) -> None:
    """Promise 14: cancelling a parent cancels its children, and says which of the two it was."""

    async def work(ctx: Context) -> None:
        if cancels:
            above.cancel("shutting down")
        await backend.until_cancelled(ctx)

    manager = JobManager([backend.job(work)])
    for cancels, error in ((True, Cancelled), (False, DeadlineExceeded)):
        with Context(timeout=None if cancels else 0.1) as above, pytest.raises(error):
            await backend.execute(manager, above.child().child(timeout=backend.timeout))


async def test_a_job_may_cancel_its_run(backend: Any) -> None:
    """Promise 14: a job that cancels its own ctx stops the run, not its caller's context."""
    started: list[str] = []

    async def work(ctx: Context) -> None:
        ctx.cancel("found it")
        await backend.until_cancelled(ctx)

    jobs = [
        backend.job(work),
        backend.job(lambda: started.append("later"), name="later", after=["work"]),
    ]
    with Context() as ctx:
        with pytest.raises(Cancelled, match="found it"):
            await backend.execute(JobManager(jobs), ctx)
        assert not ctx.cancelled

    assert started == []


@pytest.mark.parametrize("timeout", [0, -1, -(10**400)])
async def test_a_deadline_that_has_passed_starts_nothing(backend: Any, timeout: float) -> None:
    """Promise 14: DeadlineExceeded comes out, and no job has begun."""
    started: list[int] = []
    manager = JobManager(backend.jobs(10, lambda: started.append(1)))
    run = await backend.execute(manager, Context(timeout=timeout), check=False)

    assert started == []
    assert type(run.error) is DeadlineExceeded
    assert {record.state for record in run.records} == {"not started"}
    with pytest.raises(DeadlineExceeded):
        await backend.execute(manager, Context(timeout=timeout))


async def test_a_context_cancelled_before_the_start_starts_nothing(backend: Any) -> None:
    """Promise 14: Cancelled comes out, and no job has begun."""
    started: list[int] = []
    manager = JobManager(backend.jobs(10, lambda: started.append(1)))
    ctx = Context()
    ctx.cancel("too late")
    with pytest.raises(Cancelled, match="too late"):
        await backend.execute(manager, ctx)

    assert started == []


@pytest.mark.parametrize("timeout", [float("inf"), 10**400, None])
async def test_an_endless_timeout_is_no_deadline(backend: Any, timeout: float | None) -> None:
    """Promise 14: infinity means that there is none."""
    with Context(timeout=timeout) as ctx:
        run = await backend.execute(JobManager([backend.job(lambda: 1, name="one")]), ctx)

    assert run["one"] == 1


async def test_a_failure_before_the_cancellation_is_the_one_that_is_raised(backend: Any) -> None:
    """Promise 14: what comes second, the caller's own cancel included, does not replace it."""
    barrier = backend.Barrier(2)

    async def fails() -> None:
        await barrier.wait()
        raise Boom

    async def cancels(ctx: Context) -> None:
        try:
            await barrier.wait()
            await backend.until_cancelled(ctx)
        finally:
            ours.cancel("second")

    with Context() as ours:
        with pytest.raises(Boom):
            await backend.execute(JobManager([backend.job(fails), backend.job(cancels)]), ours)
        assert ours.cancelled


async def test_an_empty_manager_obeys_a_deadline_or_succeeds(backend: Any) -> None:
    """Promise 14: no jobs, no results, no error, and nothing special."""
    run = await backend.execute(JobManager())

    assert (run.ok, run.results, run.records, run.critical_path) == (True, {}, (), ())
    assert (run.errors, run.error, run.state) == ((), None, "succeeded")
    assert str(run)
