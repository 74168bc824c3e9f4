"""Ctrl-C and SIGTERM while the main thread executes a run.

Python raises KeyboardInterrupt between any two lines of the main thread, and such a line may be
one of Gofer's own, with a job half booked. So while a run is executed in the main thread, and only
if the program has not put its own handler there, the handler is this one: it cancels the run, and
raises only where the main thread is in a job. The second Ctrl-C raises where it waits, too.

SIGTERM would end the program with jobs half done. Where the program leaves it to the system, it is
taken like Ctrl-C. When the outermost run has ended it is given back and raised again, so the
program ends as SIGTERM ends one, its jobs stopped before. A second SIGTERM does not wait.
"""

from __future__ import annotations

import _signal as _given  # type: ignore[import-not-found]  # `signal` takes ten times longer
import _thread
import os
import threading

from gofer import _parts
from gofer._timer import timer
from gofer.backends._execution import Execution
from gofer.backends._frames import CALLS, WAITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

_C: Any = _given
SIGINT, SIGTERM, SIG_DFL = _C.SIGINT, _C.SIGTERM, _C.SIG_DFL
default_int_handler, getsignal, signal = _C.default_int_handler, _C.getsignal, _C.signal

_A_MOMENT = 0.01  # seconds in which a generator is done with closing
_runs: list[Execution] = []  # those that the main thread executes, outermost first
_told: list[int] = []  # the SIGTERM that is to be raised again when these have ended
_PACKAGE = __file__.removesuffix("backends/_interrupt.py").removesuffix("backends\\_interrupt.py")


def begin(execution: Execution) -> bool:
    """Watch over a run; return whether ``end`` must be called."""
    if not _parts.is_main_thread():
        return False
    if not _runs:
        if getsignal(SIGINT) is default_int_handler:
            signal(SIGINT, _handle)
        if getsignal(SIGTERM) == SIG_DFL:
            try:
                signal(SIGTERM, _terminate)
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
        _give_back()
        if getsignal(SIGINT) is _handle:
            signal(SIGINT, default_int_handler)
    except ValueError:  # not the main thread: a generator that was passed on
        return


def _give_back() -> None:
    """Leave SIGTERM to the system again, and raise the one that came."""
    if getsignal(SIGTERM) is _terminate:
        signal(SIGTERM, SIG_DFL)
    if _told:
        _told.clear()
        _C.raise_signal(SIGTERM)
        # Only the first process of a container comes here, which the system protects from its own
        # signals: the run raises KeyboardInterrupt then.


def is_default() -> bool:
    """Return whether Ctrl-C simply raises KeyboardInterrupt in the main thread."""
    return getsignal(SIGINT) is default_int_handler


def _handle(_signum: int, frame: FrameType | None) -> None:
    if not _runs:  # between two lines of `end`, or left behind by it
        raise KeyboardInterrupt
    _cancel_runs(KeyboardInterrupt(), frame)


def _terminate(signum: int, frame: FrameType | None) -> None:
    again = bool(_told) or not _runs  # the second one; or left behind, as above
    _told.append(signum)
    if again:
        _give_back()
    else:
        _cancel_runs(KeyboardInterrupt("SIGTERM"), frame)


def _cancel_runs(error: KeyboardInterrupt, frame: FrameType | None) -> None:
    """Cancel all that the main thread executes; raise the error where that harms nothing."""
    again = _runs[-1].interrupted is not None
    for execution in _runs:
        execution.interrupted = execution.interrupted or error
        execution.hurried = again
        execution.ctx.cancel(error)
    place = _place(frame)
    if place == "block":
        for execution in _runs:
            execution.raised = True
    if place is not None or (again and frame is not None and frame.f_code in WAITS):
        raise error


def _place(frame: FrameType | None) -> str | None:
    """Return whether the innermost frame is a job's or a group's block; None for Gofer's own."""
    while frame is not None:
        if frame.f_code in CALLS:
            return "job"
        if frame.f_code.co_filename.startswith(_PACKAGE):
            return None
        frame = frame.f_back
    return "block"


def once_more() -> None:
    """Repeat a Ctrl-C that came while a generator was closed, where nothing can be raised."""
    timer.add(_parts.clock() + _A_MOMENT, _interrupt_main_thread)


def _interrupt_main_thread() -> None:
    kill = getattr(_C, "pthread_kill", None)  # wakes the main thread, also where it sleeps
    if kill is None:
        _thread.interrupt_main()
    else:
        kill(threading.main_thread().ident, SIGINT)


def _renew() -> None:
    """Let a forked process end by SIGTERM: the runs are its parent's."""
    _told.clear()
    if getsignal(SIGTERM) is _terminate:
        signal(SIGTERM, SIG_DFL)


os.register_at_fork(after_in_child=_renew)
