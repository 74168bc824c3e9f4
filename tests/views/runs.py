"""Made-up runs, so that every time in them is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gofer._run import JobRecord
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
