"""Whole graphs on a cluster: the same results and the same report as on one machine."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

import gofer
from gofer import Context, JobManager, job
from gofer.errors import BackendError, NoResult, NotPicklable, ParamIsCopy


def random_jobs(count: int, seed: int) -> list[Any]:
    """Return jobs that each need up to three of those before, with results or in order only."""
    draw = random.Random(seed)
    jobs = []
    for i in range(count):
        before = draw.sample(range(max(0, i - 40), i), min(i, draw.randrange(4)))
        taken = {f"a{k}": f"n{j}" for k, j in enumerate(before) if draw.random() < 0.8}
        after = [f"n{j}" for j in before if f"n{j}" not in taken.values()]

        def work(number: int = i, **needed: int) -> int:
            return (7 * number + sum(needed.values())) % 1_000_003

        def alone(number: int = i) -> int:
            return number

        fn = work if taken else alone
        jobs.append(job(fn, name=f"n{i}", needs=taken, after=after))
    return jobs


def test_a_random_graph_of_2000_jobs_gives_what_it_gives_on_threads(cluster: Any) -> None:
    """Each result, each state, and that each job came after what it needs."""
    manager = JobManager(random_jobs(2000, seed=5))
    here, there = manager.execute(), manager.execute(backend=cluster)
    assert there.results == here.results
    assert {each.state for each in there.records} == {"succeeded"}
    ends = {each.name: each.end for each in there.records}
    for each in there.records:
        assert all(ends[need] <= each.start + 0.001 for need in there.needs(each.name))


def test_a_chain_is_one_piece_and_is_still_reported_job_by_job(cluster: Any) -> None:
    """A hop costs milliseconds, so ten jobs in a line go to a worker together."""

    def more(**needed: int) -> int:
        return 1 + sum(needed.values())

    jobs = [job(more, name=f"n{i}", needs={"a": f"n{i - 1}"} if i else {}) for i in range(10)]
    run = JobManager(jobs).execute(backend=cluster)
    assert len(run._far.pieces) == 1
    assert run["n3"] == 4
    assert run["n9"] == 10
    records = run.records
    assert all(a.end <= b.start for a, b in itertools.pairwise(records))
    assert run.critical_path == tuple(f"n{i}" for i in range(10))
    assert all(each.thread.startswith("worker ") for each in records)


def test_only_names_the_outputs_and_the_rest_is_not_kept(cluster: Any) -> None:
    """What nobody asked for can be forgotten as soon as it has been used."""

    @job
    def first() -> int:
        return 1

    @job
    def second(*, first: int) -> int:
        return first + 1

    run = JobManager([first, second]).execute(only=["second"], backend=cluster)
    assert run["second"] == 2
    assert run.results == {"second": 2}
    with pytest.raises(NoResult, match="write: only="):
        run["first"]


def test_200_mb_between_jobs_never_pass_through_the_driver(
    dask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results stay on the workers, and move from one to the other; only a number comes back."""
    from tornado.iostream import IOStream

    came = [0]
    read = IOStream.read_from_fd

    def counted(stream: Any, buffer: Any) -> Any:
        got = read(stream, buffer)
        came[0] += got or 0
        return got

    monkeypatch.setattr(IOStream, "read_from_fd", counted)

    def make(n: int = 0) -> bytes:
        return bytes(20_000_000)

    def total(**parts: bytes) -> int:
        return sum(map(len, parts.values()))

    makers = [job(make, name=f"part{i}") for i in range(10)]
    needs = {f"p{i}": f"part{i}" for i in range(10)}
    run = JobManager([*makers, job(total, name="total", needs=needs)]).execute(backend=dask)
    assert run["total"] == 200_000_000
    assert came[0] < 2_000_000
    assert len(run["part3"]) == 20_000_000  # only now
    assert came[0] > 20_000_000


class Page:
    """A param with parts."""

    def __init__(self, rows: list[int]) -> None:
        self.rows = rows
        self.total = 0


def page_of(rows: list[int]) -> Any:
    """Return a param whose class workers get by value, as they cannot import this file."""
    return type("Page", (), {"__init__": Page.__init__, "__module__": "__main__"})(rows)


@pytest.mark.parametrize("size", [3, 200_000])
def test_the_param_arrives_and_a_write_to_it_is_an_error(cluster: Any, size: int) -> None:
    """A small one goes along, a large one is scattered once; both are copies to be read."""

    @job
    def read(ctx: Any, page: Any) -> int:
        return sum(page.rows)

    @job
    def write(ctx: Any, page: Any) -> None:
        page.total = 1

    rows = list(range(size))
    assert JobManager([read]).execute(param=page_of(rows), backend=cluster)["read"] == sum(rows)
    with pytest.raises(ParamIsCopy, match="return the value instead"):
        JobManager([write]).execute(param=page_of(rows), backend=cluster)


def test_values_of_the_context_and_its_deadline_arrive(cluster: Any) -> None:
    """Seconds left, corrected for the time on the way."""

    @job
    def look(ctx: Context) -> tuple[Any, float | None, bool]:
        from gofer import current_context

        return ctx.value("user"), ctx.remaining(), current_context() is ctx

    with Context(timeout=50, values={"user": 7}) as ctx:
        user, left, is_current = JobManager([look]).execute(ctx, backend=cluster)["look"]
    assert user == 7
    assert is_current
    assert left is not None
    assert 0 < left < 50


