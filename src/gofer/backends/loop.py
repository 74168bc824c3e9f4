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
from types import FrameType
from typing import Any

from gofer import _parts
from gofer._core.lanes import AWAY, LOOP
from gofer._core.states import CANCELLED, FAILED, NOT_STARTED, SUCCEEDED
from gofer.backends._execution import Execution
from gofer.backends._frames import ENGINE, make_room
from gofer.backends._interrupt import is_default
from gofer.errors import InvalidTransition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gofer.backends import Port

_IS_EAGER = sys.version_info >= (3, 12)

_Task: Any = asyncio.Task
_SLICE = 0.005  # seconds of starting jobs after which the loop's other work gets a turn
_HANDFUL = 64  # jobs that are taken at once


class Lane:
    """The async jobs of one run, on one loop."""

    __slots__ = (
        "_again",
        "_alone",
        "_mixed",
        "_next",
        "_posted",
        "_pumping",
        "_sweep",
        "_tasks",
        "_waiter",
        "execution",
        "loop",
        "on_stop",
        "port",
    )

    def __init__(
        self,
        execution: Execution,
        loop: asyncio.AbstractEventLoop,
        *,
        mixed: bool = True,
        port: Port | None = None,
    ) -> None:
        """Serve a run on a loop.

        Args:
            execution: The run.
            loop: The loop.
            mixed: Whether there may be sync jobs, too, for which threads are to be woken.
            port: Where the jobs go that run elsewhere, if there are any.
        """
        self.port = port
        self.execution, self.loop = execution, loop
        self._next: list[int] = []  # taken, and to be started by the pump that is going on
        self._mixed = mixed
        self._alone = not mixed and not execution.observers  # nobody else has to be told anything
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._waiter: asyncio.Future[None] | None = None
        self._posted = self._pumping = self._again = False
        self.on_stop: Callable[[], None] | None = None  # called once, on the loop
        self._sweep = True  # whether the tasks are still to be cancelled when the run stops

    def post(self, *, force: bool = False) -> None:
        """Have the loop look at the run; from any thread.

        Whoever calls it has changed the run under its lock before, and the loop takes the mark
        back before it looks under the same lock, so one of the two sees the other.

        Args:
            force: Do it even if a look is due already: for changes made without the lock.
        """
        if self.port is not None:
            self.port.post(force=force)
        if (self._posted and not force) or self.execution.hurried:
            return
        self._posted = True
        try:
            self.loop.call_soon_threadsafe(self.pump)
        except RuntimeError as error:
            if self.execution.ctx is None:  # the run is over; this was late
                return
            _parts.report_unraisable(error, "the event loop of a run is gone", self.loop)

    async def run(self, *, cancelled_before: bool = False) -> None:
        """Serve the run from here until it is over; it is cancelled when this is.

        Args:
            cancelled_before: Whether the awaiting task has been cancelled already.

        Raises:
            CancelledError: The awaiting task was cancelled; the jobs have ended nevertheless.
        """
        execution = self.execution
        cancelled: BaseException | None = None
        handled = not is_default()
        self.pump()
        while not self._over():
            self._waiter = self.loop.create_future()
            if self._mixed and self._over():  # in a thread, before there was someone to tell
                break
            try:
                await self._waiter
            except asyncio.CancelledError as error:
                before = cancelled_before or cancelled is not None
                if before and handled and is_default():
                    # asyncio.run turned the first Ctrl-C into a cancellation. The second has ended
                    # its loop; its handler is gone, and it cancels what is left to close down.
                    execution.hurried = True
                    raise
                cancelled = error if cancelled is None else cancelled
                execution.ctx.cancel(error)
            except BaseException as error:  # GeneratorExit: nothing can be awaited any more
                execution.ctx.cancel(error)
                raise
        if cancelled is not None:
            try:
                raise cancelled
            finally:
                del cancelled

    def _over(self) -> bool:
        # Where no thread works for the run, all that changes it happens here, on the loop.
        return self.execution.over() if self._mixed else self.execution.core.finished

    def pump(self) -> None:
        """Start what may start; see to a stop and to the end of the run."""
        if self._pumping:
            self._again = True  # a job ended while it was being started: the loop below goes on
            return
        self._posted = False
        self._pumping = True
        try:
            self._start_ready()
        except Exception as error:  # a fault, or no memory: what has started is stopped
            self.execution.ctx.cancel(error)
        finally:
            self._pumping = False
        core = self.execution.core
        if core.stopped and self._sweep:
            self._sweep = False
            self._cancel_tasks()
            if self.on_stop is not None:
                self.on_stop()
        if not core.running and self._over():
            if self._mixed:
                self.execution.unpark_all()
            self._finish()

    def _finish(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done() and not self.loop.is_closed():
            waiter.set_result(None)

    def _start_ready(self) -> None:
        """Start what may start, a handful under one lock."""
        execution, clock, next_ones = self.execution, _parts.clock, self._next
        core, lock, start, mixed = execution.core, execution.lock, execution.start, self._mixed
        until = clock() + _SLICE
        while True:
            # What jobs made possible that ended while they were started: that may go on for ever.
            while next_ones and clock() < until:
                self._start([next_ones.pop()])
            at = clock()
            if next_ones or at >= until:
                self._posted = True
                self.loop.call_soon(self.pump)
                return
            self._again = False
            if mixed:
                with lock:
                    taken = core.take_many(LOOP, at - start, _HANDFUL)
                    wake = not core.waking and core.wants()
                if wake:
                    execution.wake()
            else:
                taken = core.take_many(LOOP, at - start, _HANDFUL)
            if taken:  # else the run may be over, and have let go of what it had
                self._start(taken)
            if len(taken) < _HANDFUL and not self._again:
                return

    def _start(self, jobs: list[int]) -> None:
        execution, loop, tasks = self.execution, self.loop, self._tasks
        core, name_of, copy = execution.core, execution.name_of, execution.snapshot.copy
        for i in jobs:
            if core.stopped:  # by a job of this very handful
                self._take_back(i)
                continue
            coroutine = None
            try:
                coroutine = self._perform(i)
                if not _IS_EAGER:
                    tasks[i] = _Task(coroutine, loop=loop, name=name_of(i), context=copy())
                    continue
                task = _Task(
                    coroutine, loop=loop, name=name_of(i), context=copy(), eager_start=True
                )
                if not task.done():
                    tasks[i] = task
            except BaseException as error:  # no memory, perhaps; the job must not be lost
                if coroutine is not None:
                    coroutine.close()
                at = _parts.clock() - execution.start
                self._book(i, execution.caught(i, error), at)

    def _take_back(self, i: int) -> None:
        """Give a job back to the core whose first line has not run, and never will."""
        with self.execution.lock:
            self.execution.core.ended(i, NOT_STARTED, 0.0)

    async def _perform(self, i: int) -> None:
        execution = self.execution
        try:
            try:
                execution.keep(i, await execution.begin(i))
            except BaseException as error:
                at = _parts.clock() - execution.start
                self._book(i, execution.caught(i, error), at)
                return
            at = _parts.clock() - execution.start
            if not self._alone:
                self._book(i, SUCCEEDED, at)
                return
            # The same as _book, without what there is not.
            core = execution.core
            if self._tasks:
                self._tasks.pop(i, None)
            j = core.turn(i, SUCCEEDED, LOOP, at)
            if j >= 0:
                self._next.append(j)
                self.pump()
            elif core.stopped:
                self.pump()
            elif not core.running:
                self._finish()
        except BaseException as error:
            self._lost(i, error)
            raise

    def _lost(self, i: int, error: BaseException) -> None:
        """End a run one of whose jobs could not be booked: there was no memory for it, perhaps."""
        execution = self.execution
        make_room(error)
        execution.ctx.cancel(error)
        self._tasks.pop(i, None)
        with execution.lock:
            try:
                execution.core.ended(i, CANCELLED, _parts.clock() - execution.start)
            except InvalidTransition:  # it had been booked just before
                pass
        self.pump()

    def _book(self, i: int, outcome: int, at: float) -> None:
        """Note that a job has ended, and go on with what that makes possible."""
        execution = self.execution
        core, ctx = execution.core, execution.ctx
        if execution.observers:
            execution.tell_ended(i, outcome, at)
        failure = execution.errors[i] if outcome == FAILED else None
        self._tasks.pop(i, None)
        with execution.lock:
            j = core.turn(i, outcome, LOOP, at)
            wake = self._mixed and not core.waking and core.wants()
            away = self.port is not None and core.has_ready(AWAY)
        if wake:
            execution.wake()
        if away and self.port is not None:
            self.port.post()
        if failure is not None and core.fail_fast and core.first == i:
            ctx.cancel(failure)
        if failure is not None:
            execution.announce()
        if execution.waiting:
            execution.notify()
        if j >= 0:
            self._next.append(j)
            self.pump()
        elif core.stopped or not core.running:
            self.pump()

    def _cancel_tasks(self) -> None:
        for i, task in tuple(self._tasks.items()):
            if getcoroutinestate(task.get_coro()) == CORO_CREATED:  # type: ignore[arg-type]
                del self._tasks[i]  # the cancellation comes before its first line
                self._take_back(i)
            task.cancel()

    def frame_of(self, i: int) -> FrameType | None:
        """Return the frame of an async job's own function, or None; from any thread."""
        task = self._tasks.get(i)
        coroutine: Any = None if task is None else task.get_coro()
        if coroutine is not None:
            inner = coroutine.cr_await
            while getattr(inner, "cr_code", None) in ENGINE:  # a job with policies
                inner = inner.cr_await
            frame = getattr(inner, "cr_frame", None)
            if frame is not None:
                return frame  # type: ignore[no-any-return]
        for each in sys._current_frames().values():  # it does not await, and blocks the loop
            above: FrameType | None = each
            while above is not None and not self._is_start_of(i, above.f_back):
                above = above.f_back
            if above is not None:
                return above
        return None

    def _is_start_of(self, i: int, frame: FrameType | None) -> bool:
        if frame is None or frame.f_code is not Lane._perform.__code__:
            return False
        return frame.f_locals["i"] == i and frame.f_locals["self"] is self


get_running_loop = asyncio.get_running_loop
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
                thread = _parts.Thread(self._serve, args=(loop,), name="gofer:loop")
                self._loop, self._thread = loop, thread
                try:
                    _parts.start_thread(thread)
                except BaseException:  # no thread to be had; or Ctrl-C, and there is one
                    if not thread.is_alive():
                        self._loop = self._thread = None
                        loop.close()
                    raise
            return self._loop

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        while self._loop is loop:  # whoever stops it, the jobs of others go on
            try:
                loop.run_forever()
            except BaseException as error:  # sys.exit() in a callback, or in a task of a job's own
                _parts.report_unraisable(error, "a callback on gofer's loop failed", loop)
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
