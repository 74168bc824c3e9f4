"""How one thing is compared with another: in turns, in one process, by the ratio of each round.

Both sides are warm when the first round begins. In each round each side works until enough time
has passed to be measured, and who goes first changes from round to round, so what drifts (the
clock of the processor, another program) weighs on both. The figure is the median of the rounds'
ratios.

The garbage collector is on, as in any program. What one side has left is collected before the other
is measured, and a side that changes the collector's settings is an error.
"""

from __future__ import annotations

import asyncio
import gc
import math
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

Timed = Callable[[int], float]
"""Does the work so many times and returns the seconds that it took in all."""

Side = Callable[[], AbstractContextManager[Timed]]
"""Sets up what is not to be measured, gives what is, and tears down."""

FEW_THREADS = 100
"""A side that leaves more threads than this parked is waited for, lest they end in the next row."""


class Skip(Exception):
    """A peer cannot be had here; the message says why, and what to do."""


@dataclass(frozen=True)
class Peer:
    """What Gofer is compared with.

    Attributes:
        name: What the table calls it.
        side: How it does the case's work.
        target: What Gofer's time, divided by the peer's, is to be at most; None: just to know.
    """

    name: str
    side: Side
    target: float | None = None


@dataclass(frozen=True)
class Case:
    """One line of work, and everyone who does it.

    Attributes:
        what: What is done.
        ours: How Gofer does it.
        peers: How others do it.
        per: How many jobs it is; times are given per job where there are more than one.
        best_target: The ratio to be reached against whichever peer turns out the best.
        quick: Whether it is quick enough for `make bench-quick`.
    """

    what: str
    ours: Side
    peers: tuple[Peer, ...]
    per: int = 1
    best_target: float | None = None
    quick: bool = True


@dataclass
class Row:
    """A line of the results.

    Attributes:
        what: What was measured.
        against: What it was held against.
        ours: Seconds or bytes, as ``unit`` says; per job where the case has many.
        theirs: The same of the other side.
        ratio: The median of the rounds' ratios.
        target: What the ratio is to be at most, or None.
        unit: ``"s"`` or ``"B"``.
        ratios: The ratio of each round.
        facts: What else is to be known, such as the scale of a replay.
    """

    what: str
    against: str
    ours: float
    theirs: float
    ratio: float
    target: float | None = None
    unit: str = "s"
    ratios: list[float] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def missed(self) -> bool:
        """Whether there is a target, and it is not reached."""
        return self.target is not None and self.ratio > self.target


def say(line: str = "") -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201 - to print is what a benchmark is for


def timed(fn: Callable[[], object]) -> Timed:
    """Return a function that calls ``fn`` so many times and returns how long that took."""

    def work(number: int) -> float:
        start = time.perf_counter()
        for _ in range(number):
            fn()
        return time.perf_counter() - start

    return work


@contextmanager
def plain(fn: Callable[[], object]) -> Iterator[Timed]:
    """Be the side that has nothing to set up."""
    yield timed(fn)


@contextmanager
def on_loop(fn: Callable[[], Awaitable[object]]) -> Iterator[Timed]:
    """Be the side that works in a running asyncio loop; to start and stop it is not measured."""

    async def work(number: int) -> float:
        await fn()  # some keep their threads for as long as this function runs, and no longer
        start = time.perf_counter()
        for _ in range(number):
            await fn()
        return time.perf_counter() - start

    with asyncio.Runner() as runner:
        yield lambda number: runner.run(work(number))


@contextmanager
def constant(seconds: float) -> Iterator[Timed]:
    """Be the side that nobody can beat: it takes ``seconds`` exactly."""
    yield lambda number: number * seconds


def measured(case: Case, *, rounds: int, least: float) -> Iterator[Row | str]:
    """Compare Gofer with each peer of a case.

    Args:
        case: The case.
        rounds: How often each side is measured.
        least: How many seconds a side works in a round, at least.

    Returns:
        A row for each peer, or a line that says why there is none.
    """
    rows = []
    for peer in case.peers:
        try:
            pairs = _compare(case.ours, peer.side, rounds, least)
        except Skip as error:
            yield f"{case.what}: {peer.name} is left out: {error}"
            continue
        ratios = [ours / theirs for ours, theirs in pairs]
        rows.append(
            Row(
                what=f"{case.what}, per job" if case.per > 1 else case.what,
                against=peer.name,
                ours=median(ours for ours, _ in pairs) / case.per,
                theirs=median(theirs for _, theirs in pairs) / case.per,
                ratio=median(ratios),
                target=peer.target,
                ratios=ratios,
            )
        )
    if rows and case.best_target is not None:
        max(rows, key=lambda row: row.ratio).target = case.best_target
    yield from rows


def _compare(ours: Side, theirs: Side, rounds: int, least: float) -> list[tuple[float, float]]:
    """Return the seconds of both sides, round by round.

    Raises:
        Skip: The peer cannot be had. An `ImportError` of our own side is a fault and goes out.
    """
    pairs = []
    with ExitStack() as sides:
        try:
            their_work = sides.enter_context(theirs())
            their_number = _number(their_work, least)
        except ImportError as error:
            raise Skip(str(error)) from error
        our_work = sides.enter_context(ours())
        our_number = _number(our_work, least)
        for n in range(rounds):
            if n % 2:
                b = _sample(their_work, their_number)
                a = _sample(our_work, our_number)
            else:
                a = _sample(our_work, our_number)
                b = _sample(their_work, their_number)
            pairs.append((a, b))
    _settle()
    return pairs


def _number(work: Timed, least: float) -> int:
    """Warm a side up, and return how often it must work for ``least`` seconds to pass."""
    work(1)
    return max(1, math.ceil(least / work(1)))


def _sample(work: Timed, number: int) -> float:
    gc.collect()
    settings = gc.isenabled(), gc.get_threshold()
    assert settings[0], "the garbage collector was switched off before the measurement"
    seconds = work(number) / number
    assert settings == (gc.isenabled(), gc.get_threshold()), "a side changed the collector"
    return seconds


def _settle() -> None:
    """Wait until parked threads of a large row have ended."""
    until = time.monotonic() + 30
    while threading.active_count() > FEW_THREADS and time.monotonic() < until:
        time.sleep(0.2)
