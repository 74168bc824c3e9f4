"""A manager's jobs, checked and compiled: what every run of it shares, and never changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter

from gofer._core.lanes import AWAY, LOOP, THREADS
from gofer._core.plan import Plan, nearest
from gofer._job import FunctionJob, as_job
from gofer._policy import Compiled
from gofer._signature import Signature, is_async
from gofer._wiring import Wiring
from gofer.errors import BackendError, LimitError, UnknownJobError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gofer._core.schedule import Schedule
    from gofer._limits import Limit
    from gofer.observers import Observer

HAS_WIRES, HAS_WHEN, HAS_POLICY = 4, 8, 16
"""Bits of a job's form; the lowest two bits are how many of ``(ctx, param)`` it takes."""


class Program:
    """Everything a run needs to know of its manager.

    Attributes:
        plan: The graph.
        fns: Index -> what to call.
        forms: Index -> bits, see ``HAS_WIRES``.
        wirings: Index -> how it takes what it needs, or None.
        sources: Index -> the jobs whose results it takes, in the order of ``Wiring.names``.
        getters: Index -> a function that picks these results out of all, where there are several.
        whens: Index -> predicate, for the jobs that have one.
        policies: Index -> policies, for the jobs that have some.
        limits: Name -> limit.
        twice: Index -> names of the jobs whose results it takes, where one of them comes twice.
        has_async, has_sync: Whether any job is.
        backend: Where the jobs of the lane AWAY run, or None if there are none.
        aways: Index -> what calls a job there, for those with policies or ``when``: these are
            driven on the loop, which awaits each call.
        whole: Whether the backend takes the whole graph.
        uses_threads: Whether threads may change a run; policies may use some for async jobs.
    """

    __slots__ = (
        "_choose",
        "aways",
        "backend",
        "fail_fast",
        "fns",
        "forms",
        "getters",
        "has_async",
        "has_sync",
        "jobs",
        "limit",
        "limits",
        "manager",
        "name",
        "observers",
        "order",
        "plan",
        "policies",
        "recover",
        "runs",
        "sources",
        "twice",
        "uses_threads",
        "whens",
        "whole",
        "wirings",
    )

    def __init__(
        self,
        jobs: Iterable[object],
        *,
        name: str | None = None,
        limit: int | None = None,
        limits: dict[str, Limit] | None = None,
        fail_fast: bool = True,
        recover: bool = True,
        observers: tuple[Observer, ...] = (),
        backend: Any = None,
        choose: Callable[[Any], Any] | None = None,
        manager: Any = None,
    ) -> None:
        """Compile.

        Args:
            jobs: What the manager was given.
            name: The manager's name.
            limit: Its limit.
            limits: Its named limits.
            fail_fast: As there.
            recover: As there.
            observers: As there.
            backend: Where jobs run that do not say it themselves; None for here.
            choose: Makes a backend of what a job says.
            manager: The class of managers, for a worker that runs one job with all it says.
        """
        self.jobs: list[FunctionJob[..., Any, Any]] = [as_job(each) for each in jobs]
        self.name, self.limit, self.limits = name, limit, limits or {}
        self.fail_fast, self.recover, self.observers = fail_fast, recover, observers
        self.runs = 0
        self.order: list[int] | None = None
        self.twice: dict[int, list[str]] = {}
        self.backend = backend
        self.whole: bool = getattr(backend, "whole", False)
        self._choose, self.manager = choose, manager
        self.aways: dict[int, Any] = {}
        self._compile()

    def _compile(self) -> None:
        jobs = self.jobs
        names = [each.name for each in jobs]
        self.fns: list[Callable[..., Any]] = [each.fn for each in jobs]
        lanes = bytearray(LOOP if is_async(each.fn) else THREADS for each in jobs)
        self._send_away(lanes)
        self.forms = bytearray(len(jobs))
        self.wirings: list[Wiring | None] = [None] * len(jobs)
        # What is read of a job is not kept: a million small objects at once, and the garbage
        # collector looks at all of them, and at the jobs, again and again.
        self.plan = Plan(names, self._read(names), bytes(lanes))
        self.has_async, self.has_sync = LOOP in lanes, THREADS in lanes
        self.whens = {i: each.when for i, each in enumerate(jobs) if each.when is not None}
        self.policies = {
            i: Compiled(each.name, self.fns[i], each.policy, self.limits)
            for i, each in enumerate(jobs)
            if each.policy is not None
        }
        self.uses_threads = self.has_sync or bool(self.policies) or self.backend is not None
        self._wire()

    def _send_away(self, lanes: bytearray) -> None:
        """Say which jobs run elsewhere, and how."""
        if self.whole:
            self._send_whole(lanes)
            return
        mine, chosen = None, self.backend
        for i, each in enumerate(self.jobs):
            if each.backend is not None and self._choose is not None:
                backend = self._choose(each.backend)
            else:
                backend = None if chosen is None or stays(each.fn) else chosen
            if backend is None:
                continue
            if mine is not None and backend is not mine:
                raise BackendError(
                    f"job {each.name!r} wants to run on {backend.name}, and others of its manager "
                    f"on {mine.name}; one manager has one backend beside threads"
                )
            mine = backend
            if each.policy is None and each.when is None:
                lanes[i] = AWAY
            else:
                lanes[i] = LOOP
                self.fns[i] = self.aways[i] = backend.away(each.name, each.fn)
        self.backend = mine

    def _send_whole(self, lanes: bytearray) -> None:
        """Send all jobs away; one may have its worker call it in a process."""
        for i, each in enumerate(self.jobs):
            lanes[i] = AWAY
            wanted = each.backend
            if wanted is None or wanted is self.backend or wanted in ("process", "processes"):
                continue
            raise BackendError(
                f"job {each.name!r} wants to run on {wanted!r}, but its graph goes to "
                f"{self.backend.name} as a whole; run it in a manager of its own, before or after"
            )

    def _read(self, names: list[str]) -> Iterator[list[str]]:
        """Read the signatures of all jobs, one by one; give the needs of each.

        The jobs whose results it takes come first, in the order of ``Wiring.names``.
        """
        known: dict[Any, Wiring] = {}  # jobs of one function share what is known of it
        provided: set[str] | None = None
        for i, each in enumerate(self.jobs):
            signature = Signature(each.fn, each.name, each.needs)
            wires = signature.wires
            for arg in signature.optional:
                provided = provided or set(names)
                if wires[arg] not in provided:
                    del wires[arg]
            self.forms[i] = (
                signature.nargs
                | (HAS_WIRES if wires else 0)
                | (HAS_WHEN if each.when is not None else 0)
                | (HAS_POLICY if each.policy is not None else 0)
            )
            if not wires:
                yield [*each.after]
                continue
            fn = self.fns[i]
            key = id(fn), *wires
            wiring = known.get(key)
            if wiring is None:
                wiring = known[key] = Wiring(fn, list(wires), signature.nargs)
            self.wirings[i] = wiring
            wanted = [wires[arg] for arg in wiring.names]
            if len(wanted) > 1 and len(set(wanted)) < len(wanted):
                self.twice[i] = wanted
            yield [*wanted, *each.after]

    def _wire(self) -> None:
        plan = self.plan
        self.getters: list[Any] = [None] * plan.size
        self.sources: list[tuple[int, ...]] = [()] * plan.size
        for i, wiring in enumerate(self.wirings):
            if wiring is not None:
                needs, count = plan.needs[i], len(wiring.names)
                sources = needs if len(needs) == count else needs[:count]
                if i in self.twice:
                    sources = tuple([plan.index[name] for name in self.twice[i]])
                self.sources[i] = sources
                if len(sources) > 1:
                    self.getters[i] = itemgetter(*sources)

    def pick(self, i: int, results: list[Any]) -> Sequence[Any]:
        """Return the results that a job takes, in the order of ``Wiring.names``."""
        getter = self.getters[i]
        return getter(results) if getter else (results[self.sources[i][0]],)

    def named(self, only: Iterable[object] | None) -> list[int] | None:
        """Return the indices of some jobs; None for all jobs.

        Raises:
            UnknownJobError: The manager has no such job.
        """
        if only is None:
            return None
        if isinstance(only, (str, bytes)):
            raise TypeError(f"only must be a list of jobs: only=[{only!r}]")
        wanted = []
        for each in only:
            name = each if isinstance(each, str) else getattr(each, "name", None)
            i = self.plan.index.get(name) if isinstance(name, str) else None
            if i is None:
                raise UnknownJobError(str(name), nearest(str(name), self.plan.names))
            wanted.append(i)
        return wanted

    def learn(self, schedule: Schedule) -> None:
        """Order the jobs by the longest path from each to the end, as long as they took this time.

        Only a limit makes jobs queue, and only then their order matters. Looking at every run would
        cost more than it gives, so it is done after the runs 1, 2, 4, 8, and so on.

        Source: list scheduling by critical path; Graham, Bounds on multiprocessing timing anomalies
        (1969); Kasahara and Narita's CP/MISF (1984).
        """
        self.runs += 1
        if self.runs & (self.runs - 1) or schedule.limit >= self.plan.size:
            return
        started, ended = schedule.started_at, schedule.ended_at
        ahead = [0.0] * self.plan.size
        for layer in reversed(self.plan.layers()):
            for i in layer:
                start, end = started[i], ended[i]
                took = 0.0 if start is None or end is None else end - start
                ahead[i] = took + max((ahead[j] for j in self.plan.dependents(i)), default=0.0)
        self.order = sorted(range(self.plan.size), key=lambda i: -ahead[i])


def stays(fn: Any) -> bool:
    """Return whether a job is a manager, whose own jobs go away if they want to."""
    return bool(getattr(getattr(fn, "__self__", None), "_stays_here", False))


def checked_limit(owner: str, limit: object) -> int | None:
    """Return a limit that holds.

    Raises:
        LimitError: It is not None and not a whole number of at least 1.
    """
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise LimitError(owner, limit)
    return limit
