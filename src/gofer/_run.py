"""Run: what one execution found, and how it went.

A run writes numbers into arrays while it goes; everything here is computed from them when
somebody asks, so a report costs nothing until it is read.
"""

from __future__ import annotations

from gofer._core.plan import did_you_mean
from gofer._core.states import CANCELLED, FAILED, NAMES, SKIPPED, SUCCEEDED
from gofer.errors import NoResult, describe, with_traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import PathLike
    from types import TracebackType
    from typing import Any, TypeVar, overload

    from gofer._core.schedule import Schedule
    from gofer._job import FunctionJob, Job

    R = TypeVar("R")
else:
    from gofer._job import overload


class Attempt:
    """One try of a job. Times are seconds from the run's start, on a monotonic clock.

    Attributes:
        start: When it started.
        end: When it ended, or was left; None while it goes on.
        error: What it failed with, or None.
        waiting: Seconds of it that it waited for its ``limit``.
        calls: How often the function was called: more than once where it was hedged.
        retry_in: Seconds from its end to the next attempt; None if it is the last.
    """

    __slots__ = ("calls", "end", "error", "retry_in", "start", "waiting")

    def __init__(
        self, start: float, end: float | None = None, error: BaseException | None = None
    ) -> None:
        self.start, self.end, self.error = start, end, error
        self.waiting = 0.0
        self.calls = 1
        self.retry_in: float | None = None

    def __repr__(self) -> str:
        how = "running" if self.end is None else "ok" if self.error is None else "failed"
        return f"<Attempt {how}, started at {self.start:.6f} s>"


class Story:
    """What the policies of a job did in one run.

    Attributes:
        attempts: In the order of time.
        fell_back: Whether the fallback stands for its result.
        left_behind: Where it stood when the run stopped waiting for it.
    """

    __slots__ = ("attempts", "fell_back", "left_behind")

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.fell_back = False
        self.left_behind: str | None = None


class JobRecord:
    """How one job went. Times are seconds from the run's start, on a monotonic clock.

    Attributes:
        name: The job's name.
        state: ``"succeeded"``, ``"failed"``, ``"cancelled"``, ``"skipped"`` or ``"not started"``;
            in a run that still goes on also ``"waiting"``, ``"ready"`` and ``"running"``.
        start: When it started, or None.
        end: When it ended, or None.
        waiting: Seconds between the end of its last need and its start, or None.
        duration: Seconds between start and end, or None.
        error: What it failed with, or None; also where its fallback stands for its result.
        thread: The name of the thread that it ran on, or None.
    """

    __slots__ = (
        "_story",
        "duration",
        "end",
        "error",
        "name",
        "start",
        "state",
        "thread",
        "waiting",
    )

    def __init__(
        self,
        name: str,
        state: str,
        start: float | None,
        end: float | None,
        waiting: float | None,
        error: BaseException | None,
        thread: str | None,
        story: Story | None = None,
    ) -> None:
        self.name, self.state, self.start, self.end = name, state, start, end
        self.waiting, self.error, self.thread, self._story = waiting, error, thread, story
        self.duration = None if start is None or end is None else end - start

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """One ``Attempt`` for each time that it was tried."""
        if self._story is not None:
            return tuple(self._story.attempts)
        if self.start is None or self.state == NAMES[SKIPPED]:
            return ()
        return (Attempt(self.start, self.end, self.error),)

    @property
    def waiting_for_limit(self) -> float:
        """Seconds that it waited for its ``limit``, over all attempts."""
        return 0.0 if self._story is None else sum(each.waiting for each in self._story.attempts)

    @property
    def fell_back(self) -> bool:
        """Whether its ``fallback`` stands for its result; the state is ``"succeeded"`` then."""
        return self._story is not None and self._story.fell_back

    @property
    def left_behind(self) -> str | None:
        """Where it stood, ``file:line``, when the run went on without it because of ``abandon``."""
        return None if self._story is None else self._story.left_behind

    def __repr__(self) -> str:
        took = "" if self.duration is None else f" in {self.duration:.6f} s"
        return f"<JobRecord {self.name!r} {self.state}{took}>"


