"""Policies: a job with ``hedge`` is called a second time where the first call is slow."""

from __future__ import annotations

from typing import Any

import pytest

from gofer import Breaker, Context, Hedge, JobManager, Retry, current_context
from gofer.policies import Durations

from .virtual import Virtual, virtual

__all__ = ["virtual"]  # a fixture


class Service:
    """What a job asks: the first calls hang until they are cancelled, the others answer at once.

    While a call hangs, it moves the time on, to whatever somebody waits for.

    Attributes:
        calls: How many there were.
        cancelled: How many of them saw that they were cancelled.
    """

    def __init__(self, backend: Any, virtual: Virtual, hang: int, *answers: Any) -> None:
        virtual.jumps = False
        self.backend, self.virtual, self.hang = backend, virtual, hang
        self.answers = list(answers)
        self.calls = self.cancelled = 0
        self.gauge = backend.Gauge()

    async def ask(self, ctx: Context) -> int:
        """Be a job."""
        self.calls += 1
        number = self.calls
        assert current_context() is ctx
        with self.gauge:
            if number <= self.hang:
                while not ctx.cancelled:
                    self.virtual.next()
                    await self.backend.sleep(0.001)
                self.cancelled += 1
                ctx.check()
        answer = self.answers.pop(0) if self.answers else number
        if isinstance(answer, BaseException):
            raise answer
        return answer  # type: ignore[no-any-return]


async def test_the_first_good_answer_wins_and_the_other_is_cancelled(
    backend: Any, virtual: Virtual
) -> None:
    """Both calls have ended when the run is over; the report counts them."""
    service = Service(backend, virtual, 1)
    run = await backend.execute(JobManager([backend.job(service.ask, name="ask", hedge=0.05)]))
    assert run["ask"] == 2
    assert (service.calls, service.cancelled, service.gauge.now) == (2, 1, 0)
    attempt = run.record("ask").attempts[0]
    assert (attempt.calls, attempt.error, attempt.end) == (2, None, pytest.approx(0.05))
    assert "hedged: 2 calls" in str(run)


async def test_a_quick_call_is_not_repeated(backend: Any, virtual: Virtual) -> None:
    """The second call comes after ``after`` seconds, not before."""
    service = Service(backend, virtual, 0)
    run = await backend.execute(JobManager([backend.job(service.ask, name="ask", hedge=1000.0)]))
    assert (run["ask"], service.calls) == (1, 1)
    assert run.record("ask").attempts[0].calls == 1


async def test_there_are_at_most_so_many_calls(backend: Any, virtual: Virtual) -> None:
    """``most`` counts all, and each comes ``after`` seconds behind the one before."""
    service = Service(backend, virtual, 2)
    hedge = Hedge(1.0, most=3)
    run = await backend.execute(JobManager([backend.job(service.ask, name="ask", hedge=hedge)]))
    assert (run["ask"], service.calls, service.cancelled) == (3, 3, 2)
    assert run.record("ask").end == 2.0

    service = Service(backend, virtual, 9)
    jobs = [backend.job(service.ask, name="ask", hedge=hedge, timeout=10.0, fallback="none")]
    run = await backend.execute(JobManager(jobs))
    assert (run["ask"], service.calls, service.cancelled) == ("none", 3, 3)


@pytest.mark.parametrize("second", [KeyError("second"), "ok"])
async def test_a_failed_call_does_not_win(backend: Any, virtual: Virtual, second: Any) -> None:
    """While another runs, its answer is waited for; where all fail, the first error counts."""
    virtual.jumps = False
    again, first = backend.Event(), KeyError("first")
    calls = []

    async def ask(ctx: Context) -> Any:
        calls.append(1)
        if len(calls) == 1:
            while not again.is_set():
                virtual.next()
                await backend.sleep(0.001)
            raise first
        again.set()
        await backend.sleep(0.005)
        if isinstance(second, BaseException):
            raise second
        return second

    run = await backend.execute(JobManager([backend.job(ask, hedge=1.0)]), check=False)
    assert len(calls) == 2
    if second == "ok":
        assert run["ask"] == "ok"
    else:
        assert run.error is first


