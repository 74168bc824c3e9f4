"""``AsyncGroup`` in the situations of CPython's ``test_taskgroups.py``: names, entering, counting.

The other half is in ``test_asyncio_taskgroup``.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gofer import AsyncGroup, Cancelled, GroupClosed, current_context

from .helpers import FOREVER, Boom, fails, outcome, ticks


async def gives(value: int) -> int:
    """Return something after a tick."""
    await ticks(1)
    return value


def test_a_job_is_named_after_its_function_and_number() -> None:
    """Differs: there is no ``name=``, whose place is taken by the function's own keywords."""

    async def main() -> Any:
        async with AsyncGroup() as group:
            return (await group.go(gives, 1)).name

    assert outcome(main) == "gives[0]"


def test_a_job_has_the_variables_of_its_caller_and_keeps_its_own() -> None:
    """Differs: there is no ``context=``; each job has a copy, and what it sets stays in it."""
    variable = contextvars.ContextVar("variable", default=0)

    async def sets(value: int) -> int:
        before = variable.get()
        variable.set(value)
        return before

    async def main() -> Any:
        variable.set(7)
        async with AsyncGroup() as group:
            handles = [await group.go(sets, n) for n in (1, 2)]
        return [each.result() for each in handles], variable.get()

    assert outcome(main) == ([7, 7], 7)


def test_nothing_is_added_after_a_failure() -> None:
    """``go`` raises Cancelled, a job that tries it is cancelled, and the first error comes out."""
    refused = []

    async def main() -> None:
        async def tries() -> None:
            try:
                await asyncio.sleep(FOREVER)
            except asyncio.CancelledError:
                try:
                    await group.go(gives, 1)
                except Cancelled as error:
                    refused.append(error)
                    raise

        async with AsyncGroup() as group:
            await group.go(tries)
            await ticks()
            await group.go(fails)

    assert type(outcome(main)) is Boom
    assert len(refused) == 1


def test_a_context_manager_in_the_block_that_fails_at_its_exit() -> None:
    """Its error is the block's and comes out; the job's is in the note; ``cancelling()`` is 0."""

    @asynccontextmanager
    async def database() -> AsyncIterator[None]:
        try:
            yield
        finally:
            raise ValueError("at exit")

    async def main() -> Any:
        task = asyncio.current_task()
        assert task is not None
        try:
            async with AsyncGroup() as group, database():
                await group.go(fails)
                await asyncio.sleep(FOREVER)
        except ValueError as error:
            return task.cancelling(), "".join(error.__notes__)

    count, note = outcome(main)
    assert count == 0
    assert "failed too: fails[0]" in note


@pytest.mark.parametrize("inside", [True, False])
def test_a_group_is_entered_once(inside: bool) -> None:
    """In its block and afterwards it is refused."""

    async def main() -> None:
        group = AsyncGroup()
        async with group:
            if inside:
                async with group:
                    pass
        async with group:
            pass

    assert type(outcome(main)) is GroupClosed


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_group_takes_jobs_in_its_block_alone(when: str) -> None:
    """Before it and after it ``go`` refuses; as it takes a function, no coroutine is left open."""

    async def main() -> None:
        group = AsyncGroup()
        if when == "after":
            async with group:
                pass
        await group.go(gives, 1)

    assert type(outcome(main)) is GroupClosed


def test_a_group_wants_a_task_around_it() -> None:
    """Without one there is nobody to cancel: asyncio itself runs no coroutine without a task."""
    with pytest.raises(RuntimeError):
        AsyncGroup().__aenter__().send(None)


def test_a_failure_leaves_the_count_of_cancellations_as_it_was() -> None:
    """The group's own request is taken back."""

    async def main() -> Any:
        task = asyncio.current_task()
        assert task is not None
        try:
            async with AsyncGroup() as group:
                await group.go(fails, None, 0)
        except Boom:
            return task.cancelling()

    assert outcome(main) == 0


def test_of_nested_groups_that_both_fail_each_raises_its_own() -> None:
    """Differs: a failure and a cancellation in one tick are a cancellation to the inner group."""

    async def main() -> Any:
        task = asyncio.current_task()
        assert task is not None
        inner_error = None
        try:
            async with AsyncGroup() as outer:
                try:
                    async with AsyncGroup() as inner:
                        await inner.go(fails, Boom(), 0)
                        await outer.go(fails, ValueError(), 0)
                        await asyncio.sleep(FOREVER)
                except BaseException as error:
                    inner_error = error
                    raise
        except ValueError:
            return inner_error, task.cancelling()

    inner_error, count = outcome(main)
    assert type(inner_error) is asyncio.CancelledError
    assert "failed too: fails[0]" in "".join(inner_error.__notes__)
    assert count == 0


def test_a_failure_and_a_cancellation_together_keep_both() -> None:
    """After a failure that was caught the task is still cancelled: its next await says so."""

    async def main() -> Any:
        begun = asyncio.Event()
        seen = []

        async def raises() -> None:
            begun.set()
            await asyncio.sleep(0)
            raise Boom

        async def inner() -> None:
            task = asyncio.current_task()
            assert task is not None
            try:
                async with AsyncGroup() as group:
                    await group.go(raises)
                    await asyncio.sleep(FOREVER)
            except (Boom, asyncio.CancelledError) as error:
                seen.append((type(error), task.cancelling()))
                raise

        task = asyncio.create_task(inner())
        await begun.wait()
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled(), task.cancelling(), seen

    is_cancelled, count, seen = outcome(main)
    assert is_cancelled
    assert count == 1
    assert seen == [(asyncio.CancelledError, 1)]


def test_a_job_of_a_group_finds_the_groups_context() -> None:
    """What stands for ``asyncio.current_task`` of a TaskGroup's children."""

    async def main() -> Any:
        async def finds() -> bool:
            return current_context() is group.context

        async with AsyncGroup() as group:
            handle = await group.go(finds)
        return handle.result()

    assert outcome(main) is True
