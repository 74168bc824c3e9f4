"""map and amap, with jobs that fail; promises 8 to 11 and 15, and ``check=False``."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

import gofer
from gofer import (
    Cancelled,
    JobDefinitionError,
    JobHandle,
    JobPanic,
    LimitError,
    NotAwaitedError,
    current_context,
)

from .groups import collected, mapped, must_not_start, notes, same

# A failure ends it


async def test_the_first_failure_is_raised_by_the_next_next(backend: Any) -> None:
    """Promises 8 and 9: the job's own object, with a note that names it, also while others run."""
    error, others = ConnectionError("refused"), backend.Barrier(3)

    async def fetch(item: int) -> int:
        if item == 17:
            await others.wait()
            raise error
        if item > 17:
            await others.wait()
            await backend.until_cancelled(current_context())
        return item

    given = []
    with pytest.raises(ConnectionError) as caught:
        async for result in mapped(backend, fetch, itertools.count(), limit=3):
            given.append(result)

    assert given == list(range(17))
    assert caught.value is error
    assert "job 'fetch[17]' failed" in notes(error)
    assert caught.value.__context__ is None


async def test_a_failure_further_on_is_raised_though_the_first_result_is_not_there(
    backend: Any,
) -> None:
    """Promise 11: the job whose result is waited for is cancelled and has ended by then."""
    ready, ended = backend.Event(), []

    async def fetch(item: int) -> int:
        if item == 1:
            await ready.wait()
            raise ConnectionError("refused")
        ready.set()
        try:
            await backend.until_cancelled(current_context())
        finally:
            await backend.sleep(0.02)
            ended.append(item)
        return item

    with pytest.raises(ConnectionError) as caught:
        await collected(mapped(backend, fetch, [0, 1], limit=2))

    assert ended == [0]
    assert "job 'fetch[1]' failed" in notes(caught.value)
    assert "cancelled: fetch[0]" in notes(caught.value)


async def test_nothing_starts_and_nothing_is_pulled_after_a_failure(backend: Any) -> None:
    """Promise 11: what had been pulled ahead is named as not started."""
    pulled = []

    def source() -> Iterator[int]:
        for item in itertools.count():
            pulled.append(item)
            yield item

    async def fetch(item: int) -> int:
        if item:
            await must_not_start()
        await backend.eventually(lambda: len(pulled) > 3)
        raise ConnectionError("refused")

    if backend.name in ("threads", "mixed"):  # on a loop the source is not pulled meanwhile
        with pytest.raises(ConnectionError) as caught:
            await collected(mapped(backend, fetch, source(), limit=1))
        assert "not started: fetch[1], fetch[2]" in notes(caught.value)
        assert len(pulled) <= 1 + 8


async def test_after_the_failure_the_iterator_has_ended(backend: Any) -> None:
    """As any generator that has raised."""

    async def fails(item: int) -> None:
        raise ConnectionError("refused")

    results = mapped(backend, fails, range(3))
    with pytest.raises(ConnectionError):
        await anext(results)
    with pytest.raises(StopAsyncIteration):
        await anext(results)


async def test_the_first_failure_wins_in_100_racing_maps(backend: Any) -> None:
    """Promise 8: it is the first in time, whatever the others raise when they are cancelled."""

    async def race(item: int) -> None:
        if item == first:
            await barrier.wait()
            raise ConnectionError("first")
        try:
            await barrier.wait()
            await backend.until_cancelled(current_context())
        finally:
            raise RuntimeError("on the way out")

    for round_ in range(100):
        barrier, first = backend.Barrier(6), round_ % 6
        with pytest.raises(ConnectionError, match="first"):
            await collected(mapped(backend, race, range(6), limit=6))


PANICS = [SystemExit, GeneratorExit, asyncio.CancelledError, Cancelled]


@pytest.mark.parametrize("kind", PANICS)
async def test_a_panic_in_a_map_becomes_a_job_panic(
    backend: Any, kind: type[BaseException]
) -> None:
    """Promise 10: nothing of it is taken for the end of the iteration or of the program."""

    async def panics(item: int) -> None:
        raise kind("out of order")

    with pytest.raises(JobPanic) as caught:
        await collected(mapped(backend, panics, range(3), limit=1))

    assert caught.value.job == "panics[0]"
    assert type(caught.value.__cause__) is kind


def test_stop_iteration_in_a_job_does_not_end_the_map() -> None:
    """Promise 10: unlike with the built-in map, where results would be lost in silence."""

    def work(item: int) -> int:
        return next(iter([item] if item < 3 else []))

    with pytest.raises(JobPanic, match=r"work\[3\]"):
        list(gofer.map(work, range(10), limit=1))


