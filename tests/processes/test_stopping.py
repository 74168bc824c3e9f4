"""A job that is stopped really ends: it is asked, then gets SIGTERM, then SIGKILL."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import process_jobs as jobs
import pytest
import stopping_jobs as stopping
from watching import comes, is_alive, start_program

from gofer import (
    AsyncGroup,
    Cancelled,
    Context,
    DeadlineExceeded,
    Group,
    Hedge,
    JobManager,
    JobTimeout,
    job,
)
from gofer.backends import ProcessBackend, _pool


def cancel_when_it_began(ctx: Context, folder: Path) -> None:
    """Cancel a context from another thread, once a job has begun."""

    def cancel() -> None:
        jobs.wait_for(str(folder), "began")
        ctx.cancel("enough")

    threading.Thread(target=cancel).start()


DEAF = {
    "deaf": stopping.deaf,
    "swallows": stopping.swallow,
    "hogs the GIL": stopping.hog,
}
ALL = {"spins": stopping.spin, "awaits": stopping.awaits, **DEAF}


@pytest.mark.parametrize("what", ALL)
def test_a_cancelled_run_ends_with_its_jobs(backend: Any, what: str, tmp_path: Path) -> None:
    """Whatever the job does; its ``finally`` runs if it lets itself be told."""
    with Context() as ctx:
        cancel_when_it_began(ctx, tmp_path)
        with pytest.raises(Cancelled, match="enough"):
            with Group(ctx, backend=backend) as group:
                group.go(ALL[what], str(tmp_path))

    if what in DEAF:
        assert comes(lambda: not is_alive(int((tmp_path / "began").read_text())))
    else:
        assert (tmp_path / "cleaned").exists()


@pytest.mark.parametrize("what", ALL)
def test_a_deadline_ends_a_run_with_its_jobs(warmed: Any, what: str, tmp_path: Path) -> None:
    """The same, and it says that it was the deadline."""
    with pytest.raises(DeadlineExceeded):
        with Group(Context(timeout=0.5), backend=warmed) as group:
            group.go(ALL[what], str(tmp_path))
    JobManager([job(jobs.pid)]).execute(backend=warmed)


@pytest.mark.parametrize("what", ALL)
def test_a_timeout_ends_one_job_and_leaves_the_others_alone(
    warmed: Any, what: str, tmp_path: Path
) -> None:
    """Its fallback stands in for it; what else runs does not notice."""
    fn = ALL[what]
    run = JobManager(
        [
            job(lambda: str(tmp_path), name="folder", backend="threads"),
            job(fn, name="late", needs={"folder": "folder"}, timeout=0.5, fallback="instead"),
            job(stopping.wait_and_work, needs={"folder": "folder"}),
        ]
    ).execute(backend=warmed)

    assert run["late"] == "instead"
    assert run["wait_and_work"] == "worked"
    assert jobs.runs_of(tmp_path, "worked") == 1
    assert isinstance(run.record("late").attempts[0].error, JobTimeout)


def test_a_timeout_is_an_error_without_a_fallback(warmed: Any, tmp_path: Path) -> None:
    """``JobTimeout``, as everywhere."""
    manager = JobManager([job(stopping.spin_in, timeout=0.3)])
    with pytest.raises(JobTimeout):
        manager.execute(None, str(tmp_path), backend=warmed)
    assert (tmp_path / "cleaned").exists()


def test_a_job_sees_its_cancellation(backend: Any, tmp_path: Path) -> None:
    """``ctx.sleep`` wakes, ``ctx.cause`` says why, ``on_cancel`` is called."""
    manager = JobManager([job(stopping.wait), job(stopping.on_cancel)])
    with Context() as ctx:
        cancel_when_it_began(ctx, tmp_path)
        with pytest.raises(Cancelled):
            manager.execute(ctx, str(tmp_path), backend=backend)
    assert comes((tmp_path / "cleaned").exists) or comes((tmp_path / "called").exists)
    texts = [(tmp_path / name) for name in ("cleaned", "called")]
    assert any("enough" in each.read_text() for each in texts if each.exists())


def test_a_cause_without_a_text_harms_nothing(one: Any, tmp_path: Path) -> None:
    """What ``ctx.cancel`` is given may refuse to be printed."""

    class Hostile:
        def __str__(self) -> str:
            raise SystemExit(3)

    with Context() as ctx:
        threading.Thread(
            target=lambda: (jobs.wait_for(str(tmp_path), "began"), ctx.cancel(Hostile()))
        ).start()
        with pytest.raises(Cancelled):
            JobManager([job(stopping.wait)]).execute(ctx, str(tmp_path), backend=one)
    assert JobManager([job(jobs.pid)]).execute(backend=one)["pid"]


def test_a_jobs_child_processes_end_with_it(warmed: Any, tmp_path: Path) -> None:
    """They are in the worker's process group."""
    with pytest.raises(DeadlineExceeded):
        with Group(Context(timeout=1.0), backend=warmed) as group:
            group.go(stopping.has_child, str(tmp_path))
    assert comes(lambda: not is_alive(int((tmp_path / "child").read_text())))


