"""What every world shares of one run: its core, its lock, its context, and what a failure means.

Who owns what
    core        guarded by ``lock``; the only calls without it are ``cancelled`` and reading flags
                that never go back
    parked      gates of threads that wait for this run and could work for it; list.append and
                list.pop are atomic, so waking one needs no lock, not even in a signal handler
    desk        around what a thread does under ``lock`` when its job has ended; see ``threads``
    ended_elsewhere
                jobs that ended well while another thread had the desk, which books them
    waiting     likewise, what to call when any job has ended (a group's caller that wants a place)
    out         calls beside their jobs that may go on when those have ended; guarded by ``lock``
    the rest    written by the job's own thread, at the job's own index
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextvars import copy_context

from gofer import _parts
from gofer._context import _CURRENT, Context
from gofer._core.states import CANCELLED, FAILED, SKIPPED
from gofer._timer import timer
from gofer.backends._announcing import Announcer, warn
from gofer.backends._frames import ENGINE, IDENTS, job_frame, place_of, strip
from gofer.errors import Cancelled, DeadlineExceeded, JobPanic, NotAwaitedError, describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gofer._core.lanes import Lanes
    from gofer._run import Attempt
    from gofer._timer import Entry

DEAF_AFTER = 5.0
"""Seconds after a run's stop until the jobs that still run are named in a warning."""


class Skip(BaseException):
    """Raised instead of calling a job whose ``when`` says no; never leaves this package."""


