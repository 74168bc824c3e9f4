"""What a schedule and an intake must do, said so plainly that it is obviously right.

Sets of jobs and what has happened to them; everything else is worked out anew at each question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gofer._core.states import (
    CANCELLED,
    FAILED,
    NOT_STARTED,
    READY,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    WAITING,
)

NOTHING = -1


class Lines:
    """Three lines of jobs at one counter: what the graph and the group have in common."""

    def __init__(self, limit: int | None, fail_fast: bool) -> None:
        self.limit = float("inf") if limit is None else limit
        self.fail_fast = fail_fast
        self.lanes: dict[int, int] = {}
        self.ranks: dict[int, int] = {}
        self.running: set[int] = set()
        self.outcomes: dict[int, int] = {}
        self.started_at: dict[int, float] = {}
        self.ended_at: dict[int, float] = {}
        self.failures: list[int] = []
        self.first = NOTHING
        self.stopped = False

    def ready(self) -> set[int]:
        """Return the jobs that wait for nothing but their turn."""
        raise NotImplementedError

    def may_start(self) -> set[int]:
        """Return what may be taken now: the first of each lane, or of all if one place is left."""
        free = self.limit - len(self.running)
        if self.stopped or free < 1:
            return set()
        ready = self.ready()
        lanes = [{i for i in ready if self.lanes[i] == lane} for lane in (0, 1, 2)]
        return {
            min(each, key=lambda i: self.ranks[i])
            for each in ([ready] if free == 1 else lanes)
            if each
        }

    def take(self, lane: int, at: float) -> int:
        """Start the one job of a lane that may start."""
        for i in self.may_start():
            if self.lanes[i] == lane:
                self.running.add(i)
                self.started_at[i] = at
                return i
        return NOTHING

    def ended(self, i: int, outcome: int, at: float) -> None:
        """End a running job."""
        self.running.remove(i)
        self.outcomes[i] = outcome
        self.ended_at[i] = at
        if outcome == NOT_STARTED:
            del self.started_at[i], self.ended_at[i]
        if outcome == FAILED:
            self.failures.append(i)
            if self.first == NOTHING and not self.stopped:
                self.first = i
            if self.fail_fast:
                self.stopped = True
        if outcome in (CANCELLED, NOT_STARTED):
            self.stopped = True

    @property
    def cut(self) -> bool:
        """Whether a job was cancelled or taken back."""
        return bool({CANCELLED, NOT_STARTED} & set(self.outcomes.values()))

    @property
    def unfinished(self) -> bool:
        """Whether anything is left to do."""
        raise NotImplementedError

    @property
    def cut_short(self) -> bool:
        """Whether it was a cancellation that kept something from being done well."""
        if not self.stopped or (self.fail_fast and self.first != NOTHING):
            return False  # it went on to its end, or a failure stopped it
        only_failed_afterwards = self.failures != [] and self.first == NOTHING
        return self.cut or self.unfinished or only_failed_afterwards


class RunReference(Lines):
    """One run of a graph: ``needs`` and ``lanes`` by job; ``only`` and ``order`` may be None."""

    def __init__(
        self,
        needs: Mapping[int, Iterable[int]],
        lanes: Sequence[int],
        limit: int | None = None,
        fail_fast: bool = True,
        only: set[int] | None = None,
        order: Sequence[int] | None = None,
    ) -> None:
        super().__init__(limit, fail_fast)
        self.needs = {i: set(each) for i, each in needs.items()}
        self.lanes = dict(enumerate(lanes))
        self.ranks = {i: rank for rank, i in enumerate(order or range(len(lanes)))}
        self.chosen = set(self.needs) if only is None else only
        self.ruled_out: set[int] = set()

    def waits_for_its_turn(self, i: int) -> bool:
        """Return whether a job is part of the run, has not begun, and has all that it needs."""
        return (
            i in self.chosen
            and i not in self.running
            and i not in self.outcomes
            and all(self.outcomes.get(j) in (SUCCEEDED, SKIPPED) for j in self.needs[i])
        )

    def ready(self) -> set[int]:
        return {i for i in self.chosen if self.waits_for_its_turn(i)}

    def ended(self, i: int, outcome: int, at: float) -> None:
        super().ended(i, outcome, at)
        if outcome == FAILED and not self.stopped:
            self.ruled_out |= self.that_depend_on(i)

    def that_depend_on(self, i: int) -> set[int]:
        """Return the jobs of the run that need this one, directly or not."""
        found = {i}
        while more := {j for j in self.chosen if self.needs[j] & found} - found:
            found |= more
        return found - {i}

    def state(self, i: int) -> int:
        """Return a job's state."""
        if i in self.running:
            return RUNNING
        if i in self.outcomes:
            return self.outcomes[i]
        if i in self.ruled_out:
            return NOT_STARTED
        return READY if self.waits_for_its_turn(i) else WAITING

    @property
    def left(self) -> int:
        """How many jobs have not ended and still could, as far as a live run has ruled none out."""
        return len(self.chosen - self.ruled_out - set(self.outcomes))

    @property
    def unfinished(self) -> bool:
        return self.left > 0

    @property
    def finished(self) -> bool:
        """Whether nothing runs, and nothing ever will."""
        return not self.running and (self.stopped or not self.left)

    def waited(self, i: int) -> float | None:
        """Return how long a job that started had been ready by then."""
        if i not in self.started_at:
            return None
        return self.started_at[i] - max([self.ended_at[j] for j in self.needs[i]], default=0.0)


class GroupReference(Lines):
    """A group: jobs come, wait in the order in which they came, and end."""

    def __init__(self, limit: int | None = None, fail_fast: bool = True) -> None:
        super().__init__(limit, fail_fast)
        self.closed = False

    def added(self, lane: int) -> int:
        """Add a job."""
        i = self.ranks[i] = len(self.ranks)
        self.lanes[i] = lane
        return i

    def ready(self) -> set[int]:
        return set(self.ranks) - self.running - set(self.outcomes)

    def admits(self) -> bool:
        """Return whether one more could start at once."""
        return len(self.running) + len(self.ready()) < self.limit

    @property
    def unfinished(self) -> bool:
        return not self.closed or len(self.outcomes) < len(self.ranks)

    @property
    def finished(self) -> bool:
        """Whether nothing runs, and nothing ever will."""
        return not self.running and (self.stopped or not self.unfinished)
