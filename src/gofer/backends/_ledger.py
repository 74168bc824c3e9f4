"""What a run books of the news from other machines.

The core is told what happens there, so everything that looks at a run sees it live. News of a job
may come before those of what it needs, as they take other ways; they wait then.
"""

from __future__ import annotations

import pickle
import threading

from gofer import _parts
from gofer._core.lanes import AWAY
from gofer._core.states import (
    FAILED,
    NAMES,
    NOT_STARTED,
    READY,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    WAITING,
)
from gofer._run import Attempt, Story
from gofer.backends._clocks import Clocks
from gofer.backends._far_errors import as_error
from gofer.errors import Cancelled, JobCrashed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from gofer._running import RunExecution


class Ledger:
    """The books of one run, kept by an engine's thread and, after a stop, by a helper.

    Attributes:
        execution: The run.
    """

    def __init__(self, execution: RunExecution) -> None:
        self.execution = execution
        self._door = threading.RLock()  # taken before the run's lock, if both
        self._early: dict[int, list[tuple[str, tuple[Any, ...]]]] = {}
        self._heard: dict[str, int] = {}  # worker -> how many messages have come
        self._where: dict[int, str] = {}  # job -> the worker on which it runs
        self._clocks = Clocks(_parts.wall_clock())

    def give_away(self) -> None:
        """Take what is ready: the engine starts it by itself."""
        with self.execution.lock:
            self._give_away()

    def _give_away(self) -> None:
        core = self.execution.core
        core.take_many(AWAY, None, core.plan.size)

    def heard(self, message: dict[str, Any]) -> None:
        """Book the news in a message."""
        worker = message["where"]
        with self._door:
            self._clocks.heard(worker, message["sent"], _parts.wall_clock())
            for news in pickle.loads(message["news"]):
                self._take(worker, news)
            self._heard[worker] = message["number"]

    def lost(self, jobs: Sequence[int], worker: str) -> None:
        """Note that a piece was lost with its worker, and will not run again.

        Args:
            jobs: Those of the piece, in order; the first that has no end has crashed.
            worker: Which one.
        """
        with self._door:
            self._take(worker, ("lost", jobs[0], jobs))

    def settle(self, standings: Iterable[tuple[str, int, list[int]]]) -> None:
        """Note, after a stop, what has not begun, and what was lost with its worker.

        Args:
            standings: What each worker that is there says; see ``_site.Site.standing``.
        """
        with self._door:
            self._settle(standings)

    def _settle(self, standings: Iterable[tuple[str, int, list[int]]]) -> None:
        execution, core = self.execution, self.execution.core
        running: set[int] = set()
        for worker, count, jobs in standings:
            if self._heard.get(worker, 0) < count:
                return  # its news are on their way
            running.update(jobs)
        left = [i for i in range(core.plan.size) if core.states[i] == RUNNING]
        for i in left:
            if i in running or core.states[i] != RUNNING:
                continue
            if core.started_at[i] is None:
                self._booked(i, NOT_STARTED, 0.0)
            else:
                self._crash(i, self._where.get(i, "?"))
        if execution.over():
            execution.finish()

    def _take(self, worker: str, news: tuple[Any, ...]) -> None:
        """Book some news, and what has waited for them."""
        core = self.execution.core
        i = news[1]
        state = core.states[i]
        if state == WAITING or (state == READY and not core.stopped):
            self._early.setdefault(i, []).append((worker, news))
            return
        self._book(worker, news)
        while True:
            due = [j for j in self._early if core.states[j] == RUNNING or self._overtook(j)]
            if not due:
                return
            for j in due:
                for each in self._early.pop(j):
                    self._book(*each)

    def _overtook(self, i: int) -> bool:
        """Return whether a job began that could not have, had the engine known of the stop."""
        core = self.execution.core
        return core.stopped and core.states[i] == READY

    def _book(self, worker: str, news: tuple[Any, ...]) -> None:
        kind, i, *facts = news
        core = self.execution.core
        if kind == "lost":
            self._lose(facts[0], worker)
        elif core.states[i] != RUNNING and not self._overtook(i):
            return  # it ran once more, and its end is known
        elif kind == "began":
            self._began(i, worker, self._clocks.at(worker, facts[0]))
        elif kind == "ended":
            self._ended(i, worker, *facts)
        elif facts[0] is not None:
            at = self._now()
            self._failed(i, as_error(facts[0]), at, at)

    def _now(self) -> float:
        return _parts.clock() - self.execution.start

    def _began(self, i: int, worker: str, at: float) -> None:
        execution, core = self.execution, self.execution.core
        before = core.started_at[i]
        if before is not None and i in self._where and self._where[i] != worker:
            # Its worker was lost, and it may run again.
            crash = JobCrashed(execution.name_of(i), self._where[i])
            execution.stories.setdefault(i, Story()).attempts.append(Attempt(before, at, crash))
        self._where[i] = worker
        execution.went(i, f"worker {worker}")
        with execution.lock:
            core.began(i, at if before is None else before)
        if before is None and execution.observers:
            execution.tell_started(i)

    def _ended(
        self,
        i: int,
        worker: str,
        state: str,
        began: int,
        ended: int,
        error: Any,
        story: Any,
        late: bool,
    ) -> None:
        execution, core = self.execution, self.execution.core
        start, end = self._clocks.at(worker, began), self._clocks.at(worker, ended)
        if core.started_at[i] is None:
            self._began(i, worker, start)
        if late:
            execution.ctx._expire()
        raised = None if error is None else as_error(error)
        self._tell(i, start, end, raised, story)
        if raised is not None and story is not None and story[1]:  # its fallback stands for it
            execution.noted(i, raised)
        elif raised is not None:
            self._failed(i, raised, start, end)
            return
        self._booked(i, SKIPPED if state == NAMES[SKIPPED] else SUCCEEDED, end)

    def _tell(
        self, i: int, start: float, end: float, error: BaseException | None, story: Any
    ) -> None:
        """Note the attempts of a job in its story, and tell observers of them."""
        execution = self.execution
        told = execution.stories.get(i)
        if story is None and told is None:
            return
        if told is None:
            told = execution.stories[i] = Story()
        if story is None:
            told.attempts.append(Attempt(start, end, error))
            return
        attempts, told.fell_back, told.left_behind = story
        for begin, until, raised, waiting, calls, retry_in in attempts:
            failure = None if raised is None else as_error(raised)
            attempt = Attempt(start + begin, None if until is None else start + until, failure)
            attempt.waiting, attempt.calls, attempt.retry_in = waiting, calls, retry_in
            told.attempts.append(attempt)
            if execution.observers:
                execution.tell_attempt(i, attempt)

    def _failed(self, i: int, error: BaseException, start: float, end: float) -> None:
        execution, core = self.execution, self.execution.core
        if core.started_at[i] is None:
            with execution.lock:
                core.began(i, start)
        self._booked(i, execution.caught(i, error), end)

    def _lose(self, jobs: Sequence[int], worker: str) -> None:
        """Note what a piece's jobs have come to: the first that has no end has crashed."""
        core = self.execution.core
        left = [i for i in jobs if core.states[i] in (WAITING, READY, RUNNING)]
        if left and (core.states[left[0]] == RUNNING or self._overtook(left[0])):
            self._crash(left[0], worker)

    def _crash(self, i: int, worker: str) -> None:
        """Note that a job was lost with its worker."""
        execution, core = self.execution, self.execution.core
        error: BaseException = JobCrashed(execution.name_of(i), self._where.get(i, worker))
        if core.stopped and execution.ctx.cancelled:
            error = Cancelled("its worker is gone")
        at = self._now()
        self._failed(i, error, at, at)

    def _booked(self, i: int, outcome: int, at: float) -> None:
        execution, core = self.execution, self.execution.core
        self._where.pop(i, None)
        if execution.observers and outcome != NOT_STARTED:
            execution.tell_ended(i, outcome, at)
        failure = execution.errors[i] if outcome == FAILED else None
        with execution.lock:
            core.ended(i, outcome, at)
            self._give_away()
            finished = core.finished
        if failure is not None and core.fail_fast and core.first == i:
            execution.ctx.cancel(failure)
        if failure is not None:
            execution.announce()
        del failure  # its traceback may hold this frame
        if finished:
            execution.finish()
