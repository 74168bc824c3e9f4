"""What a group is while it works: its jobs by number, a handle for each, and their one error."""

from __future__ import annotations

import threading

from gofer import _parts
from gofer._context import Context
from gofer._core.intake import Intake
from gofer._core.lanes import AWAY, LOOP, THREADS
from gofer._core.states import (
    CANCELLED,
    FAILED,
    NAMES,
    NOT_STARTED,
    READY,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
)
from gofer._job import FunctionJob
from gofer._notes import add_note, failed_too, of_failure, sentence
from gofer._signature import flags_of, is_async, refuse_generator
from gofer.backends._execution import PLAIN, Execution, refuse_awaitable
from gofer.backends._frames import CALLS, ENGINE
from gofer.backends._workers import workers
from gofer.errors import JobDefinitionError, NoResult, traceback_of, with_traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Generic, TypeVar

    from gofer.observers.progress import Progress

    R_co = TypeVar("R_co", covariant=True)
else:
    from gofer._job import Generic

    R_co = None


class JobHandle(Generic[R_co]):
    """One job of a group: what became of it.

    Attributes:
        args: The positional arguments that it was given.
        state: As in ``JobRecord``.
        error: What it failed with, or None.

    Thread safety: may be read from any thread.
    """

    __slots__ = (
        "_fn",
        "_kwargs",
        "_label",
        "_number",
        "_state",
        "_trace",
        "_value",
        "args",
        "error",
    )

    def __init__(
        self, fn: Callable[..., Any], number: int, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._fn, self._number, self.args, self._kwargs = fn, number, args, kwargs
        self._state = READY
        self._value: Any = None
        self._label: str | None = None
        self.error: BaseException | None = None
        self._trace: TracebackType | None = None

    def _begin(self, label: str) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        self._label = label
        self._state = RUNNING
        return self._fn, self.args, self._kwargs

    @property
    def name(self) -> str:
        """The function's name and the job's place in the group, from 0, as ``fetch[17]``."""
        return f"{base_name(self._fn)}[{self._number}]"

    @property
    def state(self) -> str:
        """The job's state, as a word."""
        return NAMES[self._state]

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not; or never will start."""
        return self._state > RUNNING

    @property
    def ok(self) -> bool:
        """Whether it has ended well."""
        return self._state == SUCCEEDED

    def result(self) -> R_co:
        """Return what the job returned; never blocks.

        Raises:
            BaseException: The job's own error, if it failed.
            NoResult: It has not ended, or was cancelled.
        """
        if self._state == SUCCEEDED:
            return self._value  # type: ignore[no-any-return]
        error = self.error
        if error is None:
            raise NoResult(self.name, f"it is {self.state}")
        trace = self._trace
        try:
            raise with_traceback(error, trace)
        finally:  # the traceback holds this frame, so the handle and the error must not hang on it
            del self, error, trace

    def __repr__(self) -> str:
        return f"<JobHandle {self.name!r} {self.state}>"


def base_name(fn: Any) -> str:
    """Return what a job is called before its number; there is always something."""
    if type(fn) is FunctionJob:
        return fn.name
    for _ in range(20):
        name = getattr(fn, "__name__", None)
        if isinstance(name, str):
            return name
        if not hasattr(fn, "func"):  # a partial has one
            break
        fn = fn.func
    return type(fn).__name__


def lane_of(fn: Any, call: str = "group.go", rest: str = "url", *, away: bool = False) -> int:
    """Return the lane that runs a function which was given to a group.

    Args:
        fn: The function.
        away: Whether the group has a backend of another process.
        call: What the line to write begins with.
        rest: What it has behind the function.

    Raises:
        JobDefinitionError: It cannot be called, or is a generator function.
    """
    if not callable(fn):
        kind = type(fn).__name__
        if kind == "coroutine":
            fn.close()
            wrong = f"{call}(fetch(url)" + (")" if rest == "url" else f", {rest})")
            raise JobDefinitionError(
                kind, f"was called already; write: {call}(fetch, {rest}), not {wrong}"
            )
        raise JobDefinitionError(kind, f"a {kind} cannot be called; write: {call}(fetch, {rest})")
    flags = flags_of(fn)
    if not flags:  # a plain function or a built-in one, as nearly always
        return AWAY if away else THREADS
    if type(fn) is FunctionJob and (fn.policy is not None or fn.backend is not None):
        raise JobDefinitionError(
            fn.name,
            f"has policies or a backend, which a group does not know; "
            f"write: {call}(job.fn, {rest}), and Group(backend=...)",
        )
    refuse_generator(fn, base_name(fn))
    if away:
        return AWAY
    return LOOP if is_async(fn) else THREADS


class GroupExecution(Execution):
    """A group at work: its jobs by number, as long as they have not ended."""

    __slots__ = (
        "_door",
        "cancelled_names",
        "core",
        "expected",
        "failed",
        "handles",
        "name",
        "tolerant",
        "tolerated",
    )

    core: Intake

    def __init__(
        self,
        core: Intake,
        ctx: Context | None,
        name: str | None,
        *,
        recover: bool,
        tolerant: bool = False,
    ) -> None:
        """Begin.

        Args:
            core: Which numbers may start.
            ctx: The caller's context, or None.
            name: The group's name, or None.
            recover: Whether a panic becomes a ``JobPanic``.
            tolerant: Whether a failure is kept by its handle alone, and counts as an end like
                others.
        """
        self.handles: dict[int, JobHandle[Any]] = {}
        self.cancelled_names: list[str] = []
        self.failed: dict[int, tuple[str, float]] = {}  # number -> name, seconds from the start
        self.name, self.tolerant = name, tolerant
        self.tolerated = 0  # failures that only their handles know
        self.expected: int | None = None  # how many jobs will come, where that is known
        self._door = threading.Lock()  # around adding a job; taken inside the run's lock, if both
        super().__init__(core, ctx, workers, recover=recover)

    def add(
        self, lane: int, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> JobHandle[Any]:
        """Put a job in line."""
        with self._door:
            i = self.core.came
            handle = self.handles[i] = JobHandle(fn, i, args, kwargs)  # first: it may start at once
            self.core.added(lane)
        return handle

    def add_quickly(
        self, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, force: bool
    ) -> JobHandle[Any] | None:
        """Put a sync job in line without the run's lock: a thread is on its way, there is no limit.

        A worker that lost the GIL in a locked section, or was given the lock before it had the GIL,
        would make each call of ``go`` wait for two changes of thread.

        Why no job is forgotten: the thread on its way takes ``waking`` back before it looks for
        jobs, and whoever closes or stops the group does so before it looks whether all is done. The
        job was put in line before all three are read here, so either they see it, or it sees them.

        Args:
            fn: What to call.
            args: With which arguments.
            kwargs: With which keyword arguments.
            force: Whether it may be added after the group was closed.

        Returns:
            The job's handle, or None: the group has ended meanwhile.
        """
        core = self.core
        handle = self.add(THREADS, fn, args, kwargs)
        if core.waking and not core.stopped and (force or not core.closed):
            return handle
        with self.lock:
            refused = core.stopped or (core.closed and not force)
            if refused and core.taken_back(THREADS, handle._number):
                del self.handles[handle._number]
                return None
            wake = core.wants()
        if wake:
            self.wake()
        return handle

    def call(self, i: int, label: str) -> None:
        # No local variable for the handle: a failure's traceback keeps this frame alive, and the
        # handle keeps the failure.
        fn, args, kwargs = self.handles[i]._begin(label)
        value = fn(*args, **kwargs) if kwargs else fn(*args)
        if type(value) not in PLAIN:
            refuse_awaitable(self.handles[i].name, value)
        self.keep(i, value)

    def begin(self, i: int) -> Any:
        fn, args, kwargs = self.handles[i]._begin("loop")
        return fn(*args, **kwargs)

    def parcel(self, i: int) -> tuple[Any, int, tuple[Any, ...], dict[str, Any]]:
        fn, args, kwargs = self.handles[i]._begin("away")
        return fn, 0, args, kwargs

    def went(self, i: int, label: str) -> None:
        self.handles[i]._label = label

    def keep(self, i: int, result: Any) -> None:
        handle = self.handles.pop(i)
        handle._value = result
        handle._state = SUCCEEDED  # last: `done` says that the rest is there

    def caught(self, i: int, error: BaseException) -> int:
        outcome = super().caught(i, error)
        handle = self.handles.pop(i)
        if outcome == FAILED:
            handle.error = self.errors[i]
            handle._trace = traceback_of(handle.error)
            if self.tolerant:
                with self.lock:
                    self.tolerated += 1
                del self.errors[i]
                handle._state = FAILED
                return SKIPPED
            self.failed[i] = handle.name, _parts.clock() - self.start
        elif outcome == CANCELLED:
            self.cancelled_names.append(handle.name)
        handle._state = outcome
        return outcome

    def name_of(self, i: int) -> str:
        handle = self.handles.get(i)
        return f"job {i}" if handle is None else handle.name

    def label_of(self, i: int) -> str | None:
        handle = self.handles.get(i)
        return None if handle is None else handle._label

    def running(self) -> list[int]:
        with self.lock:
            return [i for i in list(self.core.started_at) if i in self.handles]

    def progress(self) -> Progress:
        from gofer.observers.progress import Progress

        numbers, now, core = self.running(), _parts.clock() - self.start, self.core
        running = [(self.name_of(i), now - core.started_at.get(i, now)) for i in numbers]
        done, failed = core.came - len(self.handles), len(core.failures) + self.tolerated
        growing = self.expected is None and not core.closed
        total = core.came if self.expected is None else self.expected
        return Progress(self.name, done, total, failed, running, now, growing=growing)

    def show(self, expected: int | None) -> None:
        """Show on a terminal how far it is.

        Args:
            expected: How many jobs will come; None where nobody knows.
        """
        from gofer.observers.progress import watch

        self.expected = expected
        watch(self)

    def ended(self, of_block: BaseException | None = None) -> BaseException | None:
        """Finish; return what the group has to raise, with its note.

        Args:
            of_block: The error that the block itself raised, which goes out; it gets the note.
        """
        took = _parts.clock() - self.start
        depth = self.ctx._depth
        error = self.conclude()
        left = list(self.handles.values())  # another thread may be adding one, to be refused
        idle = [handle.name for handle in left]
        for handle in left:
            handle._state = NOT_STARTED
        whose = f"group {self.name!r}" if self.name else "the group"
        failures = self.core.failures
        if of_block is not None and (self.cancelled_names or idle or failures):
            add_note(of_block, self._note(f"it ended the block of {whose}", idle, failures), depth)
        if error is not None:
            begin = f"{whose} was stopped, and ended after {took:.3f} s"
            add_note(error, self._note(begin, idle, failures), depth)
        elif failures and self.core.fail_fast:
            error = self.errors[failures[0]]
            begin = of_failure(*self.failed[failures[0]], run=whose)
            add_note(error, self._note(begin, idle, failures[1:]), depth)
        elif failures:
            for i in failures:
                add_note(self.errors[i], of_failure(*self.failed[i], run=whose), depth)
            count = f"{len(failures)} of {self.core.came} jobs failed"
            error = BaseExceptionGroup(count, [self.errors[i] for i in sorted(failures)])
        self.handles.clear()
        self.clear()
        return error

    def _note(self, begin: str, idle: list[str], failures: list[int]) -> str:
        later = [failed_too(self.failed[i][0], self.errors[i]) for i in failures]
        return sentence(begin, self.cancelled_names, idle, later)


_FRAMES = {GroupExecution.call.__code__, GroupExecution.begin.__code__}
CALLS |= _FRAMES
ENGINE |= _FRAMES
