"""Rows 11, 12 and 26: failures that come together, and a wall clock that jumps."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Any

import pytest

from gofer import Context, DeadlineExceeded, Group, JobManager, _parts, job


class Boom(Exception):
    """What jobs fail with."""


def test_of_two_failures_in_one_tick_the_first_told_is_the_error_each_time() -> None:
    """Row 11: on one loop the order is that of the schedule, so a replay says the same."""

    async def fails(ctx: Context) -> None:
        await gate.wait()
        raise Boom("in the tick")

    async def late(ctx: Context) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            raise Boom("while cancelled")

    async def opens() -> None:
        gate.set()

    jobs = [job(fails, name=name) for name in "abc"]
    manager = JobManager([*jobs, job(late), job(opens)])
    seen = set()
    for _ in range(100):
        gate = asyncio.Event()
        run = asyncio.run(manager.aexecute(check=False))
        failed = tuple(record.name for record in run.records if record.state == "failed")
        first = next(record.name for record in run.records if record.error is run.error)
        seen.add((first, failed, tuple(map(str, run.errors))))

    assert len(seen) == 1, seen
    ((first, failed, errors),) = seen
    assert first == failed[0] == "a"
    assert "late" in failed
    assert errors[-1] == "while cancelled"


def test_of_two_failures_at_once_in_threads_both_are_kept_and_one_is_first() -> None:
    """Row 11: the one whose number is lower is raised; the other is in its note."""
    barrier = threading.Barrier(2)

    def fails() -> None:
        barrier.wait()
        raise Boom

    manager = JobManager([job(fails, name="a"), job(fails, name="b")])
    for _ in range(200):
        run = manager.execute(check=False)
        first, second = run.errors
        assert run.error is first
        other = "b" if run.record("a").error is first else "a"
        assert f"failed too: {other} (Boom)" in first.__notes__[0]
        assert run.record(other).error is second


def test_an_error_in_a_finally_of_a_cancelled_job_is_attached(mode: Any) -> None:
    """Row 12: the first failure comes out, the other is named in its note and kept."""
    barrier = threading.Barrier(2)

    def cleans(ctx: Context) -> None:
        try:
            barrier.wait(30)
            ctx.sleep(30)
        finally:
            raise Boom("in finally")

    def fails() -> None:
        barrier.wait(30)
        raise ConnectionError("first")

    async def cleans_on_loop(ctx: Context) -> None:
        try:
            await asyncio.sleep(30)
        finally:
            raise Boom("in finally")

    async def fails_on_loop() -> None:
        await asyncio.sleep(0)
        raise ConnectionError("first")

    fns = (cleans_on_loop, fails_on_loop) if mode.is_async else (cleans, fails)
    jobs = [job(fn, name=name) for fn, name in zip(fns, ("cleans", "fails"), strict=True)]
    run = mode.execute(JobManager(jobs), check=False)

    assert str(run.error) == "first"
    assert [str(each) for each in run.errors] == ["first", "in finally"]
    assert "failed too: cleans (Boom: in finally)" in run.error.__notes__[0]


def test_a_wall_clock_that_jumps_moves_no_deadline(
    monkeypatch: pytest.MonkeyPatch, mode: Any
) -> None:
    """Row 26: forty years ahead, then back: neither a deadline nor a timeout notices."""
    assert _parts.clock is time.monotonic
    jumps = iter([2e9, -1e9] * 1000)
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    monkeypatch.setattr(_parts, "wall_clock", lambda: int(next(jumps)) * 10**9)

    def work(ctx: Context) -> float | None:
        return ctx.remaining()

    async def waits(ctx: Context) -> None:
        await asyncio.sleep(30)

    with Context(timeout=3600) as ctx:
        run = mode.execute(JobManager([mode.job(work, timeout=1800)]), ctx)
    assert 1700 < run["work"] <= 1800
    with Context(timeout=0.01) as ctx, pytest.raises(DeadlineExceeded):
        mode.execute(JobManager([job(waits)]), ctx)
    assert all(0 <= (record.duration or 0) < 60 for record in run.records)


@pytest.mark.parametrize("how", ["execute", "aexecute", "group"])
def test_each_job_that_failed_took_a_thread_where_the_log_is_slow(how: str) -> None:
    """While a handler is at the first failure, 400 others are booked by a few threads.

    Each thread used to wait for the handler's lock, and others had to stand in for it.
    """
    threads: set[int] = set()
    told: list[str] = []
    many_have_run = threading.Event()

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            assert many_have_run.wait(60)
            told.append(record.getMessage())

    def fails() -> None:
        threads.add(threading.get_ident())
        ran.append(1)
        if len(ran) == 400:  # the speaker has its next job in hand
            many_have_run.set()
        raise ValueError("no")

    ran: list[int] = []
    handler = Slow()
    logging.getLogger("gofer").addHandler(handler)
    try:
        manager = JobManager([job(fails, name=str(i)) for i in range(500)], fail_fast=False)
        with pytest.raises(ExceptionGroup):
            if how == "group":
                with Group(fail_fast=False) as group:
                    for _ in range(500):
                        group.go(fails)
            elif how == "execute":
                manager.execute()
            else:
                asyncio.run(manager.aexecute())
    finally:
        logging.getLogger("gofer").removeHandler(handler)

    assert len(told) == len(ran) == 500, "something was said after the run, or never"
    assert len(threads) < 250
