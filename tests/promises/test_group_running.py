"""Promises 1, 2, 3, 5, 6 and 7, for groups: limits, nesting, variables, and nothing is left."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

import gofer
from gofer import AsyncGroup, Group, JobManager, RunningLoopError, current_context

from .groups import Crew, nothing

both = pytest.mark.parametrize("backend", ["threads", "loop"], indirect=True)
"""For groups whose jobs' kinds the test itself chooses: ``Group`` and ``AsyncGroup``."""


# 1. N jobs that all wait on one Barrier(N) finish, for N = 2, 100, 1,000. No hidden cap; `limit=`
#    sets one, counts every kind of job, and is never exceeded.


@pytest.mark.parametrize("count", [2, 100, 1000])
async def test_jobs_of_a_group_that_wait_for_each_other_all_finish(
    backend: Any, count: int
) -> None:
    """Promise 1: a group without a limit has no hidden one."""
    barrier = backend.Barrier(count)

    async def meet(i: int) -> int:
        await barrier.wait()
        return i

    async with Crew(backend) as crew:
        handles = [await crew.go(meet, i) for i in range(count)]

    assert [handle.result() for handle in handles] == list(range(count))


@pytest.mark.parametrize("limit", [1, 2, 8])
async def test_a_groups_limit_is_reached_and_never_exceeded(backend: Any, limit: int) -> None:
    """Promise 1: of ten times as many jobs exactly ``limit`` run at once."""
    barrier, gauge = backend.Barrier(limit), backend.Gauge()

    async def meet() -> None:
        with gauge:
            await barrier.wait()

    async with Crew(backend, limit=limit) as crew:
        for _ in range(10 * limit):
            await crew.go(meet)

    assert (gauge.most, gauge.total) == (limit, 10 * limit)


