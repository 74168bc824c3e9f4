"""Promise 14, for ``AsyncGroup``: the block's task, cancelled by a failure, from outside, by both.

``task.cancelling()`` stays exact throughout: what the group has asked for it takes back, and what
others have asked for it lets stand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gofer import AsyncGroup, Cancelled, Context, DeadlineExceeded, current_context

from .groups import LONG, cancelling, must_not_start, notes


async def fails() -> None:
    """Fail at once."""
    raise ConnectionError("refused")


def fails_in_a_thread() -> None:
    """Fail at once."""
    raise ConnectionError("refused")


kinds = pytest.mark.parametrize("job", [fails, fails_in_a_thread], ids=["async", "sync"])


# A failure cancels the block


@kinds
def test_a_failure_cancels_what_the_block_awaits(job: Callable[[], Any]) -> None:
    """Promise 14: the block does not sit in an ``await`` for nothing; the job's error comes out."""

    async def main() -> None:
        with pytest.raises(ConnectionError) as caught:
            async with AsyncGroup() as group:
                await group.go(job)
                await asyncio.sleep(LONG)
                raise AssertionError("the block went on")
        assert cancelling() == 0
        assert caught.value.__context__ is None
        await asyncio.sleep(0)  # nothing is left that would be raised here

    asyncio.run(main())


@kinds
def test_a_failure_before_the_block_awaits_again_leaves_no_cancellation(
    job: Callable[[], Any],
) -> None:
    """Promise 14: where nothing was awaited, nothing had to be cancelled, now or later."""

    async def main() -> None:
        with pytest.raises(ConnectionError):
            async with AsyncGroup() as group:
                await group.go(job)
        assert cancelling() == 0
        for _ in range(5):
            await asyncio.sleep(0)

    asyncio.run(main())


@pytest.mark.parametrize("first", ["await ends", "job fails"])
def test_a_failure_in_the_tick_in_which_the_await_ends_comes_out(first: str) -> None:
    """Promise 14: the block was about to go on; whether it does or not, its count is right."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        async def ends_it_and_fails() -> None:
            await asyncio.sleep(0)
            if first == "await ends":
                future.set_result(None)
            else:
                loop.call_soon(lambda: future.done() or future.set_result(None))
            raise ConnectionError("refused")

        with pytest.raises(ConnectionError):
            async with AsyncGroup() as group:
                await group.go(ends_it_and_fails)
                await future
        assert cancelling() == 0
        await asyncio.sleep(0)

    asyncio.run(main())


def test_a_block_that_swallows_the_cancellation_is_cancelled_once() -> None:
    """Promise 14: it may go on awaiting; the job's error comes out all the same."""
    went_on = []

    async def main() -> None:
        with pytest.raises(ConnectionError):
            async with AsyncGroup() as group:
                await group.go(fails)
                try:
                    await asyncio.sleep(LONG)
                except asyncio.CancelledError:
                    pass
                for _ in range(10):
                    await asyncio.sleep(0)
                went_on.append(True)
        assert cancelling() == 0
        await asyncio.sleep(0)

    asyncio.run(main())
    assert went_on


def test_a_block_that_makes_another_error_of_its_cancellation_raises_that() -> None:
    """An error of the block itself is what comes out; the job's is named in its note."""

    async def main() -> None:
        with pytest.raises(KeyError) as caught:
            async with AsyncGroup() as group:
                await group.go(fails)
                try:
                    await asyncio.sleep(LONG)
                finally:
                    raise KeyError("the block's own")
        assert cancelling() == 0
        assert "ConnectionError: refused" in notes(caught.value)

    asyncio.run(main())


@pytest.mark.parametrize("why", ["cancel", "deadline"])
def test_a_stopped_context_cancels_what_the_block_awaits(why: str) -> None:
    """Promise 14: a deadline raises DeadlineExceeded, a cancelled context Cancelled."""

    async def main() -> None:
        ctx = Context(timeout=0.02 if why == "deadline" else None)
        with pytest.raises(DeadlineExceeded if why == "deadline" else Cancelled):
            async with AsyncGroup(ctx) as group:
                await group.go(asyncio.sleep, LONG)
                if why == "cancel":
                    asyncio.get_running_loop().call_soon(ctx.cancel, "enough")
                await asyncio.sleep(LONG)
        assert cancelling() == 0

    asyncio.run(main())


# Cancelled from outside


