"""Policies: a job with ``retry`` is tried again, as often and as late as it says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gofer import Cancelled, Context, DeadlineExceeded, JobManager, JobPanic, Retry, job, testing

from .virtual import Virtual, virtual

__all__ = ["virtual"]  # a fixture

STEADY = {"wait_initial": 1.0, "wait_jitter": 0.0}


class Boom(Exception):
    """An error that is nobody's default."""


class Busy(Exception):
    """An error of a service that says when to come back."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


def failing(*errors: BaseException, result: Any = "ok") -> Any:
    """Return an async function that raises these errors, one a call, and then returns."""
    left = list(errors)

    async def call() -> Any:
        if left:
            raise left.pop(0)
        return result

    return call


async def test_a_number_is_how_often_a_job_is_tried_in_all(backend: Any, virtual: Virtual) -> None:
    """``retry=3`` is three attempts, as stamina counts; the third may still end well."""
    job = backend.job(failing(ConnectionError(), TimeoutError()), name="job", retry=3)
    run = await backend.execute(JobManager([job]))
    assert run["job"] == "ok"
    assert run.record("job").state == "succeeded"
    assert run.record("job").error is None


async def test_the_last_error_is_the_jobs_own_with_a_note(backend: Any, virtual: Virtual) -> None:
    """After the last attempt its very error comes out, and the note counts attempts and time."""
    last = ConnectionError("third")
    errors = [ConnectionError("first"), ConnectionError("second"), last]
    job = backend.job(failing(*errors), name="job", retry=Retry(3, **STEADY))
    with pytest.raises(ConnectionError) as caught:
        await backend.execute(JobManager([job]))
    assert caught.value is last
    assert caught.value.__notes__ == [
        "job 'job' failed 3.000 s after the start of the run, after 3 attempts in 3.000 s"
    ]


async def test_each_attempt_is_in_the_report(backend: Any, virtual: Virtual) -> None:
    """Start, end and error of each, in seconds from the run's start."""
    first, second = ConnectionError("first"), ConnectionError("second")
    job = backend.job(failing(first, second), name="job", retry=Retry(3, **STEADY))
    run = await backend.execute(JobManager([job]))
    attempts = run.record("job").attempts
    assert [(each.start, each.end, each.error) for each in attempts] == [
        (0.0, 0.0, first),
        (1.0, 1.0, second),
        (3.0, 3.0, None),
    ]
    assert "3 attempts; failed:" in str(run)
    assert "ConnectionError: second" in str(run)


async def test_waits_grow_and_are_drawn_at_random(backend: Any, virtual: Virtual) -> None:
    """Full jitter: each wait is chance times the longest, which doubles up to ``wait_max``."""
    virtual.chance = 0.5
    retry = Retry(6, wait_initial=1.0, wait_max=5.0)
    job = backend.job(failing(*[ConnectionError()] * 5), name="job", retry=retry)
    await backend.execute(JobManager([job]))
    assert virtual.slept == [0.5, 1.0, 2.0, 2.5, 2.5]


async def test_only_what_on_names_is_tried_again(backend: Any, virtual: Virtual) -> None:
    """Other errors come out at once."""
    for error, on, tries in [
        (Boom(), (ConnectionError, TimeoutError), 1),
        (Boom(), Boom, 3),
        (Boom(), (KeyError, Boom), 3),
        (Boom(), lambda error: isinstance(error, Boom), 3),
        (Boom(), lambda error: None, 1),
    ]:
        job = backend.job(failing(*[error] * 9), name="job", retry=Retry(3, on=on))
        run = await backend.execute(JobManager([job]), check=False)
        assert run.error is error
        assert len(run.record("job").attempts) == tries


async def test_a_service_that_says_when_to_come_back_is_obeyed(
    backend: Any, virtual: Virtual
) -> None:
    """Where ``on`` answers seconds, these are waited, whatever ``wait_max`` says."""
    retry = Retry(3, on=lambda error: error.retry_after, wait_max=1.0)
    job = backend.job(failing(Busy(7.0), Busy(0.0)), name="job", retry=retry)
    run = await backend.execute(JobManager([job]))
    assert run["job"] == "ok"
    assert virtual.slept == [7.0]
    assert [each.start for each in run.record("job").attempts] == [0.0, 7.0, 7.0]


async def test_no_wait_ends_after_the_deadline(backend: Any, virtual: Virtual) -> None:
    """Where the next attempt would come too late, the last error comes at once."""
    last = Busy(5.0)
    retry = Retry(9, on=lambda error: error.retry_after)
    job = backend.job(failing(Busy(4.0), last), name="job", retry=retry)
    with pytest.raises(Busy) as caught:
        await backend.execute(JobManager([job]), Context(timeout=8.0))
    assert caught.value is last
    assert virtual.slept == [4.0]


