"""Policies: what a job says about its own failing. Values, their checks, and pure arithmetic.

Nothing here waits, reads a clock or draws a number; ``backends._policied`` does what these say.
"""

from __future__ import annotations

import math
import threading

from gofer import _parts
from gofer.errors import JobCrashed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from datetime import timedelta
    from typing import Any, TypedDict

    Guard = AbstractContextManager[Any] | AbstractAsyncContextManager[Any]
    On = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool | float | None]

    class PolicyOptions(TypedDict, total=False):
        """What ``job`` takes besides the name and the needs."""

        timeout: float | timedelta | None
        abandon: bool
        retry: int | Retry | None
        fallback: Callable[[Exception], object] | object
        limit: str | Guard | Callable[[], Guard] | None
        hedge: float | timedelta | str | Hedge | None
        breaker: Breaker | AbstractContextManager[Any] | None
        resources: Mapping[str, float] | None
        priority: int
        idempotent: bool


NOTHING: Any = type("Nothing", (), {"__repr__": lambda _: "<no fallback>"})()
"""Stands for a ``fallback`` that was not given; None is one."""

_ENOUGH = 20  # durations from which a quantile is learnt
_RECENT = 200  # durations that are kept of a job


class Retry:
    """How often a job is tried, for which errors, and how long it waits in between.

    The wait after the n-th failed attempt is at most ``wait_initial * wait_exp_base**(n - 1)``, and
    never more than ``wait_max``.

    Args:
        attempts: How often it is tried in all, the first time included.
        on: What is worth another attempt: a type of exceptions or several; or a function of the
            exception that answers yes, no, or after how many seconds the service wants to be asked
            again, which is obeyed to the letter. A panic is never retried, except for a
            ``JobCrashed``, which always is, unless a function says no.
        wait_initial: Seconds; the longest wait after the first failure.
        wait_max: Seconds; no wait is longer, except where ``on`` says so.
        wait_jitter: None draws each wait between 0 and the longest ("full jitter"), so that many
            callers that failed together don't come back together. A number of seconds adds up
            to so much to the longest instead, as stamina does; 0 makes waits predictable.
        wait_exp_base: By how much the longest wait grows from attempt to attempt.

    Example:
        >>> def when_to_ask_again(error):
        ...     return getattr(error, "retry_after", False)
        >>> Retry(attempts=4, on=when_to_ask_again).attempts
        4

    Source: stamina's vocabulary and formula; full jitter: Brooker, Exponential Backoff And Jitter,
    AWS Architecture Blog (2015).
    """

    __slots__ = ("attempts", "on", "wait_exp_base", "wait_initial", "wait_jitter", "wait_max")

    def __init__(
        self,
        attempts: int = 3,
        *,
        on: On = (ConnectionError, TimeoutError),
        wait_initial: float = 0.05,
        wait_max: float = 5.0,
        wait_jitter: float | None = None,
        wait_exp_base: float = 2.0,
    ) -> None:
        self.attempts, self.on = attempts, on
        self.wait_initial, self.wait_max = wait_initial, wait_max
        self.wait_jitter, self.wait_exp_base = wait_jitter, wait_exp_base

    def wait_after(self, failed: int, chance: float) -> float:
        """Return the seconds to wait after a failed attempt.

        Args:
            failed: How many attempts have failed, at least 1.
            chance: A random number from 0 to 1.
        """
        try:
            longest = self.wait_initial * self.wait_exp_base ** (failed - 1)
        except OverflowError:
            longest = self.wait_max
        if self.wait_jitter is None:
            return chance * min(self.wait_max, longest)
        return min(self.wait_max, longest + chance * self.wait_jitter)

    def pause(self, error: Exception, failed: int, chance: Callable[[], float]) -> float | None:
        """Return the seconds until the next attempt, or None if there is to be none.

        Args:
            error: What the last attempt failed with.
            failed: How many have failed.
            chance: Draws a random number from 0 to 1.
        """
        if failed >= self.attempts:
            return None
        on: Any = self.on
        if isinstance(on, (type, tuple)):
            answer = isinstance(
                error, (on, JobCrashed) if isinstance(on, type) else (*on, JobCrashed)
            )
        else:
            answer = on(error)
        if answer is True:
            return self.wait_after(failed, chance())
        if answer is None or answer is False:
            return None
        return max(0.0, float(answer))

    def problem(self) -> str | None:
        """Return what is wrong with it, or None."""
        if type(self.attempts) is not int or self.attempts < 1:
            return f"attempts must be a whole number of at least 1, got {self.attempts!r}"
        for name in ("wait_initial", "wait_max", "wait_jitter"):
            value = getattr(self, name)
            if not (name == "wait_jitter" and value is None) and not _is_number(value, least=0.0):
                return f"{name} must be a number of seconds, 0 or more, got {value!r}"
        if not _is_number(self.wait_exp_base, least=1.0):
            return f"wait_exp_base must be a number of at least 1, got {self.wait_exp_base!r}"
        if self.wait_initial > self.wait_max:
            return f"wait_initial ({self.wait_initial!r}) is more than wait_max ({self.wait_max!r})"
        on: Any = self.on
        types = on if isinstance(on, tuple) else (on,)
        if not types:
            return "on=() retries nothing; name exceptions, or leave retry out"
        if callable(on) and not isinstance(on, type):
            return None
        for each in types:
            if not isinstance(each, type) or not issubclass(each, Exception):
                return f"on must be types of exceptions, or a function of one; got {each!r}"
        return None

    def __repr__(self) -> str:
        return f"Retry(attempts={self.attempts!r}, on={self.on!r})"


