"""What the conformance tests share: ends, ticks, and a task that is cancelled from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

FOREVER = 3600.0


class Boom(Exception):
    """What jobs fail with."""


class Base(BaseException):
    """What is not an ordinary exception."""


async def ticks(count: int = 5) -> None:
    """Let everything else on the loop go on."""
    for _ in range(count):
        await asyncio.sleep(0)


async def fails(error: BaseException | None = None, after: int = 1) -> None:
    """Fail after some ticks."""
    await ticks(after)
    raise Boom if error is None else error


async def fails_when_cancelled(error: type[BaseException] = Boom) -> None:
    """Wait for ever, and answer a cancellation with another error."""
    try:
        await asyncio.sleep(FOREVER)
    finally:
        raise error


def outcome(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine function on a loop of its own; return its result or what it raised."""

    async def caught() -> Any:
        try:
            return await main()
        except BaseException as error:
            return error

    return asyncio.run(caught())


async def cancelled(main: Callable[[], Coroutine[Any, Any, Any]], after: int = 10) -> Any:
    """Cancel a task from outside after some ticks; return what it raised, or its result."""
    task = asyncio.ensure_future(main())
    await ticks(after)
    task.cancel()
    try:
        return await task
    except BaseException as error:
        return error
