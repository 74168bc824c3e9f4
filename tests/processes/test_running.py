"""Process jobs beside others: managers, groups, maps, policies, contexts, and random graphs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import threading
import time
from pathlib import Path
from typing import Any

import failing_jobs as failing
import pages
import process_jobs as jobs
import pytest
import stopping_jobs as stopping

import gofer
from gofer import (
    AsyncGroup,
    Breaker,
    BreakerOpen,
    Context,
    Group,
    JobManager,
    Retry,
    amap,
    job,
)
from gofer.errors import GroupClosed, JobCrashed, JobDefinitionError


def test_process_thread_and_async_jobs_mix_in_one_graph(backend: Any) -> None:
    """Results go from world to world, in ``execute`` and in ``aexecute``."""
    here = os.getpid()

    async def on_loop(*, pid: int) -> tuple[int, int]:
        await asyncio.sleep(0)
        return os.getpid(), pid

    manager = JobManager(
        [
            job(jobs.pid, backend=backend),
            job(on_loop),
            job(lambda *, on_loop: (os.getpid(), *on_loop), name="thread"),
            job(failing.needs_thing, needs={"thing": "thread"}, backend=backend, name="back"),
            job(jobs.apid, backend=backend),
        ]
    )
    for run in (manager.execute(), asyncio.run(manager.aexecute())):
        assert run["pid"] != here
        assert run["apid"] != here
        assert run["back"] == run["thread"] == (here, here, run["pid"])
        assert run.record("pid").thread == f"process {run['pid']}"


def test_results_that_many_need_are_the_same_for_all(backend: Any) -> None:
    """A fan-in of a fan-out."""
    squares = [job(jobs.square, name=str(i), needs={"number": "n"}) for i in range(30)]
    total = job(jobs.total_of, name="total", needs={f"a{i}": str(i) for i in range(30)})
    run = JobManager([job(lambda: 3, name="n", backend="threads"), *squares, total]).execute(
        backend=backend
    )
    assert run["total"] == 270


def test_a_nested_manager_runs_here_and_its_jobs_where_they_say(one: Any) -> None:
    """A manager is a job of its parent; the backend of the run is that of the jobs."""
    inner = JobManager([job(jobs.pid, backend=one)], name="inner")
    run = JobManager([inner, job(jobs.run_inside)]).execute(backend=one)

    assert run["inner"]["pid"] != os.getpid()
    assert run["run_inside"] == {"two": 2}


def test_a_limit_counts_process_jobs_too(backend: Any, tmp_path: Path) -> None:
    """Of every kind together."""
    many = [job(jobs.alone_in, name=str(i), needs={"folder": "folder"}) for i in range(6)]
    folder = job(lambda: str(tmp_path), name="folder", backend="threads")
    run = JobManager([folder, *many], limit=1).execute(backend=backend)
    assert all(run[str(i)] for i in range(6))


def test_a_group_gives_handles(backend: Any) -> None:
    """Results, names, errors; keyword arguments travel too."""
    with Group(backend=backend, fail_fast=False) as group:
        squares = [group.go(jobs.square, i) for i in range(20)]
        named = group.go(jobs.square, number=7)
    assert [each.result() for each in squares] == [i * i for i in range(20)]
    assert named.result() == 49
    assert named.name == "square[20]"


def test_a_group_that_is_over_refuses_more_in_words(one: Any) -> None:
    """Whether it was left, or its context was cancelled; ``go`` and ``try_go`` alike."""
    with gofer.Context() as ctx, contextlib.suppress(gofer.Cancelled):
        with Group(ctx, backend=one) as group:
            group.go(jobs.square, 2)
            ctx.cancel("enough")
            for add in (group.go, group.try_go):
                with pytest.raises(gofer.Cancelled, match="the context was cancelled: enough"):
                    add(jobs.square, 3)
    for add in (group.go, group.try_go):
        with pytest.raises(GroupClosed, match="inside its `with` block only"):
            add(jobs.square, 4)


def test_an_async_group_waits_for_process_jobs(backend: Any) -> None:
    """On the caller's loop, at a limit."""

    async def main() -> list[int]:
        async with AsyncGroup(backend=backend, limit=3) as group:
            handles = [await group.go(jobs.asquare, i) for i in range(20)]
        return [each.result() for each in handles]

    assert asyncio.run(main()) == [i * i for i in range(20)]


def test_map_is_lazy_ordered_and_batched(backend: Any) -> None:
    """No more is pulled than the limit and a few; results come in the items' order."""
    pulled = []

    def items() -> Any:
        for i in range(10_000):
            pulled.append(i)
            yield i

    results = gofer.map(jobs.square, items(), backend=backend, limit=8)
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    assert len(pulled) <= 5 + 8 + 8
    results.close()
    assert list(gofer.map(jobs.square, range(3000), backend=backend)) == [
        i * i for i in range(3000)
    ]


