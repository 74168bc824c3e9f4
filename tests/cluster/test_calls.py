"""Groups and maps on a cluster."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import gofer
from gofer import AsyncGroup, Context, Group, JobManager, job
from gofer.errors import BackendError, NotPicklable


def test_a_map_gives_results_in_order_and_pulls_few_items_ahead(cluster: Any) -> None:
    """It is as lazy as on threads."""
    pulled = [0]

    def items() -> Any:
        while True:
            pulled[0] += 1
            yield pulled[0]

    found = []
    for value in gofer.map(lambda n: n * n, items(), limit=8, backend=cluster):
        found.append(value)
        if len(found) == 100:
            break
    assert found == [n * n for n in range(1, 101)]
    assert pulled[0] <= 100 + 8 + 8 + 1


def test_short_calls_travel_several_at_a_time(cluster: Any) -> None:
    """So a map of many takes fewer messages than it has items."""
    from gofer.backends._calls_away import Calls

    sent = [0]
    send = Calls._send

    def counted(calls: Any, batch: Any, key: int) -> None:
        sent[0] += 1
        send(calls, batch, key)

    Calls._send = counted  # type: ignore[method-assign]
    try:
        assert sum(gofer.map(lambda n: n, range(1000), backend=cluster)) == 499_500
    finally:
        Calls._send = send  # type: ignore[method-assign]
    assert sent[0] < 500


def test_async_calls_are_awaited_on_the_workers_loop(cluster: Any) -> None:
    """Many at once, though a worker has one thread."""

    async def meet(n: int) -> int:
        import asyncio

        await asyncio.sleep(0.01)
        return n

    assert list(gofer.map(meet, range(50), backend=cluster)) == list(range(50))


def test_a_map_of_a_loop_takes_it_too(cluster: Any) -> None:
    """``amap`` and ``AsyncGroup``."""

    async def main() -> list[int]:
        found = [n async for n in gofer.amap(lambda n: n + 1, range(20), backend=cluster)]
        async with AsyncGroup(backend=cluster) as group:
            handle = await group.go(lambda n: n * 2, 30)
        return [*found, handle.result()]

    assert asyncio.run(main()) == [*range(1, 21), 60]


def test_the_first_failure_of_a_map_ends_it(cluster: Any) -> None:
    """The job's own error, with a note."""

    def half(n: int) -> float:
        return 1 / (n - 5)

    with pytest.raises(ZeroDivisionError) as caught:
        list(gofer.map(half, range(100), backend=cluster))
    assert "half[5]" in caught.value.__notes__[0]
    good = [each.ok for each in gofer.map(half, range(10), backend=cluster, check=False)]
    assert good == [n != 5 for n in range(10)]


def test_leaving_a_map_cancels_what_runs(cluster: Any, signals: Any) -> None:
    """And waits for it."""

    def wait(n: int) -> int:
        if n:
            from gofer import current_context

            signals.set("runs")
            try:
                current_context().sleep(60)
            finally:
                signals.set("ended")
        return n

    for _ in gofer.map(wait, range(3), backend=cluster):
        signals.wait("runs")
        break
    assert signals.times("ended") == signals.times("runs")


def test_an_argument_that_does_not_travel_is_named(cluster: Any) -> None:
    """As is a result."""
    import threading

    with pytest.raises(NotPicklable, match="an argument"), Group(backend=cluster) as group:
        group.go(lambda lock: 1, threading.Lock())
    with pytest.raises(NotPicklable, match="its result"), Group(backend=cluster) as group:
        group.go(lambda: __import__("threading").Lock())


def test_one_job_of_a_run_may_go_there_and_the_others_stay(cluster: Any, signals: Any) -> None:
    """``@job(backend=...)``: its result comes back."""
    import os

    here = job(lambda: __import__("os").getpid(), name="here")
    there = job(lambda: __import__("os").getpid(), name="there", backend=cluster)

    @job
    def both(*, here: int, there: int) -> tuple[int, int]:
        return here, there

    run = JobManager([here, there, both]).execute()
    assert run["both"][0] == os.getpid() != run["both"][1]


def test_a_deadline_stops_a_group(cluster: Any) -> None:
    """Also one whose jobs have not begun."""

    def wait(n: int) -> None:
        from gofer import current_context

        current_context().sleep(60)

    with (
        pytest.raises(gofer.DeadlineExceeded),
        Context(timeout=0.3) as ctx,
        Group(ctx, backend=cluster) as group,
    ):
        for n in range(20):
            group.go(wait, n)


def test_a_group_on_a_cluster_that_cannot_be_reached_is_an_error() -> None:
    """Nothing waits for ever."""
    settings = pytest.importorskip("dask", reason="pip install 'gofer[dask]'")

    from gofer.backends import DaskBackend
    from gofer.errors import BackendError

    with (
        settings.config.set({"distributed.comm.timeouts.connect": "300ms"}),
        pytest.raises(BackendError, match="Dask could not run it"),
        Group(backend=DaskBackend("tcp://127.0.0.1:9")) as group,
    ):
        group.go(abs, -1)


def test_a_group_whose_cluster_goes_away_is_an_error(signals: Any) -> None:
    """What ran there is given up."""
    pytest.importorskip("distributed", reason="pip install 'gofer[dask]'")
    from gofer.backends import DaskBackend

    cluster = DaskBackend()

    def waits() -> None:
        from gofer import current_context

        signals.set("runs")
        current_context().sleep(3)

    with pytest.raises(BackendError, match="Dask gave it up"), Group(backend=cluster) as group:
        group.go(waits)
        signals.wait("runs")
        cluster.close()


def test_a_large_argument_of_a_groups_context_is_scattered_once(dask: Any) -> None:
    """Values of the context that are large go to each worker once."""

    def size(n: int) -> int:
        from gofer import current_context

        return len(current_context().value("large")) + n

    with Context(values={"large": bytes(1_000_000)}) as ctx:
        assert list(gofer.map(size, range(5), ctx=ctx, backend=dask)) == [
            1_000_000 + n for n in range(5)
        ]


def test_observers_hear_of_a_single_job_that_goes_there(dask: Any, on_start: Any) -> None:
    """It starts when it is sent."""
    watcher = on_start("there", lambda: None)
    there = job(lambda: 5, name="there", backend=dask)
    assert JobManager([there], observers=[watcher]).execute()["there"] == 5
    assert watcher.told == ["there"]
