"""Policies: a job with a ``limit`` waits for a place, first come, first served."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gofer import Cancelled, Context, JobManager, LimitDeadlock, Retry
from gofer._limits import HELD, Limit

from .virtual import Virtual, virtual

__all__ = ["virtual"]  # a fixture


async def test_no_more_than_so_many_run_at_once_over_all_runs(backend: Any) -> None:
    """The limit belongs to the manager, not to a run of it."""
    gauge = backend.Gauge()

    async def query() -> None:
        with gauge:
            await backend.sleep(0.002)

    manager = JobManager(backend.jobs(20, query, limit="db"), limits={"db": 3})
    await backend.together(*[lambda: backend.execute(manager)] * 4)
    assert gauge.total == 80
    assert gauge.most <= 3


async def test_plain_and_async_jobs_share_a_limit(backend: Any) -> None:
    """One line for both, whatever world they wait in."""
    gauge = backend.Gauge()

    async def query() -> None:
        with gauge:
            await backend.sleep(0.001)

    jobs = backend.jobs(20, query, limit="db")
    jobs += [
        backend.job(query, name=f"other{i}", is_async=not backend.is_async, limit="db")
        for i in range(20)
    ]
    await backend.execute(JobManager(jobs, limits={"db": 2}))
    assert gauge.total == 40
    assert gauge.most <= 2


async def test_the_wait_is_in_the_report(backend: Any, virtual: Virtual) -> None:
    """``waiting_for_limit`` in the record, ``waiting`` in the attempt, a line in the text."""
    virtual.jumps = False
    holds, leaves = backend.Event(), backend.Event()

    async def holder() -> None:
        holds.set()
        await leaves.wait()

    async def mover() -> None:
        await backend.eventually(lambda: manager._program().limits["db"]._line)
        virtual.advance(3.0)
        leaves.set()

    manager = JobManager(
        [
            backend.job(holder, limit="db"),
            backend.job(holds.wait, name="held"),
            backend.job(lambda: 1, name="second", limit="db", after=["held"]),
            backend.job(mover),
        ],
        limits={"db": 1},
    )
    run = await backend.execute(manager)
    assert run.record("second").waiting_for_limit == 3.0
    assert run.record("second").attempts[0].waiting == 3.0
    assert run.record("holder").waiting_for_limit == 0.0
    assert "waited 3.00 s for its limit" in str(run)


async def test_cancelling_the_run_ends_the_wait(backend: Any) -> None:
    """And the place goes to the next: nothing is lost."""
    holds, leaves = backend.Event(), backend.Event()

    async def holder(ctx: Context, param: str) -> None:
        holds.set()
        await leaves.wait()

    async def first() -> None:
        manager_run = backend.execute(manager, None, "first", only=["holder"])
        await manager_run

    async def second() -> None:
        await holds.wait()
        with pytest.raises(Cancelled):
            await backend.execute(manager, ctx, "second")
        leaves.set()

    async def stop() -> None:
        limit = manager._program().limits["db"]
        await backend.eventually(lambda: limit._line)
        ctx.cancel()

    ctx = Context()
    manager = JobManager([backend.job(holder, limit="db")], limits={"db": 1})
    await backend.together(first, second, stop)
    limit = manager._program().limits["db"]
    assert not limit._line
    assert not limit._held


async def test_a_place_is_given_back_between_two_attempts(backend: Any, virtual: Virtual) -> None:
    """Whoever waits for its next attempt does not keep others waiting."""
    limit: Any = None
    held: list[int] = []

    def pause(error: Exception) -> float:
        held.append(len(limit._held))
        return 1.0

    left = [ConnectionError()]

    async def flaky() -> None:
        held.append(len(limit._held))
        if left:
            raise left.pop()

    retry = Retry(3, on=pause)
    manager = JobManager([backend.job(flaky, limit="db", retry=retry)], limits={"db": 1})
    limit = manager._program().limits["db"]
    await backend.execute(manager)
    assert held == [1, 0, 1]
    assert not limit._held


async def test_a_place_is_held_until_the_call_has_really_ended(
    backend: Any, virtual: Virtual
) -> None:
    """A job that has timed out has ended, but what it uses is in use as long as its code runs."""
    go, started = backend.Event(), backend.Event()
    order = []

    async def deaf() -> None:
        started.set()
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                pass
        order.append("left")

    async def follows(*, deaf: None) -> None:
        await started.wait()
        assert len(manager._program().limits["db"]._held) == 1
        go.set()

    async def second() -> None:
        order.append("entered")

    manager = JobManager(
        [
            backend.job(deaf, limit="db", timeout=1.0, fallback=None),
            backend.job(follows),
            backend.job(second, limit="db", after=["deaf"]),
        ],
        limits={"db": 1},
    )
    await backend.execute(manager)
    assert order == ["left", "entered"]


async def test_a_nested_run_that_needs_the_place_of_its_own_job_is_refused(backend: Any) -> None:
    """It would wait for ever; the error names both jobs and the way out."""

    async def inner() -> None:
        raise AssertionError

    async def outer() -> None:
        await backend.execute(manager, only=["inner"])

    jobs = [backend.job(outer, limit="db"), backend.job(inner, limit="db")]
    manager = JobManager(jobs, limits={"db": 1})
    with pytest.raises(LimitDeadlock) as caught:
        await backend.execute(manager, only=["outer"])
    error = caught.value
    assert (error.job, error.limit, error.most, error.holder) == ("inner", "db", 1, "outer")
    assert not manager._program().limits["db"]._held


async def test_a_nested_run_may_take_another_place(backend: Any) -> None:
    """Where a place is free, or will be, nobody is refused."""

    async def outer(ctx: Context, depth: int) -> int:
        if depth == 0:
            return 0
        return 1 + (await backend.execute(manager, None, depth - 1))["outer"]

    for timeout in (None, 1000.0):  # called here, and beside
        outers = [backend.job(outer, limit="db", timeout=timeout)]
        manager = JobManager(outers, limits={"db": 4})
        assert (await backend.execute(manager, None, 3))["outer"] == 3
        with pytest.raises(LimitDeadlock):
            await backend.execute(manager, None, 4)
        assert not manager._program().limits["db"]._held


async def test_runs_that_wait_for_each_other_are_refused(backend: Any) -> None:
    """Each of two outer jobs holds one place and wants a second: one is refused, one goes on."""
    both = backend.Barrier(2)

    async def inner() -> str:
        return "ok"

    async def outer() -> str:
        await both.wait()
        run = await backend.execute(manager, only=["inner"], check=False)
        return type(run.error).__name__

    jobs = [*backend.jobs(2, outer, limit="db"), backend.job(inner, limit="db")]
    manager = JobManager(jobs, limits={"db": 2})
    run = await backend.execute(manager, only=["0", "1"])
    assert sorted(run.results.values()) == ["LimitDeadlock", "NoneType"]


def test_places_go_to_those_who_came_first() -> None:
    """In the order in which they stood in line; whoever left it is passed over."""
    told: list[str] = []
    limit = Limit("db", 1)
    first = limit.enter("first", lambda: None)
    second, third, fourth = [
        limit.enter(name, lambda name=name: told.append(name))  # type: ignore[misc]
        for name in ("second", "third", "fourth")
    ]
    assert (first.granted, second.granted) == (True, False)
    assert limit.try_enter("fifth") is None
    third.leave()
    first.leave()
    second.leave()
    assert told == ["second", "fourth"]
    fourth.leave()
    fifth = limit.try_enter("fifth")
    assert fifth is not None
    assert fifth.granted


def test_whoever_jumps_the_line_is_not_let_in() -> None:
    """A hedge asks for a place that is free at once, and nobody may be waiting for it."""
    limit = Limit("db", 2)
    places = [limit.enter(str(i), lambda: None) for i in range(3)]
    places[2].leave()
    places[0].leave()
    assert HELD.get() == ()
    assert limit.try_enter("now") is not None