class Stage:
    """A task that uses a group, and somebody who cancels it at a chosen moment.

    Attributes:
        task: The task.
        ended: What has ended in it, in order.
    """

    def __init__(self, job: str, moment: str) -> None:
        self.job = {"async": self.hold, "sync": self.hold_in_a_thread}[job]
        self.moment = moment
        self.ready = asyncio.Event()
        self.ended: list[str] = []
        self.count: int | None = None
        self.loop = asyncio.get_running_loop()
        self.task = asyncio.create_task(self.use())

    async def use(self) -> None:
        try:
            async with AsyncGroup(limit=1) as group:
                await group.go(self.job)
                await self.ready.wait()
                if self.moment == "go":
                    await group.go(must_not_start)
                if self.moment == "block":
                    await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            self.ended.append("group")
            self.count = cancelling()
            raise

    async def hold(self) -> None:
        self.ready.set()
        try:
            await asyncio.sleep(LONG)
        finally:
            await asyncio.sleep(0.05)
            self.ended.append("job")

    def hold_in_a_thread(self) -> None:
        self.loop.call_soon_threadsafe(self.ready.set)
        ctx = current_context()
        assert ctx is not None
        try:
            ctx.sleep(LONG)
        finally:
            heard = self.loop.create_future()
            self.loop.call_soon_threadsafe(heard.cancel)
            while not heard.done():
                pass
            self.ended.append("job")

    async def until_there(self) -> None:
        """Wait until the task waits at its moment."""
        await self.ready.wait()
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("moment", ["go", "block", "exit"])
@pytest.mark.parametrize("job", ["async", "sync"])
def test_a_cancelled_task_cancels_and_awaits_the_jobs(job: str, moment: str, times: int) -> None:
    """Promise 14: then CancelledError comes out; a second request waits, too, and is counted."""

    async def main() -> None:
        stage = Stage(job, moment)
        await stage.until_there()
        stage.task.cancel("from outside")
        for _ in range(times - 1):
            await asyncio.sleep(0)
            stage.task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await stage.task
        assert stage.ended == ["job", "group"]
        assert stage.count == times
        assert caught.value.args in [("from outside",), ()]  # a second one has no message

    asyncio.run(main())


@pytest.mark.parametrize("jobs", [0, 1, 3])
@pytest.mark.parametrize("ticks", range(16))
def test_a_task_may_be_cancelled_at_any_tick(ticks: int, jobs: int) -> None:
    """Promise 14: whatever it does just then, all ends, and the count is exact."""
    begun = ended = 0

    async def work() -> None:
        nonlocal begun, ended
        begun += 1
        try:
            for _ in range(3):
                await asyncio.sleep(0)
        finally:
            ended += 1

    async def use() -> str:
        try:
            async with AsyncGroup(limit=2) as group:
                for _ in range(jobs):
                    await group.go(work)
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            assert cancelling() == 1
            assert begun == ended
            return "cancelled"
        assert begun == ended == jobs
        assert cancelling() == 0
        return "well"

    async def main() -> str:
        task = asyncio.create_task(use())
        for _ in range(ticks + 1):
            await asyncio.sleep(0)
        told = task.cancel()
        end = await task
        assert told == (end == "cancelled")
        return end

    assert asyncio.run(main()) in {"cancelled", "well"}


def test_go_that_was_cancelled_at_the_limit_adds_nothing() -> None:
    """Promise 14: a timeout around ``go`` takes that job back alone; the group goes on."""

    async def main() -> list[str]:
        release = asyncio.Event()

        async def hold() -> str:
            await release.wait()
            return "held"

        async with AsyncGroup(limit=1) as group:
            first = await group.go(hold)
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(group.go(must_not_start), 0.01)
            release.set()
            second = await group.go(hold)
        assert second.name == "hold[1]"
        return [first.result(), second.result()]

    assert asyncio.run(main()) == ["held", "held"]


@pytest.mark.parametrize("where", ["around", "inside"])
def test_a_timeout_of_asyncio_works_with_a_group(where: str) -> None:
    """Promise 14: around the group it is a cancellation from outside, in the block its own."""

    async def main() -> None:
        around, inside = (0.02, None) if where == "around" else (None, 0.02)
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(around), AsyncGroup() as group:
                handle = await group.go(asyncio.sleep, LONG)
                async with asyncio.timeout(inside):
                    await asyncio.sleep(LONG)
        assert type(caught.value) is TimeoutError
        assert handle.state in ("cancelled", "not started")
        assert cancelling() == 0

    asyncio.run(main())
