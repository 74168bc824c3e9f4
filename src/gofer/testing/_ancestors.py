"""Which jobs does no path of needs order? Pure: integers in, integers out.

What is asked is asked of few jobs: those that share something which one of them writes. So each job
of the graph gets a bit mask of its ancestors among these few, in columns: bit ``c`` stands for the
job in column ``c``. Masks of n jobs among themselves are exact and cheap to 30,000 jobs; beyond,
the columns are taken in blocks, so that the masks of one block stay as small as those were, and
each block costs one more walk over the graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

MOST_BITS = 30_000**2
"""Bits of all masks at a time; half of it is never reached, for an ancestor comes before."""

LEAST_WIDTH = 64
"""Columns of a block at least, whatever the size of the graph."""


class Group:
    """Jobs that do the same to one place, holding the same.

    Attributes:
        write: Whether they write it.
        guards: What they hold meanwhile; jobs that hold something in common cannot race.
        jobs: Their indices, each with whatever else is known of it.
    """

    __slots__ = ("guards", "jobs", "write")

    def __init__(self, write: bool, guards: frozenset[object], jobs: dict[int, Any]) -> None:
        self.write, self.guards, self.jobs = write, guards, jobs

    def may_race(self, other: Group) -> bool:
        """Return whether a job of each would race, if nothing orders the two."""
        if not (self.write or other.write) or self.guards & other.guards:
            return False
        return len(self.jobs) > 1 or len(other.jobs) > 1 or self.jobs.keys() != other.jobs.keys()


Meeting = Sequence[tuple[Group, Group]]
"""Pairs of groups that may race at the same place; the order in a pair says nothing."""


class Racing(NamedTuple):
    """A job, and earlier ones that it may race with at one place.

    Attributes:
        meeting: Where: the index of a meeting.
        pair: The index of the pair of groups there.
        job: The later job, as the jobs are ordered.
        mask: The earlier ones, as bits; never none.
        block: Which job each bit stands for.
        is_first: Whether the later job is of the pair's first group.
    """

    meeting: int
    pair: int
    job: int
    mask: int
    block: Sequence[int]
    is_first: bool

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Return pairs of jobs, that of the pair's first group first."""
        mask = self.mask
        while mask:
            low = mask & -mask
            other = self.block[low.bit_length() - 1]
            yield (self.job, other) if self.is_first else (other, self.job)
            mask ^= low


def unordered(
    needs: Sequence[Sequence[int]], order: Sequence[int], meetings: Sequence[Meeting]
) -> Iterator[Racing]:
    """Find every pair of jobs that meet and may race, where no path of needs orders the two.

    Args:
        needs: Index -> the jobs that it needs.
        order: All jobs, each behind all that it needs.
        meetings: Who meets at each place.

    Returns:
        Two jobs come once for each meeting, for the first pair of groups that has them. What is
        found of a graph with millions of such pairs is still as small as its masks.
    """
    position = [0] * len(needs)
    for at, i in enumerate(order):
        position[i] = at
    shown = {i for meeting in meetings for pair in meeting for each in pair for i in each.jobs}
    columns = sorted(shown, key=position.__getitem__)
    for start, block, ancestors in _blocks(needs, order, columns):
        # Only what comes before a job can be its ancestor, and each pair is looked at from the one
        # that comes later: ``before`` counts the columns of this block that come before a job.
        before = {i: max(0, min(c - start, len(block))) for c, i in enumerate(columns)}
        column = {i: c for c, i in enumerate(block)}
        for at, meeting in enumerate(meetings):
            found: dict[int, int] = {}
            masks: dict[int, int] = {}
            for number, pair in enumerate(meeting):
                for earlier, later in ((0, 1), (1, 0))[: 1 + (pair[0] is not pair[1])]:
                    group = pair[earlier]
                    mask = masks.get(id(group))
                    if mask is None:
                        mask = masks[id(group)] = _mask(column, group.jobs)
                    for j in pair[later].jobs if mask else ():
                        racing = mask & ((1 << before[j]) - 1) & ~ancestors[j] & ~found.get(j, 0)
                        if racing:
                            found[j] = found.get(j, 0) | racing
                            yield Racing(at, number, j, racing, block, not later)


def _blocks(
    needs: Sequence[Sequence[int]], order: Sequence[int], columns: Sequence[int]
) -> Iterator[tuple[int, Sequence[int], list[int]]]:
    """Return the columns in blocks: where each starts, its jobs, and each job's ancestors there."""
    width = max(LEAST_WIDTH, MOST_BITS // max(1, len(needs)))
    for start in range(0, len(columns), width):
        block = columns[start : start + width]
        column = {i: c for c, i in enumerate(block)}
        known = [0] * len(needs)  # of each job: itself and its ancestors
        for i in order:
            mask = 1 << column[i] if i in column else 0
            for j in needs[i]:
                mask |= known[j]
            known[i] = mask
        yield start, block, known


def _mask(column: Mapping[int, int], jobs: Iterable[int]) -> int:
    bits = bytearray(len(column) // 8 + 1)
    for i in jobs:
        if i in column:
            bits[column[i] >> 3] |= 1 << (column[i] & 7)
    return int.from_bytes(bits, "little")
