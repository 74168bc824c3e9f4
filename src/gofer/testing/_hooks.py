"""What a job meets under a conductor: where it may have to wait, and what is noted of it."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Callable
from typing import Any

from gofer._context import Context
from gofer._core.schedule import Schedule
from gofer._core.states import FAILED, NOT_STARTED
from gofer._limits import Limit
from gofer._program import HAS_POLICY
from gofer.backends._frames import CALLS, ENGINE
from gofer.errors import Cancelled, DeadlineExceeded
from gofer.policies import Breaker
from gofer.testing._conductor import Conductor
from gofer.testing._strands import STOP, Abandoned, is_gofers, mine


class NotStarted(BaseException):
    """Raised instead of calling a job that has been taken when its run had stopped meanwhile.

    A worker takes a job at once, and the job may be made to wait before its first line. Had the
    worker come as late as that, it would not have been given the job any more.
    """


def _starts(conductor: Conductor, execution: Any) -> None:
    core = execution.core
    conductor.point("starts")
    conductor.touch(STOP, write=False)
    if isinstance(core, Schedule) and core.limit < core.plan.size:
        conductor.touch(("places", False, ""), write=True)
    if core.stopped:
        conductor.events[-1:] = []
        conductor.note("is not started any more")
        raise NotStarted


def _ends(conductor: Conductor, execution: Any, how: str) -> None:
    core, strand = execution.core, conductor.running
    strand.is_ending = True
    conductor.point(how)
    strand.is_ending = False
    if isinstance(core, Schedule) and core.limit < core.plan.size:
        conductor.touch(("places", False, ""), write=True)


def _tell(conductor: Conductor) -> None:
    """Note that the job that runs is told of the cancellation of its run."""
    execution, i = conductor.jobs.get(conductor.label, (None, 0))
    if execution is not None and execution.ctx is not None and execution.ctx.cancelled:
        conductor.told.add((execution, i))


def _ended_well(conductor: Conductor, execution: Any, i: int) -> None:
    if (execution, i) in conductor.told and not conductor.closing:
        conductor.hidden.append(execution.name_of(i))


def _play(conductor: Conductor, execution: Any, i: int, call: Callable[[], Any]) -> Any:
    """Call a plain job: it waits to be chosen before it starts, and before its end is booked."""
    labels = conductor.running.labels
    labels.append(conductor.unique(execution.name_of(i)))
    conductor.jobs[conductor.label] = execution, i
    try:
        _starts(conductor, execution)
        result = call()
        _ended_well(conductor, execution, i)
        _ends(conductor, execution, "ends")
        return result
    except (Abandoned, NotStarted):
        raise
    except BaseException as error:
        _ends(conductor, execution, f"raises {type(error).__name__}")
        raise
    finally:
        if labels:
            labels.pop()


@types.coroutine
def _aplay(conductor: Any, execution: Any, i: int, inner: Any) -> Any:
    """Await an async job; the loop lets it be chosen before each of its turns."""
    conductor.jobs[conductor.label] = execution, i
    try:
        conductor.fail_if_planned()
    except BaseException:
        inner.close()
        raise
    conductor.note("starts")
    steps = inner.__await__()
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            awaited = steps.send(value) if error is None else steps.throw(error)
        except StopIteration as stop:
            conductor.note("ends")
            return stop.value
        except BaseException as raised:
            conductor.note(f"raises {type(raised).__name__}")
            raise
        value = error = None
        place = _place_in(inner) if conductor.tell else ""
        try:
            value = yield awaited
        except BaseException as raised:
            error = raised
            if isinstance(raised, asyncio.CancelledError):
                _tell(conductor)
                conductor.note("is cancelled", "", place)
        else:
            conductor.note("goes on", "", place)
            try:
                conductor.fail_if_planned()
            except BaseException as planned:
                error = planned


def _place_in(awaitable: Any) -> str:
    """Return the line at which a coroutine waits, of the innermost one that is the user's."""
    found = ""
    while awaitable is not None:
        frame = getattr(awaitable, "cr_frame", None) or getattr(awaitable, "gi_frame", None)
        if frame is not None and not is_gofers(frame):
            file = frame.f_code.co_filename
            if "asyncio" not in file:
                found = f"{file}:{frame.f_lineno}"
        awaitable = getattr(awaitable, "cr_await", None) or getattr(awaitable, "gi_yieldfrom", None)
    return found


