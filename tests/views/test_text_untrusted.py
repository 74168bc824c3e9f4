"""The waterfall in text, from names and errors out of anything, to any stream."""

from __future__ import annotations

import io
import sys
from unicodedata import category, east_asian_width

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gofer.views.text import printable, waterfall

from .runs import FakeRun, draw, record

HOSTILE = "<script>\x00\n\x1b[31m\r\u202eevil\u2028\ud800"


def columns(line: str) -> int:
    """Measure a line as a terminal would, apart from the code under test."""
    drawn = [c for c in line if category(c) not in ("Mn", "Me")]
    return sum(2 if east_asian_width(c) in ("W", "F") else 1 for c in drawn)


def test_what_could_harm_a_terminal_is_escaped() -> None:
    """Names and errors with newlines, escapes, NUL, bidi overrides, lone surrogates."""
    error = ValueError("\x1b[2J\u202egone\x07")
    run = FakeRun(
        [record(HOSTILE, 0.0, 1.0, "failed", error=error), record("b\tc", 0.0, 1.0)],
        state="failed",
        error=error,
        critical_path=(HOSTILE, "b\tc"),
        name=HOSTILE,
    )

    lines = draw(run)

    assert all(line.isprintable() for line in lines)
    assert "    ValueError: \\x1b[2J\\u202egone\\x07" in lines
    assert any("<script>\\x00\\n" in line for line in lines)
    assert "\n".join(lines).encode("utf-8")


def test_wide_characters_keep_the_columns_straight() -> None:
    """CJK takes two columns, a combining accent none."""
    records = [record(name, 0.0, 1.0) for name in ("日本語", "cafe\u0301", "plain")]

    lines = draw(FakeRun(records))

    assert len({columns(line[: line.index("|")]) for line in lines[1:5]}) == 1


def test_a_stream_that_lacks_a_character_gets_an_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    """`print(run)` raises no UnicodeEncodeError, whatever standard output can write."""
    run = FakeRun([record("日本 é", 0.0, 1.0)])
    for encoding, expected in (
        ("ascii", "\\u65e5\\u672c \\xe9"),
        ("cp1252", "\\u65e5\\u672c é"),
        ("utf-8", "日本 é"),
    ):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        print(waterfall(run))  # type: ignore[arg-type]  # noqa: T201
        monkeypatch.undo()
        stream.seek(0)
        assert expected in stream.read()


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_without_a_real_standard_output_nothing_is_escaped(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO | None
) -> None:
    """Under pythonw there is no stream; one in memory has no encoding."""
    monkeypatch.setattr(sys, "stdout", stream)

    assert draw(FakeRun([record("é", 0.0, 1.0)]))[2].startswith("  é ")


def test_an_unknown_encoding_counts_as_ascii() -> None:
    """A stream with an encoding of its own invention is printed to as safely as can be."""
    lines = draw(FakeRun([record("é", 0.0, 1.0)]), encoding="klingon")

    assert lines[2].startswith("  \\xe9 ")


def test_an_error_that_cannot_be_printed_is_named() -> None:
    """A hostile `__str__` harms no picture."""

    class BadStr(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    error = BadStr()
    run = FakeRun([record("a", 0.0, 1.0, "failed", error=error)], state="failed", error=error)

    assert "    <unprintable BadStr>" in draw(run)


def test_printable_keeps_what_it_is_told_to_keep() -> None:
    """A traceback keeps its newlines and loses the rest."""
    assert printable("a\n\tb\r\x1b", keep="\n\t") == "a\n\tb\\r\\x1b"


names = st.text(min_size=1, max_size=60) | st.sampled_from([HOSTILE, "n" * 10_000, "\u0301" * 500])
times = st.floats(0, 1e6, allow_nan=False)


@st.composite
def any_run(draw_: st.DrawFn) -> FakeRun:
    """Runs of any shape, with names and errors out of anything."""
    records = []
    for name in draw_(st.lists(names, max_size=80, unique=True)):
        start = draw_(st.none() | times)
        if start is None:
            records.append(record(name, state=draw_(st.sampled_from(["not started", "waiting"]))))
            continue
        end = None if draw_(st.booleans()) else start + draw_(times)
        state = draw_(st.sampled_from(["succeeded", "failed", "cancelled", "skipped"]))
        error = ValueError(draw_(names)) if state == "failed" else None
        waiting = draw_(st.floats(0, start))
        records.append(
            record(
                name,
                start,
                end,
                state if end is not None else "running",
                waiting=waiting,
                error=error,
            )
        )
    return FakeRun(
        records,
        state=draw_(st.sampled_from(["succeeded", "failed", "cancelled"])),
        duration=draw_(st.none() | times),
        error=draw_(st.none() | names.map(RuntimeError)),
        critical_path=tuple(each.name for each in records if draw_(st.booleans())),
        name=draw_(st.none() | names),
    )


@given(any_run(), st.integers(0, 160), st.sampled_from(["utf-8", "ascii", "cp1252", "shift-jis"]))
def test_whatever_a_run_holds_its_lines_fit_and_can_be_printed(
    run: FakeRun, width: int, encoding: str
) -> None:
    """No line is wider than asked for, none has anything unprintable, any stream takes all."""
    lines = draw(run, width=width, encoding=encoding)

    assert max(map(columns, lines)) <= max(width, 80)
    assert all(line.isprintable() for line in lines)
    assert "\n".join(lines).encode(encoding)
    shown = sum(line.count("|") >= 2 and line[0] in " *" for line in lines)
    assert shown >= min(len(run.records), 1) * any(each.start is not None for each in run.records)