@pytest.mark.parametrize("panic", [SystemExit(1), GeneratorExit(), StopIteration(1)])
async def test_a_panic_is_never_retried(
    backend: Any, virtual: Virtual, panic: BaseException
) -> None:
    """It is a failure that is not an ordinary exception."""
    tries = []

    def panics() -> None:
        tries.append(1)
        raise panic

    if backend.is_async and isinstance(panic, StopIteration):
        pytest.skip("an async function cannot raise it")
    with pytest.raises(JobPanic):
        await backend.execute(JobManager([backend.job(panics, retry=Retry(5, on=Exception))]))
    assert tries == [1]


async def test_a_cancellation_ends_a_wait(backend: Any) -> None:
    """A job that waits for its next attempt ends with its run, as cancelled."""
    tried = backend.Event()

    async def job() -> None:
        tried.set()
        raise ConnectionError

    async def stop() -> None:
        await tried.wait()
        ctx.cancel("enough")

    ctx = Context()
    retry = Retry(3, wait_initial=1000.0, wait_max=1000.0, wait_jitter=0.0)
    manager = JobManager([backend.job(job, retry=retry), backend.job(stop)])
    with pytest.raises(Cancelled):
        await backend.execute(manager, ctx)
    assert ctx.cause == "enough"


async def test_what_a_deadline_interrupts_is_not_retried(backend: Any, virtual: Virtual) -> None:
    """The run's deadline is no ``TimeoutError`` of the job's."""
    tries = []

    async def job(ctx: Context) -> None:
        tries.append(1)
        virtual.advance(2.0)
        if backend.is_async:
            await asyncio.sleep(0)
        ctx.check()

    with pytest.raises(DeadlineExceeded):
        await backend.execute(JobManager([backend.job(job, retry=5)]), Context(timeout=1.0))
    assert tries == [1]


async def test_a_deadline_of_the_jobs_own_is_retried(backend: Any, virtual: Virtual) -> None:
    """A ``TimeoutError`` of something inside the job is like any other."""
    tries = []

    async def job(ctx: Context) -> str:
        tries.append(1)
        if len(tries) < 3:
            ctx.child(timeout=0).check()
        return "ok"

    run = await backend.execute(JobManager([backend.job(job, retry=3)]))
    assert run["job"] == "ok"


async def test_tests_of_users_switch_retries_off_or_make_them_instant(
    backend: Any, virtual: Virtual
) -> None:
    """For the whole process, and the last one that was entered counts."""
    retry = Retry(3, **STEADY)

    async def tries() -> int:
        job = backend.job(failing(*[ConnectionError()] * 9), name="job", retry=retry)
        run = await backend.execute(JobManager([job]), check=False)
        return len(run.record("job").attempts)

    with testing.no_retries():
        assert await tries() == 1
        with testing.instant_retries():
            assert await tries() == 3
        assert await tries() == 1
    assert virtual.slept == []
    assert await tries() == 3
    assert virtual.slept == [1.0, 2.0]


def test_switches_may_be_taken_back_in_any_order() -> None:
    """Two tests in two threads do not know of each other."""
    from gofer.policies import retries

    first, second = retries.change("off"), retries.change("instant")
    first()
    pause = retries.pause(Retry(3), ConnectionError(), 1, lambda: 1.0)
    assert pause == 0.0
    second()
    assert retries.pause(Retry(3), ConnectionError(), 1, lambda: 1.0) == 0.05


async def test_functions_that_retry_by_themselves_work_as_they_are(backend: Any) -> None:
    """Both tenacity's and stamina's decorators make functions that are jobs like any other."""
    tenacity = pytest.importorskip("tenacity", reason="pip install tenacity")
    stamina = pytest.importorskip("stamina", reason="pip install stamina")
    by_tenacity = tenacity.retry(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_none())
    by_stamina = stamina.retry(on=ConnectionError, attempts=3)
    left = {"tenacity": [1, 2], "stamina": [1, 2]}

    def flaky(name: str) -> str:
        if left[name]:
            left[name].pop()
            raise ConnectionError
        return name

    def job_of(name: str, decorate: Any) -> Any:
        async def awaited() -> str:
            return flaky(name)

        def called() -> str:
            return flaky(name)

        return job(decorate(awaited if backend.is_async else called), name=name)

    stamina.set_testing(True, attempts=3)
    try:
        manager = JobManager([job_of("tenacity", by_tenacity), job_of("stamina", by_stamina)])
        run = await backend.execute(manager)
    finally:
        stamina.set_testing(False)
    assert run.results == {"tenacity": "tenacity", "stamina": "stamina"}
