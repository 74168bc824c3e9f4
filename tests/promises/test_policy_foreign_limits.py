"""Policies: any context manager is a limit, plain or async, for plain and async jobs alike."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from gofer import Cancelled, Context, JobManager, Retry, job


class Limiter:
    """A foreign limit, plain and async."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.left = 0

    def __enter__(self) -> None:
        self.entered.append("plain")

    def __exit__(self, *_: object) -> None:
        self.left += 1

    async def __aenter__(self) -> None:
        await asyncio.sleep(0)
        self.entered.append("async")

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0)
        self.left += 1


async def test_any_context_manager_is_a_limit(backend: Any) -> None:
    """One that is both is entered the way that suits the job; once for each attempt."""
    limiter = Limiter()
    left = [ConnectionError()]

    async def flaky() -> str:
        assert limiter.left == len(limiter.entered) - 1
        if left:
            raise left.pop()
        return "ok"

    retry = Retry(3, wait_initial=0.0)
    run = await backend.execute(JobManager([backend.job(flaky, limit=limiter, retry=retry)]))
    assert run["flaky"] == "ok"
    assert limiter.entered == ["async" if backend.is_async else "plain"] * 2
    assert limiter.left == 2


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_a_function_that_makes_one_is_a_limit(backend: Any, kind: str) -> None:
    """A plain one does not block the loop; an async one serves plain jobs, too."""
    entered = []

    @contextmanager
    def plain() -> Iterator[None]:
        entered.append(threading.current_thread().name)
        yield
        entered.append("left")

    @asynccontextmanager
    async def awaited() -> AsyncIterator[None]:
        entered.append(threading.current_thread().name)
        await asyncio.sleep(0)
        yield
        await asyncio.sleep(0)
        entered.append("left")

    made = backend.job(lambda: "ok", name="job", limit=plain if kind == "plain" else awaited)
    run = await backend.execute(JobManager([made]))
    assert run["job"] == "ok"
    assert entered[1:] == ["left"]
    if kind == "plain":
        assert entered[0] == "gofer:limit"


async def test_semaphores_of_the_standard_library_are_limits(backend: Any) -> None:
    """``threading.Semaphore`` for all, ``asyncio.Semaphore`` for the jobs of one loop."""
    gauge = backend.Gauge()

    async def query() -> None:
        with gauge:
            await backend.sleep(0.001)

    semaphore: Any = threading.Semaphore(2)
    if backend.name == "loop":
        semaphore = asyncio.Semaphore(2)
    await backend.execute(JobManager(backend.jobs(10, query, limit=semaphore)))
    assert gauge.total == 10
    assert gauge.most <= 2


async def test_a_foreign_limit_that_fails_fails_the_job(backend: Any) -> None:
    """Making it, or entering it; the job is not called."""

    class Broken:
        def __enter__(self) -> None:
            raise KeyError("broken")

        def __exit__(self, *_: object) -> None:
            raise AssertionError

    def raises() -> Any:
        raise KeyError("broken")

    def none() -> Any:
        return 7

    for limit, error in [(Broken(), KeyError), (raises, KeyError), (none, TypeError)]:
        made = backend.job(lambda: 1, name="job", limit=limit)
        with pytest.raises(error):
            await backend.execute(JobManager([made]))


async def test_cancelling_the_run_ends_the_wait_for_a_foreign_limit(backend: Any) -> None:
    """An async one is cancelled while it is entered."""
    entering = backend.Event()
    cancelled = []

    @asynccontextmanager
    async def never() -> AsyncIterator[None]:
        entering.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.append(1)
            raise
        yield

    async def stop() -> None:
        await entering.wait()
        ctx.cancel()

    ctx = Context()
    jobs = [backend.job(lambda: 1, name="job", limit=never), backend.job(stop)]
    with pytest.raises(Cancelled):
        await backend.execute(JobManager(jobs), ctx)
    assert cancelled == [1]


def test_a_foreign_limit_without_a_thread_to_be_had_fails_the_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As any job does for which the system has no thread."""
    from gofer.backends import _holds, _worlds

    def refuse(name: str, call: Any) -> str:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_holds.helpers, "lend", refuse)
    with pytest.raises(RuntimeError, match="can't start"):
        JobManager([job(print, name="job", limit=threading.Semaphore(1))]).execute()
    assert _worlds.helpers is _holds.helpers
    with pytest.raises(RuntimeError, match="can't start"):
        JobManager([job(lambda: 1, name="job", timeout=1000.0)]).execute()
