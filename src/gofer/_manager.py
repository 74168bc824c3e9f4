"""JobManager: a fixed set of jobs and their needs, checked once, executed many times."""

from __future__ import annotations

from gofer import _parts
from gofer._context import Context
from gofer._job import FunctionJob, as_job, job
from gofer._policy import checked_limits
from gofer._program import Program, checked_limit
from gofer._run import Run
from gofer._running import RunExecution
from gofer.backends import _interrupt, chosen, loop_backend
from gofer.backends.threads import work_and_wait
from gofer.errors import FrozenError, PlanError, RunningLoopError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping
    from typing import Any, ParamSpec, TypeVar, Unpack, overload

    from gofer._job import Job, JobDecorator
    from gofer.backends import Backend
    from gofer.observers import Observer
    from gofer.policies import PolicyOptions

    P = ParamSpec("P")
    R = TypeVar("R")
else:
    from gofer._job import overload


class JobManager:
    """Runs its jobs at the same time, each as soon as what it needs has ended.

    Args:
        jobs: Jobs, Go-shaped objects with ``name`` and ``do(ctx, param)``, or functions.
        name: What errors and reports call it; needed where it is a job of another manager.
        limit: How many jobs may run at once, of every kind together; None means no limit.
        limits: Name -> how many calls of the jobs with ``limit=name`` may run at once, over all
            runs of this manager.
        fail_fast: Whether the first failure stops the run. If not, everything runs that does not
            depend on a failed job, and one ``ExceptionGroup`` is raised.
        recover: Whether a panic (``SystemExit``, a ``CancelledError`` nobody asked for, ...)
            becomes a ``JobPanic``. If not, it leaves ``execute`` as it is.
        observers: Who is told what happens; see ``Observer``.

    Raises:
        PlanError: The jobs cannot be a graph: a circle, a need that nothing provides, two jobs
            of one name, a wrong signature, a bad limit or policy. The message names the job.

    Thread safety: may be executed from any thread or task, many times at the same time; runs share
    nothing but the jobs and the named limits. Add jobs from one thread, before the first execution.

    Example:
        >>> @job
        ... def number():
        ...     return 20
        >>> @job
        ... def double(*, number):
        ...     return 2 * number
        >>> JobManager([number, double]).execute()["double"]
        40
    """

    def __init__(
        self,
        jobs: Iterable[Job | Callable[..., Any]] = (),
        *,
        name: str | None = None,
        limit: int | None = None,
        limits: Mapping[str, int] | None = None,
        fail_fast: bool = True,
        recover: bool = True,
        observers: Iterable[Observer] = (),
    ) -> None:
        self.name: str = name or ""  # a str, so that a manager has the type of a job
        self._jobs: list[Any] = list(jobs)
        owner = f"manager {name!r}" if name else "manager"
        self._options: dict[str, Any] = {
            "limit": checked_limit(owner, limit),
            "limits": checked_limits(owner, limits),
            "fail_fast": fail_fast,
            "recover": recover,
            "observers": tuple(observers),
        }
        self._executed = False
        self._compiled: dict[Any, Program] = {}  # by backend
        self._program()

    def _program(self, backend: Any = None) -> Program:
        program = self._compiled.get(backend)
        if program is None:
            program = self._compiled[backend] = Program(
                self._jobs,
                name=self.name or None,
                backend=backend,
                choose=chosen,
                manager=JobManager,
                **self._options,
            )
            if program.policies:  # to load it takes milliseconds, which no run should have to wait
                from gofer.backends import _policied  # noqa: F401
        return program

    @overload
    def job(
        self, fn: Callable[P, Coroutine[Any, Any, R]], /
    ) -> FunctionJob[P, Coroutine[Any, Any, R], R]: ...
    @overload
    def job(self, fn: Callable[P, R], /) -> FunctionJob[P, R, R]: ...
    @overload
    def job(
        self,
        fn: None = None,
        /,
        *,
        name: str | None = None,
        after: Iterable[str | Job] = (),
        needs: Mapping[str, str | Job] | None = None,
        when: Callable[[Context, Any], object] | None = None,
        backend: str | Backend | None = None,
        **policies: Unpack[PolicyOptions],
    ) -> JobDecorator: ...
    def job(self, fn: Any = None, /, **options: Any) -> Any:
        """Make a job of a function, as ``gofer.job`` does, and add it to this manager.

        What does not fit together is refused when the manager is first used, so jobs may be
        registered in any order.

        Raises:
            FrozenError: The manager has been executed already.
        """
        if fn is None:
            return lambda fn: self._add(job(fn, **options))
        return self._add(job(fn, **options))

    def _add(self, made: FunctionJob[..., Any, Any]) -> FunctionJob[..., Any, Any]:
        if self._executed:
            raise FrozenError(
                f"job {made.name!r} came too late: the manager has been executed, and is fixed "
                f"since; make a new one, or use a Group for jobs that come while others run"
            )
        self._jobs.append(made)
        self._compiled = {}
        return made

    @property
    def jobs(self) -> tuple[FunctionJob[..., Any, Any], ...]:
        """The jobs, in the order in which they were given."""
        return tuple(map(as_job, self._jobs))

    def layers(self) -> list[list[str]]:
        """Return the names of the jobs by earliest possible start; each layer can run together."""
        plan = self._program().plan
        return [[plan.names[i] for i in layer] for layer in plan.layers()]

    def check(self) -> None:
        """Check everything that can be checked without running; type hints included.

        Raises:
            PlanError: As the class does.
            TypeHintError: Both ends of a need have type hints, and they contradict each other.
        """
        from gofer._hints import check_hints

        check_hints(self._program())

    def execute(
        self,
        ctx: Context | None = None,
        param: Any = None,
        *,
        only: Iterable[str | Job] | None = None,
        check: bool = True,
        progress: bool = False,
        backend: str | Backend | None = None,
    ) -> Run:
        """Run the jobs, wait for all that started, and return the run or raise its one error.

        Async jobs run on one background loop, which lives on from run to run.

        Args:
            ctx: Cancellation, deadline and values; jobs get a child of it. None means the context
                of the job that calls this, or a new one.
            param: What every job gets as its second argument.
            only: The jobs to run, with all that they need; None means all.
            check: Whether to raise what went wrong; if not, see ``run.error`` and ``run.check()``.
            progress: Whether to show on standard error what runs and how much is done, if that is a
                terminal; in colours with the extra ``rich``.
            backend: Where the jobs run that do not say it themselves: ``"processes"``, or a
                backend such as ``ProcessBackend(workers=2)``; None means this process.

        Returns:
            The run: results by name, and a record of every job.

        Raises:
            BaseException: The own exception of the job that failed first.
            JobPanic: A job failed with something that is not an ordinary exception.
            ExceptionGroup: Jobs failed, and ``fail_fast`` is off; in the order of the jobs.
            DeadlineExceeded: The deadline of ``ctx`` passed first.
            Cancelled: ``ctx`` was cancelled first.
            KeyboardInterrupt: Ctrl-C; also with ``check=False``.
            RunningLoopError: Called where an event loop runs; write ``await manager.aexecute()``.
            UnknownJobError: ``only`` names a job that the manager does not have.
            BackendError: There is no such backend, or jobs want different ones.
        """
        if _parts.running_loop() is not None:
            raise RunningLoopError(
                "execute() would block the running event loop; "
                "write: run = await manager.aexecute(ctx, param)"
            )
        program = self._program(chosen(backend))
        loop = loop_backend() if program.has_async else None  # before the clock starts
        execution = self._begin(ctx, param, only, program)
        guarded = _interrupt.begin(execution)
        try:
            if progress:
                _watch(execution)
            port = None if program.backend is None else program.backend.port(execution)
            execution.lane = port
            if loop is not None:
                execution.lane = loop.Lane(execution, loop.background_loop(), port=port)
            if execution.lane is not None:
                execution.lane.post()
            work_and_wait(execution)
        except BaseException as error:
            self._torn(execution, error)
            raise
        finally:
            if guarded:
                _interrupt.end(execution)
        outside = _interrupt.is_of_signal(execution.interrupted)
        run = self._end(execution)
        failure = run._raises
        try:
            if failure is not None and (check or outside):
                raise failure
            return run
        finally:  # a traceback keeps this frame, so it must not keep the run or the error
            del run, failure, execution

    async def aexecute(
        self,
        ctx: Context | None = None,
        param: Any = None,
        *,
        only: Iterable[str | Job] | None = None,
        check: bool = True,
        progress: bool = False,
        backend: str | Backend | None = None,
    ) -> Run:
        """Run the jobs from a running event loop; the same as ``execute``, awaited.

        Async jobs run as tasks of this loop; sync jobs in threads, so they never block it.

        Cancellation: cancelling the awaiting task cancels the jobs and waits for them, then lets
        the ``CancelledError`` out, also with ``check=False``.
        """
        loop = loop_backend()
        program = self._program(chosen(backend))
        execution = self._begin(ctx, param, only, program)
        port = None if program.backend is None else program.backend.port(execution)
        execution.lane = loop.Lane(
            execution, loop.get_running_loop(), mixed=program.uses_threads, port=port
        )
        try:
            if port is not None:
                port.post()
            if progress:
                _watch(execution)
            await execution.lane.run()
        except BaseException as error:
            self._torn(execution, error)
            raise
        run = self._end(execution)
        failure = run._raises
        try:
            if failure is not None and (check or isinstance(failure, KeyboardInterrupt)):
                raise failure
            return run
        finally:
            del run, failure, execution

    def _begin(
        self, ctx: Any, param: Any, only: Any, program: Program | None = None
    ) -> RunExecution:
        program = program or self._program()
        if ctx is not None and not isinstance(ctx, Context):
            raise TypeError(
                f"the first argument of execute is a Context, not a {type(ctx).__name__}; "
                f"write: manager.execute(param=...)"
            )
        self._executed = True
        make = RunExecution
        if program.observers:
            from gofer import _observed  # nothing that others have to load

            make = _observed.ObservedExecution
        return make(program, ctx, param, program.named(only))

    @staticmethod
    def _torn(execution: RunExecution, error: BaseException) -> None:
        """End a run whose caller leaves early: cancelled, or by a signal handler that raised."""
        execution.ctx.cancel(error)
        if execution.over():
            execution.ended(error)
        elif execution.display is not None:
            execution.display.close()
        # Else it was the second Ctrl-C, or the coroutine was closed: what runs is left to itself.

    @staticmethod
    def _end(execution: RunExecution) -> Run:
        run = execution.ended(None)
        if run._raises is None:
            execution.program.learn(execution.core)
        return run

    def _limited(self, limit: int) -> JobManager:
        """Return a manager with the same jobs, sharing their named limits, and another limit."""
        from copy import copy

        other = copy(self)
        other._options, other._compiled = {**self._options, "limit": limit}, {}
        return other

    # Pictures

    def to_mermaid(self) -> str:
        """Return the graph as a Mermaid flowchart, for Markdown pages that draw such.

        More than some 150 jobs are simplified: jobs with the same place in the graph share a box.

        Raises:
            PlanError: The jobs are no graph; see the class.
        """
        from gofer.views.markup import mermaid

        return mermaid(self._program().plan)

    def to_dot(self) -> str:
        """Return the graph in Graphviz's language, with every job and every need."""
        from gofer.views.markup import dot

        return dot(self._program().plan, self.name)

    def to_svg(self) -> str:
        """Return the graph as an SVG document for light and dark; simplified as in Mermaid."""
        from gofer.views.svg import graph_picture

        return graph_picture(self._program().plan, self.name)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Return what a notebook shows: the graph, and the text where pictures are not shown."""
        try:
            return {"text/plain": repr(self), "image/svg+xml": self.to_svg()}
        except PlanError as error:  # jobs are still missing, so there is no graph yet
            return {"text/plain": f"{self!r}: {error}"}

    # A manager is a job, too.

    _stays_here = True  # its own jobs go to another process, if they say so

    @property
    def is_async(self) -> bool:
        """Whether any job is async, so that ``do`` must be awaited."""
        return self._program().has_async

    def __getstate__(self) -> dict[str, Any]:
        """Give what travels to another machine, where the manager's limits are others."""
        limits = {name: each.most for name, each in self._options["limits"].items()}
        return {**self.__dict__, "_options": {**self._options, "limits": limits}, "_compiled": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what ``__getstate__`` gave."""
        self.__dict__.update(state)
        self._options["limits"] = checked_limits("manager", self._options["limits"])

    def do(self, ctx: Context, param: Any, /) -> Any:
        """Run as a job of another manager; the result is the ``Run``."""
        return self.aexecute(ctx, param) if self.is_async else self.execute(ctx, param)

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"<JobManager{name}, {len(self._jobs)} jobs>"


def _watch(execution: RunExecution) -> None:
    from gofer.observers.progress import watch  # nothing that others have to load

    watch(execution)
