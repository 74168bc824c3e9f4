"""Starts Ray, has a worker die, says which processes there are, and waits to be killed."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from gofer import JobManager
from gofer.backends import RayBackend


def die() -> None:
    """Crash."""
    os.kill(os.getpid(), signal.SIGKILL)


def number() -> int:
    """Do little."""
    return 20


def descendants() -> list[int]:
    """Return all processes below this one."""
    parents = {}
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, _, rest = each.read_text().partition(" (")
        except OSError:  # it has just ended
            continue
        parents[int(pid)] = int(rest.rpartition(") ")[2].split()[1])
    found = [os.getpid()]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


if __name__ == "__main__":
    backend = RayBackend(num_cpus=1, object_store_memory=100 << 20)
    JobManager([die], fail_fast=False).execute(backend=backend, check=False)
    assert JobManager([number]).execute(backend=backend)["number"] == 20
    sys.stdout.write(" ".join(map(str, descendants())) + "\n")
    sys.stdout.flush()
    time.sleep(600)
