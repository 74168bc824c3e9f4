"""A run as plain text: one sentence, then a waterfall of its jobs.

What Gofer draws is ASCII. Names and error texts come from outside, so whatever could move a
cursor, start a line or turn the direction of writing is escaped here; no param and no result
is ever looked at.
"""

from __future__ import annotations

import sys

from gofer.errors import describe
from gofer.views.facts import NOTHING, Facts, amount, counts, state_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gofer._run import JobRecord, Run

NARROWEST = 80
"""Columns below which no chart fits."""

MOST = 60
"""Jobs that are shown one by one; of more, those that matter."""

_MOST_ATTEMPTS = 5  # of one job, that are shown
_ELLIPSIS = "..."
_NOTICEABLE = 0.001  # seconds of waiting; whoever is handed from thread to thread waits a little


def waterfall(run: Run, *, width: int = 100, encoding: str | None = None) -> str:
    """Return what ``print(run)`` shows: a sentence, then a line for each job, by start.

    Under a failed job stands its error. Of more than ``MOST`` jobs it shows the failures, the
    critical path and the longest, and counts the others. A run that still goes on is drawn up
    to the last thing that happened in it.

    Args:
        run: A run, over or not.
        width: Columns that no line exceeds; below ``NARROWEST`` it counts as that.
        encoding: Characters that it lacks are escaped. None means what standard output has
            now, so that printing the text cannot fail.

    Returns:
        Lines without a newline at the end.

    Example:
        >>> from gofer import JobManager
        >>> print(waterfall(JobManager(name="nothing").execute()))  # doctest: +ELLIPSIS
        run 'nothing': succeeded in ...; it has no jobs
    """
    pen = Pen(encoding or getattr(sys.stdout, "encoding", None) or "utf-8")
    return "\n".join(_Waterfall(run, max(width, NARROWEST), pen).lines())


