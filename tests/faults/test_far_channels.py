"""Rows 21, 30, 33, 39 and 40 in worker processes, by each start method."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gofer
from gofer import Context, JobCrashed, JobManager, NotPicklable, Retry, job
from gofer.backends import ProcessBackend

from . import far
from .channels import pictures, watching
from .programs import START, TIMEOUT
from .test_names import NAMES, harmful
from .test_processes import works

pytestmark = pytest.mark.skipif(
    not hasattr(os, "killpg"), reason="the processes backend needs a system like Linux or macOS"
)

PLACES = {
    "job": "job(far.says_ready)",
    "back-off": (
        "job(far.fails_aloud, retry=gofer.Retry(9, wait_initial=60, wait_max=60, on=OSError))"
    ),
    "line for a limit": "job(far.one, name='waits', limit='db')",
    "line for a worker": "job(far.one, name='waits')",
}

INTERRUPTED = """
from gofer.backends import ProcessBackend
from tests.faults import far
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    backend = ProcessBackend(1, start="{start}")
    jobs = [{job}]
    if "waits" in [each.name for each in jobs]:
        jobs.insert(0, job(far.says_ready, limit="db"))
    later = job(lambda: say("must not start"), name="later", after=[jobs[-1].name],
                backend="threads")
    try:
        JobManager([*jobs, later], limits={{"db": 1}}).execute(backend=backend)
    except KeyboardInterrupt:
        say("interrupted")
    say(JobManager([job(far.one)]).execute(backend=backend).ok)
    backend.close()
"""


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("start", ["forkserver", "spawn"])
def test_ctrl_c_ends_a_run_whatever_its_job_in_a_worker_waits_for(place: str, start: str) -> None:
    """Row 21: KeyboardInterrupt comes out once, nothing else starts, and the pool works."""
    places = os.pathsep.join(map(str, [Path(__file__).parents[2], Path(gofer.__file__).parents[1]]))
    process = subprocess.Popen(
        [sys.executable, "-c", START + INTERRUPTED.format(start=start, job=PLACES[place])],
        env={**os.environ, "PYTHONPATH": places},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    said, complained = process.communicate(timeout=TIMEOUT)

    assert (process.returncode, complained) == (0, "")
    assert said.splitlines() == ["interrupted", "True"]


def test_runs_in_runs_in_a_worker_never_deadlock(workers: ProcessBackend) -> None:
    """Row 30: more such jobs than workers, each 20 runs deep at a limit of 1."""
    jobs = [job(far.nests, name=str(i), needs={"depth": "depth"}) for i in range(6)]
    depth = job(lambda: 20, name="depth", backend="threads")
    run = JobManager([depth, *jobs], limit=3).execute(backend=workers)

    assert [run[str(i)] for i in range(6)] == [20] * 6


def test_jobs_that_execute_on_the_one_worker_that_there_is_never_deadlock(
    workers: ProcessBackend,
) -> None:
    """Row 30: ten threads ask two workers for three jobs each; nobody holds what another needs."""

    def asks(ctx: Context) -> int:
        inner = JobManager([job(far.one, name=str(i)) for i in range(3)], limit=1)
        return sum(inner.execute(ctx, backend=workers).results.values())

    run = JobManager([job(asks, name=str(i)) for i in range(10)]).execute()

    assert list(run.results.values()) == [3] * 10


def test_leaving_a_loop_over_workers_waits_for_what_runs_there(
    workers: ProcessBackend, tmp_path: Path
) -> None:
    """Row 33: before the next statement the other job has been stopped, and has cleaned up."""
    items = [(str(tmp_path), True), (str(tmp_path), False)]
    for each in gofer.map(far.first_or_waits, items, limit=2, backend=workers):
        assert each == 1
        break

    assert (tmp_path / "ended").exists()
    assert works(workers)


def test_no_error_of_a_worker_passes_on_what_a_name_would_do(workers: ProcessBackend) -> None:
    """Row 39: crashes, and results and params that do not travel, are told in plain letters."""
    names = [name for name in NAMES if len(name) < 100]
    for fn, kind in ((far.killed, JobCrashed), (far.holds_a_lock, NotPicklable)):
        run = JobManager([job(fn, name=name) for name in names], fail_fast=False, name=NAMES[9])
        done = run.execute(backend=workers, check=False)

        assert [type(error) for error in done.errors] == [kind] * len(names)
        for error in done.errors:
            assert harmful(str(error) + "".join(error.__notes__)) == set()
        assert harmful(str(done)) == set()


FAILING: list[Any] = [far.page, far.crash, far.lock_under_secret, far.writes]


@pytest.mark.parametrize("fn", FAILING, ids=lambda fn: str(fn.__name__))
def test_a_canary_is_on_no_channel_of_a_worker(
    workers: ProcessBackend, monkeypatch: pytest.MonkeyPatch, fn: Any
) -> None:
    """Row 40: however it fails there: param, values, results, keys, locals, environment."""
    monkeypatch.setenv("TOKEN", far.CANARY)
    observers, said = watching()
    secret = far.Secret(password=far.CANARY)
    jobs = [job(far.login), job(fn, name="fails", retry=Retry(2, on=Exception, wait_initial=0))]
    manager = JobManager(jobs, name="shop", observers=observers, fail_fast=False)
    with Context(values={"token": far.CANARY}) as ctx:
        run = manager.execute(ctx, secret, backend=workers, check=False)
    shown = pictures(run, manager) | {name: tell() for name, tell in said.items()}

    assert run["login"] == secret
    assert run.record("fails").state == "failed"
    assert {channel for channel, text in shown.items() if far.CANARY in text} == set()
