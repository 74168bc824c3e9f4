"""Made-up runs, so that every time in them is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from gofer._core.plan import Plan
from gofer._run import Attempt, JobRecord, Story
from gofer.views.text import waterfall


@dataclass
class FakeRun:
    """What a view reads of a run."""

    records: Sequence[JobRecord]
    state: str = "succeeded"
    duration: float | None = 1.0
    error: BaseException | None = None
    critical_path: tuple[str, ...] = ()
    name: str | None = "page"


def record(
    name: str,
    start: float | None = None,
    end: float | None = None,
    state: str = "succeeded",
    *,
    waiting: float = 0.0,
    error: BaseException | None = None,
) -> JobRecord:
    """Make a record; without a start the job has not started."""
    if start is None and state == "succeeded":
        state = "not started"
    return JobRecord(name, state, start, end, None if start is None else waiting, error, None)


def draw(run: FakeRun, **options: Any) -> list[str]:
    """Return the lines of a made-up run's waterfall."""
    return waterfall(run, **options).split("\n")  # type: ignore[arg-type]


def tried(made: JobRecord, *attempts: Attempt) -> JobRecord:
    """Give a record attempts."""
    made._story = Story()
    made._story.attempts += attempts
    return made


def busy_run(jobs: int, limit: int = 4) -> tuple[FakeRun, Plan]:
    """Play a run with everything that a picture can show: waits, retries, failures, skips.

    Jobs come in families, each of which needs some of the one before; at most `limit` run at once.
    """
    chance = Random(jobs)
    families = ["fetch", "parse", "clean", "join", "train", "report"]
    names, needs = ["settings"], [[]]
    while len(names) < jobs:
        family = min(len(names) * len(families) // jobs, len(families) - 1)
        before = [i for i, name in enumerate(names) if name.startswith(families[family - 1])] or [0]
        pick = chance.sample(before, min(len(before), 1 + chance.randrange(3))) if family else [0]
        names.append(f"{families[family]}[{len(names)}]")
        needs.append([names[i] for i in pick])
    plan = Plan(names, needs)
    records: list[JobRecord] = []
    places = [0.0] * limit
    for i in range(jobs):
        over = [records[j] for j in plan.needs[i]]
        if any(each.state not in ("succeeded", "skipped") for each in over):
            records.append(record(names[i]))
            continue
        ready = max((each.end or 0.0 for each in over), default=0.0)
        place = min(range(limit), key=lambda at: max(places[at], ready))
        start = max(ready, places[place])
        records.append(_played(chance, names[i], start, start - ready))
        places[place] = records[-1].end or start
    failed = [each for each in records if each.state == "failed"]
    last = max((each for each in records if each.end), key=lambda each: each.end or 0.0)
    path = [last.name]
    while plan.needs[plan.index[path[-1]]]:
        over = [records[j] for j in plan.needs[plan.index[path[-1]]]]
        path.append(max(over, key=lambda each: each.end or 0.0).name)
    run = FakeRun(
        records,
        state="failed" if failed else "succeeded",
        duration=last.end,
        error=failed[0].error if failed else None,
        critical_path=tuple(reversed(path)),
        name="nightly",
    )
    return run, plan


def _played(chance: Random, name: str, start: float, waiting: float) -> JobRecord:
    lot = chance.random()
    took = 0.02 + chance.expovariate(5)
    if lot > 0.97 and "[" in name:
        error = ConnectionError(f"{name}: the host does not answer\nasked 3 times")
        return record(name, start, start + took, "failed", waiting=waiting, error=error)
    if lot > 0.94 and "[" in name:
        return record(name, start, start, "skipped", waiting=waiting)
    made = record(name, start, start + took, waiting=waiting)
    if lot < 0.1:
        broken = start + took / 3
        tried(
            made,
            Attempt(start, broken, TimeoutError("no answer within 0.3 s")),
            Attempt(broken + took / 6, start + took, None),
        )
    return made


HOSTILE_NAMES = [
    "<script>alert(1)</script>",
    '"onload=alert(1) x="',
    "</script><img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "../../etc/x",
    "CON",
    "nul\x00",
    "new\nline",
    "\x1b[31mred",
    "\u202eevil",
    "line\u2028separator",
    "\ud800",
    "<!--",
    "]]>",
    "'single' & &amp;",
    "\\\\",
    "n" * 5000,
    "\u65e5\u672c\u8a9e",
    "\u05e9\u05dc\u05d5\u05dd",
    "{{template}}",
]
"""What a job may be called that wants to be more than a name."""


def hostile_run() -> tuple[FakeRun, Plan]:
    """Make a run whose names and errors are hostile; each job needs the one before."""
    names = HOSTILE_NAMES
    plan = Plan(names, [[], *[[name] for name in names[:-1]]])
    records = [record(name, float(i), i + 1.0) for i, name in enumerate(names[:-1])]
    error = ValueError(f"{names[0]}\n{names[2]}\u2028\x1b[2J")
    records.append(record(names[-1], len(names) - 1.0, float(len(names)), "failed", error=error))
    run = FakeRun(
        records,
        state="failed",
        duration=float(len(names)),
        error=error,
        critical_path=tuple(names),
        name=names[0],
    )
    return run, plan


def hedged_run() -> tuple[FakeRun, Plan]:
    """Make a run of one job whose second attempt began while the first went on."""
    made = record("hedged", 0.0, 2.0)
    tried(
        made,
        Attempt(0.0, 2.0, TimeoutError("cancelled")),
        Attempt(1.0, 2.0, None),
    )
    return FakeRun([made], duration=2.0), Plan(["hedged"], [[]])
