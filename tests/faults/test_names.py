"""Row 39: names and errors that are markup, paths or terminal escapes, on every channel."""

from __future__ import annotations

import json
from pathlib import Path
from unicodedata import category
from xml.etree import ElementTree as ET

import pytest

from gofer import DuplicateNameError, Group, JobManager
from tests.views.markup_reader import read

from .channels import command_line, pictures, watching
from .modes import Mode

NAMES = [
    "<script>alert(1)</script>",
    '"onload=alert(1) x="',
    "javascript:alert(1)",
    "../../etc/passwd",
    "C:\\aux",
    "CON",
    "nul\x00",
    "new\nline",
    "carriage\rreturn",
    "\x1b[2J\x1b]0;title\x07",
    "\u202egnp.exe",
    "line\u2028paragraph\u2029",
    "\x9b31m",
    "a\x85b",
    "{{template}} %s %(x)s {0}",
    "n" * 5000,
    "\u65e5\u672c\u8a9e",
]
HARMLESS = {"\n", "\t"}


class Said(Exception):
    """An error with a text out of everything."""


def works() -> None:
    """Work."""


def fails() -> None:
    """Say something that no terminal should be told."""
    raise Said("".join(NAMES[9:14]))


def harmful(text: str) -> set[str]:
    """Return the characters of a text that move a cursor, turn a line round, or end it."""
    return {c for c in text if category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs") and c not in HARMLESS}


def test_no_channel_passes_on_what_a_name_would_do(mode: Mode) -> None:
    """Text channels escape it, markup has the same elements as with tame names, JSON is ASCII."""
    observers, said = watching()
    jobs = [mode.job(works, name=name, after=NAMES[:i][-1:]) for i, name in enumerate(NAMES)]
    last = mode.job(fails, name="fails\x1b[31m", after=NAMES[-1:])
    manager = JobManager([*jobs, last], name=NAMES[0] + "\x1b", observers=observers)
    run = mode.execute(manager, check=False)
    shown = pictures(run, manager) | {name: tell() for name, tell in said.items()}

    for channel in ("print", "repr", "mermaid", "dot", "progress", "notes", "log", "traceback"):
        assert harmful(shown[channel]) == set(), channel
    for line in shown["log"].splitlines():
        assert line.startswith(("run ", "job ")), line
    found = read(shown["html"])
    assert len(found.all("script")) == 2  # its data and its own
    assert [
        each for each in found.all() if any(key.startswith("on") for key in each.attributes)
    ] == []
    leads = [each.attributes.get(key) or "" for each in found.all() for key in ("href", "src")]
    assert all(each.startswith("#") for each in leads if each)
    for channel in ("svg", "run.svg"):
        tags = {each.tag.rpartition("}")[2] for each in ET.fromstring(shown[channel]).iter()}
        assert tags <= {
            "svg",
            "style",
            "title",
            "desc",
            "g",
            "rect",
            "path",
            "text",
            "a",
            "tspan",
            "line",
        }
    json.loads(shown["trace"].encode("ascii"))


def test_a_name_of_a_megabyte_is_a_name_like_any(mode: Mode) -> None:
    """Row 28: it runs, is told apart from one that differs at its end, and fills no page."""
    name = "n" * (1 << 20)
    jobs = [mode.job(works, name=name), mode.job(fails, name=name + "2", after=[name])]
    run = mode.execute(JobManager(jobs, name=name), check=False)

    assert [record.state for record in run.records] == ["succeeded", "failed"]
    assert run.record(name + "2").error is run.error
    assert len(str(run)) < 10_000
    with pytest.raises(DuplicateNameError):
        JobManager([jobs[0], jobs[0]]).layers()


def test_a_group_names_its_jobs_after_anything(mode: Mode) -> None:
    """A function may have any name: the note and the handle's are one line, too."""

    def fn() -> None:
        raise ValueError("\x1b[2Jgone\rback")

    fn.__name__ = "\x1b[31m\nred"
    with pytest.raises(ValueError, match="gone") as caught, Group(name="\x1b") as group:
        group.go(fn)

    assert harmful("".join(caught.value.__notes__)) == set()


def test_the_command_line_passes_on_nothing_either(tmp_path: Path) -> None:
    """``run``, ``check`` and ``graph``; what is wrong with a manager is told in plain letters."""
    text = f"""
from gofer import JobManager, job
NAMES = {NAMES!r}
def fails():
    raise ValueError("".join(NAMES[9:14]))
bad = JobManager([*[job(int, name=name, needs={{}}) for name in NAMES],
                  job(fails, name="fails\\x1b", after=NAMES)], name=NAMES[9])
def circle():
    return JobManager([job(fails, name=NAMES[9], after=NAMES[10:11]),
                       job(fails, name=NAMES[10], after=NAMES[9:10])])
try:
    circle()
except ValueError as error:
    refused = str(error)
"""
    (tmp_path / "jobs.py").write_text(text, encoding="utf-8")
    for arguments in (
        ("run", "jobs.py:bad", "--json", "run.json", "--trace", "run.trace"),
        ("run", "jobs.py:bad", "--only", "\x1b[2Jx"),
        ("check", "jobs.py:bad"),
        ("graph", "jobs.py:bad"),
        ("run", "jobs.py:\x1b[2Jx"),
    ):
        for channel, said in command_line(tmp_path, *arguments).items():
            assert harmful(said) == set(), (arguments, channel)
