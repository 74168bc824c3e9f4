"""What observers give a job that runs in another process, and how it arrives there.

Nothing but texts travels, so it can be sent in any way; and the observers themselves stay at home:
they hold exporters and locks that could not be sent.
"""

from __future__ import annotations

from gofer import _parts
from gofer.observers import Observer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Carried = list[tuple[str, str, dict[str, str]]]


def pack(observers: Iterable[Observer]) -> Carried:
    """Return what a job's observers give it; empty if nothing.

    Call it in the parent, in the job's own context, after ``job_started``.
    """
    packed: Carried = []
    for observer in observers:
        kind = type(observer)
        try:
            carried = observer.carried()
        except BaseException as error:
            _parts.report_unraisable(error, "an observer's carried failed", observer)
            continue
        if carried:
            packed.append((kind.__module__, kind.__qualname__, carried))
    return packed


def unpack(packed: Carried) -> None:
    """Let it arrive. Call it in the other process, in the context that the job will run in."""
    from importlib import import_module
    from operator import attrgetter

    for module, name, carried in packed:
        try:
            attrgetter(name)(import_module(module)).arrived(carried)
        except BaseException as error:
            _parts.report_unraisable(error, "an observer's arrived failed", name)