class Execution:
    """One run in progress, of a manager or a group.

    Subclasses say how a job is called, what its name is, and where its result is kept.

    Attributes:
        name_of: Return a job's name.
    """

    name_of: Callable[[int], str]
    param: Any

    __slots__ = (
        "_deaf",
        "_forget",
        "announcer",
        "caller",
        "core",
        "ctx",
        "desk",
        "display",
        "ended_elsewhere",
        "errors",
        "hurried",
        "interrupted",
        "lane",
        "lock",
        "observers",
        "out",
        "parked",
        "raised",
        "recover",
        "refused",
        "snapshot",
        "start",
        "waiting",
        "workers",
    )

    def __init__(
        self,
        core: Lanes,
        ctx: Context | None,
        workers: Any,
        *,
        recover: bool,
        observers: tuple[Any, ...] = (),
    ) -> None:
        """Begin.

        Args:
            core: The schedule or intake that is asked.
            ctx: The caller's context; None means that of the job that this runs in, if any.
            workers: Whoever brings one more thread; a ``_workers.Workers``.
            recover: Whether a panic becomes a ``JobPanic``.
            observers: Who is told.
        """
        self.core, self.workers, self.recover = core, workers, recover
        self.observers = observers
        self.lock = threading.Lock()
        self.desk = threading.Lock()
        self.ended_elsewhere: list[tuple[int, float]] = []
        self.parked: list[Any] = []
        self.waiting: list[Callable[[], object]] = []
        self.out: dict[Any, None] = {}
        self.lane: Any = None
        self.caller: int | None = None
        self.interrupted: BaseException | None = None  # what a signal has it raise at the end
        self.hurried = False  # a second Ctrl-C: do not wait
        self.refused = False  # some thread for it, so whoever is there must look again
        self.raised = False  # that has been raised already, in the block of a group or map
        self.errors: dict[int, BaseException] = {}
        self.display: Any = None  # what shows it on a terminal
        self.announcer: Announcer | None = None  # once a job has failed
        self._deaf: Entry | None = None
        outer = _CURRENT.get()
        parent = outer if ctx is None else ctx
        self.ctx = Context() if parent is None else parent.child()
        self.ctx._outer = outer
        self.ctx._locks = None  # the jobs' locks are this context's: see Context.lock
        self.snapshot = copy_context()
        self.snapshot.run(_CURRENT.set, self.ctx)
        self.start = _parts.clock()
        self._forget = self.ctx.on_cancel(self.stop)

    def call(self, i: int, label: str) -> object:
        """Call a sync job, and keep its result.

        Args:
            i: The job.
            label: What the report calls this thread.
        """
        raise NotImplementedError

    def begin(self, i: int) -> Any:
        """Call an async job; return what is to be awaited."""
        raise NotImplementedError

    def parcel(self, i: int) -> tuple[Any, int, tuple[Any, ...], dict[str, Any]]:
        """Return what a job that goes away calls.

        Returns:
            The function, how many of ``(ctx, param)`` it takes first, and the arguments after them.
        """
        raise NotImplementedError

    def depart(self, i: int) -> Any:
        """Note that a job goes away; return what its observers give it, or None."""
        return None

    def carried(self) -> Any:
        """Return the same for a job that has started, in whose context variables it is called."""
        return None

    def went(self, i: int, label: str) -> None:
        """Note where a job went; ``label_of`` tells it."""
        raise NotImplementedError

    def keep(self, i: int, result: Any) -> None:
        """Keep the result of a job that ran on the loop, or went away."""
        raise NotImplementedError

    def label_of(self, i: int) -> str | None:
        """Return what ``call`` was told of the thread of a job."""
        raise NotImplementedError

    def running(self) -> list[int]:
        """Return the jobs that run now."""
        raise NotImplementedError

    def tell_started(self, i: int) -> None:
        """Tell the observers that a job has begun far away; of others ``call`` tells it."""

    def tell_attempt(self, i: int, attempt: Attempt) -> None:
        """Tell the observers that an attempt of a job with policies has ended."""

    def tell_ended(self, i: int, outcome: int, at: float) -> None:
        """Tell the observers that a job has ended."""

    def came_back(self, call: object) -> None:
        """Note that a call beside its job has ended; that may end the run."""
        with self.lock:
            self.out.pop(call, None)
            over = not self.out and self.core.finished
        if over:
            self.finish()

    def over(self) -> bool:
        """Return whether nothing runs and nothing can start any more; it stays so.

        Under the lock: in the midst of a ``take`` the job is in no line any more, and not yet
        counted among those that run.
        """
        with self.lock:
            return self.core.finished and not self.out

    # -- waking and stopping

    def wake(self) -> None:
        """Bring one more thread to this run: one that waits for it anyway, or another."""
        if not self.unpark():
            self.workers.summon(self)

    def unpark(self) -> bool:
        """Let one thread go on that waits for this run."""
        try:
            gate = self.parked.pop(0)
        except IndexError:
            return False
        gate.release()
        return True

    def notify(self) -> None:
        """Let all go on that wait for some job to end."""
        for _ in range(len(self.waiting)):  # once each, though some may wait again at once
            try:
                self.waiting.pop(0)()
            except IndexError:  # somebody else took the last one
                return

    def give_up(self, call: Callable[[], object]) -> None:
        """Wait no more for some job to end."""
        try:
            self.waiting.remove(call)
        except ValueError:  # it has been called
            return

    def unpark_all(self) -> None:
        """Let all threads go on that wait for this run."""
        for _ in range(len(self.parked)):  # once each: who parks again at once has looked again
            self.unpark()

    def finish(self) -> None:
        """Tell whoever waits for the run that it is over."""
        lane = self.lane  # read once: clear() may come in between
        self.unpark_all()
        if lane is not None:
            lane.post()

    def stop(self) -> None:
        """Start nothing more; called when the context is cancelled, perhaps by a signal handler."""
        ctx = self.ctx  # read once: clear() may come in between
        if ctx is None:  # a deadline that passed just as the run ended
            return
        self.core.cancelled(late=ctx._by_deadline)
        lane = self.lane
        if lane is not None:
            lane.post(force=True)
        self.unpark_all()
        self.notify()
        if self.core.running and self._deaf is None:
            self._deaf = timer.add(_parts.clock() + DEAF_AFTER, self._name_the_deaf)

    def _name_the_deaf(self) -> None:
        for i in self.running():
            where = f" at {place}" if (place := self._place(i)) else ""
            warn(
                f"job {self.name_of(i)!r} still runs{where}, {DEAF_AFTER:g} s after its run was "
                f"stopped, which waits for it; let it call ctx.check() or await something"
            )

    def _place(self, i: int) -> str | None:
        """Return ``file:line`` where a job stands now, or None."""
        with self.lock:
            out = tuple(self.out)
        for call in out:
            if call.is_of(i):
                return call.place()  # type: ignore[no-any-return]
        label, lane = self.label_of(i), self.lane
        if label is not None and label.startswith(("process ", "worker ")):
            return None
        if label == "loop":
            return place_of(None if lane is None else lane.frame_of(i))
        ident = self.caller if label is None else IDENTS.get(label, self.caller)
        return place_of(job_frame(ident))

    # -- failing

    def caught(self, i: int, error: BaseException) -> int:
        """Note what a job raised; return the outcome that this is."""
        # Of a failure the core knows first (see `work`), of a cancellation the context.
        if self.ctx._outcome and not self.core.stopped:
            self.core.cancelled(late=self.ctx._by_deadline)
        strip(error)
        if isinstance(error, Skip):
            return SKIPPED
        if isinstance(error, KeyboardInterrupt) or error is self.interrupted:
            self.interrupted = error
            self.ctx.cancel(error)
            return CANCELLED
        if (self.ctx.cancelled or self.core.stopped) and is_cancellation(error):
            return CANCELLED
        self._keep_error(i, error)
        return FAILED

    def noted(self, i: int, error: BaseException) -> BaseException:
        """Note and announce what a job's fallback stands in for; a panic is a ``JobPanic``."""
        error = self._keep_error(i, error)
        self.announce()
        return error

    def _keep_error(self, i: int, error: BaseException) -> BaseException:
        if is_panic(error):
            error = self._panic(i, error)
        self.errors[i] = error
        if self.announcer is None:
            with self.lock:
                self.announcer = self.announcer or Announcer()
        self.announcer.add(f"job {self.name_of(i)!r} failed: {describe(error)}")
        return error

    def announce(self) -> None:
        """Log the failures that have been noted; called when they are booked, too."""
        if self.announcer is not None:
            self.announcer.speak()

    def _panic(self, i: int, error: BaseException) -> BaseException:
        if not self.recover:
            return error
        panic = JobPanic(self.name_of(i), describe(error))
        panic.__cause__ = error
        return panic

    # -- ending

    def conclude(self) -> BaseException | None:
        """End the context; return what the run has to raise if it was cut short from outside."""
        if self.display is not None:
            self.display.close()
        if self.announcer is not None and not self.hurried:
            self.announcer.end()
        cut_short = self.interrupted
        if (due := self.ctx._deadline) is not None and self.ctx.cancelled and self.ctx._by_deadline:
            self.core.was_due(due - self.start)
        if cut_short is None and self.core.cut_short and self.ctx.cancelled:
            cut_short = self.ctx._error()
        if self.lane is not None and self.lane.port is not None:
            self.lane.port.close()
        if self.core.waking or self in self.workers._wanting:  # somebody is on the way still
            self.workers.dismiss(self)
        self._forget()
        self.ctx.cancel("the run has ended")
        self.ctx._forget_cause()
        if self._deaf is not None:
            timer.drop(self._deaf)
        return cut_short

    def clear(self) -> None:
        """Let go of everything: frames kept by a traceback must not keep results alive."""
        self.errors = self.observers = self.interrupted = self.lane = None  # type: ignore[assignment]
        self.snapshot = self.ctx = self._forget = self._deaf = None  # type: ignore[assignment]


