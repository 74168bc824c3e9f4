"""What hedging does to a service with a slow tail: `python -m benchmarks.hedging`.

The service answers in about 10 ms, but 1 % of its calls take 500 ms. Each request is a run of a
manager with one async job that asks it. Time is virtual: an event loop of its own jumps to the next
timer, so the numbers are those of the policy and not of this machine, and the same every time.
`--real` takes real time instead.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import selectors
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from benchmarks.measure import say
from gofer import Hedge, JobManager, _parts, job

FAST, SLOW = 0.010, 0.500
PER_MILLE = 10  # calls of a thousand that are slow
HEDGES: dict[str, float | Hedge | None] = {
    "without": None,
    "hedge=0.02": 0.02,
    'Hedge("p98")': Hedge("p98"),
    'Hedge("p95")': Hedge("p95"),
}


class Jumping(asyncio.SelectorEventLoop):
    """A loop that does not wait for its timers, but moves its clock to the next one."""

    def __init__(self) -> None:
        self._now = 0.0
        selector = selectors.DefaultSelector()
        self._look = selector.select
        selector.select = self._jump  # type: ignore[method-assign]
        super().__init__(selector)

    def _jump(self, timeout: float | None = None) -> Any:
        found = self._look(0)
        if not found and timeout:
            self._now += timeout
        return found

    def time(self) -> float:
        """Read the clock."""
        return self._now


def delays(seed: int) -> Iterator[float]:
    """Draw how long calls take: of each thousand exactly ten are slow, in a random order."""
    rng = random.Random(seed)
    while True:
        thousand = [SLOW] * PER_MILLE + [FAST] * (1000 - PER_MILLE)
        rng.shuffle(thousand)
        for base in thousand:
            yield base * rng.uniform(0.9, 1.1)


class Outcome(NamedTuple):
    """What some requests took, in seconds, and how many calls they made."""

    times: list[float]
    calls: int

    def percentile(self, percent: float) -> float:
        """Return the time that the slowest ``100 - percent`` % took at least."""
        ranked = sorted(self.times)
        return ranked[min(len(ranked) - 1, round(len(ranked) * percent / 100))]

    @property
    def extra_load(self) -> float:
        """The calls beyond one for each request, as a part of the requests."""
        return self.calls / len(self.times) - 1


async def measure(hedge: float | Hedge | None, requests: int, at_once: int, seed: int) -> Outcome:
    """Send requests, so many at the same time."""
    took, calls = delays(seed), 0

    @job(hedge=hedge)
    async def ask() -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(next(took))

    async def client() -> None:
        for _ in range(requests // at_once):
            start = _parts.clock()
            run = await manager.aexecute()
            ends.append(_parts.clock() - start)
            assert run.ok

    ends: list[float] = []
    manager = JobManager([ask])
    await asyncio.gather(*[client() for _ in range(at_once)])
    return Outcome(ends, calls)


def simulate(hedge: float | Hedge | None, requests: int, at_once: int, seed: int = 1) -> Outcome:
    """Do the same in virtual time."""
    loop = Jumping()
    clock, _parts.clock = _parts.clock, loop.time
    try:
        return loop.run_until_complete(measure(hedge, requests, at_once, seed))
    finally:
        _parts.clock = clock
        loop.close()


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hedging", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--at-once", type=int, default=20)
    parser.add_argument("--real", action="store_true", help="real time instead of virtual")
    args = parser.parse_args()
    say(f"{'':14} {'p50':>8} {'p99':>8} {'p99.9':>8}  extra load")
    for name, hedge in HEDGES.items():
        began = time.perf_counter()
        if args.real:
            outcome = asyncio.run(measure(hedge, args.requests, args.at_once, 1))
        else:
            outcome = simulate(hedge, args.requests, args.at_once)
        p50, p99, p999 = (1000 * outcome.percentile(each) for each in (50, 99, 99.9))
        say(
            f"{name:14} {p50:5.1f} ms {p99:5.1f} ms {p999:5.1f} ms  {outcome.extra_load:10.2%}"
            f"   (measured in {time.perf_counter() - began:.1f} s)"
        )


if __name__ == "__main__":
    main()
