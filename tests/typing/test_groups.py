# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""What mypy and pyright find out about groups, handles and maps; and that it is true."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import aclosing, closing
from typing import Any, assert_type

import gofer
from gofer import AsyncGroup, Context, Group, JobHandle, job


def fetch(url: str, *, retries: int = 0) -> bytes:
    return url.encode() * (retries + 1)


async def afetch(url: str, *, retries: int = 0) -> bytes:
    return url.encode() * (retries + 1)


@job
def as_job(number: int) -> str:
    return str(number)


@job
async def as_async_job(number: int) -> str:
    return str(number)


class Fetcher:
    """Callable objects and methods."""

    def __call__(self, url: str) -> bytes:
        return url.encode()

    def method(self, url: str) -> int:
        return len(url)

    async def amethod(self, url: str) -> int:
        return len(url)


def test_handles_are_typed_by_the_function() -> None:
    """Sync or async makes no difference: the result is what comes out in the end."""
    with Group(Context(), limit=3, name="crawl") as group:
        assert_type(group, Group)
        assert_type(group.context, Context)
        plain = group.go(fetch, "/", retries=1)
        awaited = group.go(afetch, "/")
        jobs = group.go(as_job, 7), group.go(as_async_job, 7)
        called = group.go(Fetcher(), "/"), group.go(Fetcher().method, "/")
        method = group.go(Fetcher().amethod, "/")
        partial = group.go(functools.partial(fetch, "/"))
        anonymous = group.go(lambda: 7)
        classes = group.go(int, "7")
        tried = group.try_go(fetch, "/")

    assert_type(plain, JobHandle[bytes])
    assert_type(plain.result(), bytes)
    assert_type(awaited, JobHandle[bytes])
    assert_type(awaited.result(), bytes)
    assert_type(jobs, tuple[JobHandle[str], JobHandle[str]])
    assert_type(called, tuple[JobHandle[bytes], JobHandle[int]])
    assert_type(method, JobHandle[int])
    assert_type(partial, JobHandle[bytes])
    assert_type(anonymous, JobHandle[int])
    assert_type(classes, JobHandle[int])
    assert_type(tried, JobHandle[bytes] | None)
    assert plain.result() == b"//"
    assert [handle.result() for handle in jobs] == ["7", "7"]
    assert method.result() == anonymous.result() - 6 == 1


def test_an_async_groups_handles_are_typed_by_the_function() -> None:
    """``await group.go(...)`` gives the same handle as ``Group.go``."""

    async def main() -> bytes:
        async with AsyncGroup(limit=3, fail_fast=False, recover=False) as group:
            assert_type(group, AsyncGroup)
            plain = await group.go(fetch, "/", retries=1)
            awaited = await group.go(afetch, "/")
            async_job = await group.go(as_async_job, 7)
            tried = group.try_go(afetch, "/")
        assert_type(plain, JobHandle[bytes])
        assert_type(awaited, JobHandle[bytes])
        assert_type(async_job, JobHandle[str])
        assert_type(tried, JobHandle[bytes] | None)
        return awaited.result()

    assert asyncio.run(main()) == b"/"


def test_a_handle_is_typed() -> None:
    """What it tells about its job; it is covariant, as it only gives results."""
    with Group() as group:
        handle = group.go(fetch, "/")

    assert_type(handle.name, str)
    assert_type(handle.args, tuple[Any, ...])
    assert_type(handle.state, str)
    assert_type(handle.done, bool)
    assert_type(handle.ok, bool)
    assert_type(handle.error, BaseException | None)
    wider: JobHandle[object] = handle
    handles: list[JobHandle[object]] = [handle, wider]
    assert [each.ok for each in handles] == [True, True]


def test_a_map_is_typed_by_the_function() -> None:
    """Its elements are the results; the function's argument is the item."""
    plain = gofer.map(fetch, ["/"], limit=2)
    awaited = gofer.map(afetch, iter(["/"]), ctx=Context(), name="crawl")
    checked = gofer.map(as_job, range(3), check=True)
    assert_type(plain, Generator[bytes, None, None])
    assert_type(awaited, Generator[bytes, None, None])
    assert_type(checked, Generator[str, None, None])
    assert_type(list(gofer.map(as_async_job, {1: "x"})), list[str])

    assert [*plain, *awaited] == [b"/", b"/"]
    assert list(checked) == ["0", "1", "2"]


def test_an_unchecked_map_is_typed() -> None:
    """With ``check=False`` its elements are handles of such results."""
    plain = gofer.map(fetch, ["/"], check=False)
    awaited = gofer.map(as_async_job, [1, 2], check=False)
    assert_type(plain, Generator[JobHandle[bytes], None, None])
    assert_type(awaited, Generator[JobHandle[str], None, None])
    failed = [handle for handle in plain if not handle.ok]
    assert_type(failed, list[JobHandle[bytes]])
    assert failed == []
    assert [handle.result() for handle in awaited] == ["1", "2"]


def test_an_amap_is_typed_by_the_function() -> None:
    """For plain and async sources, for sync and async functions."""

    async def source() -> AsyncIterator[int]:
        yield 7

    async def main() -> list[str]:
        assert_type(gofer.amap(afetch, ["/"]), AsyncGenerator[bytes, None])
        assert_type(gofer.amap(fetch, ["/"], limit=2), AsyncGenerator[bytes, None])
        assert_type(gofer.amap(as_async_job, source()), AsyncGenerator[str, None])
        assert_type(gofer.amap(afetch, ["/"], check=False), AsyncGenerator[JobHandle[bytes], None])
        assert_type(gofer.amap(as_job, source(), check=False), AsyncGenerator[JobHandle[str], None])
        return [text async for text in gofer.amap(as_job, source())]

    assert asyncio.run(main()) == ["7"]


def test_a_map_can_be_closed_early() -> None:
    """``contextlib.closing`` and ``aclosing`` take what map and amap return."""

    async def main() -> None:
        async with aclosing(gofer.amap(afetch, ["/"])) as results:
            assert_type(await anext(results), bytes)

    with closing(gofer.map(fetch, ["/"])) as results:
        assert_type(next(results), bytes)
    asyncio.run(main())
