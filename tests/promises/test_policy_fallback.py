"""Policies: a job with a ``fallback`` gives that instead of failing; ``when`` gives it too."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gofer import Cancelled, Context, JobManager, JobPanic, JobSkipped, job


class Boom(Exception):
    """What jobs fail with."""


async def test_the_error_is_kept_and_the_run_goes_on(backend: Any, log: Any, watcher: Any) -> None:
    """Dependents get the value; the record has both, and the failure was announced."""
    error = Boom("text")

    async def fails() -> None:
        raise error

    async def dependent(*, fails: list[int]) -> list[int]:
        return [*fails, 1]

    jobs = [backend.job(fails, fallback=[]), backend.job(dependent)]
    run = await backend.execute(JobManager(jobs, observers=[watcher]))
    record = run.record("fails")
    assert run.results == {"fails": [], "dependent": [1]}
    assert (record.state, record.error, record.fell_back) == ("succeeded", error, True)
    assert (run.ok, run.error, run.errors) == (True, None, ())
    assert log.messages == ["job 'fails' failed: Boom: text"]
    assert "fell back" in str(run)
    assert "Boom: text" in str(run)
    assert watcher.failed.is_set()


async def test_none_is_a_fallback(backend: Any) -> None:
    """``fallback=None`` is not the same as none."""

    async def fails() -> None:
        raise Boom

    run = await backend.execute(JobManager([backend.job(fails, fallback=None)]))
    assert run["fails"] is None


async def test_a_function_gets_the_exception(backend: Any) -> None:
    """And what it returns is the result; for an async job it may be async."""
    error = Boom("text")

    async def fails() -> None:
        raise error

    async def awaited(error: Exception) -> str:
        await asyncio.sleep(0)
        return str(error)

    fallback = awaited if backend.is_async else str
    run = await backend.execute(JobManager([backend.job(fails, fallback=fallback)]))
    assert run["fails"] == "text"


async def test_a_fallback_that_raises_is_the_jobs_failure(backend: Any) -> None:
    """Its error is the one that comes out."""

    async def fails() -> None:
        raise Boom

    def fallback(error: Exception) -> None:
        raise KeyError("mine") from error

    run = await backend.execute(JobManager([backend.job(fails, fallback=fallback)]), check=False)
    assert isinstance(run.error, KeyError)
    assert isinstance(run.error.__cause__, Boom)
    assert run.record("fails").state == "failed"


async def test_a_job_that_ends_well_needs_none(backend: Any) -> None:
    """The fallback is not even asked."""

    def never(error: Exception) -> None:
        raise AssertionError

    run = await backend.execute(JobManager([backend.job(lambda: 1, name="job", fallback=never)]))
    assert run["job"] == 1
    assert not run.record("job").fell_back


async def test_a_panic_falls_back_as_a_job_panic(backend: Any) -> None:
    """The report has the ``JobPanic`` with the original as its cause."""

    async def exits() -> None:
        raise SystemExit(3)

    run = await backend.execute(JobManager([backend.job(exits, fallback=0)]))
    assert run["exits"] == 0
    assert isinstance(run.record("exits").error, JobPanic)
    assert isinstance(run.record("exits").error.__cause__, SystemExit)


async def test_a_raw_panic_does_not_fall_back(backend: Any) -> None:
    """``recover=False`` is the wish to see it."""

    async def exits() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        await backend.execute(JobManager([backend.job(exits, fallback=0)], recover=False))


@pytest.mark.parametrize("kind", [asyncio.CancelledError, Cancelled])
async def test_a_cancellation_nobody_asked_for_does_not_fall_back(backend: Any, kind: Any) -> None:
    """Cancellation never becomes a fallback, not even one that is a panic."""

    async def raises() -> None:
        raise kind

    with pytest.raises(JobPanic):
        await backend.execute(JobManager([backend.job(raises, fallback=0)]))


async def test_a_stopped_run_does_not_fall_back(backend: Any) -> None:
    """A job that is cancelled with its run is cancelled."""
    started = backend.Event()

    async def slow(ctx: Context) -> None:
        started.set()
        await backend.until_cancelled(ctx)

    async def stop() -> None:
        await started.wait()
        ctx.cancel()

    ctx = Context()
    jobs = [backend.job(slow, fallback=0), backend.job(stop)]
    with pytest.raises(Cancelled):
        await backend.execute(JobManager(jobs), ctx)


async def test_a_skipped_job_gives_its_fallback_to_its_dependents(backend: Any) -> None:
    """Or None, if it has none; a function gets a ``JobSkipped``."""

    async def dependent(*, plain: Any, value: Any, made: Any) -> Any:
        return plain, value, made

    def never() -> None:
        raise AssertionError

    no = {"when": lambda ctx, param: False}
    jobs = [
        backend.job(never, name="plain", **no),
        backend.job(never, name="value", fallback=7, **no),
        backend.job(never, name="made", fallback=lambda error: error, **no),
        backend.job(dependent),
    ]
    run = await backend.execute(JobManager(jobs))
    plain, value, made = run["dependent"]
    assert (plain, value, str(made)) == (None, 7, "job 'made' was skipped: its `when` said no")
    assert isinstance(made, JobSkipped)
    record = run.record("value")
    assert (record.state, record.attempts, record.fell_back) == ("skipped", (), False)


async def test_when_is_asked_once_and_before_all_else(backend: Any) -> None:
    """A job with policies runs where its predicate of ``(ctx, param)`` says yes."""
    asked = []

    def when(ctx: Context, param: int) -> bool:
        asked.append(param)
        return param > 1

    left = [ConnectionError()]

    async def flaky() -> str:
        if left:
            raise left.pop()
        return "ok"

    manager = JobManager([backend.job(flaky, when=when, retry=3, fallback="none")])
    assert (await backend.execute(manager, None, 2))["flaky"] == "ok"
    assert (await backend.execute(manager, None, 1))["flaky"] == "none"
    assert asked == [2, 1]


def test_a_job_keeps_its_policies_where_others_are_added() -> None:
    """``job(job(...))`` changes what is said anew; a method keeps them when it is bound."""

    class Shop:
        @job(fallback="closed", timeout=9.0)
        def open(self) -> str:
            raise Boom

    assert JobManager([Shop().open]).execute()["open"] == "closed"
    again = job(Shop().open, fallback="tomorrow")
    assert again.policy.timeout == 9.0
    assert JobManager([again]).execute()["open"] == "tomorrow"
    assert job(Shop.open, timeout=None).policy.timeout is None
