"""Pictures from the command line: `gofer graph`, and the files that `gofer run` writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .helpers import Gofer, command

__all__ = ["command"]  # a fixture


def test_graph_prints_mermaid_and_runs_nothing(command: Gofer) -> None:
    """It can be piped into a page as it is."""
    done = command("graph", "jobs:bad")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == 'flowchart LR\n    j0["fail"]\n    j1["never"]\n    j0 --> j1\n'


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("g.svg", '<svg xmlns="http://www.w3.org/2000/svg"'),
        ("g.mmd", "flowchart LR\n"),
        ("folder/g.dot", 'digraph "bad" {\n'),
    ],
)
def test_graph_writes_what_the_name_of_the_file_says(
    command: Gofer, tmp_path: Path, name: str, start: str
) -> None:
    """Nothing is printed then."""
    (tmp_path / "folder").mkdir()

    done = command("graph", "jobs:bad", "-o", name)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(start)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["graph", "jobs:bad", "-o", "g.png"], "its name must end in .svg, .mmd, .dot: 'g.png'"),
        (["graph", "jobs:bad", "-o", "no/g.svg"], "there is no folder 'no'"),
        (["run", "jobs:good", "--html", "no/run.html"], "there is no folder 'no'"),
        (["run", "jobs:good", "--trace", "no/run.json"], "there is no folder 'no'"),
        (["graph", "jobs:godo"], "jobs has no 'godo'; did you mean 'good'?"),
        (["graph", "jobs:unwired"], "job 'tips' needs 'oders'"),
    ],
)
def test_what_cannot_be_written_or_drawn_is_refused(
    command: Gofer, arguments: list[str], complaint: str
) -> None:
    """Exit 2, before any job has run."""
    done = command(*arguments)

    assert done.returncode == 2, done
    assert complaint in done.stderr
    assert done.stdout == ""


def test_run_writes_a_page_and_a_trace(command: Gofer, tmp_path: Path) -> None:
    """Also of a run that failed, where they are wanted most."""
    done = command("run", "jobs:bad", "--html", "run.html", "--trace", "run.json")

    assert done.returncode == 1, done
    assert "run 'bad': failed after " in done.stdout
    assert "no route \\x1b[31m to host" in (tmp_path / "run.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["traceEvents"]


def test_a_file_that_cannot_be_written_is_named(command: Gofer, tmp_path: Path) -> None:
    """Exit 1: the jobs went well, but what was asked for is not there."""
    (tmp_path / "run.html").mkdir()
    (tmp_path / "g.svg").mkdir()

    done = command("run", "jobs:good", "--html", "run.html")
    drawn = command("graph", "jobs:good", "-o", "g.svg")

    assert (done.returncode, drawn.returncode) == (1, 1)
    assert "run 'good': succeeded in " in done.stdout
    assert done.stderr == "gofer: run.html: Is a directory\n"
    assert drawn.stderr == "gofer: g.svg: Is a directory\n"
