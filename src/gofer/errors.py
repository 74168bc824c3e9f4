"""Every error that Gofer raises, and the one safe way to print somebody else's.

Facts are attributes; the positional arguments of each error are those facts, so all of them
pickle. No message contains a param's contents.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


def describe(error: object) -> str:
    """Return ``TypeName: text`` for any exception, also for one whose ``__str__`` raises.

    Of anything else (what a context was cancelled with) it is the text alone. It is one line, and
    what would move the cursor of a terminal is escaped.
    """
    name = type(error).__name__
    try:
        first_line = str(error).partition("\n")[0]
        if not first_line.isprintable():
            first_line = "".join([c if c.isprintable() else ascii(c)[1:-1] for c in first_line])
        if not isinstance(error, BaseException):
            return first_line
        return f"{name}: {first_line}" if first_line else name
    except BaseException:  # a hostile __str__ may raise anything, SystemExit included
        return f"<unprintable {name}>"


def traceback_of(error: BaseException) -> TracebackType | None:
    """Return an error's traceback, also of one that hides it."""
    try:
        return error.__traceback__
    except KeyboardInterrupt:
        raise
    except BaseException:
        return None


def with_traceback(error: BaseException, trace: TracebackType | None) -> BaseException:
    """Return an error as it was when it was first caught: each raise adds to its traceback."""
    try:
        error.__traceback__ = trace
    except KeyboardInterrupt:
        raise
    except BaseException:  # a hostile setter may raise anything; the traceback is longer then
        return error
    return error


def hint(suggestion: str | None) -> str:
    """Return the end of a sentence that names what was probably meant; nothing for None."""
    return f"; did you mean {suggestion!r}?" if suggestion else ""


class GoferError(Exception):
    """The base of Gofer's own errors."""


class PlanError(GoferError, ValueError):
    """A manager or one of its jobs was refused before anything ran."""


class CycleError(PlanError):
    """Jobs need each other in a circle.

    Attributes:
        cycle: The names along the circle; the first stands again at the end.
    """

    def __init__(self, cycle: tuple[str, ...]) -> None:
        super().__init__(cycle)
        self.cycle = cycle

    def __str__(self) -> str:
        return f"jobs need each other in a circle: {' -> '.join(self.cycle)}"


class UnknownNeedError(PlanError):
    """A job needs a job that the manager does not have.

    Attributes:
        job: The job that was refused.
        need: The name that no job has.
        suggestion: The nearest name of a job in the manager, or None.
    """

    def __init__(self, job: str, need: str, suggestion: str | None = None) -> None:
        super().__init__(job, need, suggestion)
        self.job, self.need, self.suggestion = job, need, suggestion

    def __str__(self) -> str:
        return f"job {self.job!r} needs {self.need!r}, which no job provides{hint(self.suggestion)}"


class UnknownJobError(PlanError, KeyError):
    """Somebody asked a manager for a job that it does not have.

    Attributes:
        job: The name that no job has.
        suggestion: The nearest name of a job in the manager, or None.
    """

    def __init__(self, job: str, suggestion: str | None = None) -> None:
        super().__init__(job, suggestion)
        self.job, self.suggestion = job, suggestion

    def __str__(self) -> str:
        return f"the manager has no job {self.job!r}{hint(self.suggestion)}"


class DuplicateNameError(PlanError):
    """Two jobs of a manager have the same name (after Unicode normalisation).

    Attributes:
        job: The name.
    """

    def __init__(self, job: str) -> None:
        super().__init__(job)
        self.job = job

    def __str__(self) -> str:
        return f"two jobs are named {self.job!r}; give one another name: job(fn, name=...)"


class JobDefinitionError(PlanError, TypeError):
    """A job cannot be one: a generator function, a wrong signature, a bad name.

    Attributes:
        job: The job's name, as far as it is known.
        reason: What is wrong and what to write instead.
    """

    def __init__(self, job: str, reason: str) -> None:
        super().__init__(job, reason)
        self.job, self.reason = job, reason

    def __str__(self) -> str:
        return f"job {self.job!r}: {self.reason}"


class BackendError(PlanError):
    """A backend is none, or cannot be what is asked of it; the message has the way out."""


class LimitError(PlanError):
    """A limit is not a whole number of at least 1.

    Attributes:
        owner: Whose limit it is, such as ``manager 'page'``.
        limit: What was given.
    """

    def __init__(self, owner: str, limit: object) -> None:
        super().__init__(owner, limit)
        self.owner, self.limit = owner, limit

    def __str__(self) -> str:
        return (
            f"{self.owner}: limit must be a whole number of at least 1, or None for no limit; "
            f"got {self.limit!r}"
        )


