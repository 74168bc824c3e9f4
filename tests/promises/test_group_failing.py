"""Promises 8 to 12 and 15, for groups: one error, the job's own, with a note; panics."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gofer import Cancelled, Group, JobPanic, NotAwaitedError, current_context

from .groups import Crew, must_not_start, notes, nothing

# 8. The first failure wins: a sibling's cancellation error can never be the one that is raised.


async def test_the_first_failure_wins_in_200_racing_groups(backend: Any) -> None:
    """Promise 8: it is the first in time, whatever the others raise when they are cancelled."""

    async def sibling() -> None:
        try:
            await barrier.wait()
            await backend.until_cancelled(current_context())
        except BaseException as error:
            raise RuntimeError("on the way out") from error

    async def first() -> None:
        await barrier.wait()
        raise ConnectionError("first")

    for i in range(200):
        barrier = backend.Barrier(6)
        with pytest.raises(ConnectionError, match="first"):
            async with Crew(backend) as crew:
                for job in range(6):
                    await crew.go(first if job == i % 6 else sibling)


async def test_any_of_many_simultaneous_failures_is_raised_alone(backend: Any) -> None:
    """Promise 8: the one that is raised is of a failed job; the rest are in its note."""

    async def fails(i: int) -> None:
        await barrier.wait()
        raise ConnectionError(i)

    for _ in range(50):
        barrier = backend.Barrier(4)
        with pytest.raises(ConnectionError) as caught:
            async with Crew(backend) as crew:
                handles = [await crew.go(fails, i) for i in range(4)]
        failed = [handle for handle in handles if handle.state == "failed"]
        assert caught.value in [handle.error for handle in failed]
        assert all(handle.name in notes(caught.value) for handle in failed)


async def test_a_cancelled_jobs_own_error_does_not_replace_the_first(backend: Any) -> None:
    """Promise 8: not even one that takes its time; it is told in the note."""

    async def sibling() -> None:
        barrier_came.set()
        try:
            await backend.until_cancelled(current_context())
        finally:
            await backend.sleep(0.02)
            raise OSError("late")

    async def fails() -> None:
        await barrier_came.wait()
        raise ConnectionError("first")

    barrier_came = backend.Event()
    with pytest.raises(ConnectionError, match="first") as caught:
        async with Crew(backend) as crew:
            await crew.go(sibling)
            await crew.go(fails)

    assert "sibling[0] (OSError: late)" in notes(caught.value)


@pytest.mark.parametrize("how", ["check", "sleep", "nested"])
async def test_a_block_that_is_cancelled_by_a_failure_raises_the_failure(
    backend: Any, how: str
) -> None:
    """Promise 8: whichever way the block learns of it, the job's error comes out, not Cancelled."""

    async def fails() -> None:
        raise ConnectionError("refused")

    with pytest.raises(ConnectionError):
        async with Crew(backend) as crew:
            await crew.go(fails)
            await backend.eventually(lambda: crew.context.cancelled)
            if how == "check":
                crew.context.check()
            elif how == "sleep" and not backend.awaits:
                crew.context.sleep(backend.timeout)
            else:
                async with Crew(backend, crew.context) as inner:
                    await inner.go(must_not_start)


# 9. The caller gets the job's own exception object, with its own traceback; a note names the job,
#    when it failed, and what was cancelled or not started.


async def test_the_jobs_own_error_comes_out_with_its_traceback(backend: Any) -> None:
    """Promise 9: the same object; the innermost line is the job's, and none is the engine's."""
    errors: list[BaseException] = []

    async def fails() -> None:
        errors.append(ConnectionError("refused"))
        raise errors[0]

    with pytest.raises(ConnectionError) as caught:
        async with Crew(backend) as crew:
            await crew.go(fails)

    assert caught.value is errors[0]
    assert caught.traceback[-1].name == "fails"
    assert not [entry for entry in caught.traceback if "backends" in str(entry.path)]
    assert caught.value.__cause__ is caught.value.__context__ is None


