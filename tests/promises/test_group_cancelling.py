"""Promises 11 and 14, for groups: contexts, deadlines, and errors of the block itself."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from gofer import Cancelled, Context, DeadlineExceeded, Group, JobManager, current_context
from gofer.backends import _execution

from .groups import Crew, must_not_start, notes, nothing

# An error of the block itself


@pytest.mark.parametrize("kind", [KeyError, SystemExit, GeneratorExit])
async def test_an_error_of_the_block_cancels_waits_and_comes_out(
    backend: Any, kind: type[BaseException]
) -> None:
    """It is the same object; every job was cancelled and has ended before."""
    error, ended = kind("the block's own"), []

    async def hold(i: int) -> None:
        try:
            await barrier.wait()
            await backend.until_cancelled(current_context())
        finally:
            await backend.sleep(0.02)
            ended.append(i)

    barrier = backend.Barrier(4)
    with pytest.raises(kind) as caught:
        async with Crew(backend) as crew:
            handles = [await crew.go(hold, i) for i in range(3)]
            await barrier.wait()
            raise error

    assert caught.value is error
    assert sorted(ended) == [0, 1, 2]
    assert [handle.state for handle in handles] == ["cancelled"] * 3


async def test_what_waits_in_line_does_not_start_after_an_error_of_the_block(backend: Any) -> None:
    """Promise 11: as after a job's failure."""

    async def adds() -> None:
        for _ in range(10):
            handles.append(await crew.go(must_not_start))
        added.set()
        await backend.until_cancelled(current_context())

    handles: list[Any] = []
    added = backend.Event()
    with pytest.raises(KeyError):
        async with Crew(backend, limit=1) as crew:
            await crew.go(adds)
            await added.wait()
            raise KeyError("the block's own")

    assert [handle.state for handle in handles] == ["not started"] * 10


async def test_a_failure_during_the_blocks_error_is_named_in_its_note(backend: Any) -> None:
    """Promise 9: the block's error stays what comes out; the job's is not lost."""

    async def fails_late() -> None:
        ready.set()
        try:
            await backend.until_cancelled(current_context())
        finally:
            raise ConnectionError("refused")

    ready = backend.Event()
    with pytest.raises(KeyError) as caught:
        async with Crew(backend) as crew:
            await crew.go(fails_late)
            await ready.wait()
            raise KeyError("the block's own")

    assert "ConnectionError: refused" in notes(caught.value)


async def test_the_blocks_own_error_after_a_failure_comes_out_and_names_it(backend: Any) -> None:
    """An error of the block itself is what comes out, whatever has failed before."""

    async def fails() -> None:
        raise ConnectionError("refused")

    with pytest.raises(KeyError) as caught:
        async with Crew(backend) as crew:
            await crew.go(fails)
            await backend.eventually(lambda: crew.context.cancelled)
            raise KeyError("the block's own")

    assert "ConnectionError: refused" in notes(caught.value)


# 14. A deadline raises `DeadlineExceeded`, a cancelled context raises `Cancelled`, never one for
#     the other.


@pytest.mark.parametrize("who", ["block", "job", "caller"])
async def test_a_cancelled_group_raises_cancelled_with_the_cause(backend: Any, who: str) -> None:
    """Promise 14: whoever cancels: jobs end, and none is called a failure."""
    above = Context()

    async def hold() -> None:
        await barrier.wait()
        if who == "job":
            crew.context.cancel("enough")
        await backend.until_cancelled(current_context())

    barrier = backend.Barrier(4)
    with pytest.raises(Cancelled) as caught:
        async with Crew(backend, above) as crew:
            handles = [await crew.go(hold) for _ in range(3)]
            await barrier.wait()
            if who == "block":
                crew.context.cancel("enough")
            if who == "caller":
                above.cancel("enough")

    assert caught.value.cause == "enough"
    assert [handle.state for handle in handles] == ["cancelled"] * 3
    assert above.cancelled == (who == "caller")


async def test_a_deadline_stops_a_group(backend: Any) -> None:
    """Promise 14: DeadlineExceeded, a TimeoutError; never Cancelled."""

    async def hold() -> None:
        await backend.until_cancelled(current_context())

    with pytest.raises(TimeoutError) as caught:
        async with Crew(backend, Context(timeout=0.05)) as crew:
            handles = [await crew.go(hold) for _ in range(3)]

    assert type(caught.value) is DeadlineExceeded
    assert {handle.state for handle in handles} <= {"cancelled", "not started"}


