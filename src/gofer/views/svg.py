"""Graphs and runs as SVG: one file with its own colours for light and dark, no script, no ids.

Everything from outside goes through ``safe``; numbers are the only other thing that varies.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from gofer.errors import describe
from gofer.views.facts import NOTHING, Facts, amount, attempts, state_of
from gofer.views.fold import drawable
from gofer.views.layout import BOX, Layout
from gofer.views.text import Pen, measure, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gofer._core.plan import Plan
    from gofer._run import JobRecord, Run
    from gofer.views.fold import Graph

MOST_NEEDS = 1_500
"""Lines of a picture; more are a grey area."""

MOST_ROWS = 40
"""Jobs of a run that are drawn one by one; of more, those that matter."""

_COLUMN = 7.3  # pixels of a character of 12 pixels; fonts of fixed width agree within 2 %
_LONGEST = 32  # columns of a label
_MARGIN = 12.0
_ROW = 20
_CHART = 560  # pixels of the bars
_PEN = Pen("utf-8")


@cache
def sheet(name: str) -> str:
    """Return a file that stands beside this one."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def safe(text: str, keep: str = "") -> str:
    r"""Return a text from outside for use between tags and in quoted attributes.

    Args:
        text: The text; what is not printable in it is escaped.
        keep: Characters that are not, such as ``"\n"``.
    """
    text = printable(text, keep).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;").replace("'", "&#39;")


def clipped(text: str, columns: int = _LONGEST) -> str:
    """Return the same with an ellipsis in the middle of a text that is too long."""
    return safe(_PEN.clip(text, columns))


def graph_picture(plan: Plan, name: str = "") -> str:
    """Return a manager's graph as an SVG document."""
    graph = drawable(plan, MOST_NEEDS)
    layout, drawn = graph_parts(graph, lambda box: ("", graph.labels[box]))
    size = f"{plan.size:,} {'job' if plan.size == 1 else 'jobs'}"
    title = f"{name}: {size}" if name else size
    notes = [graph.caption] if graph.caption else []
    return _document(title, layout.width, layout.height, drawn, notes)


def graph_parts(
    graph: Graph,
    about: Callable[[int], tuple[str, str]],
    link: Callable[[int], str] | None = None,
    critical: frozenset[tuple[int, int]] = frozenset(),
) -> tuple[Layout, str]:
    """Draw boxes and lines, without a document around them.

    Args:
        graph: What to draw.
        about: Box -> its CSS classes, and what is told of it when it is pointed at (any text).
        link: Box -> where it leads, or an empty string; None means that nothing does.
        critical: Pairs of boxes whose line is on the critical path.
    """
    labels = [clipped(label) for label in graph.labels]
    wide = [measure(_PEN.clip(label, _LONGEST)) * _COLUMN + 20 for label in graph.labels]
    layout = Layout(graph, wide)
    lines = []
    for a, b, points in sorted(layout.lines, key=lambda line: line[:2] in critical):
        mark = ' class="critical"' if (a, b) in critical else ""
        lines.append(f'<path{mark} data-needs="{a} {b}" d="{_curve(points)}"/>')
    boxes = []
    for b, label in enumerate(labels):
        classes, text = about(b)
        drawn = _box(graph, layout, b, label)
        many = " many" if len(graph.boxes[b]) > 1 else ""
        group = f'<g class="box{many} {classes}" data-box="{b}"><title>{safe(text)}</title>'
        drawn = f"{group}{drawn}</g>"
        where = link(b) if link is not None else ""
        boxes.append(f'<a href="{safe(where)}">{drawn}</a>' if where else drawn)
    return layout, f'<g class="needs">{"".join(lines)}</g>{"".join(boxes)}'


def _box(graph: Graph, layout: Layout, b: int, label: str) -> str:
    x, y, width = layout.x[b], layout.y[b], layout.widths[b]
    top = y - BOX / 2
    rect = f'width="{width:.1f}" height="{BOX:.0f}" rx="4"/>'
    parts = []
    if len(graph.boxes[b]) > 1:  # a card behind the card
        parts.append(f'<rect x="{x + 3:.1f}" y="{top + 3:.1f}" {rect}')
    parts.append(f'<rect x="{x:.1f}" y="{top:.1f}" {rect}')
    if graph.needs[b]:
        parts.append(f'<path class="head" d="M{x - 7:.1f} {y - 4:.1f}l7 4l-7 4z"/>')
    if len(graph.boxes[b]) > 1:  # shown where some of its jobs have failed
        parts.append(f'<circle class="flag" cx="{x + width:.1f}" cy="{top:.1f}" r="4.5"/>')
    parts.append(f'<text x="{x + 10:.1f}" y="{y + 4:.1f}">{label}</text>')
    return "".join(parts)