def test_map_that_is_left_early_ends_its_jobs(warmed: Any, tmp_path: Path) -> None:
    """Before the statement after the loop."""
    for result in gofer.map(
        stopping.first_or_spin, [(str(tmp_path), i) for i in range(4)], backend=warmed, limit=2
    ):
        assert result == 0
        break
    else:
        raise AssertionError("nothing came")
    assert (tmp_path / "cleaned").exists()


def test_map_without_check_gives_a_handle_for_each(backend: Any) -> None:
    """Those that crashed, those that failed, and those that did not."""
    items = [1, "exit 3", ValueError("no"), 4]
    handles = list(gofer.map(jobs.fail_if, items, backend=backend, check=False))
    assert [each.ok for each in handles] == [True, False, False, True]
    assert isinstance(handles[1].error, JobCrashed)
    assert isinstance(handles[2].error, ValueError)


def test_amap_is_the_same_on_a_loop(backend: Any) -> None:
    """Also left early."""

    async def main() -> list[int]:
        async with contextlib.aclosing(amap(jobs.asquare, range(1000), backend=backend)) as results:
            return [await anext(results) for _ in range(10)]

    assert asyncio.run(main()) == [i * i for i in range(10)]


def test_a_job_with_a_backend_is_refused_by_a_group(one: Any) -> None:
    """It says what to write."""
    with pytest.raises(JobDefinitionError, match=r"Group\(backend=...\)"):
        with Group() as group:
            group.go(job(jobs.pid, backend=one))


# Policies


def test_a_fallback_stands_in_for_a_crash(backend: Any) -> None:
    """It is called here, with the error."""
    crashes = job(lambda: jobs.die("SIGKILL"), name="dies", fallback=lambda error: error.signal)
    assert JobManager([crashes]).execute(backend=backend)["dies"] == "SIGKILL"


def test_a_named_limit_holds_for_process_jobs(backend: Any, tmp_path: Path) -> None:
    """Over all runs of the manager."""
    many = [
        job(jobs.alone_in, name=str(i), needs={"folder": "folder"}, limit="one") for i in range(5)
    ]
    folder = job(lambda: str(tmp_path), name="folder", backend="threads")
    run = JobManager([folder, *many], limits={"one": 1}).execute(backend=backend)
    assert all(run[str(i)] for i in range(5))


def test_a_breaker_opens_for_crashes(one: Any) -> None:
    """A crash counts as the failure of the service."""
    dies = job(lambda: jobs.die("exit 1"), name="dies", breaker=Breaker(2, on=Exception))
    manager = JobManager([dies])
    for _ in range(2):
        with pytest.raises(JobCrashed):
            manager.execute(backend=one)
    with pytest.raises(BreakerOpen):
        manager.execute(backend=one)


def test_when_decides_here_whether_a_process_job_runs(one: Any) -> None:
    """The predicate gets the param itself, in this process."""
    seen = []
    skipped = job(pages.read, when=lambda ctx, page: seen.append(page) or page.total > 1)
    page = pages.Page()
    run = JobManager([skipped]).execute(None, page, backend=one)
    assert run.record("read").state == "skipped"
    assert seen == [page]
    page.total = 2
    assert JobManager([skipped]).execute(None, page, backend=one)["read"][1] == 2


def test_a_retry_ends_with_the_last_crash(one: Any) -> None:
    """Each attempt had a worker of its own."""
    dies = job(lambda: jobs.die("exit 6"), name="dies", retry=Retry(3, wait_initial=0.0))
    run = JobManager([dies]).execute(backend=one, check=False)
    workers = [each.error.worker for each in run.record("dies").attempts]
    assert len(set(workers)) == 3


# Contexts


def test_values_deadline_and_the_current_context_arrive(backend: Any) -> None:
    """What pickles of the values; the clock is the same."""
    values = {"user": {"id": 7}, "client": threading.Lock()}
    with Context(timeout=60, values=values) as ctx:
        seen = JobManager([job(jobs.look)]).execute(ctx, backend=backend)["look"]
    assert seen.pop("remaining") == pytest.approx(60, abs=30)
    assert seen == {"current": True, "value": {"id": 7}, "cancelled": False}


def test_context_variables_arrive_and_what_a_job_sets_stays_in_it(backend: Any) -> None:
    """Those of modules; in the next job of the same worker nothing is left of it."""
    token = jobs.COLOR.set("red")
    try:
        chain = [job(jobs.color, name="0")]
        for i in range(1, 4):
            chain.append(job(lambda: jobs.paint("blue"), name=f"paint{i}", after=[str(i - 1)]))
            chain.append(job(jobs.color, name=str(i), after=[f"paint{i}"]))
        run = JobManager(chain).execute(backend=backend)
    finally:
        jobs.COLOR.reset(token)
    assert set(run.results.values()) == {"red"}
    assert JobManager([job(jobs.color)]).execute(backend=backend)["color"] == "none"


