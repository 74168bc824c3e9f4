"""Where boxes stand and lines run: nothing overlaps, nothing crosses without need."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given

from gofer._core.plan import Plan
from gofer.views.fold import Graph
from gofer.views.layout import BOX, Layout

from .plans import plan_of, plans, tangle


def layout_of(plan: Plan) -> tuple[Graph, Layout]:
    """Lay out with boxes of one width."""
    graph = Graph(plan)
    return graph, Layout(graph, [100.0] * len(graph.boxes))


def crossings(layout: Layout) -> int:
    """Count pairs of straight lines between two columns that cross."""
    ends = [(layout.x[a], layout.y[a], layout.y[b]) for a, b, _ in layout.lines]
    return sum(
        x == other_x and (y - other_y) * (to_y - other_to_y) < 0
        for (x, y, to_y), (other_x, other_y, other_to_y) in combinations(ends, 2)
    )


@given(plans())
def test_boxes_never_overlap_and_lines_pass_between_them(plan: Plan) -> None:
    """In each column all is apart: boxes from boxes, and the lines that pass from boxes."""
    graph, layout = layout_of(plan)

    lanes: dict[float, set[float]] = {}
    for a, b, points in layout.lines:
        assert points[0] == (layout.x[a] + layout.widths[a], layout.y[a])
        assert points[-1] == (layout.x[b], layout.y[b])
        assert [x for x, _ in points] == sorted(x for x, _ in points)
        for x, y in points[1:-1:2]:
            lanes.setdefault(x, set()).add(y)
    for column in graph.columns:
        heights = sorted(layout.y[b] for b in column)
        assert all(y - x > BOX for x, y in pairwise(heights))
        for lane in lanes.get(layout.x[column[0]], ()):
            assert all(abs(lane - y) > BOX / 2 for y in heights)
    assert all(BOX / 2 <= y <= layout.height - BOX / 2 for y in layout.y[: len(graph.boxes)])
    assert all(x + 100 <= layout.width for x in layout.x)


def test_what_is_given_crossed_is_drawn_uncrossed() -> None:
    """The order in a column is not the manager's, but that of its neighbours."""
    plan = plan_of(a=[], b=[], c=[], d=["c"], e=["b"], f=["a"])
    _, layout = layout_of(plan)

    assert crossings(layout) == 0


def test_the_lines_of_a_tangle_cross_less_often_than_in_the_manager_s_order() -> None:
    """The sweeps earn what they cost."""
    graph, layout = layout_of(tangle(60))
    after = crossings(layout)
    for column in graph.columns:
        for place, b in enumerate(column):
            layout.y[b] = 40.0 * place

    assert after < crossings(layout)


def test_a_chain_lies_on_one_line() -> None:
    """What has one neighbour stands at its height."""
    _, layout = layout_of(plan_of(a=[], b=["a"], c=["b"], x=[], y=["x"], z=["y"]))

    assert len({round(y, 6) for y in layout.y[:6]}) == 2


def test_no_jobs_are_no_picture() -> None:
    """An empty manager has a size, too."""
    _, layout = layout_of(Plan([], []))

    assert (layout.width, layout.lines) == (0.0, [])
