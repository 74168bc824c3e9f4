"""``AsyncGroup`` in the situations of CPython's ``test_asyncio/test_taskgroups.py`` (3.13).

Written from the behaviours that those tests assert; `docs/conformance.md` says which is which.
Where a TaskGroup raises an ExceptionGroup, Gofer raises the one error itself.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gofer import AsyncGroup, Context, JobPanic

from .helpers import FOREVER, Base, Boom, cancelled, fails, fails_when_cancelled, outcome, ticks


async def gives(value: int, after: int = 3) -> int:
    """Return something after some ticks."""
    await ticks(after)
    return value


class Marks:
    """Who met a cancellation."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def waits(self, name: str) -> None:
        try:
            await asyncio.sleep(FOREVER)
        except asyncio.CancelledError:
            self.seen.append(name)
            raise


def test_results_are_there_after_the_block() -> None:
    """Two jobs of the block end before it does."""

    async def main() -> Any:
        async with AsyncGroup() as group:
            one, two = await group.go(gives, 42), await group.go(gives, 11, 6)
        return one.result(), two.result()

    assert outcome(main) == (42, 11)


def test_a_job_may_come_while_the_block_awaits() -> None:
    """The second is added when the first runs already."""

    async def main() -> Any:
        async with AsyncGroup() as group:
            one = await group.go(gives, 42, 10)
            await ticks(2)
            two = await group.go(gives, 11)
        return one.result(), two.result()

    assert outcome(main) == (42, 11)


def test_one_job_is_stopped_by_its_own_context_and_the_others_go_on() -> None:
    """A handle has no ``cancel``: a job stops by a context of its own, and that is its failure."""

    async def stops(ctx: Context) -> str:
        while not ctx.cancelled:
            await asyncio.sleep(0)
        return "stopped"

    async def main() -> Any:
        with Context() as own:
            async with AsyncGroup() as group:
                one = await group.go(stops, own)
                await ticks()
                own.cancel()
                two = await group.go(gives, 11)
        return one.result(), two.result()

    assert outcome(main) == ("stopped", 11)


@pytest.mark.parametrize("count", [1, 3])
def test_a_failure_cancels_the_other_jobs_and_comes_out_alone(count: int) -> None:
    """Also where three fail at once: one is raised, the others are in its note."""
    marks, after = Marks(), []

    async def main() -> None:
        async with AsyncGroup() as group:
            for _ in range(count):
                await group.go(fails)
            await group.go(marks.waits, "job")
            after.append(group)
            try:
                await asyncio.sleep(FOREVER)
            except asyncio.CancelledError:
                marks.seen.append("block")
                raise
        after.append("block went on")

    error = outcome(main)
    assert type(error) is Boom
    assert sorted(marks.seen) == ["block", "job"]
    assert len(after) == 1
    assert len(error.__notes__) == 1


def test_a_failure_ends_a_block_that_has_nothing_more_to_do() -> None:
    """The block is at its end and waits for its jobs."""
    marks = Marks()

    async def main() -> None:
        async with AsyncGroup() as group:
            await group.go(fails)
            await group.go(marks.waits, "job")

    assert type(outcome(main)) is Boom
    assert marks.seen == ["job"]


@pytest.mark.parametrize("block_awaits", [False, True])
def test_cancelling_the_task_cancels_its_jobs(block_awaits: bool) -> None:
    """Five jobs end, and then CancelledError comes out; the block hears of it where it awaits."""
    marks = Marks()

    async def main() -> None:
        async with AsyncGroup() as group:
            for _ in range(5):
                await group.go(marks.waits, "job")
            if block_awaits:
                await marks.waits("block")

    assert type(outcome(lambda: cancelled(main))) is asyncio.CancelledError
    assert sorted(marks.seen) == ["block"] * block_awaits + ["job"] * 5


@pytest.mark.parametrize("nested", [0, 1, 2])
def test_errors_of_cancelled_jobs_do_not_replace_the_cancellation(nested: int) -> None:
    """Differs: a TaskGroup raises their group; here CancelledError comes out."""

    async def jobs() -> None:
        async with AsyncGroup() as group:
            for _ in range(5):
                await group.go(fails_when_cancelled)
            await asyncio.sleep(FOREVER)

    async def main() -> None:
        if not nested:
            await jobs()
        async with AsyncGroup() as outer:
            if nested == 2:
                await outer.go(asyncio.sleep, FOREVER)
            await jobs()

    assert type(outcome(lambda: cancelled(main))) is asyncio.CancelledError


@pytest.mark.parametrize("after", [0, 5])
def test_an_error_of_the_block_cancels_the_jobs_and_comes_out(after: int) -> None:
    """With or without an await before it: the very error, no group around it."""
    marks, error = Marks(), Boom()

    async def main() -> None:
        async with AsyncGroup() as group:
            await group.go(marks.waits, "one")
            await group.go(marks.waits, "two")
            await ticks(after)
            raise error

    assert outcome(main) is error
    assert sorted(marks.seen) == (["one", "two"] if after else marks.seen)


