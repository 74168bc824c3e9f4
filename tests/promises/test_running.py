"""Promises 1, 2 and 4: at the same time, limits, sync with async, many runs at once."""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

import gofer
from gofer import FrozenError, JobManager

entries = pytest.mark.parametrize("backend", ["threads", "loop"], indirect=True)
"""For managers whose jobs' kinds the test itself chooses: ``execute`` and ``aexecute``."""


# 1. Jobs whose needs have ended run at the same time: N jobs that all wait on one Barrier(N)
#    finish, for N = 2, 100, 1,000. No hidden cap; `limit=` sets one, counts every kind of job, and
#    is never exceeded.


@pytest.mark.parametrize("count", [2, 100, 1000])
async def test_jobs_that_wait_for_each_other_all_finish(backend: Any, count: int) -> None:
    """Promise 1: N jobs on one Barrier(N) finish; there is no hidden cap."""
    barrier = backend.Barrier(count)

    async def meet() -> str:
        await barrier.wait()
        return "met"

    run = await backend.execute(JobManager(backend.jobs(count, meet)))

    assert run.results == {str(i): "met" for i in range(count)}


@entries
async def test_sync_and_async_jobs_wait_for_each_other(backend: Any) -> None:
    """Promise 1: one barrier holds for both kinds in one manager."""
    barrier = backend.Barrier(200)

    async def meet() -> None:
        await barrier.wait()

    jobs = [
        backend.job(meet, is_async=is_async, name=f"{is_async}-{i}")
        for i in range(100)
        for is_async in (True, False)
    ]
    run = await backend.execute(JobManager(jobs))

    assert len(run.results) == 200


async def test_dependents_of_one_job_run_at_the_same_time(backend: Any) -> None:
    """Promise 1: what becomes ready together runs together, not only what starts ready."""
    barrier = backend.Barrier(50)

    async def first() -> int:
        return 1

    async def meet(*, first: int) -> int:
        await barrier.wait()
        return first

    async def last(ctx: Any, seen: list[str]) -> str:
        return "end"

    middle = backend.jobs(50, meet)
    manager = JobManager([backend.job(last, after=middle), *middle, backend.job(first)])
    run = await backend.execute(manager, None, [])

    assert run["last"] == "end"
    assert [run[job] for job in middle] == [1] * 50


async def test_a_job_starts_while_an_unrelated_one_still_runs(backend: Any) -> None:
    """Promise 1: a job waits for its own needs, never for a whole layer."""
    released = backend.Event()

    async def slow() -> None:
        await released.wait()

    async def first() -> None:
        pass

    async def second() -> None:
        released.set()

    run = await backend.execute(
        JobManager([backend.job(slow), backend.job(first), backend.job(second, after=["first"])])
    )

    assert run.ok


@pytest.mark.parametrize("limit", [1, 2, 8])
async def test_a_limit_is_reached_and_never_exceeded(backend: Any, limit: int) -> None:
    """Promise 1: exactly ``limit`` jobs run at once while there are enough of them."""
    barrier, gauge = backend.Barrier(limit), backend.Gauge()

    async def meet() -> None:
        with gauge:
            await barrier.wait()  # opens only if as many run at once

    await backend.execute(JobManager(backend.jobs(limit * 20, meet), limit=limit))

    assert (gauge.most, gauge.total) == (limit, limit * 20)


