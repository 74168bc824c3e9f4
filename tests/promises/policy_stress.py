"""Random policies in threads and loops, under a tiny switch interval; a program of its own.

``python policy_stress.py SECONDS SEED`` prints ``ok`` and how many runs there were, if no limit was
exceeded, no place lost, and nothing left behind. A hang prints all stacks and ends it.
"""

from __future__ import annotations

import asyncio
import faulthandler
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from gofer import Breaker, BreakerOpen, Context, Hedge, JobManager, Retry, job

LIMITS = {"a": 1, "b": 2, "c": 3}
THREADS = 3
TOGETHER = 4
STUCK = 60.0


class Uses:
    """How often each limited thing is in use now.

    Attributes:
        exceeded: What should never be seen.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now: Counter[str] = Counter()
        self.exceeded: list[str] = []

    def enter(self, name: str) -> None:
        """Begin to use a thing."""
        with self._lock:
            self._now[name] += 1
            if self._now[name] > LIMITS[name]:
                self.exceeded.append(f"{self._now[name]} use {name!r}")

    def leave(self, name: str) -> None:
        """End it."""
        with self._lock:
            self._now[name] -= 1


def policies(rng: random.Random, breaker: Breaker, *, is_async: bool) -> dict[str, Any]:
    """Draw what a job says about its own failing."""
    chosen: dict[str, Any] = {"limit": rng.choice([*LIMITS])}
    if rng.random() < 0.5:
        chosen["timeout"] = rng.choice([0.0005, 0.002, 0.01])
    if rng.random() < 0.5:
        chosen["retry"] = Retry(rng.choice([1, 2, 4]), wait_initial=0.0005, on=Exception)
    if rng.random() < 0.6:
        chosen["fallback"] = rng.choice([None, lambda error: type(error).__name__])
    if rng.random() < 0.4:
        chosen["hedge"] = Hedge(rng.choice([0.0001, 0.0004]), most=rng.choice([2, 3]))
    if rng.random() < 0.3:
        chosen["breaker"] = breaker
    if not is_async and rng.random() < 0.2:
        chosen["abandon"] = True
    return chosen


def jobs(rng: random.Random, uses: Uses) -> list[Any]:
    """Make jobs that sleep, fail and end well by chance."""
    breaker = Breaker(3, reset_after=0.001)

    def plain(limit: str) -> Callable[[Context], None]:
        def do(ctx: Context) -> None:
            uses.enter(limit)
            try:
                if rng.random() < 0.1:
                    time.sleep(0.003)  # deaf
                elif rng.random() < 0.5:
                    ctx.sleep(rng.random() * 0.002)
                if rng.random() < 0.3:
                    raise ConnectionError
            finally:
                uses.leave(limit)

        return do

    def awaited(limit: str) -> Callable[[Context], Any]:
        async def do(ctx: Context) -> None:
            uses.enter(limit)
            try:
                if rng.random() < 0.6:
                    await asyncio.sleep(rng.random() * 0.002)
                if rng.random() < 0.3:
                    raise ConnectionError
            finally:
                uses.leave(limit)

        return do

    made = []
    for i in range(12):
        is_async = i % 2 == 1
        chosen = policies(rng, breaker, is_async=is_async)
        fn = (awaited if is_async else plain)(chosen["limit"])
        after = [f"job{k}" for k in range(i) if rng.random() < 0.15]
        made.append(job(fn, name=f"job{i}", after=after, **chosen))
    return made


def check(run: Any) -> None:
    """Refuse a run that ended before its jobs, or with an error that nobody raised."""
    for record in run.records:
        assert record.state != "running", run
        known = (type(None), ConnectionError, TimeoutError, BreakerOpen)
        assert isinstance(record.error, known), repr(record.error)


def in_threads(manager: JobManager, rng: random.Random, until: float, runs: list[int]) -> None:
    """Execute again and again, with deadlines now and then."""
    while time.monotonic() < until:
        with Context(timeout=rng.choice([None, 0.002, 0.02])) as ctx:
            check(manager.execute(ctx, check=False))
        runs.append(1)


async def in_a_loop(manager: JobManager, rng: random.Random, until: float, runs: list[int]) -> None:
    """Execute on a loop, and cancel the awaiting task now and then."""

    async def one() -> None:
        with Context(timeout=rng.choice([None, 0.002, 0.02])) as ctx:
            check(await manager.aexecute(ctx, check=False))

    while time.monotonic() < until:
        tasks = [asyncio.create_task(one()) for _ in range(TOGETHER)]
        if rng.random() < 0.3:
            await asyncio.sleep(rng.random() * 0.005)
            tasks[0].cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        runs.append(1)


def round_of(seed: int, seconds: float) -> int:
    """Run one manager in threads and loops at once; return how many runs there were."""
    rng, uses, runs, wrong = random.Random(seed), Uses(), [], []
    limit, fail_fast = rng.choice([None, 2, 5]), rng.random() < 0.5
    manager = JobManager(jobs(rng, uses), limits=LIMITS, limit=limit, fail_fast=fail_fast)
    until = time.monotonic() + seconds

    def guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            wrong.append(error)

    def loop() -> None:
        asyncio.run(in_a_loop(manager, rng, until, runs))

    def plain() -> None:
        in_threads(manager, rng, until, runs)

    threads = [threading.Thread(target=guarded, args=(plain,)) for _ in range(THREADS)]
    threads += [threading.Thread(target=guarded, args=(loop,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]
    limits = manager._program().limits.values()
    patience = time.monotonic() + STUCK / 2
    while any(each._held for each in limits) and time.monotonic() < patience:
        time.sleep(0.001)  # what was abandoned ends soon
    assert not uses.exceeded, uses.exceeded
    assert not any(each._held or each._line for each in limits), "a place was lost"
    return len(runs)


def main() -> None:
    """Run rounds until the time is over."""
    seconds, seed = float(sys.argv[1]), int(sys.argv[2])
    threading.excepthook = lambda args: sys.exit(f"a thread died: {args.exc_value!r}")
    unraisable: list[object] = []
    sys.unraisablehook = unraisable.append
    sys.setswitchinterval(1e-6)
    end, total = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        faulthandler.dump_traceback_later(STUCK, exit=True)
        sys.stdout.write(f"seed {seed} ")
        sys.stdout.flush()
        total += round_of(seed, min(1.0, seconds))
        seed += 1
    assert not unraisable, unraisable
    sys.stdout.write(f"ok, {total} runs\n")
    faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    sys.exit(main())
