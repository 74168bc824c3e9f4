"""What is Dask's own: how it places jobs, what it holds, and how one comes to a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from gofer import JobManager, job
from gofer.errors import BackendError


def test_what_comes_after_a_job_without_its_result_moves_no_data(client: Any, dask: Any) -> None:
    """``after=`` waits for a token."""

    def moved(dask_worker: Any) -> int:
        return sum(each["total"] for each in dask_worker.transfer_incoming_log)

    def large() -> bytes:
        return bytes(30_000_000)

    def small() -> int:
        import time

        time.sleep(0.05)
        return 1

    jobs = [
        job(large, name="large"),
        *[job(small, name=f"n{i}", after=["large"]) for i in range(6)],
    ]
    before = sum(client.run(moved).values())
    run = JobManager(jobs).execute(backend=dask)
    assert len({each.thread for each in run.records}) == 2  # both workers had some
    assert sum(client.run(moved).values()) - before < 1_000_000


def test_context_variables_of_modules_arrive(dask: Any, monkeypatch: Any) -> None:
    """Those that a worker can find by module and name."""
    import colorsys  # any module that nobody else here looks at
    from contextvars import ContextVar

    # A worker has no such variable in its own module: it is made there first.
    def make() -> None:
        import colorsys
        from contextvars import ContextVar

        colorsys.shift = ContextVar("shift", default=0)

    def shift() -> int:
        import colorsys

        return colorsys.shift.get()

    dask.client.run(make)
    monkeypatch.setattr(colorsys, "shift", ContextVar("shift", default=0), raising=False)
    colorsys.shift.set(11)
    assert JobManager([job(shift, name="shift")]).execute(backend=dask)["shift"] == 11


def test_async_jobs_run_on_the_workers_own_loop(dask: Any) -> None:
    """Many at once, on a worker of one thread; they meet, so none waits for a thread."""

    @job
    async def first() -> bool:
        import asyncio

        from distributed import get_worker

        return get_worker().loop.asyncio_loop is asyncio.get_running_loop()

    @job
    async def second(*, first: bool) -> bool:
        import asyncio

        await asyncio.sleep(0)
        return first

    @job
    def third(*, second: bool) -> bool:
        return second

    assert JobManager([first, second, third]).execute(backend=dask)["third"] is True


def test_resources_and_priorities_reach_the_cluster(dask: Any) -> None:
    """A job that takes a worker's only GPU runs alone on it; the greater priority goes first."""

    @job(resources={"GPU": 1})
    def first() -> None:
        import time

        time.sleep(0.05)

    def idle() -> None:
        import time

        time.sleep(0.01)

    many = [job(idle, name=f"n{i}", priority=i % 2) for i in range(30)]
    run = JobManager([first, *many]).execute(backend=dask)
    assert run.record("first").state == "succeeded"
    order = sorted(run.records, key=lambda each: each.start)
    late = [each.name for each in order if each.name != "first"][-8:]
    assert all(int(name[1:]) % 2 == 0 for name in late)


def test_results_that_nobody_can_ask_for_any_more_are_let_go_of(dask: Any) -> None:
    """They live as long as the run object."""
    import time

    def count(run: str, dask_scheduler: Any) -> int:
        return sum(run in str(key) for key in dask_scheduler.tasks)

    run = JobManager([job(lambda: 5, name="five")]).execute(backend=dask)
    name = run._far.pack.run
    assert dask.client.run_on_scheduler(count, name) == 1
    del run
    until = time.monotonic() + 60
    while dask.client.run_on_scheduler(count, name):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_cluster_in_this_process_needs_no_address() -> None:
    """To try it; its dashboard is on a port that is free."""
    pytest.importorskip("distributed", reason="pip install 'gofer[dask]'")
    from gofer.backends import DaskBackend

    with DaskBackend() as cluster:
        assert repr(cluster) == "<DaskBackend in this process>"
        run = JobManager([job(lambda: 5, name="five")]).execute(backend=cluster)
        assert run["five"] == 5
        assert ":8787" not in str(cluster.client.dashboard_link)


def test_the_scheduler_may_be_given_by_its_address(client: Any) -> None:
    """Two backends may serve one cluster."""
    from gofer.backends import DaskBackend

    with DaskBackend(client.scheduler.address) as cluster:
        assert JobManager([job(lambda: 5, name="five")]).execute(backend=cluster)["five"] == 5


def test_a_cluster_that_cannot_be_reached_is_an_error_that_says_so() -> None:
    """Nothing waits for ever."""
    settings = pytest.importorskip("dask", reason="pip install 'gofer[dask]'")

    from gofer.backends import DaskBackend

    with (
        settings.config.set({"distributed.comm.timeouts.connect": "300ms"}),
        pytest.raises(BackendError, match="Dask could not run it"),
    ):
        JobManager([job(print, name="one")]).execute(backend=DaskBackend("tcp://127.0.0.1:9"))


def test_a_cluster_that_goes_away_in_mid_run_is_an_error(signals: Any) -> None:
    """What ran there is given up, after some seconds."""
    pytest.importorskip("distributed", reason="pip install 'gofer[dask]'")
    from gofer.backends import DaskBackend

    cluster = DaskBackend()

    @job
    def waits(ctx: Any) -> None:
        signals.set("runs")
        ctx.sleep(3)

    def close() -> None:
        signals.wait("runs")
        cluster.close()

    import threading

    closing = threading.Thread(target=close)
    closing.start()
    with pytest.raises(BackendError, match="Dask"):
        JobManager([waits]).execute(backend=cluster)
    closing.join()


def test_an_asynchronous_client_is_refused(client: Any) -> None:
    """It would serve the loop of its own thread alone."""
    import asyncio

    from distributed import Client

    from gofer.backends import DaskBackend

    async def main() -> None:
        async with Client(client.scheduler.address, asynchronous=True) as another:
            with pytest.raises(BackendError, match="serves one loop only"):
                DaskBackend(another)

    asyncio.run(main())
