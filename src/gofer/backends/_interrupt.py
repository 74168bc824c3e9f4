"""Ctrl-C and other signals while the main thread executes a run.

Python calls a signal's handler between any two lines of the main thread, and such a line may be one
of Gofer's own, with a job half booked. What a handler raises there, KeyboardInterrupt or another
library's timeout, would leave it so. So while the main thread executes a run, our handler stands
before the program's, calls it, and raises what it raised only where the main thread is in a job or
a group's block. Elsewhere the run is cancelled, and raises it when its jobs have ended. What is no
Exception, as of Ctrl-C and ``sys.exit``, cancels the run in either case, and the second of them
raises where the main thread waits, too.

SIGTERM would end the program with jobs half done. Where the program leaves it to the system, it is
taken like Ctrl-C. When the outermost run has ended it is given back and raised again, so the
program ends as SIGTERM ends one, its jobs stopped before. A second SIGTERM does not wait.
"""

from __future__ import annotations

import _signal as _given  # type: ignore[import-not-found]  # `signal` takes ten times longer
import _thread
import os
import threading
from operator import is_

from gofer import _parts
from gofer._timer import timer
from gofer.backends._execution import Execution
from gofer.backends._frames import CALLS, WAITS
from gofer.errors import BackendError, traceback_of, with_traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

_C: Any = _given
SIGINT, SIGTERM, SIG_DFL = _C.SIGINT, _C.SIGTERM, _C.SIG_DFL
default_int_handler, getsignal, signal = _C.default_int_handler, _C.getsignal, _C.signal

