"""A worker that dies in the middle of a run: no job runs twice that must not."""

from __future__ import annotations

import os
from typing import Any

import pytest

import gofer
from gofer import JobManager, job
from gofer.errors import JobCrashed


def die() -> None:
    """Kill the worker that this runs on, as the system does when memory runs out."""
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


def test_a_job_whose_worker_dies_fails_with_the_workers_name(harmed: Any, signals: Any) -> None:
    """It does not run again: nobody said that it may."""
    kill = by_value(die)

    @job
    def dies() -> None:
        signals.set("ran")
        kill()

    @job
    def never(*, dies: None) -> None:
        signals.set("never")

    run = JobManager([dies, never]).execute(backend=harmed, check=False)
    assert isinstance(run.error, JobCrashed)
    assert run.error.job == "dies"
    assert "tcp://" in run.error.worker
    assert "is gone" in str(run.error)
    assert run.record("never").state == "not started"
    assert signals.times("ran") == 1


@pytest.mark.parametrize("said", [{"idempotent": True}, {"retry": 2}], ids=["idempotent", "retry"])
def test_a_job_that_may_run_twice_runs_again_elsewhere(
    harmed: Any, signals: Any, said: dict[str, Any]
) -> None:
    """The report has the lost attempt."""
    kill = by_value(die)

    @job(**said)
    def dies_once() -> int:
        signals.set("ran")
        if signals.times("ran") == 1:
            import time

            time.sleep(0.1)  # the news that it runs goes out
            kill()
        return signals.times("ran")

    @job
    def after(*, dies_once: int) -> int:
        return dies_once

    run = JobManager([dies_once, after]).execute(backend=harmed)
    assert run["after"] == 2
    first, last = run.record("dies_once").attempts
    assert isinstance(first.error, JobCrashed)
    assert last.error is None


def test_what_a_lost_worker_had_done_is_not_done_again(harmed: Any, signals: Any) -> None:
    """Dask would: a result that is lost and still needed it makes anew, without a word."""
    kill = by_value(die)

    @job
    def done() -> int:
        import os

        signals.set("done")
        with open(f"{signals.folder}/pid", "w") as file:
            file.write(str(os.getpid()))
        return 1

    @job
    def kills(*, done: int) -> None:
        kill()

    @job(after=["kills"])
    def needs(*, done: int) -> int:
        return done

    manager = JobManager([done, kills, needs], fail_fast=False)
    run = manager.execute(backend=harmed, check=False)
    assert isinstance(run.record("kills").error, JobCrashed)
    assert signals.times("done") == 1
    assert run.record("done").state == "succeeded"
    assert run.record("needs").state == "not started"


def test_a_result_that_is_lost_after_the_run_is_a_crash(harmed: Any, signals: Any) -> None:
    """To fetch it says so; it is not made again."""

    @job
    def done() -> int:
        signals.set("done")
        return os.getpid()

    run = JobManager([done]).execute(backend=harmed)
    before = set(harmed.client.scheduler_info()["workers"])
    pid = run["done"]
    os.kill(pid, 9)
    harmed.client.sync(_until_gone, harmed.client, before)
    with pytest.raises(JobCrashed, match="job 'done'"):
        run["done"]
    assert signals.times("done") == 1


async def _until_gone(client: Any, before: set[str]) -> None:
    import asyncio

    while before <= set((await client.scheduler.identity())["workers"]):
        await asyncio.sleep(0.01)


def test_other_jobs_go_on_where_nothing_was_lost(harmed: Any, signals: Any) -> None:
    """With ``fail_fast=False`` and jobs that may run twice, one dead worker costs one job."""
    kill = by_value(die)

    def count(n: int = 0) -> int:
        return 1

    @job
    def dies() -> None:
        import time

        time.sleep(0.1)
        kill()

    many = [job(count, name=f"n{i}", idempotent=True) for i in range(50)]
    manager = JobManager([dies, *many], fail_fast=False)
    run = manager.execute(backend=harmed, check=False)
    states = {each.name: each.state for each in run.records}
    assert states.pop("dies") == "failed"
    assert set(states.values()) == {"succeeded"}
    assert sum(run.results.values()) == 50


def test_a_call_of_a_group_whose_worker_dies_has_crashed(harmed: Any) -> None:
    """And the group says so."""
    kill = by_value(die)
    with (
        pytest.raises(JobCrashed, match="is gone"),
        gofer.Group(backend=harmed) as group,
    ):
        group.go(lambda: kill())


def test_news_that_died_with_its_worker_keeps_nobody_waiting(harmed: Any, signals: Any) -> None:
    """A job has ended, its engine knows, and its worker dies before it could tell its run."""
    kill = by_value(die)

    @job
    def ends() -> None:
        from threading import Thread

        from gofer.backends import _site

        # From here on no news goes out, as if the worker were too slow for it.
        _site.Site._flush = lambda site, at: site._news.clear()

        def later() -> None:
            import time

            time.sleep(0.5)  # the engine hears of the end meanwhile
            kill()

        Thread(target=later).start()

    run = JobManager([ends]).execute(backend=harmed, check=False)
    assert isinstance(run.error, JobCrashed)
    assert run.error.job == "ends"


def test_a_worker_that_dies_while_its_run_is_stopped_keeps_nobody_waiting(
    harmed: Any, signals: Any
) -> None:
    """What it ran was to be cancelled anyway; the run's error is the first one."""
    kill = by_value(die)

    @job
    def deaf(ctx: gofer.Context) -> None:
        signals.set("runs")
        ctx.on_cancel(lambda: signals.set("stopped"))
        signals.wait("stopped")
        kill()

    @job
    def breaks() -> None:
        signals.wait("runs")
        raise ValueError("no")

    run = JobManager([deaf, breaks]).execute(backend=harmed, check=False)
    assert isinstance(run.error, ValueError)
    assert run.record("deaf").state == "cancelled"


def test_a_call_whose_worker_dies_while_its_group_is_stopped_keeps_nobody_waiting(
    harmed: Any, signals: Any
) -> None:
    """As in a run."""
    kill = by_value(die)

    def deaf() -> None:
        from gofer import current_context

        signals.set("runs")
        current_context().on_cancel(lambda: signals.set("stopped"))
        signals.wait("stopped")
        kill()

    def breaks() -> None:
        signals.wait("runs")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), gofer.Group(backend=harmed) as group:
        group.go(deaf)
        group.go(breaks)


def by_value(fn: Any) -> Any:
    """Return a function that pickles as a whole: workers cannot import this file."""
    from types import FunctionType

    return FunctionType(fn.__code__, {"__name__": "__main__"}, fn.__name__)