async def test_the_note_names_who_failed_who_was_cancelled_and_who_never_ran(backend: Any) -> None:
    """Promise 9: with numbers, as a group has many jobs of one function."""
    ready = backend.Event()

    async def hold() -> None:
        ready.set()
        await backend.until_cancelled(current_context())

    async def fails() -> None:
        await ready.wait()
        for _ in range(3):
            await crew.go(must_not_start)
        raise ConnectionError("refused")

    with pytest.raises(ConnectionError) as caught:
        async with Crew(backend, limit=2, name="crawl") as crew:
            await crew.go(hold)
            await crew.go(fails)

    note = notes(caught.value)
    assert "job 'fails[1]' failed" in note
    assert "group 'crawl'" in note
    assert "cancelled: hold[0]" in note
    assert "not started: must_not_start[2], must_not_start[3], must_not_start[4]" in note


async def test_an_error_that_is_raised_again_and_again_collects_no_notes(backend: Any) -> None:
    """Promise 9: one note, that of the last group."""
    error = ConnectionError("refused")

    async def fails() -> None:
        raise error

    for i in range(20):
        with pytest.raises(ConnectionError):
            async with Crew(backend, name=f"group{i}") as crew:
                await crew.go(fails)

    assert len(error.__notes__) == 1
    assert "group19" in notes(error)


async def test_an_error_that_goes_through_nested_groups_keeps_one_note_of_each(
    backend: Any,
) -> None:
    """Promise 9: the way that it took can be read, innermost first."""

    async def fails() -> None:
        raise ConnectionError("refused")

    async def inner() -> None:
        async with Crew(backend_here(backend)) as crew:
            await crew.go(fails)

    with pytest.raises(ConnectionError) as caught:
        async with Crew(backend) as crew:
            await crew.go(inner)

    first, second = caught.value.__notes__
    assert "'fails[0]'" in first
    assert "'inner[0]'" in second


def backend_here(backend: Any) -> Any:
    """Return the backend for a group that a job opens: an ``AsyncGroup`` where a loop runs."""
    here = type(backend)(backend.name)
    here.awaits = asyncio._get_running_loop() is not None
    return here


# 10. A panic becomes `JobPanic`; `recover=False` lets panics through raw.

PANICS = [SystemExit, GeneratorExit, asyncio.CancelledError, Cancelled]


@pytest.mark.parametrize("kind", PANICS)
async def test_a_panic_in_a_group_becomes_a_job_panic(
    backend: Any, kind: type[BaseException]
) -> None:
    """Promise 10: with the job's name and the original as its cause; the others are cancelled."""

    async def panics() -> None:
        raise kind("out of order")

    async def hold() -> None:
        await backend.until_cancelled(current_context())

    with pytest.raises(JobPanic) as caught:
        async with Crew(backend) as crew:
            held = await crew.go(hold)
            await crew.go(panics)

    assert type(caught.value.__cause__) is kind
    assert caught.value.job == "panics[1]"
    assert held.state in ("cancelled", "not started")


async def test_stop_iteration_out_of_a_sync_job_is_a_panic(backend: Any) -> None:
    """Promise 10: nothing takes it for the end of something else, and nothing hangs."""

    def panics() -> None:
        next(iter([]))

    with pytest.raises(JobPanic) as caught:
        async with Crew(backend) as crew:
            await crew.go(backend.job(panics, is_async=False))

    assert type(caught.value.__cause__) is StopIteration


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, asyncio.CancelledError])
async def test_recover_false_lets_a_groups_panic_through_raw(
    backend: Any, kind: type[BaseException]
) -> None:
    """Promise 10: the very object, after everything has ended."""
    panic, ended = kind("out of order"), []

    async def panics() -> None:
        await ready.wait()
        raise panic

    async def hold() -> None:
        ready.set()
        try:
            await backend.until_cancelled(current_context())
        finally:
            await backend.sleep(0.02)
            ended.append("hold")

    ready = backend.Event()
    with pytest.raises(kind) as caught:
        async with Crew(backend, recover=False) as crew:
            await crew.go(hold)
            await crew.go(panics)

    assert caught.value is panic
    assert ended == ["hold"]


