"""The command line, in processes of its own: what it prints, where, and its exit code."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import gofer

Gofer = Callable[..., "subprocess.CompletedProcess[str]"]

SOURCES = str(Path(gofer.__file__).parents[1])

JOBS = """
import sys
from gofer import JobManager, job

if __name__ == "__main__":
    raise AssertionError("the command imports the file, it does not run it as a script")

def fail():
    raise ConnectionError("no route \\x1b[31m to host")

def cancel(ctx):
    ctx.cancel("enough")
    ctx.check()

async def show(ctx, param):
    print("param:", param)

def fine():
    sys.stdout.write("buffered ")

good = JobManager([job(fine), job(show)], name="good")
wide = JobManager([job(fine, name="\\u65e5\\u672c")])
bad = JobManager([job(fail), job(fine, after=["fail"], name="never")], name="bad")
both = JobManager([job(fail, name="a"), job(fail, name="b")], fail_fast=False)
panics = JobManager([job(lambda: sys.exit(7), name="leave")])
raw = JobManager([job(lambda: sys.exit(7), name="leave")], recover=False)
cancelled = JobManager([job(cancel)])

class Hostile(Exception):
    __notes__ = property(lambda self: 1 / 0)

def turn_hostile():
    raise Hostile("hands off")

hostile = JobManager([job(turn_hostile)])

class app:
    good = good

unwired = JobManager()

@unwired.job
def tips(*, oders): ...

@unwired.job
def orders(): ...
"""

BROKEN = "from gofer import JobManager, job\nmanager = JobManager([job(print, name='a')] * 2)\n"


def environment(**extra: str) -> dict[str, str]:
    """Return an environment in which the Gofer under test is found from every folder."""
    found = os.pathsep.join(filter(None, [SOURCES, os.environ.get("PYTHONPATH")]))
    return {
        **os.environ,
        "PYTHONPATH": found,
        "PYTHONIOENCODING": "utf-8",
        "PYTHONUNBUFFERED": "",
        **extra,
    }


@pytest.fixture
def command(tmp_path: Path) -> Gofer:
    """Run the command in a folder that has `jobs.py`.

    With -P Python itself does not look for modules in the current folder, as in the installed
    command.
    """
    (tmp_path / "jobs.py").write_text(JOBS, encoding="utf-8")

    def run(
        *args: str, stdout: int = subprocess.PIPE, **env: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "gofer", *args],
            cwd=tmp_path,
            env=environment(**env),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            check=False,
            timeout=60,
        )

    return run


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
    assert "Hostile: hands off" in done.stderr.splitlines()[-1]
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
    [("[" * 50_000, "nested too deeply"), ("9" * 5000, "too many digits")],
)
def test_json_that_python_cannot_hold_is_refused(command: Gofer, text: str, expected: str) -> None:
    """No traceback, whatever the parser runs into."""
    done = command("run", "jobs:good", "--param", text)

    assert done.returncode == 2, done
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("job:good", "there is no module 'job'; did you mean 'jobs'?"),
        ("nowhere_to_be_found.at_all:x", "there is no module 'nowhere_to_be_found'"),
        ("jobs.good:x", "there is no module 'jobs.good'"),
        ("xml.saks:x", "there is no module 'xml.saks'; did you mean 'xml.sax'?"),
        ("job.py:good", "there is no file 'job.py'"),
        ("./jobs:good", "there is no file './jobs'"),
        ("jobs", "the target must be module:manager or path/file.py:manager, got 'jobs'"),
        ("jobs:", "the target must be module:manager or path/file.py:manager, got 'jobs:'"),
        (":good", "the target must be module:manager or path/file.py:manager, got ':good'"),
        (".jobs:good", "the target must be module:manager or path/file.py:manager, got the module"),
        ("jobs:a b", "the target must be module:manager or path/file.py:manager, got 'jobs:a b'"),
        ("jobs:god", "jobs has no 'god'; did you mean 'good'?; jobs has these managers: good, "),
        ("jobs:app.god", "jobs:app has no 'god'; did you mean 'good'?; jobs has these managers"),
        ("jobs:fail", "jobs:fail is a function, not a JobManager; jobs has these managers: good"),
        ("jobs:app", "jobs:app is a class, not a JobManager"),
        ("this:x", "this has no 'x'"),
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
        "import sys; from gofer.cli import main; main(['--help']); "
        "slow = {'asyncio', 'logging', 'json', 'importlib.metadata', 'inspect', 'traceback'}; "
        "sys.exit(repr(slow & set(sys.modules)) if slow & set(sys.modules) else 0)"
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