class Hedge:
    """A second call where the first is slow: the first good answer wins, the other is cancelled.

    For jobs that may safely be done twice; to say ``hedge=`` is to say so.

    Args:
        after: Seconds from the start of a call to that of the next; or a quantile, such as
            ``"p95"``: as long as that part of the job's recent attempts took. A quantile is
            learnt from 20 attempts on, of the last 200; before, there is no second call. What is
            slower than it is asked for twice: ``"p95"`` costs at least 5 % more load.
        most: How many calls there are at most, the first included.

    Source: Dean and Barroso, The Tail at Scale, Communications of the ACM 56/2 (2013).
    """

    __slots__ = ("after", "most")

    def __init__(self, after: float | timedelta | str, *, most: int = 2) -> None:
        self.after, self.most = after, most

    @property
    def quantile(self) -> float | None:
        """The part of the attempts that ``after`` names, from 0 to 1; None where it is seconds."""
        if not isinstance(self.after, str) or self.after[:1] != "p":
            return None
        try:
            return float(self.after[1:]) / 100
        except ValueError:
            return None

    def problem(self) -> str | None:
        """Return what is wrong with it, or None."""
        if type(self.most) is not int or self.most < 2:
            return f"most must be a whole number of at least 2, got {self.most!r}"
        if isinstance(self.after, str):
            if self.quantile is not None and 0 < self.quantile < 1:
                return None
        elif seconds(self.after) is not None:
            return None
        return f"after must be a number of seconds above 0, or like 'p95'; got {self.after!r}"

    def __repr__(self) -> str:
        return f"Hedge(after={self.after!r}, most={self.most!r})"


class Durations:
    """How long a job's recent attempts took.

    Thread safety: may be used from any thread; ``append``, a slice and ``del`` of one are atomic on
    a list. A deque that forgets by itself would be simpler, but without a GIL Python 3.13 takes its
    lock anew for each item that is copied, while it holds it: 200 of them took milliseconds.
    """

    __slots__ = ("_recent",)

    def __init__(self) -> None:
        self._recent: list[float] = []

    def add(self, took: float) -> None:
        """Note how long an attempt took that ended well."""
        self._recent.append(took)
        if len(self._recent) > 2 * _RECENT:
            del self._recent[:-_RECENT]

    def quantile(self, part: float) -> float | None:
        """Return a duration that this part of the attempts did not exceed; None if too few."""
        recent = sorted(self._recent[-_RECENT:])
        if len(recent) < _ENOUGH:
            return None
        return recent[math.ceil(part * len(recent)) - 1]