async def test_each_attempt_is_hedged_anew(backend: Any, virtual: Virtual) -> None:
    """A retry is around the hedge: it comes when all calls of an attempt have failed."""
    service = Service(backend, virtual, 0, ConnectionError(), "ok")
    made = backend.job(service.ask, name="ask", hedge=1000.0, retry=Retry(2, wait_initial=0.0))
    run = await backend.execute(JobManager([made]))
    assert run["ask"] == "ok"
    assert [each.calls for each in run.record("ask").attempts] == [1, 1]


async def test_a_second_call_takes_a_place_of_its_own(backend: Any, virtual: Virtual) -> None:
    """A limit of 2 is two calls."""
    service = Service(backend, virtual, 1)
    made = backend.job(service.ask, name="ask", hedge=1.0, limit="db")
    manager = JobManager([made], limits={"db": 2})
    run = await backend.execute(manager)
    assert (run["ask"], service.calls) == (2, 2)
    assert not manager._program().limits["db"]._held


async def test_no_second_call_stands_in_line_for_a_place(backend: Any, virtual: Virtual) -> None:
    """Where no place is free it is not made: a service at its limit needs no more load."""
    service = Service(backend, virtual, 1)
    made = backend.job(
        service.ask, name="ask", hedge=1.0, limit="db", timeout=10.0, fallback="none"
    )
    manager = JobManager([made], limits={"db": 1})
    run = await backend.execute(manager)
    assert (run["ask"], service.calls) == ("none", 1)
    assert not manager._program().limits["db"]._held


async def test_a_breaker_that_opens_meanwhile_lets_no_second_call_through(
    backend: Any, virtual: Virtual
) -> None:
    """The first call goes on alone."""
    breaker = Breaker(1, reset_after=1000.0)
    service = Service(backend, virtual, 1)

    async def ask(ctx: Context) -> int:
        breaker.ended(breaker.admit(virtual.now) or 0, KeyError(), virtual.now)
        return await service.ask(ctx)

    made = backend.job(ask, hedge=1.0, timeout=10.0, fallback="none", breaker=breaker)
    run = await backend.execute(JobManager([made]))
    assert (run["ask"], service.calls) == ("none", 1)


async def test_the_delay_is_learnt_from_recent_attempts(backend: Any, virtual: Virtual) -> None:
    """``"p95"``: no second call before 20 attempts are known, then as late as 95 % took."""
    virtual.jumps = False
    calls = []

    async def ask(ctx: Context, took: float) -> int:
        calls.append(took)
        if took:
            virtual.advance(took)
        elif len(calls) % 2:
            await backend.until_cancelled(ctx)
        return len(calls)

    async def mover(ctx: Context, took: float) -> None:
        if not took:
            await backend.eventually(lambda: len(calls) > count and virtual.slept)
            virtual.advance(1.0)

    manager = JobManager([backend.job(ask, hedge=Hedge("p95")), backend.job(mover)])
    for _ in range(19):
        await backend.execute(manager, None, 1.0)
    await backend.execute(manager, None, 5.0)
    count = len(calls)
    assert count == 20
    virtual.slept.clear()
    run = await backend.execute(manager, None, 0.0)
    assert run.record("ask").attempts[0].calls == 2
    assert virtual.slept[0] == pytest.approx(1.0)


def test_a_quantile_is_one_of_the_durations() -> None:
    """By nearest rank; only the recent ones count."""
    durations = Durations()
    for took in range(1, 20):
        durations.add(float(took))
    assert durations.quantile(0.5) is None
    durations.add(20.0)
    assert [durations.quantile(part) for part in (0.05, 0.5, 0.95, 0.99)] == [1, 10, 19, 20]
    for _ in range(200):
        durations.add(7.0)
    assert durations.quantile(0.99) == 7.0
    for took in range(1000):
        durations.add(float(took))
        assert durations.quantile(0.99) == max(7.0, took - 2)


def test_durations_do_not_keep_what_they_do_not_need() -> None:
    """However many attempts there were."""
    durations = Durations()
    for took in range(10_000):
        durations.add(float(took))
    assert len(durations._recent) <= 400