def test_values_that_cannot_be_loaded_fail_the_job_and_nothing_hangs(one: Any) -> None:
    """They are unpickled where the job runs, so that its error is a job's error."""
    with pytest.raises(ValueError, match="cannot be loaded"):
        JobManager([job(jobs.pid)]).execute(
            Context(values={"user": failing.BadlyLoaded()}), backend=one
        )
    with pytest.raises(JobCrashed):
        JobManager([job(jobs.pid)]).execute(
            Context(values={"user": jobs.DiesWhenLoaded("exit 8")}), backend=one
        )
    assert JobManager([job(jobs.pid)]).execute(backend=one)["pid"]


# Large things


@pytest.mark.parametrize("size", [0, 1, 1 << 12, 1 << 16, 1 << 24])
def test_bytes_travel_both_ways_and_stay_what_they_are(backend: Any, size: int) -> None:
    """Small ones in the pickle, large ones beside it; a ``bytearray`` can be written there."""
    data = random.Random(size).randbytes(size)
    with Group(backend=backend) as group:
        doubled = group.go(jobs.double_bytes, data)
        kind = group.go(jobs.kind_of, bytearray(data))
        written = group.go(jobs.write_into, bytearray(data or b"x"))
    assert doubled.result() == data + data
    assert type(doubled.result()) is bytes
    assert kind.result() == ("bytearray", size)
    assert type(written.result()) is bytearray
    assert written.result()[0] == 9


def test_buffers_of_arrays_travel_beside_the_pickle(backend: Any) -> None:
    """Both ways, writable ones writable; read-only ones read-only."""
    with Group(backend=backend) as group:
        changed = group.go(jobs.add_one, jobs.Buffer(bytearray(1 << 20)))
        kept = group.go(jobs.take, jobs.Buffer(bytes(1 << 20)))
    assert memoryview(changed.result().data)[:8] == bytes([1] * 8)
    assert not memoryview(changed.result().data).readonly
    assert memoryview(kept.result().data).readonly


# The whole


@pytest.mark.parametrize("seed", range(6))
def test_a_random_graph_gives_the_same_on_processes_as_on_threads(
    forkserver: Any, seed: int
) -> None:
    """Jobs of all kinds, some failing, with and without ``fail_fast``: states and results."""
    chance = random.Random(seed)
    shape = []
    for i in range(60):
        needs = sorted(chance.sample(range(i), min(i, chance.randrange(4))))
        shape.append((chance.random() < 0.4, needs, chance.random() < 0.04))

    def graph(place: Any) -> JobManager:
        made = []
        for i, (is_async, needs, fails) in enumerate(shape):
            where = chance.choice([place, "threads"])
            bound = jobs.Step(i, fails=fails)
            call = bound.arun if is_async else bound.run
            made.append(
                job(
                    call,
                    name=f"j{i}",
                    needs={f"a{k}": f"j{n}" for k, n in enumerate(needs)},
                    backend=where,
                )
            )
        return JobManager(made, fail_fast=False)

    on_threads = graph("threads").execute(check=False)
    on_processes = graph(forkserver).execute(check=False)
    assert on_processes.results == on_threads.results
    assert [each.state for each in on_processes.records] == [
        each.state for each in on_threads.records
    ]
    assert [repr(each.error) for each in on_processes.records] == [
        repr(each.error) for each in on_threads.records
    ]
    on_the_loop = asyncio.run(graph(forkserver).aexecute(check=False))
    assert on_the_loop.results == on_threads.results


def test_runs_at_the_same_time_share_the_workers(backend: Any) -> None:
    """From threads; each gets its own results."""
    manager = JobManager(
        [job(jobs.take, name=str(i), needs={"thing": "n"}) for i in range(10)]
        + [job(lambda ctx, param: param, name="n", backend="threads")]
    )
    results: dict[int, Any] = {}

    def execute(i: int) -> None:
        results[i] = manager.execute(None, i, backend=backend).results

    threads = [threading.Thread(target=execute, args=(i,)) for i in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert all(set(results[i].values()) == {i} for i in range(8))


def test_a_report_has_the_times_of_the_worker(one: Any) -> None:
    """When it began and ended there, not when it was sent."""
    with Group(backend=one) as group:
        group.go(jobs.pid)
    run = JobManager([job(lambda: time.sleep(0.05), name="sleeps")]).execute(backend=one)
    record = run.record("sleeps")
    assert record.duration is not None
    assert record.duration >= 0.05
    assert record.end <= run.duration
