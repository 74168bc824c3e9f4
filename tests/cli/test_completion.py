"""Shell completion: what is offered, and that real shells take the scripts."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from .helpers import Gofer, command
from .typist import NOTES, typing

__all__ = ["command"]  # a fixture


def offered(command: Gofer, *words: str) -> list[str]:
    """Return what the hidden option offers for the last word."""
    done = command("--complete", *words)
    assert done.stderr == ""
    return done.stdout.split()


def test_commands_options_and_shells_are_offered(command: Gofer) -> None:
    """Whatever fits what is typed so far."""
    assert offered(command, "") == [
        "--help",
        "--version",
        "check",
        "completion",
        "graph",
        "run",
    ]
    assert offered(command, "gr") == ["graph"]
    assert offered(command, "run", "--t") == ["--timeout", "--trace"]
    assert offered(command, "run", "--r") == ["--races"]
    assert offered(command, "completion", "") == ["bash", "fish", "zsh"]
    assert offered(command, "nothing", "") == []
    assert offered(command, "run", "jobs.py:good", "") == []  # files, by the shell


def test_targets_are_offered_without_running_them(command: Gofer, tmp_path: Path) -> None:
    """Files and folders first, then the managers that stand in the file's text."""
    (tmp_path / "sub").mkdir()
    source = "raise SystemExit('run')\nm: object = gofer.JobManager()\nx = y = JobManager([1])\n"
    (tmp_path / "sub" / "deep.py").write_text(source + "n: int\nz.a = JobManager()\nk = 1\n")
    (tmp_path / ".hidden.py").write_text("")
    (tmp_path / "notes.txt").write_text("")

    assert offered(command, "run", "") == ["jobs.py:", "sub/"]
    assert offered(command, "check", "sub/d") == ["sub/deep.py:"]
    assert offered(command, "graph", "sub/deep.py:") == [
        "sub/deep.py:m",
        "sub/deep.py:x",
        "sub/deep.py:y",
    ]
    assert offered(command, "run", "jobs:go") == ["jobs:good"]


def test_what_cannot_be_read_offers_nothing(command: Gofer, tmp_path: Path) -> None:
    """A file that is not there, or is no Python: nothing is printed, not even an error."""
    (tmp_path / "broken.py").write_text("def (", encoding="utf-8")

    assert offered(command, "run", "broken.py:") == []
    assert offered(command, "run", "nowhere.py:") == []
    assert offered(command, "run", "no/where") == []


def test_the_target_is_offered_behind_options_too(command: Gofer) -> None:
    """An option's value is no target, and there is only one of those."""
    assert offered(command, "run", "-q", "--limit", "3", "jobs.py:go") == ["jobs.py:good"]
    assert offered(command, "run", "--limit=3", "jobs.py:go") == ["jobs.py:good"]
    assert offered(command, "run", "--html", "") == []  # files, by the shell
    assert offered(command, "run", "-q", "jobs.py:good", "--json", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_real_shell_completes_what_is_typed(command: Gofer, shell: str, tmp_path: Path) -> None:
    """On a terminal, with Tab: command, target, options before and after it, a file."""
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"no {shell} on PATH; install it (apt-get install {shell}) to have this tested")
    script = command("completion", shell)
    (tmp_path / "script").write_text(script.stdout, encoding="utf-8")
    (tmp_path / "report.json").touch()
    gofer = tmp_path / "gofer"
    gofer.write_text(NOTES.format(python=sys.executable), encoding="utf-8")
    gofer.chmod(0o755)
    with typing(found, shell, tmp_path) as typist:
        for keys, words in (
            ("gofer ru\tjo\tgoo\t--js\trep\t\n", "run jobs.py:good --json report.json"),
            ("gofer run --limit 2 jo\tgoo\t\n", "run --limit 2 jobs.py:good"),
            ("gofer comp\tfi\t\n", "completion fish"),
        ):
            assert typist.type(keys) == words.split()


def test_an_unknown_shell_is_refused(command: Gofer) -> None:
    """Exit 2, with the nearest, or all of them."""
    done = command("completion", "bsh")

    assert done.returncode == 2
    assert "there is no 'bsh'; did you mean 'bash'?" in done.stderr
