"""``AsyncGroup`` and ``Context`` in the situations of anyio's task group tests.

anyio's cancel scopes are Gofer's contexts: with a deadline, in a tree. What a scope swallows at its
end (``move_on_after``), a context raises. There is no shield: who must not be cancelled is awaited
under ``asyncio.shield``, or looks at no context.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gofer import AsyncGroup, Cancelled, Context, DeadlineExceeded, GroupClosed

from .helpers import FOREVER, Boom, cancelled, fails, fails_when_cancelled, outcome, ticks


@pytest.mark.parametrize("failed", [False, True])
def test_a_group_that_is_over_takes_no_job(failed: bool) -> None:
    """Whether it ended well or with an error."""

    async def main() -> None:
        group = AsyncGroup()
        try:
            async with group:
                if failed:
                    raise Boom
        except Boom:
            pass
        await group.go(ticks)

    assert type(outcome(main)) is GroupClosed


def test_jobs_of_a_group_run() -> None:
    """Two jobs, two results."""
    results = set()

    async def add(value: str) -> None:
        results.add(value)

    async def main() -> None:
        async with AsyncGroup() as group:
            await group.go(add, "a")
            await group.go(add, "b")

    assert outcome(main) is None
    assert results == {"a", "b"}


def test_an_error_of_the_block_cancels_its_jobs() -> None:
    """The host's error comes out as itself, and no job goes on."""
    ended = []

    async def sets() -> None:
        await asyncio.sleep(FOREVER)
        ended.append(1)

    async def main() -> None:
        async with AsyncGroup() as group:
            await group.go(sets)
            await ticks()
            raise Boom("dummy")

    assert str(outcome(main)) == "dummy"
    assert ended == []


def test_a_failing_job_cancels_the_block() -> None:
    """Where it awaits; nothing after that line runs."""
    reached = []

    async def main() -> None:
        async with AsyncGroup() as group:
            await group.go(fails)
            await asyncio.sleep(FOREVER)
            reached.append(1)

    assert type(outcome(main)) is Boom
    assert reached == []


def test_a_context_that_is_cancelled_at_once_stops_a_job_at_its_next_await() -> None:
    """Differs: a job that had not begun does not begin; anyio runs it up to its first await."""
    marker: list[int] = []

    async def main() -> None:
        async def dummy() -> None:
            marker.append(1)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            marker.append(2)

        with Context() as ctx:
            async with AsyncGroup(ctx) as group:
                await group.go(dummy)
                ctx.cancel()

    assert type(outcome(main)) is Cancelled
    assert 2 not in marker


def test_a_cancellation_inside_the_block_comes_out_as_cancelled() -> None:
    """Differs: anyio's scope swallows what it cancelled; here the caller is told."""

    async def main() -> None:
        async with AsyncGroup() as group:
            group.context.cancel("enough")
            await asyncio.sleep(FOREVER)

    error = outcome(main)
    assert type(error) is Cancelled
    assert error.cause == "enough"


def test_a_context_cancels_the_jobs_of_another_task() -> None:
    """Whoever holds it may cancel it, and the task around is not concerned."""

    async def main() -> Any:
        with Context() as ctx:

            async def child() -> str:
                try:
                    async with AsyncGroup(ctx) as inner:
                        await inner.go(asyncio.sleep, FOREVER)
                except Cancelled:
                    return "child was cancelled"
                return "not"

            async with AsyncGroup() as group:
                handle = await group.go(child)
                await ticks()
                ctx.cancel()
            return handle.result()

    assert outcome(main) == "child was cancelled"


def test_of_two_errors_one_comes_out_and_names_the_other() -> None:
    """Differs: anyio groups them; with ``fail_fast=False`` Gofer does, too."""

    async def main(fail_fast: bool) -> None:
        async with AsyncGroup(fail_fast=fail_fast) as group:
            await group.go(fails, Boom("one"))
            await group.go(fails_when_cancelled if fail_fast else fails)

    error = outcome(lambda: main(True))
    assert str(error) == "one"
    assert "failed too: fails_when_cancelled[1] (Boom)" in error.__notes__[0]
    group = outcome(lambda: main(False))
    assert type(group) is ExceptionGroup
    assert len(group.exceptions) == 2


