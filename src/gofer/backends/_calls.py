"""One call of the function of a job with policies; it may go on after it has been left."""

from __future__ import annotations

from contextvars import copy_context

from gofer import _parts
from gofer._context import _CURRENT
from gofer._limits import HELD, Place
from gofer._timer import timer
from gofer.backends._announcing import warn
from gofer.backends._execution import DEAF_AFTER, PLAIN, is_cancellation, refuse_awaitable
from gofer.backends._frames import CALLS, ENGINE, IDENTS, job_frame, place_of, strip
from gofer.errors import Cancelled, DeadlineExceeded, JobTimeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context as Variables
    from typing import Any

    from gofer._context import Context
    from gofer._running import RunExecution
    from gofer._timer import Entry
    from gofer.backends._holds import Hold
    from gofer.policies import Breaker


class Call:
    """One call, and all that must be given back when it has ended.

    Attributes:
        start, end: When, on Gofer's clock; ``end`` is None while it runs.
        value, error: What it came to.
        label: Of the thread in which it runs beside its caller, if it does.
        task: The task in which it does, on the loop.
    """

    __slots__ = (
        "_abandon",
        "_args",
        "_breaker",
        "_ctx",
        "_deaf",
        "_execution",
        "_fn",
        "_guard",
        "_i",
        "_kwargs",
        "_left",
        "_name",
        "_outer",
        "_place",
        "_tickets",
        "_wake",
        "end",
        "error",
        "label",
        "start",
        "task",
        "value",
    )

    def __init__(
        self,
        execution: RunExecution,
        i: int,
        ctx: Context,
        wake: Callable[[], object],
        *,
        place: Place | Hold | None,
        breaker: Breaker | None,
        ticket: int | None,
        guard: Any,
        abandon: bool,
    ) -> None:
        """Prepare a call.

        Args:
            execution: The run.
            i: The job.
            ctx: The call's own context.
            wake: What to call when it has ended.
            place: Its place of a limit.
            breaker: Who is to be told how it went.
            ticket: What the breaker has given for it.
            guard: A foreign breaker: a context manager to be entered around it.
            abandon: Whether the run may be over before it.
        """
        self._execution, self._i, self._ctx, self._wake = execution, i, ctx, wake
        self._name, self._outer = execution.name_of(i), execution.ctx
        self._fn, self._args, self._kwargs = execution.bound(i, ctx)
        self._place, self._breaker, self._guard, self._abandon = place, breaker, guard, abandon
        self._tickets = [ticket]  # taken out once, by whoever comes first: see `tell`
        self.value: Any = None
        self.error: BaseException | None = None
        self.start = _parts.clock()
        self.end: float | None = None
        self.label: str | None = None
        self.task: Any = None
        self._deaf: Entry | None = None
        self._left = False

    def variables(self) -> Variables:
        """Return the context variables for a call beside its caller."""
        copy = copy_context()
        copy.run(_CURRENT.set, self._ctx)
        copy.run(self.hold)
        return copy

    def hold(self) -> Any:
        """Say in this context's variables which place is held; return the token to reset it."""
        held, place = HELD.get(), self._place
        return HELD.set((*held, place) if isinstance(place, Place) else held)

    def note(self) -> None:
        """Have the run wait for this call, beside its caller, unless it may be abandoned."""
        if not self._abandon:
            with self._execution.lock:
                self._execution.out[self] = None

    def run(self) -> None:
        """Call a plain function; never raises."""
        try:
            if self._guard is None:
                self._run()
            else:
                self._run_guarded()
        except BaseException as error:
            self.failed(error)
        self.ended()

    def _run_guarded(self) -> None:
        with self._guard:
            self._run()

    def _run(self) -> None:
        value = self._fn(*self._args, **self._kwargs)
        if type(value) not in PLAIN:
            refuse_awaitable(self._name, value)
        self.value = value

    async def arun(self) -> None:
        """Await an async function; never raises."""
        try:
            if self._guard is None:
                self.value = await self._fn(*self._args, **self._kwargs)
            else:
                with self._guard:
                    self.value = await self._fn(*self._args, **self._kwargs)
        except BaseException as error:
            self.failed(error)
        self.ended()

    def failed(self, error: BaseException) -> None:
        """Note what it raised."""
        strip(error)
        self.error = error

    def ended(self) -> None:
        """Give back what it held, and wake who waits for it."""
        end = _parts.clock()
        self.tell(self.error)
        if self._place is not None:
            self._place.leave()
        if not self._abandon:
            self._execution.came_back(self)
        self.end = end  # from here on it may be forgotten, by whoever waits for it
        if self._deaf is not None:  # only now: `leave` sets it first, and then asks for the end
            timer.drop(self._deaf)
        self._wake()
        if self._left:
            self._clear()

    def forget(self) -> None:
        """Let go of everything, now or when it has ended: nobody asks for it any more."""
        self._left = True
        if self.end is not None:
            self._clear()

    def _clear(self) -> None:
        # Frames that an error's traceback keeps must not keep the run, nor the error itself.
        ctx = self._ctx
        if ctx is not None and ctx is not self._outer:
            ctx._forget_cause()
        self._execution = self._ctx = self._outer = self._fn = None  # type: ignore[assignment]
        self._args = self._kwargs = self.value = self.error = self.task = None  # type: ignore[assignment]

    def tell(self, error: BaseException | None) -> None:
        """Tell the breaker how it went, unless it has been told."""
        try:
            ticket = self._tickets.pop()
        except IndexError:
            return
        if self._breaker is not None and ticket is not None:
            stopped = error is not None and is_cancellation(error) and self._outer.cancelled
            late = isinstance(error, (JobTimeout, DeadlineExceeded))
            if stopped or (late and not isinstance(error, self._breaker.on)):
                error = Cancelled()  # there was no answer that says anything about the service
            self._breaker.ended(ticket, error, _parts.clock())

    def leave(self, why: BaseException) -> str | None:
        """Cancel it, and wait for it no longer.

        Returns:
            Where it stands in its code, ``file:line``, if nobody will wait for it.
        """
        place = (self.place() or "its first line") if self._abandon else None
        self.tell(why)
        self._ctx.cancel(why)
        if self.task is not None:
            self.task.cancel()
        if not self._abandon:
            self._deaf = timer.add(_parts.clock() + DEAF_AFTER, self._name_the_deaf)
            if self.end is not None:
                timer.drop(self._deaf)
        return place if self.end is None else None

    def _name_the_deaf(self) -> None:
        where = f" at {place}" if (place := self.place()) else ""
        warn(
            f"job {self._name!r} still runs{where}, {DEAF_AFTER:g} s after it was given up; its "
            f"run waits for it; let it call ctx.check() or await something, or say abandon=True"
        )

    def place(self) -> str | None:
        """Return ``file:line`` where it stands now, or None."""
        task = self.task  # read once: it is let go of when it ends
        if task is not None:
            inner = task.get_coro().cr_await
            return place_of(getattr(inner, "cr_frame", None))
        return place_of(job_frame(None if self.label is None else IDENTS.get(self.label)))

    def is_of(self, i: int) -> bool:
        """Return whether it is a call of this job."""
        return self._i == i


_FRAMES = {Call._run.__code__, Call._run_guarded.__code__}
CALLS |= _FRAMES
ENGINE |= _FRAMES | {Call.run.__code__, Call.arun.__code__}
