"""A run as data, for programs: the report without results, which may be secret or huge."""

from __future__ import annotations

from gofer.errors import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gofer._run import JobRecord, Run


def as_json(run: Run) -> str:
    """Return the report as JSON; times are seconds from the run's start."""
    import json

    data = {
        "name": run.name,
        "state": run.state,
        "duration": run.duration,
        "error": _error(run.error),
        "critical_path": list(run.critical_path),
        "jobs": [_job(run, each) for each in run.records],
    }
    return json.dumps(data, indent=2)


def _job(run: Run, record: JobRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "state": record.state,
        "start": record.start,
        "end": record.end,
        "waiting": record.waiting,
        "duration": record.duration,
        "thread": record.thread,
        "needs": list(run.needs(record.name)),
        "error": _error(record.error),
        "fell_back": record.fell_back,
        "left_behind": record.left_behind,
        "attempts": [
            {"start": each.start, "end": each.end, "error": _error(each.error)}
            for each in record.attempts
        ],
    }


def _error(error: BaseException | None) -> str | None:
    return None if error is None else describe(error)
