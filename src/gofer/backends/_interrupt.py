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
from gofer._context import Context
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

_SLEEPS = {_parts.wait.__code__, Context.sleep.__code__}
_A_MOMENT = 0.01  # seconds in which a generator is done with closing
_runs: list[Execution] = []  # those that the main thread executes, outermost first
_seen: list[Any] = [None] * len(_SIGNALS)  # whose handlers these were, when last looked at
_ours: list[tuple[int, Any, Any]] = []  # a signal, our handler, and the one that it stands for
_theirs: dict[int, Any] = {}  # signal -> the program's handler; kept, as ours may be left behind
_last = [SIGINT]  # the signal by which they were stopped
_told: list[int] = []  # the SIGTERM that is to be raised again when these have ended
_PACKAGE = __file__.removesuffix("backends/_interrupt.py").removesuffix("backends\\_interrupt.py")


def begin(execution: Execution) -> bool:
    """Watch over a run; return whether ``end`` must be called."""
    if not _parts.is_main_thread():
        return False
    if not _runs:
        if not all(map(is_, map(getsignal, _SIGNALS), _seen)):
            _look()
        try:
            for signum, ours, _ in _ours:
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
        for signum, ours, theirs in _ours:
            if getsignal(signum) is ours:
                signal(signum, theirs)
        _raise_again()
    except ValueError:  # not the main thread: a generator that was passed on
        return


def _look() -> None:
    """Note which handlers there are, and which of ours are to stand before them."""
    seen, ours = list(map(getsignal, _SIGNALS)), []
    for signum, handler in zip(_SIGNALS, seen, strict=True):
        if handler is _terminate or (signum == SIGTERM and handler == SIG_DFL):
            ours.append((signum, _terminate, SIG_DFL))
        elif callable(handler):
            if handler is not _handle:  # else it was left behind
                _theirs[signum] = handler
            ours.append((signum, _handle, _theirs[signum]))
    _ours[:] = ours
    _seen[:] = seen  # last: a handler that raises in here has it done again


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


def _handle(signum: int, frame: FrameType | None) -> None:
    """Call the program's handler, and see to what it raises."""
    try:
        _theirs[signum](signum, frame)
    except BaseException as error:
        if not _runs:  # between two lines of `end`, or left behind by it
            raise
        if isinstance(error, Exception) and _place(frame) is not None:  # its own matter
            raise
        # The frame of this handler would keep all that it has interrupted.
        trace = traceback_of(error)
        with_traceback(error, None if trace is None else trace.tb_next)
        _cancel_runs(error, frame, signum)


def _terminate(signum: int, frame: FrameType | None) -> None:
    again = bool(_told) or not _runs  # the second one; or left behind, as above
    _told.append(signum)
    if again:
        signal(SIGTERM, SIG_DFL)
        _raise_again()
    else:
        _cancel_runs(KeyboardInterrupt("SIGTERM"), frame, SIGINT)


def _cancel_runs(error: BaseException, frame: FrameType | None, signum: int) -> None:
    """Cancel all that the main thread executes; raise the error where that harms nothing."""
    again = _is_stop(error) and _is_stop(_runs[-1].interrupted)
    _last[0] = signum
    for execution in _runs:
        if not _is_stop(execution.interrupted):
            execution.interrupted = error
        execution.hurried |= again
        execution.ctx.cancel(error)
    place = _place(frame)
    if place == "block":
        for execution in _runs:
            execution.raised = True
    if place is not None or (again and frame is not None and frame.f_code in WAITS):
        raise error


def _is_stop(error: BaseException | None) -> bool:
    """Return whether an error asks the whole program to end."""
    return error is not None and not isinstance(error, Exception)


def _place(frame: FrameType | None) -> str | None:
    """Return whether the innermost frame is a job's or a group's block; None for Gofer's own.

    In ``ctx.sleep`` nothing is half done, so it counts as the line that calls it.
    """
    while frame is not None and frame.f_code in _SLEEPS:
        frame = frame.f_back
    while frame is not None:
        if frame.f_code in CALLS:
            return "job"
        if frame.f_code.co_filename.startswith(_PACKAGE):
            return None
        frame = frame.f_back
    return "block"


def once_more(error: BaseException) -> None:
    """See to what a handler raised while a generator was closed, where nothing can be raised.

    The signal is repeated if it asks the program to end; of another error Python's hook is told, as
    of all that is raised there.
    """
    if _is_stop(error):
        timer.add(_parts.clock() + _A_MOMENT, _ring_again)
    else:
        _parts.report_unraisable(error, "a signal's handler failed", None)


def _ring_again() -> None:
    kill = getattr(_C, "pthread_kill", None)  # wakes the main thread, also where it sleeps
    if kill is None:
        _thread.interrupt_main(_last[0])
    else:
        kill(threading.main_thread().ident, _last[0])


def _renew() -> None:
    """Let a forked process end by SIGTERM: the runs are its parent's."""
    _told.clear()
    if getsignal(SIGTERM) is _terminate:
        signal(SIGTERM, SIG_DFL)


os.register_at_fork(after_in_child=_renew)
