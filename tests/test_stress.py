"""Nothing is lost where threads change between any two instructions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gofer import _parts

million = pytest.mark.skipif(
    _parts.HAS_GIL, reason="a million jobs are for a Python without GIL; run this with python3.13t"
)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("rounds", [1500, pytest.param(2000, marks=million)])
def test_no_job_is_lost_and_no_limit_broken_however_threads_change(rounds: int) -> None:
    """Four threads at once run graphs, groups and maps; it hung where a wake-up was lost."""
    program = Path(__file__).with_name("stress.py")
    done = subprocess.run(
        [sys.executable, program, "4", str(rounds)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout.split()[0]) > 500 * rounds