def test_an_async_function_in_disguise_is_an_error() -> None:
    """Promise 18: ``lambda`` hides that ``fetch`` is async; it says so, and nothing is left."""

    async def fetch(item: int) -> None:
        raise AssertionError("it ran")

    with pytest.raises(NotAwaitedError, match="is it async"):
        list(gofer.map(lambda item: fetch(item), range(3)))


async def test_a_maps_failure_is_logged_when_it_happens(backend: Any, log: Any) -> None:
    """Promise 15: before anybody asks for that result."""

    async def fetch(item: int) -> int:
        if item == 1:
            raise ConnectionError("refused")
        await backend.eventually(lambda: log.messages)
        return item

    with pytest.raises(ConnectionError):
        await collected(mapped(backend, fetch, range(2), limit=2))

    assert log.messages == ["job 'fetch[1]' failed: ConnectionError: refused"]


# With check=False


async def test_check_false_lists_exactly_what_failed(backend: Any) -> None:
    """One handle for each item, in order; a failure stops nothing."""

    async def fetch(item: int) -> int:
        if item % 7 == 3:
            raise ConnectionError(item)
        return -item

    handles = await collected(mapped(backend, fetch, range(1000), limit=20, check=False))

    assert [handle.args for handle in handles] == [(item,) for item in range(1000)]
    assert [handle.name for handle in handles] == [f"fetch[{item}]" for item in range(1000)]
    failed = [handle for handle in handles if not handle.ok]
    assert [handle.args[0] for handle in failed] == [i for i in range(1000) if i % 7 == 3]
    assert [handle.error.args for handle in failed] == [handle.args for handle in failed]
    assert {handle.state for handle in failed} == {"failed"}
    assert all(handle.done for handle in handles)
    assert [handle.result() for handle in handles if handle.ok] == [
        -item for item in range(1000) if item % 7 != 3
    ]


async def test_check_false_hands_out_panics_too(backend: Any) -> None:
    """Promise 10: as JobPanic, in the handle; the rest is tried."""

    async def panics(item: int) -> int:
        if item == 1:
            raise SystemExit(3)
        return item

    handles = await collected(mapped(backend, panics, range(3), check=False))

    assert [handle.ok for handle in handles] == [True, False, True]
    assert isinstance(handles[1].error, JobPanic)


async def test_check_false_handles_are_handed_out_when_they_have_ended(backend: Any) -> None:
    """None is ready or running, and an endless source is no more ahead than otherwise."""

    async def work(item: int) -> int:
        if item % 2:
            raise ConnectionError(item)
        return item

    count = 0
    async for handle in mapped(backend, work, itertools.count(), limit=4, check=False):
        assert isinstance(handle, JobHandle)
        assert handle.state == ("failed" if count % 2 else "succeeded")
        count += 1
        if count == 200:
            break


async def test_check_false_still_raises_what_is_no_jobs_failure(backend: Any) -> None:
    """An error of the source, a cancelled context, KeyboardInterrupt."""

    def source() -> Iterator[int]:
        yield 1
        raise KeyError("the source's own")

    async def cancels(item: int) -> None:
        ctx = current_context()
        assert ctx is not None
        ctx.cancel("enough")

    async def interrupts(item: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyError):
        await collected(mapped(backend, same, source(), check=False))
    with pytest.raises(Cancelled):
        await collected(mapped(backend, cancels, itertools.count(), check=False))
    with pytest.raises(KeyboardInterrupt):
        await collected(mapped(backend, interrupts, range(3), check=False))


# Refused


BAD_LIMITS = [0, -1, 1.5, float("nan"), "8", True, None]


@pytest.mark.parametrize("limit", BAD_LIMITS)
async def test_a_maps_bad_limit_is_refused_at_once(backend: Any, limit: Any) -> None:
    """Promise 16: None as well, as without a limit an endless source would never be left alone."""
    with pytest.raises(LimitError, match="at least 1"):
        mapped(backend, same, [], limit=limit)


async def test_what_a_map_cannot_call_is_refused_at_once(backend: Any) -> None:
    """Promise 16: arguments in the wrong order, a called function, a generator function."""

    async def fetch() -> None:
        await must_not_start()

    def generates(item: int) -> Iterator[int]:
        yield item

    with pytest.raises(JobDefinitionError, match=r"map\(fetch, urls\)"):
        mapped(backend, [1, 2, 3], same)
    with pytest.raises(JobDefinitionError, match=r"map\(fetch, urls\)"):
        mapped(backend, fetch(), [1, 2, 3])
    for make in (gofer.map, gofer.amap):
        with pytest.raises(JobDefinitionError, match="generator function"):
            make(generates, [1, 2, 3])
