"""Promises 1, 5 and 11, of adding jobs to a group: at the limit, and from jobs of the group."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from gofer import (
    AsyncGroup,
    Cancelled,
    Context,
    DeadlineExceeded,
    Group,
    JobManager,
    RunningLoopError,
)

from .groups import Crew, must_not_start, nothing

DELAYS = [0.0, 0.05]
"""Seconds from the moment when ``go`` is about to be called at the limit until something happens
that must wake it: it may wait already or not yet, and both must be right."""


# At the limit


async def test_go_returns_when_there_is_a_place(backend: Any) -> None:
    """Promise 1: at the limit ``go`` waits for a job to end, and no longer."""
    released, ended = backend.Event(), []

    async def first() -> None:
        await released.wait()
        await backend.sleep(0.02)
        ended.append("first")

    async def endless() -> None:
        await last.wait()

    last = backend.Event()
    async with Crew(backend, limit=2) as crew:
        await crew.go(first)
        await crew.go(endless)
        released.set()
        await crew.go(nothing)
        assert ended == ["first"]
        last.set()


async def test_try_go_never_waits(backend: Any) -> None:
    """At the limit it adds nothing and returns None; else a handle, as ``go`` does."""
    release, gauge = backend.Event(), backend.Gauge()

    async def hold() -> str:
        with gauge:
            await release.wait()
            return "held"

    async with Crew(backend, limit=2) as crew:
        handles = [crew.try_go(hold), crew.try_go(hold)]
        assert [crew.try_go(hold) for _ in range(100)] == [None] * 100
        release.set()
        await backend.eventually(lambda: all(handle and handle.done for handle in handles))
        after = crew.try_go(hold)

    assert [handle and handle.result() for handle in [*handles, after]] == ["held"] * 3
    assert gauge.total == 3


async def test_try_go_without_a_limit_always_adds(backend: Any) -> None:
    """Without a limit there is a place for every job."""
    barrier = backend.Barrier(100)

    async def meet() -> None:
        await barrier.wait()

    async with Crew(backend) as crew:
        handles = [crew.try_go(meet) for _ in range(100)]

    assert all(handle is not None and handle.ok for handle in handles)


def test_many_threads_may_add_at_the_limit() -> None:
    """Promise 1: they all get their turn, and together never exceed it."""
    lock, most, now = threading.Lock(), 0, 0

    def work() -> None:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        with lock:
            now -= 1

    with Group(limit=3) as group:

        def add() -> None:
            for _ in range(50):
                group.go(work)

        threads = [threading.Thread(target=add) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        last = group.go(work)

    assert last.name == "work[400]"
    assert most <= 3


def test_many_tasks_may_add_at_the_limit() -> None:
    """Promise 1: the same for tasks of one loop and an ``AsyncGroup``."""
    most = now = 0

    async def work() -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1

    async def main() -> str:
        async with AsyncGroup(limit=3) as group:

            async def add() -> None:
                for _ in range(50):
                    await group.go(work)

            await asyncio.gather(*[add() for _ in range(8)])
            last = await group.go(work)
        return last.name

    assert asyncio.run(main()) == "work[400]"
    assert most == 3


def test_go_of_a_blocking_group_does_not_freeze_a_running_loop() -> None:
    """Promise 2: where ``Group.go`` would have to wait on a loop, it is refused instead."""
    release = threading.Event()

    async def main(group: Group) -> None:
        with pytest.raises(RunningLoopError, match=r"await group\.go"):
            group.go(print)

    with Group(limit=1) as group:
        group.go(release.wait)
        asyncio.run(main(group))
        release.set()


# At the limit, woken by what stops the group


@pytest.mark.parametrize("delay", DELAYS)
async def test_go_that_waits_is_woken_by_a_failure(backend: Any, delay: float) -> None:
    """Promise 11: the waiting job is never added, and the failed job's error leaves the block."""
    about = backend.Event()

    async def fails() -> None:
        await about.wait()
        await backend.sleep(delay)
        raise ConnectionError("refused")

    with pytest.raises(ConnectionError, match="refused"):
        async with Crew(backend, limit=1) as crew:
            await crew.go(fails)
            about.set()
            await crew.go(must_not_start)
            raise AssertionError("go returned")


@pytest.mark.parametrize("delay", DELAYS)
async def test_go_that_waits_is_woken_by_a_cancellation(backend: Any, delay: float) -> None:
    """Promise 14: a group whose context is cancelled raises Cancelled, with the cause."""
    about, ctx = backend.Event(), Context()

    async def cancels() -> None:
        await about.wait()
        await backend.sleep(delay)
        ctx.cancel("enough")

    with pytest.raises(Cancelled) as caught:
        async with Crew(backend, ctx, limit=1) as crew:
            await crew.go(cancels)
            about.set()
            await crew.go(must_not_start)
            raise AssertionError("go returned")

    assert caught.value.cause == "enough"


