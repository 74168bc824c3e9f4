"""What tests of processes watch: who lives, and programs of their own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import process_jobs as jobs

SUPPORT = str(Path(__file__).parent)


def is_alive(pid: int) -> bool:
    """Return whether a process lives; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def comes(condition: Callable[[], object], seconds: float = 20.0) -> bool:
    """Wait until something is true."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


PROGRAM = """
import signal, sys, os
sys.path.insert(0, {support!r})
signal.signal(signal.SIGINT, signal.default_int_handler)
import stopping_jobs as stopping
from gofer import Group
from gofer.backends.processes import ProcessBackend

if __name__ == "__main__":
    backend = ProcessBackend(1, start={start!r}, grace={grace})
    try:
        with Group(backend=backend) as group:
            group.go(stopping.{fn}, {folder!r})
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def start_program(folder: Path, fn: str, start: str = "forkserver", grace: float = 0.3) -> Any:
    """Start the program, and wait for its job to begin."""
    text = PROGRAM.format(support=SUPPORT, folder=str(folder), fn=fn, start=start, grace=grace)
    path = folder / "program.py"
    path.write_text(dedent(text))
    process = subprocess.Popen(
        [sys.executable, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert jobs.wait_for(str(folder), "began")
    return process
