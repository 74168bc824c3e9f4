"""A mixed load with random faults for as long as one likes, and whether anything grows by it.

``python -m tests.soak SECONDS [SEED]`` runs graphs, groups, maps, policies, async and plain code
and worker processes from several threads at once. It ends with 1 if a run was not as it had to be,
or if memory, threads or descriptors grew. ``--write`` puts the result into docs/reliability.md.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import platform
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median

import gofer
from gofer import Context, Group, JobCrashed, JobManager, Retry, job
from gofer.backends import ProcessBackend
from tests.faults import far
from tests.faults.test_oracle import play

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
BEGIN, END = "<!-- soak -->\n", "<!-- /soak -->"
THREADS = 4
STUCK = 120.0  # seconds without a finished piece of work
LOOK = 0.25  # seconds between two looks


class Refused(Exception):
    """What a service says in this load."""


class Soak:
    """The load, and what was seen of it.

    Attributes:
        done: Kind of work -> how often.
        faults: Kind of fault -> how often.
        looks: (seconds, bytes of memory, threads, file descriptors) at each look.
        wrong: What should not have been.
    """

    def __init__(self, seconds: float, seed: int) -> None:
        self.seconds, self.seed = seconds, seed
        self.start = time.monotonic()
        self.done: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.looks: list[tuple[float, int, int, int]] = []
        self.wrong: list[str] = []
        self.workers = ProcessBackend(1)
        self._lock = threading.Lock()
        self._seeds = iter(range(seed * 1_000_000, (seed + 1) * 1_000_000))

    def over(self) -> bool:
        """Return whether the time is up, or something went wrong."""
        return bool(self.wrong) or time.monotonic() - self.start > self.seconds

    def next_seed(self) -> int:
        """Return a seed that nobody has had."""
        with self._lock:
            return next(self._seeds)

    # -- the pieces of work

    def a_graph(self, chance: random.Random) -> None:
        """Play a random graph with random faults, in one of the modes, and have it judged."""
        seed = self.next_seed()
        found = play(seed)
        if found is not None:
            raise AssertionError(f"the graph of seed {seed}: {found}")

    def a_group(self, chance: random.Random) -> None:
        """Add jobs to a group, some of which fail, under a deadline that may pass."""
        fails, deadline = chance.random() < 0.3, chance.choice([None, None, 0.005])

        def work(i: int) -> int:
            if fails and i == 7:
                raise Refused(i)
            if deadline:
                gofer.current_context().sleep(0.001)  # type: ignore[union-attr]
            return i

        try:
            with Context(timeout=deadline) as ctx, Group(ctx, limit=3) as group:
                for i in range(20):
                    group.go(work, i)
        except (Refused, gofer.Cancelled, gofer.DeadlineExceeded) as error:
            self.faults[type(error).__name__] += 1

    def an_async_group(self, chance: random.Random) -> None:
        """The same on a loop, and its task may be cancelled."""

        async def work(i: int) -> int:
            await asyncio.sleep(0)
            if i == chance.randrange(40):
                raise Refused(i)
            return i

        async def main() -> None:
            async with gofer.AsyncGroup(limit=5) as group:
                for i in range(20):
                    await group.go(work, i)

        async def cut_short() -> None:
            task = asyncio.create_task(main())
            await asyncio.sleep(0)
            if chance.random() < 0.2:
                task.cancel()
            await asyncio.wait([task])
            if task.cancelled():
                self.faults["CancelledError"] += 1
            elif task.exception() is not None:
                assert isinstance(task.exception(), Refused)
                self.faults["Refused"] += 1

        asyncio.run(cut_short())

    def a_map(self, chance: random.Random) -> None:
        """Go through a map, to its end or not, with results that are large enough to be seen."""
        leave = chance.randrange(200)
        for i, result in enumerate(gofer.map(lambda n: bytes(n), range(100), limit=4)):
            assert len(result) == i
            if i == leave:
                break

    def policies(self, chance: random.Random) -> None:
        """Retry, fall back, time out and hedge."""
        retry = Retry(3, on=Refused, wait_initial=0.0001)

        def flaky() -> int:
            if chance.random() < 0.5:
                raise Refused
            return 1

        def slow(ctx: Context) -> None:
            ctx.sleep(0.002 * chance.random())

        jobs = [
            job(flaky, retry=retry, fallback=0, limit="db"),
            job(slow, timeout=0.001, fallback=None, limit="db"),
            job(slow, name="hedged", hedge=gofer.Hedge(0.0005)),
        ]
        run = JobManager(jobs, limits={"db": 1}).execute()
        self.faults["fallbacks"] += sum(record.fell_back for record in run.records)

    def processes(self, chance: random.Random) -> None:
        """Run jobs in a worker, which may crash."""
        fn = far.exits_well if chance.random() < 0.1 else far.one
        run = JobManager([job(far.pid), job(fn)]).execute(backend=self.workers, check=False)
        if not run.ok:
            assert isinstance(run.error, JobCrashed), repr(run.error)
            self.faults["crashes"] += 1

    # -- the whole

    def work(self, number: int) -> None:
        """Do one thing after the other until the time is up."""
        chance = random.Random(self.seed * 100 + number)
        kinds: list[Callable[[random.Random], None]] = [
            *[self.a_graph] * 6,
            *[self.a_group] * 3,
            *[self.an_async_group] * 2,
            *[self.a_map] * 2,
            *[self.policies] * 2,
            self.processes,
        ]
        while not self.over():
            kind = chance.choice(kinds)
            try:
                kind(chance)
            except BaseException as error:
                self.wrong.append(f"{kind.__name__}: {error!r}")
                raise
            with self._lock:
                self.done[kind.__name__] += 1

    def run(self) -> None:
        """Work in all threads, and look now and then at what the process has."""
        threads = [threading.Thread(target=self.work, args=(n,)) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        while not self.over():
            faulthandler.dump_traceback_later(STUCK, exit=True)
            time.sleep(LOOK)
            took = time.monotonic() - self.start
            self.looks.append((took, memory(), threading.active_count(), descriptors()))
        for thread in threads:
            thread.join()
        self.workers.close()
        faulthandler.cancel_dump_traceback_later()

    def growth(self) -> dict[str, tuple[float, float]]:
        """Return the medians of each quantity in the second quarter of the time and in the last."""
        quarter = len(self.looks) // 4
        second, last = self.looks[quarter : 2 * quarter], self.looks[-quarter:]
        return {
            what: (median(each[i] for each in second), median(each[i] for each in last))
            for i, what in enumerate(("memory", "threads", "descriptors"), 1)
        }

    def judge(self) -> None:
        """Add to ``wrong`` what grew."""
        allowed = {"memory": (0.1, 8 * 2**20), "threads": (0.5, 20), "descriptors": (0.2, 10)}
        for what, (before, after) in self.growth().items():
            share, amount = allowed[what]
            if after > before * (1 + share) + amount:
                self.wrong.append(f"{what} grew from {before:,.0f} to {after:,.0f}")

    def told(self) -> str:
        """Return the result in words, for people."""
        growth = self.growth()
        done = ", ".join(f"{n:,} {kind}" for kind, n in sorted(self.done.items()))
        faults = ", ".join(f"{n:,} {kind}" for kind, n in sorted(self.faults.items()))
        megabytes = [each / 2**20 for each in growth["memory"]]
        return f"""\
