"""Promises 8 and 15 on clusters, each with a race that would break it."""

from __future__ import annotations

import logging
from typing import Any

import gofer
from gofer import Context, JobManager, job
from gofer.errors import Cancelled


def test_the_first_failure_wins(cluster: Any, signals: Any) -> None:
    """Promise 8: what others raise because they are cancelled is never the run's error."""

    def jobs_of(here: str, awaited: int) -> list[Any]:
        @job
        def breaks(ctx: Context) -> None:
            signals.wait(here, ctx)
            raise ConnectionError("no answer")

        @job
        def cleans_up(ctx: Context) -> None:
            signals.set(here)
            try:
                ctx.sleep(60)
            except Cancelled:
                raise RuntimeError("while cleaning up") from None

        @job(name="cleans_up")
        async def awaits() -> None:
            import asyncio

            signals.set(here)
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise RuntimeError("while cleaning up") from None

        return [breaks, awaits if awaited else cleans_up]

    for number in range(20):
        run = JobManager(jobs_of(f"here{number}", number % 2)).execute(backend=cluster, check=False)
        assert isinstance(run.error, ConnectionError)
        assert isinstance(run.record("cleans_up").error, RuntimeError)


def test_a_failure_is_announced_when_it_happens(cluster: Any, signals: Any) -> None:
    """Promise 15: the other job ends only when the log and an observer have told of it."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "'breaks' failed" in record.getMessage():
                signals.set(f"logged at {record.levelname}")

    class Tells(gofer.Observer):
        def job_ended(self, run: gofer.Run, record: gofer.JobRecord) -> None:
            if record.name == "breaks":
                signals.set("told")

    @job
    def breaks() -> None:
        raise ValueError("no")

    @job
    def waits(ctx: Context) -> str:
        signals.wait("logged at WARNING", ctx)
        signals.wait("told", ctx)
        return "heard of it"

    handler = Handler()
    logging.getLogger("gofer").addHandler(handler)
    try:
        manager = JobManager([breaks, waits], fail_fast=False, observers=[Tells()])
        run = manager.execute(backend=cluster, check=False)
    finally:
        logging.getLogger("gofer").removeHandler(handler)
    assert run["waits"] == "heard of it"
    assert isinstance(run.record("breaks").error, ValueError)
