"""The jobs of a group: they come while others run, and are forgotten when they have ended.

A job's number is its place in the order of arrival. The memory is that of the jobs which wait or
run, never of those that have been.
"""

from __future__ import annotations

from collections import deque

from gofer._core.lanes import LAST, NOTHING, THREADS, Lanes
from gofer._core.states import LETS_DEPENDENTS_START, OUTCOMES, named
from gofer.errors import InvalidTransition

_NO_LIMIT = 1 << 60


class Intake(Lanes):
    """The state of a group, in integers.

    Attributes:
        came: How many jobs have been added so far, which is the next one's number.
        closed: Whether no more will be added.
        started_at: Number -> seconds from the group's start, of the jobs that run now.
        last_end: When the last job that ended did so, in the same seconds; -inf if none has.
    """

    last_end: float  # not a property here
    __slots__ = ("_queues", "came", "closed", "last_end", "started_at")

    def __init__(self, limit: int | None = None, fail_fast: bool = True) -> None:
        super().__init__(_NO_LIMIT if limit is None else limit, fail_fast)
        self.passes = limit is None  # at a limit, somebody may wait for the place
        self.came = 0
        self.closed = False
        self.started_at: dict[int, float] = {}
        self.last_end = -LAST
        self._queues: tuple[deque[int], ...] = (deque(), deque(), deque())

    @property
    def finished(self) -> bool:
        """Whether nothing runs and nothing can start any more."""
        if self.running:
            return False
        return self.stopped or (self.closed and not any(self._queues))

    @property
    def unfinished(self) -> bool:
        """Whether there are jobs that have not ended, or more may come."""
        return bool(self.running or any(self._queues) or not self.closed)

    def admits(self) -> bool:
        """Return whether one more job would find a place at once."""
        return self.running + sum(map(len, self._queues)) < self.limit

    def waiting(self, lane: int) -> int:
        """Return how many jobs of a lane are ready."""
        return len(self._queues[lane])

    def added(self, lane: int) -> int:
        """Note that a job has come; return its number, which was ``came`` before.

        It needs a lock, but not the one around the other calls: whoever ends a job and whoever adds
        one do not meet. The job may be taken before this returns.
        """
        i = self.came
        self.came += 1
        self._queues[lane].append(i)
        return i

    def head(self, lane: int) -> float:
        """Return the number of the oldest waiting job of a lane; infinity if there is none."""
        queue = self._queues[lane]
        try:
            return queue[0] if queue else LAST
        except IndexError:  # ``pass_on`` took the last one between two steps of this line
            return LAST

    def take(self, lane: int, at: float | None) -> int:
        """Start the next ready job of a lane: return its number, or NOTHING."""
        if not self.has_ready(lane):
            return NOTHING
        try:
            i = self._queues[lane].popleft()
        except IndexError:  # likewise
            return NOTHING
        self.started_at[i] = at or 0.0
        self.running += 1
        return i

    def ended(self, i: int, outcome: int, at: float) -> None:
        """Note that a running job has ended, and forget it.

        Raises:
            InvalidTransition: The job does not run, or that is no outcome.
        """
        if i not in self.started_at or outcome not in OUTCOMES:
            state = "is running" if i in self.started_at else "does not run"
            raise InvalidTransition(f"job {i} {state}; it cannot become {named(outcome)}")
        del self.started_at[i]
        if at > self.last_end:  # noqa: PLR1730 - twice as fast as max()
            self.last_end = at
        self.running -= 1
        if outcome not in LETS_DEPENDENTS_START:
            self._note_unhappy(i, outcome)

    def pass_on(self, i: int, at: float) -> int:
        """Do ``turn`` without the lock where that is safe; see ``Lanes.pass_on``.

        As in ``Schedule.pass_on``: the place passes from job to job, one atomic ``popleft`` decides
        who gets the next, and a thread is on its way that will look at what is left.
        """
        if not self.waking or self.stopped or self.running >= self.limit:
            return NOTHING
        try:
            j = self._queues[THREADS].popleft()
        except IndexError:
            return NOTHING
        self.started_at[j] = at
        del self.started_at[i]
        return j

    def taken_back(self, lane: int, i: int) -> bool:
        """Note that a job is not to start after all; return whether it had not started yet."""
        try:
            self._queues[lane].remove(i)
        except ValueError:
            return False
        return True

    def check(self) -> None:
        """Verify every invariant. For tests."""
        assert self.running == len(self.started_at) <= self.limit
        waiting = [i for queue in self._queues for i in queue]
        assert len(set(waiting)) == len(waiting)
        assert not set(waiting) & set(self.started_at)
        assert all(i < self.came for i in [*waiting, *self.started_at, *self.failures])
        assert all(list(queue) == sorted(queue) for queue in self._queues)
        assert self.first == NOTHING or self.first == self.failures[0]
        assert not (self.fail_fast and self.failures and not self.stopped)
