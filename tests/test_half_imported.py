"""Modules that another thread is importing are in ``sys.modules`` before they are complete."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from types import ModuleType

import pytest

from gofer import Context, JobManager, job


def test_threads_may_use_the_loop_for_the_first_time_at_the_same_time() -> None:
    """Each waits until the backend is imported; none sees half of it."""
    program = """
        import threading, gofer

        async def answer():
            return 42

        def use():
            barrier.wait()
            found.append(gofer.JobManager([gofer.job(answer)]).execute()["answer"])

        barrier, found = threading.Barrier(8), []
        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(found)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout.strip(), ran.stderr) == (str([42] * 8), "")


def test_a_failure_while_logging_is_half_imported_is_a_failure_like_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody can listen to a log yet."""
    monkeypatch.setitem(sys.modules, "logging", ModuleType("logging"))

    def fails() -> None:
        raise ConnectionError("refused")

    with pytest.raises(ConnectionError):
        JobManager([job(fails)]).execute()


def test_a_cancelled_run_while_asyncio_is_half_imported_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a job raises then is not taken for asyncio's cancellation."""
    monkeypatch.setitem(sys.modules, "asyncio.exceptions", ModuleType("asyncio.exceptions"))
    ctx = Context()

    def fails() -> None:
        ctx.cancel("enough")
        raise ConnectionError("refused")

    run = JobManager([job(fails)]).execute(ctx, check=False)
    assert (run.state, [type(error) for error in run.errors]) == ("cancelled", [ConnectionError])
