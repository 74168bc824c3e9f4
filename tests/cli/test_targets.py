"""What the command is to run: how it is found and imported, and how it is refused."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from .helpers import JOBS, SOURCES, Gofer, command

__all__ = ["command"]  # a fixture

BROKEN = "from gofer import JobManager, job\nmanager = JobManager([job(print, name='a')] * 2)\n"


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that a refused command prints, and nothing else."""
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("gofer: ")
    return done.stderr.removeprefix("gofer: ").rstrip("\n")


@pytest.mark.parametrize("target", ["jobs:good", "jobs.py:good", "./jobs.py:good", "jobs:app.good"])
def test_a_manager_is_found_executed_and_its_run_shown(command: Gofer, target: str) -> None:
    """By module, by path, by dotted attribute; sync and async jobs; nothing on stderr."""
    done = command("run", target, "--param", '{"user": [1, 2.5, null]}')

    assert done.returncode == 0, done
    assert done.stderr == ""
    assert "param: {'user': [1, 2.5, None]}\n" in done.stdout
    assert "run 'good': succeeded in " in done.stdout
    assert re.search(r"^[* ] show  .*\|$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("job:good", "there is no module 'job'; did you mean 'jobs'?"),
        ("nowhere_to_be_found.at_all:x", "there is no module 'nowhere_to_be_found'"),
        ("jobs.good:x", "there is no module 'jobs.good'"),
        ("xml.saks:x", "there is no module 'xml.saks'; did you mean 'xml.sax'?"),
        ("job.py:good", "there is no file 'job.py'"),
        ("./jobs:good", "there is no file './jobs'"),
        ("jobs", "or path/file.py:manager, got 'jobs'; did you mean 'jobs:good'?"),
        ("jobs.py", "or path/file.py:manager, got 'jobs.py'; did you mean 'jobs.py:good'?"),
        ("lost", "the target must be module:manager or path/file.py:manager, got 'lost'"),
        ("jobs:", "the target must be module:manager or path/file.py:manager, got 'jobs:'"),
        (":good", "the target must be module:manager or path/file.py:manager, got ':good'"),
        (".jobs:good", "the target must be module:manager or path/file.py:manager, got the module"),
        ("jobs:a b", "the target must be module:manager or path/file.py:manager, got 'jobs:a b'"),
        ("jobs:god", "jobs has no 'god'; did you mean 'good'? jobs has these managers: good, "),
        ("jobs:app.god", "jobs:app has no 'god'; did you mean 'good'? jobs has these managers"),
        ("jobs:fail", "jobs:fail is a function, not a JobManager; jobs has these managers: good"),
        ("jobs:app", "jobs:app is a class, not a JobManager"),
        ("this:x", "this has no 'x'; this has no managers"),
        ("jobs:unwired", "job 'tips' needs 'oders', which no job provides; did you mean 'orders'?"),
    ],
)
def test_a_target_that_cannot_be_run_is_refused_in_one_line(
    command: Gofer, target: str, expected: str
) -> None:
    """Exit 2, and the way out, as far as it can be guessed."""
    done = command("run", target)

    if target.startswith("this"):  # the module prints a poem when it is imported
        done.stdout = ""
    assert expected in refusal(done)


def test_a_file_that_is_no_python_file_is_refused(command: Gofer, tmp_path: Path) -> None:
    """A path counts as one also without its `.py`, so that the message can be about the file."""
    (tmp_path / "jobs.txt").write_text(JOBS, encoding="utf-8")

    assert refusal(command("run", "./jobs.txt:good")).endswith("its name must end in .py")


def test_a_module_without_managers_is_told_apart(command: Gofer) -> None:
    """There is no list to choose from."""
    assert refusal(command("run", "string:digits")) == (
        "string:digits is a str, not a JobManager; string has no managers"
    )


def test_of_many_managers_the_first_are_listed(command: Gofer, tmp_path: Path) -> None:
    """A message stays a line that can be read."""
    lines = ["from gofer import JobManager", *[f"m{i} = JobManager()" for i in range(30)]]
    (tmp_path / "many.py").write_text("\n".join(lines), encoding="utf-8")

    assert refusal(command("run", "many:x")).endswith("m8, m9 and 20 more")


def test_a_manager_that_is_refused_is_told_in_one_line_with_its_place(
    command: Gofer, tmp_path: Path
) -> None:
    """Exit 2: the plan is wrong, nothing ran, and the line of the user's code is named."""
    (tmp_path / "twice.py").write_text(BROKEN, encoding="utf-8")

    line = refusal(command("run", "twice.py:manager"))

    assert line.startswith("twice.py:manager is refused: ")
    assert "twice.py, line 2: two jobs are named 'a'" in line


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("import broken.more", "ModuleNotFoundError: No module named 'broken.more'"),
        ("x = 1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("x = (", "SyntaxError: '(' was never closed"),
    ],
)
@pytest.mark.parametrize("target", ["broken:x", "broken.py:x"])
def test_an_import_that_fails_is_shown_with_its_traceback(
    command: Gofer, tmp_path: Path, source: str, error: str, target: str
) -> None:
    """Exit 2; it is the user's module that is wrong, not the target, and only its lines count."""
    (tmp_path / "broken.py").write_text(source, encoding="utf-8")

    done = command("run", target)

    assert done.returncode == 2, done
    assert 'broken.py", line 1' in done.stderr
    assert f"\n{error}" in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"gofer: {target[:-2]} cannot be imported: ")
    assert SOURCES not in done.stderr
    assert "importlib" not in done.stderr


def test_a_file_finds_what_lies_beside_it(command: Gofer, tmp_path: Path) -> None:
    """As with `python path/file.py`; and its dataclasses find their own module."""
    folder = tmp_path / "deep"
    folder.mkdir()
    (folder / "beside.py").write_text("word = 'found'", encoding="utf-8")
    (folder / "main.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from gofer import JobManager, job\n"
        "from beside import word\n"
        "@dataclass\n"
        "class Page:\n"
        "    text: str\n"
        "m = JobManager([job(lambda: print(Page(word)), name='a')])\n",
        encoding="utf-8",
    )

    done = command("run", "deep/main.py:m")

    assert done.returncode == 0, done
    assert "Page(text='found')\n" in done.stdout


def test_a_file_may_have_the_name_of_a_module_that_is_in_use(
    command: Gofer, tmp_path: Path
) -> None:
    """`argparse.py` of the user takes nothing away from Gofer."""
    (tmp_path / "argparse.py").write_text(JOBS, encoding="utf-8")

    done = command("run", "argparse.py:good")

    assert done.returncode == 0, done
    assert "run 'good': succeeded" in done.stdout