def printable(text: str, keep: str = "") -> str:
    r"""Return the text with everything escaped that is no visible character or plain space.

    Args:
        text: Text from outside: a name, an error.
        keep: Characters that stay as they are, such as ``"\n"``.
    """
    if text.isprintable():
        return text
    return "".join([c if c.isprintable() or c in keep else _escaped(c) for c in text])


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def measure(text: str) -> int:
    """Return how many columns of a terminal a safe text takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(piece: str) -> int:
    """Return how many columns a character, or an escape, takes."""
    if piece.isascii():
        return len(piece)
    from unicodedata import category, east_asian_width

    if category(piece) in ("Mn", "Me"):
        return 0  # drawn over the character before it
    return 2 if east_asian_width(piece) in "WF" else 1


class Pen:
    """Writes text from outside so that it is safe, fits, and can be printed."""

    def __init__(self, encoding: str) -> None:
        try:
            "".encode(encoding)
        except LookupError:
            encoding = "ascii"
        self.encoding = encoding

    def _pieces(self, text: str) -> list[str]:
        pieces = [printable(c) for c in text]
        if not text.isascii():
            pieces = [
                each.encode(self.encoding, "backslashreplace").decode(self.encoding)
                for each in pieces
            ]
        return pieces

    def clip(self, text: str, columns: int) -> str:
        """Return the text in at most so many columns; an ellipsis replaces its middle."""
        if len(text) > 8 * columns:  # a name may be a megabyte, or all accents on one letter
            text = text[: 4 * columns] + _ELLIPSIS + text[-4 * columns :]
        pieces = self._pieces(text)
        if sum(map(_columns, pieces)) <= columns:
            return "".join(pieces)
        room = columns - len(_ELLIPSIS)
        tail = _fitting(reversed(pieces), room // 3)
        head = _fitting(pieces, room - sum(map(_columns, tail)))
        return "".join([*head, _ELLIPSIS, *reversed(tail)])

    def pad(self, text: str, columns: int) -> str:
        """Return the text in exactly so many columns."""
        clipped = self.clip(text, columns)
        return clipped + " " * (columns - measure(clipped))


def _fitting(pieces: Iterable[str], columns: int) -> list[str]:
    fitting = []
    for piece in pieces:
        columns -= _columns(piece)
        if columns < 0:
            break
        fitting.append(piece)
    return fitting


class _Waterfall:
    """The chart of one run."""

    def __init__(self, run: Run, width: int, pen: Pen) -> None:
        self.facts, self.width, self.pen = Facts(run), width, pen

    def lines(self) -> list[str]:
        """Return all lines."""
        lines = self._headline()
        shown = self.facts.shown(MOST)
        if shown:
            lines += self._table(shown)
        if len(shown) < len(self.facts.records):
            lines += self._left_out(frozenset(each.name for each in shown))
        return lines

    def _headline(self) -> list[str]:
        name = f" '{self.pen.clip(self.facts.name, 24)}'" if self.facts.name else ""
        lines = [f"run{name}: {self.facts.how_it_went()}"]
        if len(self.facts.path) > 1:
            so_far = " so far" if self.facts.duration is None else ""
            path = self._path(f"critical path{so_far}")
            if measure(lines[0]) + 2 + measure(path) <= self.width:
                lines[0] += f"; {path}"
            else:
                lines.append(path)
        if any(state_of(each) != "succeeded" for each in self.facts.records):
            lines += self._how_many()
        if self.facts.state == "cancelled" and self.facts.error is not None:
            lines.append(f"cause: {describe(self.facts.error)}")
        return [self.pen.clip(line, self.width) for line in lines]

    def _how_many(self) -> list[str]:
        """Return how many jobs are in which state, and which of several failed first."""
        states = f"jobs: {_counts(self.facts.records)}"
        failed = [each for each in self.facts.records if each.state == "failed"]
        first = next((each.name for each in failed if each.error is self.facts.error), None)
        if first is None or len(failed) == 1:
            return [states]
        told = f"the first to fail was {self.pen.clip(first, 30)}"
        together = f"{states}; {told}"
        return [together] if measure(together) <= self.width else [states, told]

    def _path(self, start: str) -> str:
        """Return the critical path in one line; what does not fit is left out before its end."""
        start += " "
        names = [self.pen.clip(name, 24) for name in self.facts.path]
        room = self.width - len(start)
        sizes = [4 + measure(name) for name in names]
        if sum(sizes) - 4 <= room:
            return start + " -> ".join(names)
        room -= sizes[-1] + len(f" -> ({len(names):,} more)")
        fits = 0
        while room >= sizes[fits]:
            room -= sizes[fits]
            fits += 1
        more = f"({len(names) - fits - 1:,} more)"
        return start + " -> ".join([*names[:fits], more, names[-1]])

    def _left_out(self, shown: frozenset[str]) -> list[str]:
        """Return how many jobs are not shown, and in which states they are."""
        records = [each for each in self.facts.records if each.name not in shown]
        longest = max(map(self.facts.took, records))
        none_longer = f", none longer than {amount(longest)}" if longest >= 0 else ""
        lines = [f"... and {len(records):,} more{none_longer} (run.records has all):"]
        states = _counts(records)
        if len(lines[0]) + 1 + len(states) <= self.width:
            return [f"{lines[0]} {states}"]
        return [*lines, self.pen.clip(f"    {states}", self.width)]

    def _table(self, shown: list[JobRecord]) -> list[str]:
        """Return a title line, the jobs' lines, and what the signs mean."""
        starts = ["start", *["" if r.start is None else amount(r.start) for r in shown]]
        tooks = ["took", *["" if r.end is None else amount(self.facts.took(r)) for r in shown]]
        states = ["", *["" if state_of(r) == "succeeded" else state_of(r) for r in shown]]
        names = [r.name for r in shown]
        most = self.width // 4
        wide = max(measure(self.pen.clip(name, most)) for name in ("job", *names))
        start, took, state = (max(map(len, column)) for column in (starts, tooks, states))
        cells = self.width - sum((2, wide, 2, start, 2, took, 3, 1, 2 + state if state else 0))
        end = amount(self.facts.end)
        bars = ["0" + end.rjust(cells - 1), *[self._bar(each, cells) for each in shown]]
        lines = []
        for i, name in enumerate(("job", *names)):
            mark = "* " if i and name in self.facts.critical else "  "
            line = (
                f"{mark}{self.pen.pad(name, wide)}  {starts[i]:>{start}}  {tooks[i]:>{took}}"
                f"  |{bars[i]}|  {states[i]}"
            )
            lines.append(line.rstrip())
            if i:
                lines += [f"    {self.pen.clip(t, self.width - 4)}" for t in _told(shown[i - 1])]
        return [*lines, *_legend(bars)]

    def _bar(self, record: JobRecord, cells: int) -> str:
        if record.start is None:
            return " " * cells
        scale = cells / self.facts.end if self.facts.end > NOTHING else 0.0
        first = min(int(record.start * scale), cells - 1)
        length = max(1, round((record.start + self.facts.took(record)) * scale) - first)
        waiting = record.waiting or 0.0
        dots = 0
        if waiting >= _NOTICEABLE and waiting * scale >= 2:
            dots = first - max(0, int((record.start - waiting) * scale))
        sign = "#" if record.name in self.facts.critical else "="
        bar = " " * (first - dots) + "." * dots + sign * (length - 1)
        return (bar + (">" if record.end is None else sign)).ljust(cells)


def _told(record: JobRecord) -> Iterator[str]:
    """Return what stands under a job's line: its error, and what its policies did."""
    if record.error is not None:
        yield describe(record.error)
    if record.left_behind is not None:
        yield f"left behind at {record.left_behind}"
    if record.waiting_for_limit >= _NOTICEABLE:
        yield f"waited {amount(record.waiting_for_limit)} for its limit"
    calls = sum(each.calls for each in record.attempts)
    if calls > len(record.attempts):
        yield f"hedged: {calls:,} calls"
    failed = [each for each in record.attempts if each.error is not None]
    if len(record.attempts) < 2:
        return
    yield f"{len(record.attempts):,} attempts; failed:"
    for each in failed[:_MOST_ATTEMPTS]:
        took = "" if each.end is None else f" after {amount(each.end - each.start)}"
        yield f"  at {amount(each.start)}{took}: {describe(each.error)}"
    if len(failed) > _MOST_ATTEMPTS:
        yield f"  and {len(failed) - _MOST_ATTEMPTS:,} more"


def _counts(records: Iterable[JobRecord]) -> str:
    """Return how many jobs are in each state, in words."""
    return ", ".join(f"{count:,} {state}" for state, count in counts(records).items())


def _legend(bars: list[str]) -> list[str]:
    drawn = frozenset("".join(bars[1:]))
    signs = {
        "#": "* and # on the critical path",
        ".": ". ready, but kept waiting",
        ">": "> still running",
    }
    meanings = [meaning for sign, meaning in signs.items() if sign in drawn]
    return [f"  {'; '.join(meanings)}"] if meanings else []
