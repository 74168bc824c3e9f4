"""Plans: what is refused and in which words, layers, closures, and what compiling costs."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Iterable
from random import Random
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gofer._core.lanes import LOOP, NOTHING, THREADS
from gofer._core.plan import Plan, nearest
from gofer._core.schedule import Schedule
from gofer._core.states import FAILED, NOT_STARTED, READY, SUCCEEDED, WAITING
from gofer.errors import (
    CycleError,
    DuplicateNameError,
    JobDefinitionError,
    PlanError,
    UnknownNeedError,
)

from .playing import plan_of, random_needs

MANY = 100_000


def chain(size: int) -> list[list[str]]:
    """Return the needs of a line of jobs, each after the one before."""
    return [[], *([str(i)] for i in range(size - 1))]


def fan(size: int) -> list[list[str]]:
    """Return the needs of one job that all others need, but the last, which needs all others."""
    return [[], *(["0"] for _ in range(size - 2)), [str(i) for i in range(1, size - 1)]]


def numbered(size: int) -> list[str]:
    return [str(i) for i in range(size)]


# -- what a plan says


def test_a_plan_speaks_of_jobs_by_their_place_in_the_order_given() -> None:
    """Names become indices; needs, dependents, lanes and roots speak of these."""
    plan = Plan(["c", "a", "b"], [["a", "b"], [], ["a"]], bytes([THREADS, LOOP, THREADS]))
    assert plan.size == 3
    assert plan.names == ["c", "a", "b"]
    assert plan.index == {"c": 0, "a": 1, "b": 2}
    assert plan.needs == [(1, 2), (), (1,)]
    assert plan.need_counts == [2, 0, 1]
    assert plan.signals == [(), (0, 2), (0,)]
    assert plan.roots == ([], [1], [])
    assert list(plan.first_states) == [WAITING, READY, WAITING]
    assert plan.layers() == [[1], [2], [0]]


def test_a_plan_without_jobs_is_a_plan() -> None:
    """Nothing to do is no error; the run is over before it begins."""
    plan = Plan([], [])
    assert (plan.size, plan.layers(), plan.closure([])) == (0, [], set())
    assert Schedule(plan).finished


def test_a_need_that_is_named_twice_is_one_need() -> None:
    """A job may take a result and also stand after the same job."""
    plan = Plan(["a", "b", "c"], [[], [], ["b", "a", "b", "a"]])
    assert plan.needs[2] == (1, 0)
    assert plan.need_counts[2] == 2
    assert plan.signals == [(2,), (2,), ()]


def test_jobs_that_need_the_same_jobs_wait_behind_one_gate() -> None:
    """In full layers the end of a job is one signal, whatever the width of the next layer."""
    width, depth = 5, 3
    needs = [
        [] if i < width else [str(j) for j in range((i // width - 1) * width, i // width * width)]
        for i in range(width * depth)
    ]
    plan = Plan(numbered(width * depth), needs)
    assert plan.signals == [(15,)] * 5 + [(16,)] * 5 + [()] * 5
    assert plan.gates == {15: [5, 6, 7, 8, 9], 16: [10, 11, 12, 13, 14]}
    assert plan.first_pending == [0] * 5 + [1] * 10 + [5, 5]
    assert plan.dependents(2) == [5, 6, 7, 8, 9]
    assert [len(layer) for layer in plan.layers()] == [5, 5, 5]


def test_a_circle_behind_a_gate_is_found() -> None:
    """Two jobs that need the same four, one of which needs one of the two."""
    names = ["a", "b", "c", "d", "x", "y"]
    four = ["a", "b", "c", "d"]
    with pytest.raises(CycleError) as caught:
        Plan(names, [["x"], [], [], [], four, four])
    assert caught.value.cycle == ("a", "x", "a")


@settings(max_examples=100)
@given(st.integers(1, 60), st.integers(0, 2**32))
def test_who_needs_a_job_is_known_with_gates_and_without(size: int, seed: int) -> None:
    """``dependents`` is ``needs`` turned round, in order."""
    random = Random(seed)
    plan = plan_of(random_needs(size, random.randrange))
    for i in range(size):
        assert list(plan.dependents(i)) == [j for j in range(size) if i in plan.needs[j]]


@settings(max_examples=40)
@given(st.integers(1, 40), st.integers(0, 2**32))
def test_layers_are_the_earliest_possible_starts(size: int, seed: int) -> None:
    """A job's layer is one more than that of the last of its needs; each layer is in order."""
    needs = random_needs(size, Random(seed).randrange)
    layer: dict[int, int] = {}
    while len(layer) < size:
        for i in range(size):
            if all(j in layer for j in needs[i]):
                layer[i] = max((layer[j] + 1 for j in needs[i]), default=0)
    expected = [[i for i in range(size) if layer[i] == k] for k in range(max(layer.values()) + 1)]
    plan = plan_of(needs)
    assert plan.layers() == expected
    assert plan.layers() is plan.layers()  # worked out once


