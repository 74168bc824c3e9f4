"""A run whose whole graph goes to an engine on other machines: Dask, Ray.

The core is told what happens there, as news come in, so everything that looks at a run sees it
live. News of a job may come before those of what it needs, as they take other ways; they wait then.

Who does what
    the caller      cuts the graph and pickles what travels, so what does not is refused before
                    anything runs; then it waits
    a helper        hands the graph to the engine, looks after it, and sees to a stop
    the engine      calls ``heard`` and ``lost``, from a thread of its own
"""

from __future__ import annotations

from functools import partial

from gofer import _parts
from gofer._signature import is_async
from gofer.backends._far_errors import as_error
from gofer.backends._far_jobs import Errand, Undone
from gofer.backends._far_pickles import far_function, far_pickle, pack_run
from gofer.backends._ledger import Ledger
from gofer.backends._outlet import Outlet
from gofer.backends._pieces import Piece, cut
from gofer.errors import BackendError, JobCrashed, NoResult, describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from gofer._running import RunExecution

    class Engine(Protocol):
        """What a cluster is to its runs. Its methods may block; none is called twice at a time.

        Attributes:
            name: What messages call it.
            ends_workers: Whether a worker ends with what a job has left behind in it.
        """

        name: str
        ends_workers: bool

        def launch(self, whole: Whole) -> None:
            """Hand over ``whole.pieces``; from then on tell ``whole.heard`` and ``whole.lost``."""

        def look(self, whole: Whole) -> None:
            """Raise if the cluster is not there any more."""

        def stop(self, whole: Whole) -> list[tuple[str, int, list[int]]]:
            """Let nothing begin any more, and cancel what runs; may be called again and again.

            Returns:
                What ``_site.standing`` says, of each worker that is still there.
            """

        def fetch(self, whole: Whole, wanted: list[tuple[int, int]]) -> list[Any]:
            """Return results: for each ``(piece, place)``; place is -1 where it gives one alone."""

        def over(self, whole: Whole) -> None:
            """Note that the run is over; its results may still be asked for."""


_LEAVES = frozenset({"timeout", "hedge"})  # policies that may leave a plain function behind
_LOOK = 1.0  # seconds between two looks at whether the cluster is still there
_AGAIN = 0.2  # seconds between two looks at what has not ended after a stop
_GONE = 25  # how many of these the cluster may not answer


