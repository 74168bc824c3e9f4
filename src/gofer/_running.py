"""What a run of a manager is while it goes on: how its jobs are called, and its one error."""

from __future__ import annotations

from gofer import _parts
from gofer._core.schedule import Schedule
from gofer._core.states import CANCELLED, FAILED, RUNNING, SKIPPED, SUCCEEDED
from gofer._notes import MOST, add_note, failed_too, of_attempts, of_failure, sentence, undone
from gofer._program import HAS_POLICY, HAS_WHEN, Program
from gofer._run import Run, Story
from gofer.backends._execution import PLAIN, Execution, Skip, refuse_awaitable
from gofer.backends._frames import CALLS, ENGINE
from gofer.backends._workers import workers
from gofer.errors import traceback_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gofer._context import Context
    from gofer.observers.progress import Progress


_NONE: dict[int, Story] = {}  # of runs without policies


class RunExecution(Execution):
    """One run of a manager in progress.

    Attributes:
        only: The jobs that the caller asked for, to be run with all that they need; None for all.
    """

    __slots__ = (
        "core",
        "fns",
        "forms",
        "name_of",
        "only",
        "param",
        "program",
        "results",
        "run",
        "stories",
        "threads",
    )

    core: Schedule

    def __init__(
        self, program: Program, ctx: Context | None, param: Any, only: list[int] | None
    ) -> None:
        self.only = only
        core = Schedule(
            program.plan,
            limit=None if program.whole else program.limit,  # its backend keeps it
            fail_fast=program.fail_fast,
            only=None if only is None else program.plan.closure(only),
            order=program.order,
        )
        size = program.plan.size
        self.program, self.param = program, param
        self.fns, self.forms = program.fns, program.forms
        self.results: list[Any] = [None] * size
        self.threads: list[str | None] = [None] * size
        self.name_of = program.plan.names.__getitem__  # it is asked for each job
        self.stories: dict[int, Story] = {} if program.policies or program.whole else _NONE
        super().__init__(core, ctx, workers, recover=program.recover, observers=program.observers)
        self.run = Run(program.name, core, self.results, self.errors, self.threads, self.stories)

    def call(self, i: int, label: str) -> None:
        self.threads[i] = label
        form = self.forms[i]
        if form == 2:
            value = self.fns[i](self.ctx, self.param)
        elif form == 0:
            value = self.fns[i]()
        elif form == 1:
            value = self.fns[i](self.ctx)
        else:
            value = self._call_wired(i, form)
        if value is not None and type(value) not in PLAIN:
            refuse_awaitable(self.program.plan.names[i], value)
        self.results[i] = value

    def begin(self, i: int) -> Any:
        self.threads[i] = "loop"
        form = self.forms[i]
        if form == 2:
            return self.fns[i](self.ctx, self.param)
        return self._call_wired(i, form)

    def _call_wired(self, i: int, form: int) -> Any:
        program = self.program
        skipped = form & HAS_WHEN and not program.whens[i](self.ctx, self.param)
        if form & HAS_POLICY:
            return self._perform(i, skipped=bool(skipped))
        if skipped:
            raise Skip
        if i in program.aways:
            fn, args, named = self.bound(i, self.ctx)
            return fn(*args, **named)
        nargs = form & 3
        wiring = program.wirings[i]
        if wiring is None:
            return self.fns[i](*(self.ctx, self.param)[:nargs])
        getter = program.getters[i]  # as Program.pick, without a call
        results = getter(self.results) if getter else (self.results[program.sources[i][0]],)
        # Whoever reloads modules gives functions new code; then that counts.
        if wiring.by_place is not None and wiring.fn.__code__ is wiring.code:
            if not nargs:
                return wiring.by_place(*results)
            return wiring.by_place(*(self.ctx, self.param)[:nargs], *results)
        named = dict(zip(wiring.names, results, strict=True))
        return wiring.fn(*(self.ctx, self.param)[:nargs], **named)

    def _perform(self, i: int, *, skipped: bool) -> Any:
        from gofer.backends import _policied  # nothing that a run without policies has to load

        self.stories[i] = Story()  # no local variable: it holds errors
        policied = _policied.Policied(self, i, self.program.policies[i], self.stories[i])
        return policied.begin(skipped=skipped)

    def bound(self, i: int, ctx: Context) -> tuple[Callable[..., Any], Any, dict[str, Any]]:
        """Return a job's function and its arguments, among which the context is this one."""
        program, args, named = self.program, (ctx, self.param)[: self.forms[i] & 3], {}
        wiring = program.wirings[i]
        if wiring is not None:
            named = dict(zip(wiring.names, program.pick(i, self.results), strict=True))
        fn = self.fns[i]
        if i in program.aways:
            fn = program.aways[i].of(self, i, ctx)
        return fn, args, named

    def parcel(self, i: int) -> tuple[Any, int, tuple[Any, ...], dict[str, Any]]:
        fn, args, named = self.bound(i, self.ctx)
        return fn, len(args), (), named

    def went(self, i: int, label: str) -> None:
        self.threads[i] = label

    def keep(self, i: int, result: Any) -> None:
        self.results[i] = result

    def label_of(self, i: int) -> str | None:
        return None if self.threads is None else self.threads[i]

    def running(self) -> list[int]:
        return [i for i, state in enumerate(self.core.states) if state == RUNNING]

    def progress(self) -> Progress:
        from gofer.observers.progress import Progress

        core, now = self.core, _parts.clock() - self.start
        started = [(i, core.started_at[i]) for i in self.running()]
        running = [(self.name_of(i), now - at) for i, at in started if at is not None]
        done = sum(map(core.states.count, (SUCCEEDED, FAILED, CANCELLED, SKIPPED)))
        total, failed = len(self._chosen()), len(core.failures)
        return Progress(self.program.name, done, total, failed, running, now)

    def ended(self, torn: BaseException | None) -> Run:
        """Finish the run's report: decide its one error, and write the note on it."""
        run = self.run
        run._duration = _parts.clock() - self.start
        depth = self.ctx._depth
        cut_short = self.conclude()
        run._raises = torn if torn is not None else cut_short
        if run._raises is None:
            run._raises = self._failure(depth)
        if run._raises is not None:
            run._trace = traceback_of(run._raises)
        if cut_short is not None and torn is None:
            took = f"{self._whose()} was stopped, and ended after {run._duration:.3f} s"
            add_note(cut_short, self._note(took, self.core.failures), depth)
        self.clear()
        self.param = self.run = self.results = self.threads = self.stories = None  # type: ignore[assignment]
        return run

    def _failure(self, depth: int) -> BaseException | None:
        """Return what the failed jobs make the run raise, with its note."""
        core, failures = self.core, self.core.failures
        if not failures:
            return None
        if core.fail_fast:
            first = failures[0]
            add_note(self.errors[first], self._note(self._sentence(first), failures[1:]), depth)
            return self.errors[first]
        for i in failures:
            add_note(self.errors[i], self._sentence(i), depth)
        count = f"{len(failures)} of {len(self._chosen())} jobs failed"
        errors = [self.errors[i] for i in sorted(failures)]
        # Not ExceptionGroup: with recover=False a panic may be among them, raw. Where all are
        # ordinary exceptions, this makes an ExceptionGroup by itself.
        return BaseExceptionGroup(count, errors)

    def _sentence(self, i: int) -> str:
        at = self.core.ended_at[i] or 0.0
        begin = of_failure(self.name_of(i), at, run=self._whose())
        return begin + of_attempts(self.stories.get(i))

    def _whose(self) -> str:
        return f"run {self.program.name!r}" if self.program.name else "the run"

    def _chosen(self) -> Any:
        only = self.core.selected
        return range(self.program.plan.size) if only is None else sorted(only)

    def _note(self, begin: str, failures: list[int]) -> str:
        names = self.program.plan.names
        # Only the first are described: no more are shown, and there may be very many.
        later = [failed_too(names[i], self.errors[i]) for i in failures[:MOST]]
        later += [names[i] for i in failures[MOST:]]
        return sentence(begin, *undone(names, self.core.states, self._chosen()), later)


_FRAMES = {
    each.__code__ for each in (RunExecution.call, RunExecution.begin, RunExecution._call_wired)
}
CALLS |= _FRAMES
ENGINE |= _FRAMES
ENGINE.add(RunExecution._perform.__code__)
