"""Promises 3, 6 and 7: event loops, context variables, and nothing that outlives the call."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import socket
import threading
from typing import Any

import pytest

from gofer import Cancelled, Context, JobManager, RunningLoopError, current_context, job

color: contextvars.ContextVar[str] = contextvars.ContextVar("color", default="none")


# 3. `execute()` inside a running event loop is refused with the line to write instead. From plain
#    code, async jobs run on one long-lived background loop, so clients and pools that jobs hold
#    stay usable from run to run.


@pytest.mark.parametrize("backend", ["loop", "mixed"], indirect=True)
async def test_execute_in_a_running_loop_is_refused_with_the_line_to_write(backend: Any) -> None:
    """Promise 3: it would freeze the loop, so nothing starts, whatever kind the jobs are."""
    started: list[str] = []
    manager = JobManager([backend.job(lambda: started.append("job"), name="job")], name="page")

    with pytest.raises(RunningLoopError) as caught:
        manager.execute()

    assert "await" in str(caught.value)
    assert ".aexecute(" in str(caught.value)
    assert started == []
    assert (await manager.aexecute()).ok  # the way that the message names


@pytest.mark.parametrize("backend", ["loop", "background"], indirect=True)
async def test_execute_in_an_async_job_is_refused_too(backend: Any) -> None:
    """Promise 3: a job's loop is a running loop, the background loop as well."""
    inner = JobManager([backend.job(lambda: 1, name="one", is_async=False)])

    async def wrong() -> None:
        inner.execute()

    with pytest.raises(RunningLoopError):
        await backend.execute(JobManager([backend.job(wrong)]))


@pytest.mark.parametrize("backend", ["background"], indirect=True)
async def test_async_jobs_of_all_runs_share_one_loop(backend: Any) -> None:
    """Promise 3: one background loop serves every manager, run and calling thread."""

    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def execute() -> asyncio.AbstractEventLoop:
        return (await backend.execute(JobManager([backend.job(loop)])))["loop"]

    loops = [await execute() for _ in range(10)]
    loops += await backend.together(*[execute] * 10)

    assert len(set(map(id, loops))) == 1


@pytest.mark.parametrize("backend", ["background"], indirect=True)
async def test_a_client_that_jobs_hold_stays_usable_from_run_to_run(backend: Any) -> None:
    """Promise 3: a connection opened in one run is written to in the next, and closed later."""
    ours, theirs = socket.socketpair()
    held: dict[str, Any] = {}

    async def connect() -> None:
        held["reader"], held["writer"] = await asyncio.open_connection(sock=ours)

    async def ask() -> bytes:
        held["writer"].write(b"ping\n")
        await held["writer"].drain()
        return await asyncio.wait_for(held["reader"].readline(), backend.timeout)

    async def close() -> None:
        held["writer"].close()
        await held["writer"].wait_closed()

    def answer() -> None:
        with theirs, theirs.makefile("rb") as lines:
            for line in lines:
                theirs.sendall(line.replace(b"i", b"o"))

    server = threading.Thread(target=answer)
    server.start()
    JobManager([job(connect)]).execute()
    asking = JobManager([job(ask)])
    answers = [asking.execute()["ask"] for _ in range(5)]
    JobManager([job(close)]).execute()
    server.join(backend.timeout)

    assert answers == [b"pong\n"] * 5


@pytest.mark.parametrize("backend", ["background"], indirect=True)
async def test_the_background_loop_survives_every_failure(backend: Any) -> None:
    """Promise 3: what a job raises, SystemExit included, does not end the loop of the others."""

    async def loop(ctx: Any, error: BaseException | None) -> asyncio.AbstractEventLoop:
        if error is not None:
            raise error
        return asyncio.get_running_loop()

    manager = JobManager([backend.job(loop)])
    first = (await backend.execute(manager))["loop"]
    for kind in (ValueError, SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError):
        with pytest.raises(BaseException):  # noqa: B017, PT011  which one is promise 10's
            await backend.execute(manager, None, kind())

    assert (await backend.execute(manager))["loop"] is first


# 6. Context variables of the caller are visible in every job, on every in-process backend (copied
#    when the run starts; what a job sets stays in it).


async def test_context_variables_of_the_caller_are_visible_in_every_job(backend: Any) -> None:
    """Promise 6: roots, dependents and the jobs of nested runs see the caller's value."""
    barrier = backend.Barrier(20)

    async def look() -> str:
        await barrier.wait()
        return color.get()

    async def later(*, below: str) -> str:
        return f"{below} {color.get()}"

    async def nested(ctx: Any) -> str:
        inner = JobManager([backend.job(lambda: color.get(), name="inner")])
        return (await backend.execute(inner, ctx))["inner"]

    jobs = [*backend.jobs(20, look), backend.job(later, needs={"below": "7"}), backend.job(nested)]
    manager = JobManager(jobs)
    token = color.set("red")
    try:
        run = await backend.execute(manager)
    finally:
        color.reset(token)

    assert set(run.results.values()) == {"red", "red red"}
    assert run["nested"] == "red"


