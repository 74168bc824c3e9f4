"""Random graphs, groups and maps from several threads, where threads change all the time.

Run by test_stress.py in a process of its own, as it sets how often Python changes threads. Prints
how many jobs ran. Each job counts itself, so that a job that is lost or runs twice is seen, and how
many run at once, so that a broken limit is.
"""

from __future__ import annotations

import asyncio
import faulthandler
import random
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import gofer
from gofer import Group, JobManager, job

HANGS_AFTER = 600.0  # seconds

done = count()


class Counted:
    """Counts jobs: how often each ran, and how many at once."""

    def __init__(self, size: int) -> None:
        self.lock = threading.Lock()
        self.ran = [0] * size
        self.running = self.most = 0

    def job(self, i: int) -> int:
        with self.lock:
            self.ran[i] += 1
            self.running += 1
            self.most = max(self.most, self.running)
        with self.lock:
            self.running -= 1
        next(done)
        return i

    def check(self, times: int, limit: int | None) -> None:
        assert self.ran == [times] * len(self.ran)
        assert limit is None or self.most <= limit


def functions(
    counted: Counted, chance: random.Random, i: int, *, mixed: bool
) -> Callable[..., Any]:
    """Return what job ``i`` does: count itself, and sometimes block for a moment."""
    blocks = chance.random() < 0.02

    def sync() -> int:
        if blocks:
            time.sleep(0.0001)
        return counted.job(i)

    async def on_loop() -> int:
        if blocks:
            await asyncio.sleep(0)
        return counted.job(i)

    return on_loop if mixed and chance.random() < 0.3 else sync


def graph(chance: random.Random, size: int, limit: int | None) -> None:
    """Execute a random graph twice, from plain code or from a loop."""
    counted, mixed = Counted(size), chance.random() < 0.4
    jobs = []
    for i in range(size):
        needs = [f"j{k}" for k in chance.sample(range(i), min(i, chance.choice([0, 0, 1, 2])))]
        jobs.append(job(functions(counted, chance, i, mixed=mixed), name=f"j{i}", after=needs))
    manager = JobManager(jobs, limit=limit)
    for _ in range(2):
        run = manager.execute() if chance.random() < 0.6 else asyncio.run(manager.aexecute())
        assert list(run.results.values()) == list(range(size))
    counted.check(2, limit)


def group_and_map(chance: random.Random, size: int, limit: int | None) -> None:
    """Add jobs to a group, and go through a map."""
    counted = Counted(size)
    with Group(limit=limit) as group:
        handles = [group.go(counted.job, i) for i in range(size)]
    assert [each.result() for each in handles] == list(range(size))
    assert list(gofer.map(counted.job, range(size), limit=limit or 8)) == list(range(size))
    counted.check(2, limit)


def work(seed: int, rounds: int, failed: list[BaseException]) -> None:
    """Do what one thread does."""
    chance = random.Random(seed)
    try:
        for _ in range(rounds):
            size, limit = chance.choice([1, 3, 8, 50, 300]), chance.choice([None, 1, 2, 8])
            chance.choice([graph, group_and_map])(chance, size, limit)
    except BaseException as error:
        failed.append(error)
        raise


def main(threads: int, rounds: int) -> None:
    """Let so many threads do so many rounds each."""
    faulthandler.dump_traceback_later(HANGS_AFTER, exit=True)
    sys.setswitchinterval(1e-6)
    failed: list[BaseException] = []
    made = [threading.Thread(target=work, args=(n, rounds, failed)) for n in range(threads)]
    for thread in made:
        thread.start()
    for thread in made:
        thread.join()
    sys.stdout.write(f"{next(done)} jobs\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
