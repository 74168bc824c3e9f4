"""Context: cancellation, a deadline and values, in a tree.

Nothing here takes a lock on the way to being cancelled: ``cancel`` may be called from a signal
handler that interrupts any line of this file in the same thread. What must happen once is
decided by one atomic operation of a dict (``setdefault``, ``pop``, ``popitem``): atomic under the
GIL, and under the dict's own lock on a free-threaded Python.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import partial
from itertools import count
from operator import setitem

from gofer import _parts
from gofer._timer import timer
from gofer.errors import Cancelled, DeadlineExceeded, RunningLoopError, describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gofer._limits import Limit
    from gofer._locks import Lock
    from gofer._timer import Entry

_numbers = count()
_CURRENT: ContextVar[Context | None] = ContextVar("gofer_context", default=None)


class Context:
    """Cancellation, deadline and values of a run; cancelling a parent cancels its children.

    Use it in a ``with`` block, which cancels it at its end so that nothing is left behind.

    Args:
        timeout: Seconds from now until the deadline (a number or a ``timedelta``). None or
            infinity means no deadline; 0 or less means that it has passed already.
        deadline: The same as a time on ``time.monotonic()``; the earlier of the two counts.
        values: What ``value`` answers, for this context and its children.

    Raises:
        ValueError: ``timeout`` or ``deadline`` is NaN.
        TypeError: It is not a number.

    Thread safety: every method may be called from any thread, ``cancel`` from signal handlers too.

    Example:
        >>> with Context(timeout=60, values={"user": 7}) as ctx:
        ...     child = ctx.child(timeout=1)
        ...     ctx.cancel("enough")
        ...     child.cancelled, child.cause, child.value("user")
        (True, 'enough', 7)

    Source: Go's ``context.Context``.
    """

    __slots__ = (
        "__weakref__",
        "_calls",
        "_deadline",
        "_entry",
        "_locks",
        "_number",
        "_outcome",
        "_outer",
        "_parent",
        "_values",
    )

    _deadline: float | None
    _values: Mapping[Any, Any]
    _outer: Context | None  # of a run's own context: that of the job which the run is made in
    _locks: dict[str, Limit] | None  # a run's own context has it, and another once it owns a lock

    def __init__(
        self,
        timeout: Any = None,
        *,
        deadline: float | None = None,
        values: Mapping[Any, Any] | None = None,
    ) -> None:
        self._begin(None, timeout, deadline, values)

    def _begin(self, parent: Context | None, timeout: Any, deadline: Any, values: Any) -> None:
        # _outcome holds at most one entry: {"cause": [cause, whether the deadline was it]}. The
        # list is shared with every context below that it cancelled: see _forget_cause.
        self._outcome: dict[str, list[Any]] = {}
        self._calls: dict[int, Any] = {}  # number -> callback, or weak reference to a child
        self._parent = parent
        self._outer = None
        self._number = next(_numbers)
        self._entry: Entry | None = None
        inherited = None if parent is None else parent._deadline
        own = None
        if timeout is not None or deadline is not None:
            own = _earliest(timeout, deadline)
        self._deadline = inherited
        given: Mapping[Any, Any] = {} if parent is None else parent._values
        self._values = {**given, **values} if values else given
        if parent is not None:
            parent._adopt(self)
        if own is not None and (inherited is None or own < inherited):
            self._deadline = own
            if not self._outcome:  # a child of a cancelled context waits for nothing
                self._watch(own)

    def _watch(self, at: float) -> None:
        if at <= _parts.clock():
            self._expire()
            return

        weak = weakref.ref(self)

        def expire() -> None:
            ctx = weak()
            if ctx is not None:
                ctx._expire()

        entry = self._entry = timer.add(at, expire)
        # Dropped with the context, in no line of Python: what a signal's handler raises in a weak
        # reference's callback, Ctrl-C too, would be lost.
        entry.append(weakref.ref(self, partial(setitem, entry, 2)))

    def _adopt(self, child: Context) -> None:
        calls, number = self._calls, child._number
        calls[number] = weakref.ref(child, partial(calls.pop, number))  # as in `_watch`
        if self.cancelled:
            child._settle(self._outcome["cause"])

    def child(
        self,
        timeout: Any = None,
        *,
        deadline: float | None = None,
        values: Mapping[Any, Any] | None = None,
    ) -> Context:
        """Return a context that is cancelled with this one, and may be so alone and earlier.

        Args and errors are those of the class; a later deadline than this context's own does
        not prolong it, and ``values`` are looked up before this context's.
        """
        child = Context.__new__(Context)
        child._begin(self, timeout, deadline, values)
        return child

    def cancel(self, cause: object = None) -> None:
        """Cancel this context and all below it; the first call decides the cause.

        Returns at once; jobs that run see it in ``cancelled``, async ones are cancelled by
        their loop. Calling it again does nothing.

        Args:
            cause: Why, for whoever asks ``cause``: an exception or anything else.
        """
        self._settle([cause, False])

    def _expire(self) -> None:
        self._settle([DeadlineExceeded(), True])

    def _settle(self, outcome: list[Any]) -> None:
        interrupt: BaseException | None = None
        todo = [self]  # no recursion: a tree may be deeper than the stack
        while todo:
            ctx = todo.pop()
            if ctx._outcome.setdefault("cause", outcome) is not outcome:
                continue
            if ctx._entry is not None:
                timer.drop(ctx._entry)
            if ctx._parent is not None:
                ctx._parent._calls.pop(ctx._number, None)
            while ctx._calls:
                try:
                    _, call = ctx._calls.popitem()
                except KeyError:  # somebody else took the last one
                    break
                if type(call) is weakref.ReferenceType:
                    child = call()
                    if child is not None:
                        todo.append(child)
                    continue
                try:
                    self._tell(call)
                except KeyboardInterrupt as error:  # Ctrl-C in a callback: first all are told
                    interrupt = error
        if interrupt is not None:
            raise interrupt

    @staticmethod
    def _tell(call: Callable[[], object]) -> None:
        try:
            call()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            _parts.report_unraisable(error, "an on_cancel callback failed", call)

    @property
    def _depth(self) -> int:
        """How many runs stand around the run whose own context this is."""
        depth, ctx = 0, self._outer
        while ctx is not None:
            depth, ctx = depth + 1, ctx._outer
        return depth

    def _within(self, other: Context) -> bool:
        """Return whether the run whose context this is was made in a job of another's, or is it."""
        ctx: Context | None = self
        while ctx is not None and ctx is not other:
            ctx = ctx._outer
        return ctx is not None

    def _forget_cause(self) -> None:
        """Keep an error's text instead of the error, here and in all that it cancelled.

        Called when a run is over: the error's traceback holds the jobs' frames, and those hold
        their contexts, so the error would keep itself alive.
        """
        outcome = self._outcome.get("cause")
        if outcome is not None and isinstance(outcome[0], BaseException) and not outcome[1]:
            outcome[0] = describe(outcome[0])

    @property
    def cancelled(self) -> bool:
        """Whether this context is cancelled, by whatever cause, its deadline included."""
        if self._outcome:
            return True
        if self._deadline is None or _parts.clock() < self._deadline:
            return False
        self._expire()  # the timer may be late; the clock decides
        return True

    @property
    def cause(self) -> object:
        """Why it was cancelled; an error, a ``DeadlineExceeded``, what ``cancel`` was given."""
        return self._outcome["cause"][0] if self.cancelled else None

    @property
    def deadline(self) -> float | None:
        """When it will be cancelled, on ``time.monotonic()``, or None."""
        return self._deadline

    def remaining(self) -> float | None:
        """Return the seconds until the deadline (never below 0), or None if there is none."""
        return None if self._deadline is None else max(0.0, self._deadline - _parts.clock())

    def check(self) -> None:
        """Do nothing unless cancelled; call it in long loops of blocking jobs.

        Raises:
            DeadlineExceeded: The deadline has passed (of this context or one above).
            Cancelled: The context was cancelled otherwise.
        """
        if self.cancelled:
            raise self._error()

    @property
    def _by_deadline(self) -> bool:
        """Whether a deadline has cancelled it."""
        return bool(self._outcome["cause"][1])

    def _error(self) -> BaseException:
        return DeadlineExceeded() if self._by_deadline else Cancelled(self._outcome["cause"][0])

    def sleep(self, seconds: float) -> None:
        """Sleep in blocking code; wake at once when cancelled.

        Args:
            seconds: How long; 0 or less only checks.

        Raises:
            DeadlineExceeded, Cancelled: As ``check``, before, during or after the sleep.
            RunningLoopError: Called on a running event loop, which it would freeze.
            ValueError: ``seconds`` is NaN.
        """
        if _parts.running_loop() is not None:
            raise RunningLoopError(
                "ctx.sleep() would freeze the running event loop; write: await asyncio.sleep(s)"
            )
        until = _ahead("seconds", seconds)
        if self._deadline is not None:
            until = min(until, self._deadline)
        self.check()
        gate = threading.Lock()
        gate.acquire()
        forget = self.on_cancel(gate.release)
        try:
            while True:
                left = until - _parts.clock()
                if left <= 0 or _parts.wait(gate, left):
                    break
        finally:
            forget()
        self.check()

    def on_cancel(self, call: Callable[[], object]) -> Callable[[], None]:
        """Have ``call()`` called once, when this context is cancelled; at once if it is already.

        It runs in the thread that cancels, so it must be short and must not block. The context
        must be held by someone: one that nobody holds any more is never cancelled. If it
        raises, ``sys.unraisablehook`` gets the error and the others are still called; a
        KeyboardInterrupt goes on to who cancelled, after them.

        Returns:
            A function that takes the callback back; calling it late or twice is harmless.
        """
        calls, number = self._calls, next(_numbers)
        calls[number] = call
        if self.cancelled and calls.pop(number, None) is not None:
            self._tell(call)
        return lambda: calls.pop(number, None) and None

    def lock(self, name: str) -> Lock:
        """Return the lock of a name, which the jobs of a run share.

        ``with ctx.lock("cart"):`` in plain jobs, ``async with ctx.lock("cart"):`` in async ones;
        first come, first served. A run that is made in a job has locks of its own. The context
        of no run shares its locks with all that stands under the topmost context above it.

        Cancellation: whoever waits leaves when this context is cancelled; ``with`` then raises what
        ``check`` raises.

        Raises:
            LockDeadlock: At its ``with``, in a job that holds the lock already, or inside of one.
            RunningLoopError: A plain ``with`` on a running event loop, which it might freeze.
            TypeError: The name is not text.
        """
        from gofer._locks import lock_of

        return lock_of(self, name)

    def value(self, key: Any, default: Any = None) -> Any:
        """Return the value given for ``key`` here or above, or ``default``."""
        return self._values.get(key, default)

    def __reduce__(self) -> tuple[Callable[[], Context | None], tuple[()]]:
        """Pickle as the context of the job in which it arrives: a context itself stays here."""
        return current_context, ()

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel("its with block has ended")

    def __repr__(self) -> str:
        state = "cancelled" if self.cancelled else "live"
        left = self.remaining()
        return f"<Context {state}>" if left is None else f"<Context {state}, {left:.3f} s left>"


def current_context() -> Context | None:
    """Return the context of the job that calls this, or None outside of jobs.

    A run without a context of its own takes this one as its parent.
    """
    return _CURRENT.get()


def _earliest(timeout: Any, deadline: float | None) -> float | None:
    """Return the earlier of two ways to say a deadline, as a clock reading; None for never."""
    times = []
    if timeout is not None:
        times.append(_ahead("timeout", timeout))
    if deadline is not None:
        times.append(_seconds("deadline", deadline))
    at = min(times)
    return None if at == math.inf else at


def _ahead(name: str, given: Any) -> float:
    """Return the clock reading that is a number of seconds, or a timedelta, ahead."""
    if hasattr(given, "total_seconds"):
        given = given.total_seconds()
    return _seconds(name, given) + _parts.clock()


def _seconds(name: str, given: Any) -> float:
    try:
        seconds = float(given + 0)  # refuses strings, which float() alone would accept
    except OverflowError:
        return math.inf if given > 0 else -math.inf
    except TypeError:
        raise TypeError(f"{name} must be a number of seconds, got {given!r}") from None
    if math.isnan(seconds):
        raise ValueError(f"{name} must be a number of seconds, got NaN")
    return seconds
