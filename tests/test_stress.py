"""Nothing is lost where threads change between any two instructions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_no_job_is_lost_and_no_limit_broken_however_threads_change() -> None:
    """Four threads at once run graphs, groups and maps; it hung where a wake-up was lost."""
    program = Path(__file__).with_name("stress.py")
    done = subprocess.run(
        [sys.executable, program, "4", "1500"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