def _curve(points: list[tuple[float, float]]) -> str:
    """Return a path: curves between columns, straight through them."""
    x, y = points[0]
    parts = [f"M{x:.1f} {y:.1f}"]
    for i in range(1, len(points), 2):
        (x, y), (to_x, to_y) = points[i - 1], points[i]
        middle = (x + to_x) / 2
        parts.append(f"C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}")
        if i + 1 < len(points):
            parts.append(f"H{points[i + 1][0]:.1f}")
    return "".join(parts)


def _document(title: str, width: float, height: float, drawn: str, notes: list[str]) -> str:
    """Return an SVG document: a title, what was drawn, and notes below it."""
    head = 30.0
    wide = max(width, measure(title[:80]) * 8, *[len(note) * 7.0 for note in notes], 60.0)
    wide += 2 * _MARGIN
    high = head + height + 20.0 * len(notes) + _MARGIN
    below = "".join(
        f'<text class="note" x="{_MARGIN}" y="{head + height + y:.0f}">{safe(note)}</text>'
        for y, note in zip(range(15, 1000, 20), notes, strict=False)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="gofer" role="img" '
        f'aria-label="{safe(title)}" width="{wide:.0f}" height="{high:.0f}" '
        f'viewBox="0 0 {wide:.0f} {high:.0f}"><style>{sheet("picture.css")}</style>'
        f'<rect class="paper" width="100%" height="100%" rx="6"/>'
        f'<text class="title" x="{_MARGIN}" y="20">{clipped(title, 80)}</text>'
        f'<g transform="translate({_MARGIN} {head})">{drawn}</g>{below}</svg>\n'
    )


def run_picture(run: Run) -> str:
    """Return a run's waterfall as an SVG document: the jobs that matter, by start."""
    facts = Facts(run)
    shown = facts.shown(MOST_ROWS)
    wide = max([measure(_PEN.clip(each.name, _LONGEST)) for each in shown], default=0) * _COLUMN
    rows = [_row(facts, each, i * _ROW, wide + 12) for i, each in enumerate(shown)]
    left_out = len(facts.records) - len(shown)
    notes = [f"and {left_out:,} more jobs"] if left_out else []
    title = f"{facts.name or 'run'}: {facts.how_it_went()}"
    return _document(title, wide + 12 + _CHART + 380, len(rows) * _ROW, "".join(rows), notes)


def _row(facts: Facts, record: JobRecord, y: float, x: float) -> str:
    told = "" if record.start is None else amount(facts.took(record))
    what = "" if state_of(record) == "succeeded" else state_of(record)
    if record.error is not None:
        what = f"{what}: {describe(record.error)}"
    critical = " critical" if record.name in facts.critical else ""
    bad = ' class="bad"' if record.state == "failed" else ""
    return (
        f'<text y="{y + 13}">{clipped(record.name)}</text>'
        f'<svg class="bar{critical}" x="{x:.1f}" y="{y + 1}" '
        f'width="{_CHART}" height="16">{bar(facts, record)}</svg>'
        f'<text class="far" x="{x + _CHART + 70:.1f}" y="{y + 13}">{told}</text>'
        f'<text{bad} x="{x + _CHART + 84:.1f}" y="{y + 13}">{clipped(what, 40)}</text>'
    )


def bar(facts: Facts, record: JobRecord) -> str:
    """Return what is in a bar 16 pixels high; from left to right it is the whole run."""
    if record.start is None:
        return ""
    end = facts.end if facts.end > NOTHING else 1.0

    def part(kind: str, start: float, stop: float, y: int, height: int) -> str:
        at, width = 100 * start / end, max(100 * (stop - start) / end, 0.01)
        return (
            f'<rect class="{kind}" x="{at:.3f}%" y="{y}" width="{width:.3f}%" height="{height}"/>'
        )

    drawn = []
    waiting = record.waiting or 0.0
    if waiting > NOTHING:
        drawn.append(part("waiting", record.start - waiting, record.start, 7, 2))
    before = record.start
    tries = attempts(record) or [(record.start, record.end, None)]
    for i, (start, stop, error) in enumerate(tries):
        stop = facts.end if stop is None else stop  # noqa: PLW2901
        kind = _kind(record, error, last=i + 1 == len(tries))
        if start > before:
            drawn.append(part("between", before, start, 7, 2))
        beside = start < before  # a hedge: it began while another attempt went on
        drawn.append(part(kind, start, stop, *((8, 5) if beside else (3, 10))))
        if kind == "failed":
            at = f"{100 * stop / end:.3f}%"
            drawn.append(f'<line x1="{at}" x2="{at}" y1="0" y2="16"/>')
        before = max(before, stop)
    return "".join(drawn)


def _kind(record: JobRecord, error: BaseException | None, *, last: bool) -> str:
    """Return how an attempt ended: as its job if it is the last, unless that went well in spite."""
    if last and record.state != "succeeded":
        return record.state
    return "succeeded" if error is None else "failed"
