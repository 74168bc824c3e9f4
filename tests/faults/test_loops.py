"""Row 31 and row 24: the event loop is stopped, closed or blocked under a run."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from typing import Any

import pytest

from gofer import (
    Cancelled,
    Context,
    DeadlineExceeded,
    Group,
    JobManager,
    RunningLoopError,
    job,
)
from gofer._core.lanes import LOOP
from gofer._core.schedule import Schedule
from gofer.backends import loop_backend

from .programs import ends


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What ``sys.unraisablehook`` was told."""
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    return told


async def two() -> int:
    """Work."""
    await asyncio.sleep(0)
    return 2


def test_the_background_loop_hung_once_a_job_had_stopped_it() -> None:
    """``loop.stop()`` of a job stops nobody: its own run and all others go on."""

    async def stops() -> int:
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0)
        return 1

    assert JobManager([job(stops), job(two)]).execute().results == {"stops": 1, "two": 2}
    assert JobManager([job(two)]).execute()["two"] == 2


def test_the_background_loop_died_of_an_exit_in_a_task_of_a_jobs_own(
    unraisable: list[Any],
) -> None:
    """SystemExit out of a callback or a task ends asyncio's loops; this one it does not."""

    async def leaves() -> None:
        sys.exit("from a task of its own")

    async def starts() -> int:
        loop = asyncio.get_running_loop()
        loop.call_soon(sys.exit, "from a callback")
        await asyncio.sleep(0)
        task = loop.create_task(leaves())
        await asyncio.wait([task])
        assert isinstance(task.exception(), SystemExit)
        return 1

    loop = loop_backend().background_loop()
    assert JobManager([job(starts), job(two)]).execute().results == {"starts": 1, "two": 2}

    assert [str(each.exc_value) for each in unraisable] == [
        "from a callback",
        "from a task of its own",
    ]
    assert loop_backend().background_loop() is loop


def test_a_loop_that_is_closed_under_a_run_leaves_its_threads_free() -> None:
    """Sync jobs end, nobody hangs, the hook is told that the loop is gone, and the next run works.

    A program of its own, as asyncio complains of each coroutine that is thrown away.
    """
    done = ends("""
    import gc
    told, started, go = [], threading.Event(), threading.Event()
    sys.unraisablehook = lambda facts: told.append(facts.err_msg)

    def sync():
        started.set()
        assert go.wait(30)
        say("ended")

    async def waits():
        await asyncio.sleep(3600)

    async def two():
        return 2

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, facts: None)
    task = loop.create_task(JobManager([job(sync), job(waits)]).aexecute())
    while not started.is_set():
        loop.run_until_complete(asyncio.sleep(0.001))
    loop.close()
    del task
    go.set()
    until = time.monotonic() + 30
    while not told and time.monotonic() < until:
        time.sleep(0.001)
        gc.collect()  # which closes the coroutines that waited
    say(set(told))
    say(JobManager([job(two)]).execute()["two"])
    """)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["ended", "{'the event loop of a run is gone'}", "2"]


def test_a_job_that_stops_its_callers_loop_ends_the_run() -> None:
    """The loop is the caller's, so asyncio's own error comes out, and every job has ended."""
    ended: list[str] = []

    async def stops() -> None:
        asyncio.get_running_loop().stop()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("stops")

    with pytest.raises(RuntimeError, match="stopped before Future completed"):
        asyncio.run(JobManager([job(stops)]).aexecute())

    assert ended == ["stops"]


def test_a_closed_loop_is_no_matter_to_the_next_run() -> None:
    """A manager belongs to no loop: a hundred loops, one after the other, execute it."""
    manager = JobManager([job(two), job(lambda: 1, name="one")], limit=1)
    for _ in range(100):
        assert asyncio.run(manager.aexecute()).results == {"two": 2, "one": 1}


