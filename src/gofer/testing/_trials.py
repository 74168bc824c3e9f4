"""One trial: a manager, or other code that uses Gofer, run once in one schedule, and judged."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from gofer._context import Context
from gofer._core.lanes import AWAY
from gofer._limits import Limit
from gofer._manager import JobManager
from gofer._policy import Compiled
from gofer._program import Program
from gofer._run import Run
from gofer._signature import is_async
from gofer.errors import Cancelled, DeadlineExceeded, JobTimeout, describe
from gofer.policies import Breaker
from gofer.testing._accesses import ACTOR, Actor, Record, child_path, token
from gofer.testing._conductor import Conductor
from gofer.testing._controlled import Loop
from gofer.testing._directed import direct
from gofer.testing._stories import difference
from gofer.testing._strands import CALLER, PlannedFailure, Step, mine
from gofer.testing._tracking import Watch
from gofer.testing._watched import param_name, watched


class _Actor(Actor):
    """Notes what a job does, as the race detector's, and lets others go first before it does it."""

    __slots__ = ("_arrived",)

    def __init__(self, record: Record, name: str) -> None:
        super().__init__(record, name, None)
        self._arrived = False

    def about_to_write(self, owner: object, name: str) -> None:
        self._arrive(owner, name, item=False, write=True)
        self._arrived = True

    def note(self, owner: object, key: Any, *, item: bool, write: bool) -> None:
        if not self._arrived:
            self._arrive(owner, key, item=item, write=write)
        self._arrived = False
        conductor = mine()
        if conductor is not None:
            place = (self._record.path_of(owner), item, token(key) if item else key)
            conductor.touch(place, write=write)
        super().note(owner, key, item=item, write=write)

    def _arrive(self, owner: object, key: Any, *, item: bool, write: bool) -> None:
        conductor = mine()
        if conductor is not None:
            path = child_path(self._record.path_of(owner), key, item=item)
            conductor.point("writes" if write else "reads", path, write=write)


class _Record(Record):
    def __init__(self, names: list[str], watch: Watch) -> None:
        super().__init__(names, watch, frozenset())
        self.actors: list[Any] = [_Actor(self, name) for name in names]


class Trial:
    """What came of running it once.

    Attributes:
        conductor: Who went on when.
        param: As the jobs have left it.
        result: The ``Run``, or what the code returned.
        error: What it raised, or its run would have.
        record: What the jobs did to the param.
    """

    def __init__(self, conductor: Conductor) -> None:
        self.conductor = conductor
        self.param: Any = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.record: Any = None

    @property
    def undisturbed(self) -> bool:
        """Whether nothing came from outside: no failure, cancellation or early time."""
        return not (self.conductor.failed or self.conductor.disturbed)


