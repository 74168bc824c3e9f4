"""map and amap: lazy, ordered, bounded; promises 1, 2, 5 and 6 for them."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import subprocess
import sys
import textwrap
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

import gofer
from gofer import Context, JobManager, RunningLoopError, current_context

from .groups import FREED_LATER, collected, mapped, must_not_start, same, until

AHEAD = 8
"""How many items may be pulled ahead beyond the limit."""


class Source:
    """Counts its items as they are pulled.

    Attributes:
        pulled: How many have been.
    """

    def __init__(self, items: Any) -> None:
        self._items = iter(items)
        self.pulled = 0

    def __iter__(self) -> Iterator[Any]:
        for item in self._items:
            self.pulled += 1
            yield item


# Lazy


async def test_a_map_does_nothing_before_the_first_result_is_asked_for(backend: Any) -> None:
    """Neither an item is pulled nor a job started."""
    source = Source(range(3))
    results = mapped(backend, same, source)
    assert source.pulled == 0

    assert await collected(results) == [0, 1, 2]


@pytest.mark.parametrize("limit", [1, 2, 8])
async def test_an_endless_source_is_never_far_ahead(backend: Any, limit: int) -> None:
    """At each moment at most ``limit`` + 8 items have been pulled and not been given back."""
    source, given, ahead = Source(itertools.count()), 0, []

    async def note(item: int) -> int:
        ahead.append(source.pulled - given)
        return item

    async with aclosing(mapped(backend, note, source, limit=limit)) as results:
        async for result in results:
            assert result == given
            given += 1
            ahead.append(source.pulled - given)
            if given == 200:
                break

    assert max(ahead) <= limit + AHEAD


@pytest.mark.parametrize("limit", [1, 2, 8])
async def test_a_slow_first_job_does_not_let_the_source_run_away(backend: Any, limit: int) -> None:
    """While the first result is waited for, the others go on, but never further than that."""
    source, ended = Source(itertools.count()), []

    async def work(item: int) -> int:
        if item == 0:
            await backend.eventually(lambda: len(ended) >= limit - 1)
            await backend.sleep(0.02)
        ended.append(item)
        return item

    async with aclosing(mapped(backend, work, source, limit=limit)) as results:
        assert await anext(results) == 0
        assert source.pulled <= limit + AHEAD


# Ordered


async def test_results_come_in_the_order_of_the_items(backend: Any) -> None:
    """Also of jobs that end in the reverse order."""
    events = [backend.Event() for _ in range(33)]
    events[32].set()
    ended = []

    async def work(item: int) -> int:
        await events[item + 1].wait()
        ended.append(item)
        events[item].set()
        return -item

    assert await collected(mapped(backend, work, range(32))) == [-item for item in range(32)]
    assert ended == list(range(31, -1, -1))


async def test_a_result_is_there_as_soon_as_its_job_has_ended(backend: Any) -> None:
    """It does not wait for later jobs, which here wait for its being handed out."""
    seen: list[Any] = [backend.Event() for _ in range(11)]

    async def work(item: int) -> int:
        if item:
            await seen[item - 1].wait()
        return item

    async for result in mapped(backend, work, range(10), limit=4):
        seen[result].set()

    assert all(event.is_set() for event in seen[:10])


@pytest.mark.parametrize("backend", ["threads", "background", "mixed"], indirect=True)
async def test_what_is_ready_is_handed_out_before_another_item_is_pulled(backend: Any) -> None:
    """A slow source does not hold back the results that are there already.

    Not with async jobs on the very loop that a plain source blocks when it waits for them.
    """
    ended: list[int] = []
    given: list[int] = []

    async def work(item: int) -> int:
        ended.append(item)
        return item

    def source() -> Iterator[int]:
        for item in range(20):
            yield item
            until(lambda item=item: item in ended)
            # The one before was done when this item came, so it has been handed out.
            assert len(given) >= item

    async for result in mapped(backend, work, source(), limit=2):
        given.append(result)

    assert given == list(range(20))


def test_the_caller_of_map_never_gets_stuck_in_a_younger_job() -> None:
    """It may run the job whose result it wants; another thread has just taken that one here.

    That thread is held up in the moment between taking the job and beginning it, by a system that
    is slow to start the next thread.
    """
    source = Path(gofer.__file__).parents[1]
    program = f"""
        import sys, threading
        sys.path.insert(0, {str(source)!r})
        import gofer
        from gofer import _parts

        both, second, consumed = threading.Event(), threading.Event(), threading.Event()
        started = 0

        def start_thread(thread):
            global started
            started += 1
            if started == 1:  # begins when both items have come
                run = thread.run
                thread.run = lambda: (both.wait(), run())
            else:
                second.set()
                consumed.wait(10)
            thread.start()

        _parts.start_thread = start_thread

        def source():
            yield 0
            yield 1
            both.set()
            second.wait(10)

        def work(item):
            if item:
                assert consumed.wait(5), "the first result was there, and not handed out"
            return item

        for result in gofer.map(work, source(), limit=2):
            consumed.set()
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.stderr == ""