def test_errors_of_the_block_and_of_a_job() -> None:
    """Differs: the block's comes out, with the job's in its note; anyio has a group of both."""

    async def main() -> None:
        async with AsyncGroup() as group:
            await group.go(fails_when_cancelled)
            await ticks()
            raise ValueError("host")

    error = outcome(main)
    assert str(error) == "host"
    assert "failed too: fails_when_cancelled[0] (Boom)" in error.__notes__[0]


def test_a_deadline_fails_after_its_time() -> None:
    """``fail_after``: a TimeoutError, and the context is cancelled."""

    async def main() -> Any:
        ctx = Context(timeout=0.01)
        with pytest.raises(TimeoutError) as caught:
            async with AsyncGroup(ctx) as group:
                await group.go(asyncio.sleep, FOREVER)
        return type(caught.value), ctx.cancelled

    assert outcome(main) == (DeadlineExceeded, True)


def test_no_deadline_is_none() -> None:
    """``fail_after(None)``: differs in that ``deadline`` is None, not infinity."""

    async def main() -> Any:
        ctx = Context(timeout=None)
        async with AsyncGroup(ctx) as group:
            await group.go(ticks)
        return ctx.deadline, ctx.cancelled

    assert outcome(main) == (None, False)


def test_to_move_on_after_a_deadline_is_an_except() -> None:
    """Differs: what ``move_on_after`` swallows is caught by hand, so nothing is lost unseen."""

    async def main() -> Any:
        try:
            async with AsyncGroup(Context(timeout=0.01)) as group:
                await group.go(asyncio.sleep, FOREVER)
        except DeadlineExceeded:
            return "moved on"

    assert outcome(main) == "moved on"


def test_of_nested_deadlines_the_earlier_counts() -> None:
    """The outer one is nearer: it is what both say, and both end."""

    async def main() -> Any:
        with Context(timeout=0.01) as outer:
            inner = outer.child(timeout=FOREVER)
            assert inner.deadline == outer.deadline
            try:
                async with AsyncGroup(inner) as group:
                    await group.go(asyncio.sleep, FOREVER)
            except DeadlineExceeded:
                return outer.cancelled, inner.cancelled

    assert outcome(main) == (True, True)


def test_a_child_context_may_be_cancelled_alone() -> None:
    """The scope of one job: the others and the block go on."""

    async def main() -> Any:
        with Context() as ctx:
            child = ctx.child()

            async def waits() -> str:
                try:
                    async with AsyncGroup(child) as inner:
                        await inner.go(asyncio.sleep, FOREVER)
                except Cancelled:
                    return "left"
                return "not"

            async with AsyncGroup(ctx) as group:
                handle = await group.go(waits)
                await ticks()
                child.cancel()
                await ticks()
                done = True
            return done, handle.result(), ctx.cancelled

    assert outcome(main) == (True, "left", False)


def test_what_is_shielded_by_asyncio_is_not_cancelled_with_the_group() -> None:
    """Differs: there is no shield of Gofer's own; who needs one has asyncio's."""

    async def main() -> Any:
        inner = asyncio.ensure_future(ticks(20))
        try:
            async with AsyncGroup() as group:

                async def shielded() -> None:
                    await asyncio.shield(inner)

                await group.go(shielded)
                await ticks(2)
                group.context.cancel()
        except Cancelled:
            await inner
            return inner.cancelled()

    assert outcome(main) is False


def test_a_job_may_add_another() -> None:
    """From inside the group."""

    async def main() -> Any:
        async def adds() -> None:
            handles.append(await group.go(ticks))

        handles: list[Any] = []
        async with AsyncGroup() as group:
            await group.go(adds)
        return [handle.ok for handle in handles]

    assert outcome(main) == [True]


def test_a_cancelled_task_ends_its_group_before_the_error_goes_on() -> None:
    """Level or edge: the jobs have ended when CancelledError comes out."""
    ended = []

    async def slow_to_end() -> None:
        try:
            await asyncio.sleep(FOREVER)
        finally:
            await ticks(20)
            ended.append(1)

    async def main() -> None:
        async with AsyncGroup() as group:
            await group.go(slow_to_end)

    assert type(outcome(lambda: cancelled(main))) is asyncio.CancelledError
    assert ended == [1]
