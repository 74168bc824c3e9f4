"""The note (PEP 678) on an error that leaves a run: whose it is, when it came, what it stopped."""

from __future__ import annotations

from gofer._core.states import CANCELLED, NOT_STARTED, RUNNING
from gofer.errors import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gofer._run import Story

MOST = 5
"""Names in one list."""


class Note(str):
    """A note that Gofer wrote, so that it can be taken off again. It pickles as a plain string.

    Attributes:
        depth: How many runs stand around the one that wrote it.
    """

    depth: int

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)


def add_note(error: BaseException, text: str, depth: int) -> None:
    """Put a note on an error; one that is raised again and again does not collect them.

    A run inside a run has put its own note on the error just before; it has a greater depth, and
    stays. What is of the same depth or less is from an earlier time.
    """
    note = Note(text)
    note.depth = depth
    try:
        notes = getattr(error, "__notes__", None)
        if isinstance(notes, list):
            notes[:] = [n for n in notes if not (isinstance(n, Note) and n.depth <= depth)]
        error.add_note(note)
    except KeyboardInterrupt:
        raise
    except BaseException:  # a hostile error may raise anything; it is raised all the same
        return


def listed(names: Sequence[str]) -> str:
    """Return some names in one line, and how many there are besides."""
    shown = ", ".join([_plain(name) for name in names[:MOST]])
    return shown if len(names) <= MOST else f"{shown} and {len(names) - MOST:,} more"


def _plain(name: str) -> str:
    return name if name.isprintable() else ascii(name)[1:-1]


def of_failure(name: str, at: float, *, run: str) -> str:
    """Return the sentence that every note on a failed job begins with."""
    return f"job {name!r} failed {at:.3f} s after the start of {run}"


def of_attempts(story: Story | None) -> str:
    """Return what is added to that sentence for a job that was tried more than once."""
    if story is None or len(story.attempts) < 2:
        return ""
    first, last = story.attempts[0], story.attempts[-1]
    took = (last.end or last.start) - first.start
    return f", after {len(story.attempts)} attempts in {took:.3f} s"


def undone(
    names: Sequence[str], states: bytearray, chosen: Iterable[int]
) -> tuple[list[str], list[str]]:
    """Return the names of the jobs that a stop has cancelled, and of those that never started.

    Args:
        names: The names of all jobs.
        states: Their states, at the end.
        chosen: The jobs that were part of the run.
    """
    cancelled, idle = [], []
    for i in chosen:
        if states[i] == CANCELLED or states[i] == RUNNING:
            cancelled.append(names[i])
        elif states[i] < RUNNING or states[i] == NOT_STARTED:
            idle.append(names[i])
    return cancelled, idle


def sentence(
    begin: str, cancelled: Sequence[str], idle: Sequence[str], failed: Sequence[str]
) -> str:
    """Return a whole note: how it begins, and what became of the other jobs."""
    parts = [("cancelled", cancelled), ("not started", idle), ("failed too", failed)]
    return "; ".join([begin, *[f"{what}: {listed(which)}" for what, which in parts if which]])


def failed_too(name: str, error: BaseException) -> str:
    """Return how a later failure is told in a note."""
    return f"{_plain(name)} ({describe(error)})"


def raise_alone(failure: BaseException) -> None:
    """Raise a job's error without the refusal that ended the block as its context.

    Not ``from None``, which would take away the cause that the error may have.
    """
    context = failure.__context__
    try:
        raise failure
    finally:
        failure.__context__ = context
        del failure, context