def test_aexecute_takes_the_same_backend(cluster: Any) -> None:
    """The loop goes on meanwhile."""
    import asyncio

    async def main() -> gofer.Run:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        ticking = asyncio.create_task(tick())
        run = await JobManager([job(lambda: 5, name="five")]).aexecute(backend=cluster)
        ticking.cancel()
        assert ticks
        return run

    assert asyncio.run(main())["five"] == 5


def test_a_run_is_seen_live(cluster: Any, signals: Any, on_start: Any) -> None:
    """The driver hears of a job's start while it runs: else this would wait for ever."""

    @job
    def waits(ctx: Context) -> int:
        signals.wait("seen", ctx)
        return 1

    watcher = on_start("waits", lambda: signals.set("seen"))
    run = JobManager([waits], observers=[watcher]).execute(backend=cluster)
    assert run["waits"] == 1
    assert watcher.told == ["waits"]


def test_policies_of_a_job_are_kept_on_the_worker(cluster: Any, signals: Any) -> None:
    """Retries, fallbacks, timeouts and ``when`` are the same as here, in the report too."""

    @job(retry=gofer.Retry(3, on=ValueError, wait_initial=0.001))
    def again() -> int:
        signals.set("tried")
        if signals.times("tried") < 3:
            raise ValueError("not yet")
        return signals.times("tried")

    @job(fallback=lambda error: type(error).__name__)
    def falls() -> str:
        raise KeyError("gone")

    @job(timeout=0.05, fallback="late")
    def slow(ctx: Context) -> str:
        ctx.sleep(30)
        return "never"

    @job(when=lambda ctx, param: False)
    def skipped() -> int:
        return 1

    @job
    def after(*, skipped: int | None, again: int) -> tuple[int | None, int]:
        return skipped, again

    run = JobManager([again, falls, slow, skipped, after]).execute(backend=cluster)
    assert run.results == {
        "again": 3,
        "falls": "KeyError",
        "slow": "late",
        "skipped": None,
        "after": (None, 3),
    }
    attempts = run.record("again").attempts
    assert [type(each.error) for each in attempts] == [ValueError, ValueError, type(None)]
    assert attempts[0].end <= attempts[1].start
    assert run.record("falls").fell_back
    assert isinstance(run.record("slow").error, gofer.JobTimeout)
    assert run.record("skipped").state == "skipped"


def test_a_job_in_a_process_is_one_on_its_worker(cluster: Any) -> None:
    """``backend="process"`` means the same there."""
    import os

    def pids() -> tuple[int, int]:
        import os

        return os.getpid(), os.getppid()

    jobs = [job(pids, name="inner", backend="process"), job(pids, name="outer")]
    run = JobManager(jobs).execute(backend=cluster)
    assert os.getpid() not in (run["inner"][0], run["outer"][0])
    assert run["inner"][0] != run["outer"][0]


def test_a_manager_is_one_job_on_a_cluster(cluster: Any) -> None:
    """It runs on one worker, in its threads, and its result is a run."""
    inner = JobManager([job(lambda: 4, name="four")], name="inner", limits={"db": 2})
    assert JobManager([inner]).execute(backend=cluster)["inner"]["four"] == 4


def test_a_limit_is_never_exceeded(cluster: Any) -> None:
    """No more than so many jobs overlap in time."""

    def work() -> None:
        import time

        time.sleep(0.01)

    manager = JobManager([job(work, name=f"n{i}") for i in range(20)], limit=1)
    records = sorted(manager.execute(backend=cluster).records, key=lambda each: each.start)
    for one, other in itertools.pairwise(records):
        assert one.end <= other.start + 0.001


def test_what_cannot_be_kept_on_many_machines_is_refused_before_anything_runs(cluster: Any) -> None:
    """The message says which job, and what to write instead."""
    here = JobManager([job(print, name="here", backend="thread")])
    with pytest.raises(BackendError, match="job 'here' wants to run on 'thread', but its graph"):
        here.execute(backend=cluster)
    limited = JobManager([job(print, name="asks", limit="db")], limits={"db": 1})
    with pytest.raises(BackendError, match="write: resources="):
        limited.execute(backend=cluster)
    with pytest.raises(BackendError, match="takes with a whole graph only"):
        JobManager([job(print, name="alone", retry=2, backend=cluster)])


def test_what_does_not_travel_is_named(cluster: Any) -> None:
    """A function before anything runs, a result as the error of its job."""
    import threading

    lock = threading.Lock()

    @job
    def held() -> None:
        lock.acquire()

    @job
    def gives() -> Any:
        import threading

        return threading.Lock()

    with pytest.raises(NotPicklable, match=r"job 'held' .* its function, its variable 'lock'"):
        JobManager([held]).execute(backend=cluster)
    run = JobManager([gives]).execute(backend=cluster, check=False)
    with pytest.raises(NotPicklable, match=r"job 'gives' .* its result"):
        run.check()


def test_a_breaker_is_refused_as_it_counts_in_one_process(cluster: Any) -> None:
    """Each worker would have to learn by itself."""
    manager = JobManager([job(print, name="asks", breaker=gofer.Breaker())])
    with pytest.raises(BackendError, match="job 'asks' has a breaker"):
        manager.execute(backend=cluster)


def test_without_recover_a_panic_comes_out_raw(cluster: Any) -> None:
    """Promise 10, of a plain job and of one with policies."""

    def leaves() -> None:
        raise SystemExit(3)

    for options in ({}, {"timeout": 60}):
        manager = JobManager([job(leaves, name="leaves", **options)], recover=False)
        with pytest.raises(SystemExit):
            manager.execute(backend=cluster)
