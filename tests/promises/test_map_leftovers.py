"""Promise 7, of memory: what map and amap have given, and what failed, dies with its last user.

With the cyclic garbage collector off, so that an object dies only if nothing refers to it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest

from gofer import Context, DeadlineExceeded, current_context

from .groups import mapped
from .test_leftovers import Boom, Thing, Watch, all_die, watch

__all__ = ["watch"]  # a fixture


async def test_what_a_map_has_given_dies_while_it_goes_on(backend: Any, watch: Watch) -> None:
    """Neither the item nor the result is kept by the iterator."""

    def source() -> Iterator[Thing]:
        yield watch("item", Thing())
        while True:
            yield Thing()

    async def work(item: Thing) -> Thing:
        return watch("result", Thing()) if len(watch.names()) == 1 else Thing()

    async with aclosing(mapped(backend, work, source(), limit=1)) as results:
        for _ in range(50):
            await anext(results)
        await all_die(backend, watch, "item", "result")


async def test_what_failed_under_check_false_dies_while_the_map_goes_on(
    backend: Any, watch: Watch
) -> None:
    """An error is its handle's alone, however many fail; asking for the result changes nothing."""

    async def fails(item: int) -> None:
        payload = Thing()
        if item == 0:
            watch("payload", payload)
            raise watch("error", Boom(payload))
        raise Boom(payload)

    async with aclosing(mapped(backend, fails, itertools.count(), limit=2, check=False)) as results:
        for _ in range(50):
            handle = await anext(results)
            assert not handle.ok
        del handle
        await all_die(backend, watch, "error", "payload")


async def test_a_map_that_failed_keeps_nothing_alive(backend: Any, watch: Watch) -> None:
    """Once ``except`` has ended: the error, its traceback, the items ahead, the iterator."""

    def source() -> Iterator[Thing]:
        for name in itertools.count():
            yield watch(f"item {name}", Thing()) if name < 3 else Thing()

    async def work(item: Thing) -> Thing:
        raise watch("error", Boom(watch("payload", Thing())))

    try:
        async for _ in mapped(backend, work, source(), limit=1):
            raise AssertionError("there was a result")
    except Boom:
        pass

    items = [name for name in watch.names() if name.startswith("item")]
    await all_die(backend, watch, "error", "payload", *items)


@pytest.mark.parametrize("how", ["closed", "deadline"])
async def test_a_map_that_was_left_keeps_nothing_alive(
    backend: Any, watch: Watch, how: str
) -> None:
    """Items ahead, results ahead, contexts, and the error that came out."""

    def source() -> Iterator[Thing]:
        for name in itertools.count():
            yield watch(f"item {name}", Thing()) if name < 3 else Thing()

    async def work(item: Thing) -> Thing:
        if "ctx" in watch.names():
            await backend.until_cancelled(current_context())
        watch("ctx", current_context())
        return watch("result", Thing())

    ctx = Context(timeout=0.3 if how == "deadline" else None)
    try:
        async with aclosing(mapped(backend, work, source(), limit=1, ctx=ctx)) as results:
            await anext(results)
            if how == "deadline":
                await anext(results)
    except DeadlineExceeded as error:
        watch("error", error)

    del results
    items = [name for name in watch.names() if name.startswith("item")]
    error = ["error"] if how == "deadline" else []
    await all_die(backend, watch, "ctx", "result", *items, *error)