| | |
| --- | --- |
| time | {self.looks[-1][0]:.0f} s, seed {self.seed}, Python {platform.python_version()} |
| done | {sum(self.done.values()):,} pieces of work: {done.replace("_", " ")} |
| met | {faults}, beside those of the graphs |
| memory, second quarter and last | {megabytes[0]:.1f} MB, {megabytes[1]:.1f} MB |
| threads | {growth["threads"][0]:.0f}, {growth["threads"][1]:.0f} |
| file descriptors | {growth["descriptors"][0]:.0f}, {growth["descriptors"][1]:.0f} |
| wrong | {"; ".join(self.wrong) or "nothing"} |
"""


def memory() -> int:
    """Return the bytes that this process has in memory."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    """Return how many file descriptors are open; 0 where nobody knows."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0


def main() -> None:
    """Soak, tell, and end with 1 if anything was wrong."""
    arguments = [each for each in sys.argv[1:] if each != "--write"]
    soak = Soak(float(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 0)
    soak.run()
    soak.judge()
    sys.stdout.write(soak.told())
    if "--write" in sys.argv:
        page = PAGE.read_text(encoding="utf-8")
        before, _, rest = page.partition(BEGIN)
        _, _, after = rest.partition(END)
        PAGE.write_text(f"{before}{BEGIN}{soak.told()}{END}{after}", encoding="utf-8")
    sys.exit(1 if soak.wrong else 0)


if __name__ == "__main__":
    main()