class PolicyError(PlanError):
    """A policy of a job cannot be: a bad value, or two that don't fit together.

    Attributes:
        job: The job's name.
        reason: What is wrong and what to write instead.
    """

    def __init__(self, job: str, reason: str) -> None:
        super().__init__(job, reason)
        self.job, self.reason = job, reason

    def __str__(self) -> str:
        return f"job {self.job!r}: {self.reason}"


class TypeHintError(PlanError, TypeError):
    """The type hints at the two ends of a need contradict each other.

    Attributes:
        contradictions: One sentence for each need.
    """

    def __init__(self, contradictions: tuple[str, ...]) -> None:
        super().__init__(contradictions)
        self.contradictions = contradictions

    def __str__(self) -> str:
        return "\n".join(self.contradictions)


class FrozenError(GoferError, RuntimeError):
    """A job was added to a manager that has been executed already."""


class GroupClosed(GoferError, RuntimeError):
    """A group was entered twice, or used before its block or after it."""


class RunningLoopError(GoferError, RuntimeError):
    """A blocking call was made on a running event loop; the message has the line to write."""


class InvalidTransition(GoferError, RuntimeError):
    """The core was told something that cannot have happened; nothing was changed."""


class JobTimeout(GoferError, TimeoutError):
    """A job took longer than its own ``timeout``.

    Attributes:
        job: The job's name.
        timeout: Its timeout, in seconds.
    """

    def __init__(self, job: str, timeout: float) -> None:
        super().__init__(job, timeout)
        self.job, self.timeout = job, timeout

    def __str__(self) -> str:
        return f"job {self.job!r} took longer than its timeout of {self.timeout:g} s"


class BreakerOpen(GoferError):
    """A job was not tried: its breaker is open.

    Attributes:
        job: The job's name.
        retry_after: Seconds until the breaker lets a call through, as far as one can tell.
    """

    def __init__(self, job: str, retry_after: float) -> None:
        super().__init__(job, retry_after)
        self.job, self.retry_after = job, retry_after

    def __str__(self) -> str:
        again = f"in {self.retry_after:.3g} s" if self.retry_after else "after the call that tries"
        return (
            f"job {self.job!r} was not tried: its breaker is open, and lets calls through {again}"
        )


class LimitDeadlock(GoferError, RuntimeError):
    """A job needs a limit of which all places are held by jobs that wait for it themselves.

    Attributes:
        job: The job's name.
        limit: The limit's name.
        most: How many places it has.
        holder: The job around this one that holds a place.
    """

    def __init__(self, job: str, limit: str, most: int, holder: str) -> None:
        super().__init__(job, limit, most, holder)
        self.job, self.limit, self.most, self.holder = job, limit, most, holder

    def __str__(self) -> str:
        return (
            f"job {self.job!r} would wait for ever: it runs inside job {self.holder!r}, which "
            f"holds a place of the limit {self.limit!r} (of {self.most}) while it waits for this "
            f"one; take the limit off one of them"
        )


class LockDeadlock(GoferError, RuntimeError):
    """A job waits for a lock that it holds itself, or that a job around it holds.

    Attributes:
        lock: The lock's name.
    """

    def __init__(self, lock: str) -> None:
        super().__init__(lock)
        self.lock = lock

    def __str__(self) -> str:
        return (
            f"ctx.lock({self.lock!r}) would wait for ever: this job holds it already, or a job "
            f"that it runs in does"
        )


class RacesFound(GoferError, AssertionError):
    """Jobs use the same part of a param, one of them writes it, and nothing orders them.

    Attributes:
        races: What each race is, as text; and each write that is lost in a process of its own.
    """

    def __init__(self, races: tuple[str, ...]) -> None:
        super().__init__(races)
        self.races = races

    def __str__(self) -> str:
        return "\n".join(self.races)


class JobSkipped(GoferError):
    """What a ``fallback`` is called with where ``when`` said no; it is never raised.

    Attributes:
        job: The job's name.
    """

    def __init__(self, job: str) -> None:
        super().__init__(job)
        self.job = job

    def __str__(self) -> str:
        return f"job {self.job!r} was skipped: its `when` said no"


class JobPanic(GoferError):
    """A job failed with something that is not an ordinary exception; see ``__cause__``.

    Attributes:
        job: The job's name.
        reason: The original, as text; the original itself is ``__cause__``.
    """

    def __init__(self, job: str, reason: str = "") -> None:
        super().__init__(job, reason)
        self.job, self.reason = job, reason

    def __str__(self) -> str:
        return f"job {self.job!r} panicked: {self.reason}"


