"""The event loop: one asyncio task a job, started eagerly where Python can (3.12 and later).

A lane serves the async jobs of one run on one loop. Everything here runs on that loop's thread,
except ``post``. Threads that work for the same run book their jobs in the core themselves, so they
call the loop only when something may start on it or the run is over, one ``call_soon_threadsafe``
for all that happened meanwhile.

It is built on tasks and futures directly: ``asyncio.TaskGroup`` differs from version to version.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
from collections.abc import Callable
from inspect import CORO_CREATED, getcoroutinestate
from typing import Any

from gofer import _parts
from gofer._core.lanes import LOOP
from gofer._core.states import FAILED, NOT_STARTED, SUCCEEDED
from gofer.backends._execution import ENGINE, Execution

_EAGER: dict[str, Any] = {"eager_start": True} if sys.version_info >= (3, 12) else {}

_SLICE = 0.005  # seconds of starting jobs after which the loop's other work gets a turn
_LOOK_EVERY = 64  # jobs between two looks at the clock


class Lane:
    """The async jobs of one run, on one loop."""

    __slots__ = (
        "_posted",
        "_pumping",
        "_sweep",
        "_tasks",
        "_waiter",
        "execution",
        "loop",
        "on_stop",
    )

    def __init__(self, execution: Execution, loop: asyncio.AbstractEventLoop) -> None:
        self.execution, self.loop = execution, loop
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._waiter: asyncio.Future[None] | None = None
        self._posted = self._pumping = False
        self.on_stop: Callable[[], None] | None = None  # called once, on the loop
        self._sweep = True  # whether the tasks are still to be cancelled when the run stops

    def post(self, *, force: bool = False) -> None:
        """Have the loop look at the run; from any thread.

        Whoever calls it has changed the run under its lock before, and the loop takes the mark
        back before it looks under the same lock, so one of the two sees the other.

        Args:
            force: Do it even if a look is due already: for changes made without the lock.
        """
        if self._posted and not force:
            return
        self._posted = True
        try:
            self.loop.call_soon_threadsafe(self.pump)
        except RuntimeError as error:  # the loop was closed under the run
            _parts.report_unraisable(error, "the event loop of a run is gone", self.loop)

    async def run(self) -> None:
        """Serve the run from here until it is over; it is cancelled when this is.

        Raises:
            CancelledError: The awaiting task was cancelled; the jobs have ended nevertheless.
        """
        execution = self.execution
        cancelled: BaseException | None = None
        self.pump()
        while not execution.core.finished:
            self._waiter = self.loop.create_future()
            if execution.core.finished:  # in a thread, before there was someone to tell
                break
            try:
                await self._waiter
            except asyncio.CancelledError as error:
                cancelled = cancelled or error
                execution.ctx.cancel(error)
            except BaseException as error:  # GeneratorExit: nothing can be awaited any more
                execution.ctx.cancel(error)
                raise
        if cancelled is not None:
            try:
                raise cancelled
            finally:
                del cancelled

    def pump(self) -> None:
        """Start what may start; see to a stop and to the end of the run."""
        if self._pumping:
            return  # called by a job that ended while it was being started: the loop below goes on
        self._posted = False
        self._pumping = True
        try:
            self._start_ready()
        finally:
            self._pumping = False
        core, waiter = self.execution.core, self._waiter
        if core.stopped and self._sweep:
            self._sweep = False
            self._cancel_tasks()
            if self.on_stop is not None:
                self.on_stop()
        if core.finished and waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _start_ready(self) -> None:
        execution, clock = self.execution, _parts.clock
        core, lock, start = execution.core, execution.lock, execution.start
        began, count = clock(), 0
        while True:
            with lock:
                at = clock()
                i = core.take(LOOP, at - start)
                wake = not core.waking and core.wants()
            if wake:
                execution.wake()
            if i < 0:
                return
            self._start(i)
            count += 1
            if count % _LOOK_EVERY == 0 and at - began > _SLICE:
                self._posted = True
                self.loop.call_soon(self.pump)
                return

    def _start(self, i: int) -> None:
        execution = self.execution
        task = asyncio.Task(
            self._perform(i),
            loop=self.loop,
            name=execution.name_of(i),
            context=execution.snapshot.copy(),
            **_EAGER,
        )
        if not task.done():
            self._tasks[i] = task

    async def _perform(self, i: int) -> None:
        execution = self.execution
        core = execution.core
        if execution.observers:
            execution.tell_started(i)
        outcome = SUCCEEDED
        try:
            execution.keep(i, await execution.call(i, "loop"))
        except BaseException as error:
            outcome = execution.caught(i, error)
        at = _parts.clock() - execution.start
        if execution.observers:
            execution.tell_ended(i, outcome, at)
        failure = execution.errors[i] if outcome == FAILED else None
        ctx = execution.ctx
        self._tasks.pop(i, None)
        with execution.lock:
            core.ended(i, outcome, at)
            wake = not core.waking and core.wants()
            more = core.stopped or core.finished or core.has_ready(LOOP)
        if wake:
            execution.wake()
        if failure is not None:
            if core.fail_fast and core.first == i:
                ctx.cancel(failure)
            failure = None  # the error's traceback may hold this frame
        if execution.waiting:
            execution.notify()
        if core.finished:
            execution.unpark_all()
        if more:
            self.pump()

    def _cancel_tasks(self) -> None:
        for i, task in tuple(self._tasks.items()):
            if getcoroutinestate(task.get_coro()) == CORO_CREATED:  # type: ignore[arg-type]
                # Its first line has not run, and never will: the cancellation comes before it.
                del self._tasks[i]
                with self.execution.lock:
                    self.execution.core.ended(i, NOT_STARTED, 0.0)
            task.cancel()
        if self.execution.core.finished:
            self.execution.unpark_all()

    def frame_of(self, i: int) -> Any:
        """Return the frame in which a job stands, or None."""
        task = self._tasks.get(i)
        frames = task.get_stack() if task is not None else []
        own = [frame for frame in frames if frame.f_code is not Lane._perform.__code__]
        return own[-1] if own else None


ENGINE.add(Lane._perform.__code__)


class _Background:
    """The loop on which ``execute()`` runs async jobs: one for the process, started when needed.

    It lives on, so that clients and pools which jobs hold stay usable from run to run.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop, running in its thread ``gofer:loop``."""
        with self._lock:
            if self._loop is None or self._loop.is_closed():
                loop = asyncio.new_event_loop()
                thread = threading.Thread(
                    target=self._serve, args=(loop,), name="gofer:loop", daemon=True
                )
                try:
                    _parts.start_thread(thread)
                except BaseException:
                    loop.close()
                    raise
                self._loop, self._thread = loop, thread
            return self._loop

    @staticmethod
    def _serve(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def close(self) -> None:
        """Stop the loop and wait a moment for its thread; at the end of the program."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None and thread.is_alive():
            loop.call_soon_threadsafe(loop.stop)
            thread.join(timeout=1.0)


_background = _Background()
background_loop = _background.loop
atexit.register(_background.close)
os.register_at_fork(after_in_child=_background.__init__)  # type: ignore[misc]
