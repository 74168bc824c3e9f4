"""Pairs of jobs that no path of needs orders: integers in, integers out, against brute force."""

from __future__ import annotations

import tracemalloc
from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gofer._core.plan import Plan
from gofer.testing import _ancestors
from gofer.testing._ancestors import Group, unordered

FREE: frozenset[object] = frozenset()
Use = tuple[int, bool, frozenset[object]]


@st.composite
def uses(draw: st.DrawFn) -> tuple[list[tuple[int, ...]], list[list[Use]]]:
    """Draw a graph, in shuffled order, and who uses each of some places how."""
    size = draw(st.integers(1, 24))
    names = draw(st.permutations(range(size)))
    needs: list[tuple[int, ...]] = [()] * size
    for at, i in enumerate(names):
        if at:
            needs[i] = tuple(draw(st.sets(st.sampled_from(names[:at]), max_size=3)))
    guards = st.frozensets(st.sampled_from("xy"), max_size=2)
    use = st.tuples(st.integers(0, size - 1), st.booleans(), guards)
    return needs, draw(st.lists(st.lists(use, max_size=12), max_size=4))


def brute_force(needs: list[tuple[int, ...]], places: list[list[Use]]) -> set[tuple[int, int, int]]:
    """Look at each pair of uses of each place, and search the graph for a path."""

    def reaches(i: int, j: int) -> bool:
        return any(k == j or reaches(k, j) for k in needs[i])

    return {
        (at, *sorted((i, j)))  # type: ignore[misc]
        for at, place in enumerate(places)
        for (i, writes, holds), (j, also_writes, also_holds) in combinations(place, 2)
        if i != j and (writes or also_writes) and not holds & also_holds
        if not reaches(i, j) and not reaches(j, i)
    }


def found(needs: list[tuple[int, ...]], places: list[list[Use]]) -> list[tuple[int, int, int]]:
    """Return what is under test finds, as ``brute_force`` does, with repeats."""
    meetings = []
    for place in places:
        groups: dict[tuple[bool, frozenset[object]], Group] = {}
        for i, write, guards in place:
            group = groups.setdefault((write, guards), Group(write, guards, {}))
            group.jobs[i] = "its access"
        each = list(groups.values())
        met = [*combinations(each, 2), *((one, one) for one in each)]
        meetings.append([(one, other) for one, other in met if one.may_race(other)])
    names = [str(i) for i in range(len(needs))]
    plan = Plan(names, [[names[j] for j in each] for each in needs])
    order = [i for layer in plan.layers() for i in layer]
    pairs = []
    for racing in unordered(needs, order, meetings):
        one, other = meetings[racing.meeting][racing.pair]
        for i, j in racing.pairs():
            assert i in one.jobs
            assert j in other.jobs
            pairs.append((racing.meeting, min(i, j), max(i, j)))
    return pairs


@given(uses())
def test_every_pair_is_found_once_and_no_other(
    drawn: tuple[list[tuple[int, ...]], list[list[Use]]],
) -> None:
    """Whatever the graph, the uses, and what is held meanwhile: as brute force."""
    pairs = found(*drawn)
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == brute_force(*drawn)


@given(uses())
def test_blocks_of_columns_find_the_same(
    drawn: tuple[list[tuple[int, ...]], list[list[Use]]],
) -> None:
    """What is too large for masks of everybody is looked at block by block."""
    needs, places = drawn
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_ancestors, "MOST_BITS", 0)
        patch.setattr(_ancestors, "LEAST_WIDTH", 3)
        pairs = found(needs, places)
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == brute_force(needs, places)


def test_a_chain_of_40_000_jobs_that_all_write_has_no_pair_and_takes_little_memory() -> None:
    """Beyond 30,000 jobs masks are those of blocks, and no recursion is as deep as the graph."""
    size = 40_000
    needs = [(i - 1,) if i else () for i in range(size)]
    writers = Group(True, FREE, dict.fromkeys(range(0, size, 500)))
    tracemalloc.start()
    pairs = list(unordered(needs, range(size), [[(writers, writers)]]))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert pairs == []
    assert most < 50_000_000


def test_two_long_branches_are_unordered_beyond_the_first_block() -> None:
    """Of two chains of 20,000 jobs each, a job of one meets those of the other, in any block."""
    half = 20_000
    needs = [(i - 2,) if i > 1 else () for i in range(2 * half)]
    random = Random(1)
    jobs = sorted({random.randrange(2 * half) for _ in range(60)})
    writers = Group(True, FREE, dict.fromkeys(jobs))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_ancestors, "MOST_BITS", 0)
        patch.setattr(_ancestors, "LEAST_WIDTH", 16)
        found = unordered(needs, range(2 * half), [[(writers, writers)]])
        pairs = [pair for racing in found for pair in racing.pairs()]
    expected = {pair for pair in combinations(jobs, 2) if pair[0] % 2 != pair[1] % 2}
    assert {(min(i, j), max(i, j)) for i, j in pairs} == expected
    assert len(pairs) == len(expected)
