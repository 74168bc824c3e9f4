"""One run of a plan: what may start now, what a failure stops, which error is first.

The driver tells what happened, with the time (seconds from the run's start), and takes what
may start. A refused call changes nothing. Nothing here is thread safe: the driver holds
its lock around each call.

    WAITING --last need ended--> READY --take--> RUNNING --ended--> an outcome

Once the run has stopped (a failure with fail_fast, or a cancellation) nothing is taken any
more, and the run is finished when nothing runs.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush

from gofer._core.plan import Plan
from gofer._core.states import (
    CANCELLED,
    FAILED,
    NAMES,
    NOT_STARTED,
    OUTCOMES,
    READY,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    WAITING,
)
from gofer.errors import InvalidTransition

NOTHING = -1
"""What ``take`` answers when no job may start."""

_NEVER = 1 << 60  # added to the count of needs of a job that is not part of the run


class Schedule:
    """The state of one run, in integers.

    Attributes:
        states: Index -> state, one byte each.
        started_at, ended_at: Index -> seconds from the run's start, or None.
        running: How many jobs run now.
        left: How many jobs have not ended and still could.
        failures: The jobs that failed, in the order in which they were told.
        stopped: Whether nothing may start any more.
        waking: Whether a worker has been woken that has not arrived yet (see ``wants``).
    """

    __slots__ = (
        "_first",
        "_later",
        "_pending",
        "ended_at",
        "fail_fast",
        "failures",
        "left",
        "limit",
        "plan",
        "running",
        "selected",
        "started_at",
        "states",
        "stopped",
        "waking",
    )

    def __init__(
        self,
        plan: Plan,
        *,
        limit: int | None = None,
        fail_fast: bool = True,
        only: set[int] | None = None,
    ) -> None:
        """Begin a run.

        Args:
            plan: The compiled graph.
            limit: How many jobs may run at once; None means as many as are ready.
            fail_fast: Whether the first failure stops the run.
            only: The jobs to run, closed under needs; None means all.
        """
        size = plan.size
        self.plan = plan
        self.limit = size + 1 if limit is None else limit
        self.fail_fast = fail_fast
        self.selected = only
        self.states = plan.first_states.copy()
        self.started_at: list[float | None] = [None] * size
        self.ended_at: list[float | None] = [None] * size
        self.running = 0
        self.left = size
        self.failures: list[int] = []
        self.stopped = False
        self.waking = False
        self._pending = plan.need_counts.copy()
        # Roots lie in order, so a queue serves them; what becomes ready later goes to a heap.
        # The smaller index goes first: the manager's order.
        self._first = (deque(plan.roots[0]), deque(plan.roots[1]))
        self._later: tuple[list[int], list[int]] = ([], [])
        if only is not None:
            self._leave_out(only)

    def _leave_out(self, only: set[int]) -> None:
        self.left = len(only)
        for i in range(self.plan.size):
            if i not in only:
                self._pending[i] += _NEVER
                self.states[i] = WAITING
        for first in self._first:
            kept = [i for i in first if i in only]
            first.clear()
            first.extend(kept)

    @property
    def finished(self) -> bool:
        """Whether nothing runs and nothing can start any more."""
        return not self.running and (self.stopped or not self.left)

    def has_ready(self, lane: int) -> bool:
        """Return whether ``take`` would answer with a job."""
        return (
            not self.stopped
            and self.running < self.limit
            and bool(self._first[lane] or self._later[lane])
        )

    def wants(self) -> bool:
        """Return whether one more thread should be woken now, and note that it will be.

        At most one is on its way at a time; it clears ``waking`` when it arrives, takes a
        job, and asks again. So jobs that end quickly cause no wake-ups, and a job that
        blocks has let the next one be taken care of before it started.
        """
        if self.waking or not self.has_ready(0):
            return False
        self.waking = True
        return True

    def take(self, lane: int, at: float) -> int:
        """Start the next ready job of a lane: return its index, or NOTHING."""
        if self.stopped or self.running >= self.limit:
            return NOTHING
        first, later = self._first[lane], self._later[lane]
        if later and (not first or later[0] < first[0]):
            i = heappop(later)
        elif first:
            i = first.popleft()
        else:
            return NOTHING
        self.states[i] = RUNNING
        self.started_at[i] = at
        self.running += 1
        return i

    def ended(self, i: int, outcome: int, at: float) -> None:
        """Note that a running job has ended; make ready what waited for it alone.

        Args:
            i: The job.
            outcome: One of ``states.OUTCOMES``.
            at: When, in seconds from the run's start.

        Raises:
            InvalidTransition: The job does not run, or that is no outcome.
        """
        if self.states[i] != RUNNING or outcome not in OUTCOMES:
            raise InvalidTransition(
                f"job {self.plan.names[i]!r} is {NAMES[self.states[i]]}; it cannot become "
                f"{NAMES[outcome]} now"
            )
        self.states[i] = outcome
        self.ended_at[i] = at
        self.running -= 1
        self.left -= 1
        if outcome == SUCCEEDED or outcome == SKIPPED:
            pending = self._pending
            for j in self.plan.dependents[i]:
                pending[j] -= 1
                if not pending[j]:
                    self.states[j] = READY
                    heappush(self._later[self.plan.lanes[j]], j)
            return
        if outcome == FAILED:
            self.failures.append(i)
        if self.fail_fast or outcome == CANCELLED:
            self.stopped = True
        else:
            self._rule_out_dependents(i)

    def _rule_out_dependents(self, i: int) -> None:
        """What depends on a failed job never starts; the rest goes on."""
        stack = [i]
        while stack:
            for j in self.plan.dependents[stack.pop()]:
                if self.states[j] == WAITING and self._pending[j] < _NEVER:
                    self.states[j] = NOT_STARTED
                    self.left -= 1
                    stack.append(j)

    def cancelled(self) -> None:
        """Note that the run was cancelled: nothing starts any more. Running jobs go on."""
        self.stopped = True

    def final_state(self, i: int) -> int:
        """Return a job's state, where one that never started is NOT_STARTED once over."""
        state = self.states[i]
        return NOT_STARTED if self.finished and state in (WAITING, READY) else state

    def check(self) -> None:
        """Verify every invariant, at O(jobs + needs). For tests."""
        states, plan = self.states, self.plan
        assert self.running == states.count(RUNNING) <= self.limit
        queued = [sorted([*self._first[lane], *self._later[lane]]) for lane in (0, 1)]
        for lane in (0, 1):
            assert queued[lane] == [
                i for i in range(plan.size) if states[i] == READY and plan.lanes[i] == lane
            ]
        for i, needs in enumerate(plan.needs):
            met = sum(states[j] in (SUCCEEDED, SKIPPED) for j in needs)
            assert self._pending[i] % _NEVER == len(needs) - met
            if states[i] not in (WAITING, NOT_STARTED):
                assert met == len(needs)
            started, ended = self.started_at[i], self.ended_at[i]
            assert (started is not None) == (states[i] in OUTCOMES or states[i] == RUNNING)
            assert (ended is not None) == (states[i] in OUTCOMES)
        possible = (WAITING, READY, RUNNING)
        chosen = range(plan.size) if self.selected is None else self.selected
        assert self.left == sum(states[i] in possible for i in chosen)
        assert sorted(self.failures) == [i for i in range(plan.size) if states[i] == FAILED]
        assert not (self.fail_fast and self.failures and not self.stopped)
