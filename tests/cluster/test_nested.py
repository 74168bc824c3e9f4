"""Promise 5 on clusters: a job that executes on its own cluster waits for no place that it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import gofer
from gofer import Group, JobManager, job

JOBS = 4
"""Twice as many as the clusters of these tests have places."""


def nested(backend: Any, depth: int) -> int:
    """Return how many jobs run below this one, each of which executes some more on the cluster."""
    if not depth:
        return 1
    jobs = [job(lambda: nested(backend, depth - 1), name=f"n{i}") for i in range(JOBS)]
    return sum(JobManager(jobs).execute(backend=backend).results.values())


@pytest.fixture
def by_value() -> Any:
    """Have workers get what stands here by value: they cannot import it."""
    import sys

    import cloudpickle

    module = sys.modules[nested.__module__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


@pytest.mark.usefixtures("by_value")
def test_runs_inside_jobs_that_had_all_places_waited_for_ever(cluster: Any) -> None:
    """At two depths: 4 jobs on 2 places, of which each executes 4 on the same cluster."""
    assert nested(cluster, 2) == JOBS**2


@pytest.mark.usefixtures("by_value")
def test_a_job_with_policies_gives_its_place_away_too(cluster: Any) -> None:
    """It runs in another thread than the one that has the place."""
    jobs = [
        job(lambda: nested(cluster, 1), name=f"n{i}", timeout=100, retry=1) for i in range(JOBS)
    ]
    run = JobManager(jobs).execute(backend=cluster)
    assert sum(run.results.values()) == JOBS * JOBS


@pytest.mark.usefixtures("by_value")
def test_groups_and_maps_inside_of_groups_and_maps_wait_for_no_place(cluster: Any) -> None:
    """Calls that go there one by one give their places away as whole graphs do."""

    def inner(n: int) -> int:
        with Group(backend=cluster) as group:
            handles = [group.go(lambda i: i + n, i) for i in range(3)]
        return sum(each.result() for each in handles)

    assert list(gofer.map(inner, range(JOBS), backend=cluster)) == [3, 6, 9, 12]


@pytest.mark.usefixtures("by_value")
def test_an_async_job_executes_on_its_cluster(cluster: Any) -> None:
    """It waits on a loop, which must not be blocked by fetching; on Ray it has a place, too."""

    async def outer() -> int:
        import asyncio

        run = await JobManager([job(lambda: 2, name="two")]).aexecute(backend=cluster)
        return await asyncio.to_thread(lambda: int(run["two"]))

    jobs = [job(outer, name=f"n{i}") for i in range(JOBS)]
    assert sum(JobManager(jobs).execute(backend=cluster).results.values()) == 2 * JOBS


def test_a_worker_was_never_ended_that_had_seen_a_run_of_its_own_live(ray: Any) -> None:
    """It owned a board then, which is an actor; runs inside of jobs have none."""

    def has_board() -> bool:
        import time

        JobManager([job(lambda: time.sleep(2.5), name="long")]).execute(backend=ray)
        return ray._board is not None

    run = JobManager([job(has_board)]).execute(backend=ray)
    assert run["has_board"] is False


def test_async_jobs_took_a_thread_each_and_did_not_meet(dask: Any, signals: Any) -> None:
    """Promise 2: eight of them, on workers of two threads in all; as jobs, and as calls."""

    async def meets(n: int = 0) -> int:
        import asyncio

        signals.set("here")
        while signals.times("here") < 8:
            await asyncio.sleep(0.005)
        return n

    run = JobManager([job(meets, name=f"n{i}") for i in range(8)]).execute(backend=dask)
    assert len(run.results) == 8
    signals.folder += "/calls"
    Path(signals.folder).mkdir()
    assert list(gofer.map(meets, range(8), backend=dask)) == list(range(8))
