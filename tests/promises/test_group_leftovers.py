"""Promise 7, of memory: a group keeps neither jobs that have ended alive, nor anything afterwards.

With the cyclic garbage collector off, so that an object dies only if nothing refers to it.
"""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import Any

import pytest

from gofer import Cancelled, Context, DeadlineExceeded, JobPanic, current_context
from gofer._parts import HAS_GIL

from .groups import FREED_LATER, LONG, Crew, nothing
from .test_leftovers import Boom, Thing, Watch, all_die, watch

__all__ = ["watch"]  # a fixture


# While the group is open


AT_LEAST = pytest.param(100_000, marks=pytest.mark.timeout(900))  # slow without a GIL
MILLION = pytest.param(
    1_000_000,
    marks=[
        pytest.mark.slow,
        pytest.mark.timeout(1800),
        pytest.mark.skipif(not HAS_GIL, reason="tracemalloc takes minutes without a GIL"),
    ],
)


@pytest.mark.parametrize("count", [AT_LEAST, MILLION])
async def test_a_group_does_not_grow_with_the_jobs_that_have_ended(
    backend: Any, count: int
) -> None:
    """The memory is that of the jobs that wait or run: below 3 bytes for each that has been."""

    async def go(times: int) -> None:
        for i in range(times):
            await crew.go_as_it_is(job, i)

    job = backend.job(nothing).fn
    tracemalloc.start()
    try:
        async with Crew(backend, limit=100) as crew:
            await go(2000)
            before, _ = tracemalloc.get_traced_memory()
            await go(count)
            after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < 3 * count + 5 * FREED_LATER  # up to a hundred threads have some


async def test_what_a_job_was_given_and_returned_dies_while_the_group_is_open(
    backend: Any, watch: Watch
) -> None:
    """Nobody but the handle keeps it; and nobody keeps the handle, which has the arguments."""

    async def work(thing: Thing, *, keyword: Thing) -> Thing:
        return watch("result", Thing())

    async with Crew(backend) as crew:
        handle = await crew.go(
            watch("fn", backend.job(work)),
            watch("argument", Thing()),
            keyword=watch("keyword", Thing()),
        )
        await backend.eventually(lambda handle=handle: handle.done)
        assert isinstance(handle.result(), Thing)
        del handle
        await all_die(backend, watch, "fn", "argument", "keyword", "result")


# After it


async def test_a_group_that_ended_well_keeps_nothing_alive(backend: Any, watch: Watch) -> None:
    """Whether or not the group itself is kept: results die with their handles."""

    async def work(thing: Thing) -> Thing:
        watch("ctx", current_context())
        return watch("result", Thing())

    crew = Crew(backend, limit=1)
    async with crew:
        handle = await crew.go(work, watch("argument", Thing()))
    assert handle.ok
    del handle

    await all_die(backend, watch, "argument", "result", "ctx")


@pytest.mark.parametrize("fail_fast", [True, False])
async def test_a_failed_group_keeps_nothing_alive(
    backend: Any, watch: Watch, fail_fast: bool
) -> None:
    """Once ``except`` has ended, the error is gone, with all that its traceback held."""

    async def fails(thing: Thing) -> None:
        await barrier.wait()
        raise watch("error", Boom(watch("payload", Thing())))

    async def sibling(thing: Thing) -> None:
        await barrier.wait()
        if fail_fast:
            await backend.until_cancelled(current_context())

    barrier = backend.Barrier(2)
    crew = Crew(backend, fail_fast=fail_fast)
    try:
        async with crew:
            await crew.go(fails, watch("first", Thing()))
            await crew.go(sibling, watch("second", Thing()))
    except (Boom, ExceptionGroup) as error:
        assert type(error) is (Boom if fail_fast else ExceptionGroup)

    await all_die(backend, watch, "error", "payload", "first", "second")


async def test_a_handle_does_not_keep_itself_alive_by_raising(backend: Any, watch: Watch) -> None:
    """``result()`` raises the job's error; its traceback does not hold the handle."""

    async def fails(thing: Thing) -> None:
        raise watch("error", Boom())

    handles = []
    try:
        async with Crew(backend) as crew:
            handles.append(await crew.go(fails, watch("argument", Thing())))
    except Boom:
        pass
    try:
        handles[0].result()
    except Boom:
        pass
    handles.clear()

    await all_die(backend, watch, "error", "argument")


async def test_a_panic_in_a_group_keeps_nothing_alive(backend: Any, watch: Watch) -> None:
    """Neither the original nor the JobPanic around it."""

    class Panic(SystemExit):
        """One that can be watched."""

    async def panics() -> None:
        raise watch("panic", Panic())

    try:
        async with Crew(backend) as crew:
            await crew.go(panics)
    except JobPanic as panic:
        watch("JobPanic", panic)

    await all_die(backend, watch, "panic", "JobPanic")


@pytest.mark.parametrize("why", ["cancel", "deadline"])
async def test_a_cancelled_group_keeps_nothing_alive(backend: Any, watch: Watch, why: str) -> None:
    """Nor does a context above that lives on, or the deadline's timer."""

    async def hold(thing: Thing) -> None:
        watch("ctx", current_context())
        await backend.until_cancelled(current_context())

    above = Context()
    child = above.child(timeout=0.3 if why == "deadline" else LONG)
    try:
        async with Crew(backend, child, limit=1) as crew:
            await crew.go(hold, watch("argument", Thing()))
            await backend.eventually(lambda: "ctx" in watch.names())
            if why == "cancel":
                crew.context.cancel(watch("cause", Boom()))
    except (Cancelled, DeadlineExceeded) as error:
        watch("error", error)
    del child

    cause = ["cause"] if why == "cancel" else []
    await all_die(backend, watch, "argument", "ctx", "error", *cause)
    assert not above.cancelled


@pytest.mark.parametrize("how", ["own error", "refused"])
async def test_a_block_that_was_cut_short_keeps_nothing_alive(
    backend: Any, watch: Watch, how: str
) -> None:
    """Neither its own error nor the Cancelled of a ``go`` that came too late."""

    async def fails() -> None:
        raise watch("failure", Boom())

    try:
        async with Crew(backend) as crew:
            if how == "own error":
                raise watch("error", Boom())
            await crew.go(fails)
            await backend.eventually(lambda: crew.context.cancelled)
            try:
                crew.try_go(nothing)
            except Cancelled as refusal:
                watch("refusal", refusal)
                raise
    except Boom:
        pass

    await all_die(backend, watch, *(["error"] if how == "own error" else ["failure", "refusal"]))


@pytest.mark.parametrize("backend", ["loop", "mixed"], indirect=True)
@pytest.mark.parametrize("moment", ["go", "block", "exit"])
async def test_a_cancelled_task_of_a_group_keeps_nothing_alive(
    backend: Any, watch: Watch, moment: str
) -> None:
    """The CancelledError that came out holds nothing for ever."""

    async def hold(thing: Thing) -> None:
        started.set()
        await backend.until_cancelled(current_context())

    async def use() -> None:
        try:
            async with Crew(backend, limit=1) as crew:
                await crew.go(hold, watch("argument", Thing()))
                if moment == "go":
                    await crew.go(nothing)
                if moment == "block":
                    await asyncio.sleep(LONG)
        except asyncio.CancelledError as error:
            watch("error", error)

    started = backend.Event()
    task = asyncio.create_task(use())
    await started.wait()
    await asyncio.sleep(0)
    task.cancel()
    await task
    del task

    await all_die(backend, watch, "argument", "error")
