"""The clocks of other machines, as far as their messages show how far they are off.

What a worker did happened after the run was sent and before the news of it came. Where its clock
says otherwise, it is moved by as little as is needed, and nothing is later than now: the caller's
wall clock may jump, which is no reason to miss a deadline. Source: Cristian, Probabilistic clock
synchronization (1989), with the bounds alone, as nobody waits for an answer here.
"""

from __future__ import annotations

from gofer import _parts


class Clocks:
    """Worker -> how far its wall clock is ahead. Times are nanoseconds, but for ``at``.

    Args:
        start: When the run began, on the caller's clock.
    """

    def __init__(self, start: int) -> None:
        self._start, self._began = start, _parts.clock()
        self._ahead: dict[str, int] = {}

    def heard(self, worker: str, sent: int, came: int) -> None:
        """Note a message: when it was sent, on the worker's clock, and came, on the caller's."""
        ahead = self._ahead.get(worker, 0)
        self._ahead[worker] = max(ahead, sent - came)

    def at(self, worker: str, time: int) -> float:
        """Return when something was, in seconds from the run's start, on the caller's clock."""
        ahead = self._ahead.get(worker, 0)
        if time - ahead < self._start:
            ahead = self._ahead[worker] = time - self._start
        return min((time - ahead - self._start) / 1e9, _parts.clock() - self._began)
