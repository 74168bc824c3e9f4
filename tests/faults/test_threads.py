"""Rows 20 and 34: a thread of Gofer's own dies or is refused, and nothing waits for it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from gofer import Cancelled, Context, Group, JobManager, _parts, job
from gofer._core.schedule import Schedule
from gofer.backends import _workers, loop_backend


@pytest.fixture
def dead() -> Any:
    """What died of which error, in place of a traceback on standard error."""
    died: list[Any] = []
    before, threading.excepthook = threading.excepthook, died.append
    yield died
    threading.excepthook = before


@pytest.mark.parametrize("fail_fast", [True, False])
@pytest.mark.parametrize("awaits", [True, False])
def test_a_thread_that_died_of_gofers_own_error_was_waited_for_or_named_wrongly(
    monkeypatch: pytest.MonkeyPatch, dead: list[Any], fail_fast: bool, awaits: bool
) -> None:
    """Row 20: no memory to book a job: the run ends with that as its cause, at once."""
    main, turn = threading.get_ident(), Schedule.turn

    def out_of_memory(core: Schedule, *args: Any) -> int:
        if threading.get_ident() != main:
            raise MemoryError("none left")
        return turn(core, *args)

    monkeypatch.setattr(Schedule, "turn", out_of_memory)
    barrier = threading.Barrier(3)
    jobs = [job(lambda: barrier.wait() * 0, name=f"j{i}") for i in range(3)]
    later = [job(lambda: 1, name=f"k{i}", after=["j0", "j1", "j2"]) for i in range(3)]
    manager = JobManager([*jobs, *later], fail_fast=fail_fast)
    with pytest.raises(Cancelled) as caught:
        asyncio.run(manager.aexecute()) if awaits else manager.execute()

    assert "MemoryError: none left" in str(caught.value)
    assert "not started: k0, k1, k2" in caught.value.__notes__[0]
    until = time.monotonic() + 30
    while not dead and time.monotonic() < until:  # the thread dies when the run is over already
        time.sleep(0.001)
    assert {each.exc_type for each in dead} == {MemoryError}
    dead.clear()
    monkeypatch.undo()
    assert manager.execute().ok


def refuse(_: threading.Thread) -> None:
    """Start nothing."""
    raise RuntimeError("can't start new thread")


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """No new threads, and none that is parked."""
    monkeypatch.setattr(_workers.workers, "_parked", [])
    monkeypatch.setattr(_parts, "start_thread", refuse)


@pytest.mark.usefixtures("refused")
def test_a_background_loop_that_cannot_be_had_is_one_readable_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Row 34: ``execute`` of async jobs raises; once there are threads again, it works."""

    async def work() -> int:
        return 1

    manager = JobManager([job(work)])
    with monkeypatch.context() as only_here:
        only_here.setattr(loop_backend(), "background_loop", loop_backend()._Background().loop)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            manager.execute()
    monkeypatch.undo()
    assert manager.execute()["work"] == 1


@pytest.mark.usefixtures("refused")
def test_a_job_of_a_group_without_threads_fails_and_does_not_wait() -> None:
    """Row 34: the block is the caller's, so nobody would ever do the job."""
    with pytest.raises(RuntimeError, match="can't start new thread") as caught, Group() as group:
        group.go(abs, -1)

    assert "job 'abs[0]' failed" in caught.value.__notes__[0]


@pytest.mark.usefixtures("refused")
def test_a_deadline_without_a_thread_is_seen_by_whoever_looks() -> None:
    """Row 34: the timer has no thread; a job that looks at its context ends all the same."""

    def looks(ctx: Context) -> None:
        while True:
            ctx.sleep(0.001)

    with Context(timeout=0.02) as ctx:
        run = JobManager([job(looks)]).execute(ctx, check=False)

    assert run.state == "cancelled"


def test_threads_that_are_refused_now_and_then_lose_no_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Row 34: every other start fails; each job runs once, in runs, groups and on loops."""
    start, asked = _parts.start_thread, [0]

    def now_and_then(thread: threading.Thread) -> None:
        asked[0] += 1
        if asked[0] % 2:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(_workers, "workers", _workers.Workers())
    monkeypatch.setattr(_parts, "start_thread", now_and_then)
    ran: list[int] = []
    works: Callable[[], object] = lambda: ran.append(1)  # noqa: E731
    for _ in range(50):
        JobManager([job(works, name=str(i)) for i in range(20)]).execute()
        with Group() as group:
            for _ in range(20):
                group.go(works)

    assert len(ran) == 50 * 40