async def test_what_a_job_sets_stays_in_it(backend: Any) -> None:
    """Promise 6: neither siblings at the same time, nor later jobs, nor the caller see it."""
    barrier = backend.Barrier(20)

    async def paint(ctx: Any, param: None, *, name: str) -> tuple[str, str]:
        before = color.get()
        color.set(name)
        await barrier.wait()
        return before, color.get()

    async def later() -> str:
        return color.get()

    jobs = []
    for i in range(20):
        jobs.append(backend.job(lambda i=i: str(i), name=f"name{i}"))
        jobs.append(backend.job(paint, name=f"paint{i}", needs={"name": f"name{i}"}))
        jobs.append(backend.job(later, name=f"later{i}", after=[f"paint{i}"]))
    run = await backend.execute(JobManager(jobs))

    assert [run[f"paint{i}"] for i in range(20)] == [("none", str(i)) for i in range(20)]
    assert [run[f"later{i}"] for i in range(20)] == ["none"] * 20
    assert color.get() == "none"


async def test_each_run_sees_the_variables_of_its_own_caller(backend: Any) -> None:
    """Promise 6: runs at the same time, of one manager, do not mix their callers' values."""
    barrier = backend.Barrier(10)

    async def look() -> str:
        await barrier.wait()
        return color.get()

    manager = JobManager([backend.job(look)])

    async def execute(name: str) -> str:
        color.set(name)  # in a task or thread of its own
        return (await backend.execute(manager))["look"]

    names = [f"color{i}" for i in range(10)]
    seen = await backend.together(*[functools.partial(execute, name) for name in names])

    assert seen == names


async def test_a_jobs_context_is_the_current_one(backend: Any) -> None:
    """Promise 6: ``current_context()`` is the ctx that a job gets, with its caller's values."""

    async def look(ctx: Context) -> tuple[bool, object]:
        return current_context() is ctx, ctx.value("user")

    with Context(values={"user": 7}) as ctx:
        run = await backend.execute(JobManager([backend.job(look)]), ctx)

    assert run["look"] == (True, 7)
    assert current_context() is None


# 7. Nothing outlives the call: when `execute` returns or raises, every job that started has ended.


async def test_every_job_has_ended_when_execute_returns(backend: Any) -> None:
    """Promise 7: also the jobs whose results nobody waits for."""
    gauge = backend.Gauge()

    async def work() -> None:
        with gauge:
            await backend.sleep(0.02)

    await backend.execute(JobManager(backend.jobs(50, work)))

    assert (gauge.now, gauge.total) == (0, 50)


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt])
async def test_every_job_has_ended_when_execute_raises(
    backend: Any, kind: type[BaseException], check: bool
) -> None:
    """Promise 7: jobs that are slow to notice, or to clean up, are waited for."""
    gauge, barrier = backend.Gauge(), backend.Barrier(21)
    cleaned: list[int] = []

    async def slow(ctx: Context) -> None:
        with gauge:
            try:
                await barrier.wait()
                await backend.until_cancelled(ctx)
            finally:
                await backend.sleep(0.05)
                cleaned.append(1)

    async def fails() -> None:
        await barrier.wait()
        raise kind

    manager = JobManager([*backend.jobs(20, slow), backend.job(fails)])
    try:
        await backend.execute(manager, check=check)
    except BaseException:  # which one comes out is the business of promises 9, 10 and 13
        assert check or kind is KeyboardInterrupt

    assert (gauge.now, len(cleaned)) == (0, 20)


async def test_every_job_has_ended_when_a_cancelled_run_raises(backend: Any) -> None:
    """Promise 7: a cancellation from another thread is no reason to leave early."""
    gauge, started, ctx = backend.Gauge(), threading.Semaphore(0), Context()

    async def slow(ctx: Context) -> None:
        with gauge:
            started.release()
            try:
                await backend.until_cancelled(ctx)
            finally:
                await backend.sleep(0.05)

    def cancel() -> None:
        if all(started.acquire(timeout=backend.timeout) for _ in range(10)):
            ctx.cancel("enough")

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(Cancelled, match="enough"):
        await backend.execute(JobManager(backend.jobs(10, slow)), ctx)
    canceller.join(backend.timeout)

    assert (gauge.now, gauge.total) == (0, 10)
