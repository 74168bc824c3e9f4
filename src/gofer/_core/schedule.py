"""One run of a plan: what may start now, what a failure stops, which error is first.

The driver tells what happened, with the time (seconds from the run's start), and takes what
may start. A refused call changes nothing.

    WAITING --last need ended--> READY --take--> RUNNING --ended--> an outcome

Once the run has stopped (a failure with fail_fast, or a cancellation) nothing is taken any
more, and the run is finished when nothing runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush

from gofer._core.lanes import AWAY, LAST, LOOP, NOTHING, THREADS, Lanes
from gofer._core.plan import Plan
from gofer._core.states import (
    FAILED,
    LETS_DEPENDENTS_START,
    NAMES,
    NOT_STARTED,
    OUTCOMES,
    READY,
    RUNNING,
    SUCCEEDED,
    WAITING,
    named,
)
from gofer.errors import InvalidTransition

_NEVER = 1 << 60  # added to the count of needs of a job that is not part of the run


class Schedule(Lanes):
    """The state of one run, in integers.

    Attributes:
        states: Index -> state, one byte each.
        started_at, ended_at: Index -> seconds from the run's start, or None.
    """

    _by_rank: Sequence[int] | None
    _ranks: list[int] | None

    __slots__ = (
        "_by_rank",
        "_first",
        "_later",
        "_pending",
        "_ranks",
        "ended_at",
        "plan",
        "selected",
        "started_at",
        "states",
    )

    def __init__(
        self,
        plan: Plan,
        *,
        limit: int | None = None,
        fail_fast: bool = True,
        only: set[int] | None = None,
        order: Sequence[int] | None = None,
    ) -> None:
        """Begin a run.

        Args:
            plan: The compiled graph.
            limit: How many jobs may run at once; None means as many as are ready.
            fail_fast: Whether the first failure stops the run.
            only: The jobs to run, closed under needs; None means all.
            order: All jobs, in the order in which ready ones go; None means the manager's.
        """
        size = plan.size
        super().__init__(size + 2 if limit is None else limit, fail_fast)
        self.passes = plan.loose
        self.plan = plan
        self.selected = only
        self.states = plan.first_states.copy()
        self.started_at: list[float | None] = [None] * size
        self.ended_at: list[float | None] = [None] * size
        self._pending = plan.first_pending.copy()
        # Roots are in order, so a pile serves them, the first on top; what becomes ready later goes
        # to a heap.
        # Both speak of ranks where an order was given, else an index is its own rank.
        roots = plan.roots
        self._by_rank = self._ranks = None
        if order is not None:
            self._by_rank = order
            self._ranks = ranks = [0] * size
            for rank, i in enumerate(order):
                ranks[i] = rank
            threads, loop, away = (sorted([ranks[i] for i in lane]) for lane in roots)
            roots = threads, loop, away
        self._first = (roots[THREADS][::-1], roots[LOOP][::-1], roots[AWAY][::-1])
        self._later: tuple[list[int], list[int], list[int]] = ([], [], [])
        if only is not None:
            self._leave_out(only)

    def _leave_out(self, only: set[int]) -> None:
        for i in range(self.plan.size):
            if i not in only:
                self._pending[i] += _NEVER
                self.states[i] = WAITING
        for first in self._first:
            kept = [rank for rank in first if self._job(rank) in only]
            first[:] = kept

    def waiting(self, lane: int) -> int:
        """Return how many jobs of a lane are ready."""
        return len(self._first[lane]) + len(self._later[lane])

    def _job(self, rank: int) -> int:
        return rank if self._by_rank is None else self._by_rank[rank]

    def _rank(self, i: int) -> int:
        return i if self._ranks is None else self._ranks[i]

    @property
    def finished(self) -> bool:
        """Whether nothing runs and nothing can start any more."""
        if self.running:
            return False
        # Where nothing runs and nothing is ready, nothing can ever become ready.
        return self.stopped or not (any(self._first) or any(self._later))

    @property
    def last_end(self) -> float:
        """When the last job that ended did so, in seconds from the start; -inf if none has."""
        return max([at for at in self.ended_at if at is not None], default=-LAST)

    @property
    def unfinished(self) -> bool:
        """Whether there are jobs that have not ended and still could."""
        chosen = range(self.plan.size) if self.selected is None else self.selected
        return any(self.states[i] <= RUNNING for i in chosen)

    def head(self, lane: int) -> float:
        """Return the rank of the ready job of a lane that goes first; infinity if there is none."""
        first, later = self._first[lane], self._later[lane]
        try:
            if first and not (later and later[0] < first[-1]):
                return first[-1]
        except IndexError:  # ``pass_on`` took the last one between two steps of this line
            pass
        return later[0] if later else LAST

    def has_ready(self, lane: int) -> bool:
        """Return whether ``take`` would answer with a job; see ``Lanes.has_ready``."""
        if self.stopped or self.running >= self.limit:
            return False
        if not self._first[lane] and not self._later[lane]:
            return False
        return self.running + 1 < self.limit or self.head(lane) < self._head_beside(lane)

    def take(self, lane: int, at: float | None) -> int:
        """Start the next ready job of a lane: return its index, or NOTHING."""
        running = self.running
        if self.stopped or running >= self.limit:
            return NOTHING
        if running + 1 == self.limit and self._head_beside(lane) < self.head(lane):
            return NOTHING
        i = self._pop(lane)
        if i != NOTHING:
            self.states[i] = RUNNING
            self.started_at[i] = at
            self.running = running + 1
        return i

    def take_many(self, lane: int, at: float | None, most: int) -> list[int]:
        """Start up to ``most`` ready jobs of a lane, not THREADS; return their indices.

        Without a time they are only given away: ``began`` tells when each has begun.

        Roots go the short way while the limit is far, which the tests compare with the long one.
        """
        first, states, started_at = self._first[lane], self.states, self.started_at
        count = min(most, len(first))
        if self.stopped or self._later[lane] or self.running + count >= self.limit:
            return super().take_many(lane, at, most)
        taken = [self._job(first.pop()) for _ in range(count)]
        for i in taken:
            states[i] = RUNNING
            started_at[i] = at
        self.running += len(taken)
        return taken

    def _pop(self, lane: int) -> int:
        first, later = self._first[lane], self._later[lane]
        try:
            if first and not (later and later[0] < first[-1]):
                return self._job(first.pop())
        except IndexError:  # ``pass_on`` took the last one between two steps of this line
            pass
        if not later:
            return NOTHING
        rank = heappop(later)
        return rank if self._by_rank is None else self._by_rank[rank]

    def ended(self, i: int, outcome: int, at: float) -> None:
        """Note that a running job has ended; make ready what waited for it alone.

        Args:
            i: The job.
            outcome: One of ``states.OUTCOMES``.
            at: When, in seconds from the run's start.

        Raises:
            InvalidTransition: The job does not run, or that is no outcome.
        """
        if not 0 <= i < self.plan.size:
            raise InvalidTransition(f"there is no job {i}, of {self.plan.size}")
        if self.states[i] != RUNNING or outcome not in OUTCOMES:
            name, state = self.plan.names[i], NAMES[self.states[i]]
            raise InvalidTransition(f"job {name!r} is {state}; it cannot become {named(outcome)}")
        self.states[i] = outcome
        self.ended_at[i] = at
        self.running -= 1
        if outcome in LETS_DEPENDENTS_START:
            self._met(i)
            return
        if outcome == NOT_STARTED:
            self.started_at[i] = self.ended_at[i] = None
        self._note_unhappy(i, outcome)
        if not self.stopped:
            self._rule_out_dependents(i)

    def began(self, i: int, at: float) -> None:
        """Note when a job has really begun that was taken without a time, for an engine far away.

        A ready job may have begun, too: the engine had not heard yet that the run was stopped.

        Raises:
            InvalidTransition: The job neither runs nor is ready.
        """
        if self.states[i] == READY:
            for queue in (self._first[self.plan.lanes[i]], self._later[self.plan.lanes[i]]):
                if self._rank(i) in queue:
                    queue.remove(self._rank(i))
            heapify(self._later[self.plan.lanes[i]])
            self.states[i] = RUNNING
            self.running += 1
        elif self.states[i] != RUNNING:
            name, state = self.plan.names[i], NAMES[self.states[i]]
            raise InvalidTransition(f"job {name!r} is {state}; it cannot have begun")
        self.started_at[i] = at

    def turn(self, i: int, outcome: int, lane: int, at: float) -> int:
        """Note that a job has ended, and take the next of a lane: ``ended`` and ``take`` in one.

        The usual case goes the short way: a success, and the place of the job that ended passes to
        the next. It is the same as the long way, which the tests compare it with.
        """
        states = self.states
        if (
            outcome != SUCCEEDED
            or self.running >= self.limit
            or not 0 <= i < len(states)
            or states[i] != RUNNING
        ):
            self.ended(i, outcome, at)
            return self.take(lane, at)
        states[i] = SUCCEEDED
        self.ended_at[i] = at
        if self.plan.signals[i]:
            self._met(i)
        j = NOTHING
        if (self._later[lane] or self._first[lane]) and not self.stopped:
            j = self._pop(lane)
        if j == NOTHING:
            self.running -= 1
        else:
            states[j] = RUNNING
            self.started_at[j] = at
        return j

    def pass_on(self, i: int, at: float) -> int:
        """Do ``turn`` without the lock where that is safe; see ``Lanes.pass_on``.

        It is, for a job that nothing waits for, while roots are in line and a thread is on its way:
        - The one shared thing that changes is the line of roots, by one atomic ``pop``. The
          place of the job that ended passes to the next, so ``running`` stays as it is, and the
          states and times are written at indices that belong to the caller's two jobs alone.
        - No wake-up is owed. ``waking`` was set, so the thread that is on its way looks at what is
          left under the lock, after it has cleared ``waking``; and nothing becomes ready here.
        - A failure elsewhere may come between the look at ``stopped`` and the ``pop``. The job
          then started before that failure: its time was taken before.
        """
        if (
            not self.waking
            or self.stopped
            or self.plan.signals[i]
            or self._later[THREADS]
            or self.running >= self.limit
        ):
            return NOTHING
        try:
            j = self._first[THREADS].pop()
        except IndexError:
            return NOTHING
        if self._by_rank is not None:
            j = self._by_rank[j]
        states = self.states
        states[i] = SUCCEEDED
        self.ended_at[i] = at
        states[j] = RUNNING
        self.started_at[j] = at
        return j

    def _met(self, i: int) -> None:
        """Make ready what waited for this job alone."""
        plan, pending, ranks = self.plan, self._pending, self._ranks
        size = plan.size
        for j in plan.signals[i]:
            left = pending[j] = pending[j] - 1
            if left:
                continue
            if j < size:
                self.states[j] = READY
                heappush(self._later[plan.lanes[j]], j if ranks is None else ranks[j])
            else:
                self._open(plan.gates[j])

    def _open(self, behind: list[int]) -> None:
        """Make ready what was behind a gate, as far as it takes part in the run."""
        for j in behind:
            self._pending[j] -= 1
            if not self._pending[j]:
                self.states[j] = READY
                heappush(self._later[self.plan.lanes[j]], self._rank(j))

    def _rule_out_dependents(self, i: int) -> None:
        """What depends on a failed job never starts; the rest goes on."""
        stack = [i]
        while stack:
            for j in self.plan.dependents(stack.pop()):
                if self.states[j] == WAITING and self._pending[j] < _NEVER:
                    self.states[j] = NOT_STARTED
                    stack.append(j)

    def waited(self, i: int) -> float | None:
        """Return the seconds between the end of a job's last need and its start, or None."""
        start = self.started_at[i]
        if start is None:
            return None
        ends = [self.ended_at[j] or 0.0 for j in self.plan.needs[i]]
        return max(0.0, start - max(ends, default=0.0))

    def final_state(self, i: int) -> int:
        """Return a job's state, where one that never started is NOT_STARTED once over.

        One that was taken, and has not begun yet, is READY still.
        """
        state = self.states[i]
        if state == RUNNING and self.started_at[i] is None:
            return READY
        return NOT_STARTED if state in (WAITING, READY) and self.finished else state

    def check(self) -> None:
        """Verify every invariant, at O(jobs + needs). For tests."""
        states, plan = self.states, self.plan
        assert self.running == states.count(RUNNING) <= self.limit
        for lane in (THREADS, LOOP, AWAY):
            queued = sorted([*self._first[lane], *self._later[lane]])
            assert [self._job(rank) for rank in queued] == [
                i
                for i in map(self._job, range(plan.size))
                if states[i] == READY and plan.lanes[i] == lane
            ]
        for i, needs in enumerate(plan.needs):
            met = sum(states[j] in LETS_DEPENDENTS_START for j in needs)
            if plan.first_pending[i] == len(needs):
                assert self._pending[i] % _NEVER == len(needs) - met
            else:  # behind a gate
                assert self._pending[i] % _NEVER == (met < len(needs))
            if states[i] not in (WAITING, NOT_STARTED):
                assert met == len(needs)
            ran = states[i] in OUTCOMES and states[i] != NOT_STARTED
            if states[i] != RUNNING:  # one that runs may have a way to go
                assert (self.started_at[i] is not None) == ran
            assert (self.ended_at[i] is not None) == ran
        if self.finished and not self.stopped:
            assert not self.unfinished
        assert sorted(self.failures) == [i for i in range(plan.size) if states[i] == FAILED]
        assert self.first == NOTHING or self.first == self.failures[0]
        assert not (self.fail_fast and self.failures and not self.stopped)
