"""What `import gofer` costs: processor time beyond that of a bare interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.measure import Row

RUNS = 20
MOST = 0.012  # seconds


def rows() -> Iterator[Row | str]:
    """Measure it, in turns with the bare interpreter."""
    if not hasattr(os, "wait4"):
        yield "import gofer is left out: this system does not tell what a process has used"
        return
    with TemporaryDirectory(prefix="gofer-bench-") as cache:
        # Whatever the caller's settings, compiling is not what is weighed.
        settings = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": cache}
        _used("import gofer", settings)  # all that it needs is compiled from now on
        costs = [_used("import gofer", settings) - _used("pass", settings) for _ in range(RUNS)]
    cost = median(costs)
    yield Row(
        "import gofer, processor time beyond a bare interpreter",
        "12 ms",
        cost,
        MOST,
        cost / MOST,
        target=1.0,
        ratios=[each / MOST for each in costs],
    )


def _used(code: str, settings: dict[str, str]) -> float:
    """Return the seconds of processor time, user's and system's, that a new interpreter uses."""
    process = subprocess.Popen([sys.executable, "-c", code], env=settings)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    from benchmarks import report

    for row in rows():
        report.show(row)
