"""Foreign limits: context managers of somebody else, entered for the time of a call.

A plain one may block, and an async one belongs to an event loop and perhaps to a task. So each is
entered and left in a place of its own, a helper's thread or a task, that does nothing else.
"""

from __future__ import annotations

import threading

from gofer import _parts
from gofer._timer import timer
from gofer.backends import loop_backend
from gofer.backends._announcing import warn
from gofer.backends._execution import DEAF_AFTER
from gofer.backends._helpers import helpers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gofer._timer import Entry
    from gofer.backends._execution import Execution
    from gofer.backends._worlds import Loop, Threads


class Hold:
    """One context manager, being entered, held or left.

    Attributes:
        granted: Whether it has been entered.
        error: What entering it has raised.
        over: Whether it has been left.
    """

    def __init__(
        self, execution: Execution, name: str, manager: Any, wake: Callable[[], object]
    ) -> None:
        self._execution, self._name, self._manager, self._wake = execution, name, manager, wake
        self._deaf: Entry | None = None
        self.granted = False
        self.error: BaseException | None = None
        self.over = False

    def begin(self, loop: Any) -> Hold:
        """Begin to enter it, on a loop or in a thread.

        Args:
            loop: The loop for a manager that is async; None where no loop is.
        """
        raise NotImplementedError

    def leave(self) -> None:
        """Leave it as soon as it has been entered, or give up entering it."""
        raise NotImplementedError

    def _note(self) -> None:
        with self._execution.lock:
            self._execution.out[self] = None

    def _ended(self) -> None:
        self.over = True
        if self._deaf is not None:  # `_give_up` sets it first, and then asks whether it is over
            timer.drop(self._deaf)
        self._execution.came_back(self)
        self._wake()

    def _give_up(self) -> None:
        """Name it in a warning if it is not over soon: the run waits for it."""
        self._deaf = timer.add(_parts.clock() + DEAF_AFTER, self._name_the_deaf)
        if self.over:
            timer.drop(self._deaf)

    def _name_the_deaf(self) -> None:
        warn(
            f"the limit of job {self._name!r}, a {type(self._manager).__name__}, is still being "
            f"entered, {DEAF_AFTER:g} s after the job gave it up; its run waits for it"
        )

    def is_of(self, i: int) -> bool:
        """Return whether it is a call of this job; it never is one."""
        return False


class ThreadHold(Hold):
    """A plain one, in a helper's thread."""

    def begin(self, loop: Any) -> Hold:
        self._gate = threading.Lock()
        self._gate.acquire()
        self._note()
        try:
            helpers.lend("limit", self._serve)
        except RuntimeError as error:
            self.error = error
            self._ended()
        return self

    def _serve(self) -> None:
        try:
            with self._manager:
                self.granted = True
                self._wake()
                self._gate.acquire()
        except BaseException as error:
            self.error = error
        self._ended()

    def leave(self) -> None:
        if not self.granted:
            self._give_up()
        self._gate.release()


class LoopHold(Hold):
    """An async one, in a task of its own."""

    def begin(self, loop: Any) -> Hold:
        self._loop = loop_backend().background_loop() if loop is None else loop
        self._left = False
        self._future: Any = None
        self._task: Any = None
        self._note()
        if _parts.running_loop() is self._loop:
            self._start()
        else:
            self._loop.call_soon_threadsafe(self._start)
        return self

    def _start(self) -> None:
        self._future = self._loop.create_future()
        self._task = self._loop.create_task(self._serve())
        self._task.add_done_callback(lambda _: self._ended())

    async def _serve(self) -> None:
        try:
            async with self._manager:
                self.granted = True
                self._wake()
                await self._future
        except BaseException as error:
            self.error = error

    def leave(self) -> None:
        if not self.granted:
            self._give_up()
        self._loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> None:
        if self.granted and not self._future.done():
            self._future.set_result(None)
        else:
            self._task.cancel()


def hold(execution: Execution, name: str, manager: Any, world: Threads | Loop) -> Hold:
    """Begin to enter a context manager.

    Args:
        execution: The run, which will wait until it has been left.
        name: Of the job.
        manager: The context manager. Of one that is both, async and plain, the world decides.
        world: Of the job, which is woken when it has been entered, or cannot be.

    Raises:
        TypeError: It is none.
    """
    kind = type(manager)
    can_block, can_await = hasattr(kind, "__enter__"), hasattr(kind, "__aenter__")
    if can_await and (world.is_async or not can_block):
        return LoopHold(execution, name, manager, world.wake).begin(world.loop)
    if can_block:
        return ThreadHold(execution, name, manager, world.wake).begin(world.loop)
    raise TypeError(f"a limit must be a context manager, not a {kind.__name__}")
