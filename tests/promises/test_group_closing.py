"""Promises 8 and 11, of adding too late: after a failure, outside of the block; what is no job."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from gofer import AsyncGroup, Cancelled, Group, GroupClosed, JobDefinitionError, LimitError, job

from .groups import Crew, must_not_start, nothing

# After a stop, before the block, after it


@pytest.mark.parametrize("how", ["go", "try_go"])
async def test_adding_after_a_failure_raises_and_the_jobs_error_leaves(
    backend: Any, how: str
) -> None:
    """Promise 11: Cancelled ends the block; the job's own error comes out in its place."""
    error = ConnectionError("refused")

    async def fails() -> None:
        raise error

    refusals: list[Cancelled] = []
    with pytest.raises(ConnectionError) as caught:
        async with Crew(backend) as crew:
            await crew.go(fails)
            await stopped(backend, crew)
            try:
                await add(crew, how)
            except Cancelled as refusal:
                refusals.append(refusal)
                raise

    assert caught.value is error
    assert [refusal.cause for refusal in refusals] == [error]
    assert error.__context__ is None


async def add(crew: Crew, how: str) -> None:
    """Add a job that must not start, by ``go`` or by ``try_go``."""
    if how == "go":
        await crew.go(must_not_start)
    else:
        crew.try_go(must_not_start)


async def stopped(backend: Any, crew: Crew) -> None:
    """Wait until a group has stopped, also if that cancels whoever waits."""
    await backend.eventually(lambda: crew.context.cancelled)


async def test_a_refused_go_that_is_caught_does_not_hide_the_error(backend: Any) -> None:
    """Promise 8: the block may swallow Cancelled and end well; the job's error comes out."""

    async def fails() -> None:
        raise ConnectionError("refused")

    with pytest.raises(ConnectionError):
        async with Crew(backend) as crew:
            await crew.go(fails)
            await stopped(backend, crew)
            with pytest.raises(Cancelled):
                await crew.go(must_not_start)


async def test_the_error_leaves_though_a_job_was_refused_after_the_block(backend: Any) -> None:
    """Promise 8: whoever is refused last, the block's own refusal is known for what it is."""
    again, refused = backend.Event(), backend.Event()

    async def late() -> None:
        await backend.eventually(again.is_set)  # deaf until then
        try:
            await crew.go(must_not_start)
        finally:
            refused.set()

    async def fails() -> None:
        raise ConnectionError("refused")

    with pytest.raises(ConnectionError):
        async with Crew(backend) as crew:
            await crew.go(late)
            await crew.go(fails)
            await stopped(backend, crew)
            try:
                crew.try_go(must_not_start)
            finally:
                again.set()
                await backend.eventually(refused.is_set)


async def test_a_group_is_entered_once(backend: Any) -> None:
    """It has one block; a second time, inside or afterwards, is refused and harms nothing."""
    async with Crew(backend) as crew:
        with pytest.raises(GroupClosed, match="once"):
            await crew.__aenter__()
        handle = await crew.go(nothing)
    with pytest.raises(GroupClosed, match="once"):
        await crew.__aenter__()

    assert handle.ok


@pytest.mark.parametrize("when", ["before", "after", "after a failure"])
async def test_a_group_takes_jobs_in_its_block_only(backend: Any, when: str) -> None:
    """``go``, ``try_go`` and ``context`` say so, before and after it."""

    async def fails() -> None:
        raise ConnectionError("refused")

    crew = Crew(backend, limit=1)
    if when != "before":
        try:
            async with crew:
                await crew.go(nothing if when == "after" else fails)
        except ConnectionError:
            assert when == "after a failure"
    with pytest.raises(GroupClosed, match="block"):
        await crew.go(must_not_start)
    with pytest.raises(GroupClosed, match="block"):
        crew.try_go(must_not_start)
    with pytest.raises(GroupClosed, match="block"):
        crew.context  # noqa: B018


# What is no job, and limits that are none


NOT_CALLABLE = {"a number": 7, "nothing": None, "a text": "fetch", "a list": [print]}


@pytest.mark.parametrize("what", NOT_CALLABLE)
async def test_what_cannot_be_called_is_refused_with_the_line_to_write(
    backend: Any, what: str
) -> None:
    """Promise 16: at once, where it was written; the group goes on."""
    async with Crew(backend) as crew:
        for how in (crew.go, crew.try_go):
            with pytest.raises(JobDefinitionError, match=r"write: group\.go\(fetch, url\)"):
                await awaited(how(NOT_CALLABLE[what]))
        handle = await crew.go(nothing)

    assert handle.ok


async def awaited(value: Any) -> Any:
    """Await what can be awaited."""
    return await value if hasattr(value, "__await__") else value


async def test_a_coroutine_is_refused_closed_and_explained(backend: Any) -> None:
    """Promise 16: ``go(fetch(url))`` runs nothing, and is never "never awaited"."""

    async def fetch(url: str) -> None:
        await must_not_start()

    async with Crew(backend) as crew:
        for how in (crew.go, crew.try_go):
            made = fetch("/")
            with pytest.raises(JobDefinitionError, match=r"not group\.go\(fetch\(url\)\)"):
                await awaited(how(made))
            assert inspect.getcoroutinestate(made) == inspect.CORO_CLOSED


def generates() -> Iterator[int]:
    """Do nothing when it is called, but make a generator."""
    yield 1


async def agenerates() -> AsyncIterator[int]:
    """Do nothing when it is called, but make an async generator."""
    yield 1


class Generates:
    """Does nothing when it is called, but makes a generator."""

    def __call__(self) -> Iterator[int]:
        yield 1

    method = __call__


GENERATORS = {
    "plain": generates,
    "async": agenerates,
    "partial": functools.partial(generates),
    "callable object": Generates(),
    "bound method": Generates().method,
    "job": job(generates),
    "partial of a job": functools.partial(job(generates)),
}


@pytest.mark.parametrize("what", GENERATORS)
async def test_a_generator_function_is_refused(backend: Any, what: str) -> None:
    """Promise 16: calling it would run none of its lines."""
    async with Crew(backend) as crew:
        for how in (crew.group.go, crew.group.try_go):
            with pytest.raises(JobDefinitionError, match="generator function"):
                await awaited(how(GENERATORS[what]))


@pytest.mark.parametrize("limit", [0, -1, 1.5, float("nan"), "8", True])
@pytest.mark.parametrize("kind", [Group, AsyncGroup])
def test_a_bad_limit_is_refused(kind: Any, limit: Any) -> None:
    """Promise 16: when the group is made, in words that say whose limit and what was given."""
    with pytest.raises(LimitError, match=r"group 'crawl'.*at least 1.*got"):
        kind(limit=limit, name="crawl")


@pytest.mark.parametrize("kind", [Group, AsyncGroup])
def test_a_first_argument_that_is_no_context_is_refused(kind: Any) -> None:
    """Promise 16: ``Group(8)`` does not quietly mean something else."""
    with pytest.raises(TypeError, match="Context, not a int"):
        kind(8)
