"""map and amap, left early: by break, close, throw, an error of the source; promises 7, 11, 14."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest

import gofer
from gofer import Cancelled, Context, DeadlineExceeded, current_context

from .groups import LONG, cancelling, collected, mapped, must_not_start, same, until


class Holding:
    """A job whose first item ends when some others began, and those when they are cancelled.

    Attributes:
        began, ended: The items of those that have.
        stuck: Whether any was not cancelled for a long time.
    """

    def __init__(self, backend: Any, others: int) -> None:
        self._backend = backend
        self._together = others + 1
        self._barrier = backend.Barrier(self._together)
        self.began: list[int] = []
        self.ended: list[int] = []
        self.stuck = False

    async def work(self, item: int) -> int:
        self.began.append(item)
        try:
            if item < self._together:
                await self._barrier.wait()
            if item:
                await self._backend.until_cancelled(current_context())
            return item
        except AssertionError:
            self.stuck = True
            raise
        finally:
            await self._backend.sleep(0.02)
            self.ended.append(item)

    def has_ended(self) -> bool:
        """Return whether every job that began has ended, and none too late."""
        return sorted(self.began) == sorted(self.ended) and not self.stuck


def holding(backend: Any) -> tuple[Holding, AsyncIterator[Any]]:
    """Return such a job, three others at a time, mapped over an endless source."""
    jobs = Holding(backend, 3)

    async def hold(item: int) -> int:
        return await jobs.work(item)

    return jobs, mapped(backend, hold, itertools.count(), limit=4)


# Left by the consumer


async def test_leaving_the_loop_cancels_and_waits(backend: Any) -> None:
    """Promise 7: when the block of ``aclosing`` has ended, so has every job that began."""
    jobs, mapping = holding(backend)
    async with aclosing(mapping) as results:
        async for result in results:
            assert result == 0
            break

    assert jobs.has_ended()


def test_break_cancels_and_waits_before_the_next_statement() -> None:
    """Promise 7: with a plain ``for``, without any ``with``."""
    began, ended = [], []

    def work(item: int) -> int:
        began.append(item)
        try:
            if item:
                current_context().sleep(LONG)
            return item
        finally:
            ended.append(item)

    for result in gofer.map(work, itertools.count(), limit=4):
        if result == 0:
            break

    assert sorted(began) == sorted(ended)
    assert 0 in ended


def test_an_error_in_the_loops_body_cancels_and_waits() -> None:
    """Promise 7: it comes out as it is, and the jobs have ended by then."""
    began, ended = [], []

    def work(item: int) -> int:
        began.append(item)
        try:
            if item:
                current_context().sleep(LONG)
            return item
        finally:
            ended.append(item)

    error = KeyError("the loop's own")
    try:
        for _ in gofer.map(work, itertools.count(), limit=4):
            raise error
    except KeyError as caught:
        assert caught is error
        assert not hasattr(error, "__notes__")
        error.__traceback__ = None  # the traceback holds the loop, and the loop its iterator

    assert sorted(began) == sorted(ended)


async def test_close_cancels_and_waits_and_may_be_called_again(backend: Any) -> None:
    """Promise 7: afterwards there is nothing more."""
    jobs, results = holding(backend)
    assert await anext(results) == 0
    await results.aclose()
    assert jobs.has_ended()

    await results.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(results)


async def test_throw_cancels_waits_and_raises_what_was_thrown(backend: Any) -> None:
    """Promise 7: the very object."""
    error = KeyError("thrown in")
    jobs, results = holding(backend)
    assert await anext(results) == 0
    with pytest.raises(KeyError) as caught:
        await results.athrow(error)

    assert caught.value is error
    assert jobs.has_ended()
    with pytest.raises(StopAsyncIteration):
        await anext(results)


async def test_a_map_that_is_never_started_does_nothing(backend: Any) -> None:
    """Dropped or closed: no item is pulled, and nobody warns."""

    def source() -> Iterator[int]:
        yield 1
        raise AssertionError("it was pulled")

    mapped(backend, must_not_start, source())
    results = mapped(backend, must_not_start, source())
    await results.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(results)


async def test_leaving_does_not_close_the_callers_source(backend: Any) -> None:
    """An iterator belongs to whoever made it: what is left in it may be used still."""
    source = iter(range(100))
    async with aclosing(mapped(backend, same, source, limit=1)) as results:
        assert await anext(results) == 0

    assert next(source) < 100


# Left by an error of the source


async def test_an_error_of_the_source_cancels_waits_and_comes_out(backend: Any) -> None:
    """Promise 7: it is the caller's own error, and no job's: the same object."""
    jobs, error = Holding(backend, 0), KeyError("the source's own")

    def source() -> Iterator[int]:
        yield from range(1, 4)
        if backend.name != "loop":  # there they cannot begin while the source is asked
            until(lambda: len(jobs.began) == 3)
        raise error

    async def hold(item: int) -> int:
        return await jobs.work(item)

    with pytest.raises(KeyError) as caught:
        await collected(mapped(backend, hold, source(), limit=4))

    assert caught.value is error
    assert jobs.has_ended()


async def test_an_error_of_the_first_pull_comes_out(backend: Any) -> None:
    """There is nothing to wait for then."""

    def source() -> Iterator[int]:
        raise KeyError("the source's own")
        yield

    with pytest.raises(KeyError, match="source"):
        await collected(mapped(backend, must_not_start, source()))


@pytest.mark.parametrize("items", [7, None, must_not_start])
async def test_what_cannot_be_iterated_is_refused_at_once(backend: Any, items: Any) -> None:
    """Promise 16: where the line stands, not at the first result."""
    with pytest.raises(TypeError, match="iterable"):
        mapped(backend, same, items)


def test_an_error_of_an_async_source_cancels_and_waits() -> None:
    """Promise 7: as of a plain one; its own ``finally`` has run."""
    ended: list[str] = []

    async def hold(item: int) -> None:
        try:
            await asyncio.sleep(LONG)
        finally:
            await asyncio.sleep(0.01)
            ended.append(f"job {item}")

    async def source() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.sleep(0.01)
            raise KeyError("the source's own")
        finally:
            ended.append("source")

    async def main() -> None:
        with pytest.raises(KeyError):
            await collected(gofer.amap(hold, source()))

    asyncio.run(main())
    assert ended == ["source", "job 1"]


# 14. Cancelled from outside


@pytest.mark.parametrize("why", ["cancel", "deadline"])
async def test_a_stopped_context_ends_a_map(backend: Any, why: str) -> None:
    """Promise 14: DeadlineExceeded or Cancelled, never one for the other; jobs have ended."""
    jobs = Holding(backend, 0)
    ctx = Context(timeout=0.1 if why == "deadline" else None)

    async def hold(item: int) -> int:
        if len(jobs.began) == 3 and why == "cancel":
            ctx.cancel("enough")
        return await jobs.work(item + 1)

    with pytest.raises(DeadlineExceeded if why == "deadline" else Cancelled) as caught:
        await collected(mapped(backend, hold, itertools.count(), limit=4, ctx=ctx))

    assert isinstance(caught.value, DeadlineExceeded) or caught.value.cause == "enough"
    assert jobs.has_ended()


async def test_a_stopped_context_ends_a_map_between_two_results(backend: Any) -> None:
    """Promise 14: whoever cancels it in the loop's body gets Cancelled from the next ``next``."""
    ctx = Context()
    jobs = Holding(backend, 3)

    async def hold(item: int) -> int:
        return await jobs.work(item)

    with pytest.raises(Cancelled):
        async for result in mapped(backend, hold, itertools.count(), limit=4, ctx=ctx):
            assert result == 0
            ctx.cancel()

    assert jobs.has_ended()


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_cancelled_task_ends_its_amap(kind: str, times: int) -> None:
    """Promise 14: it cancels the jobs, waits, and lets CancelledError out; the count is exact."""
    ended: list[int] = []
    counts: list[int] = []
    cancelled = threading.Event()

    async def main() -> None:
        loop, began = asyncio.get_running_loop(), asyncio.Event()

        async def hold(item: int) -> None:
            began.set()
            try:
                await asyncio.sleep(LONG)
            finally:
                while not cancelled.is_set():
                    await asyncio.sleep(0)
                ended.append(item)

        def hold_in_a_thread(item: int) -> None:
            loop.call_soon_threadsafe(began.set)
            assert cancelled.wait(LONG)
            ended.append(item)

        async def use() -> None:
            try:
                fn: Any = hold if kind == "async" else hold_in_a_thread
                async for _ in gofer.amap(fn, [0]):
                    raise AssertionError("there was a result")
            finally:
                counts.append(cancelling())

        task = asyncio.create_task(use())
        await began.wait()
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        cancelled.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ended == [0]
    assert counts == [times]


def test_a_failing_job_does_not_cancel_what_the_loops_body_awaits() -> None:
    """Promise 14: between two results the caller is on its own; the next ``anext`` tells it."""

    async def main() -> None:
        failed = asyncio.Event()

        async def work(item: int) -> int:
            if item:
                failed.set()
                raise ConnectionError("refused")
            return item

        with pytest.raises(ConnectionError):
            async for _ in gofer.amap(work, range(100), limit=2):
                await failed.wait()
                for _ in range(5):
                    await asyncio.sleep(0)
        assert cancelling() == 0

    asyncio.run(main())
