"""Policies at the wrong moment: races, loops that are gone, Ctrl-C, users' code that fails.

Each test is named after something that went wrong.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gofer
from gofer import Breaker, Context, JobManager, JobTimeout, PolicyError, Retry, job
from gofer.backends._calls import Call
from gofer.backends._execution import Execution

from .test_interrupt import Program, start
from .virtual import TIMEOUT, Virtual, virtual

__all__ = ["start", "virtual"]  # fixtures


class Boom(Exception):
    """What jobs fail with."""


async def boom() -> None:
    """Be a job that fails."""
    raise Boom


@pytest.mark.parametrize("fallback", [{}, {"fallback": "instead"}], ids=["without", "with"])
async def test_an_on_that_raises_is_a_failure_like_others(backend: Any, fallback: Any) -> None:
    """The fallback stands in for it, too, and the error that it was asked about is its context."""

    def on(error: Exception) -> bool:
        raise KeyError("mine")

    manager = JobManager([backend.job(boom, retry=Retry(on=on), **fallback)])
    run = await backend.execute(manager, check=False)
    record = run.record("boom")
    assert run.ok == record.fell_back == bool(fallback)
    assert isinstance(record.error, KeyError)
    assert isinstance(record.error.__context__, Boom)
    assert [type(each.error) for each in record.attempts] == [Boom]


async def test_a_fallback_that_fails_does_not_stand_for_a_result(backend: Any) -> None:
    """The record does not say that it fell back, and the first error is the context of the last."""

    def fallback(error: Exception) -> None:
        raise KeyError("mine")

    run = await backend.execute(JobManager([backend.job(boom, fallback=fallback)]), check=False)
    assert not run.record("boom").fell_back
    assert isinstance(run.error, KeyError)
    assert isinstance(run.error.__context__, Boom)


async def test_a_fallback_that_raises_the_error_again_makes_no_circle(backend: Any) -> None:
    """An error is not its own context."""

    def fallback(error: Exception) -> None:
        raise error

    run = await backend.execute(JobManager([backend.job(boom, fallback=fallback)]), check=False)
    assert isinstance(run.error, Boom)
    assert run.error.__context__ is None


@pytest.mark.parametrize("kind", [list, dict, tuple, set, frozenset])
def test_a_type_of_container_is_no_fallback(kind: Any) -> None:
    """It would be called with the exception, which has no items."""
    with pytest.raises(PolicyError, match="write: fallback=lambda error: "):
        JobManager([job(lambda: None, name="j", fallback=kind)])


async def test_a_timeout_is_no_answer(backend: Any, virtual: Virtual) -> None:
    """Where the breaker counts other errors, it neither counts nor begins the count anew."""
    breaker = Breaker(2, reset_after=10.0, on=ConnectionError)

    async def down() -> None:
        raise ConnectionError

    async def slow(ctx: Context) -> None:
        await backend.until_cancelled(ctx)

    shared = {"breaker": breaker, "fallback": None}
    ask, wait = (
        JobManager([backend.job(fn, name="j", **shared, **options)])
        for fn, options in ((down, {}), (slow, {"timeout": 1.0}))
    )
    await backend.execute(ask)
    run = await backend.execute(wait)
    assert isinstance(run.record("j").error, JobTimeout)
    await backend.execute(ask)
    assert breaker.state == "open"
    virtual.advance(10.0)
    await backend.execute(wait)  # the trial gives no answer, so another one is to come
    assert breaker.state == "half open"


async def test_a_call_that_ends_as_it_is_left_is_not_called_deaf(
    backend: Any, virtual: Virtual, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The timeout came between two steps of its end; nobody is warned of it five seconds later."""
    real = Execution.came_back

    def came_back(execution: Execution, call: Any) -> None:
        if isinstance(call, Call):
            call.leave(JobTimeout("quick", 1.0))
        real(execution, call)

    async def quick() -> int:
        return 1

    virtual.jumps = False
    monkeypatch.setattr(Execution, "came_back", came_back)
    manager = JobManager([backend.job(quick, timeout=1.0, fallback=None)])
    await backend.execute(manager)
    virtual.advance(60.0)
    assert not [message for message in log.messages if "still runs" in message]


