"""Row 27: a run is cancelled with 0 to 15 jobs before and 0 to 15 after, each of them for a day.

768 cells for each way to cancel: 16 x 16 in three modes. The jobs before run when the cancellation
comes, those after are ready and wait for a place; none of either kind may be lost or left.

Source: the JDK's tests of ``StructuredTaskScope`` do the same with forks before and after.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from gofer import Cancelled, Context, JobManager, job

from .modes import Mode

DAY = 86_400.0


class Cell:
    """One run: how many jobs stand before the one that sees to the cancellation, and after it."""

    def __init__(self, mode: Mode, before: int, after: int) -> None:
        self.mode, self.before = mode, before
        self.began = threading.Semaphore(0)
        self.ended: list[str] = []
        jobs = [job(self.kind(self.sleeps, self.awaits), name=f"b{i}") for i in range(before)]
        last = job(self.kind(self.cancels, self.cancels_on_loop), name="cancels")
        ready = [job(self.kind(self.sleeps, self.awaits), name=f"a{i}") for i in range(after)]
        self.manager = JobManager([*jobs, last, *ready], limit=before + 1)

    def kind(self, sync: Callable[..., Any], on_loop: Callable[..., Any]) -> Callable[..., Any]:
        return on_loop if self.mode.is_async else sync

    def sleeps(self, ctx: Context) -> None:
        self.began.release()
        try:
            ctx.sleep(DAY)
        finally:
            self.ended.append("one")

    async def awaits(self) -> None:
        self.began.release()
        try:
            await asyncio.sleep(DAY)
        finally:
            self.ended.append("one")

    def cancels(self, ctx: Context) -> None:
        for _ in range(self.before):
            assert self.began.acquire(timeout=30)
        self.cancel(ctx)
        ctx.sleep(DAY)

    async def cancels_on_loop(self, ctx: Context) -> None:
        for _ in range(self.before):
            while not self.began.acquire(blocking=False):
                await asyncio.sleep(0)
        self.cancel(ctx)
        await asyncio.sleep(DAY)

    cancel: Callable[[Context], None]


def by_the_job(cell: Cell) -> None:
    """A job of the same run cancels its context."""
    cell.cancel = lambda ctx: ctx.cancel("enough")


def by_a_thread(cell: Cell) -> None:
    """Another thread does."""

    def cancel(ctx: Context) -> None:
        thread = threading.Thread(target=ctx.cancel, args=("enough",))
        thread.start()
        thread.join()

    cell.cancel = cancel


def by_a_signal(cell: Cell) -> None:
    """A signal handler in the main thread does, which waits for the run."""
    # `signal.signal` works in the main thread alone, so the handler looks the context up.
    holder: list[Context] = []
    signal.signal(signal.SIGUSR1, lambda *_: holder.pop().cancel("enough"))

    def from_any_thread(ctx: Context) -> None:
        holder.append(ctx)
        os.kill(os.getpid(), signal.SIGUSR1)

    cell.cancel = from_any_thread


@pytest.fixture
def handler() -> Any:
    """Put back what SIGUSR1 did before."""
    if not hasattr(signal, "SIGUSR1"):
        pytest.skip("this system has no SIGUSR1")
    before = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("handler")
@pytest.mark.parametrize("way", [by_the_job, by_a_thread, by_a_signal])
@pytest.mark.parametrize("name", ["threads", "loop", "background"])
def test_each_of_256_cells_is_cancelled_whole(name: str, way: Callable[[Cell], None]) -> None:
    """What ran is cancelled and has ended, what waited never starts, and Cancelled says why."""
    for before in range(16):
        for after in range(16):
            cell = Cell(Mode(name), before, after)
            way(cell)
            run = cell.mode.execute(cell.manager, check=False)

            where = f"{before} before, {after} after"
            assert type(run.error) is Cancelled, where
            assert run.error.cause == "enough", where
            states = [record.state for record in run.records]
            expected = ["cancelled"] * (before + 1) + ["not started"] * after
            assert states == expected, where
            assert len(cell.ended) == before, where
