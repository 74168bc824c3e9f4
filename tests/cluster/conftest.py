"""Real clusters of two worker processes, and one that a test may harm."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gofer

TIMEOUT = 60.0
"""Seconds after which a wait fails. Nothing that works comes near it, on any machine."""


@contextlib.contextmanager
def cluster_of(workers: int, **options: Any) -> Iterator[Any]:
    """Start a cluster of worker processes with one thread each; give its client."""
    distributed = pytest.importorskip("distributed", reason="pip install 'gofer[dask]'")
    with (
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            **options,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def _nothing_outlives_the_test() -> Iterator[None]:
    """Look at Gofer's own threads alone: an engine's threads, tasks and processes come and go."""
    yield
    until = time.monotonic() + TIMEOUT
    while (left := _own_threads()) and time.monotonic() < until:
        time.sleep(0.01)
    assert not left, f"the test has left behind: {left}"


def _own_threads() -> set[str]:
    names = {thread.name for thread in threading.enumerate() if thread.name.startswith("gofer:")}
    return names - {"gofer:idle", "gofer:timer", "gofer:loop"}


@pytest.fixture(scope="session")
def client() -> Iterator[Any]:
    """The client of a cluster that all tests share."""
    with cluster_of(2, resources={"GPU": 1}) as client:
        yield client


@pytest.fixture(scope="session")
def dask(client: Any) -> Any:
    """A backend on that cluster."""
    from gofer.backends import DaskBackend

    return DaskBackend(client)


@pytest.fixture(scope="session")
def ray() -> Iterator[Any]:
    """Ray, on a cluster of two workers that all tests share."""
    pytest.importorskip("ray", reason="needs Ray: make ray, or pip install 'gofer[ray]'")
    from gofer.backends import RayBackend

    with RayBackend(num_cpus=2, object_store_memory=600 << 20) as backend:
        backend.connect()
        yield backend


@pytest.fixture(scope="session", params=["dask", "ray"])
def cluster(request: pytest.FixtureRequest) -> Any:
    """Each backend that takes whole graphs, for what all of them promise."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def harmed() -> Iterator[Any]:
    """A backend on a cluster for one test, which may kill its workers."""
    with cluster_of(2) as client:
        from gofer.backends import DaskBackend

        yield DaskBackend(client)


class Signals:
    """What jobs in other processes tell each other and the test: files that are there or not."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def set(self, name: str) -> None:
        """Note that something has happened; once more is noted, too."""
        import os

        with open(f"{self.folder}/{name}", "a") as file:
            file.write(f"{os.getpid()}\n")

    def times(self, name: str) -> int:
        """Return how often it has happened."""
        import os

        if not os.path.exists(f"{self.folder}/{name}"):
            return 0
        with open(f"{self.folder}/{name}") as file:
            return len(file.read().split())

    def wait(self, name: str, ctx: gofer.Context | None = None) -> None:
        """Wait until it has happened."""
        import time

        until = time.monotonic() + 60.0
        while not self.times(name):
            assert time.monotonic() < until, f"{name} never came"
            if ctx is not None:
                ctx.sleep(0.005)
            else:
                time.sleep(0.005)


@pytest.fixture
def signals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Signals:
    """Signals for one test; by value, as workers cannot import this file."""
    import sys

    cloudpickle = pytest.importorskip("cloudpickle", reason="pip install 'gofer[process]'")
    module = sys.modules[Signals.__module__]
    cloudpickle.register_pickle_by_value(module)
    return Signals(tmp_path)


class OnStart(gofer.Observer):
    """Calls something when a job of some name starts."""

    def __init__(self, name: str, call: Callable[[], object]) -> None:
        self.name, self.call = name, call
        self.told: list[str] = []

    def job_started(self, run: gofer.Run, name: str) -> None:
        """Look whether it is the one."""
        self.told.append(name)
        if name == self.name:
            self.call()


@pytest.fixture
def on_start() -> type[OnStart]:
    """An observer that calls something when a job starts."""
    return OnStart
