"""What every picture of a run says: which jobs matter, how long they took, one sentence.

A run is read once, so that all numbers of a picture belong together, also while it goes on.
"""

from __future__ import annotations

from heapq import nlargest

from gofer._core.states import NAMES, SUCCEEDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gofer._run import JobRecord, Run

NOTHING = 5e-9
"""Seconds that count as none: no clock is that fine, and dividing by less could overflow."""


class Facts:
    """A run as it is now.

    Attributes:
        name: What the run is called, or None.
        duration: Seconds that it took, or None while it goes on.
        state: As ``run.state``.
        error: As ``run.error``; None while the run goes on.
        records: One for each job, in the manager's order.
        path: The critical path.
        critical: The names in it.
        end: Seconds from its start to its end, or to the last news of a run that goes on.
    """

    def __init__(self, run: Run) -> None:
        duration = run.duration  # before all else: once it is there, nothing changes any more
        self.name, self.duration = run.name, duration
        self.state = "running" if duration is None else run.state
        self.error = None if duration is None else run.error
        self.records: Sequence[JobRecord] = run.records
        self.path = run.critical_path
        self.critical = frozenset(self.path)
        times = [at for each in self.records for at in (each.start, each.end) if at is not None]
        self.end = max([duration or 0.0, *times])

    def took(self, record: JobRecord) -> float:
        """Return how long a job ran, so far; -1 if it did not start."""
        if record.start is None:
            return -1.0
        return (self.end if record.end is None else record.end) - record.start

    @property
    def work(self) -> float:
        """Seconds that all jobs took together."""
        return sum(max(0.0, self.took(each)) for each in self.records)

    def how_it_went(self) -> str:
        """Return the run's state, time and work in words."""
        if self.duration is None:
            over = sum(each.end is not None for each in self.records)
            return (
                f"running, {over:,} of {len(self.records):,} jobs ended, "
                f"last news at {amount(self.end)}"
            )
        preposition = "in" if self.state == "succeeded" else "after"
        text = f"{self.state} {preposition} {amount(self.duration)}"
        if not self.records:
            return f"{text}; it has no jobs"
        if all(each.start is None for each in self.records):
            return f"{text}; no job started"
        work = self.work
        at_once = work / self.duration if self.duration > NOTHING else 0.0
        text = f"{text}, {amount(work)} of work"
        return f"{text}, {at_once:.1f} at once" if at_once >= 0.1 else text

    def shown(self, most: int) -> list[JobRecord]:
        """Return at most so many jobs, those that matter: by start, then by the manager's order.

        A third is for failures, a third for the critical path; the longest jobs get the rest.
        """
        chosen: Sequence[JobRecord] = self.records
        if len(chosen) > most:
            names = frozenset(each.name for each in self._that_matter(most))
            chosen = [each for each in chosen if each.name in names]
        never = self.end + 1
        return sorted(chosen, key=lambda each: never if each.start is None else each.start)

    def _that_matter(self, most: int) -> list[JobRecord]:
        failed = [each for each in self.records if each.state == "failed"]
        failed.sort(key=lambda each: each.end or 0.0)
        critical = [each for each in self.records if each.name in self.critical]
        started = [each for each in self.records if each.start is not None]
        chosen: dict[str, JobRecord] = {}
        for each in (
            *failed[: most // 3],
            *nlargest(most // 3, critical, key=self.took),
            *nlargest(most, started, key=self.took),
        ):
            if len(chosen) < most:
                chosen[each.name] = each
        return list(chosen.values())


def attempts(record: JobRecord) -> list[tuple[float, float | None, BaseException | None]]:
    """Return start, end and error of each attempt of a job, in order; none if it did not start."""
    return [(each.start, each.end, each.error) for each in record.attempts]


_FELL_BACK = "fell back"
_ORDER = (*NAMES[: SUCCEEDED + 1], _FELL_BACK, *NAMES[SUCCEEDED + 1 :])


def state_of(record: JobRecord) -> str:
    """Return a job's state as pictures show it: one whose fallback stands in has ``fell back``."""
    return _FELL_BACK if record.fell_back else record.state


def amount(seconds: float) -> str:
    """Return a time with three digits that count, in the unit that suits it; ``0 s`` for none."""
    if seconds < NOTHING:
        return "0 s"
    for unit, size, top in (("us", 1e-6, 999.5), ("ms", 1e-3, 999.5), ("s", 1.0, 99.95)):
        number = seconds / size
        if number < top:
            digits = 2 if number < 9.995 else 1 if number < 99.95 else 0
            return f"{number:.{digits}f} {unit}"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02}s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,}h {minutes:02}m"


def counts(records: Iterable[JobRecord]) -> dict[str, int]:
    """Return how many jobs are in each state as pictures show it, in the order of a job's life."""
    found: dict[str, int] = {}
    for each in records:
        state = state_of(each)
        found[state] = found.get(state, 0) + 1
    return {state: found[state] for state in _ORDER if state in found}
