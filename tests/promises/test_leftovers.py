"""Promises 4 and 7, of memory: a run that is over keeps nothing alive.

With the cyclic garbage collector off, so that an object dies only if nothing refers to it: no
parked thread, no loop, no context above, no traceback that holds its own error.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from gofer import Cancelled, Context, DeadlineExceeded, JobManager, JobPanic, _parts
from gofer.backends.loop import background_loop


class Thing:
    """A param or a result that can be watched."""


class Boom(Exception):
    """An error that can be watched, with something heavy in it."""

    def __init__(self, payload: object = None) -> None:
        super().__init__("boom")
        self.payload = payload


class Watch:
    """Weak references to what must die."""

    def __init__(self) -> None:
        self._refs: dict[str, weakref.ref[Any]] = {}

    def __call__(self, name: str, thing: Any) -> Any:
        """Watch a thing, and return it."""
        self._refs[name] = weakref.ref(thing)
        return thing

    def alive(self) -> list[str]:
        """Return the names of those that still live."""
        return [name for name, ref in self._refs.items() if ref() is not None]

    def names(self) -> list[str]:
        """Return the names of all."""
        return list(self._refs)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Switch off the garbage collector, and pytest's log, which keeps errors for its report."""
    monkeypatch.setattr(logging.getLogger("gofer"), "disabled", True)
    gc.collect()
    gc.disable()
    yield Watch()
    gc.enable()


async def all_die(backend: Any, watch: Watch, *names: str) -> None:
    """Wait until everything is gone; a thread may need a moment to let go of its last job.

    Without a GIL what a thread has made is freed by that thread, once it runs again, and the
    background loop sleeps until somebody has something for it.
    """

    def gone() -> bool:
        if not _parts.HAS_GIL:
            background_loop().call_soon_threadsafe(len, "")
        return not watch.alive()

    assert sorted(watch.names()) == sorted(names)
    try:
        await backend.eventually(gone)
    except AssertionError:
        assert watch.alive() == []
        raise


async def test_a_success_keeps_nothing_alive(backend: Any, watch: Watch) -> None:
    """Results, param, context and run die with their last user."""

    async def first(ctx: Context, param: Thing) -> Thing:
        watch("ctx", ctx)
        return watch("result", Thing())

    async def second(ctx: Context, param: Thing, *, first: Thing) -> Thing:
        return watch("second", Thing())

    manager = JobManager([backend.job(first), backend.job(second), *backend.jobs(20, lambda: 1)])
    run = watch("run", await backend.execute(manager, None, watch("param", Thing())))
    assert run["second"] is not None
    del run

    await all_die(backend, watch, "param", "result", "second", "ctx", "run")


@pytest.mark.parametrize("fail_fast", [True, False])
async def test_a_raised_failure_keeps_nothing_alive(
    backend: Any, watch: Watch, fail_fast: bool
) -> None:
    """Once ``except`` has ended, the error is gone, with all that its traceback held."""
    barrier = backend.Barrier(2)

    async def before(ctx: Context, param: Thing) -> Thing:
        return watch("result", Thing())

    async def fails(ctx: Context, param: Thing, *, before: Thing) -> None:
        await barrier.wait()
        payload = watch("payload", Thing())
        raise watch("error", Boom(payload))

    async def sibling(ctx: Context, param: Thing) -> None:
        await barrier.wait()
        if fail_fast:
            await backend.until_cancelled(ctx)

    manager = JobManager(map(backend.job, (before, fails, sibling)), fail_fast=fail_fast)
    try:
        await backend.execute(manager, None, watch("param", Thing()))
    except (Boom, ExceptionGroup) as error:
        assert type(error) is (Boom if fail_fast else ExceptionGroup)

    await all_die(backend, watch, "param", "result", "payload", "error")


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
async def test_a_panic_keeps_nothing_alive(
    backend: Any, watch: Watch, kind: type[BaseException]
) -> None:
    """Neither the original nor the JobPanic around it."""

    class Watched(kind):  # type: ignore[misc, valid-type]
        """One that can be watched."""

    async def fails(ctx: Context, param: Thing) -> None:
        raise watch("panic", Watched())

    manager = JobManager([backend.job(fails)])
    try:
        await backend.execute(manager, None, watch("param", Thing()))
    except (JobPanic, KeyboardInterrupt) as error:
        assert isinstance(error, JobPanic) == (kind is not KeyboardInterrupt)

    await all_die(backend, watch, "param", "panic")