@pytest.mark.parametrize("which", ["outer", "inner"])
def test_a_failure_in_nested_groups_comes_out_of_both_as_itself(which: str) -> None:
    """Differs: where the inner one fails, a TaskGroup wraps twice; Gofer does not wrap."""

    async def main() -> None:
        async with AsyncGroup() as outer:
            await outer.go(fails, None, 3 if which == "outer" else 1000)
            async with AsyncGroup() as inner:
                await inner.go(fails, None, 1000 if which == "outer" else 3)

    assert type(outcome(main)) is Boom


@pytest.mark.parametrize("in_a_task_of_its_own", [False, True])
def test_a_failure_while_the_block_cleans_up_after_a_cancellation(
    in_a_task_of_its_own: bool,
) -> None:
    """Differs: the cancellation came first and from outside, so it is what comes out."""
    go = []

    async def fails_late() -> None:
        while not go:
            await asyncio.sleep(0)
        raise Boom

    async def inner() -> None:
        async with AsyncGroup() as group:
            handle = await group.go(fails_late)
            try:
                await asyncio.sleep(FOREVER)
            except asyncio.CancelledError:
                go.append(True)
                await asyncio.sleep(0)
                raise
        assert handle

    async def main() -> None:
        await (asyncio.create_task(inner()) if in_a_task_of_its_own else inner())

    assert type(outcome(lambda: cancelled(main))) is asyncio.CancelledError


def test_cancelling_the_task_of_a_group_without_jobs() -> None:
    """The block hears of it."""
    marks = Marks()

    async def main() -> None:
        async with AsyncGroup():
            await marks.waits("block")

    assert type(outcome(lambda: cancelled(main))) is asyncio.CancelledError
    assert marks.seen == ["block"]


def test_a_block_that_answers_a_cancellation_with_an_error_raises_that() -> None:
    """Not a good idea, and supported: the error comes out, as itself."""

    async def main() -> None:
        async with AsyncGroup():
            await fails_when_cancelled()

    assert type(outcome(lambda: cancelled(main))) is Boom


@pytest.mark.parametrize(
    ("job_error", "block_error"),
    [(Boom, ValueError), (Boom, KeyboardInterrupt), (Boom, Base), (Base, TypeError)],
)
def test_a_job_fails_and_the_block_fails_while_it_is_cancelled(
    job_error: type[BaseException], block_error: type[BaseException]
) -> None:
    """Differs: the block's own error comes out, with the job's in its note; no group of both."""

    async def main() -> None:
        async with AsyncGroup() as group:
            await group.go(fails, job_error())
            await fails_when_cancelled(block_error)

    async def caught() -> BaseException:
        try:
            await main()
        except BaseException as error:
            return error
        raise AssertionError

    error = asyncio.run(caught())
    assert type(error) is block_error
    assert "failed too: fails[0]" in "".join(error.__notes__)


def test_a_keyboard_interrupt_out_of_a_job_stops_the_group() -> None:
    """The test that CPython has switched off, as there it breaks the loop."""

    async def main() -> None:
        async with AsyncGroup() as group:
            await group.go(fails, KeyboardInterrupt())
            await asyncio.sleep(FOREVER)

    assert type(outcome(main)) is KeyboardInterrupt


def test_a_panic_of_a_job_alone_is_a_job_panic() -> None:
    """Differs: a BaseException out of a job is told apart by name, and raised as an Exception."""

    async def main() -> None:
        async with AsyncGroup() as group:
            await group.go(fails, Base())
            await asyncio.sleep(FOREVER)

    error = outcome(main)
    assert type(error) is JobPanic
    assert type(error.__cause__) is Base


def test_cancelling_the_task_at_the_end_of_the_block() -> None:
    """Both jobs are cancelled, and CancelledError comes out."""

    async def main() -> None:
        async with AsyncGroup() as group:
            await group.go(gives, 42, 1000)
            await group.go(gives, 11, 2000)

    assert type(outcome(lambda: cancelled(main, 2))) is asyncio.CancelledError


def test_jobs_that_have_ended_are_let_go_while_the_block_goes_on() -> None:
    """A group that lives long does not grow with the jobs that have been."""

    async def main() -> Any:
        async with AsyncGroup() as group:
            handles = [await group.go(gives, n) for n in range(10)]
            await ticks(20)
            return [handle.done for handle in handles], len(group._execution.running())  # type: ignore[union-attr]

    done, running = outcome(main)
    assert done == [True] * 10
    assert running == 0


def test_a_job_may_add_jobs_to_its_group() -> None:
    """Each is waited for."""
    ended = []

    async def child(name: str) -> None:
        await ticks()
        ended.append(name)

    async def main() -> None:
        async def root() -> None:
            await ticks(2)
            await group.go(child, "a")
            await group.go(child, "b")

        async with AsyncGroup() as group:
            await group.go(root)

    assert outcome(main) is None
    assert sorted(ended) == ["a", "b"]


def test_jobs_that_breed_are_ended_by_a_failure() -> None:
    """Each adds two, until another job fails; all end, and nothing is added any more."""
    heads = []

    async def main() -> None:
        async def hydra() -> None:
            heads.append(1)
            await asyncio.sleep(0)
            await group.go(hydra)
            await group.go(hydra)

        async def hercules() -> None:
            while len(heads) < 10:
                await asyncio.sleep(0)
            raise Boom

        async with AsyncGroup() as group:
            await group.go(hydra)
            await group.go(hercules)

    assert type(outcome(main)) is Boom
    assert len(heads) >= 10
