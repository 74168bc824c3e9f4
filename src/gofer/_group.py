"""Group and AsyncGroup: jobs that are added while others run."""

from __future__ import annotations

import threading

from gofer import _parts
from gofer._context import Context, current_context
from gofer._core.intake import Intake
from gofer._core.lanes import LOOP, THREADS
from gofer._crew import GroupExecution, JobHandle, lane_of
from gofer._notes import raise_alone
from gofer._program import checked_limit
from gofer.backends import _interrupt, chosen, loop_backend
from gofer.backends.threads import wait, work_and_wait
from gofer.errors import Cancelled, DeadlineExceeded, GroupClosed, RunningLoopError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Callable, Coroutine
    from types import TracebackType
    from typing import Any, ParamSpec, Self, TypeVar, overload

    from gofer.backends import Backend

    P = ParamSpec("P")
    R = TypeVar("R")
else:
    from gofer._job import overload


class _BaseGroup:
    """What both groups share: options, admission, and the one block in which they are open."""

    def __init__(
        self,
        ctx: Context | None = None,
        *,
        limit: int | None = None,
        name: str | None = None,
        fail_fast: bool = True,
        recover: bool = True,
        progress: bool = False,
        backend: str | Backend | None = None,
    ) -> None:
        if ctx is not None and not isinstance(ctx, Context):
            raise TypeError(f"a group's first argument is a Context, not a {type(ctx).__name__}")
        self.name = name
        self._ctx, self._recover = ctx, recover
        self._core = Intake(checked_limit(f"group {name!r}" if name else "group", limit), fail_fast)
        self._execution: GroupExecution | None = None
        self._tolerant, self._progress = False, progress
        self._backend = chosen(backend)
        self._expected: int | None = None  # how many jobs will come, where that is known
        self._quick = limit is None and _parts.HAS_GIL

    def _open(self) -> GroupExecution:
        if self._execution is not None:
            raise GroupClosed("a group is entered once; make a new one for each block")
        self._execution = GroupExecution(
            self._core, self._ctx, self.name, recover=self._recover, tolerant=self._tolerant
        )
        if self._backend is not None:
            self._execution.lane = self._backend.port(self._execution)
        if self._progress:
            self._execution.show(self._expected)
        return self._execution

    def _lane_of(self, fn: Any) -> int:
        return lane_of(fn, away=self._backend is not None)

    @property
    def context(self) -> Context:
        """The jobs' context; cancelling it stops the group. Jobs find it by ``current_context``."""
        if self._execution is None or self._execution.ctx is None:
            raise GroupClosed("a group has a context inside its `with` block only")
        return self._execution.ctx

    @overload
    def try_go(
        self, fn: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> JobHandle[R] | None: ...
    @overload
    def try_go(
        self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> JobHandle[R] | None: ...
    def try_go(self, fn: Any, /, *args: Any, **kwargs: Any) -> JobHandle[Any] | None:
        """Add ``fn(*args, **kwargs)`` if it finds a place at once; never blocks.

        Returns:
            The job's handle, or None at the limit. Errors are those of ``go``.
        """
        return self._admit(self._lane_of(fn), fn, args, kwargs, force=self._inside())

    def _inside(self) -> bool:
        """Return whether a job of this group calls; it must never wait for its own place."""
        ctx = current_context()
        return ctx is not None and ctx._within(self.context)

    def _admit(
        self,
        lane: int,
        fn: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        force: bool = False,
        or_call: Callable[[], object] | None = None,
    ) -> JobHandle[Any] | None:
        """Add a job, or return None at the limit.

        With ``force``, for a job that adds another, the limit does not count: the new one may have
        to wait in line; nor does it matter that the block is over. ``or_call`` is called once, when
        there may be a place again.
        """
        execution, core = self._execution, self._core
        if execution is None or (core.closed and not force):
            raise GroupClosed("a group takes jobs inside its `with` block only")
        if lane == LOOP and execution.lane is None:
            self._need_loop(execution)
        if self._quick and lane == THREADS and core.waking and not core.stopped:
            quick = execution.add_quickly(fn, args, kwargs, force=force)
            if quick is None:
                raise self._refusal(execution)
            return quick
        with execution.lock:
            if core.stopped or (core.closed and not force):
                raise self._refusal(execution)
            if not force and not core.admits():
                if or_call is not None:
                    execution.waiting.append(or_call)
                    if core.stopped:  # only now: a stop tells those who wait, without the lock
                        raise self._refusal(execution)
                return None
            handle = execution.add(lane, fn, args, kwargs)
            wake = core.wants()
        if wake:
            execution.wake()
        if lane != THREADS:
            execution.lane.post()
        return handle

    @staticmethod
    def _refusal(execution: GroupExecution) -> BaseException:
        return Cancelled(None if execution.ctx is None else execution.ctx.cause)

    def _need_loop(self, execution: GroupExecution) -> None:
        loop = loop_backend()
        with execution.lock:
            if execution.lane is None:
                execution.lane = loop.Lane(execution, loop.background_loop())

    def _close(self, error: BaseException | None, *, cut: bool) -> None:
        """Take no more jobs; an error of the block stops those that run. Did the group cut it?"""
        execution = self._running_execution()
        with execution.lock:
            self._core.closed = True
            self._core.cut |= cut
        if error is not None:
            execution.ctx.cancel(error)

    def _running_execution(self) -> GroupExecution:
        assert self._execution is not None  # _open was called: this is the end of the block
        return self._execution

    def _told(self, error: BaseException | None) -> bool:
        """Return whether the block ended because the group had told it to.

        By ``go``, by its context, or by a group inside that is cancelled with it. What the group
        has to raise is what the block is to raise, then.
        """
        return self._core.stopped and isinstance(error, (Cancelled, DeadlineExceeded))

    def _outcome(self, error: BaseException | None) -> BaseException | None:
        """Return what leaves the block instead of its own error, or None for that."""
        execution = self._running_execution()
        interrupted = execution.interrupted
        if isinstance(error, GeneratorExit):  # a map is left: what is raised now would be lost
            if interrupted is not None and not execution.raised:
                _interrupt.once_more(interrupted)
        elif error is None or interrupted is not None or self._told(error):
            return execution.ended()
        execution.ended(of_block=error)
        return None


class Group(_BaseGroup):
    """Runs jobs that are added while others run, in threads; errgroup's shape.

    Leaving the ``with`` block waits for all jobs and raises the first error, the job's own object.
    After a failure no job starts, those that run see their context cancelled, and ``go`` raises.

    Args:
        ctx: Cancellation, deadline and values; None means the context of the job that this runs in,
            if any.
        limit: How many jobs may run or wait at once; None means no limit.
        name: What errors call it.
        fail_fast: Whether the first failure stops the group. If not, one ``ExceptionGroup`` is
            raised at the end, in the order in which the jobs were added.
        recover: Whether a panic becomes a ``JobPanic``.
        progress: Whether to show on a terminal how far it is, as ``JobManager.execute`` does.
        backend: Where the jobs run: ``"processes"``, or a backend such as
            ``ProcessBackend(workers=2)``; None means this process.

    Raises:
        LimitError: The limit is not a whole number of at least 1.
        RunningLoopError: On entering: an event loop runs in this thread.

    Thread safety: jobs may be added from any thread, jobs of the group among them.

    Example:
        >>> with Group(limit=8) as group:
        ...     handles = [group.go(pow, 2, n) for n in range(4)]
        >>> [handle.result() for handle in handles]
        [1, 2, 4, 8]
    """

    def __enter__(self) -> Self:
        if _parts.running_loop() is not None:
            raise RunningLoopError(
                "the end of the block would block the running event loop; "
                "write: async with AsyncGroup(...) as group (or amap for map)"
            )
        self._guarded = _interrupt.begin(self._open())
        return self

    @overload
    def go(
        self, fn: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> JobHandle[R]: ...
    @overload
    def go(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]: ...
    def go(self, fn: Any, /, *args: Any, **kwargs: Any) -> JobHandle[Any]:
        """Add ``fn(*args, **kwargs)`` as a job; block while the limit is reached.

        Called by a job of this very group it never blocks: the new job waits in line, as the one
        that calls has a place already.

        Returns:
            A handle: the job's name, whether it has ended, its result.

        Raises:
            Cancelled: The group has stopped: a job failed, or the context was cancelled. Let it
                out of the block, which raises the job's error in its place.
            GroupClosed: Called before the block or after it.
            JobDefinitionError: ``fn`` cannot be called, or is a generator function.
            RunningLoopError: It would block a running event loop; use ``AsyncGroup``.
        """
        lane = self._lane_of(fn)
        handle = self._admit(lane, fn, args, kwargs, force=self._inside())
        while handle is None:
            if _parts.running_loop() is not None:
                raise RunningLoopError(
                    "go() would block the running event loop at the limit; "
                    "write: async with AsyncGroup(...) as group: await group.go(...)"
                )
            gate = threading.Lock()
            gate.acquire()
            handle = self._admit(lane, fn, args, kwargs, or_call=gate.release)
            if handle is None:
                wait(gate, self._running_execution())
        return handle

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        execution = self._running_execution()
        self._close(error, cut=self._told(error))
        try:
            work_and_wait(execution)
        finally:
            if self._guarded:
                _interrupt.end(execution)
        failure = self._outcome(error)
        try:
            if failure is not None:
                raise_alone(failure)
        finally:
            del failure, error, execution


class AsyncGroup(_BaseGroup):
    """``Group`` for ``async with``: async jobs run on this loop, sync ones in threads.

    The arguments are those of ``Group``. A failure also cancels the block itself, as
    ``asyncio.TaskGroup`` does, so that it does not sit in an ``await`` for nothing.

    Example:
        >>> import asyncio
        >>> async def main():
        ...     async with AsyncGroup(limit=8) as group:
        ...         handles = [await group.go(asyncio.sleep, 0, n) for n in range(3)]
        ...     return [handle.result() for handle in handles]
        >>> asyncio.run(main())
        [0, 1, 2]
    """

    _cancels_block = True

    async def __aenter__(self) -> Self:
        from asyncio import current_task, get_running_loop

        self._loop = get_running_loop()
        execution = self._open()
        execution.lane = loop_backend().Lane(execution, self._loop, port=execution.lane)
        self._block: Task[Any] | None = current_task() if self._cancels_block else None
        self._cancelling = 0 if self._block is None else self._block.cancelling()
        self._cancelled_block = False
        execution.lane.on_stop = self._stopped
        return self

    @overload
    async def go(
        self, fn: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> JobHandle[R]: ...
    @overload
    async def go(
        self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> JobHandle[R]: ...
    async def go(self, fn: Any, /, *args: Any, **kwargs: Any) -> JobHandle[Any]:
        """Add ``fn(*args, **kwargs)`` as a job; wait while the limit is reached. See ``Group.go``.

        Cancellation: a job that still waits for a place is not added.
        """
        lane = self._lane_of(fn)
        handle = self._admit(lane, fn, args, kwargs, force=self._inside())
        while handle is None:
            gate = self._loop.create_future()
            opener = self._opener(gate)
            handle = self._admit(lane, fn, args, kwargs, or_call=opener)
            if handle is None:
                try:
                    await gate
                finally:  # if it was cancelled, nobody has called it
                    self._running_execution().give_up(opener)
        return handle

    def _opener(self, gate: Any) -> Callable[[], None]:
        """Return a function for any thread that completes a future of this loop."""

        def complete() -> None:
            if not gate.done():
                gate.set_result(None)

        def open_gate() -> None:
            try:
                self._loop.call_soon_threadsafe(complete)
            except RuntimeError:  # the loop was closed under the group
                return

        return open_gate

    def _stopped(self) -> None:
        """Cancel the block, once, on the loop; not from a job that fails while ``go`` starts it."""
        from asyncio import current_task

        block = self._block
        if block is None or self._core.closed:
            return
        if current_task() is block:
            self._loop.call_soon(self._stopped)
        elif not self._cancelled_block:
            self._cancelled_block = True
            block.cancel()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        from asyncio import CancelledError

        execution = self._running_execution()
        ours = False
        if self._cancelled_block and self._block is not None:
            # As asyncio.TaskGroup: our own request is taken back; another's goes on.
            ours = self._block.uncancel() <= self._cancelling and isinstance(error, CancelledError)
        self._close(None if ours else error, cut=ours or self._told(error))
        try:
            await execution.lane.run(
                cancelled_before=not ours and isinstance(error, CancelledError)
            )
        except BaseException:
            if execution.over():
                execution.ended()
            elif execution.display is not None:
                execution.display.close()
            raise
        failure = self._outcome(None if ours else error)
        try:
            if failure is not None:
                raise_alone(failure)
        finally:
            self._block = None
            del failure, error, execution
