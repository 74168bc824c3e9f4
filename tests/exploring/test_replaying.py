"""The same seed gives the same schedule, and whatever does not is said loudly."""

from __future__ import annotations

import asyncio
import threading
import time
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from gofer import Context, JobManager, job
from gofer.testing import Nondeterminism, Stuck, explore, exploring
from gofer.testing._schedules import as_text, from_text


def order() -> SimpleNamespace:
    """Return a param with a number."""
    return SimpleNamespace(total=0)


@job
def add(ctx: Context, order: Any) -> None:
    """Add to the total."""
    order.total += 5


@job
def fee(ctx: Context, order: Any) -> None:
    """Add to the total as well."""
    order.total += 1


MANAGER = JobManager([add, fee])


def test_what_was_found_is_a_story_with_lines_of_code() -> None:
    """Who did what, in which order, at which line; and how often they changed."""
    told = str(explore(MANAGER, order))
    assert [line.split("  ")[1] for line in told.splitlines()[1:-1] if line[2] != " "] == [
        "add",
        "fee",
        "add",
    ]
    assert "order.total += 5" in told
    assert "order.total += 1" in told
    assert "test_replaying.py:" in told
    assert told.startswith("broken after ")
    assert told.endswith("1 switch; seed='add@2>fee'")


def test_a_found_schedule_runs_again_from_its_seed() -> None:
    """In another exploration, alone; and from what was found."""
    found = explore(MANAGER, order).found
    assert found is not None
    again = explore(MANAGER, order, seed=found.seed, runs=1)
    assert again.runs == 1
    assert again.found is not None
    assert again.found.events == found.events == found.replay().events
    assert found.param.total in {1, 5}


@pytest.mark.parametrize("seed", [0, 7])
def test_the_same_seed_finds_the_same(seed: int) -> None:
    """Run for run, and event for event."""
    one, other = explore(MANAGER, order, seed=seed), explore(MANAGER, order, seed=seed)
    assert one.found is not None
    assert other.found is not None
    assert (one.runs, one.found.events) == (other.runs, other.found.events)


def test_seeds_hold_any_name() -> None:
    """Names with the signs of a seed in them come back as they were."""
    changes = {("a>b@c,d%", 3): "the clock", ("", 0): "ü (fails)"}
    assert from_text(as_text(changes)) == changes
    assert from_text(as_text({})) == {}


@pytest.mark.parametrize("seed", ["", "nonsense", "a@b>c", "a>b"])
def test_what_is_no_seed_is_refused(seed: str) -> None:
    """With what to write."""
    with pytest.raises(ValueError, match=r"is no seed; write .* found\.seed"):
        explore(MANAGER, order, seed=seed)


def test_no_runs_are_refused() -> None:
    """Nothing would be found in none."""
    with pytest.raises(ValueError, match="at least 1, got 0"):
        explore(MANAGER, order, runs=0)


def test_a_job_of_another_process_is_refused() -> None:
    """Nobody could tell when it goes on."""
    away = JobManager([job(lambda: 1, name="away", backend="process")])
    with pytest.raises(ValueError, match="job 'away' runs in another process"):
        explore(away)


def test_a_job_with_chance_in_it_is_named_as_such() -> None:
    """It goes another way the second time; the message says where the two part."""
    numbers = count()

    @job
    def moody(ctx: Context, order: Any) -> None:
        if next(numbers) % 2:
            order.total += 1

    with pytest.raises(Nondeterminism, match=r"'moody' reads .*, not 'moody' ends"):
        explore(JobManager([moody]), order)


def test_chance_that_shows_later_is_noticed_as_well() -> None:
    """In the midst of exploring all schedules, or where one that broke does not break again."""
    numbers = count()

    @job
    def moody(ctx: Context, order: Any) -> None:
        if next(numbers) == 6:
            order.total = order.total + 1

    with pytest.raises(Nondeterminism):
        explore(JobManager([moody, add, fee]), order, check=lambda order, _: order.total != 7)


def test_a_job_that_blocks_by_other_means_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock from before the run cannot be waited for: that other job has it and may not go on."""
    monkeypatch.setattr(exploring, "_STUCK_AFTER", 0.3)
    lock = threading.Lock()

    @job
    def one(ctx: Context, order: Any) -> None:
        with lock:
            order.total += 1

    made = JobManager([one, job(one.fn, name="other")])
    with pytest.raises(Stuck, match=r"job '\w+' has blocked for 0.3 s at .*replaying.py:\d+"):
        explore(made, order)
    lock.acquire(blocking=False)
    lock.release()


def test_nothing_takes_time() -> None:
    """Sleeps, deadlines, timeouts and pauses of an hour: a hundred runs in no time."""

    @job(retry=2, timeout=7200)
    async def slow(ctx: Context) -> float:
        await asyncio.sleep(3600)
        return 1.0

    @job
    def slower(ctx: Context) -> None:
        time.sleep(3600)
        ctx.sleep(3600)

    before = time.monotonic()
    assert explore(JobManager([slow, slower]), runs=100).found is None
    assert time.monotonic() - before < 600


def test_everything_is_as_before_afterwards() -> None:
    """Also after an exploration that raised."""
    before = threading.Lock, time.sleep, JobManager.execute, Context.check, threading.Thread.start
    with pytest.raises(ValueError, match="no seed"):
        explore(MANAGER, order, seed="nonsense")
    explore(MANAGER, order)
    after = threading.Lock, time.sleep, JobManager.execute, Context.check, threading.Thread.start
    assert before == after
    assert type(threading.Lock()) is type(before[0]())
    assert MANAGER.execute(None, order()).state == "succeeded"


def test_runs_elsewhere_in_the_process_go_on() -> None:
    """What other threads do is not controlled, and has real locks and real time."""
    results: list[Any] = []
    stop = threading.Event()

    def execute() -> None:
        lock = threading.Lock()
        with lock:
            results.append(time.monotonic())
        stop.wait(0.001)

    def serve() -> None:
        while not stop.is_set():
            execute()

    thread = threading.Thread(target=serve)
    thread.start()
    explore(MANAGER, order)
    stop.set()
    thread.join()
    assert results


def test_an_async_function_can_be_explored() -> None:
    """It makes its runs itself, on the explorer's loop."""

    async def work(order: Any) -> int:
        @job
        async def one() -> None:
            total = order.total
            await asyncio.sleep(1)
            order.total = total + 1

        await JobManager([one, job(one.fn, name="other")]).aexecute()
        return int(order.total)

    found = explore(work, order, check=lambda _, total: total == 2).found
    assert found is not None
    assert {"one", "other"} <= {event[0] for event in found.events}


def test_threads_of_a_job_are_explored_too() -> None:
    """``asyncio.to_thread`` and threads that a job starts and joins."""

    @job
    async def one(ctx: Context, order: Any) -> None:
        await asyncio.to_thread(add.fn, ctx, order)

    @job
    def other(ctx: Context, order: Any) -> None:
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
        assert not thread.is_alive()
        order.total += 1

    result = explore(JobManager([one, other]), order, check=lambda order, _: order.total == 6)
    assert result.found is not None
    assert any("thread" in event[0] for event in result.found.events)
