"""Graphs made small enough to be looked at: nothing is lost, nothing leads backwards."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gofer._core.plan import Plan
from gofer.views.fold import MOST_BOXES, Graph, drawable, pattern

from .plans import chains, plan_of, plans, tangle


def test_a_small_graph_has_a_box_for_each_job() -> None:
    """Columns by earliest possible start, and no word about what is left out."""
    graph = Graph(plan_of(a=[], b=[], c=["a"], d=["a", "c"]))

    assert [[graph.labels[b] for b in column] for column in graph.columns] == [
        ["a", "b"],
        ["c"],
        ["d"],
    ]
    assert graph.needs == [[], [], [0], [0, 2]]
    assert graph.caption == ""


def test_jobs_with_the_same_place_in_a_large_graph_share_a_box() -> None:
    """Three thousand fetches between a start and an end are one box, and it says how many."""
    names = ["start", *[f"fetch[{i}]" for i in range(3000)], "end"]
    plan = Plan(names, [[], *[["start"]] * 3000, names[1:-1]])

    graph = Graph(plan)

    assert graph.labels == ["start", "fetch[*] × 3,000", "end"]  # noqa: RUF001
    assert graph.needs == [[], [0], [1]]
    assert graph.caption == "3,002 jobs, drawn as 3 boxes"


def test_a_thousand_equal_chains_are_one() -> None:
    """Likeness is seen along the whole way, not only between neighbours."""
    graph = Graph(chains(1000))

    assert [len(box) for box in graph.boxes] == [1000, 1000, 1000]
    assert graph.labels[0] == "a*-* × 1,000"  # noqa: RUF001


def test_jobs_that_differ_in_what_needs_them_do_not_share_a_box() -> None:
    """A config that everything needs is no fetch, though neither needs anything."""
    names = ["config", *[f"f{i}" for i in range(200)], "end"]
    plan = Plan(names, [[], *[[]] * 200, names[:-1]])
    other = Plan([*names, "extra"], [[], *[[]] * 200, names[:-1], ["config"]])

    assert Graph(plan).labels == ["config, ... × 201", "end"]  # noqa: RUF001
    assert Graph(other).labels[:2] == ["config", "f* × 200"]  # noqa: RUF001


def test_a_wide_layer_is_folded_in_a_graph_that_is_small_otherwise() -> None:
    """A column of fifty boxes is too tall, whatever the number of jobs."""
    plan = Plan([f"f{i}" for i in range(50)], [[]] * 50)

    assert Graph(plan).labels == ["f* × 50"]  # noqa: RUF001
    assert Graph(plan).caption == "50 jobs, drawn as 1 box"


def test_a_chain_of_three_thousand_fits_and_nothing_is_recursive() -> None:
    """Neighbouring layers share a box where the graph is too deep."""
    names = [f"s{i}" for i in range(3000)]
    graph = Graph(Plan(names, [[], *[[name] for name in names[:-1]]]))

    assert len(graph.boxes) == MOST_BOXES
    assert {len(box) for box in graph.boxes} == {20}
    assert graph.needs[1:] == [[b] for b in range(MOST_BOXES - 1)]


def test_a_large_graph_without_any_likeness_is_cut() -> None:
    """The picture stays readable, and keeps its columns, where nothing is alike."""
    plan = tangle(3000)
    graph = Graph(plan)

    assert len(plan.layers()) <= len(graph.boxes) <= MOST_BOXES
    assert len(graph.columns) == len(plan.layers())


def test_a_graph_with_too_many_lines_is_folded_until_they_fit() -> None:
    """Forty jobs that each need forty others are 1,600 lines; Mermaid refuses more than 500."""
    first = [f"a{i}" for i in range(40)]
    plan = Plan([*first, *[f"b{i}" for i in range(40)]], [*[[]] * 40, *[first] * 40])

    assert sum(map(len, Graph(plan).needs)) == 1600
    assert drawable(plan, 500).labels == ["a* × 40", "b* × 40"]  # noqa: RUF001
    assert len(drawable(tangle(400, 300), 500).boxes) > 1


def test_even_a_graph_of_nothing_but_lines_is_drawable() -> None:
    """The last way out is one box."""
    assert len(drawable(plan_of(a=[], b=["a"], c=["a", "b"]), 0).boxes) == 1


@given(plans(), st.integers(1, 12))
def test_nothing_is_lost_and_nothing_leads_backwards(plan: Plan, most: int) -> None:
    """Each job is in one box; each need is a line to the right, or inside a box."""
    graph = Graph(plan, most)

    assert sorted(i for box in graph.boxes for i in box) == list(range(plan.size))
    assert len(graph.boxes) <= most or plan.size <= most
    column_of = {b: c for c, column in enumerate(graph.columns) for b in column}
    for i, needs in enumerate(plan.needs):
        for j in needs:
            a, b = graph.box_of[j], graph.box_of[i]
            assert a == b or (a in graph.needs[b] and column_of[a] < column_of[b])


def test_numbers_do_not_count_in_a_name_s_pattern() -> None:
    """What differs in numbers alone is of one kind."""
    assert {pattern(f"load-{i}.v{i * 7}") for i in range(30)} == {"load-*.v*"}