class Run:
    """One execution of a manager: the results by name, and a record of every job.

    Thread safety: may be read from any thread, also while the run goes on.

    Example:
        >>> from gofer import JobManager, job
        >>> @job
        ... def answer():
        ...     return 42
        >>> run = JobManager([answer]).execute()
        >>> run["answer"], run[answer], run.ok
        (42, 42, True)
    """

    __slots__ = (
        "__weakref__",
        "_duration",
        "_errors",
        "_far",
        "_raises",
        "_results",
        "_schedule",
        "_stories",
        "_threads",
        "_trace",
        "name",
    )

    def __init__(
        self,
        name: str | None,
        schedule: Schedule,
        results: list[Any],
        errors: dict[int, BaseException],
        threads: list[str | None],
        stories: dict[int, Story] | None = None,
    ) -> None:
        self.name = name
        self._stories = {} if stories is None else stories
        self._schedule, self._results, self._errors = schedule, results, errors
        self._threads = threads
        self._far: Any = None  # what fetches results that are elsewhere
        self._raises: BaseException | None = None
        self._trace: TracebackType | None = None
        self._duration: float | None = None

    @overload
    def __getitem__(self, job: FunctionJob[..., Any, R], /) -> R: ...
    @overload
    def __getitem__(self, job: str, /) -> Any: ...
    def __getitem__(self, job: Any, /) -> Any:
        """Return a job's result; None for a skipped job.

        Args:
            job: The job, or its name. For type checkers it is one made by ``job``; of another
                object give the name.

        Raises:
            NoResult: There is no such job, or it has no result; a ``KeyError``.
        """
        i = self._find(job)
        state = self._schedule.final_state(i)
        if state not in (SUCCEEDED, SKIPPED):
            error = self._errors.get(i)
            why = (
                f"it {NAMES[state]}: {describe(error)}"
                if error is not None
                else f"it is {NAMES[state]}"
            )
            raise NoResult(self._schedule.plan.names[i], why)
        return self._results[i] if self._far is None else self._far.fetch([i])[0]

    def _find(self, job: Any) -> int:
        name = job if isinstance(job, str) else getattr(job, "name", None)
        if not isinstance(name, str):
            raise TypeError(f"a run is asked by a job or its name, not by {job!r}")
        plan = self._schedule.plan
        i = plan.index.get(name)
        if i is None:
            hint = did_you_mean(name, plan.names)
            raise NoResult(name, f"the manager has no such job{hint}")
        return i

    def __contains__(self, job: object) -> bool:
        try:
            self[job]  # type: ignore[call-overload]
        except NoResult:
            return False
        return True

    @property
    def results(self) -> dict[str, Any]:
        """The results of all jobs that have one, by name, in the manager's order.

        Where they are on a cluster, all are fetched; with ``only=``, those that it named.
        """
        states, names = self._schedule.states, self._schedule.plan.names
        there = [i for i, state in enumerate(states) if state == SUCCEEDED or state == SKIPPED]
        if self._far is None:
            return {names[i]: self._results[i] for i in there}
        there = [i for i in there if self._far.has(i)]
        return dict(zip([names[i] for i in there], self._far.fetch(there), strict=True))

    @property
    def records(self) -> tuple[JobRecord, ...]:
        """One record for each job, in the manager's order."""
        return tuple(map(self._record, range(self._schedule.plan.size)))

    def record(self, job: str | Job) -> JobRecord:
        """Return the record of one job.

        Raises:
            NoResult: The manager has no such job.
        """
        return self._record(self._find(job))

    def _record(self, i: int) -> JobRecord:
        schedule = self._schedule
        return JobRecord(
            schedule.plan.names[i],
            NAMES[schedule.final_state(i)],
            schedule.started_at[i],
            schedule.ended_at[i],
            schedule.waited(i),
            self._errors.get(i),
            self._threads[i],
            self._stories.get(i),
        )

    def needs(self, job: str | Job) -> tuple[str, ...]:
        """Return the names of the jobs that a job needs, each once.

        Raises:
            NoResult: The manager has no such job.
        """
        plan = self._schedule.plan
        return tuple([plan.names[i] for i in plan.needs[self._find(job)]])

    @property
    def state(self) -> str:
        """``"succeeded"``, ``"failed"`` or ``"cancelled"``; ``"running"`` while it goes on."""
        if self._duration is None:
            return "running"
        if self._raises is None:
            return NAMES[SUCCEEDED]
        return NAMES[CANCELLED if self._schedule.cut_short else FAILED]

    @property
    def ok(self) -> bool:
        """Whether the run is over and ``execute`` had nothing to raise."""
        return self._duration is not None and self._raises is None

    @property
    def error(self) -> BaseException | None:
        """The first error, of the job that failed first, or why the run was cancelled."""
        if self._schedule.failures and not self._schedule.fail_fast:
            return self._errors[self._schedule.failures[0]]
        return self._raises

    @property
    def errors(self) -> tuple[BaseException, ...]:
        """The errors of all jobs that failed, in the order in which they happened."""
        return tuple([self._errors[i] for i in tuple(self._schedule.failures)])

    @property
    def duration(self) -> float | None:
        """Seconds that the run took, or None while it goes on."""
        return self._duration

    @property
    def critical_path(self) -> tuple[str, ...]:
        """The chain of jobs that decided when the run ended, first to last.

        Walked backwards: from the job that failed first, if that stopped the run, else the one that
        ended last; always to that need which ended last.
        """
        schedule = self._schedule
        ended_at, plan = schedule.ended_at, schedule.plan
        ends = [(at, i) for i, at in enumerate(ended_at) if at is not None]
        if not ends:
            return ()
        stopped_by = schedule.first if schedule.fail_fast else -1
        path = [stopped_by if stopped_by >= 0 else max(ends)[1]]
        while plan.needs[path[-1]]:
            path.append(max(plan.needs[path[-1]], key=lambda j: ended_at[j] or 0.0))
        return tuple([plan.names[i] for i in reversed(path)])

    def check(self) -> None:
        """Raise what ``execute`` would have raised; do nothing if all went well."""
        error, trace = self._raises, self._trace
        if error is not None:
            try:
                raise with_traceback(error, trace)
            finally:  # the traceback holds this frame, so the run and the error must not hang on it
                del self, error, trace

    def to_html(self, path: str | PathLike[str]) -> None:
        """Write one page of HTML: the waterfall, a table to sort, the graph; for light and dark.

        It stands alone: it loads nothing, and what it was given is never markup or script.

        Args:
            path: The file to write; what is there is replaced.

        Raises:
            OSError: It cannot be written.
        """
        from gofer.views.html import page

        write_text(path, page(self, self._schedule.plan))

    def to_trace(self, path: str | PathLike[str]) -> None:
        """Write a trace for Perfetto (or ``chrome://tracing``): a track for each job that started.

        On it attempts and waits; arrows for needs; a counter of running jobs.

        Args:
            path: The file to write; what is there is replaced. It is JSON.

        Raises:
            OSError: It cannot be written.
        """
        from gofer.views.trace import trace

        write_text(path, trace(self, self._schedule.plan))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Return what a notebook shows: the waterfall as a picture, or as text."""
        from gofer.views.svg import run_picture

        return {"text/plain": str(self), "image/svg+xml": run_picture(self)}

    def __rich_console__(self, console: Any, options: Any) -> Any:
        """Give ``rich.print`` the waterfall in colours, as wide as the terminal."""
        from gofer.views.colour import coloured

        yield coloured(self, options.max_width, options.encoding)

    def __str__(self) -> str:
        from gofer.views.text import waterfall

        return waterfall(self)

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"<Run{name} {self.state}, {self._schedule.plan.size} jobs>"


def write_text(path: str | PathLike[str], text: str) -> None:
    """Write a file of text, the same on every system; replace what is there."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