async def test_an_unchecked_failure_keeps_nothing_alive(backend: Any, watch: Watch) -> None:
    """``check=False``: all is gone with the run, also after ``check()`` has raised."""

    async def before() -> Thing:
        return watch("result", Thing())

    async def fails(ctx: Context, param: Thing, *, before: Thing) -> None:
        raise watch("error", Boom(param))

    manager = JobManager(map(backend.job, (before, fails)))
    run = await backend.execute(manager, None, watch("param", Thing()), check=False)
    watch("run", run)
    try:
        run.check()
    except Boom as error:
        assert error is run.error
    assert str(run)
    del run

    await all_die(backend, watch, "param", "result", "error", "run")


@pytest.mark.parametrize("why", ["cancel", "deadline"])
async def test_a_cancelled_run_keeps_nothing_alive(backend: Any, watch: Watch, why: str) -> None:
    """Nor does a context above that lives on, or the deadline's timer."""

    async def before() -> Thing:
        return watch("result", Thing())

    async def work(ctx: Context, param: Thing, *, before: Thing) -> None:
        watch("ctx", ctx)
        if why == "cancel":
            ctx.cancel("enough")
        await backend.until_cancelled(ctx)

    manager = JobManager(map(backend.job, (before, work)))
    above = Context()
    child = above.child(timeout=0.3 if why == "deadline" else backend.timeout)
    run = await backend.execute(manager, child, watch("param", Thing()), check=False)
    watch("error", run.error) if why == "cancel" else None
    watch("run", run)
    try:
        run.check()
    except (Cancelled, DeadlineExceeded):
        pass
    del run, child

    names = ["param", "result", "ctx", "run", *(["error"] if why == "cancel" else [])]
    await all_die(backend, watch, *names)
    assert not above.cancelled


@pytest.mark.parametrize("backend", ["loop", "mixed"], indirect=True)
async def test_a_cancelled_task_keeps_nothing_alive(backend: Any, watch: Watch) -> None:
    """The CancelledError that comes out of ``aexecute`` holds nothing for ever."""
    started = backend.Event()

    async def work(ctx: Context, param: Thing) -> None:
        watch("ctx", ctx)
        started.set()
        await backend.until_cancelled(ctx)

    async def execute() -> None:
        try:
            await manager.aexecute(None, watch("param", Thing()))
        except asyncio.CancelledError as error:
            watch("error", error)

    manager = JobManager([backend.job(work)])
    task = asyncio.create_task(execute())
    await started.wait()
    task.cancel()
    await task
    del task

    await all_die(backend, watch, "param", "ctx", "error")


async def test_the_manager_dies_with_its_last_user(backend: Any, watch: Watch) -> None:
    """Runs leave no reference to their manager or its jobs in threads or loops."""

    async def work() -> None:
        pass

    manager = watch("manager", JobManager([watch("job", backend.job(work))]))
    for _ in range(3):
        await backend.execute(manager)
    del manager

    await all_die(backend, watch, "manager", "job")


async def test_a_run_does_not_keep_its_param(backend: Any, watch: Watch) -> None:
    """The report of a success may be kept; what the caller handed in is the caller's."""

    async def work(ctx: Context, param: Thing) -> int:
        return 1

    run = await backend.execute(JobManager([backend.job(work)]), None, watch("param", Thing()))
    await all_die(backend, watch, "param")

    assert run["work"] == 1
