"""Promise 10: what is not an ordinary exception, and what becomes of it."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import pytest

from gofer import Cancelled, Context, DeadlineExceeded, JobManager, JobPanic


class Boom(Exception):
    """What jobs fail with."""


class Unusual(BaseException):
    """Neither an exception nor anything that Python knows."""


def functions(error: BaseException) -> list[str]:
    """Return the names of the functions in an error's traceback."""
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


# 10. A panic becomes `JobPanic` (with the job's name, the original as `__cause__`, its traceback):
#     `SystemExit`, `GeneratorExit`, a self-raised `CancelledError`, `StopIteration` out of a sync
#     job. The program goes on. `recover=False` lets panics through raw, after everything has been
#     cancelled and has ended.

PANICS = [
    SystemExit,
    GeneratorExit,
    StopAsyncIteration,
    asyncio.CancelledError,
    Cancelled,
    Unusual,
]


@pytest.mark.parametrize("kind", PANICS)
async def test_a_panic_becomes_a_job_panic(backend: Any, kind: type[BaseException]) -> None:
    """Promise 10: it has the job's name, the original and its traceback; the program goes on."""
    panic, barrier = kind("reason"), backend.Barrier(2)

    async def panics() -> None:
        await barrier.wait()
        raise panic

    async def sibling(ctx: Context) -> None:
        await barrier.wait()
        await backend.until_cancelled(ctx)

    manager = JobManager([backend.job(sibling), backend.job(panics)])
    run = await backend.execute(manager, check=False)
    with pytest.raises(JobPanic) as caught:
        run.check()

    assert caught.value is run.error is run.record("panics").error
    assert caught.value.job == "panics"
    assert caught.value.__cause__ is panic
    assert functions(panic)[-1] == "panics"
    assert "'panics'" in str(caught.value)
    assert kind.__name__ in str(caught.value)
    assert [record.state for record in run.records] == ["cancelled", "failed"]
    assert (await backend.execute(JobManager([backend.job(lambda: 1, name="next")])))["next"] == 1


@pytest.mark.parametrize("backend", ["threads", "mixed"], indirect=True)
async def test_a_stop_iteration_out_of_a_sync_job_is_a_panic(backend: Any) -> None:
    """Promise 10: it would end a loop somewhere far away, in silence."""

    def panics() -> None:
        next(iter(()))

    with pytest.raises(JobPanic) as caught:
        await backend.execute(JobManager([backend.job(panics)]))

    assert caught.value.job == "panics"
    assert type(caught.value.__cause__) is StopIteration
    assert functions(caught.value.__cause__)[-1] == "panics"


@pytest.mark.parametrize("backend", ["loop", "background"], indirect=True)
async def test_a_stop_iteration_out_of_an_async_job_is_a_failure(backend: Any) -> None:
    """Promise 10: Python itself makes it a RuntimeError, which is an error like any other."""

    async def fails() -> None:
        next(iter(()))

    with pytest.raises(RuntimeError, match="StopIteration") as caught:
        await backend.execute(JobManager([backend.job(fails)]))

    assert type(caught.value.__cause__) is StopIteration


@pytest.mark.parametrize("kind", [TimeoutError, DeadlineExceeded, RuntimeError])
async def test_an_ordinary_exception_is_no_panic(backend: Any, kind: type[Exception]) -> None:
    """Promise 10: an error that only looks like the run's own business is the job's."""
    error = kind("mine")

    async def fails() -> None:
        raise error

    run = await backend.execute(JobManager([backend.job(fails)]), check=False)
    with pytest.raises(kind) as caught:
        run.check()

    assert caught.value is error
    assert run.state == "failed"


@pytest.mark.parametrize("kind", [*PANICS, Boom])
async def test_without_recover_a_panic_comes_out_raw(
    backend: Any, kind: type[BaseException]
) -> None:
    """Promise 10: ``recover=False`` raises the object itself, once all others have ended."""
    panic, barrier, gauge = kind("reason"), backend.Barrier(11), backend.Gauge()

    async def panics() -> None:
        await barrier.wait()
        raise panic

    async def sibling(ctx: Context) -> None:
        with gauge:
            await barrier.wait()
            try:
                await backend.until_cancelled(ctx)
            finally:
                await backend.sleep(0.05)

    jobs = [*backend.jobs(10, sibling), backend.job(panics)]
    with pytest.raises(kind) as caught:
        await backend.execute(JobManager(jobs, recover=False))

    assert caught.value is panic
    assert (gauge.now, gauge.total) == (0, 10)
    assert functions(panic)[-1] == "panics"


@pytest.mark.parametrize("fail_fast", [True, False])
@pytest.mark.parametrize("recover", [True, False])
async def test_a_keyboard_interrupt_out_of_a_job_stops_everything(
    backend: Any, recover: bool, fail_fast: bool
) -> None:
    """Promise 10: it is no panic but the user's will: raw, once all others have ended."""
    barrier, gauge, interrupt = backend.Barrier(11), backend.Gauge(), KeyboardInterrupt()
    started: list[str] = []

    async def interrupts() -> None:
        await barrier.wait()
        raise interrupt

    async def sibling(ctx: Context) -> None:
        with gauge:
            await barrier.wait()
            try:
                await backend.until_cancelled(ctx)
            finally:
                await backend.sleep(0.05)

    jobs = [
        *backend.jobs(10, sibling),
        backend.job(interrupts),
        backend.job(lambda: started.append("later"), name="later", after=["0"]),
    ]
    manager = JobManager(jobs, recover=recover, fail_fast=fail_fast)
    with pytest.raises(KeyboardInterrupt) as caught:
        await backend.execute(manager)

    assert caught.value is interrupt
    assert (gauge.now, gauge.total) == (0, 10)
    assert started == []


async def test_a_group_with_a_panic_in_it_is_a_panic(backend: Any) -> None:
    """Promise 10: a BaseExceptionGroup is one failure too, kept whole as the cause."""
    group = BaseExceptionGroup("both", [SystemExit(), Boom()])

    async def panics() -> None:
        raise group

    with pytest.raises(JobPanic) as caught:
        await backend.execute(JobManager([backend.job(panics)]))

    assert caught.value.__cause__ is group