class Whole(Outlet):
    """One run, on an engine.

    Attributes:
        pieces: What the engine gets; a piece's number is its place.
        errands: For each piece, what its worker gets.
        pack: What every worker gets.
        execution: The run.
        program: Its program.
        held: What the engine holds for the run, to let go of it with this object.
    """

    def __init__(self, engine: Engine, execution: RunExecution) -> None:
        """Cut and pickle.

        Raises:
            NotPicklable: Something does not travel. Nothing has been sent.
            BackendError: Something cannot be kept on other machines.
        """
        self.engine, self.execution = engine, execution
        program = self.program = execution.program
        self.held: Any = None
        super().__init__()
        self._ledger: Any = Ledger(execution)  # None once the run is over
        self._kinds = [self._kind_of(i) for i in range(program.plan.size)]
        chosen = execution.core.selected
        everything = range(program.plan.size)
        self._wanted = frozenset(everything if execution.only is None else execution.only)
        self.pieces = cut(
            program.plan,
            program.sources,
            self._kinds.__getitem__,
            chosen=everything if chosen is None else chosen,
            wanted=self._wanted,
            limit=program.limit,
        )
        self._place: dict[int, tuple[int, int]] = {}
        for piece in self.pieces:
            for place, i in enumerate(piece.kept):
                self._place[i] = piece.number, place if len(piece.kept) > 1 else -1
        self._functions: dict[int, bytes] = {}
        self.errands = [self._errand(piece) for piece in self.pieces]
        self.pack = pack_run(execution, execution.param)
        execution.run._far = self

    def _kind_of(self, i: int) -> tuple[bool, Any, int, bool]:
        """Return what an engine has to know of a job: whether it is async, and its place."""
        job = self.program.jobs[i]
        policy = job.policy
        if policy is not None and isinstance(policy.limit, str):
            raise BackendError(
                f"job {job.name!r} has the limit {policy.limit!r}, which counts in one process; "
                f"here it would run in many; write: resources={{{policy.limit!r}: 1}}, and give "
                f"the workers so much of it"
            )
        if policy is not None and policy.breaker is not None:
            raise BackendError(
                f"job {job.name!r} has a breaker, which counts in one process; "
                f"here it would run in many, and each would learn by itself; leave it out"
            )
        idempotent = policy is not None and not (policy.retry is None and policy.hedge is None)
        if job.place is None:
            return is_async(job.fn), (), 0, idempotent
        resources = tuple(sorted(job.place.resources.items()))
        return is_async(job.fn), resources, job.place.priority, idempotent or job.place.idempotent

    def is_async(self, piece: Piece) -> bool:
        """Return whether a piece's jobs are async."""
        return self._kinds[piece.jobs[0]][0]

    def resources(self, piece: Piece) -> dict[str, float]:
        """Return what a piece takes of its worker's resources."""
        return dict(self._kinds[piece.jobs[0]][1])

    def priority(self, piece: Piece) -> int:
        """Return a piece's priority; greater ones go first."""
        return self._kinds[piece.jobs[0]][2]

    def is_idempotent(self, piece: Piece) -> bool:
        """Return whether a piece may run again that may have run already."""
        return self._kinds[piece.jobs[0]][3]

    # What travels

    def _errand(self, piece: Piece) -> Errand:
        program = self.program
        jobs = []
        for place, i in enumerate(piece.jobs):
            wiring, wires = program.wirings[i], []
            if wiring is not None:
                for arg, j in zip(wiring.names, program.sources[i], strict=True):
                    if place:
                        wires.append((arg, -1, place - 1))
                    else:
                        number, position = self._place[j]
                        wires.append((arg, piece.sources.index(number), position))
            spec = self._function(i), program.forms[i] & 3, tuple(wires), self._more(i)
            jobs.append((i, program.plan.names[i], *spec))
        kept = tuple([piece.jobs.index(i) for i in piece.kept])
        return Errand(tuple(jobs), kept)

    def _function(self, i: int) -> bytes:
        fn = self.program.fns[i]
        data = self._functions.get(id(fn))
        if data is None:
            data = self._functions[id(fn)] = far_function(self.program.plan.names[i], fn)
        return data

    def _more(self, i: int) -> bytes | None:
        """Return what a worker needs to run a job that is more than a call; None if it is not."""
        job = self.program.jobs[i]
        backend = job.backend if isinstance(job.backend, str) else None
        if job.policy is None and job.when is None and backend is None:
            return None
        given = {} if job.policy is None else job.policy.given
        if self.engine.ends_workers and not (is_async(job.fn) or _LEAVES.isdisjoint(given)):
            given = {**given, "abandon": True}
        make = partial(self.program.manager, recover=self.program.recover)
        return far_pickle(job.name, "its policies", (make, given, job.when, backend))

    # The caller, and whoever stops the run

    def post(self, *, force: bool = False) -> None:
        """Begin, or see that the run was stopped; from any thread, and from a signal handler."""
        if not self._begun:
            self._begun = True
            if self.pieces:
                self._ledger.give_away()
                self._set_off(self.engine.name, self._serve)
                return
        self._open()

    # The helper

    def _serve(self) -> None:
        ledger, core = self._ledger, self.execution.core
        try:
            if not core.stopped:
                self.engine.launch(self)
        except BaseException as error:
            self._break(error)
        silent = 0
        while not self._closed and not (core.stopped and self.execution.over()):
            stopped = core.stopped
            self._gate.acquire(timeout=_AGAIN if stopped else _LOOK)
            if self._closed:
                break
            try:
                if core.stopped:
                    ledger.settle(self.engine.stop(self) if self.held is not None else [])
                else:
                    self.engine.look(self)
                silent = 0
            except BaseException as error:
                silent += 1
                if not core.stopped:
                    self._break(error)
                elif silent >= _GONE:
                    ledger.settle([])
        try:
            if self.held is not None:
                self.engine.over(self)
        except BaseException as error:
            _parts.report_unraisable(error, f"{self.engine.name} could not end a run", self)
        self.execution = self._ledger = None  # type: ignore[assignment]  # there are still results

    def _break(self, error: BaseException) -> None:
        """Let the run raise something that is no job's."""
        execution, ctx = self.execution, self.execution.ctx
        if self._closed or ctx is None:  # it is over
            return
        if not isinstance(error, BackendError):
            problem = BackendError(f"{self.engine.name} could not run it: {describe(error)}")
            problem.__cause__ = error
            error = problem
        execution.interrupted = execution.interrupted or error
        ctx.cancel(error)

    # The engine's thread

    def heard(self, message: dict[str, Any]) -> None:
        """Take news from a worker; late ones are of no use. Never raises."""
        ledger = self._ledger
        if ledger is None or self._closed:
            return
        try:
            ledger.heard(message)
        except BaseException as error:
            self._break(error)

    def lost(self, number: int, worker: str) -> None:
        """Note that a piece was lost with its worker, and will not run again. Never raises."""
        ledger = self._ledger
        if ledger is None or self._closed:
            return
        try:
            ledger.lost(self.pieces[number].jobs, worker)
        except BaseException as error:
            self._break(error)

    def broke(self, problem: str) -> None:
        """Note that the engine could not do a piece at all, for what reason."""
        if self._ledger is not None and not self._closed:
            self._break(BackendError(f"{self.engine.name} could not run a job: {problem}"))

    # Results

    def has(self, i: int) -> bool:
        """Return whether a job's result was to be kept."""
        return i in self._wanted

    def fetch(self, jobs: list[int]) -> list[Any]:
        """Return results of jobs that ended well.

        Raises:
            NoResult: It was not asked for.
            JobCrashed: It was lost with its worker since.
        """
        names = self.program.plan.names
        for i in jobs:
            if i not in self._wanted:
                only = [*sorted(names[j] for j in self._wanted), names[i]]
                raise NoResult(names[i], f"it was not kept; write: only={only!r}")
        values = self.engine.fetch(self, [self._place[i] for i in jobs])
        for value in values:
            if type(value) is Undone:
                raise as_error(value.error) if value.error else JobCrashed(names[jobs[0]], "?")
        return values
