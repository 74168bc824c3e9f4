"""Gofer's overhead on Dask: a graph under Gofer against the same graph handed to Dask by hand.

Both run on one LocalCluster of two processes, in turn, several times; what is printed is the ratio
of the medians. ``python -m benchmarks.dask``
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from dask._task_spec import Task, TaskRef
from distributed import Client, LocalCluster, wait

from gofer import JobManager, job
from gofer.backends import DaskBackend

ROUNDS = 9


def work(**needed: int) -> int:
    """Do nothing worth mentioning."""
    return 1 + sum(needed.values()) % 1000


def work_10_ms(**needed: int) -> int:
    """Do what takes 10 ms."""
    time.sleep(0.01)
    return work(**needed)


def wide(count: int) -> dict[str, list[str]]:
    """Return jobs that need nothing, and one that needs all of them."""
    names = [f"n{i}" for i in range(count - 1)]
    return {**{name: [] for name in names}, "all": names}


def chain(count: int) -> dict[str, list[str]]:
    """Return jobs of which each needs the one before."""
    return {f"n{i}": [f"n{i - 1}"] if i else [] for i in range(count)}


def at_random(count: int) -> dict[str, list[str]]:
    """Return jobs that each need up to three of those before, always the same ones."""
    draw = random.Random(1)
    return {
        f"n{i}": [f"n{j}" for j in draw.sample(range(max(0, i - 50), i), min(i, draw.randrange(4)))]
        for i in range(count)
    }


def by_hand(
    client: Client, graph: dict[str, list[str]], fn: Callable[..., int]
) -> Callable[[], Any]:
    """Return a function that has Dask do a graph, and holds all results."""
    round_number = iter(range(1_000_000))

    def call() -> None:
        run = next(round_number)
        keys = {name: (f"by-hand-{run}", name) for name in graph}
        tasks = {
            keys[name]: Task(keys[name], fn, **{need: TaskRef(keys[need]) for need in needs})
            for name, needs in graph.items()
        }
        wait(client.get(tasks, list(keys.values()), sync=False))

    return call


def by_gofer(
    client: Client, graph: dict[str, list[str]], fn: Callable[..., int]
) -> Callable[[], Any]:
    """Return a function that executes it by Gofer."""
    jobs = [
        job(fn, name=name, needs={need: need for need in needs}) for name, needs in graph.items()
    ]
    manager, backend = JobManager(jobs), DaskBackend(client)
    return lambda: manager.execute(backend=backend)


def seconds(call: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    """Print a table."""
    only = sys.argv[1:]
    graphs: dict[str, tuple[dict[str, list[str]], Callable[..., int]]] = {
        "1,000 wide": (wide(1000), work),
        "2,000 at random": (at_random(2000), work),
        "200 wide, 10 ms each": (wide(200), work_10_ms),
        "8 wide": (wide(8), work),
        "chain of 50": (chain(50), work),
    }
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        for name, (graph, fn) in graphs.items():
            if only and not any(each in name for each in only):
                continue
            hand, gofer = by_hand(client, graph, fn), by_gofer(client, graph, fn)
            hand(), gofer()
            times = [(seconds(hand), seconds(gofer)) for _ in range(ROUNDS)]
            theirs, ours = (statistics.median(each) for each in zip(*times, strict=True))
            ratio = ours / theirs
            sys.stdout.write(
                f"{name:22} by hand {theirs:.3f} s, Gofer {ours:.3f} s, ratio {ratio:.2f}\n"
            )


if __name__ == "__main__":
    main()
