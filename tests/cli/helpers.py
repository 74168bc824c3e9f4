"""The command in a process of its own, and the file of jobs that it is given."""

from __future__ import annotations

import os
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

AFTER_ARGPARSE = (
    "import argparse, sys; argparse.ArgumentParser().format_help(); known = {*sys.modules}"
)
"""Code that notes what a help text needs anyhow: on Python 3.14 its colours load `inspect`."""


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
