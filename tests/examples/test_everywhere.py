"""The example that runs on threads, Dask and Ray gives the same result on all that there are."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_same_manager_gives_the_same_result_on_each_engine() -> None:
    """It says so, and what to install where an engine is missing."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "everywhere.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    first, *lines = done.stdout.splitlines()
    assert first.startswith("imported most: ")
    assert lines == [
        f"{name}: the same"
        if find_spec(module)
        else f"the {name} backend needs {name}: pip install 'gofer[{module}]'"
        for name, module in (("Dask", "dask"), ("Ray", "ray"))
    ]
