"""The two worlds in which the policies of a job are driven.

The driver (``_policied``) is a coroutine, written once. On the loop it is awaited. In a thread
each of its waits blocks instead, so it runs to its end in one go.

Everything that a driver waits for calls ``wake``, from any thread, and the driver looks again: a
place of a limit, the end of a call. So there is one way to wait, for news or for a time.
"""

from __future__ import annotations

import threading
from functools import partial

from gofer import _parts
from gofer._limits import HELD
from gofer.backends._helpers import helpers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gofer._running import RunExecution
    from gofer.backends._calls import Call


class Threads:
    """A driver in the thread of a worker, or of the caller."""

    is_async = False

    def __init__(self, execution: RunExecution) -> None:
        self._ctx = execution.ctx
        lane = execution.lane
        self.loop = None if lane is None else lane.loop
        self._gate = threading.Lock()
        self._gate.acquire()
        self.close = self._ctx.on_cancel(self.wake)

    def wake(self) -> None:
        """Let the driver look again."""
        try:
            self._gate.release()
        except RuntimeError:  # it will already
            return

    async def wait(self, until: float | None) -> None:
        """Block until there may be news, or until a time on the clock.

        Raises:
            DeadlineExceeded, Cancelled: The run was stopped.
        """
        self._ctx.check()
        deadline = self._ctx.deadline  # no timer might be there to say that it has passed
        if deadline is not None and (until is None or deadline < until):
            until = deadline
        left = None if until is None else until - _parts.clock()
        if left is None or left > 0:
            _parts.wait(self._gate, left)
            self._ctx.check()

    async def call(self, call: Call) -> None:
        """Make a call, here."""
        token = call.hold()
        call.run()
        HELD.reset(token)

    def spawn(self, call: Call, execution: RunExecution, i: int) -> None:
        """Make a call in a helper's thread.

        Raises:
            RuntimeError: The system gives no more threads.
        """
        run = partial(call.variables().run, call.run)
        call.label = helpers.lend(execution.name_of(i), run)
        execution.threads[i] = call.label


class Loop:
    """A driver in a job's task, on an event loop."""

    is_async = True

    def __init__(self, execution: RunExecution) -> None:
        self.loop = _parts.running_loop()
        self._news = False
        self._future: Any = None

    def close(self) -> None:
        """Do nothing: the loop cancels the driver's task."""

    def wake(self) -> bool:
        """Let the driver look again; return whether it is there: its loop may have been closed."""
        try:
            self.loop.call_soon_threadsafe(self._look)
        except RuntimeError:
            return False
        return True

    def _look(self) -> None:
        self._news = True
        self._due()

    def _due(self) -> None:
        future = self._future
        if future is not None and not future.done():
            future.set_result(None)

    async def wait(self, until: float | None) -> None:
        """Wait until there may be news, or until a time on the clock.

        Raises:
            CancelledError: The run was stopped.
        """
        while not self._news:
            left = None if until is None else until - _parts.clock()
            if left is not None and left <= 0:
                return
            self._future = self.loop.create_future()
            timer = None if left is None else _parts.call_later(self.loop, left, self._due)
            try:
                await self._future
            finally:
                if timer is not None:
                    timer.cancel()
        self._news = False

    async def call(self, call: Call) -> None:
        """Make a call, here."""
        token = call.hold()
        await call.arun()
        HELD.reset(token)

    def spawn(self, call: Call, execution: RunExecution, i: int) -> None:
        """Make a call in a task of its own."""

        def ended(task: Any) -> None:
            if call.end is None:  # it was cancelled before its first line
                try:
                    task.result()
                except BaseException as error:
                    call.failed(error)
                call.ended()

        call.task = self.loop.create_task(
            call.arun(), name=execution.name_of(i), context=call.variables()
        )
        call.task.add_done_callback(ended)
