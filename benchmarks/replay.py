"""Graphs of real work, replayed: each job sleeps as long as it once took, times a scale.

The graphs are in `../shared/workloads`, beside the repository; where that folder is missing there
is nothing to do. The scale is such that the best possible makespan is ``BEST`` seconds.

Without a limit, the makespan is held against the critical path, below which nothing can be. With a
limit, the first run of a manager is held against a list schedule by first come, first served; a
later one, which knows how long jobs take, against one by critical path first. Both schedules are
simulated, and decide in no time. They are done with and without what a sleep is too long by: where
jobs took equally long, as many did whose seconds are whole, that alone can turn their order around,
and the longer one counts.

A sleep is always too long, in an event loop by up to a millisecond, and no manager can help it. So
it is measured by how much a lone sleep is too long, and all that Gofer is held against has jobs
that are longer by that. Beyond it Gofer may take 3 % more and, for each job, what a job that sleeps
costs it, which is measured here too. The ratio to what is recorded alone is among the facts.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from statistics import median
from typing import Any

from benchmarks.measure import Row
from benchmarks.report import ROOT
from gofer import JobManager, job
from gofer.errors import describe

WORKLOADS = ROOT.parent / "shared" / "workloads"
BEST = 1.0  # seconds
ROUNDS = 3
LIMIT = 8
SLACK = 1.03
KINDS = "sync", "async"


@dataclass(frozen=True)
class Work:
    """A recorded graph, its jobs in the order of its file.

    Attributes:
        name: The graph's name.
        needs: Index -> indices of what it needs.
        seconds: Index -> how long it took.
    """

    name: str
    needs: list[list[int]]
    seconds: list[float]

    @classmethod
    def read(cls, text: str) -> Work:
        """Read a graph from its file.

        Raises:
            ValueError: It is none; the text says why, in one line.
        """
        try:
            found = json.loads(text)
            name, jobs = found["name"], found["jobs"]
            index = {each["name"]: i for i, each in enumerate(jobs)}
            needs = [[index[need] for need in each["after"]] for each in jobs]
            seconds = [float(each["seconds"]) for each in jobs]
        except RecursionError:
            raise ValueError("no graph: nested too deeply") from None
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"no graph: {describe(error)}") from None
        if not jobs or len(index) < len(jobs):
            raise ValueError("no graph: it needs jobs, each with a name of its own")
        if not all(0 <= each < 1e9 for each in seconds):
            raise ValueError("no graph: seconds must be numbers from 0 to 1e9")
        work = cls(name, needs, seconds)
        work.ahead  # noqa: B018  raises a ValueError if there is a cycle
        return work

    def slept(self, scale: float, extra: float) -> Work:
        """Return the graph as it is replayed, with sleeps that are too long by ``extra``."""
        seconds = [each * scale + extra if each else 0.0 for each in self.seconds]
        return Work(self.name, self.needs, seconds)

    @cached_property
    def ahead(self) -> list[float]:
        """Job by job, how long the longest path is from its start to the end."""
        ahead = list(self.seconds)
        order = [*TopologicalSorter(dict(enumerate(self.needs))).static_order()]
        for i in reversed(order):
            for need in self.needs[i]:
                ahead[need] = max(ahead[need], self.seconds[need] + ahead[i])
        return ahead

    def bound(self, limit: int | None) -> float:
        """Return what no schedule can beat."""
        return max(*self.ahead, sum(self.seconds) / limit if limit else 0.0)

    def scheduled(self, limit: int, *, critical_path_first: bool) -> float:
        """Return the makespan of a list schedule."""
        ahead = self.ahead
        missing = [len(each) for each in self.needs]
        dependents: list[list[int]] = [[] for _ in self.needs]
        for i, each in enumerate(self.needs):
            for need in each:
                dependents[need].append(i)
        ready: list[tuple[float, int]] = []
        running: list[tuple[float, int]] = []
        came = 0.0

        def becomes_ready(i: int) -> None:
            nonlocal came
            came += 1
            heapq.heappush(ready, (-ahead[i] if critical_path_first else came, i))

        for i, count in enumerate(missing):
            if not count:
                becomes_ready(i)
        now = 0.0
        while ready or running:
            while ready and len(running) < limit:
                _, i = heapq.heappop(ready)
                heapq.heappush(running, (now + self.seconds[i], i))
            now, i = heapq.heappop(running)
            for k in dependents[i]:
                missing[k] -= 1
                if not missing[k]:
                    becomes_ready(k)
        return now

    def manager(self, kind: str, scale: float, limit: int | None) -> JobManager:
        """Return a manager whose jobs sleep."""
        sleeper = _sleeper if kind == "sync" else _async_sleeper
        jobs = [
            job(sleeper(seconds * scale), name=f"j{i}", after=[f"j{k}" for k in needs])
            for i, (needs, seconds) in enumerate(zip(self.needs, self.seconds, strict=True))
        ]
        return JobManager(jobs, limit=limit)


def _sleeper(seconds: float) -> Callable[[], Any]:
    def sleep() -> None:
        time.sleep(seconds)

    return sleep


def _async_sleeper(seconds: float) -> Callable[[], Any]:
    async def sleep() -> None:
        await asyncio.sleep(seconds)

    return sleep


@dataclass(frozen=True)
class Costs:
    """What nobody, and what Gofer, can do nothing about.

    Attributes:
        each: Seconds that a job which sleeps costs Gofer.
        extra: Seconds by which a lone sleep is too long.
    """

    each: float
    extra: float


def rows() -> Iterator[Row | str]:
    """Replay every graph, sync and async, without a limit and with one."""
    files = sorted(WORKLOADS.glob("*.json"))
    if not files:
        yield "the replay of real graphs is left out: there is no ../shared/workloads"
        return
    costs = {kind: Costs(_each(kind), _extra(kind)) for kind in KINDS}
    for file in files:
        work = Work.read(file.read_text(encoding="utf-8"))
        for kind in KINDS:
            yield from _unlimited(work, kind, costs[kind])
            yield from _limited(work, kind, costs[kind])


def together(rows: Iterable[Row]) -> Iterator[Row]:
    """Add the graphs up, for a table that is not too long."""
    by_kind: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by_kind.setdefault((row.what.partition(": ")[2], row.against), []).append(row)
    for (how, against), same in by_kind.items():
        ours, theirs = sum(row.ours for row in same), sum(row.theirs for row in same)
        yield Row(f"{len(same)} real graphs, {how}", against, ours, theirs, ours / theirs)


def _unlimited(work: Work, kind: str, costs: Costs) -> Iterator[Row]:
    scale = BEST / work.bound(None)
    found = [_makespan(work.manager(kind, scale, None), kind) for _ in range(ROUNDS)]
    best = work.slept(scale, costs.extra).bound(None)
    facts = {"scale": scale, "to_recorded": median(found) / BEST}
    yield _row(work, f"{kind}, no limit", "critical path", found, best, costs, facts)


def _limited(work: Work, kind: str, costs: Costs) -> Iterator[Row]:
    scale = BEST / work.bound(LIMIT)
    first, later = [], []
    for _ in range(ROUNDS):
        manager = work.manager(kind, scale, LIMIT)
        first.append(_makespan(manager, kind))
        later.append(_makespan(manager, kind))
    slept = work.slept(scale, costs.extra)
    for found, which, against, critical in [
        (first, "first run", "first come, first served", False),
        (later, "later run", "critical path first", True),
    ]:
        recorded = scale * work.scheduled(LIMIT, critical_path_first=critical)
        best = max(recorded, slept.scheduled(LIMIT, critical_path_first=critical))
        facts = {"scale": scale, "to_recorded": median(found) / recorded}
        yield _row(work, f"{kind}, limit {LIMIT}, {which}", against, found, best, costs, facts)


def _row(
    work: Work,
    how: str,
    against: str,
    found: list[float],
    best: float,
    costs: Costs,
    facts: dict[str, float],
) -> Row:
    return Row(
        f"{work.name}: {how}",
        against,
        median(found),
        best,
        median(found) / best,
        target=SLACK + costs.each * len(work.needs) / best,
        ratios=[seconds / best for seconds in found],
        facts={**facts, "jobs": len(work.needs)},
    )


def _makespan(manager: JobManager, kind: str) -> float:
    """Return the seconds that a run takes."""

    async def timed() -> float:
        start = time.perf_counter()
        await manager.aexecute()
        return time.perf_counter() - start

    if kind == "async":
        return asyncio.run(timed())
    start = time.perf_counter()
    manager.execute()
    return time.perf_counter() - start


def _each(kind: str, count: int = 2000, seconds: float = 0.01) -> float:
    """Return what a job that sleeps costs Gofer, beyond its sleep."""
    work = Work("sleep", [[] for _ in range(count)], [seconds] * count)
    manager = work.manager(kind, 1.0, None)
    _makespan(manager, kind)
    found = median(_makespan(manager, kind) for _ in range(ROUNDS))
    return max(0.0, found - seconds) / count


def _extra(kind: str, count: int = 100) -> float:
    """Return by how many seconds a sleep is too long, on average, where nothing else happens."""
    wanted = [0.002 + 0.002 * i / count for i in range(count)]

    async def slept() -> float:
        start = time.perf_counter()
        for seconds in wanted:
            await asyncio.sleep(seconds)
        return time.perf_counter() - start

    if kind == "async":
        return (asyncio.run(slept()) - sum(wanted)) / count
    start = time.perf_counter()
    for seconds in wanted:
        time.sleep(seconds)
    return (time.perf_counter() - start - sum(wanted)) / count


if __name__ == "__main__":
    from benchmarks import report

    report.show_head()
    for row in rows():
        report.show(row)
