"""A group and a map on every backend: what their tests share.

A ``Crew`` is a ``Group`` or an ``AsyncGroup``, whichever the backend has, always under
``async with``; ``mapped`` is ``gofer.map`` or ``gofer.amap``, always as an async iterator. As with
the fixture ``backend``, a test is an ``async def``; where the backend does not await, its waits
block. What a test hands to ``go`` is an async function, or a plain one that waits for nothing; it
becomes one of the backend's kind.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self

import gofer
from gofer import _parts

LONG = 30.0
"""Seconds that only a hang takes."""

FREED_LATER = 0 if _parts.HAS_GIL else 4_000_000
"""Bytes that may be left besides: without a GIL a thread frees tables of dicts by the hundred."""


class Crew:
    """A group of the backend's kind.

    Attributes:
        group: The ``Group`` or ``AsyncGroup`` itself.
    """

    def __init__(self, backend: Any, *args: Any, **kwargs: Any) -> None:
        self.backend = backend
        self.group = (gofer.AsyncGroup if backend.awaits else gofer.Group)(*args, **kwargs)

    async def __aenter__(self) -> Self:
        if isinstance(self.group, gofer.AsyncGroup):
            await self.group.__aenter__()
        else:
            self.group.__enter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        try:
            if isinstance(self.group, gofer.AsyncGroup):
                return await self.group.__aexit__(kind, error, trace)
            return self.group.__exit__(kind, error, trace)
        finally:
            del error, trace

    @property
    def context(self) -> gofer.Context:
        """The jobs' context."""
        return self.group.context

    async def go(self, fn: Any, /, *args: Any, **kwargs: Any) -> gofer.JobHandle[Any]:
        """Add a job the way that is right here: in the block, or in a job of the group."""
        if isinstance(self.group, gofer.Group) or asyncio._get_running_loop() is not None:
            return await self.go_as_it_is(as_is_right(self.backend, fn), *args, **kwargs)
        handle = self.try_go(fn, *args, **kwargs)  # a plain job cannot await, and need not
        assert handle is not None, "a job of the group was refused by its own limit"
        return handle

    async def go_as_it_is(self, fn: Any, /, *args: Any, **kwargs: Any) -> gofer.JobHandle[Any]:
        """Add a job of whatever kind it is, in the block."""
        if isinstance(self.group, gofer.AsyncGroup):
            return await self.group.go(fn, *args, **kwargs)
        return self.group.go(fn, *args, **kwargs)

    def try_go(self, fn: Any, /, *args: Any, **kwargs: Any) -> gofer.JobHandle[Any] | None:
        """Add a job of the backend's kind, if it finds a place."""
        return self.group.try_go(as_is_right(self.backend, fn), *args, **kwargs)


def as_is_right(backend: Any, fn: Any) -> Any:
    """Return a function of the backend's kind; anything else as it is."""
    return backend.job(fn, name="any").fn if inspect.isfunction(fn) else fn


async def same(item: Any) -> Any:
    """Return what was given."""
    return item


def mapped(backend: Any, fn: Any, items: Any, **options: Any) -> AsyncIterator[Any]:
    """Map a function over items the way that is right here: in a test, or in a job."""
    fn = as_is_right(backend, fn)
    if asyncio._get_running_loop() is not None:
        return gofer.amap(fn, items, **options)
    return Walk(gofer.map(fn, items, **options))


class Walk:
    """A plain iterator as an async one that never suspends."""

    def __init__(self, items: Any) -> None:
        self._items = items

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self._items)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        """Close it."""
        self._items.close()

    async def athrow(self, error: BaseException) -> Any:
        """Raise an error where it stands."""
        try:
            return self._items.throw(error)
        except StopIteration:
            raise StopAsyncIteration from None


async def collected(results: AsyncIterator[Any]) -> list[Any]:
    """Return all results as a list."""
    return [result async for result in results]


async def nothing(*_: object) -> None:
    """Do nothing, with whatever it is given."""


async def must_not_start(*_: object) -> None:
    """Fail whatever it was added to."""
    raise AssertionError("a job started that must not")


def notes(error: BaseException) -> str:
    """Return all notes of an error as one text."""
    return "\n".join(getattr(error, "__notes__", []))


def until(condition: Callable[[], object]) -> None:
    """Block until something holds that nobody announces; fail where that takes for ever."""
    give_up = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < give_up, "it never came true"
        time.sleep(0.001)


def cancelling() -> int:
    """Return how many cancellations of the running task are asked for."""
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()
