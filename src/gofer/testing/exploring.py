"""Explores the orders in which jobs can run: again and again, under a controlled scheduler.

What breaks in one order of a thousand is found, told in the smallest schedule that breaks it, and
can be run again. One job goes on at a time, and time is virtual.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gofer import _parts
from gofer._manager import JobManager
from gofer.testing._directed import Stuck, installed
from gofer.testing._reduction import Explorer
from gofer.testing._schedules import (
    Changes,
    Priorities,
    Replay,
    Turned,
    Uniform,
    as_text,
    changes_of,
    from_text,
    reverse,
)
from gofer.testing._stories import Event, story, switches
from gofer.testing._strands import PlannedFailure, Step, hands
from gofer.testing._trials import Subject, Trial
from gofer.testing.races import RaceDetector

__all__ = [
    "Exploration",
    "Found",
    "Nondeterminism",
    "PlannedFailure",
    "ScheduleBroken",
    "Stuck",
    "explore",
]

_STUCK_AFTER = 30.0
"""Real seconds after which a job that does not come back is named."""

_MOST_TURNS = 200
"""Racing pairs that are turned both ways."""

_SHRINKING = 300
"""Trials that a smaller schedule is worth."""

_one = threading.Lock()


class ScheduleBroken(AssertionError):
    """There is a schedule in which something breaks; the message tells it."""


class Nondeterminism(RuntimeError):
    """The same schedule went another way than before, so nothing that was found can be trusted."""


class Found:
    """The smallest schedule that was found to break something.

    Attributes:
        problem: What breaks.
        seed: What ``explore(..., seed=...)`` runs it again with.
        switches: How often another job goes on though the one before has not ended.
        events: What happens: ``(job, verb, what, place)``.
        error: What was raised, if that is the problem.
        param: As the jobs have left it.
        run: The ``Run``, or what the explored code returned.
    """

    def __init__(self, subject: Subject, problem: str, trial: Trial, changes: Changes) -> None:
        self._subject, self._changes = subject, changes
        self.problem = problem
        self.seed = as_text(changes)
        self.events: list[Event] = trial.conductor.events
        self.switches = switches(self.events)
        self.error, self.param, self.run = trial.error, trial.param, trial.result

    def replay(self) -> Found:
        """Run the same schedule once more, with breakpoints perhaps.

        Raises:
            Nondeterminism: It went another way.
        """
        with exploring():
            again = self._subject.once(Replay(self._changes), tell=True)
            _compare(self.events, again.conductor.events)
            problem = self._subject.judge(again) or "nothing breaks any more"
        return Found(self._subject, problem, again, self._changes)

    def __str__(self) -> str:
        count = f"{self.switches} switch{'' if self.switches == 1 else 'es'}"
        return f"{self.problem}\n{story(self.events)}\n{count}; seed={self.seed!r}"


class Exploration:
    """What was explored.

    Attributes:
        found: The smallest schedule that breaks something, or None.
        runs: How many schedules were run, without those that made the found one smaller.
        exhaustive: Whether there is no other schedule: any that is not among them does the same
            as one of them, as far as the param, contexts, locks and limits can tell.
    """

    def __init__(self, found: Found | None, runs: int, exhaustive: bool) -> None:
        self.found, self.runs, self.exhaustive = found, runs, exhaustive

    def check(self) -> None:
        """Do nothing unless a schedule was found that breaks something.

        Raises:
            ScheduleBroken: One was.
        """
        if self.found is not None:
            raise ScheduleBroken(str(self))

    def __str__(self) -> str:
        count = f"{self.runs:,} schedule{'' if self.runs == 1 else 's'}"
        if self.found is not None:
            return f"broken after {count}: {self.found}"
        return f"nothing breaks in {count}" + (", which are all" if self.exhaustive else "")

    def __repr__(self) -> str:
        return f"<Exploration: {str(self).partition(chr(10))[0]}>"


def explore(
    manager: JobManager | Callable[..., Any],
    make_param: Callable[[], Any] | None = None,
    *,
    check: Callable[[Any, Any], object] | None = None,
    runs: int = 1000,
    seed: int | str = 0,
    errors: tuple[type[BaseException], ...] = (),
    failures: bool = False,
    cancellations: bool = False,
    timeouts: bool = False,
) -> Exploration:
    """Run a manager in many schedules, until one breaks something or there are no more.

    Plain jobs may be interrupted wherever they use the param or their context, async ones at each
    ``await``. Nothing takes time: who sleeps for ten seconds goes on when all others wait, or
    earlier. The order is that of the manager, then its reverse, then racing pairs turned both ways,
    then all orders that can differ (partial-order reduction), if they are few, else random ones.

    Args:
        manager: A manager; or a function, plain or async, that makes runs and groups itself, and
            takes the param if there is a ``make_param``.
        make_param: Makes a new param for each run, with its locks and events.
        check: Called with the param and the ``Run`` after each run; it breaks where this raises or
            returns False. Without one, all runs must leave the same param and the same results.
        runs: How many schedules at most, before the one that was found is made smaller.
        seed: Of the random orders. A text, ``found.seed``, runs that one schedule.
        errors: Types of errors that a run may end with.
        failures: Whether a job may fail at any such place, one in each run (``PlannedFailure``).
        cancellations: Whether the run may be cancelled at any of them.
        timeouts: Whether any deadline or timeout may pass at any of them.

    Returns:
        What was found; ``check()`` raises it.

    Raises:
        Nondeterminism: The same schedule went another way: a job uses chance, real time, or what an
            earlier run has left behind.
        Stuck: A job blocks by means that are not controlled: networks, locks from before the run.
        ValueError: ``runs`` is less than 1, ``seed`` is no seed, or a job runs in another process.

    Thread safety: one exploration at a time; others wait. No other run may go on meanwhile.

    Example:
        >>> from types import SimpleNamespace
        >>> from gofer import JobManager, job
        >>> @job
        ... def add(ctx, order):
        ...     order.total += 5
        >>> @job
        ... def fee(ctx, order):
        ...     order.total += 1
        >>> result = explore(JobManager([add, fee]), lambda: SimpleNamespace(total=0))
        >>> result.found.problem, result.found.switches
        ('order.total is not what it was in the usual order', 1)
    """
    if runs < 1:
        raise ValueError(f"runs must be at least 1, got {runs!r}")
    subject = Subject(
        manager,
        make_param,
        check,
        errors=errors,
        failures=failures,
        cancellations=cancellations,
        timeouts=timeouts,
        stuck_after=_STUCK_AFTER,
    )
    with exploring():
        return _Search(subject, runs, seed).search()


@contextmanager
def exploring() -> Iterator[None]:
    """Have this process explored, by whoever is in this block; others wait."""
    with _one:
        try:
            with installed():
                yield
        finally:
            hands.dismiss()


class _Search:
    def __init__(self, subject: Subject, runs: int, seed: int | str) -> None:
        self._subject, self._most, self._seed = subject, runs, seed
        self._runs = 0
        self._length = 0
        self._races: list[tuple[str, str, str]] = []

    def search(self) -> Exploration:
        subject = self._subject
        usual = Replay({})
        if isinstance(self._seed, str):
            subject.judge(subject.once(usual))  # what others are compared with
            return self._one(Replay(from_text(self._seed)))
        first = subject.once(usual)
        _compare(first.conductor.events, subject.once(usual).conductor.events)
        self._length = len(first.conductor.steps)
        self._races = self._races_of(first)
        self._runs = 1
        problem = subject.judge(first)
        if problem is not None:
            return self._found(problem, first)
        explorer = Explorer()
        for choose in self._choosers(explorer):
            if self._runs >= self._most:
                break
            trial = subject.once(choose)
            self._runs += 1
            problem = subject.judge(trial)
            if problem is not None:
                return self._found(problem, trial)
            if choose is explorer:
                explorer.ended(trial.conductor.steps)
                if explorer.parted is not None:
                    raise Nondeterminism(
                        _ADVICE.format("{2} could go on, not {1}".format(*explorer.parted))
                    )
                if explorer.is_over:
                    return Exploration(None, self._runs, exhaustive=True)
        return Exploration(None, self._runs, exhaustive=False)

    def _one(self, choose: Callable[[Step], str]) -> Exploration:
        trial = self._subject.once(choose)
        self._runs = 1
        problem = self._subject.judge(trial)
        return Exploration(None, 1, False) if problem is None else self._found(problem, trial)

    def _choosers(self, explorer: Explorer) -> Iterator[Callable[[Step], str]]:
        assert isinstance(self._seed, int)
        yield reverse
        for first, second, path in self._races[: _MOST_TURNS // 4]:
            for write in (True, False):
                yield Turned(first, second, path, write=write)
                yield Turned(second, first, path, write=write)
        until = (self._runs + self._most) // 2
        while self._runs < until and not explorer.is_over:
            yield explorer
        for n in range(self._most):
            chance = _parts.seeded(self._seed + n)
            yield Priorities(chance, self._length) if n % 2 else Uniform(chance)

    def _races_of(self, trial: Trial) -> list[tuple[str, str, str]]:
        if self._subject.program is None:
            return []
        detector = RaceDetector(self._subject.target)
        detector._program = self._subject.program
        detector._records.append(trial.record)
        return [(*race.jobs, race.path) for race in detector.races]

    # -- making it smaller

    def _found(self, problem: str, trial: Trial) -> Exploration:
        changes = self._smallest(changes_of(trial.conductor.steps), problem)
        changes = self._single(changes, problem)
        told = self._subject.once(Replay(changes), tell=True)
        again = self._subject.once(Replay(changes), tell=True)
        _compare(told.conductor.events, again.conductor.events)
        last = self._subject.judge(told)
        if last is not None and told.conductor.dead is not None:
            last = "; ".join([last, *told.conductor.stood])
        if last is None:
            raise Nondeterminism(_ADVICE.format(f"it broke once ({problem}), and not again"))
        return Exploration(Found(self._subject, last, told, changes), self._runs, False)

    def _smallest(self, changes: Changes, problem: str) -> Changes:
        """Leave out changes as long as it breaks in the same way."""
        left = _SHRINKING
        size = max(1, len(changes) // 2)
        while changes and left > 0:
            smaller = None
            keys = list(changes)
            for at in range(0, len(keys), size):
                out = set(keys[at : at + size])
                tried = {key: who for key, who in changes.items() if key not in out}
                left -= 1
                smaller = self._breaks(tried, problem)
                if smaller is not None or left <= 0:
                    break
            if smaller is not None and len(smaller) < len(changes):
                changes = smaller
                size = max(1, min(size, len(changes) // 2))
            elif size == 1:
                break
            else:
                size //= 2
        return changes

    def _single(self, changes: Changes, problem: str) -> Changes:
        """Look for one change that does it, where more are known."""
        left = _SHRINKING
        if len(changes) < 2:
            return changes
        for step in self._subject.once(Replay({})).conductor.steps:
            for other in step.options:
                if other != step.usual and left > 0:
                    left -= 1
                    smaller = self._breaks({(step.current, step.count): other}, problem)
                    if smaller is not None and len(smaller) < len(changes):
                        return smaller
        return changes

    def _breaks(self, changes: Changes, problem: str) -> Changes | None:
        """Return the changes that were really made, if it breaks with these in the same way."""
        trial = self._subject.once(Replay(changes))
        same = self._subject.judge(trial)
        if same is None or same.split()[:3] != problem.split()[:3]:
            return None
        return changes_of(trial.conductor.steps)


_ADVICE = (
    "the same schedule went another way: {}; a job uses chance, real time, the order of a set, or "
    "what an earlier run has left behind; make all of it in make_param, from a seed"
)


def _compare(one: list[Event], other: list[Event]) -> None:
    for n, (was, now) in enumerate(zip(one, other, strict=False)):
        if was[:3] != now[:3]:
            raise Nondeterminism(_ADVICE.format(f"{_told(now)}, not {_told(was)}, came {n + 1}."))
    if len(one) != len(other):
        longer = max(one, other, key=len)[min(len(one), len(other))]
        raise Nondeterminism(_ADVICE.format(f"only one of the two had this: {_told(longer)}"))


def _told(event: Event) -> str:
    who, verb, what, _ = event
    return f"{who!r} {verb} {what}".rstrip()