@pytest.mark.parametrize("awaits", [True, False])
def test_a_deadline_that_passes_while_the_loop_is_blocked_is_raised(awaits: bool) -> None:
    """Row 24: the job never awaits again and returns; asyncio and trio would say nothing."""

    async def blocks(ctx: Context) -> int:
        while not ctx.cancelled:
            time.sleep(0.001)
        return 1

    manager = JobManager([job(blocks)])
    with Context(timeout=0.05) as ctx, pytest.raises(DeadlineExceeded):
        asyncio.run(manager.aexecute(ctx)) if awaits else manager.execute(ctx)


def test_a_blocked_loop_is_told_with_its_line(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """Row 24: the warning on a deaf job names the line that blocks, from another thread."""
    monkeypatch.setattr("gofer.backends._execution.DEAF_AFTER", 0.0)

    async def blocks() -> None:
        until = time.monotonic() + 30
        while "still runs" not in caplog.text and time.monotonic() < until:
            time.sleep(0.001)

    with Context(timeout=0.01) as ctx, pytest.raises(DeadlineExceeded):
        asyncio.run(JobManager([job(blocks)]).aexecute(ctx))

    assert f"job 'blocks' still runs at {__file__}:" in caplog.text


@pytest.mark.parametrize("fails", [True, False])
@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("awaits", [True, False])
def test_a_run_hung_whose_job_on_a_loop_could_not_be_booked(
    monkeypatch: pytest.MonkeyPatch, caplog: Any, awaits: bool, beside: bool, fails: bool
) -> None:
    """Row 20: no memory to book a job: the run ends with that as its cause, as in threads."""
    turn = Schedule.turn

    def out_of_memory(core: Schedule, i: int, outcome: int, lane: int, at: float) -> int:
        if lane == LOOP:
            raise MemoryError("none left")
        return turn(core, i, outcome, lane, at)

    async def work() -> None:
        if fails:
            raise MemoryError("first")

    jobs = [job(work), job(two, after=["work"]), *[job(lambda: 1, name="beside")] * beside]
    manager = JobManager(jobs)
    monkeypatch.setattr(Schedule, "turn", out_of_memory)
    with pytest.raises(Cancelled) as caught:
        asyncio.run(manager.aexecute()) if awaits else manager.execute()

    assert "none left" in str(caught.value)
    assert "two" in caught.value.__notes__[0].partition("not started: ")[2]
    monkeypatch.undo()
    assert manager.execute(check=False).ok is not fails
    del caught  # its traceback may have the task
    gc.collect()  # asyncio tells of the job's task now
    assert "none left" in caplog.text


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("awaits", [True, False])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_run_hung_whose_loop_could_not_take_jobs(
    monkeypatch: pytest.MonkeyPatch, at: int, awaits: bool, beside: bool
) -> None:
    """Row 20: no memory to take what is ready: what runs is cancelled, and the run ends."""
    take_many, calls = Schedule.take_many, []

    def out_of_memory(core: Schedule, lane: int, *args: Any) -> list[int]:
        if lane == LOOP:
            calls.append(args)
            if len(calls) == at:
                raise MemoryError("none left")
        return take_many(core, lane, *args)

    @job
    async def work() -> None:
        await asyncio.sleep(0)

    @job(after=["work"])
    async def more() -> None:
        await asyncio.sleep(0)

    @job(after=["more"])
    async def last() -> None:
        await asyncio.sleep(0)

    jobs = [work, more, last, *[job(lambda: 1, name="beside")] * beside]
    manager = JobManager(jobs)
    monkeypatch.setattr(Schedule, "take_many", out_of_memory)
    with pytest.raises(Cancelled) as caught:
        asyncio.run(manager.aexecute()) if awaits else manager.execute()
    monkeypatch.undo()

    assert "none left" in str(caught.value)
    assert manager.execute().ok


def test_execute_in_a_thread_beside_a_loop_is_taken() -> None:
    """Row 31: the wrong thread is the one in which the loop runs, and no other."""
    manager = JobManager([job(two)])

    async def main() -> object:
        with pytest.raises(RunningLoopError, match="write: run = await"):
            manager.execute()
        with pytest.raises(RunningLoopError, match="async with AsyncGroup"):
            Group().__enter__()
        return await asyncio.to_thread(manager.execute)

    assert asyncio.run(main())["two"] == 2  # type: ignore[index]
