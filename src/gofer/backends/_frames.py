"""Which frames are Gofer's own, and where a job stands: for tracebacks, warnings and Ctrl-C."""

from __future__ import annotations

import sys

from gofer.errors import traceback_of, with_traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType

ENGINE: set[CodeType] = set()
"""The code of Gofer's frames below a job's own; they are left out of its traceback."""

CALLS: set[CodeType] = set()
"""The code of the functions that do nothing but call a job: what is above them is the job."""

WAITS: set[CodeType] = set()
"""The code of the functions in which a caller waits; a second Ctrl-C ends that."""

IDENTS: dict[str, int] = {}
"""Label of a worker -> the identifier of its thread."""


def job_frame(ident: int | None) -> FrameType | None:
    """Return the frame of a job's own function in a thread, or None while it is in none."""
    frame = None if ident is None else sys._current_frames().get(ident)
    while frame is not None:
        below = frame.f_back  # read once: without a GIL the thread goes on meanwhile
        if below is not None and below.f_code in CALLS:
            return frame
        frame = below
    return None


def place_of(frame: FrameType | None) -> str | None:
    """Return ``file:line`` of a frame, or None."""
    return None if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def strip(error: BaseException) -> None:
    """Take Gofer's own frames off the start of a traceback."""
    whole = trace = traceback_of(error)
    while trace is not None and trace.tb_frame.f_code in ENGINE:
        trace = trace.tb_next
    if trace is not whole:
        with_traceback(error, trace)


def make_room(error: BaseException) -> None:
    """Let go of what a job's frames hold whose MemoryError could not be booked, for want of memory.

    Args:
        error: What was raised instead, with the job's as its context.
    """
    before = error.__context__
    if not isinstance(error, MemoryError) or not isinstance(before, MemoryError):
        return
    trace = traceback_of(before)
    while trace is not None:
        try:
            trace.tb_frame.clear()
        except RuntimeError:  # it still runs
            pass
        trace = trace.tb_next
