"""A manager's jobs, checked and compiled: what every run of it shares, and never changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter

from gofer._core.lanes import LOOP, THREADS
from gofer._core.plan import Plan, nearest
from gofer._job import FunctionJob, as_job
from gofer._policy import Compiled
from gofer._signature import Signature, is_async
from gofer._wiring import Wiring
from gofer.errors import LimitError, UnknownJobError

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
        uses_threads: Whether threads may change a run; policies may use some for async jobs.
    """

    __slots__ = (
        "fail_fast",
        "fns",
        "forms",
        "getters",
        "has_async",
        "has_sync",
        "jobs",
        "limit",
        "limits",
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
    ) -> None:
        self.jobs: list[FunctionJob[..., Any, Any]] = [as_job(each) for each in jobs]
        self.name, self.limit, self.limits = name, limit, limits or {}
        self.fail_fast, self.recover, self.observers = fail_fast, recover, observers
        self.runs = 0
        self.order: list[int] | None = None
        self.twice: dict[int, list[str]] = {}
        self._compile()

    def _compile(self) -> None:
        jobs = self.jobs
        names = [each.name for each in jobs]
        lanes = bytes(LOOP if is_async(each.fn) else THREADS for each in jobs)
        self.fns: list[Callable[..., Any]] = [each.fn for each in jobs]
        self.forms = bytearray(len(jobs))
        self.wirings: list[Wiring | None] = [None] * len(jobs)
        # What is read of a job is not kept: a million small objects at once, and the garbage
        # collector looks at all of them, and at the jobs, again and again.
        self.plan = Plan(names, self._read(names), lanes)
        self.has_async, self.has_sync = LOOP in lanes, THREADS in lanes
        self.whens = {i: each.when for i, each in enumerate(jobs) if each.when is not None}
        self.policies = {
            i: Compiled(each.name, each.fn, each.policy, self.limits)
            for i, each in enumerate(jobs)
            if each.policy is not None
        }
        self.uses_threads = self.has_sync or bool(self.policies)
        self._wire()

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
            key = id(each.fn), *wires
            wiring = known.get(key)
            if wiring is None:
                wiring = known[key] = Wiring(each.fn, list(wires), signature.nargs)
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

    def select(self, only: Iterable[object] | None) -> set[int] | None:
        """Return the indices of some jobs and all that they need; None for all jobs.

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
        return self.plan.closure(wanted)

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
