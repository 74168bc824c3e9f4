"""Promises 11 and 15: what a failure does to the others, and who hears of it."""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gofer import Cancelled, Context, JobManager, Observer, job


class Boom(Exception):
    """What jobs fail with."""


# 11. After a failure no job starts. Running async jobs are cancelled; running sync jobs see
#     `ctx.cancelled`; both are waited for. A job deaf to cancellation is named in a warning, with
#     the line of code where it stands, after 5 s.


@pytest.mark.parametrize("limit", [1, 3])
async def test_after_a_failure_no_job_starts(backend: Any, limit: int) -> None:
    """Promise 11: neither what is ready and waits for the limit, nor what needs other jobs."""
    started: list[str] = []

    async def fails() -> None:
        raise Boom

    async def other(ctx: Context) -> None:
        started.append("other")
        await backend.until_cancelled(ctx)

    async def dependent() -> None:
        started.append("dependent")

    jobs = [
        backend.job(fails),
        *backend.jobs(100, other),
        *(backend.job(dependent, name=f"d{i}", after=["fails", str(i)]) for i in range(100)),
    ]
    run = await backend.execute(JobManager(jobs, limit=limit), check=False)
    states = [record.state for record in run.records]

    assert started == ["other"] * states.count("cancelled")
    assert len(started) < limit
    assert set(states[len(started) + 1 :]) == {"not started"}
    assert type(run.error) is Boom


async def test_running_jobs_see_the_failure_and_are_waited_for(backend: Any) -> None:
    """Promise 11: their ctx is cancelled, with the first error as its cause, and they may end."""
    barrier, error = backend.Barrier(21), Boom()
    seen: list[object] = []

    async def fails() -> None:
        await barrier.wait()
        raise error

    async def other(ctx: Context) -> None:
        try:
            await barrier.wait()
            await backend.until_cancelled(ctx)
        finally:
            await backend.sleep(0.05)
            seen.append((ctx.cancelled, ctx.cause))

    with Context() as ctx, pytest.raises(Boom):
        await backend.execute(JobManager([*backend.jobs(20, other), backend.job(fails)]), ctx)
    assert seen == [(True, error)] * 20


async def test_a_failure_does_not_cancel_the_callers_context(backend: Any) -> None:
    """Promise 11: a run's context is a child of the caller's."""

    async def fails() -> None:
        raise Boom

    with Context() as ctx:
        with pytest.raises(Boom):
            await backend.execute(JobManager([backend.job(fails)]), ctx)
        assert not ctx.cancelled


@pytest.mark.parametrize("backend", ["threads", "loop"], indirect=True)
async def test_a_failure_reaches_jobs_of_the_other_kind(backend: Any) -> None:
    """Promise 11: a sync failure cancels async jobs, an async failure sync ones."""
    for kind in (True, False):
        barrier = backend.Barrier(2)

        async def fails(ctx: Context, barrier: Any) -> None:
            await barrier.wait()
            raise Boom

        async def other(ctx: Context, barrier: Any) -> None:
            await barrier.wait()
            await backend.until_cancelled(ctx)

        jobs = [backend.job(fails, is_async=kind), backend.job(other, is_async=not kind)]
        run = await backend.execute(JobManager(jobs), None, barrier, check=False)

        assert [record.state for record in run.records] == ["failed", "cancelled"]