async def test_a_jobs_keyboard_interrupt_stops_the_group_and_comes_out(backend: Any) -> None:
    """Promise 13: without any signal, as if it had been one."""
    interrupt = KeyboardInterrupt()

    async def interrupts() -> None:
        raise interrupt

    async def hold() -> None:
        await backend.until_cancelled(current_context())

    with pytest.raises(KeyboardInterrupt) as caught:
        async with Crew(backend) as crew:
            await crew.go(hold)
            await crew.go(interrupts)

    assert caught.value is interrupt


# 11. After a failure no job starts.


async def test_no_job_starts_after_a_failure(backend: Any) -> None:
    """Promise 11: what waits in line is dropped; its handle says so."""

    async def fails() -> None:
        for _ in range(100):
            handles.append(await crew.go(must_not_start))
        raise ConnectionError("refused")

    handles: list[Any] = []
    with pytest.raises(ConnectionError):
        async with Crew(backend, limit=1) as crew:
            await crew.go(fails)

    assert [handle.state for handle in handles] == ["not started"] * 100
    assert all(handle.done and not handle.ok for handle in handles)


# 12. `fail_fast=False` runs everything, then raises one `ExceptionGroup` in the order of go.


async def test_without_fail_fast_all_run_and_all_errors_come_in_the_order_of_go(
    backend: Any,
) -> None:
    """Promise 12: whatever the order in which they failed; each error has its own note."""
    events = [backend.Event() for _ in range(7)]

    async def work(i: int) -> int:
        if i < 6:
            await events[i + 1].wait()
        try:
            if i % 2:
                raise ConnectionError(i)
            return i
        finally:
            events[i].set()

    with pytest.raises(ExceptionGroup) as caught:
        async with Crew(backend, fail_fast=False) as crew:
            handles = [await crew.go(work, i) for i in range(7)]

    assert [error.args for error in caught.value.exceptions] == [(1,), (3,), (5,)]
    assert [handle.state for handle in handles] == ["succeeded", "failed"] * 3 + ["succeeded"]
    assert [handle.error for handle in handles if handle.error] == list(caught.value.exceptions)
    assert "3 of 7 jobs failed" in str(caught.value)
    for error in caught.value.exceptions:
        assert f"'work[{error.args[0]}]'" in notes(error)


async def test_without_fail_fast_a_group_takes_jobs_after_a_failure(backend: Any) -> None:
    """Promise 12: neither the block nor the others are disturbed; one failure is a group, too."""

    async def fails() -> None:
        raise ConnectionError("refused")

    with pytest.raises(ExceptionGroup) as caught:
        async with Crew(backend, limit=1, fail_fast=False) as crew:
            await crew.go(fails)
            handles = [await crew.go(nothing) for _ in range(20)]
            assert not crew.context.cancelled

    assert len(caught.value.exceptions) == 1
    assert all(handle.ok for handle in handles)


# 15. A failure is announced when it happens.


async def test_a_groups_failure_is_logged_when_it_happens(backend: Any, log: Any) -> None:
    """Promise 15: at WARNING, with the job's name, while others still run."""

    async def fails() -> None:
        raise ConnectionError("refused")

    async def hold() -> None:
        await backend.eventually(lambda: log.messages)

    with pytest.raises(ConnectionError):
        async with Crew(backend) as crew:
            await crew.go(hold)
            await crew.go(fails)

    assert log.messages == ["job 'fails[1]' failed: ConnectionError: refused"]


# 18. A sync job that returns a coroutine by mistake is an error that says so.


def test_a_sync_job_that_returns_a_coroutine_fails_and_says_so() -> None:
    """Promise 18: it is never a result, and the coroutine is closed, not "never awaited"."""

    async def fetch() -> None:
        raise AssertionError("it ran")

    def get() -> Any:
        return fetch()

    with pytest.raises(NotAwaitedError, match=r"'get\[0\]' returned a coroutine: is it async\?"):
        with Group() as group:
            handle = group.go(get)

    assert handle.state == "failed"
