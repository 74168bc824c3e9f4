"""Where the jobs of a run leave for elsewhere: what the ports of all backends have in common."""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from gofer.backends._execution import Execution


class Outlet:
    """A port whose helper waits at a gate until there is something to see to."""

    loop = None

    def __init__(self) -> None:
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
