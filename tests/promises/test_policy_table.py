"""Policies together: each line of the table in ``docs/policies.md``, in its order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gofer import (
    Breaker,
    BreakerOpen,
    Cancelled,
    Context,
    JobManager,
    JobTimeout,
    Retry,
)

from .virtual import Virtual, virtual

__all__ = ["virtual"]  # a fixture

PAGE = Path(__file__).parents[2] / "docs" / "policies.md"
NO_PAUSE = {"wait_initial": 0.0}


def opened(at: float) -> Breaker:
    """Return a breaker that is open."""
    breaker = Breaker(1)
    breaker.ended(breaker.admit(at) or 0, KeyError(), at)
    return breaker


def held(manager: JobManager) -> int:
    """Return how many places of the limit ``db`` are held."""
    return len(manager._program().limits["db"]._held)


def test_each_line_of_the_table_has_its_test() -> None:
    """The table names the policies from outside in; the tests here stand in the same order."""
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    tests = re.findall(r"^async def test_(\w+?)_", Path(__file__).read_text("utf-8"), re.MULTILINE)
    assert rows == ["when", "fallback", "timeout", "retry", "limit", "hedge", "breaker"]
    assert list(dict.fromkeys(tests)) == rows


async def test_when_is_asked_once_and_before_all_else(backend: Any, virtual: Virtual) -> None:
    """A skipped job asks neither its limit nor its breaker, and gives its fallback."""
    asked = []

    def when(ctx: Context, param: object) -> bool:
        asked.append(param)
        return False

    breaker = opened(virtual.now)
    job = backend.job(
        lambda: 1, name="job", when=when, limit="db", breaker=breaker, retry=9, fallback=0
    )
    manager = JobManager([job], limits={"db": 1})
    run = await backend.execute(manager, None, "param")
    assert (run["job"], run.record("job").state, asked) == (0, "skipped", ["param"])


async def test_fallback_stands_in_for_any_failure_inside(backend: Any, virtual: Virtual) -> None:
    """The last attempt's error, a timeout, an open breaker: once, after all attempts."""
    asked: list[str] = []

    def fallback(error: Exception) -> str:
        asked.append(type(error).__name__)
        return "instead"

    async def fails() -> None:
        raise ConnectionError

    async def slow(ctx: Context) -> None:
        await backend.until_cancelled(ctx)

    retry = Retry(3, **NO_PAUSE)
    for fn, options in (
        (fails, {"retry": retry}),
        (slow, {"timeout": 1.0}),
        (fails, {"breaker": opened(virtual.now), "retry": retry}),
    ):
        job = backend.job(fn, name="job", fallback=fallback, **options)
        assert (await backend.execute(JobManager([job])))["job"] == "instead"
    assert asked == ["ConnectionError", "JobTimeout", "BreakerOpen"]


async def test_fallback_never_stands_in_for_a_cancellation(backend: Any) -> None:
    """Also where the cancelled job has all the policies that could hide it."""
    started = backend.Event()

    async def slow(ctx: Context) -> None:
        started.set()
        await backend.until_cancelled(ctx)

    async def stop() -> None:
        await started.wait()
        ctx.cancel()

    ctx = Context()
    job = backend.job(slow, fallback=1, timeout=99.0, retry=Retry(9, on=Exception), hedge=50.0)
    with pytest.raises(Cancelled):
        await backend.execute(JobManager([job, backend.job(stop)]), ctx)


async def test_timeout_covers_attempts_pauses_and_waits(backend: Any, virtual: Virtual) -> None:
    """The wait for a place, two attempts and the pause between them share one timeout."""
    virtual.jumps = False
    holds, leaves = backend.Event(), backend.Event()

    async def holder() -> None:
        holds.set()
        await leaves.wait()

    async def mover() -> None:
        line = manager._program().limits["db"]._line
        await backend.eventually(lambda: line)
        virtual.advance(2.0)
        leaves.set()

    async def flaky(ctx: Context) -> None:
        virtual.advance(2.0)
        raise ConnectionError

    retry = Retry(9, wait_initial=0.0)
    jobs = [
        backend.job(holder, limit="db"),
        backend.job(holds.wait, name="held"),
        backend.job(flaky, after=["held"], limit="db", retry=retry, timeout=7.0),
        backend.job(mover),
    ]
    manager = JobManager(jobs, limits={"db": 1})
    run = await backend.execute(manager, check=False)
    attempts = run.record("flaky").attempts
    assert [each.start for each in attempts] == [0.0, 4.0, 6.0]
    assert isinstance(run.error, (JobTimeout, ConnectionError))
    assert run.record("flaky").end == 8.0


async def test_retry_makes_attempts_until_something_outside_or_final(
    backend: Any, virtual: Virtual
) -> None:
    """An open breaker ends them, as does a panic; each attempt asks the breaker anew."""
    breaker = Breaker(3)

    async def fails() -> None:
        raise ConnectionError

    job = backend.job(fails, retry=Retry(9, on=Exception, **NO_PAUSE), breaker=breaker)
    run = await backend.execute(JobManager([job]), check=False)
    assert isinstance(run.error, BreakerOpen)
    assert len(run.record("fails").attempts) == 4


async def test_limit_is_entered_by_each_attempt(backend: Any, virtual: Virtual) -> None:
    """Its place is given back before the pause, and after the last call."""
    seen = []

    def on(error: Exception) -> float:
        seen.append(held(manager))
        return 1.0

    async def fails() -> None:
        seen.append(held(manager))
        raise ConnectionError

    job = backend.job(fails, limit="db", retry=Retry(2, on=on), fallback=None)
    manager = JobManager([job], limits={"db": 1})
    await backend.execute(manager)
    assert [*seen, held(manager)] == [1, 0, 1, 0]


async def test_hedge_makes_calls_within_an_attempt(backend: Any, virtual: Virtual) -> None:
    """The second call is one of the same attempt, with a place of its own."""
    virtual.jumps = False
    calls: list[int] = []

    async def ask(ctx: Context) -> int:
        calls.append(held(manager))
        if len(calls) == 1:
            while not ctx.cancelled:
                virtual.next()
                await backend.sleep(0.001)
        return len(calls)

    job = backend.job(ask, hedge=1.0, limit="db", retry=5)
    manager = JobManager([job], limits={"db": 2})
    run = await backend.execute(manager)
    assert (run["ask"], calls) == (2, [1, 2])
    assert [each.calls for each in run.record("ask").attempts] == [2]


async def test_breaker_is_asked_last_and_hears_of_every_call(
    backend: Any, virtual: Virtual
) -> None:
    """With the place in hand, which it gives back where it says no; each attempt counts."""
    breaker = Breaker(2, reset_after=5.0)
    seen = []

    async def fails() -> None:
        seen.append(held(manager))
        raise ConnectionError

    retry = Retry(2, **NO_PAUSE)
    job = backend.job(fails, limit="db", breaker=breaker, retry=retry, fallback=None)
    manager = JobManager([job], limits={"db": 1})
    await backend.execute(manager)
    assert (seen, breaker.state) == ([1, 1], "open")
    await backend.execute(manager)
    assert (seen, held(manager)) == ([1, 1], 0)
