"""What the command says: results to standard output, all else to standard error.

Tracebacks are shown without Gofer's own frames: they are about the user's code.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from gofer.errors import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from traceback import TracebackException

_OWN_FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")


def show(text: str) -> bool:
    """Print to standard output; return whether nobody lost anything that they wanted."""
    try:
        print(text, flush=True)
    except OSError as error:
        # What is still buffered would fail again at exit, so it goes nowhere.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):  # `gofer run ... | head -1` has enough
            say(f"gofer: standard output: {error}")
            return False
    return True


def say(text: str, keep: str = "") -> None:
    """Print to standard error what may hold names and texts from outside."""
    from gofer.views.text import printable

    with suppress(OSError):  # nobody is left to be told
        print(printable(text, keep), file=sys.stderr, flush=True)


def traceback_of_user(error: BaseException) -> str:
    """Return the traceback with its notes and causes, without the frames of Gofer itself."""
    from traceback import TracebackException

    try:
        shown = TracebackException.from_exception(error, compact=True)
        _leave_out_own_frames(shown)
        return "".join(shown.format()).rstrip("\n")
    except Exception:  # an exception may have hostile attributes; its name is still worth saying
        return describe(error)


def _leave_out_own_frames(shown: TracebackException) -> None:
    left = [shown]
    while left:
        each = left.pop()
        each.stack[:] = [frame for frame in each.stack if _is_of_the_user(frame.filename)]
        left += [other for other in (each.__cause__, each.__context__) if other is not None]
        left += each.exceptions or ()


def _is_of_the_user(filename: str) -> bool:
    import importlib

    machinery = filename.startswith("<frozen importlib") or filename == importlib.__file__
    return not machinery and not filename.startswith(_OWN_FOLDER)


def user_frames(error: BaseException) -> list[tuple[str, int]]:
    """Return file and line of each of the user's frames, the innermost last."""
    frames = []
    at = error.__traceback__
    while at is not None:
        filename = at.tb_frame.f_code.co_filename
        if _is_of_the_user(filename):
            frames.append((filename, at.tb_lineno))
        at = at.tb_next
    return frames


def where(error: BaseException) -> str:
    frames = user_frames(error)
    return f"{frames[-1][0]}, line {frames[-1][1]}: " if frames else ""
