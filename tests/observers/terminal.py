"""A program on a real pseudo-terminal: what it draws there, and a way to let its jobs go on."""

from __future__ import annotations

import os
import select
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gofer

pty = pytest.importorskip("pty", reason="a pseudo-terminal needs a Unix")
fcntl = pytest.importorskip("fcntl", reason="likewise")
termios = pytest.importorskip("termios", reason="likewise")

TIMEOUT = 30.0
"""Seconds after which a wait fails. Nothing that works comes near it, on any machine."""

PRELUDE = """
import sys, threading
from gofer import AsyncGroup, Group, JobManager, amap, job, map

def wait():
    '''Run until the test says so.'''
    sys.stdin.readline()

def undrawn():
    '''Fail if something is there that draws.'''
    assert "gofer:progress" not in [each.name for each in threading.enumerate()]
"""


class Screen:
    """A program whose standard error, at least, is a terminal.

    Attributes:
        drawn: All that came on the terminal so far.
    """

    def __init__(self, arguments: list[str], *, stdout: bool = False, **env: str) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self._terminal = ours
        self.drawn = ""
        path = os.pathsep.join(
            filter(None, [str(Path(gofer.__file__).parents[1]), os.environ.get("PYTHONPATH")])
        )
        clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
        shape = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=theirs if stdout else subprocess.PIPE,
            stderr=theirs,
            env={**clean, **shape, "PYTHONPATH": path, **env},
            text=True,
        )
        os.close(theirs)

    def until(self, text: str) -> None:
        """Read until this has been drawn."""
        latest = time.monotonic() + TIMEOUT
        while text not in self.drawn:
            assert time.monotonic() < latest, f"no {text!r} in {self.drawn!r}"
            assert self._read(), f"it ended without {text!r}: {self.drawn!r}"

    def _read(self) -> bool:
        ready, _, _ = select.select([self._terminal], [], [], TIMEOUT)
        assert ready, f"nothing more came: {self.drawn!r}"
        try:
            came = os.read(self._terminal, 65536)
        except OSError:  # the other end is closed: EIO on Linux
            return False
        self.drawn += came.decode("utf-8", "replace")
        return bool(came)

    def go_on(self) -> None:
        """Let one job end."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self) -> tuple[int, str]:
        """Let all jobs end; return the exit code and what came on standard output."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        while self._read():
            pass
        os.close(self._terminal)
        stdout = "" if self._process.stdout is None else self._process.stdout.read()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return self._process.wait(TIMEOUT), stdout


def program(code: str, *, rich: bool = False, **env: str) -> Screen:
    """Start a program with the prelude's names, with ``rich`` or as if it were not installed."""
    without = "" if rich else "import sys; sys.modules['rich'] = None\n"
    return Screen(["-c", without + PRELUDE + code], **env)
