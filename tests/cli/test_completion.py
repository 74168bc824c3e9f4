"""Shell completion: what is offered, and that real shells take the scripts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .helpers import Gofer, command, environment

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


def test_bash_completes_with_the_script(command: Gofer, tmp_path: Path) -> None:
    """Sourced by a real bash; the part before a colon is its own word there."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash on PATH; install it to have its completion tested")
    script = command("completion", "bash")
    assert script.returncode == 0
    (tmp_path / "script.bash").write_text(script.stdout, encoding="utf-8")
    gofer = tmp_path / "gofer"
    gofer.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gofer "$@"\n', encoding="utf-8")
    gofer.chmod(0o755)

    def complete(line: str) -> list[str]:
        code = (
            f"source ./script.bash; COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; _gofer; "
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        ran = subprocess.run(
            [bash, "--norc", "-c", code],
            cwd=tmp_path,
            env=environment(PATH=f"{tmp_path}:/usr/bin:/bin"),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return ran.stdout.split()

    assert complete("gofer ru") == ["run"]
    assert complete("gofer run ") == ["jobs.py:"]
    assert complete("gofer run jobs.py:goo") == ["good"]
    assert complete("gofer run jobs.py:good --ht") == ["--html"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_accept_their_script(command: Gofer, shell: str, tmp_path: Path) -> None:
    """Its syntax is right, in the eyes of the shell itself."""
    script = command("completion", shell)
    assert "gofer" in script.stdout
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"no {shell} on PATH; install it to have its completion tested")
    path = tmp_path / f"script.{shell}"
    path.write_text(script.stdout, encoding="utf-8")
    subprocess.run([found, "-n", str(path)], check=True, timeout=60)


def test_an_unknown_shell_is_refused(command: Gofer) -> None:
    """Exit 2, with the nearest, or all of them."""
    done = command("completion", "bsh")

    assert done.returncode == 2
    assert "there is no 'bsh'; did you mean 'bash'?" in done.stderr
