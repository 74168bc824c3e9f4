"""`gofer run --races`: what it says, and when it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .helpers import Gofer, command

__all__ = ["command"]  # a fixture

SHOP = """
from gofer import JobManager, job

@job
def books(ctx, cart):
    cart["total"] += 20

@job
def music(ctx, cart):
    cart["total"] += 10

@job(after=["books"])
def fails(ctx, cart):
    raise ConnectionError

racing = JobManager([books, music])
fine = JobManager([books])
failing = JobManager([books, fails])
"""

PARAM = ("--param", '{"total": 0}')


@pytest.fixture(autouse=True)
def shop(tmp_path: Path) -> None:
    """Put the file with managers there."""
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")


def test_races_are_told_on_standard_error_and_fail(command: Gofer) -> None:
    """Exit 1 although the run went well; the waterfall is on standard output as ever."""
    done = command("run", "shop:racing", *PARAM, "--races")

    assert done.returncode == 1, done
    assert done.stdout.startswith("run: succeeded")
    assert done.stderr.splitlines() == [
        "gofer: 1 race",
        "cart['total']",
        "  job 'books' writes it at shop.py:6",
        "  job 'music' writes it at shop.py:10",
        (
            "  nothing orders them: give job 'music' after=['books'], "
            "or hold one ctx.lock(name) in both"
        ),
    ]


def test_races_leave_the_report_as_json_alone(command: Gofer) -> None:
    """And `--quiet` says what is wrong, nothing else."""
    done = command("run", "shop:racing", *PARAM, "--races", "--json", "-")
    assert done.returncode == 1
    assert json.loads(done.stdout)["state"] == "succeeded"
    assert done.stderr.startswith("gofer: 1 race\n")

    done = command("run", "shop:racing", *PARAM, "--races", "--quiet")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("gofer: 1 race\n")


def test_without_races_the_exit_code_is_the_runs(command: Gofer) -> None:
    """A waiver, or a job alone: 0; what was not looked at is named."""
    done = command("run", "shop:racing", *PARAM, "--races", "--unordered", "total", "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    done = command("run", "shop:racing", *PARAM, "--races", "--only", "music", "--limit", "1")
    assert done.returncode == 0
    assert done.stderr == (
        "gofer: 0 races\n\nnot seen to their end, so races may be missing: 'books'\n"
    )

    done = command("run", "shop:failing", *PARAM, "--races")
    assert done.returncode == 1
    assert "0 races" in done.stderr
    assert "ConnectionError" in done.stderr


@pytest.mark.parametrize("param", [(), ("--param", "7"), ("--param", '"text"')])
def test_races_need_a_param_that_can_be_written(command: Gofer, param: tuple[str, ...]) -> None:
    """Without one nothing could ever be found, so nothing runs."""
    done = command("run", "shop:fine", *param, "--races")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "gofer: --races is about the param: give one that can be written, --param '{}'\n"
    )