async def test_a_call_that_ends_as_it_is_abandoned_was_not_left_behind(
    backend: Any, virtual: Virtual, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it stood was asked for in the very moment in which it stood nowhere any more."""
    if backend.is_async:
        pytest.skip("only a plain function can be abandoned")

    def place(call: Call) -> None:
        go.set()
        while call.end is None:
            time.sleep(0.001)

    async def late() -> None:
        await go.wait()

    go = backend.Event()
    monkeypatch.setattr(Call, "place", place)
    manager = JobManager([backend.job(late, timeout=1.0, abandon=True, fallback=None)])
    run = await backend.execute(manager)
    assert isinstance(run.record("late").error, JobTimeout)
    assert run.record("late").left_behind is None


async def test_a_foreign_limit_that_cannot_be_given_up_is_named(
    backend: Any, virtual: Virtual, log: Any
) -> None:
    """A run that waits for one says so after five seconds, as it does for a job."""
    semaphore = threading.Semaphore(0)
    jobs = [backend.job(boom, limit=semaphore, timeout=1.0, fallback=None)]

    async def follows(*, boom: None) -> None:
        virtual.advance(60.0)
        semaphore.release()

    await backend.execute(JobManager([*jobs, backend.job(follows)]))
    named = [message for message in log.messages if "still being entered" in message]
    assert len(named) == 1
    assert named[0].startswith("the limit of job 'boom', a Semaphore, is still being entered, 5 s ")


class Ended:
    """An observer that knows when the job ``slow`` has ended."""

    def __init__(self) -> None:
        self.slow = threading.Event()

    def run_started(self, run: Any) -> None:
        """Be told."""

    job_started = attempt_ended = run_ended = lambda *_: None

    def job_ended(self, run: Any, record: Any) -> None:
        """Be told."""
        if record.name == "slow":
            self.slow.set()


@pytest.mark.parametrize("options", [{}, {"retry": 2}], ids=["plain", "policies"])
def test_a_job_that_is_cancelled_before_the_context_did_not_panic(
    options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread booked a failure; before it cancelled the context, the loop cancelled its tasks."""
    ended, booked, started = Ended(), threading.Event(), threading.Event()
    real = Context.cancel

    def cancel(ctx: Context, cause: object = None) -> None:
        if isinstance(cause, Boom):
            booked.set()
            assert ended.slow.wait(TIMEOUT)
        real(ctx, cause)

    async def quick() -> None:
        while not booked.is_set():
            await asyncio.sleep(0.001)

    async def slow() -> None:
        started.set()
        await asyncio.sleep(3600)

    def fails() -> None:
        assert started.wait(TIMEOUT)
        raise Boom

    monkeypatch.setattr(Context, "cancel", cancel)
    jobs = [quick, job(slow, **options), fails]
    run = JobManager(jobs, observers=[ended]).execute(check=False)
    assert isinstance(run.error, Boom)
    assert run.record("slow").state == "cancelled"


class Holder:
    """A manager with a limit of 1, and a thread that holds the only place until it is told."""

    def __init__(self) -> None:
        self.holds, self.go = threading.Event(), threading.Event()

        def holder() -> None:
            self.holds.set()
            assert self.go.wait(TIMEOUT)

        async def waiter() -> None:
            raise AssertionError("its loop is closed")

        jobs = [job(holder, limit="db"), job(waiter, limit="db")]
        self.manager = JobManager(jobs, limits={"db": 1})
        self.limit = self.manager._program().limits["db"]
        self._thread = threading.Thread(target=self.manager.execute, kwargs={"only": ["holder"]})
        self._thread.start()
        assert self.holds.wait(TIMEOUT)

    def wait_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have a job wait on a loop for the place."""

        async def begin() -> None:
            loop.create_task(self.manager.aexecute(only=["waiter"]))
            while not self.limit._line:
                await asyncio.sleep(0)

        loop.run_until_complete(begin())

    def end(self) -> None:
        """Have the thread give its place back."""
        self.go.set()
        self._thread.join()

    def all_is_free(self) -> bool:
        """Return whether nobody holds or wants a place, also after what is garbage has gone."""
        gc.collect()
        return not self.limit._held and not self.limit._line


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("closed", ["before", "after"])
def test_a_place_is_not_lost_to_a_loop_that_is_gone(
    closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the loop was closed before the place was handed to a job on it, or just after."""
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)  # tasks of a closed loop complain
    loop, holder = asyncio.new_event_loop(), Holder()
    loop.set_exception_handler(lambda *_: None)
    holder.wait_on(loop)
    if closed == "before":
        loop.close()
        holder.end()
    else:
        holder.end()
        loop.close()
    del loop
    assert holder.all_is_free()


WHERE = {
    "when": "retry=2, when=block",
    "on": "retry=Retry(on=block)",
    "fallback": "fallback=block",
    "breaker": "breaker=Guard()",
}


@pytest.mark.parametrize("where", WHERE)
def test_an_interrupt_ends_what_a_policy_calls(start: Callable[[str], Program], where: str) -> None:
    """Ctrl-C raises in the user's own code in the main thread, in a policy as in a job."""
    program = start(f"""
        from gofer import Retry

        def block(*_):
            say("ready")
            while True:
                time.sleep(0.01)

        class Guard:
            __enter__ = block
            def __exit__(self, *_):
                pass

        def fails():
            raise ConnectionError

        try:
            JobManager([job(fails, {WHERE[where]})]).execute()
        except KeyboardInterrupt:
            say("KeyboardInterrupt")
    """)
    program.waits_for("ready")
    program.interrupt()
    assert program.rest() == ["KeyboardInterrupt"]


def test_a_deadline_that_passes_just_as_the_run_ends_is_too_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The timer has taken the callback already, and calls it when the run has let go of all."""
    clear = Execution.clear

    def late(self: Execution) -> None:
        clear(self)
        self.stop()

    monkeypatch.setattr(Execution, "clear", late)
    run = JobManager([job(lambda: 1, name="one")]).execute(Context(timeout=60))
    assert run["one"] == 1


@pytest.mark.slow
def test_random_policies_lose_no_place_and_never_hang() -> None:
    """Threads and loops at once, switching at every moment; see ``policy_stress``."""
    program = Path(__file__).with_name("policy_stress.py")
    source = Path(gofer.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, str(program), "20", "1"],
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok, " in done.stdout
