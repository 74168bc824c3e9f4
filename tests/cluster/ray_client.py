"""Connects to a cluster at an address, and runs a job there."""

from __future__ import annotations

import sys

from gofer import JobManager
from gofer.backends import RayBackend


def number() -> int:
    """Do little."""
    return 20


if __name__ == "__main__":
    with RayBackend(sys.argv[1]) as backend:
        run = JobManager([number]).execute(backend=backend)
        sys.stdout.write(f"{run['number']}\n")
