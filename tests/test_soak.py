"""The soak does what it says; `make soak` lets it run for ten minutes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="worker processes need Linux or macOS")
def test_a_soak_of_some_seconds_finds_nothing_wrong_and_nothing_that_grows() -> None:
    """Each kind of work was done, each result was right, and the summary says so."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", "6"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "| wrong | nothing |" in done.stdout
    for kind in ("a graph", "a group", "an async group", "a map", "policies", "processes"):
        assert f" {kind}" in done.stdout