async def test_go_that_waits_is_woken_by_the_deadline(backend: Any) -> None:
    """Promise 14: what leaves the block is a DeadlineExceeded, and never a Cancelled."""

    async def hold() -> None:
        await backend.until_cancelled(crew.context)

    with pytest.raises(DeadlineExceeded):
        async with Crew(backend, Context(timeout=0.05), limit=1) as crew:
            await crew.go(hold)
            await crew.go(must_not_start)
            raise AssertionError("go returned")


# From jobs


@pytest.mark.parametrize("limit", [1, 3, None])
async def test_a_crawl_of_depth_1000_ends(backend: Any, limit: int | None) -> None:
    """Promise 5: each job adds the next, also when the block has long ended, at limit 1, too."""
    ready, seen = backend.Event(), []

    async def visit(depth: int) -> None:
        await ready.wait()
        if not depth:
            await backend.sleep(0.02)  # the block has ended by then, probably
        seen.append(depth)
        if depth < 1000:
            await crew.go(visit, depth + 1)

    async with Crew(backend, limit=limit) as crew:
        await crew.go(visit, 0)
        ready.set()

    assert seen == list(range(1001))


async def test_a_wide_crawl_at_limit_1_ends(backend: Any) -> None:
    """Promise 5: a job may add any number of jobs beyond the limit; they wait in line."""
    gauge = backend.Gauge()

    async def visit(depth: int) -> None:
        with gauge:
            if depth:
                for _ in range(10):
                    await crew.go(visit, depth - 1)
                await backend.sleep(1e-6)

    async with Crew(backend, limit=1) as crew:
        await crew.go(visit, 3)

    assert (gauge.most, gauge.total) == (1, 1111)


async def test_try_go_in_a_job_waits_in_line(backend: Any) -> None:
    """Promise 5: the job that calls has a place already, so the limit does not refuse it."""

    async def work() -> list[Any]:
        return [crew.try_go(nothing) for _ in range(10)]

    async with Crew(backend, limit=1) as crew:
        handle = await crew.go(work)

    assert len(handle.result()) == 10
    assert all(each.ok for each in handle.result())


@pytest.mark.parametrize("context", ["own", "inherited"])
async def test_a_job_of_a_run_inside_a_job_may_add(backend: Any, context: str) -> None:
    """Promise 5: at limit 1, from below a manager in a job, whatever context that run was given."""

    async def leaf() -> str:
        return "leaf"

    async def inner() -> None:
        handles.append(await crew.go(leaf))

    async def outer() -> None:
        await backend.execute(manager, Context() if context == "own" else None)

    handles: list[Any] = []
    manager = JobManager([backend.job(inner)])
    async with Crew(backend, limit=1) as crew:
        await crew.go(outer)

    assert [handle.result() for handle in handles] == ["leaf"]


async def test_jobs_that_add_jobs_for_ever_stop_at_a_failure(backend: Any) -> None:
    """Promise 11: in a loop or one from the other, they find out, and the group ends."""
    many, count = backend.Event(), 0

    async def adds_in_a_loop() -> None:
        while True:
            handle = await crew.go(nothing)
            await backend.sleep(1e-6)
            # Else the line could grow faster than it is worked off, and nobody else had a turn.
            while not (handle.done or crew.context.cancelled):
                await backend.sleep(1e-6)

    async def adds_itself() -> None:
        nonlocal count
        count += 1
        if count == 200:
            many.set()
        await crew.go(adds_itself)

    async def fails() -> None:
        await many.wait()
        raise ConnectionError("refused")

    with pytest.raises(ConnectionError):
        async with Crew(backend, limit=4) as crew:
            await crew.go(adds_in_a_loop)
            await crew.go(adds_itself)
            await crew.go(fails)


async def test_a_jobs_refused_go_is_no_failure_of_its_own(backend: Any) -> None:
    """Promise 8: the job that hits the stopped group is cancelled; the first failure stands."""
    stopped = backend.Event()

    async def late() -> None:
        await stopped.wait()
        await crew.go(must_not_start)

    async def fails() -> None:
        raise ConnectionError("refused")

    with pytest.raises(ConnectionError) as caught:
        async with Crew(backend) as crew:
            late_one = await crew.go(late)
            crew.context.on_cancel(stopped.set)
            await crew.go(fails)

    assert late_one.state == "cancelled"
    assert "late[0]" in "\n".join(caught.value.__notes__)