class JobCrashed(JobPanic):
    """The process that ran a job died, or was lost with its machine.

    Attributes:
        worker: Which one: ``process 4711``, or the address of a cluster's worker.
        exitcode: What it exited with, or None where nobody knows, or a signal killed it.
        signal: The name of the signal that killed it, such as ``SIGSEGV``, or None.
        stack: Where it stood, as ``faulthandler`` wrote it; empty if it wrote nothing.
    """

    def __init__(
        self,
        job: str,
        worker: str,
        exitcode: int | None = None,
        signal: str | None = None,
        stack: str = "",
    ) -> None:
        Exception.__init__(self, job, worker, exitcode, signal, stack)
        self.job, self.worker, self.exitcode = job, worker, exitcode
        self.signal, self.stack = signal, stack

    @property
    def reason(self) -> str:  # type: ignore[override]
        """How the worker ended, in words."""
        if self.signal is not None:
            memory = ", perhaps for lack of memory" if self.signal == "SIGKILL" else ""
            return f"its worker, {self.worker}, was killed by {self.signal}{memory}"
        how = "is gone" if self.exitcode is None else f"exited with {self.exitcode}"
        return f"its worker, {self.worker}, {how}"

    def __str__(self) -> str:
        stack = f"\n{self.stack.rstrip()}" if self.stack else ""
        return f"job {self.job!r} crashed: {self.reason}{stack}"


class NotPicklable(GoferError, TypeError):
    """Something that should travel to another process, or back, does not pickle.

    Attributes:
        job: The job's name.
        what: What it is to the job, down to the part that does not pickle.
        kind: The name of that part's type.
        reason: What pickle says.
    """

    def __init__(self, job: str, what: str, kind: str, reason: str) -> None:
        super().__init__(job, what, kind, reason)
        self.job, self.what, self.kind, self.reason = job, what, kind, reason

    def __str__(self) -> str:
        return (
            f"job {self.job!r} runs in another process, and {self.what} does not travel: "
            f"{self.kind} does not pickle ({self.reason})"
        )


class ParamIsCopy(GoferError, AttributeError):
    """A job in another process wrote to the param, where nobody would ever see it.

    Attributes:
        job: The job's name.
        path: What it wrote, such as ``param.rows``.
    """

    def __init__(self, job: str, path: str) -> None:
        super().__init__(job, path)
        self.job, self.path = job, path

    def __str__(self) -> str:
        return (
            f"job {self.job!r} wrote to {self.path}, but it runs in another process, where the "
            f"param is a copy; return the value instead: a job that needs {self.job!r}, or the "
            f"caller, can write it"
        )


class RemoteError(GoferError):
    """Stands for an exception of another process that could not be pickled, or not be rebuilt.

    Attributes:
        kind: The name of its type.
        text: The type's name and the text of the original.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind, text)
        self.kind, self.text = kind, text

    def __str__(self) -> str:
        return self.text


class WorkerFailed(GoferError, RuntimeError):
    """No worker process could be started, or it ended before it could take a job.

    Attributes:
        reason: Why, and what to do.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class NotAwaitedError(GoferError, TypeError):
    """A sync job returned something that wants to be awaited.

    Attributes:
        job: The job's name.
        kind: The name of the returned object's type.
    """

    def __init__(self, job: str, kind: str) -> None:
        super().__init__(job, kind)
        self.job, self.kind = job, kind

    def __str__(self) -> str:
        return (
            f"job {self.job!r} returned a {self.kind}: is it async? "
            f"Write `async def` and `return await ...`"
        )


class NoResult(GoferError, KeyError):
    """A job has no result.

    Attributes:
        job: The name that was asked for.
        reason: Why there is none.
    """

    def __init__(self, job: str, reason: str) -> None:
        super().__init__(job, reason)
        self.job, self.reason = job, reason

    def __str__(self) -> str:
        return f"job {self.job!r} has no result: {self.reason}"


class DeadlineExceeded(GoferError, TimeoutError):
    """The deadline of a context has passed."""

    def __init__(self, message: str = "the deadline has passed") -> None:
        super().__init__(message)


class Cancelled(BaseException):  # as asyncio.CancelledError: not an Exception
    """A context was cancelled. A BaseException, so that ``except Exception`` lets it through.

    Attributes:
        cause: What ``Context.cancel`` was given, or None.
    """

    def __init__(self, cause: object = None) -> None:
        super().__init__(cause)
        self.cause = cause

    def __str__(self) -> str:
        if self.cause is None:
            return "the context was cancelled"
        return f"the context was cancelled: {describe(self.cause)}"