def test_what_waits_behind_a_stopped_job_runs_elsewhere_and_once(one: Any, tmp_path: Path) -> None:
    """Jobs of another run that were in line in the same worker are not hit by its signals."""
    JobManager([job(jobs.pid)]).execute(backend=one)  # the worker is there
    stopped: list[BaseException] = []

    def stops() -> None:
        try:
            with Group(Context(timeout=0.4), backend=one) as group:
                group.go(stopping.deaf, str(tmp_path))
        except BaseException as error:
            stopped.append(error)

    thread = threading.Thread(target=stops)
    thread.start()
    assert jobs.wait_for(str(tmp_path), "began")
    with Group(backend=one) as group:
        handles = [group.go(jobs.work, str(tmp_path), i) for i in range(20)]
    thread.join()

    assert [each.result() for each in handles] == list(range(20))
    assert [jobs.runs_of(tmp_path, i) for i in range(20)] == [1] * 20
    assert isinstance(stopped[0], DeadlineExceeded)


def test_a_stop_of_what_waits_behind_a_job_in_c_does_not_end_that_job(
    one: Any, tmp_path: Path
) -> None:
    """A worker that cannot answer, for its GIL is taken, runs somebody else's job: no signal."""
    JobManager([job(jobs.pid)]).execute(backend=one)
    with Group(backend=one) as group:
        hogs = [group.go(stopping.hog, str(tmp_path), 0.9) for _ in range(2)]
        with pytest.raises(DeadlineExceeded):
            with Group(Context(timeout=0.2), backend=one) as inner:
                inner.go(jobs.work, str(tmp_path), 1)
                inner.go(jobs.work, str(tmp_path), 2)
    assert all(each.ok for each in hogs)


def test_the_loser_of_a_hedge_is_ended_and_its_run_goes_on(forkserver: Any, tmp_path: Path) -> None:
    """Its cancellation is its own: later jobs of the run in the same worker are not cancelled."""
    hedged = job(stopping.slow_once, needs={"folder": "folder"}, hedge=Hedge(0.1))
    later = [
        job(jobs.look, name=f"look{i}", after=["slow_once" if i == 0 else f"look{i - 1}"])
        for i in range(6)
    ]
    run = JobManager(
        [job(lambda: str(tmp_path), name="folder", backend="threads"), hedged, *later]
    ).execute(backend=forkserver)

    assert run["slow_once"] == "fast"
    assert [run[f"look{i}"]["cancelled"] for i in range(6)] == [False] * 6


