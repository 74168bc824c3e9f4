"""Races on a param: two jobs use the same part of it, one writes it, and nothing orders the two.

One run is enough to find them, in whatever order the jobs ran: what each job did is compared by the
graph of needs, not by the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import combinations_with_replacement, product
from operator import itemgetter
from typing import Any, NamedTuple

from gofer._context import Context
from gofer._job import Job, need_name
from gofer._manager import JobManager
from gofer._program import Program
from gofer._run import Run
from gofer.errors import RacesFound
from gofer.testing._accesses import ACTOR, WHOLE, Access, Record, spellings, spelt
from gofer.testing._ancestors import Group, Meeting, Racing, unordered
from gofer.testing._tracking import Watch
from gofer.testing._watched import jobs_away, local_program, param_name, watched

__all__ = ["Access", "Race", "RaceDetector", "UnusedNeed"]

_Where = tuple[int, int, str]
_MOST = 10  # names of jobs in one line


class Race(NamedTuple):
    """Two accesses to the same part of a param by two jobs that nothing orders.

    Attributes:
        first: What the job did that had better come first: the one that writes, or else the one
            that comes first in the manager.
        second: What the other one did.
    """

    first: Access
    second: Access

    @property
    def jobs(self) -> tuple[str, str]:
        """The names of the two jobs."""
        return self.first.job, self.second.job

    @property
    def path(self) -> str:
        """What both used, such as ``page.cart.items``; the container, if one used all of it."""
        return min(self.first.path, self.second.path, key=len)

    @property
    def after(self) -> str:
        """What orders the two, on the second job; the other way round does so as well."""
        return f"after=[{self.first.job!r}]"

    def __str__(self) -> str:
        return (
            f"{self.path}\n  {self._did(self.first)}\n  {self._did(self.second)}\n"
            f"  nothing orders them: give job {self.second.job!r} {self.after}, "
            f"or hold one ctx.lock(name) in both"
        )

    def _did(self, access: Access) -> str:
        verb = "writes" if access.write else "reads"
        what = "it" if access.path == self.path else access.path
        return f"job {access.job!r} {verb} {what} at {access.place}"


class UnusedNeed(NamedTuple):
    """A need over which nothing flowed.

    Attributes:
        job: The job that has it.
        need: The job that it waits for.
    """

    job: str
    need: str

    def __str__(self) -> str:
        return f"job {self.job!r} waits for {self.need!r}, but takes nothing that it made"


class RaceDetector:
    """Finds races on the param of a manager's runs; it suffices that each job runs once.

    Either ``detector.execute(ctx, param)`` runs the manager, or all its runs in a ``with`` block
    are watched, whoever starts them. Values keep their identity and class; built-in containers and
    ``SimpleNamespace`` are seen through proxies. docs/races.md says what is not seen.

    Args:
        manager: Whose runs.
        unordered: Paths of what may be used in any order, such as ``"hits"`` or ``"cart.items"``,
            as from the param, be they attributes or keys; what is below them is meant, too.
        opaque: Paths and types of what is not looked into: a client with locks of its own, a list
            that goes to C code.

    Raises:
        TypeError: A list of paths is a text, or ``manager`` is no manager.

    Thread safety: runs may be made from any thread, also at the same time. Ask for what was found
    when they are over.

    Example:
        >>> from types import SimpleNamespace
        >>> from gofer import JobManager, job
        >>> @job
        ... def add(ctx, order):
        ...     order.total += 5
        >>> @job
        ... def fee(ctx, order):
        ...     order.total += 1
        >>> detector = RaceDetector(JobManager([add, fee]))
        >>> detector.execute(param=SimpleNamespace(total=0)).state
        'succeeded'
        >>> [(race.jobs, race.path) for race in detector.races]
        [(('add', 'fee'), 'order.total')]

    Source: Go's race detector, for the question; comparing by the graph is happens-before without
    clocks, Lamport, Time, clocks, and the ordering of events in a distributed system (1978).
    """

    def __init__(
        self,
        manager: JobManager,
        *,
        unordered: Iterable[str] = (),
        opaque: Iterable[str | type] = (),
    ) -> None:
        if not isinstance(manager, JobManager):
            raise TypeError(f"a race detector is for a JobManager, not for {manager!r}")
        for name, given in (("unordered", unordered), ("opaque", opaque)):
            if isinstance(given, str):
                raise TypeError(f"{name} must be a list: {name}=[{given!r}]")
        self._manager = manager
        self._unordered, self._opaque = tuple(map(spelt, unordered)), tuple(opaque)
        self._records: list[Record] = []
        self._program: Program | None = None  # once there is a run

    # -- running

    def execute(self, ctx: Context | None = None, param: Any = None, **options: Any) -> Run:
        """Execute the manager as ``JobManager.execute`` does, with its options, and watch it."""
        with self._watching(param, options) as (manager, tracked):
            return manager.execute(ctx, tracked, **options)

    async def aexecute(self, ctx: Context | None = None, param: Any = None, **options: Any) -> Run:
        """Execute the manager as ``JobManager.aexecute`` does, with its options, and watch it."""
        with self._watching(param, options) as (manager, tracked):
            return await manager.aexecute(ctx, tracked, **options)

    @contextmanager
    def _watching(self, param: Any, options: dict[str, Any]) -> Iterator[tuple[JobManager, Any]]:
        program = self._program = self._program or local_program(self._manager)
        away = jobs_away(program, options.pop("backend", None))  # here all of them can be seen
        watch = Watch(self._opaque)
        record = Record(program.plan.names, watch, away)
        try:
            path = record.call(param, param_name(program))
            token = ACTOR.set(record.caller)
            try:
                tracked = watch.take(param, path, root=True)
            finally:
                ACTOR.reset(token)
            yield watched(self._manager, program, record), tracked
        finally:
            watch.restore()
            record.close()
            self._records.append(record)

    def __enter__(self) -> RaceDetector:
        if "execute" in vars(self._manager):
            raise RuntimeError("another detector watches this manager; leave its block first")
        vars(self._manager).update(execute=self.execute, aexecute=self.aexecute)
        return self

    def __exit__(self, *_: object) -> None:
        for name in ("execute", "aexecute"):
            del vars(self._manager)[name]

    # -- what was found

    @property
    def runs(self) -> int:
        """How many runs were watched."""
        return len(self._records)

    @property
    def races(self) -> list[Race]:
        """All races of all runs so far, in the order of the jobs; of two jobs, one for each part.

        Of runs that found the same, the first one counts.
        """
        found = sorted(self._each(), key=itemgetter(0))
        return [race for _, race in found]

    def _each(self) -> Iterator[tuple[_Where, Race]]:
        """Return the races, and what to sort them by; there may be millions, so one by one."""
        for pair, path, racing in self._racing():
            for i, j in racing.pairs():
                yield (min(i, j), max(i, j), path), _race(pair, i, j)

    def _racing(self) -> Iterator[tuple[tuple[Group, Group], str, Racing]]:
        """Return who races at which path; what was found in an earlier run is left out."""
        if self._program is None:
            return
        plan = self._program.plan
        order = [i for layer in plan.layers() for i in layer]
        meetings = [
            [pair for pair in each if not any(map(self._is_waived, _paths(pair)))]
            for record in list(self._records)
            for each in _meetings(record)
        ]
        seen: dict[tuple[int, int, str], int] = {}
        for racing in unordered(plan.needs, order, meetings):
            pair = meetings[racing.meeting][racing.pair]
            path = min(_paths(pair), key=len)
            place = racing.block[0], racing.job, path
            known = seen.get(place, 0)
            new = racing.mask & ~known
            if new:
                seen[place] = known | new
                yield pair, path, racing._replace(mask=new)

    def _is_waived(self, path: str) -> bool:
        return any(
            each == shown or shown.startswith((f"{each}.", f"{each}["))
            for each in self._unordered
            for shown in spellings(path)
        )

    @property
    def unused_needs(self) -> list[UnusedNeed]:
        """Needs over which nothing flowed in any run in which both jobs ended well.

        That is: the job takes no result of the other, reads nothing that the other wrote, and the
        two would not race without it. Perhaps it is there for what happens outside of the param.
        """
        program, found = self._program, list[UnusedNeed]()
        if program is None:
            return found
        plan = program.plan
        for j, needs in enumerate(plan.needs):
            for i in needs:
                both = [
                    record
                    for record in self._records
                    if record.actors[i].has_ended and record.actors[j].has_ended
                ]
                if i in program.sources[j] or not both:
                    continue
                if not any(_meet(record, i, j) for record in both):
                    found.append(UnusedNeed(plan.names[j], plan.names[i]))
        return found

    def lost_writes(self, jobs: Iterable[str | Job] | None = None) -> list[Access]:
        """Return what jobs wrote: it would be lost if they ran in processes of their own.

        Args:
            jobs: Which jobs; None means all.
        """
        names = None if jobs is None else {need_name("these jobs", each) for each in jobs}
        return self._written(lambda _, job: names is None or job in names)

    def _written(self, asked: Callable[[Record, str], bool]) -> list[Access]:
        found: dict[tuple[str, str], Access] = {}
        for record in list(self._records):
            for actor in record.actors:
                for access in list(actor.seen.values()):
                    if access.write and asked(record, access.job):
                        found.setdefault((access.job, access.path), access)
        return list(found.values())

    def _lost(self) -> list[str]:
        """Tell what is lost, since its job is one that runs elsewhere."""
        return [
            f"{each.path}\n  job {each.job!r} writes it at {each.place}\n"
            f"  it is lost: the job runs elsewhere, on a copy of the param; return it instead"
            for each in self._written(lambda record, job: job in record.away)
            if not self._is_waived(each.path)
        ]

    def report(self) -> str:
        """Return all that was found, as text; races on the same two lines are told once."""
        count, told = self._told()
        lines = [_counted(count, "race"), *told]
        lost, needs = self._lost(), self.unused_needs
        if lost:
            lines += [f"\n{_counted(len(lost), 'lost write')}", *lost]
        if needs:
            lines += [f"\n{_counted(len(needs), 'need')} over which nothing flowed"]
            lines += [f"  {need}" for need in needs]
        unseen = self._unseen()
        if unseen:
            more = f" and {len(unseen) - _MOST:,} more" if len(unseen) > _MOST else ""
            names = ", ".join(map(repr, unseen[:_MOST]))
            lines += [f"\nnot seen to their end, so races may be missing: {names}{more}"]
        return "\n".join(lines)

    def _unseen(self) -> list[str]:
        """Return the names of the jobs that ended well in no run."""
        names = self._program.plan.names if self._program is not None else []
        seen = {i for each in self._records for i, job in enumerate(each.actors) if job.has_ended}
        return [name for i, name in enumerate(names) if i not in seen]

    def check(self) -> None:
        """Do nothing unless there are races, or writes that are lost.

        Raises:
            RacesFound: There are; the message is that of ``report``, without the needs.
        """
        _, told = self._told()
        told += self._lost()
        if told:
            raise RacesFound(tuple(told))

    def _told(self) -> tuple[int, list[str]]:
        """Return how many races there are, and a text for each pair of lines that have some."""
        alike: dict[tuple[str, ...], list[Any]] = {}  # lines -> [where, race, how many]
        for pair, path, racing in self._racing():
            i, j = next(racing.pairs())
            where, race = (min(i, j), max(i, j), path), _race(pair, i, j)
            lines = tuple(sorted(f"{each.write} {each.file}:{each.line}" for each in race))
            known = alike.setdefault(lines, [where, race, 0])
            known[2] += racing.mask.bit_count()
            if where < known[0]:
                known[:2] = where, race
        told = []
        for _, race, count in sorted(alike.values(), key=itemgetter(0)):
            more = f"\n  and {count - 1:,} more on these lines" if count > 1 else ""
            told.append(f"{race}{more}")
        return sum(each[2] for each in alike.values()), told

    def __repr__(self) -> str:
        return f"<RaceDetector, {_counted(self.runs, 'run')}>"


# -- comparing


def _meetings(record: Record) -> Iterator[Meeting]:
    """Return who may race with whom at each place; what is done twice to both is told first.

    The jobs of a group do the same on the same line, so that all of them can be told at once.
    """
    places: dict[tuple[int, bool], dict[Any, dict[Any, Group]]] = {}
    for i, actor in enumerate(record.actors):
        is_away = record.names[i] in record.away
        for (owner, item, key, write, guards), access in list(actor.seen.items()):
            if write and is_away:
                continue  # into a copy
            alike = places.setdefault((owner, item), {}).setdefault(key, {})
            kind = write, guards, access.file, access.line
            alike.setdefault(kind, Group(write, guards, {})).jobs[i] = access
    for keys in places.values():
        whole = list(keys.get(WHOLE, {}).values())
        for key, found in keys.items():
            groups = list(found.values())
            pairs = list(combinations_with_replacement(groups, 2))
            if key is not WHOLE:
                pairs += product(groups, whole)
            pairs = [(one, other) for one, other in pairs if one.may_race(other)]
            if pairs:
                yield sorted(pairs, key=lambda pair: -pair[0].write - pair[1].write)


def _paths(pair: tuple[Group, Group]) -> list[str]:
    """Return the path that the jobs of each group use."""
    return [next(iter(group.jobs.values())).path for group in pair]


def _race(pair: tuple[Group, Group], i: int, j: int) -> Race:
    first, second = pair[0].jobs[i], pair[1].jobs[j]
    if (first.write, -i) < (second.write, -j):
        first, second = second, first
    return Race(first, second)


def _meet(record: Record, i: int, j: int) -> bool:
    """Return whether two jobs used the same part and one of them wrote it."""
    used: dict[tuple[int, bool], dict[Any, bool]] = {}
    for owner, item, key, write, _ in list(record.actors[i].seen):
        keys = used.setdefault((owner, item), {})
        keys[key] = keys.get(key, False) or write
    for owner, item, key, write, _ in list(record.actors[j].seen):
        keys = used.get((owner, item), {})
        for shared in keys if key is WHOLE else (key, WHOLE):
            if shared in keys and (write or keys[shared]):
                return True
    return False


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
