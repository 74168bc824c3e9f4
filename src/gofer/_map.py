"""map and amap: one function over many items, lazy, ordered and bounded."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterable,
    Iterator,
)

from gofer._core.states import SUCCEEDED
from gofer._crew import JobHandle, lane_of
from gofer._group import AsyncGroup, Group
from gofer.backends.threads import wait, work
from gofer.errors import LimitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any, Literal, TypeVar, overload

    from gofer._context import Context
    from gofer.backends import Backend

    T = TypeVar("T")
    R = TypeVar("R")
else:
    from gofer._job import overload

_AHEAD = 8
"""Items that are pulled ahead beyond the limit, so that a thread that ends one finds the next."""


@overload
def map(
    fn: Callable[[T], Coroutine[Any, Any, R]],
    items: Iterable[T],
    *,
    limit: int = ...,
    ctx: Context | None = None,
    name: str | None = None,
    progress: bool = False,
    backend: str | Backend | None = None,
    check: Literal[True] = True,
) -> Generator[R, None, None]: ...
@overload
def map(
    fn: Callable[[T], R],
    items: Iterable[T],
    *,
    limit: int = ...,
    ctx: Context | None = None,
    name: str | None = None,
    progress: bool = False,
    backend: str | Backend | None = None,
    check: Literal[True] = True,
) -> Generator[R, None, None]: ...
@overload
def map(
    fn: Callable[[T], Coroutine[Any, Any, R]],
    items: Iterable[T],
    *,
    limit: int = ...,
    ctx: Context | None = None,
    name: str | None = None,
    progress: bool = False,
    backend: str | Backend | None = None,
    check: Literal[False],
) -> Generator[JobHandle[R], None, None]: ...
@overload
def map(
    fn: Callable[[T], R],
    items: Iterable[T],
    *,
    limit: int = ...,
    ctx: Context | None = None,
    name: str | None = None,
    progress: bool = False,
    backend: str | Backend | None = None,
    check: Literal[False],
) -> Generator[JobHandle[R], None, None]: ...
def map(
    fn: Any,
    items: Any,
    *,
    limit: int = 32,
    ctx: Context | None = None,
    name: str | None = None,
    progress: bool = False,
    backend: str | Backend | None = None,
    check: bool = True,
) -> Generator[Any, None, None]:
    """Call ``fn`` with each item, ``limit`` at a time, and give the results in the items' order.

    Nothing happens before the first ``next()``. At most ``limit`` items and a few more are pulled
    ahead, so ``items`` may be endless. Leaving the loop early cancels the rest and waits for it.

    Args:
        fn: A function of one item; a sync one runs in threads, the calling one among them, an
            async one on the background loop.
        items: What to call it with; pulled in the calling thread.
        limit: How many run at once.
        ctx: Cancellation, deadline and values, as for ``Group``.
        name: What errors call the whole.
        progress: Whether to show on a terminal how far it is, as ``JobManager.execute`` does; where
            ``len(items)`` is known, with the time that is left.
        backend: Where ``fn`` runs, as for ``Group``; small calls travel several at a time.
        check: Whether the first failure ends it all. If not, every item is tried, and the iterator
            gives a ``JobHandle`` for each: ``handle.ok``, ``handle.error``, ``handle.args[0]``.

    Returns:
        A generator.

    Raises:
        BaseException: From ``next()``: the first error of a job, the own object, with a note that
            names it, such as ``fetch[17]`` for the item 17.
        LimitError, JobDefinitionError: At once.

    Example:
        >>> list(map(abs, [-1, 2, -3]))
        [1, 2, 3]
        >>> [h.args[0] for h in map(int, ["1", "x", "3"], check=False) if not h.ok]
        ['x']
    """
    group = Group(ctx, limit=limit, name=name, progress=progress, backend=backend)
    lane = _checked(group, fn, limit)
    group._tolerant, group._expected = not check, _count(items)
    return _map(group, lane, fn, iter(items), limit + _AHEAD, check)


def _map(
    group: Group, lane: int, fn: Any, items: Iterator[Any], most: int, check: bool
) -> Generator[Any, None, None]:
    window: deque[JobHandle[Any]] = deque()
    label = threading.current_thread().name
    try:
        with group:
            for item in items:
                handle = group._admit(lane, fn, (item,), {}, force=True)
                assert handle is not None  # it was forced
                window.append(handle)
                while window and (len(window) >= most or window[0].done):
                    _wait_for(group, window[0], label)
                    yield _given(window.popleft(), check)
            while window:
                _wait_for(group, window[0], label)
                yield _given(window.popleft(), check)
    finally:  # an error's traceback holds this frame; it must not hold the handle of the error
        handle = None
        window.clear()


def _given(handle: JobHandle[Any], check: bool) -> Any:
    return handle.result() if check else handle


def _wait_for(group: Group, head: JobHandle[Any], label: str) -> None:
    """Wait until the oldest job has ended; run it here if nobody does yet.

    Raises:
        Cancelled: The group has stopped, and this job has no result.
    """
    execution = group._running_execution()
    core = execution.core
    try:
        if not head.done:
            work(execution, label, only=head._number)
        while not head.done and not core.stopped:
            gate = threading.Lock()
            gate.acquire()
            with execution.lock:
                if head.done or core.stopped:
                    break
                execution.waiting.append(gate.release)
            wait(gate, execution)
        if core.stopped and head._state != SUCCEEDED:
            raise group._refusal(execution)
    finally:  # as above: a job that ran here has this frame below its own
        del head


@overload
def amap(
    fn: Callable[[T], Coroutine[Any, Any, R]],
    items: Iterable[T] | AsyncIterable[T],
    *,
    limit: int = ...,
    ctx: Context | None = None,
    name: str | None = None,
    progress: bool = False,
    backend: str | Backend | None = None,
    check: Literal[True] = True,
) -> AsyncGenerator[R, None]: ...
@overload
def amap(
    fn: Callable[[T], R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    limit: int = ...,
    ctx: Context | None = None,
    name: str | None = None,
    progress: bool = False,
    backend: str | Backend | None = None,
    check: Literal[True] = True,
) -> AsyncGenerator[R, None]: ...
@overload
def amap(
    fn: Callable[[T], Coroutine[Any, Any, R]],
    items: Iterable[T] | AsyncIterable[T],
    *,
    limit: int = ...,
    ctx: Context | None = None,
    name: str | None = None,
    progress: bool = False,
    backend: str | Backend | None = None,
    check: Literal[False],
) -> AsyncGenerator[JobHandle[R], None]: ...
@overload
def amap(
    fn: Callable[[T], R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    limit: int = ...,
    ctx: Context | None = None,
    name: str | None = None,
    progress: bool = False,
    backend: str | Backend | None = None,
    check: Literal[False],
) -> AsyncGenerator[JobHandle[R], None]: ...
def amap(
    fn: Any,
    items: Any,
    *,
    limit: int = 32,
    ctx: Context | None = None,
    name: str | None = None,
    progress: bool = False,
    backend: str | Backend | None = None,
    check: bool = True,
) -> AsyncGenerator[Any, None]:
    """Do what ``map`` does, for ``async for``: async jobs on this loop, sync ones in threads.

    ``items`` may be an async iterable, too. An async generator that is left early is closed by
    the loop a little later; to have the rest cancelled and waited for at once, write
    ``async with contextlib.aclosing(amap(...)) as results:``.

    Example:
        >>> import asyncio
        >>> async def double(n):
        ...     await asyncio.sleep(0)
        ...     return 2 * n
        >>> async def main():
        ...     return [n async for n in amap(double, range(3))]
        >>> asyncio.run(main())
        [0, 2, 4]
    """
    group = AsyncGroup(ctx, limit=limit, name=name, progress=progress, backend=backend)
    lane = _checked(group, fn, limit)
    group._tolerant, group._expected = not check, _count(items)
    # The block is suspended in the caller's loop while a job fails; that must not be cancelled.
    group._cancels_block = False
    source = items if hasattr(items, "__aiter__") else _as_async(iter(items))
    return _amap(group, lane, fn, source, limit + _AHEAD, check)


async def _amap(
    group: AsyncGroup, lane: int, fn: Any, items: AsyncIterable[Any], most: int, check: bool
) -> AsyncGenerator[Any, None]:
    window: deque[JobHandle[Any]] = deque()
    try:
        async with group:
            async for item in items:
                handle = group._admit(lane, fn, (item,), {}, force=True)
                assert handle is not None  # it was forced
                window.append(handle)
                while window and (len(window) >= most or window[0].done):
                    await _await_end(group, window[0])
                    yield _given(window.popleft(), check)
            while window:
                await _await_end(group, window[0])
                yield _given(window.popleft(), check)
    finally:  # as in _map
        handle = None
        window.clear()


async def _await_end(group: AsyncGroup, head: JobHandle[Any]) -> None:
    execution = group._running_execution()
    try:
        while not head.done and not execution.core.stopped:
            gate = group._loop.create_future()
            with execution.lock:
                if head.done or execution.core.stopped:
                    break
                execution.waiting.append(group._opener(gate))
            await gate
        if execution.core.stopped and head._state != SUCCEEDED:
            raise group._refusal(execution)
    finally:
        del head


async def _as_async(items: Iterator[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


def _count(items: Any) -> int | None:
    """Return how many items there are, if they know it."""
    return len(items) if hasattr(items, "__len__") else None


def _checked(group: Group | AsyncGroup, fn: Any, limit: Any) -> int:
    if limit is None:
        raise LimitError("map", limit)
    return lane_of(fn, "map", "urls", away=group._backend is not None)
