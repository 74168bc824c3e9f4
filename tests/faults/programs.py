"""Programs of their own, for faults that end a process, fork it, or come at its end."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import gofer

TIMEOUT = 60.0
"""Seconds that only a hang takes."""

START = """
import asyncio, atexit, os, signal, sys, threading, time
import gofer
from gofer import Breaker, Context, Group, JobManager, job

def say(text):
    os.write(1, f"{text}\\n".encode())
"""


def ends(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; a hang fails the test.

    Args:
        text: The program, after ``START``.
        arguments: What it finds in ``sys.argv``.
    """
    return subprocess.run(
        [sys.executable, "-c", START + textwrap.dedent(text), *arguments],
        env={**os.environ, "PYTHONPATH": str(Path(gofer.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )


def says(text: str, *arguments: str) -> list[str]:
    """Run a program that must end well and complain of nothing; return its lines."""
    done = ends(text, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()
