"""The command line, in processes of its own: what it prints, where, and its exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .helpers import AFTER_ARGPARSE, JOBS, SOURCES, Gofer, command, environment

__all__ = ["command"]  # a fixture


def test_without_a_param_the_jobs_get_none(command: Gofer) -> None:
    """`--param` is optional."""
    done = command("run", "jobs:good")

    assert done.returncode == 0, done
    assert "param: None\n" in done.stdout


def test_a_failed_job_is_shown_once_with_its_traceback_and_the_waterfall(command: Gofer) -> None:
    """Exit 1; the user's frames and the note, none of Gofer's frames, no raw control character."""
    done = command("run", "jobs:bad")

    assert done.returncode == 1, done
    assert "run 'bad': failed after " in done.stdout
    assert "never" in done.stdout
    assert done.stderr.count("Traceback") == 1
    assert ", in fail\n" in done.stderr
    assert "\nConnectionError: no route \\x1b[31m to host\n" in done.stderr
    assert "job 'fail' failed" in done.stderr.split("\nConnectionError")[1]
    assert "not started: never" in done.stderr
    assert SOURCES not in done.stderr
    assert "\x1b" not in done.stderr + done.stdout


def test_a_failure_is_announced_when_it_happens(command: Gofer) -> None:
    """Before the traceback, which comes when all has ended, there is one line of a log."""
    done = command("run", "jobs:bad")

    first_line = done.stderr.partition("\n")[0]
    assert first_line == "gofer: job 'fail' failed: ConnectionError: no route \\x1b[31m to host"


def test_whoever_has_set_up_logging_gets_no_second_line(command: Gofer, tmp_path: Path) -> None:
    """The user's own handlers decide then."""
    setup = "import logging\nlogging.basicConfig(format='mine: %(message)s')\n"
    (tmp_path / "logged.py").write_text(setup + JOBS, encoding="utf-8")

    done = command("run", "logged:bad")

    assert done.stderr.startswith("mine: job 'fail' failed: ")
    assert "gofer: " not in done.stderr


def test_all_failures_are_shown_without_fail_fast(command: Gofer) -> None:
    """The group of errors is printed as Python prints one, again without Gofer's frames."""
    done = command("run", "jobs:both")

    assert done.returncode == 1, done
    assert done.stderr.count("| ConnectionError: no route") == 2
    assert SOURCES not in done.stderr


@pytest.mark.parametrize("target", ["jobs:panics", "jobs:raw"])
def test_a_panic_is_a_failure_like_any_other(command: Gofer, target: str) -> None:
    """`sys.exit(7)` in a job decides nothing about the exit code, recovered or not."""
    done = command("run", target)

    assert done.returncode == 1, done
    assert "run: failed after " in done.stdout
    assert "\nSystemExit: 7\n" in done.stderr


def test_an_error_that_cannot_be_formatted_is_named(command: Gofer) -> None:
    """An exception with hostile attributes still gives exit 1 and a line that says what it is."""
    done = command("run", "jobs:hostile")

    assert done.returncode == 1, done
    assert "Hostile: hands off" in done.stderr  # 3.13 says below it that it has no notes
    assert "    Hostile: hands off" in done.stdout


def test_a_cancelled_run_is_told_in_one_line(command: Gofer) -> None:
    """Exit 1, the waterfall, and no traceback: nothing in the user's code is wrong."""
    done = command("run", "jobs:cancelled")

    assert done.returncode == 1, done
    assert "run: cancelled after " in done.stdout
    assert (
        done.stderr
        == "gofer: the run was cancelled: Cancelled: the context was cancelled: enough\n"
    )


