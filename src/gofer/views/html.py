"""A run as one page of HTML: the waterfall and its table, then the graph.

One table holds both, a row for each job: its bar stands beside its numbers, and they are sorted and
filtered together. The page is complete without script; the script sorts, filters, groups, and draws
the needs of the job that is pointed at.

Nothing from outside may become markup or script, so there are three ways into the page, and no
other: ``safe`` for text and attributes, ``_data`` for the script's JSON, and numbers. A policy on
top of that lets only the style and the script run whose hashes it names, and lets nothing load.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from itertools import pairwise
from math import floor, log10

from gofer.errors import describe
from gofer.views.facts import NOTHING, Facts, amount, attempts, counts, state_of
from gofer.views.fold import drawable, pattern
from gofer.views.svg import MOST_NEEDS, bar, clipped, graph_parts, safe, sheet
from gofer.views.text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gofer._core.plan import Plan
    from gofer._run import JobRecord, Run

MOST_ROWS = 5_000
"""Jobs in the table; of more, those that matter. A browser is slow with more rows than that."""

_LONGEST_ERROR = 4_000  # characters; some quote whole documents
_ALL_NAMES = 12  # of a path that is written out
_LONGEST_TITLE = 400  # columns of a name that is pointed at

_COLUMNS = (
    ("name", "Job", ""),
    ("start", "", ""),
    ("start", "Start", "when it started, from the start of the run"),
    ("waiting", "Waiting", "from the end of its last need to its start"),
    ("took", "Duration", "from its start to its end, all attempts together"),
    ("took", "Share", "of the time that all jobs took together"),
    ("tries", "Attempts", ""),
    ("state", "State", ""),
    ("error", "Error", ""),
)


def page(run: Run, plan: Plan) -> str:
    """Return the page.

    Args:
        run: A run, over or not.
        plan: The graph that it ran.
    """
    return _Page(Facts(run), plan).document()


class _Page:
    def __init__(self, facts: Facts, plan: Plan) -> None:
        self.facts, self.plan = facts, plan
        self.work = facts.work
        self.shown = [plan.index[each.name] for each in facts.shown(MOST_ROWS)]
        self.has_errors = any(each.error is not None for each in facts.records)

    def document(self) -> str:
        style = sheet("picture.css") + sheet("page.css") + self._grid()
        script = sheet("page.js")
        policy = (
            f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
            "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
        )
        name = self.facts.name or "run"
        data = _data(self._facts_for_script())
        return (
            '<!DOCTYPE html>\n<html lang="en" class="gofer"><head><meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            f"<title>{clipped(name, 60)}: {safe(self.facts.how_it_went())}</title>\n"
            f"<style>{style}</style></head>\n<body>\n{self._header(name)}<main>\n{self._jobs()}"
            f"{self._graph()}</main>\n"
            f'<script type="application/json" id="data">{data}</script>\n'
            f"<script>{script}</script>\n</body></html>\n"
        )

    # The headline

    def _header(self, name: str) -> str:
        facts = self.facts
        mood = facts.state if facts.state in ("succeeded", "running") else "failed"
        cause = ""
        if facts.error is not None:
            first = next((r.name for r in facts.records if r.error is facts.error), None)
            where = f"<b>{_name(first)}</b> " if first is not None else ""
            told = safe(_told(facts.error), keep="\n")
            cause = f'<div class="cause">{where}{told}</div>\n'
        return (
            f'<header>\n<h1>{_name(name)} <span class="mood {mood}">{facts.state}</span></h1>\n'
            f'<div class="headline">{self._headline()}</div>\n{cause}</header>\n'
        )

    def _headline(self) -> str:
        facts = self.facts
        parts = [re.sub(r"^(succeeded in|failed after|cancelled after) ", "", facts.how_it_went())]
        if len(facts.path) > 1:
            names = [f"<li>{_name(each)}</li>" for each in facts.path]
            if len(names) > _ALL_NAMES:
                left_out = len(names) - _ALL_NAMES + 1
                names[_ALL_NAMES - 2 : -1] = [f"<li>({left_out:,} more)</li>"]
            parts.append(f'critical path <ol class="path">{" ".join(names)}</ol>')
        again = sum(len(attempts(each)) > 1 for each in facts.records)
        if again:
            parts.append(f"{again:,} retried")
        if len(counts(facts.records)) > 1:
            parts += [f"{n:,} {state}" for state, n in counts(facts.records).items()]
        return ", ".join(parts)

    # The table

    def _jobs(self) -> str:
        left_out = len(self.facts.records) - len(self.shown)
        note = ""
        if left_out:
            note = (
                f'<p class="note">Of {len(self.facts.records):,} jobs the table has '
                f"{len(self.shown):,}: failures, the critical path and the longest; "
                f"<code>run.records</code> has all.</p>\n"
            )
        rows = "".join(map(self._row, self.shown))
        return (
            '<section>\n<h2 id="jobs-title">Jobs</h2>\n'
            f'{note}<div id="controls" class="controls" hidden></div>\n'
            '<div id="frame" class="frame" role="region" aria-labelledby="jobs-title" '
            f'tabindex="0">\n<table id="jobs">\n{self._head()}<tbody>\n{rows}</tbody></table>\n'
            '<svg id="lines" class="lines" aria-hidden="true"></svg></div>\n'
            '<aside id="detail" aria-label="The chosen job" hidden></aside>\n</section>\n'
        )

    def _head(self) -> str:
        cells = []
        for i, (key, title, meaning) in enumerate(_COLUMNS):
            if key == "error" and not self.has_errors:
                continue
            if not title:
                cells.append(f'<td class="chart">{self._axis()}</td>')
                continue
            told = f' title="{meaning}"' if meaning else ""
            order = ' aria-sort="ascending"' if title == "Start" else ""
            kind = "text" if key in ("name", "state", "error") else "number"
            cells.append(
                f'<th scope="col" class="{kind} c{i}" data-key="{key}"{order}{told}>{title}</th>'
            )
        return f"<thead><tr>{''.join(cells)}</tr></thead>\n"

    def _row(self, i: int) -> str:
        record, facts = self.facts.records[i], self.facts
        took = max(0.0, facts.took(record))
        started = record.start is not None
        share = f"{100 * took / self.work:.1f} %" if started and self.work > NOTHING else ""
        numbers = (
            amount(record.start) if record.start is not None else "",
            amount(record.waiting) if record.waiting is not None else "",
            amount(took) if started else "",
            share,
            str(len(attempts(record)) or ""),
        )
        cells = "".join(f'<td class="number c{c}">{n}</td>' for c, n in enumerate(numbers, 2))
        critical = " critical" if record.name in facts.critical else ""
        mark = '<span class="mark" title="on the critical path">*</span>' if critical else ""
        title = clipped(record.name, _LONGEST_TITLE)  # in the column there is little room
        error = ""
        if self.has_errors:
            text = "" if record.error is None else describe(record.error)
            error = f'<td class="text c8"><bdi>{clipped(text, 160)}</bdi></td>'
        return (
            f'<tr id="j{i}" class="{_kind(record)}{critical}"><th scope="row">'
            f'<button type="button" tabindex="-1" title="{title}">{_name(record.name)}</button>'
            f"{mark}</th>"
            f'<td class="chart"><svg class="bar{critical}" aria-hidden="true">{bar(facts, record)}'
            f'</svg></td>{cells}<td class="text c7">{state_of(record)}</td>{error}</tr>\n'
        )

    # The axis

    def _ticks(self) -> list[float]:
        """Return up to eight round times between the start and the end."""
        end = self.facts.end
        if end <= NOTHING:
            return [0.0]
        size = 10.0 ** floor(log10(end / 8))
        step = next(size * each for each in (1, 2, 5, 10) if size * each >= end / 8)
        return [step * i for i in range(int(end / step * (1 - 1e-9)) + 1)]

    def _axis(self) -> str:
        """Return the head of the chart: how many jobs ran at once, and times under it."""
        end = self.facts.end if self.facts.end > NOTHING else 1.0
        marks = "".join(
            f'<text x="{100 * at / end:.3f}%" dx="3" y="46">{amount(at)}</text>'
            for at in self._ticks()
            if at < 0.7 * end  # there the text of the end begins
        )
        points, most = self._running(end)
        return (
            f'<svg class="axis" role="img" aria-label="Most jobs at once: {most:,}">'
            '<svg viewBox="0 0 1000 100" preserveAspectRatio="none" '
            'width="100%" height="20" y="13">'
            f'<path d="M0 100{points}V100z"/></svg>{marks}'
            f'<text class="end" x="100%" y="46">{amount(end)}</text>'
            f'<text class="most" x="100%" y="10">{most:,} at once</text></svg>'
        )

    def _running(self, end: float) -> tuple[str, int]:
        """Return a path of how many jobs ran, at the most in each of 500 parts, and the peak."""
        changes = []
        for each in self.facts.records:
            if each.start is not None:
                changes += [(each.start, 1), (each.start + self.facts.took(each), -1)]
        peaks, running = [0] * 500, 0
        part = 0
        for at, change in sorted(changes):
            here = min(int(500 * at / end), 499)
            for between in range(part + 1, here + 1):
                peaks[between] = running
            part = here
            running += change
            peaks[part] = max(peaks[part], running)
        most = max(peaks)
        path = [
            f"V{100 - 100 * peak / (most or 1):.0f}H{2 * i + 2}" for i, peak in enumerate(peaks)
        ]
        return "".join(path), most

    def _grid(self) -> str:
        """Return the rule that puts a line behind the bars at each time of the axis."""
        end = self.facts.end if self.facts.end > NOTHING else 1.0
        ticks = self._ticks()
        step = 100 * ticks[1] / end if len(ticks) > 1 else 100.0
        return f".gofer {{ --step: {step:.4f}%; }}\n"

    # The graph

    def _graph(self) -> str:
        if not self.plan.size:
            return ""
        graph = drawable(self.plan, MOST_NEEDS)
        rows = frozenset(self.shown)
        path = [graph.box_of[self.plan.index[name]] for name in self.facts.path]
        on_path = frozenset(path)

        def about(box: int) -> tuple[str, str]:
            records = [self.facts.records[i] for i in graph.boxes[box]]
            kinds = {_kind(each) for each in records}
            classes = ["critical"] if box in on_path else []
            classes.append(kinds.pop() if len(kinds) == 1 else "mixed")
            if "failed" in kinds:
                classes.append("partly-failed")
            if len(records) == 1:
                took = self.facts.took(records[0])
                told = f", {amount(took)}" if took >= 0 else ""
                return " ".join(classes), f"{records[0].name}: {state_of(records[0])}{told}"
            told = ", ".join(f"{n:,} {state}" for state, n in counts(records).items())
            return " ".join(classes), f"{graph.labels[box]}: {told}"

        def link(box: int) -> str:
            first = graph.boxes[box][0]
            return f"#j{first}" if len(graph.boxes[box]) == 1 and first in rows else ""

        critical = frozenset(pairwise(path))
        layout, drawn = graph_parts(graph, about, link, critical)
        width, height = layout.width + 8, layout.height + 8
        note = f'<p class="note">{safe(graph.caption)}.</p>\n' if graph.caption else ""
        return (
            f'<section>\n<h2 id="graph-title">Graph</h2>\n{note}'
            '<div class="frame graph" role="region" aria-labelledby="graph-title" tabindex="0">\n'
            f'<svg id="graph" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="-4 -4 {width:.0f} {height:.0f}">{drawn}</svg></div>\n</section>\n'
        )

    # What the script knows

    def _facts_for_script(self) -> dict[str, Any]:
        jobs = {}
        for place, i in enumerate(self.shown):
            record = self.facts.records[i]
            tries = attempts(record)
            jobs[f"j{i}"] = {
                "place": place,
                "name": printable(record.name),
                "kind": printable(pattern(record.name)),
                "state": state_of(record),
                "start": record.start,
                "took": self.facts.took(record) if record.start is not None else None,
                "waiting": record.waiting,
                "tries": len(tries),
                "attempts": [_attempt(each) for each in tries] if len(tries) > 1 else [],
                "error": "" if record.error is None else printable(_told(record.error), "\n"),
                "needs": [f"j{j}" for j in self.plan.needs[i]],
                "critical": record.name in self.facts.critical,
            }
        return {"end": self.facts.end, "work": self.work, "jobs": jobs}


def _attempt(tried: tuple[float, float | None, BaseException | None]) -> list[object]:
    start, end, error = tried
    return [start, end, "" if error is None else printable(_told(error), "\n")]


def _told(error: BaseException) -> str:
    """Return an error's name and its whole text, if that is no book."""
    first = describe(error)
    try:
        rest = "".join(str(error).partition("\n")[1:])
    except BaseException:  # a hostile __str__ may raise anything
        rest = ""
    text = first + rest
    return text if len(text) <= _LONGEST_ERROR else f"{text[:_LONGEST_ERROR]}..."


def _name(name: str) -> str:
    """Return a name as an element whose direction of writing ends with it."""
    return f"<bdi>{clipped(name, 120)}</bdi>"


def _kind(record: JobRecord) -> str:
    if record.state in ("succeeded", "failed", "running"):
        return record.state
    return "idle"


def _data(value: object) -> str:
    """Return JSON that may stand in a script element: it cannot end it, nor begin a comment."""
    text = json.dumps(value, separators=(",", ":"))  # ASCII, so U+2028 is written as an escape
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