_SIGNALS = [
    getattr(_C, name)
    for name in (
        *("SIGINT", "SIGTERM", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGXCPU"),
        *("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGQUIT", "SIGBREAK"),
    )
    if hasattr(_C, name)
]
"""The signals whose handlers are known to raise: interrupts, timers, and what programs send."""

_A_MOMENT = 0.01  # seconds in which a generator is done with closing
_runs: list[Execution] = []  # those that the main thread executes, outermost first
_theirs: list[Any] = [None] * len(_SIGNALS)  # the handlers that there were at the last look
_ours: list[Any] = [None] * len(_SIGNALS)  # those that stand there while runs go on
_changes: list[tuple[int, Any, Any]] = []  # where the two differ: the signal, ours, theirs
_told: list[int] = []  # the SIGTERM that is to be raised again when these have ended
_PACKAGE = __file__.removesuffix("backends/_interrupt.py").removesuffix("backends\\_interrupt.py")


class _Guard:
    """A handler that stands before one of the program's."""

    __slots__ = ("theirs",)

    def __init__(self, theirs: Any) -> None:
        self.theirs = theirs

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Call the program's handler, and see to what it raises."""
        try:
            self.theirs(signum, frame)
        except BaseException as error:
            if not _runs:  # between two lines of `end`, or left behind by it
                raise
            told = error is _runs[-1].interrupted  # by a guard that theirs has called
            if (told or isinstance(error, Exception)) and _may_raise(frame):
                raise
            # The frame of this handler would keep all that it has interrupted.
            trace = traceback_of(error)
            with_traceback(error, None if trace is None else trace.tb_next)
            _cancel_runs(error, frame)


_WAIT = _parts.wait.__code__
# By name, as they stand on floors above or below.
_WAITERS = {"Context.sleep", "Lock.__enter__"}
"""The functions that leave nothing half done if what they raise comes out of a wait."""
_TRANSPARENT = {
    *("Context.check", "Context.remaining", "Context.cancelled", "Context.cause"),
    *("Context.deadline", "JobHandle.result", "JobHandle.done", "JobHandle.ok", "JobHandle.state"),
    "_Guard.__call__",
}
"""Functions in which nothing is half done: they count as the line that calls them."""
_PULLS = {"_map"}
"""The same, while they wait for a generator of the program's. Not between two lines of their own:
without a GIL, Python 3.13 has left a `with` block there and not ended it."""


def begin(execution: Execution) -> bool:
    """Watch over a run; return whether ``end`` must be called."""
    if not _parts.is_main_thread():
        return False
    try:
        changed = not all(map(is_, map(getsignal, _SIGNALS), _ours if _runs else _theirs))
        if changed:
            _look()
        if changed or not _runs:
            for signum, ours, _ in _changes:
                signal(signum, ours)
    except ValueError:  # in a subinterpreter no thread is the main one
        return False
    _runs.append(execution)
    return True


def end(execution: Execution) -> None:
    """Stop watching over a run. In another thread than ``begin``, the handlers stay behind."""
    _runs.remove(execution)
    if _runs:
        return
    try:
        for signum, ours, theirs in _changes:
            if getsignal(signum) is ours:
                signal(signum, theirs)
        _raise_again()
    except ValueError:  # not the main thread: a generator that was passed on
        return


def _look() -> None:
    """Look which handlers there are, and which of ours are to stand before them."""
    looked = [_pair(signum, getsignal(signum)) for signum in _SIGNALS]
    _changes[:] = [
        (signum, ours, theirs)
        for signum, (ours, theirs) in zip(_SIGNALS, looked, strict=True)
        if ours is not theirs
    ]
    _ours[:] = [ours for ours, _ in looked]
    _theirs[:] = [theirs for _, theirs in looked]  # last: what raises in here has it done again


def _pair(signum: int, handler: Any) -> tuple[Any, Any]:
    """Return which handler is to stand there while runs go on, and which when they have ended."""
    if type(handler) is _Guard:  # of an outer run, or left behind
        return handler, handler.theirs
    if handler is _terminate or (signum == SIGTERM and handler == SIG_DFL):
        return _terminate, SIG_DFL
    return (_Guard(handler) if callable(handler) else handler), handler


def _raise_again() -> None:
    """Raise the SIGTERM that came, which is left to the system again."""
    if _told:
        _told.clear()
        _C.raise_signal(SIGTERM)
        # Only the first process of a container comes here, which the system protects from its own
        # signals: the run raises KeyboardInterrupt then.


def is_of_signal(error: BaseException | None) -> bool:
    """Return whether it is a signal that has cut a run short, which ``check=False`` lets out."""
    return error is not None and not isinstance(error, BackendError)


def is_default() -> bool:
    """Return whether Ctrl-C simply raises KeyboardInterrupt in the main thread."""
    return getsignal(SIGINT) is default_int_handler


def _terminate(signum: int, frame: FrameType | None) -> None:
    # The second one, after Ctrl-C too; or left behind, as above.
    again = bool(_told) or not _runs or _is_stop(_runs[-1].interrupted)
    _told.append(signum)
    if again:
        signal(SIGTERM, SIG_DFL)
        _raise_again()
    else:
        _cancel_runs(KeyboardInterrupt("SIGTERM"), frame)


def _cancel_runs(error: BaseException, frame: FrameType | None) -> None:
    """Cancel what the main thread executes; raise the error where that harms nothing.

    What asks the program to end cancels all; another error cancels the innermost run, and comes out
    of that.
    """
    stops, before = _is_stop(error), _runs[-1].interrupted
    again = stops and _is_stop(before)
    if before is not None and error.__context__ is None:
        error.__context__ = before
    for execution in _runs if stops else _runs[-1:]:
        if not _is_stop(execution.interrupted):
            execution.interrupted = error
        execution.hurried |= again
        execution.ctx.cancel(error)
    may_raise = _may_raise(frame)
    if may_raise:
        for execution in _runs[_begun_outside(frame) :]:
            execution.raised = True
    if may_raise or (again and frame is not None and frame.f_code in WAITS):
        raise error


def _is_stop(error: BaseException | None) -> bool:
    """Return whether an error asks the whole program to end."""
    return error is not None and not isinstance(error, Exception)


def _may_raise(frame: FrameType | None) -> bool:
    """Return whether the innermost frame is a job's or a group's block, and not Gofer's own."""
    theirs = False  # whether some frame was the program's
    while frame is not None:
        code, below = frame.f_code, frame.f_back
        if code in CALLS:
            return True
        if code is _WAIT and below is not None and below.f_code.co_qualname in _WAITERS:
            frame = below
        elif not code.co_filename.startswith(_PACKAGE):
            theirs = True
        elif code.co_qualname not in _TRANSPARENT and not (theirs and code.co_qualname in _PULLS):
            return False
        frame = frame.f_back
    return True


def _begun_outside(frame: FrameType | None) -> int:
    """Return how many runs have been begun outside the job that a frame belongs to, if any.

    An error that is raised in the job leaves those that it has begun itself.
    """
    while frame is not None:
        if frame.f_code in CALLS and (execution := frame.f_locals.get("self")) in _runs:
            return _runs.index(execution) + 1
        frame = frame.f_back
    return 0


def once_more(error: BaseException) -> None:
    """See to what a handler raised while a generator was closed, where nothing can be raised.

    Ctrl-C is repeated; of another error Python's hook is told, as of all that is raised there.
    """
    if isinstance(error, KeyboardInterrupt):
        timer.add(_parts.clock() + _A_MOMENT, _interrupt_main_thread)
    else:
        _parts.report_unraisable(error, "a signal's handler failed", None)


def _interrupt_main_thread() -> None:
    kill = getattr(_C, "pthread_kill", None)  # wakes the main thread, also where it sleeps
    if kill is None:
        _thread.interrupt_main()
    elif callable(getsignal(SIGINT)):  # else it would end the program
        kill(threading.main_thread().ident, SIGINT)


def _renew() -> None:
    """Let a forked process end by SIGTERM: the runs are its parent's."""
    _told.clear()
    if getsignal(SIGTERM) is _terminate:
        signal(SIGTERM, SIG_DFL)


os.register_at_fork(after_in_child=_renew)
