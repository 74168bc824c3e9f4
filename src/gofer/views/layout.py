"""Where the boxes of a graph stand, and which way its lines take.

Columns by earliest possible start, from left to right, so what can run together stands together. A
line that passes a column gets a lane between the boxes there; all lines of one box share it. The
order in each column is by barycentres, swept to and fro; the heights then follow the neighbours as
closely as the order allows. Nothing is recursive.

Source: Sugiyama, Tagawa, Toda, Methods for visual understanding of hierarchical system structures
(1981). Heights: isotonic regression by pooling adjacent violators (Ayer et al., 1955).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from gofer.views.fold import Graph

BOX = 26.0
"""Height of a box."""

_LANE = 6.0  # height of a lane for lines that pass
_GAP = 10.0  # between what stands above each other
_BETWEEN = 56.0  # between columns
_SWEEPS = 8  # more change nothing that can be seen


class Layout:
    """The places of everything; lengths are in pixels.

    Attributes:
        x, y: Box -> its left edge, and its middle from the top.
        widths: Box -> its width; equal in one column.
        width, height: Of the whole.
        lines: For each need: the two boxes, and the points that its line passes.
    """

    def __init__(self, graph: Graph, widths: Sequence[float]) -> None:
        """Place the boxes.

        Args:
            graph: The graph.
            widths: Box -> the width that its label wants.
        """
        self._graph = graph
        self._columns: list[list[int]] = [list(column) for column in graph.columns]
        self._column_of = [c for c, column in enumerate(graph.columns) for _ in column]
        # Items are boxes, then lanes; before and after are their neighbours in the next columns.
        self._before: list[list[int]] = [[] for _ in graph.boxes]
        self._after: list[list[int]] = [[] for _ in graph.boxes]
        self._lanes: dict[tuple[int, int], int] = {}
        self._route()
        self.y = [0.0] * len(self._before)
        self._order()
        self._settle()
        self._across(widths)
        self.lines = [
            (a, b, self._points(a, b)) for b, needs in enumerate(graph.needs) for a in needs
        ]

    def _route(self) -> None:
        """Give each box the lanes that its lines need in the columns that they pass."""
        furthest: dict[int, int] = {}
        for b, needs in enumerate(self._graph.needs):
            for a in needs:
                furthest[a] = max(furthest.get(a, 0), self._column_of[b])
        for a, last in furthest.items():
            item = a
            for c in range(self._column_of[a] + 1, last):
                lane = self._lanes[a, c] = len(self._before)
                self._before.append([item])
                self._after.append([])
                self._after[item].append(lane)
                self._columns[c].append(lane)
                item = lane
        for b, needs in enumerate(self._graph.needs):
            for a in needs:
                item = self._lanes.get((a, self._column_of[b] - 1), a)
                self._before[b].append(item)
                self._after[item].append(b)

    def _order(self) -> None:
        """Order each column by where its items' neighbours stand."""
        for column in self._columns:
            self._stack(column)
        for sweep in range(_SWEEPS):
            backwards = sweep % 2
            for column in self._columns[:: -1 if backwards else 1]:
                wanted = self._barycentres(column, (self._after if backwards else self._before,))
                column.sort(key=dict(zip(column, wanted, strict=True)).__getitem__)
                self._stack(column)

    def _stack(self, column: list[int]) -> None:
        at = -sum(map(self._size, column)) / 2
        for item in column:
            self.y[item] = at + self._size(item) / 2
            at += self._size(item)

    def _size(self, item: int) -> float:
        return (BOX if item < len(self._column_of) else _LANE) + _GAP

    def _barycentres(self, column: list[int], sides: tuple[list[list[int]], ...]) -> list[float]:
        """Return the mean height of each item's neighbours; its own where it has none."""
        y = self.y
        found = []
        for item in column:
            near = [y[other] for side in sides for other in side[item]]
            found.append(sum(near) / len(near) if near else y[item])
        return found

    def _settle(self) -> None:
        """Move items to where their neighbours are, without changing any order."""
        both = (self._before, self._after)
        for sides in ((self._before,), (self._after,), (self._before,), both, both):
            step = -1 if sides == (self._after,) else 1
            for column in self._columns[::step]:
                self._place(column, self._barycentres(column, sides))
        top = min((self.y[i] - self._size(i) / 2 for i in range(len(self.y))), default=0.0)
        self.y = [at - top for at in self.y]
        self.height = max((at + BOX / 2 for at in self.y), default=0.0) + _GAP / 2

    def _place(self, column: list[int], wanted: list[float]) -> None:
        """Place a column's items as near to the wanted heights as their sizes allow."""
        offsets, at = [], 0.0
        for item in column:
            offsets.append(at + self._size(item) / 2)
            at += self._size(item)
        pools: list[list[float]] = []  # sum of what is wanted, how many
        for want, offset in zip(wanted, offsets, strict=True):
            pools.append([want - offset, 1.0])
            while len(pools) > 1 and pools[-2][0] / pools[-2][1] >= pools[-1][0] / pools[-1][1]:
                total, count = pools.pop()
                pools[-1][0] += total
                pools[-1][1] += count
        moved = [total / count for total, count in pools for _ in range(int(count))]
        for item, offset, move in zip(column, offsets, moved, strict=True):
            self.y[item] = offset + move

    def _across(self, widths: Sequence[float]) -> None:
        self._edges = []
        at = 0.0
        for column in self._graph.columns:
            width = max(widths[b] for b in column)
            self._edges.append((at, at + width))
            at += width + _BETWEEN
        self.width = max(0.0, at - _BETWEEN)
        self.x = [self._edges[c][0] for c in self._column_of]
        self.widths = [self._edges[c][1] - self._edges[c][0] for c in self._column_of]

    def _points(self, a: int, b: int) -> list[tuple[float, float]]:
        """Return the corners of a line: out of a box, in and out of each lane, into a box."""
        points = [(self._edges[self._column_of[a]][1], self.y[a])]
        for c in range(self._column_of[a] + 1, self._column_of[b]):
            y = self.y[self._lanes[a, c]]
            points += [(x, y) for x in self._edges[c]]
        points.append((self._edges[self._column_of[b]][0], self.y[b]))
        return points
