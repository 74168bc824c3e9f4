"""The cases of plain functions, called from plain code: a manager against pools of threads."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from benchmarks.gopeer import go
from benchmarks.measure import Case, Peer, Side, Timed, constant, plain, timed
from gofer import JobManager, job


def noop(ctx: Any, param: Any) -> None:
    """Do nothing."""


def block(ctx: Any, param: Any) -> None:  # noqa: ARG001 - jobs take what a run gives
    """Block for 10 ms, as a query of a database does."""
    time.sleep(0.01)


def gofer(fn: Callable[..., object], count: int) -> Side:
    """Return the side that executes a manager of ``count`` jobs."""
    manager = JobManager([job(fn, name=f"j{i}") for i in range(count)])
    return partial(plain, manager.execute)


def pool(fn: Callable[..., object], count: int, workers: int) -> Side:
    """Return the side that submits ``count`` calls to a pool, whose threads are there already."""

    @contextmanager
    def side() -> Iterator[Timed]:
        with ThreadPoolExecutor(workers) as executor:

            def work() -> list[object]:
                futures = [executor.submit(fn, None, None) for _ in range(count)]
                return [future.result() for future in futures]

            yield timed(work)

    return side


def joblib(fn: Callable[..., object], count: int) -> Side:
    """Return the side that has joblib call ``fn``, in eight threads that it keeps."""

    @contextmanager
    def side() -> Iterator[Timed]:
        from joblib import Parallel, delayed

        with Parallel(n_jobs=8, backend="threading") as parallel:
            yield timed(lambda: parallel(delayed(fn)(None, None) for _ in range(count)))

    return side


COLD_POOL = """
import time
from concurrent.futures import ThreadPoolExecutor
from benchmarks.blocking import block
start = time.perf_counter()
with ThreadPoolExecutor({count}) as executor:
    futures = [executor.submit(block, None, None) for _ in range({count})]
    results = [future.result() for future in futures]
    print(time.perf_counter() - start)
"""

COLD_GOFER = """
import time
from benchmarks.blocking import block
from gofer import JobManager, job
manager = JobManager([job(block, name=f"j{{i}}") for i in range({count})])
start = time.perf_counter()
manager.execute()
print(time.perf_counter() - start)
"""


def cold(code: str, count: int) -> Side:
    """Return the side that works in a fresh interpreter, where no thread has been started yet."""

    @contextmanager
    def side() -> Iterator[Timed]:
        command = [sys.executable, "-c", code.format(count=count)]

        def work(number: int) -> float:
            runs = [subprocess.run(command, check=True, capture_output=True) for _ in range(number)]
            return sum(float(run.stdout) for run in runs)

        yield work

    return side


def cases() -> list[Case]:
    """Return the cases."""
    return [
        Case(
            "2,000 no-op sync jobs",
            gofer(noop, 2000),
            (
                Peer("ThreadPoolExecutor(8)", pool(noop, 2000, 8), 0.12),
                Peer("Go, a goroutine a job", go("manager", "noop", 2000), 2.0),
                Peer("joblib, 8 threads", joblib(noop, 2000)),
            ),
            per=2000,
        ),
        Case(
            "8 no-op sync jobs, the whole execute",
            gofer(noop, 8),
            (
                Peer("ThreadPoolExecutor(8), warm", pool(noop, 8, 8), 0.5),
                Peer("Go, a goroutine a job", go("manager", "noop", 8)),
                Peer("joblib, 8 threads", joblib(noop, 8)),
            ),
        ),
        Case(
            "8 sync jobs that block for 10 ms",
            gofer(block, 8),
            (
                Peer("the ideal 10 ms", partial(constant, 0.01), 1.05),
                Peer("ThreadPoolExecutor(8), warm", pool(block, 8, 8)),
                Peer("Go, a goroutine a job", go("manager", "block", 8)),
            ),
        ),
        Case(
            "2,000 sync jobs that block for 10 ms, no limit, fresh process",
            cold(COLD_GOFER, 2000),
            (
                Peer("ThreadPoolExecutor(2000), cold", cold(COLD_POOL, 2000), 0.4),
                Peer("Go, a goroutine a job", go("manager", "block", 2000), 6),
            ),
        ),
        Case(
            "2,000 sync jobs that block for 10 ms, no limit, threads warm",
            gofer(block, 2000),
            (
                Peer("ThreadPoolExecutor(2000), cold", cold(COLD_POOL, 2000)),
                Peer("ThreadPoolExecutor(2000), warm", pool(block, 2000, 2000)),
                Peer("Go, a goroutine a job", go("manager", "block", 2000)),
            ),
            quick=False,
        ),
    ]