class Breaker:
    """Stops asking a service that fails again and again, and tries it again later.

    Closed, it lets all calls through. After so many failures in a row it opens: calls fail at once
    with ``BreakerOpen`` (or the job's fallback). When it has been open for a time, one call is let
    through (half open): if that ends well the breaker closes, else it is open for as long again.

    Make one for each service, and give it to all jobs that ask it. It is shared by all their runs.

    Args:
        failures: How many calls must fail in a row.
        reset_after: Seconds that it stays open.
        on: Which exceptions count: a type or several. Others count as answers. A cancelled call
            counts as nothing, and so does one that timed out, unless ``TimeoutError`` counts.

    Thread safety: may be used from any threads and event loops at once; it never waits.

    Source: Nygard, Release It! (2007).
    """

    __slots__ = (
        "__weakref__",
        "_count",
        "_lock",
        "_number",
        "_opens_at",
        "_trial",
        "failures",
        "on",
        "reset_after",
    )

    def __init__(
        self,
        failures: int = 5,
        *,
        reset_after: float = 30.0,
        on: type[Exception] | tuple[type[Exception], ...] = Exception,
    ) -> None:
        self.failures, self.reset_after, self.on = failures, reset_after, on
        self._count = 0
        self._number = 0  # of the state; whoever was let through in an earlier one has no say
        self._opens_at: float | None = None  # when a trial is let through; None while closed
        self._renew()
        _parts.renew_after_fork(self)  # the one that tries stays behind

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._trial = False

    @property
    def state(self) -> str:
        """``"closed"``, ``"open"``, or ``"half open"`` while one call decides."""
        at = self._opens_at
        if at is None:
            return "closed"
        return "half open" if self._trial or _parts.clock() >= at else "open"

    def opens_in(self, at: float) -> float:
        """Return the seconds until the next call is let through, as far as one can tell."""
        return max(0.0, (self._opens_at or at) - at)

    def admit(self, at: float) -> int | None:
        """Let a call through: return a ticket for ``ended``, or None if it must not be made.

        Args:
            at: The time, on Gofer's clock.
        """
        with self._lock:
            if self._opens_at is None:
                return self._number
            if self._trial or at < self._opens_at:
                return None
            self._trial = True
            return self._number

    def ended(self, ticket: int, error: BaseException | None, at: float) -> None:
        """Note how a call has ended that was let through.

        Args:
            ticket: What ``admit`` answered.
            error: What it failed with; None if it ended well.
            at: The time.
        """
        with self._lock:
            if ticket != self._number:
                return
            trial, self._trial = self._trial, False
            if error is None or (isinstance(error, Exception) and not isinstance(error, self.on)):
                self._count = 0
                if trial:
                    self._number += 1
                    self._opens_at = None
            elif isinstance(error, Exception):
                self._count += 1
                if trial or self._count >= self.failures:
                    self._number += 1
                    self._opens_at = at + self.reset_after

    def problem(self) -> str | None:
        """Return what is wrong with it, or None."""
        if type(self.failures) is not int or self.failures < 1:
            return f"failures must be a whole number of at least 1, got {self.failures!r}"
        if not _is_number(self.reset_after, least=0.0):
            return f"reset_after must be a number of seconds, 0 or more, got {self.reset_after!r}"
        for each in self.on if isinstance(self.on, tuple) else (self.on,):
            if not isinstance(each, type) or not issubclass(each, Exception):
                return f"on must be types of exceptions, got {each!r}"
        return None

    def __repr__(self) -> str:
        return f"<Breaker {self.state}, {self.failures} failures, {self.reset_after:g} s>"


class Retries:
    """Whether jobs are retried, and whether they wait for it; tests of users change it.

    Thread safety: ``changed`` swaps one tuple for another under a lock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changes: tuple[tuple[object, str], ...] = ()

    def change(self, how: str) -> Callable[[], None]:
        """Switch retries ``"off"``, or make them ``"instant"``; return what takes that back."""
        key = object()
        with self._lock:
            self._changes = (*self._changes, (key, how))

        def take_back() -> None:
            with self._lock:
                self._changes = tuple([each for each in self._changes if each[0] is not key])

        return take_back

    def pause(
        self, retry: Retry, error: Exception, failed: int, chance: Callable[[], float]
    ) -> float | None:
        """Return what ``retry.pause`` says, unless it has been changed; the last change counts."""
        how = self._changes[-1][1] if self._changes else ""
        if how == "off":
            return None
        pause = retry.pause(error, failed, chance)
        return 0.0 if how == "instant" and pause is not None else pause


retries = Retries()


def seconds(given: Any) -> float | None:
    """Return a number of seconds above 0, out of a number or a timedelta; None if it is none."""
    if hasattr(given, "total_seconds"):
        given = given.total_seconds()
    return float(given) if _is_number(given, least=0.0) and given > 0 else None


def _is_number(given: Any, *, least: float) -> bool:
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return False
    return math.isfinite(given) and given >= least