@pytest.mark.parametrize("limit", [1, 2, 8])
@entries
async def test_a_limit_counts_every_kind_of_job(backend: Any, limit: int) -> None:
    """Promise 1: sync, async, dependent and root jobs share one limit."""
    barrier, gauge = backend.Barrier(limit), backend.Gauge()

    async def meet() -> None:
        with gauge:
            await barrier.wait()

    jobs = []
    for i in range(limit * 20):
        after = [jobs[i // 4]] if i >= limit * 10 else []
        jobs.append(backend.job(meet, is_async=bool(i % 3), name=str(i), after=after))
    await backend.execute(JobManager(jobs, limit=limit))

    assert (gauge.most, gauge.total) == (limit, limit * 20)


async def test_a_limit_holds_for_jobs_that_never_wait(backend: Any) -> None:
    """Promise 1: jobs that end at once do not slip past the limit."""
    gauge = backend.Gauge()

    async def hurry() -> None:
        with gauge:
            pass

    await backend.execute(JobManager(backend.jobs(2000, hurry), limit=2))

    assert gauge.most <= 2
    assert gauge.total == 2000


def test_the_last_place_is_never_forgotten() -> None:
    """Promise 1: the place that a sync job leaves to an async one is taken, whoever comes late.

    In a process of its own, where the thread that is woken for ``b`` can be held back until the
    thread of ``a`` has taken ``b`` itself, so that the last place is for ``c``.
    """
    program = """
        import asyncio, threading
        from gofer import JobManager, _parts

        loops, held = [], []
        looked, began = threading.Event(), threading.Event()

        def a():  # lasts until the loop has looked for work, and found none for itself
            loops[0].call_soon_threadsafe(looked.set)
            looked.wait(30)

        def b():
            for thread in held:
                start_thread(thread)
            print("c began" if began.wait(30) else "c was forgotten")

        async def c():
            loops.append(asyncio.get_running_loop())
            began.set()

        JobManager([c]).execute()
        began.clear()
        start_thread, _parts.start_thread = _parts.start_thread, held.append
        JobManager([a, b, c], limit=2).execute()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": str(Path(gofer.__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=100,
    )

    assert done.stdout == "c began\n"


# 2. Sync and async jobs mix freely in one manager. A blocking job never blocks the event loop; an
#    async job never needs a thread.


@entries
async def test_results_pass_between_sync_and_async_jobs(backend: Any) -> None:
    """Promise 2: a chain may change its kind at every need."""

    async def first() -> list[int]:
        return [0]

    async def extend(*, before: list[int]) -> list[int]:
        return [*before, len(before)]

    jobs = [backend.job(first, name="0", is_async=False)]
    for i in range(1, 30):
        jobs.append(
            backend.job(extend, name=str(i), is_async=bool(i % 2), needs={"before": str(i - 1)})
        )
    run = await backend.execute(JobManager(jobs))

    assert run["29"] == list(range(30))


@entries
async def test_a_blocking_job_never_blocks_the_event_loop(backend: Any) -> None:
    """Promise 2: a sync job that blocks is released by an async one, and the other way round."""
    to_sync, to_async = backend.Event(), backend.Event()

    async def blocks() -> None:
        await to_sync.wait()
        to_async.set()

    async def awaits() -> None:
        to_sync.set()
        await to_async.wait()

    run = await backend.execute(
        JobManager([backend.job(blocks, is_async=False), backend.job(awaits, is_async=True)])
    )

    assert run.ok


@pytest.mark.parametrize("backend", ["mixed"], indirect=True)
async def test_a_blocking_job_leaves_the_loop_to_the_callers_tasks(backend: Any) -> None:
    """Promise 2: while a sync job blocks under ``aexecute``, other tasks of the loop go on."""
    started, released = backend.Event(), backend.Event()

    async def blocks() -> str:
        started.set()
        await released.wait()
        return "released"

    running = asyncio.create_task(JobManager([backend.job(blocks)]).aexecute())
    await started.wait()
    released.set()

    assert (await running)["blocks"] == "released"


@pytest.mark.parametrize("backend", ["loop", "background"], indirect=True)
async def test_an_async_job_never_needs_a_thread(backend: Any) -> None:
    """Promise 2: 100 async jobs at once all run in the thread of one loop; no other appears."""
    barrier = backend.Barrier(100)

    async def meet() -> tuple[int, frozenset[threading.Thread]]:
        await barrier.wait()
        return threading.get_ident(), frozenset(threading.enumerate())

    manager = JobManager(backend.jobs(100, meet))
    await backend.execute(JobManager([backend.job(awaited_nothing, is_async=True)]))
    before = frozenset(threading.enumerate())
    run = await backend.execute(manager)
    idents = {ident for ident, _ in run.results.values()}
    threads = frozenset().union(*[threads for _, threads in run.results.values()])

    assert len(idents) == 1
    assert threads <= before
    assert (idents == {threading.get_ident()}) == backend.awaits


async def awaited_nothing() -> None:
    """Start whatever lives longer than a run."""


# 4. A manager may be executed many times and at the same time, from threads and tasks; runs share
#    nothing but the jobs and the named limits.


async def test_a_manager_may_be_executed_many_times(backend: Any) -> None:
    """Promise 4: each execution has its own results."""

    async def double(ctx: Any, number: int) -> int:
        return 2 * number

    async def report(ctx: Any, number: int, *, double: int) -> tuple[int, int]:
        return number, double

    manager = JobManager([backend.job(double), backend.job(report)])
    runs = [await backend.execute(manager, None, i) for i in range(100)]

    assert [run["report"] for run in runs] == [(i, 2 * i) for i in range(100)]


@pytest.mark.parametrize("limit", [None, 1])
async def test_a_manager_may_be_executed_at_the_same_time(backend: Any, limit: int | None) -> None:
    """Promise 4: 20 runs meet inside their job, also where each has a ``limit`` of 1."""
    barrier = backend.Barrier(20)

    async def meet(ctx: Any, number: int) -> int:
        await barrier.wait()
        return number

    async def square(ctx: Any, number: int, *, meet: int) -> int:
        return meet * number

    manager = JobManager([backend.job(meet), backend.job(square)], limit=limit)
    calls = [functools.partial(backend.execute, manager, None, i) for i in range(20)]
    runs = await backend.together(*calls)

    assert [run["square"] for run in runs] == [i * i for i in range(20)]
    assert [run["meet"] for run in runs] == list(range(20))


async def test_a_failed_run_harms_no_other_run_of_its_manager(backend: Any) -> None:
    """Promise 4: while one run fails and ends, the others of the same manager go on."""
    barrier, over = backend.Barrier(10), backend.Event()

    async def work(ctx: Any, number: int) -> int:
        await barrier.wait()
        if number == 0:
            raise ConnectionError(number)
        await over.wait()
        return number

    async def execute(number: int) -> object:
        try:
            return (await backend.execute(manager, None, number))["work"]
        except ConnectionError as error:
            over.set()
            return str(error)

    manager = JobManager([backend.job(work)])
    found = await backend.together(*[functools.partial(execute, i) for i in range(10)])

    assert found == ["0", *range(1, 10)]


@entries
async def test_threads_and_tasks_may_execute_one_manager_at_once(backend: Any) -> None:
    """Promise 4: ``execute`` in threads meets ``aexecute`` in tasks of another loop."""
    barrier = backend.Barrier(8)

    async def meet() -> None:
        await barrier.wait()

    jobs = [backend.job(meet, is_async=is_async, name=str(is_async)) for is_async in (True, False)]
    manager = JobManager(jobs)
    done: list[bool] = []
    threads = [threading.Thread(target=lambda: done.append(manager.execute().ok)) for _ in "ab"]
    for thread in threads:
        thread.start()
    runs = await backend.together(*[functools.partial(backend.execute, manager)] * 2)
    for thread in threads:
        thread.join(backend.timeout)

    assert done == [True, True]
    assert [run.ok for run in runs] == [True, True]


async def test_a_manager_is_frozen_by_its_first_execution(backend: Any) -> None:
    """Promise 4: runs share the jobs, so none may be added once one has started."""
    manager = JobManager(name="page")
    manager.job(backend.job(lambda: 1, name="one"))
    assert (await backend.execute(manager))["one"] == 1

    with pytest.raises(FrozenError):
        manager.job(backend.job(lambda: 2, name="two"))

    assert (await backend.execute(manager)).results == {"one": 1}
