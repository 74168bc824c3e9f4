"""A manager's jobs, checked and compiled: what every run of it shares, and never changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gofer._core.lanes import LOOP, THREADS
from gofer._core.plan import Plan, nearest
from gofer._job import FunctionJob, as_job
from gofer._policy import Compiled
from gofer._signature import Signature, is_async
from gofer._wiring import Wiring, getter
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
        getters: Index -> a function that picks these results out of all, or None.
        whens: Index -> predicate, for the jobs that have one.
        policies: Index -> policies, for the jobs that have some.
        limits: Name -> limit.
        has_async, has_sync: Whether any job is.
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
        self._compile([Signature(each.fn, each.name, each.needs) for each in self.jobs])

    def _compile(self, signatures: list[Signature]) -> None:
        jobs = self.jobs
        names = [each.name for each in jobs]
        known = set(names) if any(each.optional for each in signatures) else frozenset()
        needs = []
        for each, signature in zip(jobs, signatures, strict=True):
            for arg in signature.optional:
                if signature.wires[arg] not in known:
                    del signature.wires[arg]
            needs.append([*signature.wires.values(), *each.after])
        self.forms = bytes(
            signature.nargs
            | (HAS_WIRES if signature.wires else 0)
            | (HAS_WHEN if each.when is not None else 0)
            | (HAS_POLICY if each.policy is not None else 0)
            for each, signature in zip(jobs, signatures, strict=True)
        )
        lanes = bytes(LOOP if is_async(each.fn) else THREADS for each in jobs)
        self.plan = Plan(names, needs, lanes)
        self.has_async, self.has_sync = LOOP in lanes, THREADS in lanes
        self.fns: list[Callable[..., Any]] = [each.fn for each in jobs]
        self.whens = {i: each.when for i, each in enumerate(jobs) if each.when is not None}
        self.policies = {
            i: Compiled(each.name, each.fn, each.policy, self.limits)
            for i, each in enumerate(jobs)
            if each.policy is not None
        }
        self._wire(signatures)

    def _wire(self, signatures: list[Signature]) -> None:
        size, index, needs = self.plan.size, self.plan.index, self.plan.needs
        self.wirings: list[Wiring | None] = [None] * size
        self.getters: list[Any] = [None] * size
        self.sources: list[tuple[int, ...]] = [()] * size
        known: dict[Any, Wiring] = {}  # jobs of one function share what is known of it
        for i, signature in enumerate(signatures):
            wires = signature.wires
            if not wires:
                continue
            key = id(self.fns[i]), *wires
            wiring = known.get(key)
            if wiring is None:
                wiring = known[key] = Wiring(self.fns[i], list(wires), signature.nargs)
            self.wirings[i] = wiring
            sources = tuple([index[wires[arg]] for arg in wiring.names])
            self.sources[i] = needs[i] if sources == needs[i] else sources  # once is enough
            self.getters[i] = getter(self.sources[i])

    @property
    def uses_threads(self) -> bool:
        """Whether a run may be changed from a thread; policies may use some for async jobs."""
        return self.has_sync or bool(self.policies)

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
