"""Policies: a job with a ``breaker`` is not called while its service fails again and again."""

from __future__ import annotations

from typing import Any

import pytest

from gofer import Breaker, BreakerOpen, Cancelled, Context, JobManager, JobTimeout, Retry

from .virtual import Virtual, virtual

__all__ = ["virtual"]  # a fixture


class Service:
    """What a job asks: it is down until it is said to be up.

    Attributes:
        calls: How often it was asked.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.error: BaseException | None = ConnectionError("down")

    async def ask(self) -> str:
        """Be a job."""
        self.calls += 1
        if self.error is not None:
            raise self.error
        return "up"


async def ask(backend: Any, manager: JobManager) -> Any:
    """Execute once; return the result or the error of the job ``ask``."""
    run = await backend.execute(manager, check=False)
    return run["ask"] if run.ok else run.error


async def test_it_opens_fails_fast_and_tries_again(backend: Any, virtual: Virtual) -> None:
    """After so many failures in a row, for so long; then one call decides. Over all runs."""
    service, breaker = Service(), Breaker(3, reset_after=10.0)
    manager = JobManager([backend.job(service.ask, name="ask", breaker=breaker)])
    for _ in range(3):
        assert isinstance(await ask(backend, manager), ConnectionError)
    assert (breaker.state, service.calls) == ("open", 3)

    virtual.advance(4.0)
    error = await ask(backend, manager)
    assert isinstance(error, BreakerOpen)
    assert (error.job, error.retry_after, service.calls) == ("ask", 6.0, 3)
    assert "its breaker is open, and lets calls through in 6 s" in str(error)

    virtual.advance(6.0)
    assert breaker.state == "half open"
    assert isinstance(await ask(backend, manager), ConnectionError)
    assert (breaker.state, service.calls) == ("open", 4)

    virtual.advance(10.0)
    service.error = None
    assert await ask(backend, manager) == "up"
    assert (breaker.state, await ask(backend, manager), service.calls) == ("closed", "up", 6)


async def test_the_fallback_stands_in_while_it_is_open(backend: Any, virtual: Virtual) -> None:
    """And the report says why."""
    service, breaker = Service(), Breaker(1)
    job = backend.job(service.ask, name="ask", breaker=breaker, fallback="none")
    manager = JobManager([job])
    await backend.execute(manager)
    run = await backend.execute(manager)
    assert run["ask"] == "none"
    assert isinstance(run.record("ask").error, BreakerOpen)
    assert service.calls == 1


async def test_an_open_breaker_ends_the_retries(backend: Any, virtual: Virtual) -> None:
    """Each attempt counts, and the one that was not made is the last, whatever ``on`` says."""
    service, breaker = Service(), Breaker(2)
    retry = Retry(9, on=Exception, wait_initial=0.0)
    job = backend.job(service.ask, name="ask", breaker=breaker, retry=retry)
    run = await backend.execute(JobManager([job]), check=False)
    assert isinstance(run.error, BreakerOpen)
    assert [type(each.error) for each in run.record("ask").attempts] == [
        ConnectionError,
        ConnectionError,
        BreakerOpen,
    ]


@pytest.mark.parametrize("limit", [1, 4, None])
async def test_one_breaker_for_all_jobs_of_a_run_is_their_budget_of_retries(
    backend: Any, virtual: Virtual, limit: int | None
) -> None:
    """Of 50 jobs with nine attempts each no storm comes: what is under way when it opens is all."""
    service, breaker = Service(), Breaker(5, reset_after=3600.0)
    retry = Retry(9, on=ConnectionError, wait_initial=0.0)
    jobs = [backend.job(service.ask, name=str(i), breaker=breaker, retry=retry) for i in range(50)]
    run = await backend.execute(JobManager(jobs, limit=limit, fail_fast=False), check=False)

    assert len(run.errors) == 50
    assert 5 <= service.calls <= 4 + (limit or 50)


async def test_only_errors_that_it_names_count(backend: Any, virtual: Virtual) -> None:
    """Others are answers, and a success in between begins the count anew."""
    service, breaker = Service(), Breaker(2, on=ConnectionError)
    manager = JobManager([backend.job(service.ask, name="ask", breaker=breaker)])
    for error in (ConnectionError(), KeyError(), ConnectionError(), None, ConnectionError()):
        service.error = error
        await ask(backend, manager)
    assert breaker.state == "closed"
    await ask(backend, manager)
    assert breaker.state == "open"


async def test_a_timeout_counts_as_soon_as_it_is_over(backend: Any, virtual: Virtual) -> None:
    """Not when the late call has ended at last."""
    breaker, go = Breaker(1), backend.Event()
    states = []

    async def slow(ctx: Context) -> None:
        await backend.until_cancelled(ctx)

    async def follows(*, slow: None) -> None:
        states.append(breaker.state)
        go.set()

    jobs = [
        backend.job(slow, timeout=1.0, breaker=breaker, fallback=None),
        backend.job(follows),
    ]
    run = await backend.execute(JobManager(jobs))
    assert isinstance(run.record("slow").error, JobTimeout)
    assert states == ["open"]


async def test_a_cancelled_call_counts_as_nothing(backend: Any) -> None:
    """That a run was stopped says nothing about the service; a trial may be made again."""
    breaker = Breaker(1, reset_after=0.0)
    breaker.ended(breaker.admit(0.0) or 0, KeyError(), 0.0)
    started = backend.Event()

    async def slow(ctx: Context) -> None:
        started.set()
        await backend.until_cancelled(ctx)

    async def stop() -> None:
        await started.wait()
        assert breaker.state == "half open"
        ctx.cancel()

    for options in ({}, {"timeout": 1000.0}):
        ctx, started = Context(), backend.Event()
        jobs = [backend.job(slow, breaker=breaker, **options), backend.job(stop)]
        with pytest.raises(Cancelled):
            await backend.execute(JobManager(jobs), ctx)
    assert breaker.admit(1e9) is not None


async def test_a_place_of_a_limit_is_given_back_where_no_call_is_made(
    backend: Any, virtual: Virtual
) -> None:
    """The limit is around the breaker."""
    breaker = Breaker(1)
    breaker.ended(breaker.admit(0.0) or 0, KeyError(), virtual.now)
    job = backend.job(lambda: 1, name="job", breaker=breaker, limit="db")
    manager = JobManager([job], limits={"db": 1})
    with pytest.raises(BreakerOpen):
        await backend.execute(manager)
    assert not manager._program().limits["db"]._held


async def test_interlocks_breaker_is_one(backend: Any) -> None:
    """Any context manager that guards a call and does not wait may be the breaker."""
    interlock = pytest.importorskip("interlock", reason="pip install interlock-cb")
    config = interlock.Config(minimum_number_of_calls=2, window_size=2, wait_duration_in_open=999.0)
    breaker = interlock.CircuitBreaker(name="service", config=config)
    service = Service()
    for options in ({}, {"timeout": 1000.0}):
        breaker.reset()
        job = backend.job(service.ask, name="ask", breaker=breaker, **options)
        manager = JobManager([job])
        for _ in range(2):
            assert isinstance(await ask(backend, manager), ConnectionError)
        assert isinstance(await ask(backend, manager), interlock.CircuitOpenError)
    assert service.calls == 4


def test_only_one_call_is_let_through_to_try() -> None:
    """While it runs, others are refused; whoever was let in before has no say any more."""
    breaker = Breaker(2, reset_after=10.0)
    early = breaker.admit(0.0)
    assert early is not None
    breaker.ended(early, KeyError(), 0.0)
    late = breaker.admit(0.0)
    assert late is not None
    breaker.ended(late, KeyError(), 1.0)
    assert [breaker.admit(10.9), breaker.opens_in(10.0)] == [None, 1.0]
    trial = breaker.admit(11.0)
    assert trial is not None
    assert breaker.admit(11.0) is None
    breaker.ended(early, None, 11.0)
    assert breaker.admit(11.0) is None
    breaker.ended(trial, Cancelled(), 12.0)
    again = breaker.admit(12.0)
    assert again is not None
    breaker.ended(again, None, 12.0)
    assert breaker.state == "closed"
    assert breaker.opens_in(12.0) == 0.0
    assert "closed" in repr(breaker)
