"""Pools of worker processes for all tests, one for each way to start a worker.

Workers import the jobs by name: they get ``sys.path`` as it is when they start.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SUPPORT = str(Path(__file__).parent / "support")
if SUPPORT not in sys.path:
    sys.path.insert(0, SUPPORT)

from gofer import Group  # noqa: E402
from gofer.backends import processes  # noqa: E402
from gofer.backends.processes import ProcessBackend  # noqa: E402

STARTS = ("forkserver", "spawn")


def warm(backend: ProcessBackend, folder: Path) -> list[int]:
    """Have all workers of a pool started; return their numbers."""
    import process_jobs

    folder.mkdir()
    with Group(backend=backend) as group:
        count = backend._pool.workers
        here = [group.go(process_jobs.meet, str(folder), i, count) for i in range(count)]
    return [each.result() for each in here]


@pytest.fixture
def warmed(backend: ProcessBackend, tmp_path: Path) -> ProcessBackend:
    """Each way to start workers, and these are there."""
    warm(backend, tmp_path / "warm")
    return backend


def _shared(start: str) -> Iterator[ProcessBackend]:
    backend = ProcessBackend(2, start=start, grace=1.0)
    yield backend
    backend.close()


@pytest.fixture(scope="session")
def forkserver() -> Iterator[ProcessBackend]:
    """Two workers that are forked from a server."""
    yield from _shared("forkserver")


@pytest.fixture(scope="session")
def spawn() -> Iterator[ProcessBackend]:
    """Two workers, each an interpreter of its own."""
    yield from _shared("spawn")


@pytest.fixture(params=STARTS)
def backend(request: pytest.FixtureRequest) -> ProcessBackend:
    """Each way to start workers, in turn."""
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture
def one(request: pytest.FixtureRequest) -> Iterator[ProcessBackend]:
    """A pool of its own for a test, with one worker."""
    backend = ProcessBackend(1, grace=1.0)
    yield backend
    backend.close()


@pytest.fixture(autouse=True)
def _no_run_is_left_in_a_pool() -> Iterator[None]:
    yield
    for pool in tuple(processes._pools):
        pool.leave_word("close", None)  # have its thread turn once more
    until = time.monotonic() + 10
    while (left := [p for p in tuple(processes._pools) if p._ports or p._line or p._stopping]) and (
        time.monotonic() < until
    ):
        time.sleep(0.005)
    assert not left, "a run is over, and a pool still serves it"
