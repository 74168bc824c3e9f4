"""The options of `gofer run`, did-you-mean, and what the command imports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .helpers import AFTER_ARGPARSE, Gofer, command, environment

__all__ = ["command"]  # a fixture

MORE = """
import threading
from gofer import Context, JobManager, Retry, job

lock = threading.Lock()
most = 0
now = 0

def crowd(ctx):
    global most, now
    with lock:
        now += 1
        most = max(most, now)
    ctx.sleep(0.01)
    with lock:
        now -= 1

def tell():
    print("at most", most)

names = [f"crowd[{i}]" for i in range(6)]
crowds = JobManager([*[job(crowd, name=n) for n in names], job(tell, after=names)], limits={"a": 1})

def wait(ctx):
    ctx.sleep(3600)

waits = JobManager([job(wait)])

calls = []

def flaky():
    calls.append(1)
    if len(calls) < 2:
        raise ConnectionError("first")

tried = JobManager(
    [job(flaky, retry=Retry(2, wait_initial=0)), job(print, name="after", after=["flaky"])],
    name="tried",
)
"""


@pytest.fixture
def more(tmp_path: Path) -> Path:
    """A file with managers for these tests."""
    path = tmp_path / "more.py"
    path.write_text(MORE.replace("job(print, ", "job(lambda: 0, "), encoding="utf-8")
    return path


def test_only_runs_a_job_and_what_it_needs(command: Gofer, more: Path) -> None:
    """`--only` may be given several times."""
    done = command("run", "more:tried", "--only", "flaky", "--json", "-")

    assert done.returncode == 0, done
    states = {each["name"]: each["state"] for each in json.loads(done.stdout)["jobs"]}
    assert states == {"flaky": "succeeded", "after": "not started"}
    assert command("run", "jobs:good", "--only", "fine", "--only", "show").returncode == 0


def test_only_names_the_nearest_job(command: Gofer, more: Path) -> None:
    """Exit 2 before anything runs."""
    done = command("run", "more:tried", "--only", "flakey")

    assert done.returncode == 2, done
    assert "'flakey'" in done.stderr
    assert "did you mean 'flaky'?" in done.stderr
    assert done.stdout == ""


def test_limit_counts_whatever_the_manager_says(command: Gofer, more: Path) -> None:
    """The manager has no limit; with `--limit 1` its jobs run one after the other."""
    done = command("run", "more:crowds", "--limit", "1")

    assert done.returncode == 0, done
    assert "at most 1\n" in done.stdout


def test_backend_says_where_jobs_run(command: Gofer, more: Path) -> None:
    """Those that the file defines, too: a worker finds the file's folder on its path."""
    options = ["--only", "crowd[0]", "--backend", "processes", "--json", "-"]
    done = command("run", "more:crowds", *options)

    assert done.returncode == 0, done
    found = {job["name"]: job["thread"] for job in json.loads(done.stdout)["jobs"]}
    assert found["crowd[0]"].startswith("process ")


def test_timeout_cancels_the_run(command: Gofer, more: Path) -> None:
    """Exit 1, and one line that says why."""
    done = command("run", "more:waits", "--timeout", "0.05")

    assert done.returncode == 1, done
    assert "run: cancelled after " in done.stdout
    assert done.stderr.startswith("gofer: the run was cancelled: DeadlineExceeded")


@pytest.mark.parametrize(
    "option", [["--limit", "0"], ["--limit", "two"], ["--timeout", "nan"], ["--timeout", "soon"]]
)
def test_a_number_that_cannot_be_is_refused(command: Gofer, option: list[str]) -> None:
    """Exit 2, with the option and what it must be."""
    done = command("run", "jobs:good", *option)

    assert done.returncode == 2
    assert f"argument {option[0]}: it must be a" in done.stderr


def test_quiet_prints_nothing_when_all_goes_well(command: Gofer, more: Path) -> None:
    """No waterfall; a failure is told nevertheless."""
    done = command("run", "more:tried", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    failed = command("run", "jobs:bad", "-q")
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert "ConnectionError" in failed.stderr


def test_json_is_the_report_without_results(command: Gofer, more: Path, tmp_path: Path) -> None:
    """Times in seconds, states, needs, attempts with their errors; in a file or on stdout."""
    done = command("run", "more:tried", "--json", "report.json")

    assert done.returncode == 0, done
    assert "run 'tried': succeeded" in done.stdout
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (report["name"], report["state"], report["error"]) == ("tried", "succeeded", None)
    assert report["critical_path"] == ["flaky", "after"]
    flaky, after = report["jobs"]
    assert after["needs"] == ["flaky"]
    assert [each["error"] for each in flaky["attempts"]] == ["ConnectionError: first", None]
    assert 0 <= flaky["start"] <= flaky["end"] <= after["start"] <= report["duration"]


def test_json_of_a_failed_run_says_what_failed(command: Gofer) -> None:
    """Printed in place of the waterfall, so that another program can read it."""
    done = command("run", "jobs:bad", "--json", "-")

    assert done.returncode == 1, done
    report = json.loads(done.stdout)
    assert report["error"] == "ConnectionError: no route \\x1b[31m to host"
    assert [each["state"] for each in report["jobs"]] == ["failed", "not started"]


def test_a_wrong_command_names_the_nearest(command: Gofer) -> None:
    """Exit 2; where none is near, all are named."""
    assert "there is no 'rnu'; did you mean 'run'?" in command("rnu", "jobs:good").stderr
    done = command("xyzzy")
    assert done.returncode == 2
    assert "there are run, check, graph, completion" in done.stderr


def test_a_wrong_file_names_the_nearest(command: Gofer) -> None:
    """In its own folder, if that is there."""
    assert "did you mean 'jobs.py'?" in command("run", "job.py:good").stderr
    assert "there is no file 'no/jobs.py'\n" in command("run", "no/jobs.py:good").stderr


def test_a_module_is_loaded_only_by_the_command_that_needs_it() -> None:
    """`gofer --help` loads no command, no picture, and nothing for the network."""
    code = (
        f"{AFTER_ARGPARSE}; from gofer.cli import main; main(['--help']); "
        "print(*sorted(set(sys.modules) - known)); "
        "sys.exit(len([m for m in sys.modules if m.startswith('gofer.')]))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    loaded = done.stdout.splitlines()[-1].split()
    assert "gofer.cli._parser" in loaded
    own = {"_commands", "_completion", "_table"}
    assert not [each for each in loaded if each.rpartition(".")[2] in own]
    assert not [each for each in loaded if each.startswith("gofer.views.")]
    heavy = {"asyncio", "ast", "inspect", "json", "logging", "rich", "socket", "typing"}
    assert not heavy & set(loaded)
