"""What is Ray's own: workers that are really killed, data that stays in the store, its manners."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from gofer import Context, JobManager, job
from gofer.errors import BackendError, JobCrashed, JobTimeout

MB = 1 << 20


def wait_for(path: Path) -> int:
    """Return the number in a file, as soon as there is one."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if path.exists() and (text := path.read_text()):
            return int(text)
        time.sleep(0.01)
    raise AssertionError(f"nobody has written {path}")


def is_there(pid: int) -> bool:
    """Return whether a process runs; one that is dead and was not waited for does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def assert_gone(pid: int) -> None:
    """Wait until a process has ended."""
    until = time.monotonic() + 60
    while is_there(pid):
        assert time.monotonic() < until, f"process {pid} goes on"
        time.sleep(0.01)


# Jobs


def number() -> int:
    return 20


def double(*, number: int) -> int:
    return 2 * number


def stand(ctx: Context, param: Path) -> None:
    """Say where it runs, and be deaf."""
    (param / "pid").write_text(str(os.getpid()))
    time.sleep(600)


def die_once(ctx: Context, param: Path) -> str:
    """Kill its worker, unless somebody has done so before."""
    if not (param / "died").exists():
        (param / "died").write_text("1")
        os.kill(os.getpid(), signal.SIGKILL)
    return "well"


async def where() -> tuple[int, int]:
    """Return its process and its loop."""
    await asyncio.sleep(0)
    return os.getpid(), id(asyncio.get_running_loop())


def make() -> bytes:
    return bytes(50 * MB)


def copied(*, given: bytes) -> bytes:
    return bytes(memoryview(given))


def size(*, given: bytes) -> int:
    return len(given)


def environment() -> dict[str, str]:
    return dict(os.environ)


# What is promised


def test_what_jobs_hand_to_each_other_never_passes_through_the_caller(ray: Any) -> None:
    """Of 250 MB that go from job to job, the caller's memory sees nothing."""
    manager = JobManager(
        [
            job(make, name="a"),
            job(copied, name="b", needs={"given": "a"}),
            job(copied, name="c", needs={"given": "a"}),
            job(copied, name="d", needs={"given": "b"}),
            job(copied, name="e", needs={"given": "c"}),
            job(size, name="f", needs={"given": "d"}),
            job(size, name="g", needs={"given": "e"}),
        ]
    )
    Path("/proc/self/clear_refs").write_text("5")  # from here on VmHWM is measured anew
    before = _memory("VmHWM")
    run = manager.execute(backend=ray, only=["f", "g"])
    assert run.results == {"f": 50 * MB, "g": 50 * MB}
    assert _memory("VmHWM") - before < 20 * MB


def _memory(what: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) << 10


def test_a_worker_that_is_killed_fails_its_job_alone(ray: Any, tmp_path: Path) -> None:
    """``JobCrashed`` names the job and the worker; the other jobs end well."""
    killer = threading.Thread(
        target=lambda: os.kill(wait_for(tmp_path / "pid"), signal.SIGKILL), name="killer"
    )
    killer.start()
    manager = JobManager([stand, number, double], fail_fast=False)
    run = manager.execute(None, tmp_path, backend=ray, check=False)
    killer.join()
    (error,) = run.errors
    assert isinstance(error, JobCrashed)
    assert error.job == "stand"
    assert len(error.worker.partition(" at ")[0]) == 8  # of the worker's id
    assert run["double"] == 40
    record = run.record("stand")
    assert record.duration is not None
    assert record.duration > 0


def test_a_job_that_may_be_repeated_runs_again_when_its_worker_is_lost(
    ray: Any, tmp_path: Path
) -> None:
    """One that says ``idempotent=True`` ends well on another worker; what needs it waits."""
    after = job(double, needs={"number": "again"}, after=["die_once"])
    manager = JobManager([job(die_once, idempotent=True), job(number, name="again"), after])
    run = manager.execute(None, tmp_path, backend=ray)
    assert run["die_once"] == "well"
    assert run["double"] == 40


def test_a_timeout_stops_a_function_that_is_deaf(ray: Any, tmp_path: Path) -> None:
    """The run ends with ``JobTimeout``, and the process that slept is gone."""
    with pytest.raises(JobTimeout) as caught:
        JobManager([job(stand, timeout=0.5)]).execute(None, tmp_path, backend=ray)
    assert caught.value.job == "stand"
    assert_gone(wait_for(tmp_path / "pid"))


def test_a_fallback_stands_for_a_job_that_was_stopped(ray: Any, tmp_path: Path) -> None:
    """What needs it goes on, and the report says what happened."""
    slow = job(stand, name="number", timeout=0.5, fallback=4)
    run = JobManager([slow, double]).execute(None, tmp_path, backend=ray)
    assert run["double"] == 8
    assert run.record("number").fell_back
    assert_gone(wait_for(tmp_path / "pid"))


def test_a_cancelled_run_really_stops_what_runs(ray: Any, tmp_path: Path) -> None:
    """A deaf job's worker is killed; the run ends, though the job would sleep for minutes."""
    with Context() as ctx:

        def cancel() -> None:
            wait_for(tmp_path / "pid")
            ctx.cancel("enough")

        canceller = threading.Thread(target=cancel, name="canceller")
        canceller.start()
        run = JobManager([stand, job(number, after=["stand"])]).execute(
            ctx, tmp_path, backend=ray, check=False
        )
        canceller.join()
    assert run.record("stand").state == "cancelled"
    assert run.record("number").state == "not started"
    assert_gone(wait_for(tmp_path / "pid"))


def test_async_jobs_share_their_workers_loop(ray: Any) -> None:
    """Two async jobs that one worker runs find the same loop: what it holds stays usable."""
    run = JobManager([job(where, name=f"w{i}") for i in range(12)]).execute(backend=ray)
    found = set(run.results.values())
    assert len(found) == len({pid for pid, _ in found})


def test_a_job_that_wants_what_there_is_not_is_refused(ray: Any) -> None:
    """It would wait for ever; the message says what to write."""
    with pytest.raises(BackendError, match=r"'number' wants 1 of 'GPU'.*RayBackend\(resources="):
        JobManager([job(number, resources={"GPU": 1})]).execute(backend=ray)


def test_a_result_that_does_not_pickle_is_an_error_that_names_its_job(ray: Any) -> None:
    """The run fails and says which job; the next run is not harmed."""

    def lock() -> list[Any]:
        return [threading.Lock()]

    with pytest.raises(Exception, match=r"lock"):
        JobManager([lock]).execute(backend=ray)
    assert JobManager([number]).execute(backend=ray)["number"] == 20


def test_ray_sends_no_usage_statistics_and_keeps_its_authentication(ray: Any) -> None:
    """Its workers know that they are switched off; tokens are used where Ray has them."""
    found = JobManager([environment]).execute(backend=ray)["environment"]
    assert found["RAY_USAGE_STATS_ENABLED"] == "0"
    assert found.get("RAY_AUTH_MODE") == os.environ.get("RAY_AUTH_MODE")
