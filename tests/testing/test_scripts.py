"""Jobs that a test lays down: what they do, and whether they may run."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from gofer import Cancelled, Context, DeadlineExceeded, JobManager
from gofer.testing import VirtualClock, explore, scripted, virtual_clock

BOTH = pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])


@BOTH
def test_jobs_that_must_may_and_must_not_run(is_async: bool) -> None:
    """All went by the script, so leaving the block is silent."""
    with scripted() as script:
        first = script.must_run("first", returns=1, is_async=is_async)
        fails = script.must_run("fails", fails=KeyError("no"), is_async=is_async)
        maybe = script.may_run("maybe", after=["first"], is_async=is_async)
        never = script.must_not_run("never", after=["fails"], is_async=is_async)
        run = JobManager([first, fails, maybe, never], limit=1).execute(check=False)
    assert run["first"] == 1
    assert isinstance(run.error, KeyError)
    assert (script["first"].attempts, script["first"].ended) == (1, 1)
    assert (script["fails"].attempts, script["fails"].ended) == (1, 0)


def test_what_did_not_go_by_the_script_is_told_at_the_end() -> None:
    """All of it, by name."""
    with pytest.raises(AssertionError) as caught, scripted() as script:
        script.must_run("lazy")
        JobManager([script.must_not_run("eager")]).execute()
    assert str(caught.value) == (
        "job 'lazy' must run, and did not; job 'eager' must not run, and was begun 1 time(s)"
    )


def test_an_error_of_the_block_goes_out_as_it_is() -> None:
    """It is what the test is about, and the script was not played to its end."""
    with pytest.raises(ZeroDivisionError), scripted() as script:
        script.must_run("never begun")
        raise ZeroDivisionError


@BOTH
def test_a_job_fails_on_the_attempts_that_are_named(
    gofer_clock: VirtualClock, is_async: bool
) -> None:
    """On the others it ends well."""
    with scripted() as script:
        fails = {1: ConnectionError("no"), 2: TimeoutError}
        flaky = script.must_run("flaky", fails=fails, returns=7, retry=3, is_async=is_async)
        assert JobManager([flaky]).execute()["flaky"] == 7
    assert (script["flaky"].attempts, script["flaky"].ended) == (3, 1)


@BOTH
def test_a_job_takes_virtual_seconds(gofer_clock: VirtualClock, is_async: bool) -> None:
    """An hour is in the report, and over at once."""
    with scripted() as script:
        slow = script.must_run("slow", takes=3600, is_async=is_async)
        assert JobManager([slow]).execute().duration == 3600


@BOTH
def test_a_job_blocks_until_it_is_told(is_async: bool) -> None:
    """Another job of the same run may tell it."""
    with scripted() as script:
        waits = script.must_run("waits", blocks=True, returns="at last", is_async=is_async)
        manager = JobManager([waits])

        @manager.job
        def tells() -> None:
            script["waits"].wait_begun()
            script["waits"].release()

        assert manager.execute()["waits"] == "at last"
        assert manager.execute()["waits"] == "at last"  # it is released for ever


@BOTH
def test_a_job_that_blocks_is_stopped_with_its_run(is_async: bool) -> None:
    """It hears a cancellation, as a job should."""
    with scripted() as script, Context() as ctx:
        waits = script.must_run("waits", blocks=True, is_async=is_async)
        thread = threading.Thread(target=lambda: (script["waits"].wait_begun(), ctx.cancel()))
        thread.start()
        with pytest.raises(Cancelled):
            JobManager([waits]).execute(ctx)
        thread.join()
    assert script["waits"].ended == 0


def test_a_job_that_blocks_hears_a_deadline(gofer_clock: VirtualClock) -> None:
    """In virtual time at once."""
    with scripted() as script, Context(timeout=60) as ctx, pytest.raises(DeadlineExceeded):
        JobManager([script.must_run("waits", blocks=True)]).execute(ctx)


def test_leaving_the_block_lets_go_of_what_blocks() -> None:
    """A test that has failed does not hang on its way out."""
    with pytest.raises(ZeroDivisionError), scripted() as script:
        manager = JobManager([script.may_run("waits", blocks=True)])
        thread = threading.Thread(target=manager.execute)
        thread.start()
        script["waits"].wait_begun()
        raise ZeroDivisionError
    thread.join()


def test_a_name_is_given_once_and_waiting_for_ever_is_refused() -> None:
    """With the name of the job."""
    with scripted() as script:
        script.may_run("a")
        with pytest.raises(ValueError, match="has a job 'a' already"):
            script.must_run("a")
        with pytest.raises(TimeoutError, match="job 'a' has not begun in 0 s"):
            script["a"].wait_begun(0)


def test_scripted_jobs_can_be_explored() -> None:
    """Whichever fails first, what comes after both never runs."""
    with scripted() as script:
        jobs = [
            script.may_run("one", fails=KeyError, takes=5),
            script.may_run("two", fails=KeyError, takes=10, is_async=True),
            script.must_not_run("after", after=["one", "two"]),
        ]
        result = explore(JobManager(jobs), errors=(KeyError,))
    assert (result.found, result.exhaustive) == (None, True)
    assert script["one"].attempts + script["two"].attempts > result.runs


# -- the clock, for what jobs do themselves


def test_sleeps_go_by_the_clock_where_that_is_asked_for() -> None:
    """``time.sleep`` in a thread, ``asyncio.sleep`` on a loop."""

    async def both() -> str:
        await asyncio.sleep(0)
        return await asyncio.sleep(3600, "awake")

    with virtual_clock(sleeps=True) as clock:
        time.sleep(3600)
        assert asyncio.run(both()) == "awake"
    assert clock.slept == [3600, 3600]
    assert clock.now == 1000.0 + 7200


def test_sleepers_wait_for_a_clock_that_stands_still() -> None:
    """They go on when the test moves it far enough; one that is cancelled does not."""

    async def main() -> list[str]:
        sleeper = asyncio.create_task(asyncio.sleep(60, "awake"))
        other = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        other.cancel()
        clock.advance(59)
        await asyncio.sleep(0)
        assert not sleeper.done()
        clock.advance(1)
        return [await sleeper]

    with virtual_clock(sleeps=True) as clock:
        clock.jumps = False
        assert asyncio.run(main()) == ["awake"]
        sleeper = threading.Thread(target=lambda: time.sleep(60))
        sleeper.start()
        while len(clock.slept) < 3:
            pass
        clock.next()
        sleeper.join()


def test_sleeps_are_real_again_after_the_block() -> None:
    """Nothing of it is left."""
    before = time.sleep, asyncio.sleep, asyncio.tasks.sleep
    with virtual_clock(sleeps=True):
        assert time.sleep is not before[0]
    assert (time.sleep, asyncio.sleep, asyncio.tasks.sleep) == before
