"""One test, every backend: what a promise needs in order to be written once.

A test that takes the fixture ``backend`` is an ``async def``, and so are its jobs. Where the
backend awaits, they run as they stand. Where it does not, each becomes a plain function in which
every ``await`` blocks instead: the waits below look whether a loop runs in their thread. So the
same lines are a manager of plain functions under ``execute`` and one of coroutines under
``aexecute``.

A test gets everything from ``backend``; nothing is imported from here.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import gofer

TIMEOUT = 30.0
"""Seconds after which a wait fails. Nothing that works comes near it, on any machine."""

BACKENDS = {
    # name: (whether the caller awaits aexecute on a loop of its own, whether jobs are async)
    "threads": (False, False),
    "loop": (True, True),
    "background": (False, True),
    "mixed": (True, False),
}


def on_loop() -> bool:
    """Return whether an event loop runs in this thread, so that waits must not block."""
    return asyncio._get_running_loop() is not None


def blocking(fn: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    """Make a plain function of an async one whose waits block where there is no loop."""

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        coroutine = fn(*args, **kwargs)
        try:
            coroutine.send(None)
        except StopIteration as end:
            return end.value
        finally:
            coroutine.close()
        raise AssertionError(f"{fn.__name__} awaited something that does not block")

    return call


def awaitable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Make an async function of a plain one."""

    @functools.wraps(fn)
    async def call(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return call


class Event:
    """An event that plain and async jobs wait for alike; ``set`` may be called from anywhere."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flag = threading.Event()
        self._futures: list[asyncio.Future[bool]] = []

    def set(self) -> None:
        """Let everyone go, now and later."""
        with self._lock:
            self._flag.set()
            futures, self._futures = self._futures, []
        for future in futures:
            try:
                future.get_loop().call_soon_threadsafe(_finish, future, True)
            except RuntimeError:  # whoever waited was cancelled, and its loop is closed
                pass

    def is_set(self) -> bool:
        """Return whether ``set`` was called."""
        return self._flag.is_set()

    async def wait(self) -> None:
        """Wait for ``set``; fail after a time that only a hang takes."""
        if not on_loop():
            assert self._flag.wait(TIMEOUT), "what this job waits for never came"
            return
        future = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._flag.is_set():
                return
            self._futures.append(future)
        assert await comes(future, TIMEOUT), "what this job waits for never came"


async def comes(future: asyncio.Future[bool], seconds: float) -> bool:
    """Wait for a future; return False if it takes longer than some seconds.

    The timer gets an empty set of context variables: an idle loop keeps the last timer that was
    cancelled, and so all that its variables refer to.
    """
    timer = future.get_loop().call_later(
        seconds, _finish, future, False, context=contextvars.Context()
    )
    try:
        return await future
    finally:
        timer.cancel()


def _finish(future: asyncio.Future[bool], result: bool) -> None:
    if not future.done():
        future.set_result(result)


class Barrier:
    """A barrier that plain and async jobs meet at; it opens for every ``parties`` that came."""

    def __init__(self, parties: int) -> None:
        self._parties = parties
        self._lock = threading.Lock()
        self._came = 0
        self._events: dict[int, Event] = {}

    async def wait(self) -> None:
        """Wait until as many have come."""
        with self._lock:
            event = self._events.setdefault(self._came // self._parties, Event())
            self._came += 1
            full = self._came % self._parties == 0
        if full:
            event.set()
        await event.wait()


class Gauge:
    """Counts how many are in its ``with`` block at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.most = self.total = 0

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.total += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.now -= 1


class Backend:
    """A way to run jobs.

    Attributes:
        name: Which one: a key of ``BACKENDS``.
        awaits: Whether the caller awaits ``aexecute`` on its own loop.
        is_async: Whether jobs are async functions.
    """

    Event, Barrier, Gauge, timeout = Event, Barrier, Gauge, TIMEOUT

    def __init__(self, name: str) -> None:
        self.name = name
        self.awaits, self.is_async = BACKENDS[name]

    def job(
        self,
        fn: Callable[..., Any] | None = None,
        /,
        *,
        is_async: bool | None = None,
        **options: Any,
    ) -> Any:
        """Make a job of a function, as ``gofer.job`` does, of this backend's kind.

        Args:
            fn: An async function, or a plain one that waits for nothing.
            is_async: The kind of the job; None means the backend's.
            options: What ``gofer.job`` takes.
        """
        if fn is None:
            return lambda fn: self.job(fn, is_async=is_async, **options)
        wanted = self.is_async if is_async is None else is_async
        if inspect.iscoroutinefunction(fn) != wanted:
            fn = awaitable(fn) if wanted else blocking(fn)
        return gofer.job(fn, **options)

    def jobs(self, count: int, fn: Callable[..., Any], **options: Any) -> list[Any]:
        """Make many jobs of one function, named ``0``, ``1`` and so on."""
        return [self.job(fn, name=str(i), **options) for i in range(count)]

    @staticmethod
    async def execute(manager: gofer.JobManager, *args: Any, **kwargs: Any) -> gofer.Run:
        """Execute a manager the way that is right here, in a test or in a job of it."""
        if on_loop():
            return await manager.aexecute(*args, **kwargs)
        return manager.execute(*args, **kwargs)

    @staticmethod
    async def together(*calls: Callable[[], Coroutine[Any, Any, Any]]) -> list[Any]:
        """Call all at the same time, in tasks or in threads; return results in this order."""
        if on_loop():
            return await asyncio.gather(*[call() for call in calls])
        with ThreadPoolExecutor(len(calls)) as pool:
            futures = [pool.submit(blocking(call)) for call in calls]
            return [future.result() for future in futures]

    @staticmethod
    async def until_cancelled(ctx: gofer.Context) -> None:
        """Wait as a well-behaved job does: raise what a cancellation raises."""
        if on_loop():
            await comes(asyncio.get_running_loop().create_future(), TIMEOUT)
        else:
            ctx.sleep(TIMEOUT)
        raise AssertionError("this job was never cancelled")

    @staticmethod
    async def sleep(seconds: float) -> None:
        """Take that long, cancelled or not; only to make a job slow to end."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if not on_loop():
                time.sleep(left)
                continue
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                pass

    @classmethod
    async def eventually(cls, condition: Callable[[], object]) -> None:
        """Wait, cancelled or not, until a condition holds that nobody announces."""
        until = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < until, "it never came true"
            await cls.sleep(0.001)


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each way to run jobs, in turn."""
    return Backend(request.param)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an async test: on a new loop if its backend awaits, else as a plain function."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(test).parameters}
    if arguments["backend"].awaits:
        asyncio.run(test(**arguments))
    else:
        blocking(test)(**arguments)
    return True


class Log(logging.Handler):
    """What Gofer logs while a test runs.

    Attributes:
        messages: The warnings, as text.
        everything: The records of every level, as text.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.messages: list[str] = []
        self.everything: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note the record."""
        text = self.format(record)
        self.everything.append(text)
        if record.levelno == logging.WARNING:
            self.messages.append(text)


@pytest.fixture
def log() -> Iterator[Log]:
    """A watch on the logger ``gofer``."""
    handler = Log()
    logger = logging.getLogger("gofer")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.setLevel(level)
    logger.removeHandler(handler)


class Watcher(gofer.Observer):
    """An observer that keeps what it is told.

    Attributes:
        told: ``(method, name or state)`` in the order of the calls.
        run: The run, once it has started.
        failed: An event: a job has ended with an error.
    """

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.run: gofer.Run | None = None
        self.failed = Event()

    def run_started(self, run: gofer.Run) -> None:
        """Note the run."""
        self.run = run
        self.told.append(("run_started", run.state))

    def job_started(self, run: gofer.Run, name: str) -> None:
        """Note the job."""
        self.told.append(("job_started", name))

    def job_ended(self, run: gofer.Run, record: gofer.JobRecord) -> None:
        """Note the job's end."""
        self.told.append(("job_ended", record.name))
        if record.error is not None:
            self.failed.set()

    def run_ended(self, run: gofer.Run) -> None:
        """Note the run's end."""
        self.told.append(("run_ended", run.state))


@pytest.fixture
def watcher() -> Watcher:
    """An observer for one manager."""
    return Watcher()