# Bounded


@pytest.mark.parametrize("count", [2, 100, 1000])
async def test_items_that_wait_for_each_other_all_end(backend: Any, count: int) -> None:
    """Promise 1: as many as the limit says run at once."""
    barrier = backend.Barrier(count)

    async def meet(item: int) -> int:
        await barrier.wait()
        return item

    results = await collected(mapped(backend, meet, range(count), limit=count))
    assert results == list(range(count))


@pytest.mark.parametrize("limit", [1, 2, 8])
async def test_a_maps_limit_is_reached_and_never_exceeded(backend: Any, limit: int) -> None:
    """Promise 1: the thread that asks for results counts, too, when it works itself."""
    barrier, gauge = backend.Barrier(limit), backend.Gauge()

    async def meet(item: int) -> None:
        with gauge:
            await barrier.wait()

    await collected(mapped(backend, meet, range(10 * limit), limit=limit))

    assert (gauge.most, gauge.total) == (limit, 10 * limit)


@pytest.mark.parametrize("count", [50_000, pytest.param(200_000, marks=pytest.mark.slow)])
async def test_a_map_does_not_grow_with_what_it_has_given(backend: Any, count: int) -> None:
    """The memory is that of the items in flight: below 4 bytes for each that has been."""
    seen, before, after = 0, 0, 0
    tracemalloc.start()
    try:
        async for result in mapped(backend, same, range(2000 + count), limit=50):
            assert result == seen
            seen += 1
            if seen == 2000:
                before, _ = tracemalloc.get_traced_memory()
            if seen == 2000 + count:
                after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 0 < after < before + 4 * count + FREED_LATER


# Anything is an item, any iterable a source


@pytest.mark.parametrize("items", [[], (), {}, "", iter([])])
async def test_a_map_over_nothing_gives_nothing(backend: Any, items: Any) -> None:
    """It ends at once."""
    assert await collected(mapped(backend, must_not_start, items)) == []


async def test_any_iterable_is_a_source(backend: Any) -> None:
    """Lists, sets, dicts, strings, generators, files; items are handed over as they are."""
    assert await collected(mapped(backend, same, "abc")) == ["a", "b", "c"]
    assert await collected(mapped(backend, same, {1: 2, 3: 4})) == [1, 3]
    assert await collected(mapped(backend, same, ((i, i) for i in range(2)))) == [(0, 0), (1, 1)]
    assert await collected(mapped(backend, same, [None, ..., ()])) == [None, ..., ()]


def test_amap_takes_async_iterables() -> None:
    """Async generators, and objects that have ``__aiter__`` alone."""

    class Countdown:
        def __aiter__(self) -> AsyncIterator[int]:
            return self.down()

        async def down(self) -> AsyncIterator[int]:
            for item in (2, 1, 0):
                await asyncio.sleep(0)
                yield item

    async def main() -> None:
        assert await collected(gofer.amap(same, Countdown())) == [2, 1, 0]
        assert await collected(gofer.amap(same, Countdown().down())) == [2, 1, 0]
        assert await collected(gofer.amap(str, Countdown())) == ["2", "1", "0"]

    asyncio.run(main())


# 2, 5 and 6


def test_a_map_in_a_running_loop_is_refused() -> None:
    """Promise 2: it would block the loop; the message has ``amap``. Nothing has started."""

    async def main() -> None:
        with pytest.raises(RunningLoopError, match="amap"):
            next(iter(gofer.map(must_not_start, range(3))))

    asyncio.run(main())


@pytest.mark.parametrize("limit", [1, 2, 32])
async def test_maps_in_jobs_of_maps_never_deadlock(backend: Any, limit: int) -> None:
    """Promise 5: five levels deep, three items each, at every limit."""

    async def total(depth: int) -> int:
        if not depth:
            return 1
        return sum(await collected(mapped(backend, total, [depth - 1] * 3, limit=limit)))

    assert await collected(mapped(backend, total, [5], limit=limit)) == [3**5]


async def test_maps_in_jobs_of_a_manager_take_its_context(backend: Any) -> None:
    """Promise 5: and so do the jobs of the map: values come through, without being told."""

    async def value(item: int) -> Any:
        ctx = current_context()
        return ctx and ctx.value("user") + item

    async def outer() -> list[Any]:
        return await collected(mapped(backend, value, range(3), limit=1))

    manager = JobManager([backend.job(outer)], limit=1)
    run = await backend.execute(manager, Context(values={"user": 7}))

    assert run["outer"] == [7, 8, 9]


number: contextvars.ContextVar[int] = contextvars.ContextVar("number", default=0)


async def test_jobs_of_a_map_see_context_variables_and_keep_their_own(backend: Any) -> None:
    """Promise 6: also where the thread that asks for results runs a job itself."""

    async def change(item: int) -> int:
        seen = number.get()
        number.set(100)
        return seen

    number.set(7)
    results = []
    async for result in mapped(backend, change, range(100), limit=3):
        results.append(result)
        assert number.get() == 7
        assert current_context() is None  # between two results the caller is in no job

    assert results == [7] * 100