@pytest.mark.parametrize("limit", [1, 2, 8])
@both
async def test_a_groups_limit_counts_both_kinds_together(backend: Any, limit: int) -> None:
    """Promise 1: sync and async jobs share the places; neither kind is left waiting for ever."""
    barrier, gauge = backend.Barrier(limit), backend.Gauge()

    async def meet() -> None:
        with gauge:
            await barrier.wait()

    kinds = [backend.job(meet, is_async=is_async) for is_async in (True, False)]
    async with Crew(backend, limit=limit) as crew:
        for i in range(10 * limit):
            await crew.go(kinds[i // 3 % 2])

    assert (gauge.most, gauge.total) == (limit, 10 * limit)


async def test_many_short_jobs_all_end_well(backend: Any) -> None:
    """Promise 1: 5,000 jobs that end at once, each with its own result, none lost."""

    async def double(n: int) -> int:
        return 2 * n

    async with Crew(backend, limit=50) as crew:
        handles = [await crew.go(double, n) for n in range(5000)]

    assert [handle.result() for handle in handles] == [2 * n for n in range(5000)]


# 2. Sync and async jobs mix freely. A blocking job never blocks the event loop; an async job never
#    needs a thread.


@both
async def test_both_kinds_of_a_group_wait_for_each_other(backend: Any) -> None:
    """Promise 2: one barrier holds for sync and async jobs, and for the block."""
    barrier = backend.Barrier(201)

    async def meet() -> None:
        await barrier.wait()

    kinds = [backend.job(meet, is_async=is_async) for is_async in (True, False)]
    async with Crew(backend) as crew:
        handles = [await crew.go(kinds[i % 2]) for i in range(200)]
        await barrier.wait()

    assert all(handle.ok for handle in handles)


@pytest.mark.parametrize("backend", ["background", "loop"], indirect=True)
async def test_async_jobs_of_a_group_share_one_thread(backend: Any) -> None:
    """Promise 2: an async job needs no thread of its own, whichever loop it runs on."""
    barrier, threads = backend.Barrier(50), set()

    async def meet() -> None:
        threads.add(threading.current_thread().name)
        await barrier.wait()

    async with Crew(backend) as crew:
        for _ in range(50):
            await crew.go(meet)

    assert threads == {threading.current_thread().name if backend.awaits else "gofer:loop"}


# 3. From plain code, async jobs run on one long-lived background loop.


def test_async_jobs_of_all_groups_run_on_the_same_background_loop() -> None:
    """Promise 3: what belongs to a loop stays usable from group to group, and from any thread."""
    loops: list[object] = []

    async def note() -> None:
        loops.append(asyncio.get_running_loop())

    def use_a_group() -> None:
        with Group() as group:
            group.go(note)

    use_a_group()
    use_a_group()
    thread = threading.Thread(target=use_a_group)
    thread.start()
    thread.join()
    assert list(gofer.map(lambda _: use_a_group(), range(2))) == [None, None]

    assert len(loops) == 5
    assert set(loops) == {loops[0]}


def test_a_group_in_a_running_loop_is_refused() -> None:
    """Promise 3: it would block the loop at its end; the message has the line to write instead."""

    async def main() -> None:
        with pytest.raises(RunningLoopError, match="async with AsyncGroup"):
            with Group() as group:
                group.go(print)

    asyncio.run(main())


def test_a_group_in_an_async_job_of_another_is_refused() -> None:
    """Promise 3: both would need the background loop, and wait for each other for ever."""

    async def inner() -> None:
        with Group() as group:
            group.go(nothing)

    with pytest.raises(RunningLoopError, match="async with AsyncGroup"):
        with Group() as group:
            group.go(inner)


# 5. Nested runs never deadlock, at any depth and limit.


@pytest.mark.parametrize("limit", [1, 2, None])
async def test_nested_groups_never_deadlock(backend: Any, limit: int | None) -> None:
    """Promise 5: a group in a job of a group, 20 deep, each with two jobs."""

    async def dive(depth: int) -> int:
        if not depth:
            return 1
        async with Crew(backend_here(backend), limit=limit) as crew:
            handles = [await crew.go(dive, depth - 1), await crew.go(nothing)]
        return 1 + int(handles[0].result())

    async with Crew(backend, limit=limit) as crew:
        handle = await crew.go(dive, 20)

    assert handle.result() == 21


@pytest.mark.parametrize("limit", [1, 2, None])
async def test_groups_and_managers_nested_in_turn_never_deadlock(
    backend: Any, limit: int | None
) -> None:
    """Promise 5: a job of a group executes a manager, whose job opens a group, and so on."""

    async def dive(ctx: gofer.Context, depth: int) -> int:
        if not depth:
            return 0
        async with Crew(backend_here(backend), limit=limit) as crew:
            handle = await crew.go(execute, depth)
        return 1 + int(handle.result())

    async def execute(depth: int) -> Any:
        return (await backend.execute(manager, current_context(), depth - 1))["dive"]

    manager = JobManager([backend.job(dive)], limit=limit)
    assert (await backend.execute(manager, None, 10))["dive"] == 10


def backend_here(backend: Any) -> Any:
    """Return the backend for a group that a job opens: an ``AsyncGroup`` where a loop runs."""
    here = type(backend)(backend.name)
    here.awaits = asyncio._get_running_loop() is not None
    return here


# 6. Context variables of the caller are visible in every job; what a job sets stays in it.

number: contextvars.ContextVar[int] = contextvars.ContextVar("number", default=0)


async def test_jobs_of_a_group_see_context_variables_and_keep_their_own(backend: Any) -> None:
    """Promise 6: each job has a copy of its own; neither the block nor another sees a change."""
    seen: list[int] = []

    async def change(i: int) -> None:
        seen.append(number.get())
        number.set(100 + i)
        await backend.sleep(0)
        seen.append(number.get())

    number.set(7)
    async with Crew(backend, limit=1) as crew:
        for i in range(3):
            await crew.go(change, i)

    assert seen == [7, 100, 7, 101, 7, 102]
    assert number.get() == 7


async def test_the_current_context_of_a_job_is_its_groups(backend: Any) -> None:
    """Promise 6: jobs find ``group.context``, a child of the given one; the block does not."""
    ctx = gofer.Context(values={"user": 7})

    async def look() -> tuple[gofer.Context | None, object]:
        here = current_context()
        return here, here and here.value("user")

    async with Crew(backend, ctx) as crew:
        handle = await crew.go(look)
        context = crew.context
        assert current_context() is None

    assert handle.result() == (context, 7)
    assert context is not ctx


# 7. Nothing outlives the call.


@pytest.mark.parametrize("end", ["well", "job fails", "block fails", "cancelled"])
async def test_all_jobs_have_ended_when_the_block_has(backend: Any, end: str) -> None:
    """Promise 7: however it is left, every job that started has ended."""
    barrier, ended = backend.Barrier(6 if end == "job fails" else 5), []

    async def work(i: int) -> None:
        try:
            await barrier.wait()
            if end != "well":
                await backend.until_cancelled(current_context())
        finally:
            await backend.sleep(0.02)
            ended.append(i)

    async def fails() -> None:
        await barrier.wait()
        raise ValueError("a job's own")

    async def use() -> None:
        async with Crew(backend) as crew:
            for i in range(4):
                await crew.go(work, i)
            if end == "job fails":
                await crew.go(fails)
            await barrier.wait()
            if end == "block fails":
                raise KeyError("the block's own")
            if end == "cancelled":
                crew.context.cancel()

    errors = {"job fails": ValueError, "block fails": KeyError, "cancelled": gofer.Cancelled}
    if end == "well":
        await use()
    else:
        with pytest.raises(errors[end]):
            await use()

    assert sorted(ended) == [0, 1, 2, 3]


async def test_leaving_the_block_early_waits_for_the_jobs(backend: Any) -> None:
    """Promise 7: ``return`` and ``break`` are ends like any other: nothing is cancelled."""

    async def work() -> str:
        await left.wait()
        await backend.sleep(0.02)
        return "done"

    async def use() -> Any:
        async with Crew(backend) as crew:
            handle = await crew.go(work)
            left.set()
            return handle

    left = backend.Event()
    while True:
        async with Crew(backend) as crew:
            handle = await crew.go(work)
            left.set()
            break

    assert handle.result() == "done"
    assert (await use()).result() == "done"


async def test_a_group_without_jobs_ends_at_once(backend: Any) -> None:
    """Promise 7: there is nothing to wait for, and nothing to raise."""
    async with Crew(backend, limit=1) as crew:
        context = crew.context

    assert context.cancelled  # so that whoever still holds it sees that the group is over


def test_groups_are_shared_by_nobody() -> None:
    """Promise 4: many groups at the same time, in threads and on a loop, do not mix."""

    def use(first: int) -> list[Any]:
        with Group(limit=2) as group:
            handles = [group.go(pow, first + n, 2) for n in range(20)]
        return [handle.result() for handle in handles]

    async def ause(first: int) -> list[Any]:
        async with AsyncGroup(limit=2) as group:
            handles = [await group.go(pow, first + n, 2) for n in range(20)]
        return [handle.result() for handle in handles]

    async def main() -> list[list[Any]]:
        return await asyncio.gather(*[ause(20 * k) for k in range(20)])

    expected = [[n**2 for n in range(20 * k, 20 * k + 20)] for k in range(20)]
    assert list(gofer.map(use, range(0, 400, 20))) == expected
    assert asyncio.run(main()) == expected