async def test_a_deaf_job_is_named_in_a_warning_with_its_line(
    backend: Any, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 11: the log says which job is still waited for, and the line where it stands."""
    monkeypatch.setattr("gofer.backends._execution.DEAF_AFTER", 0.05)
    begun, ended = backend.Event(), backend.Event()

    async def fails() -> None:
        await begun.wait()
        raise Boom

    def blocks() -> None:
        begun.set()
        while not any("deaf" in each for each in log.messages):
            time.sleep(0.01)
        ended.set()

    async def awaits() -> None:
        begun.set()
        while not any("deaf" in each for each in log.messages):
            future = asyncio.get_running_loop().create_future()
            future.get_loop().call_later(0.01, future.cancel)
            try:
                await future
            except asyncio.CancelledError:
                pass
        ended.set()

    deaf = awaits if backend.is_async else blocks
    with pytest.raises(Boom):
        await backend.execute(JobManager([backend.job(fails), job(deaf, name="deaf")]))
    (warning,) = [each for each in log.messages if "'deaf'" in each]
    place = re.search(re.escape(Path(__file__).name) + r"\D+(\d+)", warning)
    lines, first = inspect.getsourcelines(deaf)

    assert ended.is_set()  # it was waited for
    assert place is not None
    assert first < int(place[1]) < first + len(lines)


async def test_a_job_that_swallows_its_cancellation_cannot_hide_the_error(backend: Any) -> None:
    """Promise 11: its result is worth nothing to what needs it; the first error comes out."""
    barrier = backend.Barrier(2)
    started: list[str] = []

    async def fails() -> None:
        await barrier.wait()
        raise Boom

    async def swallows(ctx: Context) -> str:
        try:
            await barrier.wait()
            await backend.until_cancelled(ctx)
        except BaseException:
            pass
        return "as if nothing had happened"

    jobs = [
        backend.job(swallows),
        backend.job(fails),
        backend.job(lambda: started.append("later"), name="later", after=["swallows"]),
    ]
    with pytest.raises(Boom):
        await backend.execute(JobManager(jobs))

    assert started == []


# 15. A failure is announced when it happens (observers, log at WARNING), not only at the end.


@pytest.mark.parametrize("fail_fast", [True, False])
async def test_a_failure_is_logged_when_it_happens(backend: Any, log: Any, fail_fast: bool) -> None:
    """Promise 15: the warning is there while the run goes on, and names job, type and text."""

    async def fails() -> None:
        raise Boom("what went wrong")

    async def sibling() -> None:
        await backend.eventually(lambda: log.messages)

    jobs = [backend.job(sibling), backend.job(fails)]
    run = await backend.execute(JobManager(jobs, fail_fast=fail_fast), check=False)

    assert run.record("fails").state == "failed"
    assert "'fails'" in log.messages[0]
    assert "Boom: what went wrong" in log.messages[0]


@pytest.mark.parametrize("fail_fast", [True, False])
async def test_observers_hear_of_a_failure_when_it_happens(
    backend: Any, watcher: Any, fail_fast: bool
) -> None:
    """Promise 15: ``job_ended`` comes while a sibling still runs."""

    async def fails() -> None:
        raise Boom

    async def sibling() -> None:
        await backend.eventually(watcher.failed.is_set)

    jobs = [backend.job(sibling), backend.job(fails)]
    manager = JobManager(jobs, observers=[watcher], fail_fast=fail_fast)
    run = await backend.execute(manager, check=False)

    assert watcher.told[0] == ("run_started", "running")
    assert watcher.told[-1] == ("run_ended", "failed")
    assert sorted(watcher.told[1:-1]) == [
        ("job_ended", "fails"),
        ("job_ended", "sibling"),
        ("job_started", "fails"),
        ("job_started", "sibling"),
    ]
    assert watcher.told.index(("job_ended", "fails")) < watcher.told.index(("job_ended", "sibling"))
    assert watcher.run is run


async def test_an_observer_that_raises_harms_nobody(
    backend: Any, watcher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 15: its errors go to ``sys.unraisablehook``; the run and other observers go on."""
    unraisable: list[BaseException] = []

    class Broken(Observer):
        def run_started(self, run: Any) -> None:
            raise Boom

        def job_started(self, run: Any, name: str) -> None:
            raise SystemExit

        def job_ended(self, run: Any, record: Any) -> None:
            raise KeyError

        def run_ended(self, run: Any) -> None:
            raise Cancelled

    def hook(args: Any) -> None:
        unraisable.append(args.exc_value)
        sys.__unraisablehook__(args)  # what programs have; it takes nothing but the real thing

    monkeypatch.setattr(sys, "unraisablehook", hook)
    manager = JobManager([backend.job(lambda: 1, name="one")], observers=[Broken(), watcher])
    run = await backend.execute(manager)

    assert run["one"] == 1
    assert [type(error) for error in unraisable] == [Boom, SystemExit, KeyError, Cancelled]
    assert [method for method, _ in watcher.told] == [
        "run_started",
        "job_started",
        "job_ended",
        "run_ended",
    ]
