"""What a run's schedule and a group's intake have in common: three lanes, one limit, one stop.

The drivers in ``backends`` know this class alone, so that a thread or a loop serves a fixed
graph and a growing group with the same code. Nothing here is thread safe: the driver holds its
lock around each call, except around ``cancelled`` and ``pass_on``.
"""

from __future__ import annotations

from gofer._core.states import FAILED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NOTHING = -1
"""What ``take`` answers when no job may start."""

THREADS, LOOP, AWAY = 0, 1, 2
"""The lanes: which world runs a job. A sync job goes to a thread, an async one to the loop, and one
with a backend of another process, of any kind, goes away."""

_OTHERS = ((LOOP, AWAY), (THREADS, AWAY), (THREADS, LOOP))

LAST = float("inf")
"""The ``head`` of a lane in which nothing is ready."""


class Lanes:
    """Ready jobs in lanes, how many run, and whether the run has stopped.

    Attributes:
        limit: How many jobs may run at once, of all lanes together.
        fail_fast: Whether the first failure stops the run.
        running: How many jobs run now.
        failures: The jobs that failed, in the order in which they were told.
        first: The job whose failure is the run's error, or NOTHING; a failure after the run has
            been cancelled is none.
        cut: Whether any job was cancelled, taken back before it began, or came too late.
        passes: Whether ``pass_on`` is worth a try.
        stopped: Whether nothing may start any more. It never becomes false again.
        waking: Whether a thread has been woken that has not arrived yet (see ``wants``).
    """

    started_at: Any

    __slots__ = (
        "cut",
        "fail_fast",
        "failures",
        "first",
        "limit",
        "passes",
        "running",
        "stopped",
        "waking",
    )

    def __init__(self, limit: int, fail_fast: bool) -> None:
        self.limit, self.fail_fast = limit, fail_fast
        self.running = 0
        self.passes = False
        self.failures: list[int] = []
        self.first = NOTHING
        self.cut = False
        self.stopped = False
        self.waking = False

    @property
    def finished(self) -> bool:
        """Whether nothing runs and nothing can start any more; ask it under the lock."""
        raise NotImplementedError

    @property
    def cut_short(self) -> bool:
        """Whether a cancellation, not a failure, has kept the run from doing all it could."""
        if not self.stopped or (self.fail_fast and self.first != NOTHING):
            return False
        failed_afterwards = bool(self.failures) and self.first == NOTHING
        return self.cut or self.unfinished or failed_afterwards

    @property
    def last_end(self) -> float:
        """When the last job that ended did so, in seconds from the start; -inf if none has."""
        raise NotImplementedError

    @property
    def unfinished(self) -> bool:
        """Whether there are jobs that have not ended and still could."""
        raise NotImplementedError

    def head(self, lane: int) -> float:
        """Return the rank of the ready job of a lane that goes first; infinity if there is none."""
        raise NotImplementedError

    def waiting(self, lane: int) -> int:
        """Return how many jobs of a lane are ready, whether they may be taken or not."""
        raise NotImplementedError

    def take(self, lane: int, at: float | None) -> int:
        """Start the next ready job of a lane: return its index, or NOTHING."""
        raise NotImplementedError

    def take_many(self, lane: int, at: float | None, most: int) -> list[int]:
        """Start up to ``most`` ready jobs of a lane, not THREADS; return their indices."""
        taken: list[int] = []
        while len(taken) < most and (i := self.take(lane, at)) != NOTHING:
            taken.append(i)
        return taken

    def ended(self, i: int, outcome: int, at: float) -> None:
        """Note that a running job has ended, with one of ``states.OUTCOMES``.

        Raises:
            InvalidTransition: The job does not run, or that is no outcome; nothing was changed.
        """
        raise NotImplementedError

    def turn(self, i: int, outcome: int, lane: int, at: float) -> int:
        """Note that a job has ended, and take the next of a lane: ``ended`` and ``take`` in one."""
        self.ended(i, outcome, at)
        return self.take(lane, at)

    def pass_on(self, i: int, at: float) -> int:
        """Do ``turn`` for a success in the lane THREADS without the lock; or answer NOTHING.

        NOTHING has changed nothing: call ``turn`` then, under the lock.
        """
        return NOTHING

    def last(self, i: int, outcome: int, lane: int, at: float) -> int:
        """Note that a job has ended, and take no other: ``turn`` for whoever has to leave."""
        self.ended(i, outcome, at)
        return NOTHING

    def has_ready(self, lane: int) -> bool:
        """Return whether ``take`` would answer with a job.

        The last free place belongs to whoever is first over all lanes, so that none starves.
        """
        if self.stopped or self.running >= self.limit:
            return False
        head = self.head(lane)
        if self.running + 1 == self.limit and self._head_beside(lane) < head:
            return False
        return head < LAST

    def _head_beside(self, lane: int) -> float:
        """Return the rank of the first ready job of the other lanes."""
        one, other = _OTHERS[lane]
        return min(self.head(one), self.head(other))

    @property
    def calls(self) -> bool:
        """Whether ``take`` would answer with a job for another world than threads."""
        return self.has_ready(LOOP) or self.has_ready(AWAY)

    def began(self, i: int, at: float) -> None:
        """Note when a job that runs has really begun: it was taken before, and had a way to go."""
        self.started_at[i] = at

    def wants(self) -> bool:
        """Return whether one more thread should be woken now, and note that it will be.

        At most one is on its way at a time; it clears ``waking`` when it arrives, takes a
        job, and asks again. So jobs that end quickly cause no wake-ups, and a job that
        blocks has let the next one be taken care of before it started.
        """
        if self.waking or not self.has_ready(THREADS):
            return False
        self.waking = True
        return True

    def cancelled(self, *, late: bool = False) -> None:
        """Note that the run was cancelled: nothing starts any more. Running jobs go on.

        The one call that needs no lock: a signal handler makes it, perhaps in the very thread
        that holds the lock. It stores flags that never go back.

        Args:
            late: Whether what still runs comes too late even if it ends well, as after a deadline.
        """
        self.stopped = True
        if late and self.running:
            self.cut = True

    def was_due(self, at: float) -> None:
        """Note by when a run that is over had to be: a job that ended since then came too late.

        ``cancelled`` says so as well, but may have been on its way when the last job ended.

        Args:
            at: When, in seconds from the run's start; negative if it had passed already.
        """
        if self.last_end >= max(at, 0.0):
            self.stopped = self.cut = True

    def _note_unhappy(self, i: int, outcome: int) -> None:
        """Note a failure or a cancellation; the first failure of a live run is its error."""
        if outcome == FAILED:
            self.failures.append(i)
            if self.first == NOTHING and not self.stopped:
                self.first = i
        else:
            self.cut = True
        if self.fail_fast or outcome != FAILED:
            self.stopped = True