class Subject:
    """What is explored, and what must hold; see ``explore``."""

    def __init__(
        self,
        target: Any,
        make_param: Callable[[], Any] | None,
        check: Callable[[Any, Any], object] | None,
        *,
        errors: tuple[type[BaseException], ...],
        failures: bool,
        cancellations: bool,
        timeouts: bool,
        stuck_after: float,
    ) -> None:
        self.target, self._make_param, self._check, self._errors = target, make_param, check, errors
        self._failures, self._cancellations, self._timeouts = failures, cancellations, timeouts
        self._stuck_after = stuck_after
        self._first: Trial | None = None
        if self.program is not None:
            plan = self.program.plan
            for name in (plan.names[i] for i in range(plan.size) if plan.lanes[i] == AWAY):
                raise ValueError(
                    f"job {name!r} runs in another process, where nobody can tell when it goes on; "
                    f"explore a manager in which it has no backend="
                )

    @property
    def program(self) -> Program | None:
        """The compiled manager, if it is one."""
        return self.target._program() if isinstance(self.target, JobManager) else None

    def once(self, choose: Callable[[Step], str], *, tell: bool = False) -> Trial:
        """Run it once."""
        conductor = Conductor(choose, failures=self._failures, timeouts=self._timeouts, tell=tell)
        trial = Trial(conductor)
        body = self._run if self.program is not None else self._call
        direct(conductor, lambda: body(trial), self._stuck_after)
        if conductor.error is not None:
            trial.error = conductor.error
        return trial

    def _run(self, trial: Trial) -> None:
        conductor, program = trial.conductor, self.program
        assert program is not None
        watch, record = self._begin(trial, program.plan.names, param_name(program))
        ctx = Context()
        if self._cancellations:
            conductor.cancel = lambda: ctx.cancel("the explorer cancels")
        try:
            tracked = self._tracked(trial, watch, record)
            manager = watched(self.target, program, record)
            manager._compiled = {None: _fresh(manager._program())}
            trial.result = manager.execute(ctx, tracked, check=False)
            trial.error = trial.result.error
        finally:
            conductor.cancel = None
            watch.restore()
            record.is_open = False

    def _call(self, trial: Trial) -> None:
        """Call code that makes runs and groups itself; each of its steps may touch anything."""
        conductor, target = trial.conductor, self.target
        conductor.everything = True
        watch, record = self._begin(trial, [CALLER], "param")
        ACTOR.set(record.actors[0])
        conductor.running.labels.append(CALLER)
        try:
            args = () if self._make_param is None else (self._tracked(trial, watch, record),)
            if is_async(target):
                conductor.running.labels.clear()  # its task has them
                trial.result = Loop(conductor).serve(target(*args))
            else:
                trial.result = target(*args)
        finally:
            conductor.running.labels.clear()
            watch.restore()
            record.is_open = False

    def _begin(self, trial: Trial, names: list[str], path: str) -> tuple[Watch, _Record]:
        watch = Watch(())
        trial.record = record = _Record(names, watch)
        if self._make_param is not None:
            trial.param = self._make_param()
            record.call(trial.param, path)
        return watch, record

    def _tracked(self, trial: Trial, watch: Watch, record: _Record) -> Any:
        if trial.param is None:
            return None
        token = ACTOR.set(record.caller)
        try:
            return watch.take(trial.param, record.path_of(trial.param), root=True)
        finally:
            ACTOR.reset(token)

    # -- judging

    def judge(self, trial: Trial) -> str | None:
        """Return what is wrong with a trial, or None."""
        conductor = trial.conductor
        if conductor.dead is not None:
            return conductor.dead
        if conductor.hidden:
            return (
                f"job {conductor.hidden[0]!r} was told that its run is cancelled, and ended well "
                f"as if it had not been: let Cancelled, CancelledError and DeadlineExceeded out"
            )
        error = trial.error
        if error is not None and not self._is_expected(error, trial):
            return f"it raised {describe(error)}"
        if self._check is not None:
            return self._checked(trial)
        return self._compared(trial) if error is None and trial.undisturbed else None

    def _is_expected(self, error: BaseException, trial: Trial) -> bool:
        if isinstance(error, BaseExceptionGroup):
            return all(self._is_expected(each, trial) for each in error.exceptions)
        if isinstance(error, (PlannedFailure, *self._errors)):
            return True
        disturbed = trial.conductor.disturbed
        return disturbed and isinstance(error, (Cancelled, DeadlineExceeded, JobTimeout))

    def _checked(self, trial: Trial) -> str | None:
        assert self._check is not None
        try:
            answer = self._check(trial.param, trial.result)
        except Exception as error:
            return f"the check raised {describe(error)}"
        return "the check answered False" if answer is False else None

    def _compared(self, trial: Trial) -> str | None:
        """Compare with the first trial that was not disturbed either."""
        first = self._first
        if first is None:
            self._first = trial
            return None
        name = trial.record.path_of(trial.param) if trial.param is not None else "param"
        where = difference(first.param, trial.param, name)
        if where is None and isinstance(trial.result, Run):
            where = difference(first.result.results, trial.result.results, "results")
        elif where is None:
            where = difference(first.result, trial.result, "result")
        return None if where is None else f"{where} is not what it was in the usual order"


def _fresh(program: Program) -> Program:
    """Give a copy of a program what runs leave behind: limits, breakers, known durations."""
    program.order = None
    limits: dict[Any, Limit] = {}
    breakers: dict[Any, Breaker] = {}
    for i, policy in program.policies.items():
        made: Compiled = copy.copy(policy)
        program.policies[i] = made
        old = made.limit
        if old is not None:
            made.limit = limits.setdefault(old, Limit(old.name, old.most))
        own = made.breaker
        if own is not None:
            new = Breaker(own.failures, reset_after=own.reset_after, on=own.on)
            made.breaker = breakers.setdefault(own, new)
        if made.durations is not None:
            made.durations = type(made.durations)()
    return program