def _has_policy(execution: Any, i: int) -> bool:
    forms = getattr(execution, "forms", None)
    return forms is not None and bool(forms[i] & HAS_POLICY)


def call_of(kind: Any) -> Callable[..., Any]:
    """Return how an execution calls a plain job: once it has been chosen."""
    real = kind.call

    def call(self: Any, i: int, label: str) -> Any:
        conductor = mine()
        if conductor is None:
            return real(self, i, label)
        return _play(conductor, self, i, lambda: real(self, i, label))

    return call


async def _awaited(conductor: Conductor, execution: Any, i: int, inner: Any) -> Any:
    result = await inner
    _ended_well(conductor, execution, i)
    return result


def begin_of(kind: Any) -> Callable[..., Any]:
    """Return how an execution begins an async job."""
    real = kind.begin

    def begin(self: Any, i: int) -> Any:
        conductor = mine()
        inner = real(self, i)
        if conductor is None:
            return inner
        if not _has_policy(self, i):
            inner = _aplay(conductor, self, i, inner)
        return _awaited(conductor, self, i, inner)

    return begin


def bound(self: Any, i: int, ctx: Context, real: Callable[..., Any]) -> Any:
    """Return a job's function for its policies' driver, which may call it in another thread."""
    fn, args, named = real(self, i, ctx)
    conductor = mine()
    if conductor is None:
        return fn, args, named
    if self.program.policies[i].is_async:
        return lambda *a, **k: _aplay(conductor, self, i, fn(*a, **k)), args, named

    def call(*args: Any, **named: Any) -> Any:
        if conductor.label:  # in the thread of the driver, which has been chosen already
            conductor.point("tries")
            return fn(*args, **named)
        return _play(conductor, self, i, lambda: fn(*args, **named))

    return call, args, named


def caught(self: Any, i: int, error: BaseException, real: Callable[..., int]) -> int:
    """Stand for ``Execution.caught``."""
    if isinstance(error, NotStarted):
        return NOT_STARTED
    outcome = real(self, i, error)
    conductor = mine()
    if conductor is not None and outcome == FAILED:
        conductor.touch(STOP, write=True)
    return outcome


def asked(real: Callable[..., Any], verb: str, *, write: bool = False) -> Callable[..., Any]:
    """Return a method of contexts before which a job that calls it may have to wait."""

    def method(self: Context, *args: Any) -> Any:
        conductor = mine()
        if conductor is None or not conductor.label or is_gofers(sys._getframe(1)):
            return real(self, *args)
        conductor.point(verb)
        conductor.touch(STOP, write=write)
        try:
            answer = real(self, *args)
        except (Cancelled, DeadlineExceeded):
            _tell(conductor)
            raise
        if args and not write:
            conductor.note("goes on")
            conductor.fail_if_planned()
        return answer

    return method


def of_limit(real: Callable[..., Any], verb: str) -> Callable[..., Any]:
    """Return a method of limits before which a job may have to wait."""

    def method(self: Limit, *args: Any) -> Any:
        conductor = mine()
        if conductor is not None and conductor.label:
            if verb:
                conductor.point(verb, self.name)
            conductor.touch(("limit", False, self.name), write=True)
            conductor.touch(STOP, write=False)
        return real(self, *args)

    return method


def of_breaker(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of breakers, of which it is noted that it is used."""

    def method(self: Breaker, *args: Any) -> Any:
        conductor = mine()
        if conductor is not None:
            conductor.touch(("breakers", False, ""), write=True)
        return real(self, *args)

    return method


_CODES = {each.__code__ for each in (_play, _aplay, _awaited)}
CALLS |= _CODES
ENGINE |= _CODES