@settings(max_examples=40)
@given(st.integers(1, 40), st.integers(0, 2**32))
def test_a_closure_is_the_jobs_and_all_that_they_need(size: int, seed: int) -> None:
    """Every need of what is in it is in it, and nothing that nobody asked for."""
    random = Random(seed)
    needs = random_needs(size, random.randrange)
    wanted = {random.randrange(size) for _ in range(1 + random.randrange(3))}
    expected = set(wanted)
    for _ in range(size):
        expected |= {j for i in expected for j in needs[i]}
    assert plan_of(needs).closure(wanted) == expected


# -- what is refused


@pytest.mark.parametrize(
    ("needs", "told"),
    [
        ({"a": "b", "b": "c", "c": "a"}, "a -> b -> c -> a"),
        ({"c": "a", "a": "b", "b": "c"}, "c -> a -> b -> c"),
        ({"a": "b", "b": "a"}, "a -> b -> a"),
        ({"a": "a"}, "a -> a"),
        # What leads into the circle or hangs on it is not part of it.
        ({"root": "", "x": "y", "y": "z", "z": "y", "leaf": "x"}, "y -> z -> y"),
        ({"last": "first", "first": "", "own": "own"}, "own -> own"),
    ],
)
def test_a_circle_is_spelt_out(needs: dict[str, str], told: str) -> None:
    """The path goes from each job to what it needs, begins with the first of the manager's."""
    with pytest.raises(CycleError) as caught:
        Plan(list(needs), [[need] if need else [] for need in needs.values()])
    assert str(caught.value) == f"jobs need each other in a circle: {told}"
    assert caught.value.cycle == tuple(told.split(" -> "))


@settings(max_examples=60)
@given(st.integers(1, 30), st.integers(0, 2**32))
def test_a_circle_anywhere_in_a_graph_is_found(size: int, seed: int) -> None:
    """What is spelt out is a circle of the graph, once round, and none is refused without one."""
    random = Random(seed)
    needs = {
        str(i): [str(random.randrange(size)) for _ in range(random.choice([0, 0, 1, 2]))]
        for i in range(size)
    }
    possible = {name for name in needs if not needs[name]}
    while more := {i for i in needs if set(needs[i]) <= possible} - possible:
        possible |= more
    if len(possible) == size:
        assert sum(map(len, Plan(list(needs), list(needs.values())).layers())) == size
        return
    with pytest.raises(CycleError) as caught:
        Plan(list(needs), list(needs.values()))
    *circle, again = caught.value.cycle
    assert again == circle[0] == min(circle, key=int)
    assert len(set(circle)) == len(circle)
    assert not set(circle) & possible
    for job, need in zip(circle, [*circle[1:], again], strict=True):
        assert need in needs[job]


def test_an_unknown_need_is_refused_with_the_nearest_name() -> None:
    """Who mistyped a name is told the one that was meant."""
    with pytest.raises(UnknownNeedError) as caught:
        Plan(["orders", "tips"], [[], ["orders", "order"]])
    assert str(caught.value) == (
        "job 'tips' needs 'order', which no job provides; did you mean 'orders'?"
    )
    assert (caught.value.job, caught.value.need) == ("tips", "order")
    assert caught.value.suggestion == "orders"


def test_an_unknown_need_that_resembles_nothing_comes_without_a_guess() -> None:
    """A far-fetched guess would be worse than none."""
    with pytest.raises(UnknownNeedError) as caught:
        Plan(["orders", "tips"], [[], ["weather"]])
    assert str(caught.value) == "job 'tips' needs 'weather', which no job provides"
    assert caught.value.suggestion is None
    assert nearest("weather", []) is None


COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize(
    "names",
    [
        ["a", "b", "a"],
        [COMPOSED, "x", DECOMPOSED],
        [DECOMPOSED, COMPOSED],
        ["user", "\uff55ser"],  # a wide u, which Python reads as an ordinary one in source code
        ["\uff55ser", "user"],
        ["o\ufb03ce", "office"],
    ],
)
def test_two_jobs_of_one_name_are_refused(names: list[str]) -> None:
    """Names that look the same, to Python or to people, are the same."""
    with pytest.raises(DuplicateNameError) as caught:
        Plan(names, [[] for _ in names])
    plain = [unicodedata.normalize("NFKC", name) for name in names]
    assert caught.value.job in names
    assert plain.count(unicodedata.normalize("NFKC", caught.value.job)) == 2
    assert repr(caught.value.job) in str(caught.value)