@pytest.mark.parametrize("timeout", [0, -1, None])
async def test_a_group_with_a_context_that_is_over_starts_nothing(
    backend: Any, timeout: float | None
) -> None:
    """Promise 14: it says why: its deadline is past, or it was cancelled."""
    ctx = Context(timeout=timeout)
    if timeout is None:
        ctx.cancel("enough")
    with pytest.raises(Cancelled if timeout is None else DeadlineExceeded):
        async with Crew(backend, ctx) as crew:
            await crew.go(must_not_start)


async def test_a_cancellation_after_the_last_job_is_no_error(backend: Any) -> None:
    """Promise 14: what has ended well stays well."""
    ctx = Context()
    async with Crew(backend, ctx) as crew:
        handle = await crew.go(nothing)
        await backend.eventually(lambda: handle.done)
    ctx.cancel()

    assert handle.ok


async def test_a_cancelled_error_after_a_cancellation_is_no_failure(backend: Any) -> None:
    """Promise 14: a job that fails while it is cancelled is named; Cancelled comes out."""

    async def fails_late() -> None:
        ready.set()
        try:
            await backend.until_cancelled(current_context())
        finally:
            raise ConnectionError("refused")

    ready = backend.Event()
    with pytest.raises(Cancelled) as caught:
        async with Crew(backend) as crew:
            await crew.go(fails_late)
            await ready.wait()
            crew.context.cancel("enough")

    assert "fails_late[0] (ConnectionError: refused)" in notes(caught.value)


async def test_runs_in_jobs_are_cancelled_with_the_group(backend: Any) -> None:
    """Promise 11: a manager or a map in a job takes the group's context without being told."""

    async def hold() -> None:
        ready.set()
        await backend.until_cancelled(current_context())

    async def outer() -> None:
        await backend.execute(manager)

    async def fails() -> None:
        await ready.wait()
        raise ConnectionError("refused")

    ready = backend.Event()
    manager = JobManager([backend.job(hold)])
    with pytest.raises(ConnectionError):
        async with Crew(backend) as crew:
            handle = await crew.go(outer)
            await crew.go(fails)

    assert handle.state == "cancelled"


async def test_a_groups_stop_leaves_the_callers_context_alone(backend: Any) -> None:
    """A failure cancels the group's own context, a child: the caller's next group works."""
    ctx = Context()

    async def fails() -> None:
        raise ConnectionError("refused")

    with pytest.raises(ConnectionError):
        async with Crew(backend, ctx) as crew:
            await crew.go(fails)
    async with Crew(backend, ctx) as crew:
        handle = await crew.go(nothing)

    assert handle.ok
    assert not ctx.cancelled


# 11. A job deaf to cancellation is named in a warning, with the line of code where it stands.


async def test_a_deaf_job_of_a_group_is_waited_for_and_named(
    backend: Any, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 11: by its name and number, and the file in which it hangs."""
    monkeypatch.setattr(_execution, "DEAF_AFTER", 0.05)

    async def deaf() -> None:
        ready.set()
        await backend.eventually(lambda: len(log.messages) > 1)

    async def fails() -> None:
        await ready.wait()
        raise ConnectionError("refused")

    ready = backend.Event()
    with pytest.raises(ConnectionError):
        async with Crew(backend) as crew:
            await crew.go(nothing)
            handle = await crew.go(deaf)
            await crew.go(fails)

    (warning,) = [message for message in log.messages if "still runs" in message]
    assert "'deaf[1]'" in warning
    assert ".py:" in warning
    assert handle.ok


# Threads of its own


def test_a_group_may_be_handed_from_thread_to_thread() -> None:
    """Whoever enters it need not be who leaves it; nothing hangs on the thread."""
    group = Group(limit=2)
    group.__enter__()
    handles = []
    threads = [
        threading.Thread(target=lambda: handles.append(group.go(pow, 2, 5))),
        threading.Thread(target=group.__exit__, args=(None, None, None)),
    ]
    for thread in threads:
        thread.start()
        thread.join()

    assert handles[0].result() == 32
