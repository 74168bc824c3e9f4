"""A real shell on a pseudo-terminal, with somebody who types."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .helpers import environment

pty = pytest.importorskip("pty", reason="a pseudo-terminal needs a Unix")

TIMEOUT = 30.0
"""Seconds after which a wait fails. Nothing that works comes near it, on any machine."""

STARTS = {
    "bash": (["--norc", "--noprofile", "-i"], "source ./script"),
    "zsh": (["-f", "-i"], "autoload -Uz compinit && compinit -u -D && source ./script"),
    "fish": (["--no-config", "--private", "-i"], "source ./script"),
}
"""How each shell starts without anybody's settings, and takes the script."""

LAUNCH = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Makes the terminal that of the session, as a shell wants it, and becomes the shell."""

NOTES = """#!/bin/sh
[ "$1" = --complete ] && exec "{python}" -m gofer "$@"
printf '%s\\n' "$@" > called.new && mv called.new called
"""
"""What stands for the command: it completes as ever, and else notes how it was called."""


class Typist:
    """Types, and sees how the command was called.

    Attributes:
        shown: All that came on the terminal, for the messages of failures.
    """

    def __init__(self, terminal: int, called: Path) -> None:
        self._terminal, self._called = terminal, called
        self.shown = b""

    def type(self, keys: str) -> list[str]:
        """Type a line; return the words that the command was called with."""
        os.write(self._terminal, keys.encode())
        latest = time.monotonic() + TIMEOUT
        while not self._called.exists():
            assert time.monotonic() < latest, self.shown.decode("utf-8", "replace")
            time.sleep(0.01)
        words = self._called.read_text(encoding="utf-8").splitlines()
        self._called.unlink()
        return words

    def read(self) -> None:
        """Read all that is shown, until the shell is gone."""
        with suppress(OSError):  # EIO, on Linux
            while came := os.read(self._terminal, 65536):
                self.shown += came


@contextmanager
def typing(program: str, shell: str, folder: Path) -> Iterator[Typist]:
    """Start a shell in a folder where `./script` and a program `gofer` are; end it."""
    options, start = STARTS[shell]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, program, *options],
        cwd=folder,
        env=environment(PATH=f"{folder}:/usr/bin:/bin", TERM="xterm", HOME=str(folder)),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    typist = Typist(ours, folder / "called")
    reader = threading.Thread(target=typist.read)
    reader.start()
    try:
        assert typist.type(f"{start}; gofer ready\n") == ["ready"]
        yield typist
    finally:
        process.kill()
        process.wait()
        reader.join()
        os.close(ours)