@pytest.mark.parametrize("text", ["{'secret': 1}", '{"secret": 1', "[NaN, 's3cret']", ""])
def test_bad_json_is_refused_with_its_place_and_without_its_text(command: Gofer, text: str) -> None:
    """Exit 2; a param may hold secrets, so it is never repeated."""
    done = command("run", "jobs:good", "--param", text)

    assert done.returncode == 2, done
    assert "argument --param: not JSON: " in done.stderr
    assert "line 1 column" in done.stderr or "NaN" in done.stderr
    assert "cret" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [("[" * 120_000, "nested too deeply"), ("9" * 5000, "too many digits")],
)
def test_json_that_python_cannot_hold_is_refused(command: Gofer, text: str, expected: str) -> None:
    """No traceback, whatever the parser runs into.

    Python 3.14 goes as deep as the stack allows; one argument may have 128 KB on Linux.
    """
    done = command("run", "jobs:good", "--param", text)

    assert done.returncode == 2, done
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_a_stream_that_lacks_a_character_gets_an_escape(command: Gofer) -> None:
    """Standard output in ASCII is no reason to fail."""
    done = command("run", "jobs:wide", PYTHONIOENCODING="ascii")

    assert done.returncode == 0, done
    assert "\\u65e5\\u672c" in done.stdout


@pytest.mark.parametrize(("target", "code"), [("jobs:good", 0), ("jobs:bad", 1)])
def test_a_reader_that_has_enough_is_no_error(command: Gofer, target: str, code: int) -> None:
    """`gofer run ... | head -1`: no traceback of a broken pipe; the exit code is the run's."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = command("run", target, stdout=writer)
    finally:
        os.close(writer)

    assert done.returncode == code, done
    assert "BrokenPipe" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_full_disk_is_told_in_one_line(command: Gofer) -> None:
    """Exit 1: somebody wanted the output and does not have it."""
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = command("run", "jobs:good", stdout=full.fileno())

    assert done.returncode == 1, done
    assert done.stderr.startswith("gofer: standard output: ")
    assert done.stderr.count("\n") == 1


def test_the_help_tells_of_the_command_and_the_exit_codes(command: Gofer) -> None:
    """`gofer --help` and `gofer run --help` go to stdout and succeed."""
    assert "run" in command("--help").stdout
    done = command("run", "--help")
    assert done.returncode == 0
    assert "path/file.py:manager" in done.stdout
    assert "130 Ctrl-C" in done.stdout


def test_without_a_command_the_usage_is_shown(command: Gofer) -> None:
    """Exit 2, with the line to write."""
    done = command()

    assert done.returncode == 2
    assert "gofer run TARGET" in done.stderr


def test_the_version_is_shown(command: Gofer) -> None:
    """One line: the program's name and its version, or that it is not installed."""
    done = command("--version")

    assert done.returncode == 0
    assert done.stdout.startswith("gofer ")
    assert done.stdout.count("\n") == 1


def test_the_help_imports_nothing_slow() -> None:
    """What only a run needs is imported by a run."""
    code = (
        f"{AFTER_ARGPARSE}; from gofer.cli import main; main(['--help']); "
        "slow = {'asyncio', 'logging', 'json', 'importlib.metadata', 'inspect', 'traceback'}; "
        "loaded = slow & (set(sys.modules) - known); sys.exit(repr(loaded) if loaded else 0)"
    )

    done = subprocess.run(
        # -S: what the site's own packages import is not Gofer's doing
        [sys.executable, "-S", "-c", code],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr


WAITING = {
    "a sync job": "def wait(ctx):\n    print('started', flush=True)\n    ctx.sleep(3600)\n",
    "an async job": (
        "import asyncio\n"
        "async def wait(ctx):\n    print('started', flush=True)\n    await asyncio.sleep(3600)\n"
    ),
    "the import": "import time\nprint('started', flush=True)\ntime.sleep(3600)\nwait = print\n",
}


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C goes to a whole console there")
@pytest.mark.parametrize("where", WAITING)
def test_ctrl_c_ends_the_command_with_one_line(tmp_path: Path, where: str) -> None:
    """Exit 130, no traceback, whatever the main thread is in."""
    source = f"{WAITING[where]}from gofer import JobManager, job\nm = JobManager([job(wait)])\n"
    (tmp_path / "waiting.py").write_text(source, encoding="utf-8")
    # A shell that starts its children in the background lets them ignore SIGINT.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from gofer.cli import main; sys.exit(main())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, "run", "waiting:m"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)

    assert process.returncode == 130
    assert stderr == "gofer: interrupted\n"
