"""A backend of worker processes that nobody holds any more."""

from __future__ import annotations

import subprocess
import sys


def test_a_backend_that_is_dropped_leaves_no_socket_open() -> None:
    """Closed or never used: its pool's own sockets are closed with it, not warned about."""
    code = (
        "import gc, platform\n"
        "from gofer import JobManager, job\n"
        "from gofer.backends import ProcessBackend\n"
        "backend = ProcessBackend(workers=1)\n"
        "assert JobManager([job(platform.machine)]).execute(backend=backend).ok\n"
        "backend.close(); del backend; gc.collect()\n"
        "backend = ProcessBackend(workers=1); del backend; gc.collect()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stderr == ""