PLAIN = frozenset({type(None), bool, int, float, str, bytes, list, dict, tuple, set})
"""Types of results that need no second look."""


async def _agen() -> Any:
    yield


_AsyncGenerator = type(_agen())


def refuse_awaitable(name: str, value: object) -> None:
    """Do nothing unless a sync job's result, of none of the types in PLAIN, wants to be awaited.

    Raises:
        NotAwaitedError: It does. A coroutine is closed first.
    """
    kind = type(value)
    if hasattr(kind, "__await__") or kind is _AsyncGenerator:
        if kind.__name__ == "coroutine":
            value.close()  # type: ignore[attr-defined]
        raise NotAwaitedError(name, kind.__name__.replace("_", " "))


def is_panic(error: BaseException) -> bool:
    """Return whether an error is not an ordinary exception."""
    return not isinstance(error, Exception) or isinstance(
        error, (StopIteration, StopAsyncIteration)
    )


def is_cancellation(error: BaseException) -> bool:
    """Return whether an error is what a cancellation raises, Gofer's or asyncio's."""
    if isinstance(error, (Cancelled, DeadlineExceeded)):
        return True
    exceptions = sys.modules.get("asyncio.exceptions")
    kind = getattr(exceptions, "CancelledError", None)  # None while it is half imported
    return kind is not None and isinstance(error, kind)


ENGINE.add(refuse_awaitable.__code__)
