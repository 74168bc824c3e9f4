"""Where the jobs of a run leave for elsewhere: what the ports of all backends have in common."""

from __future__ import annotations

import threading
from contextvars import ContextVar

from gofer.backends._helpers import helpers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

    from gofer.backends._execution import Execution


PLACE: ContextVar[Any] = ContextVar("PLACE", default=None)
"""The place on a cluster's worker that the job here has, or None. It has a method ``give_away``: a
job that waits for a run of its own on a cluster lets others have the place, or they may wait for it
for ever."""


class Outlet:
    """A port whose helper waits at a gate until there is something to see to.

    Attributes:
        place: That of the job which waits for this run.
    """

    loop = None

    def __init__(self) -> None:
        self.place = PLACE.get()
        self._gate = threading.Lock()
        self._gate.acquire()
        self._begun = self._closed = False

    @property
    def port(self) -> Self:
        """Itself: a run without a loop has its port in the place of a lane."""
        return self

    def close(self) -> None:
        """Note that the run is over, or that nobody waits for it any more."""
        self._closed = True
        self._open()

    def _set_off(self, helper: str, serve: Callable[[], object]) -> None:
        """Have a helper serve the run, and give the caller's place away meanwhile."""
        if self.place is not None:
            self.place.give_away()
        helpers.lend(helper, serve)

    def frame_of(self, i: int) -> None:
        """Return None: nothing of a job on another machine can be seen here."""

    def _open(self) -> None:
        try:
            self._gate.release()
        except RuntimeError:  # it is open
            return


def went_on(execution: Execution, *, wake: bool, finished: bool, lane: Any) -> None:
    """Tell everyone what the end of jobs has made possible; not under the run's lock.

    Args:
        execution: The run.
        wake: Whether one more thread is wanted.
        finished: Whether the run is over.
        lane: Who is to look at the run, or None.
    """
    if execution.waiting:
        execution.notify()
    if wake:
        execution.wake()
    if finished:
        execution.finish()
    elif lane is not None:
        lane.post()
