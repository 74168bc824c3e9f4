"""A graph of jobs, made small enough to be looked at: some jobs share a box.

Jobs with the same place in the graph share one: their needs are alike, all the way down, and so is
what needs them. That alone turns a thousand equal chains into one. What is still too big (a large
graph without any likeness) is cut into bands of layers, and what does not fit in a band shares a
box, too. All of it is O(jobs + needs), and nothing is recursive.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gofer._core.plan import Plan

MOST_BOXES = 150
"""Boxes of a picture that a person can still read."""

TALLEST = 40
"""Boxes above each other in a graph that is drawn job by job."""


class Graph:
    """Boxes in columns, by earliest possible start; needs lead from left to right only.

    Attributes:
        jobs: How many jobs there are.
        boxes: Box -> indices of its jobs, in the manager's order.
        needs: Box -> the boxes that any of its jobs needs, in order.
        columns: The boxes of each column, in the manager's order.
        labels: Box -> its name, or what the names in it have in common; untrusted text.
    """

    def __init__(self, plan: Plan, most: int = MOST_BOXES) -> None:
        layers = plan.layers()
        self.jobs = plan.size
        columns = [[[i] for i in layer] for layer in layers]
        if plan.size > most or max(map(len, layers), default=0) > TALLEST:
            columns = _alike(plan, finely=True)
            if sum(map(len, columns)) > most:
                columns = _alike(plan, finely=False)
        if sum(map(len, columns)) > most:
            columns = _bands(columns, most)
        self.boxes = [box for column in columns for box in column]
        ends = [0]
        for column in columns:
            ends.append(ends[-1] + len(column))
        self.columns = [range(*ends[i : i + 2]) for i in range(len(columns))]
        self.box_of = [0] * plan.size
        for b, box in enumerate(self.boxes):
            for i in box:
                self.box_of[i] = b
        self.needs = [self._needs(plan, b) for b in range(len(self.boxes))]
        self.labels = [_label([plan.names[i] for i in box]) for box in self.boxes]

    def _needs(self, plan: Plan, b: int) -> list[int]:
        found = {self.box_of[j] for i in self.boxes[b] for j in plan.needs[i]}
        return sorted(found - {b})

    @property
    def caption(self) -> str:
        """What a picture has to say about what it does not show; empty if it shows all."""
        boxes = len(self.boxes)
        if boxes == self.jobs:
            return ""
        return f"{self.jobs:,} jobs, drawn as {boxes:,} {'box' if boxes == 1 else 'boxes'}"


def drawable(plan: Plan, most_needs: int) -> Graph:
    """Return a graph with at most so many needs, as detailed as that allows."""
    most = MOST_BOXES
    graph = Graph(plan, most)
    while sum(map(len, graph.needs)) > most_needs and most > 1:
        most //= 2
        graph = Graph(plan, most)
    return graph


def _alike(plan: Plan, *, finely: bool) -> list[list[list[int]]]:
    """Return the layers, with jobs together whose needs and dependents are alike.

    Args:
        plan: The graph.
        finely: Whether one neighbour is something else than several of a kind.
    """
    layers = plan.layers()
    before, after = [0] * plan.size, [0] * plan.size
    for side, neighbours, order in (
        (before, plan.needs.__getitem__, layers),
        (after, plan.dependents, layers[::-1]),
    ):
        kinds: dict[object, int] = {}
        for depth, layer in enumerate(order):
            for i in layer:
                near = neighbours(i)
                kind = (depth, finely and len(near) > 1, frozenset([side[j] for j in near]))
                side[i] = kinds.setdefault(kind, len(kinds))
    columns = []
    for layer in layers:
        boxes: dict[tuple[int, int], list[int]] = {}
        for i in layer:
            boxes.setdefault((before[i], after[i]), []).append(i)
        columns.append(list(boxes.values()))
    return columns


def _bands(columns: list[list[list[int]]], most: int) -> list[list[list[int]]]:
    """Return at most so many boxes: neighbouring columns become one, and long ones are cut."""
    per_band = -(-len(columns) // most)
    bands = [
        [box for column in columns[at : at + per_band] for box in column]
        for at in range(0, len(columns), per_band)
    ]
    allowed = max(1, most // len(bands)) if per_band == 1 else 1  # else needs could run inside
    cut = []
    for band in bands:
        if len(band) > allowed:
            rest = sorted(i for box in band[allowed - 1 :] for i in box)
            band[allowed - 1 :] = [rest]
        cut.append(band)
    return cut


def _label(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    patterns = {pattern(name) for name in names}
    shared = patterns.pop() if len(patterns) == 1 else f"{names[0]}, ..."
    return f"{shared} \N{MULTIPLICATION SIGN} {len(names):,}"


def pattern(name: str) -> str:
    """Return a name with a star for each number in it, so that names of one kind are equal."""
    return re.sub(r"\d+", "*", name)
