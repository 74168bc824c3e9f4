"""The cases where jobs are added while others run: `gofer.map` and `Group` against pools."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import gofer
from benchmarks.gopeer import go
from benchmarks.measure import Case, Peer, Side, Timed, plain, timed

ITEMS = 100_000
JOBS = 10_000


def noop(item: int) -> int:
    """Give back what came."""
    return item


def map_of_gofer() -> None:
    """Go through all items, eight at a time."""
    for _ in gofer.map(noop, range(ITEMS), limit=8):
        pass


@contextmanager
def map_of_pool() -> Iterator[Timed]:
    """Go through all items with the ``map`` of a pool of eight threads."""
    with ThreadPoolExecutor(8) as executor:

        def work() -> None:
            for _ in executor.map(noop, range(ITEMS)):
                pass

        yield timed(work)


@contextmanager
def joblib_generator() -> Iterator[Timed]:
    """Go through all items with joblib, in order and lazily."""
    from joblib import Parallel, delayed

    def work() -> None:
        parallel = Parallel(n_jobs=8, backend="threading", return_as="generator")
        for _ in parallel(delayed(noop)(item) for item in range(ITEMS)):
            pass

    yield timed(work)


def group(limit: int | None) -> Side:
    """Return the side that adds jobs to a group and asks each for its result."""

    def work() -> list[int]:
        with gofer.Group(limit=limit) as group:
            handles = [group.go(noop, i) for i in range(JOBS)]
        return [handle.result() for handle in handles]

    return partial(plain, work)


@contextmanager
def submit() -> Iterator[Timed]:
    """Submit as many calls to a pool of eight threads, and ask each for its result."""
    with ThreadPoolExecutor(8) as executor:

        def work() -> list[int]:
            futures = [executor.submit(noop, i) for i in range(JOBS)]
            return [future.result() for future in futures]

        yield timed(work)


def cases() -> list[Case]:
    """Return the cases."""
    peers = (
        Peer("ThreadPoolExecutor(8).submit", submit, 0.5),
        Peer("Go, errgroup's shape", go("group", "noop", JOBS)),
    )
    return [
        Case(
            "gofer.map over 100,000 no-op items, limit 8",
            partial(plain, map_of_gofer),
            (
                Peer("ThreadPoolExecutor(8).map", map_of_pool, 0.3),
                Peer("joblib, 8 threads", joblib_generator),
            ),
            per=ITEMS,
            quick=False,
        ),
        Case("Group.go, 10,000 no-op jobs", group(None), peers, per=JOBS),
        Case(
            "Group.go, 10,000 no-op jobs, limit 8",
            group(8),
            (Peer("ThreadPoolExecutor(8).submit", submit),),
            per=JOBS,
        ),
    ]
