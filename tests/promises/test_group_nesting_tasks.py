"""Promise 14, for ``AsyncGroup``: a failure and a cancellation at once, and groups in groups."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gofer import AsyncGroup, Cancelled, JobManager, job

from .groups import LONG, cancelling


async def outcome(use: Callable[[], Any]) -> tuple[BaseException | None, int]:
    """Run a function in a task of its own; return what it raised, and its count at the end."""
    count = 0

    async def call() -> None:
        nonlocal count
        try:
            await use()
        finally:
            count = cancelling()

    task = asyncio.current_task()
    assert task is not None
    try:
        await call()
    except BaseException as error:
        for _ in range(count):
            task.uncancel()
        return error, count
    return None, count


# A failure and a cancellation from outside, at the same time


@pytest.mark.parametrize("where", ["block", "go", "exit"])
@pytest.mark.parametrize("first", ["cancel", "failure"])
def test_a_failure_and_a_cancellation_in_one_tick_are_a_cancellation(
    first: str, where: str
) -> None:
    """Promise 14: who has cancelled the task gets its CancelledError, whichever came first."""

    async def use() -> None:
        task = asyncio.current_task()
        assert task is not None

        async def both() -> None:
            await asyncio.sleep(0)
            if first == "cancel":
                task.cancel()
            else:
                asyncio.get_running_loop().call_soon(task.cancel)
            raise ConnectionError("refused")

        async with AsyncGroup(limit=2) as group:
            await group.go(both)
            await group.go(asyncio.sleep, LONG)
            if where == "block":
                await asyncio.sleep(LONG)
            if where == "go":
                await group.go(asyncio.sleep, LONG)

    error, count = asyncio.run(outcome(use))

    assert isinstance(error, asyncio.CancelledError)
    assert count == 1


def test_a_job_that_cancels_the_blocks_task_is_somebody_from_outside() -> None:
    """Promise 14: the request is not the group's, so the group does not take it back."""

    async def use() -> None:
        task = asyncio.current_task()
        assert task is not None

        async def cancels() -> None:
            task.cancel("by a job")

        async with AsyncGroup() as group:
            await group.go(cancels)
            await asyncio.sleep(LONG)

    error, count = asyncio.run(outcome(use))

    assert isinstance(error, asyncio.CancelledError)
    assert count == 1


def test_earlier_requests_are_left_as_they_are() -> None:
    """Promise 14: a group in a task that was cancelled before takes back its own request only."""

    async def use() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            pass

        async def fails() -> None:
            raise ConnectionError("refused")

        async with AsyncGroup() as group:
            await group.go(fails)
            await asyncio.sleep(LONG)

    error, count = asyncio.run(outcome(use))

    assert isinstance(error, ConnectionError)
    assert count == 1


# Groups in groups


@pytest.mark.parametrize("who", ["inner", "outer", "both"])
@pytest.mark.parametrize("where", ["block", "exit"])
def test_a_failure_in_nested_groups_comes_out_alone(who: str, where: str) -> None:
    """Promise 14: the group whose job failed raises it; those around end, and nothing is left."""
    ended: list[str] = []

    async def hold(name: str) -> None:
        try:
            await asyncio.sleep(LONG)
        finally:
            await asyncio.sleep(0.01)
            ended.append(name)

    async def use() -> None:
        go = asyncio.Event()

        async def fails(name: str) -> None:
            await go.wait()
            raise ConnectionError(name)

        async with AsyncGroup() as outer:
            await outer.go(hold, "outer")
            async with AsyncGroup() as inner:
                await inner.go(hold, "inner")
                for group, name in ((inner, "inner"), (outer, "outer")):
                    if who in (name, "both"):
                        await group.go(fails, name)
                asyncio.get_running_loop().call_later(0.01, go.set)
                if where == "block":
                    await asyncio.sleep(LONG)
            raise AssertionError("the outer block went on")

    error, count = asyncio.run(outcome(use))

    assert isinstance(error, ConnectionError)
    assert error.args[0] in (("inner", "outer") if who == "both" else (who,))
    assert count == 0
    assert sorted(ended) == ["inner", "outer"]


@pytest.mark.parametrize("depth", range(1, 6))
def test_a_cancellation_ends_nested_groups_from_the_inside(depth: int) -> None:
    """Promise 14: each waits for its jobs before the one around it ends; the count is 1."""
    ended: list[int] = []

    async def hold(level: int) -> None:
        try:
            await asyncio.sleep(LONG)
        finally:
            await asyncio.sleep(0.005)

    async def nest(level: int) -> None:
        try:
            async with AsyncGroup() as group:
                await group.go(hold, level)
                if level < depth:
                    await nest(level + 1)
                await asyncio.sleep(LONG)
        finally:
            ended.append(level)

    async def use() -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_later(0.02, task.cancel)
        await nest(1)

    error, count = asyncio.run(outcome(use))

    assert isinstance(error, asyncio.CancelledError)
    assert count == 1
    assert ended == list(range(depth, 0, -1))


@pytest.mark.parametrize("who", ["inner", "outer"])
def test_asyncios_groups_and_gofers_nest(who: str) -> None:
    """Promise 14: either may be the inner one; each keeps the other's count right."""

    async def fails(go: asyncio.Event) -> None:
        await go.wait()
        raise ConnectionError("refused")

    async def ours_inside() -> None:
        go = asyncio.Event()
        async with asyncio.TaskGroup() as outer, AsyncGroup() as inner:
            if who == "inner":
                await inner.go(fails, go)
            else:
                outer.create_task(fails(go))
            await inner.go(asyncio.sleep, LONG)
            go.set()
            await asyncio.sleep(LONG)

    async def ours_around() -> None:
        go = asyncio.Event()
        async with AsyncGroup() as outer, asyncio.TaskGroup() as inner:
            if who == "inner":
                inner.create_task(fails(go))
            else:
                await outer.go(fails, go)
            inner.create_task(asyncio.sleep(LONG))
            go.set()
            await asyncio.sleep(LONG)

    for use in (ours_inside, ours_around):
        error, count = asyncio.run(outcome(use))
        alone = use is ours_around and who == "outer"
        assert isinstance(error, ConnectionError if alone else ExceptionGroup)
        assert count == 0


def test_a_managers_run_in_the_block_is_cancelled_by_a_failure() -> None:
    """Promise 14: what the block awaits may be an execution; its jobs are awaited, too."""
    ended = []

    @job
    async def hold() -> None:
        try:
            await asyncio.sleep(LONG)
        finally:
            await asyncio.sleep(0.01)
            ended.append("hold")

    async def use() -> None:
        async def fails() -> None:
            raise ConnectionError("refused")

        async with AsyncGroup() as group:
            asyncio.get_running_loop().call_later(0.01, group.try_go, fails)
            await JobManager([hold]).aexecute()

    error, count = asyncio.run(outcome(use))

    assert isinstance(error, ConnectionError)
    assert count == 0
    assert ended == ["hold"]


def test_a_context_may_cancel_many_groups_at_once() -> None:
    """Promise 14: each raises Cancelled, and takes its own request back."""

    async def use() -> None:
        async with AsyncGroup() as outer:
            asyncio.get_running_loop().call_later(0.01, outer.context.cancel, "enough")
            async with AsyncGroup(outer.context) as inner:
                await inner.go(asyncio.sleep, LONG)
                await outer.go(asyncio.sleep, LONG)
                await asyncio.sleep(LONG)

    error, count = asyncio.run(outcome(use))

    assert isinstance(error, Cancelled)
    assert error.cause == "enough"
    assert count == 0
