"""Ray in processes of its own: how it starts and ends, who is let in, what a lost machine does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

HERE = Path(__file__).parent


def run(script: str, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a script of this folder."""
    return subprocess.run(
        [sys.executable, HERE / script, *args],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environ},
    )


def is_there(pid: int) -> bool:
    """Return whether a process runs, unless it is one of Ray's agents: they look for a minute."""
    try:
        if b"Agent" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return False
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_cluster_of_our_own_says_nothing_and_ends_with_its_process_even_killed() -> None:
    """Not a word on the terminal, though a worker dies; no worker stays, nor who starts them."""
    pytest.importorskip("ray", reason="needs Ray: pip install 'gofer[ray]'")
    with subprocess.Popen(
        [sys.executable, HERE / "ray_alone.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(1)  # what Ray has to say of a worker's death comes a moment later
        process.kill()
        rest = process.stdout.read()
    assert all(word.isdigit() for word in first.split()), first + rest
    assert rest == ""
    pids = [int(word) for word in first.split()]
    assert len(pids) > 3
    until = time.monotonic() + 60
    while left := [pid for pid in pids if is_there(pid)]:
        assert time.monotonic() < until, f"processes {left} go on"
        time.sleep(0.05)


def test_a_cluster_is_reached_by_its_address_and_its_token(ray: Any) -> None:
    """With another token than the cluster's there is an error that says what Ray said."""
    import ray as of_ray

    address = of_ray.get_runtime_context().gcs_address
    let_in = run("ray_client.py", address)
    assert let_in.stdout == "20\n", let_in.stderr
    if os.environ.get("RAY_AUTH_MODE") == "token":
        refused = run("ray_client.py", address, RAY_AUTH_TOKEN="0" * 64)
        assert "BackendError: there is no Ray at" in refused.stderr
        assert "token" in refused.stderr


def test_a_machine_that_is_lost_takes_its_jobs_and_results_with_it() -> None:
    """``JobCrashed`` names the worker; the run goes on; ``after=`` has moved no data before."""
    pytest.importorskip("ray", reason="needs Ray: pip install 'gofer[ray]'")
    done = run("ray_nodes.py")
    assert done.stdout.splitlines() == [
        "after= moved nothing",
        "a job was lost with its machine",
        "so was a result",
    ], done.stderr


def test_without_ray_the_error_says_what_to_install() -> None:
    """It is an extra; and importing Gofer loads nothing of it."""
    code = dedent("""
        import sys, gofer
        assert "ray" not in sys.modules
        sys.modules["ray"] = None
        try:
            from gofer.backends import RayBackend
        except gofer.errors.BackendError as error:
            print(error)
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "the Ray backend needs Ray: pip install 'gofer[ray]'\n"
