"""The cases in worker processes: `backend="processes"` against the pools of processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import gofer
from benchmarks.measure import Case, Peer, Side, Timed, timed
from gofer import JobManager, job
from gofer.backends import ProcessBackend

WORKERS = 2
LARGE = 10_000_000
COMPUTATIONS = 16


def noop() -> None:
    """Do nothing."""


def echo(data: bytes) -> bytes:
    """Give back what came."""
    return data


def compute() -> int:
    """Do what keeps an interpreter busy for some hundredths of a second."""
    return sum(n * n % 7 for n in range(300_000))


@contextmanager
def managed(fn: Callable[[], object], count: int, backend: Any = None) -> Iterator[Timed]:
    """Execute a manager of so many jobs on two workers, or where it is said."""
    own = ProcessBackend(WORKERS) if backend is None else None
    manager = JobManager([job(fn, name=f"job {i}") for i in range(count)])

    def work() -> None:
        manager.execute(backend=backend or own)

    try:
        yield timed(work)
    finally:
        if own is not None:
            own.close()


@contextmanager
def mapped(count: int) -> Iterator[Timed]:
    """Map over large bytes, which travel both ways."""
    own, data = ProcessBackend(WORKERS), bytes(LARGE)

    def work() -> None:
        for _ in gofer.map(echo, [data] * count, limit=8, backend=own):
            pass

    try:
        yield timed(work)
    finally:
        own.close()


@contextmanager
def submitted(fn: Callable[..., object], count: int, *args: Any) -> Iterator[Timed]:
    """Submit as many calls to a pool of two processes, and ask each for its result."""
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(WORKERS, mp_context=context) as executor:

        def work() -> None:
            futures = [executor.submit(fn, *args) for _ in range(count)]
            for future in futures:
                future.result()

        yield timed(work)


@contextmanager
def loky(count: int) -> Iterator[Timed]:
    """Call as often with joblib, in its own processes."""
    from joblib import Parallel, delayed

    def work() -> None:
        Parallel(n_jobs=WORKERS)(delayed(noop)() for _ in range(count))

    yield timed(work)


def pool(fn: Callable[..., object], count: int, *args: Any) -> Side:
    """Return the side of the standard library's pool."""
    return partial(submitted, fn, count, *args)


def cases() -> list[Case]:
    """Return the cases."""
    name = "ProcessPoolExecutor(2)"
    return [
        Case(
            "2,000 no-op jobs in 2 processes",
            partial(managed, noop, 2000),
            (
                Peer(name, pool(noop, 2000), 0.15),
                Peer("joblib, 2 processes", partial(loky, 2000)),
            ),
            per=2000,
        ),
        Case(
            "8 no-op jobs in 2 processes, the whole execute",
            partial(managed, noop, 8),
            (Peer(name, pool(noop, 8), 0.4), Peer("joblib, 2 processes", partial(loky, 8))),
        ),
        Case(
            "100 jobs in 2 processes, 10 MB of bytes each way",
            partial(mapped, 100),
            (Peer(name, pool(echo, 100, bytes(LARGE)), 0.6),),
            per=100,
            quick=False,
        ),
        Case(
            "16 jobs that compute, in 2 processes",
            partial(managed, compute, COMPUTATIONS),
            (
                Peer(
                    "the same on threads", partial(managed, compute, COMPUTATIONS, "threads"), 0.556
                ),
                Peer(name, pool(compute, COMPUTATIONS)),
            ),
            per=COMPUTATIONS,
        ),
    ]
