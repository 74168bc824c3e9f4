"""The jobs of a group: they come while others run, and are forgotten when they have ended.

A job's number is its place in the order of arrival. The memory is that of the jobs which wait or
run, never of those that have been.
"""

from __future__ import annotations

from collections import deque

from gofer._core.lanes import LAST, LOOP, NOTHING, THREADS, Lanes
from gofer._core.states import LETS_DEPENDENTS_START, OUTCOMES, named
from gofer.errors import InvalidTransition

_NO_LIMIT = 1 << 60


class Intake(Lanes):
    """The state of a group, in integers.

    Attributes:
        came: How many jobs have been added so far, which is the next one's number.
        closed: Whether no more will be added.
        started_at: Number -> seconds from the group's start, of the jobs that run now.
    """

    __slots__ = ("_queues", "came", "closed", "started_at")

    def __init__(self, limit: int | None = None, fail_fast: bool = True) -> None:
        super().__init__(_NO_LIMIT if limit is None else limit, fail_fast)
        self.came = 0
        self.closed = False
        self.started_at: dict[int, float] = {}
        self._queues: tuple[deque[int], deque[int]] = (deque(), deque())

    @property
    def finished(self) -> bool:
        """Whether nothing runs and nothing can start any more."""
        if self.running:
            return False
        return self.stopped or (self.closed and not self._queues[0] and not self._queues[1])

    @property
    def unfinished(self) -> bool:
        """Whether there are jobs that have not ended, or more may come."""
        return bool(self.running or self._queues[0] or self._queues[1] or not self.closed)

    def admits(self) -> bool:
        """Return whether one more job would find a place at once."""
        waiting = len(self._queues[THREADS]) + len(self._queues[LOOP])
        return self.running + waiting < self.limit

    def added(self, lane: int) -> int:
        """Note that a job has come; return its number."""
        i = self.came
        self.came += 1
        self._queues[lane].append(i)
        return i

    def head(self, lane: int) -> float:
        """Return the number of the oldest waiting job of a lane; infinity if there is none."""
        queue = self._queues[lane]
        return queue[0] if queue else LAST

    def take(self, lane: int, at: float) -> int:
        """Start the next ready job of a lane: return its number, or NOTHING."""
        if not self.has_ready(lane):
            return NOTHING
        i = self._queues[lane].popleft()
        self.started_at[i] = at
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
        self.running -= 1
        if outcome not in LETS_DEPENDENTS_START:
            self._note_unhappy(i, outcome)

    def check(self) -> None:
        """Verify every invariant. For tests."""
        assert self.running == len(self.started_at) <= self.limit
        waiting = [*self._queues[THREADS], *self._queues[LOOP]]
        assert len(set(waiting)) == len(waiting)
        assert not set(waiting) & set(self.started_at)
        assert all(i < self.came for i in [*waiting, *self.started_at, *self.failures])
        assert all(list(queue) == sorted(queue) for queue in self._queues)
        assert self.first == NOTHING or self.first == self.failures[0]
        assert not (self.fail_fast and self.failures and not self.stopped)