def test_cancelling_the_task_that_awaits_a_run_ends_its_jobs(backend: Any, tmp_path: Path) -> None:
    """``CancelledError`` comes out when they have ended, and ``cancelling()`` is exact."""

    async def main() -> int:
        manager = JobManager([job(stopping.wait)])
        task = asyncio.create_task(manager.aexecute(None, str(tmp_path), backend=backend))
        while not (tmp_path / "began").exists():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelling()

    assert asyncio.run(main()) == 1
    assert (tmp_path / "cleaned").exists()


def test_an_error_in_the_block_of_a_group_ends_its_jobs(backend: Any, tmp_path: Path) -> None:
    """In both kinds of groups."""

    async def main() -> None:
        async with AsyncGroup(backend=backend) as group:
            await group.go(stopping.spin, str(tmp_path))
            while not (tmp_path / "began").exists():
                await asyncio.sleep(0.01)
            raise LookupError("in the block")

    with pytest.raises(LookupError):
        asyncio.run(main())
    assert (tmp_path / "cleaned").exists()
    (tmp_path / "cleaned").unlink()
    (tmp_path / "began").unlink()
    with pytest.raises(LookupError):
        with Group(backend=backend) as group:
            group.go(stopping.spin, str(tmp_path))
            jobs.wait_for(str(tmp_path), "began")
            raise LookupError("in the block")
    assert (tmp_path / "cleaned").exists()


def test_a_run_that_nobody_awaits_any_more_leaves_the_pool(one: Any, tmp_path: Path) -> None:
    """Its coroutine is closed, as by a loop that is closed: the job is ended all the same."""

    async def main() -> None:
        run = JobManager([job(stopping.wait)]).aexecute(None, str(tmp_path), backend=one)
        run.send(None)
        assert comes((tmp_path / "began").exists)
        run.close()
        assert comes(lambda: not one._pool._ports)

    asyncio.run(main())
    assert (tmp_path / "cleaned").exists()
    assert JobManager([job(jobs.pid)]).execute(backend=one)["pid"]


# Ctrl-C: in a program of its own, with a real signal


@pytest.mark.parametrize("start_method", ["forkserver", "spawn"])
@pytest.mark.parametrize("fn", ["spin", "deaf"])
def test_ctrl_c_ends_the_jobs_and_comes_out(fn: str, start_method: str, tmp_path: Path) -> None:
    """The signal goes to the foreground group, as a terminal sends it; workers have their own."""
    process = start_program(tmp_path, fn, start_method)
    worker = int((tmp_path / "began").read_text())
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)

    assert out == "interrupted\n"
    assert err == ""
    assert process.returncode == 0
    assert (tmp_path / "cleaned").exists() == (fn == "spin")
    assert comes(lambda: not is_alive(worker))


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    """The deaf job has a grace of a minute; the second signal ends the program and the worker."""
    process = start_program(tmp_path, "deaf", grace=60.0)
    worker = int((tmp_path / "began").read_text())
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    os.kill(process.pid, signal.SIGINT)
    since = time.monotonic()
    out, _ = process.communicate(timeout=30)

    assert "interrupted" in out
    assert time.monotonic() - since < 4  # it is 5 s where somebody waits for the run's end
    assert comes(lambda: not is_alive(worker))


def test_a_job_hears_of_its_end_though_much_lies_in_the_pipe_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """50 MB for the next job were sent first; and the worker needs no signal: it lives."""
    monkeypatch.setattr(_pool, "_NOTICE", 60.0)  # however slow this machine is today
    one = ProcessBackend(1)
    try:
        before = JobManager([job(jobs.pid)]).execute(backend=one)["pid"]
        with Context() as ctx:
            cancel_when_it_began(ctx, tmp_path)
            with pytest.raises(Cancelled, match="enough"):
                with Group(ctx, backend=one) as group:
                    group.go(stopping.awaits, str(tmp_path))
                    group.go(jobs.take, bytes(50_000_000))

        assert (tmp_path / "cleaned").exists()
        assert JobManager([job(jobs.pid)]).execute(backend=one)["pid"] == before
    finally:
        one.close()
