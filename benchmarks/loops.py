"""The cases from a running event loop: async jobs, and blocking ones that must not block it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from benchmarks.blocking import noop
from benchmarks.measure import Case, Peer, Side, Timed, on_loop
from gofer import JobManager, job

Async = Callable[[Any, Any], Awaitable[None]]


async def yielding(ctx: Any, param: Any) -> None:  # noqa: ARG001 - jobs take what a run gives
    """Let others run once."""
    await asyncio.sleep(0)


async def never_blocks(ctx: Any, param: Any) -> None:
    """Return at once, as a hit in a cache does."""


def gofer(fn: Callable[..., object], count: int) -> Side:
    """Return the side that awaits a manager of ``count`` jobs."""
    manager = JobManager([job(fn, name=f"j{i}") for i in range(count)])
    return partial(on_loop, manager.aexecute)


def task_group(fn: Any, count: int) -> Side:
    """Return the side of ``asyncio.TaskGroup``."""

    async def work() -> list[object]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(fn(None, None)) for _ in range(count)]
        return [task.result() for task in tasks]

    return partial(on_loop, work)


def eager_task_group(fn: Any, count: int) -> Side:
    """Return the side of ``asyncio.TaskGroup`` in a loop whose tasks start eagerly."""

    async def work() -> list[object]:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(fn(None, None)) for _ in range(count)]
        return [task.result() for task in tasks]

    return partial(on_loop, work)


def gather(fn: Async, count: int) -> Side:
    """Return the side of ``asyncio.gather``."""

    async def work() -> list[None]:
        return await asyncio.gather(*[fn(None, None) for _ in range(count)])

    return partial(on_loop, work)


def anyio(count: int, *, threads: bool = False) -> Side:
    """Return the side of anyio's task group, on asyncio; its jobs are async, or go to threads."""

    @contextmanager
    def side() -> Iterator[Timed]:
        from anyio import create_task_group, to_thread

        fn: Any = partial(to_thread.run_sync, noop) if threads else yielding

        async def work() -> None:
            async with create_task_group() as group:
                for _ in range(count):
                    group.start_soon(fn, None, None)

        with on_loop(work) as timed:
            yield timed

    return side


def trio(count: int, *, threads: bool = False) -> Side:
    """Return the side of trio's nursery, in a loop of its own; async jobs, or jobs in threads."""

    @contextmanager
    def side() -> Iterator[Timed]:
        import trio

        async def yielding(ctx: Any, param: Any) -> None:  # noqa: ARG001
            await trio.lowlevel.checkpoint()

        fn: Any = partial(trio.to_thread.run_sync, noop) if threads else yielding

        async def once() -> None:
            async with trio.open_nursery() as nursery:
                for _ in range(count):
                    nursery.start_soon(fn, None, None)

        async def work(number: int) -> float:
            await once()
            start = time.perf_counter()
            for _ in range(number):
                await once()
            return time.perf_counter() - start

        yield lambda number: trio.run(work, number)

    return side


def run_in_executor(count: int) -> Side:
    """Return the side of ``loop.run_in_executor`` with the loop's own pool."""

    async def work() -> list[None]:
        run = asyncio.get_running_loop().run_in_executor
        return await asyncio.gather(*[run(None, noop, None, None) for _ in range(count)])

    return partial(on_loop, work)


def _blocking(count: int, target: float) -> tuple[Peer, ...]:
    return (
        Peer("loop.run_in_executor", run_in_executor(count), target),
        Peer("asyncio.to_thread", gather(partial(asyncio.to_thread, noop), count)),
        Peer("anyio.to_thread", anyio(count, threads=True)),
        Peer("trio.to_thread", trio(count, threads=True)),
    )


def _async(count: int, target: float) -> tuple[Peer, ...]:
    return (
        Peer("asyncio.TaskGroup", task_group(yielding, count), target),
        Peer("asyncio.gather", gather(yielding, count)),
        Peer("anyio, task group", anyio(count)),
        Peer("trio, nursery", trio(count)),
    )


def cases() -> list[Case]:
    """Return the cases."""
    eager = sys.version_info >= (3, 12)
    never = [
        Peer("asyncio.TaskGroup", task_group(never_blocks, 1000), 0.5 if eager else None),
        Peer("asyncio.gather", gather(never_blocks, 1000)),
    ]
    if eager:
        never.append(Peer("asyncio.TaskGroup, eager", eager_task_group(never_blocks, 1000)))
    return [
        Case("1,000 async jobs, sleep(0)", gofer(yielding, 1000), _async(1000, 1.0), per=1000),
        Case(
            "1,000 async jobs that never block",
            gofer(never_blocks, 1000),
            tuple(never),
            per=1000,
        ),
        Case("8 async jobs, the whole aexecute", gofer(yielding, 8), _async(8, 1.1)),
        Case(
            "1,000 blocking jobs from a running loop",
            gofer(noop, 1000),
            _blocking(1000, 0.05),
            per=1000,
        ),
        Case("8 blocking jobs from a running loop", gofer(noop, 8), _blocking(8, 0.4)),
    ]
