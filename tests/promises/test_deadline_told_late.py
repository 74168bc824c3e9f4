"""A deadline that has passed, and whose thread has not come to tell the run so before it ended.

That thread is preempted between marking the context and telling the run, for as long as the system
likes. What the jobs saw, and when they ended, decides; not who was faster.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

import gofer
from gofer import Cancelled, Context, DeadlineExceeded, Group, JobManager, job
from gofer.backends._execution import Execution


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Set once the deadline has passed; the timer's thread then stands still to the test's end."""
    passed, over = threading.Event(), threading.Event()
    stop = Execution.stop

    def held_up(execution: Execution) -> None:
        if threading.current_thread().name == "gofer:timer":
            passed.set()
            over.wait(30)
        stop(execution)

    monkeypatch.setattr(Execution, "stop", held_up)
    yield passed
    over.set()


def by_hand(manager: JobManager[Any, Any], ctx: Context) -> None:
    manager.execute(ctx)


def awaited(manager: JobManager[Any, Any], ctx: Context) -> None:
    asyncio.run(manager.aexecute(ctx))


@pytest.mark.parametrize("execute", [by_hand, awaited])
@pytest.mark.parametrize("sync", [True, False])
def test_a_run_succeeded_that_ended_before_its_deadline_was_told(
    marked: threading.Event, sync: bool, execute: Callable[..., None]
) -> None:
    """Its job saw the deadline pass, and ended well afterwards."""

    def waits() -> bool:
        return marked.wait(30)

    async def blocks() -> bool:
        return marked.wait(30)

    manager = JobManager([job(waits if sync else blocks)])
    with Context(timeout=0.05) as ctx, pytest.raises(DeadlineExceeded, match="has passed"):
        execute(manager, ctx)


def test_a_group_succeeded_that_ended_before_its_deadline_was_told(marked: threading.Event) -> None:
    """The same in a group; which of its jobs ended last does not depend on the order of telling."""
    with Context(timeout=0.05) as ctx, pytest.raises(DeadlineExceeded), Group(ctx) as group:
        group.go(marked.wait, 30)


@pytest.mark.parametrize("fail_fast", [True, False])
def test_an_error_after_a_deadline_that_was_not_told_yet_is_not_the_runs(
    marked: threading.Event, fail_fast: bool
) -> None:
    """A failure after the run has been cancelled is not its error; it is in the note."""

    def fails(ctx: Context) -> None:
        marked.wait(30)
        assert ctx.cancelled
        raise ValueError("too late")

    manager = JobManager([job(fails)], fail_fast=fail_fast)
    with Context(timeout=0.05) as ctx, pytest.raises(DeadlineExceeded) as caught:
        manager.execute(ctx)
    assert "ValueError: too late" in caught.value.__notes__[0]


def test_a_deadline_between_the_last_end_and_the_end_of_the_run_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All jobs had ended in time; that the caller came late to hear of it is not their fault."""
    ctx = Context(timeout=0.2)
    conclude = Execution.conclude

    def late(execution: Execution) -> BaseException | None:
        while not ctx.cancelled:
            time.sleep(0.001)
        return conclude(execution)

    monkeypatch.setattr(Execution, "conclude", late)
    assert JobManager([job(lambda: 1, name="one")]).execute(ctx)["one"] == 1


def test_a_run_of_nothing_is_in_time_whenever_that_was() -> None:
    """No job has come too late, in a deadline that had passed before or passed meanwhile."""

    def refused(ctx: Context) -> None:
        with Group(ctx) as group, suppress(Cancelled):
            group.go(abs, -1)

    with Context(timeout=-1) as ctx:
        assert JobManager([]).execute(ctx).ok
        assert list(gofer.map(abs, [], ctx=ctx)) == []
        refused(ctx)