def test_names_may_be_in_any_script() -> None:
    """Only sameness is refused, not letters."""
    names = ["Bestellungen f\u00fcr heute", "\u6ce8\u6587", "\U0001f4e6", "user", "\u0443ser", " "]
    assert Plan(names, [[], [], [], [], ["\u6ce8\u6587"], ["\U0001f4e6"]]).names == names


@pytest.mark.parametrize("name", ["", None, 7, b"bytes", ("a",), [], {}, {"a"}], ids=repr)
def test_a_name_that_is_none_is_refused(name: Any) -> None:
    """Nothing but text names a job; what cannot even be looked up is refused in the same words."""
    with pytest.raises(JobDefinitionError, match="a name must be a string that is not empty") as e:
        Plan(["first", name], [[], []])
    assert e.value.job == str(name)
    assert isinstance(e.value, PlanError)


# -- what it costs


class Name(str):
    """A name that counts how often it is looked up."""

    __slots__ = ()
    looked_up = 0

    def __hash__(self) -> int:
        Name.looked_up += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        Name.looked_up += 1
        return super().__eq__(other)


def lines_run(call: Callable[[], object]) -> int:
    """Return how many lines of the core a call runs."""
    count = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace if "_core" in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def layered(size: int) -> list[list[str]]:
    """Return the needs of a graph in layers of 10, each job of which needs 5 of the layer above."""
    return [
        [str(10 * (i // 10 - 1) + (i + k) % 10) for k in range(5)] if i >= 10 else []
        for i in range(size)
    ]


def bad_circle(size: int) -> list[list[str]]:
    """Return the needs of a chain that bites its tail."""
    return [[str(size - 1)], *chain(size)[1:]]


@pytest.mark.parametrize("shape", [chain, fan, layered, bad_circle])
def test_compiling_costs_as_much_as_there_are_jobs_and_needs(
    shape: Callable[[int], list[list[str]]],
) -> None:
    """Twice the graph takes twice the lines of code and twice the look-ups, never four times."""

    def compile_(size: int) -> None:
        needs = [[Name(need) for need in each] for each in shape(size)]
        try:
            Plan(list(map(Name, numbered(size))), needs).layers()
        except CycleError as error:
            assert len(error.cycle) == size + 1

    Name.looked_up = 0
    small, once = lines_run(lambda: compile_(300)), Name.looked_up
    large, twice = lines_run(lambda: compile_(600)), Name.looked_up - once
    assert 0 < small < large < 2.2 * small
    assert 0 < once < twice < 2.2 * once


@pytest.mark.parametrize("shape", [chain, fan, layered])
def test_a_closure_costs_as_much_as_there_are_jobs_and_needs(
    shape: Callable[[int], list[list[str]]],
) -> None:
    """Looking for what a job needs passes each job and each need once."""
    costs = []
    for size in (300, 600):
        plan = Plan(numbered(size), shape(size))
        costs.append(lines_run(lambda: plan.closure([plan.size - 1])))  # noqa: B023  called at once
    assert 0 < costs[0] < costs[1] < 2.2 * costs[0]


def run_to_its_end(schedule: Schedule) -> Iterable[int]:
    """Run one job after the other; yield them."""
    i = schedule.take(THREADS, 0.0)
    while i != NOTHING:
        yield i
        i = schedule.turn(i, SUCCEEDED, THREADS, 0.0)


@pytest.mark.parametrize("shape", [chain, fan])
def test_a_hundred_thousand_jobs_in_a_chain_or_a_fan_are_no_matter(
    shape: Callable[[int], list[list[str]]],
) -> None:
    """Nothing recurses: depth and width of a graph are bounded by memory alone."""
    plan = Plan(numbered(MANY), shape(MANY))
    assert sum(map(len, plan.layers())) == MANY
    assert len(plan.closure([MANY - 1])) == MANY
    schedule = Schedule(plan)
    assert list(run_to_its_end(schedule)) == list(range(MANY))
    assert schedule.finished
    assert not schedule.unfinished


def test_a_failure_at_the_head_of_a_hundred_thousand_rules_out_all_of_them() -> None:
    """Nor does the search for what depends on a failed job recurse."""
    schedule = Schedule(Plan(numbered(MANY), chain(MANY)), fail_fast=False)
    schedule.ended(schedule.take(THREADS, 0.0), FAILED, 1.0)
    assert schedule.finished
    assert not schedule.unfinished
    assert schedule.states.count(NOT_STARTED) == MANY - 1


def test_a_circle_of_a_hundred_thousand_is_spelt_out() -> None:
    """Nor does the search for a circle recurse."""
    with pytest.raises(CycleError) as caught:
        Plan(numbered(MANY), bad_circle(MANY))
    assert caught.value.cycle == ("0", *map(str, range(MANY - 1, -1, -1)))
