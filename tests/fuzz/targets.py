"""What must hold of everything that parses, whatever it is given: for Hypothesis, and for atheris.

Each function takes one input, and fails by an assertion or by letting an exception out.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from gofer.cli import main
from gofer.cli._parser import _json

JOBS = """
from gofer import JobManager, job

def fail(ctx, param):
    raise ConnectionError

fine = JobManager([job(lambda ctx, param: None, name="a"), job(lambda: 1, name="b", after=["a"])])
bad = JobManager([job(fail)])
broken = JobManager
"""

FILES = {"-o", "--output", "--html", "--trace", "--json"}
"""Options whose value is a file that is written; here it must be one in the folder."""

WORDS = [
    *["run", "check", "graph", "completion", "--version", "--help", "-h", "--", "-", "", "bash"],
    *[
        "jobs:fine",
        "jobs.py:bad",
        "jobs:broken",
        "./jobs.py:fine",
        "jobs:",
        ":fine",
        "jobs",
        "no:x",
    ],
    *[
        "--param",
        "--only",
        "--limit",
        "--timeout",
        "--races",
        "--unordered",
        "--quiet",
        "-q",
        "-qq",
    ],
    *["--html", "--trace", "--json", "-o", "--output", "a.svg", "a.mmd", "a.dot", "a.html"],
    *["0", "1", "-1", "1e300", "nan", "1e-9", "\u0663", "9" * 5000, "a", "b", "c"],
    *["{}", '{"x": [1]}', "null", "{", "NaN", "[" * 100_000, "--param={}", "--only=a", "--o"],
]
"""What command lines are made of."""

_REFUSED = re.compile(
    r"not JSON: [^\n]*: line \d+ column \d+|not JSON: JSON has no -?(NaN|Infinity)|"
    r"nested too deeply|it has a number with too many digits"
)


class Said(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


@contextmanager
def folder() -> Iterator[Path]:
    """Stand in a folder with files of jobs, one of which has a name that is no text."""
    before, path = os.getcwd(), list(sys.path)
    with tempfile.TemporaryDirectory() as made:
        os.chdir(made)
        try:
            Path("jobs.py").write_text(JOBS, encoding="utf-8")
            Path(os.fsdecode(b"no\xfftext.py")).write_text("", encoding="utf-8")
            yield Path(made)
        finally:
            os.chdir(before)
            sys.path[:] = path
            sys.modules.pop("jobs", None)


class _Errors(io.TextIOWrapper):
    """Has a number as real streams have: atheris looks up every ten seconds, and writes there."""

    def fileno(self) -> int:
        """Return the standard error's."""
        return 2


def said_by(words: list[str]) -> Said:
    """Run a command in this process, with streams as strict as those of a terminal."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    err = _Errors(io.BytesIO(), "utf-8", errors="backslashreplace", write_through=True)
    with redirect_stdout(out), redirect_stderr(err):
        code = main(words)
    return Said(code, *(os.fsdecode(each.buffer.getvalue()) for each in (out, err)))


def check_param(text: str) -> None:
    """A JSON param is what json makes of it, or refused in a line that shows nothing of it."""
    try:
        found = _json(text)
    except argparse.ArgumentTypeError as error:
        assert _REFUSED.fullmatch(str(error)), str(error)
        return
    assert repr(found) == repr(json.loads(text))


def check_arguments(words: list[str]) -> None:
    """Any command line ends with a known exit code; one that is wrong is told so in one line."""
    words = [
        word.replace("/", "_") if i and words[i - 1] in FILES else word
        for i, word in enumerate(words)
    ]
    words = [re.sub("(?s)^(-o|--[a-z]+=)(.*)", _without_folders, word) for word in words]
    told = said_by(words)
    assert told.code in {0, 1, 2}, told
    if told.code == 2:
        assert told.out == "", told
        lines = [line for line in told.err.split("\n") if line.startswith("gofer")]
        assert len(lines) == 1, told
        assert told.err.endswith(f"{lines[0]}\n"), told
        if "_limit" not in "".join(words):  # names of functions are nobody's business
            assert "_limit" not in told.err, told
    if told.code != 1:
        assert "Traceback" not in told.err, told


def _without_folders(found: re.Match[str]) -> str:
    return found[1] + found[2].replace("/", "_")


def check_target(text: str) -> None:
    """A target is a manager, or refused in one line that comes last."""
    module = text.rpartition(":")[0].partition(".")[0]
    if module in sys.stdlib_module_names and module not in sys.modules:
        return  # some do things when they are imported
    if text.startswith("-"):
        return  # an option
    told = said_by(["check", text])
    assert told.code in {0, 2}, told
    if told.code == 2:
        assert told.out == "", told
        assert told.err.splitlines()[-1].startswith("gofer: "), told


def check_completion(words: list[str]) -> None:
    """Tab never fails loudly: a list of words, or nothing."""
    told = said_by(["--complete", *words])
    assert told.code in {0, 2}, told
    assert told.err == "", told


def check_source(source: bytes) -> None:
    """The managers in a file are found, or none, whatever stands in it; nothing of it runs."""
    Path("written.py").write_bytes(source)
    told = said_by(["--complete", "run", "written.py:"])
    assert told.code in {0, 2}, told
    assert told.err == "", told
    for line in told.out.splitlines():
        assert not line or line.removeprefix("written.py:").isidentifier(), told
    check_target("written.py")  # it names no manager, so those in there are proposed


def check_workload(text: str) -> None:
    """A recorded graph is one that can be scheduled, or refused in one line."""
    from benchmarks.replay import Work

    try:
        work = Work.read(text)
    except ValueError as error:
        assert str(error), repr(error)
        assert "\n" not in str(error), repr(error)
        return
    assert work == Work.read(text)
    assert work.bound(None) <= work.scheduled(1, critical_path_first=True) * (1 + 1e-9)
    assert len(work.manager("sync", 1.0, 8).jobs) == len(work.needs)


MODULES = ["gofer.cli._commands", "gofer.cli._completion", "benchmarks.replay"]
"""Whose coverage guides the fuzzing."""

TEXTS: dict[str, Any] = {
    "param": check_param,
    "target": check_target,
    "workload": check_workload,
}
LISTS: dict[str, Any] = {"arguments": check_arguments, "completion": check_completion}
BYTES: dict[str, Any] = {"source": check_source}

SEEDS = {
    "param": ['{"x": [1, -2.5e3, true, null, "\\u00e9"]}', "NaN", "-Infinity", '"'],
    "target": ["jobs:fine", "./jobs.py:bad", "jobs.py:broken", "jobs:fine.nothing", "a.b:c", ".:x"],
    "workload": [
        '{"name": "w", "jobs": [{"name": "a", "after": [], "seconds": 1}]}',
        '{"name": "", "jobs": [{"name": "a", "after": ["b"], "seconds": 0.5}]}',
    ],
    "source": [
        JOBS,
        "m: object = gofer.JobManager()\nx = y = JobManager([1])\nz.a = JobManager()\nn: int\n",
    ],
}
"""What fuzzing begins with."""
