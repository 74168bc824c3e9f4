"""A run as a Chrome trace, which Perfetto opens: https://ui.perfetto.dev or chrome://tracing.

A track for each job that started, in the order of their starts. On it lies one slice from when the
job could have started to its end, in that its wait and its attempts. A need is an arrow from the
end of one slice to the start of the other. A counter says how many jobs run.

Slices are pairs of begin and end, not complete events: those are a start and a length, and rounding
both would let neighbours overlap by a nanosecond, which Perfetto drops.

Source: Trace Event Format, https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import json

from gofer.errors import describe
from gofer.views.facts import Facts, attempts, state_of
from gofer.views.text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from gofer._core.plan import Plan
    from gofer._run import JobRecord, Run

    Event = dict[str, Any]

_PROCESS = 1
_FIRST_TRACK = 2  # a thread that is called like its process counts as the main one


def trace(run: Run, plan: Plan) -> str:
    """Return the trace as JSON, one event a line.

    Args:
        run: A run, over or not; what still goes on ends with the last news of it.
        plan: The graph that it ran.
    """
    facts = Facts(run)
    depths = {i: depth for depth, layer in enumerate(plan.layers()) for i in layer}
    started = [i for i, each in enumerate(facts.records) if each.start is not None]
    started.sort(key=lambda i: (facts.records[i].start or 0.0, depths[i]))
    events = [_event("M", "process_name", 0.0, 0, args={"name": _name(facts)})]
    for track, i in enumerate(started, _FIRST_TRACK):
        name = printable(plan.names[i])
        events.append(_event("M", "thread_name", 0.0, track, args={"name": name}))
        events.append(_event("M", "thread_sort_index", 0.0, track, args={"sort_index": track}))
        events += _job(facts, plan, i, track)
    events += _running(facts)
    lines = ",\n".join(json.dumps(each, separators=(",", ":")) for each in events)
    # Perfetto takes the last of two backslashes before a quotation mark for the mark's own.
    lines = lines.replace("\\\\", "\\u005c")
    return f'{{"displayTimeUnit":"ms","traceEvents":[\n{lines}\n]}}\n'


def _name(facts: Facts) -> str:
    return printable(f"{facts.name or 'run'}: {facts.how_it_went()}")


def _event(kind: str, name: str, at: float, track: int, **more: Any) -> Event:
    """Make an event; times are written in microseconds, to the nanosecond."""
    return {
        "ph": kind,
        "name": printable(name),
        "pid": _PROCESS,
        "tid": track,
        "ts": round(at * 1e9) / 1000,
        **more,
    }


def _job(facts: Facts, plan: Plan, i: int, track: int) -> Iterator[Event]:
    """Return the events of one track.

    Events of the same time count in the order in which they stand. An arrow belongs to the slice
    that is open where it stands, and its start must come before its end.
    """
    record = facts.records[i]
    start = record.start or 0.0
    end = start + facts.took(record)
    ends = [facts.records[j].end or 0.0 for j in plan.needs[i]]
    ready = min(start, max([start - (record.waiting or 0.0), *ends]))  # rounding errors aside
    yield _event("B", record.name, ready, track, cat="job", args=_told(facts, plan, i))
    for j in plan.needs[i]:
        if facts.records[j].end is not None:
            yield _event("f", "need", ready, track, cat="need", id=j * plan.size + i, bp="e")
    if ready < start:
        yield _event("B", "waiting", ready, track, cat="waiting")
        yield _event("E", "waiting", start, track)
    yield from _attempts(record, i, len(facts.records), track, end)
    for j in plan.dependents(i):
        if record.end is not None and facts.records[j].start is not None:
            yield _event("s", "need", end, track, cat="need", id=i * plan.size + j)
    yield _event("E", record.name, end, track)


def _attempts(record: JobRecord, i: int, size: int, track: int, end: float) -> Iterator[Event]:
    """Return the events of a job's attempts.

    Slices of one track may not overlap, so a hedge, an attempt that begins while another goes on,
    is an asynchronous event, which gets a track of its own.
    """
    free = 0.0  # from when on nothing else lies on the track
    for number, (begin, stop, error) in enumerate(attempts(record), 1):
        till = end if stop is None else min(stop, end)
        more: Event = {"cat": "attempt"}
        if error is not None:
            more["args"] = {"error": printable(describe(error))}
        if begin >= free:
            yield _event("B", f"attempt {number}", begin, track, **more)
            yield _event("E", f"attempt {number}", till, track)
        else:
            name = f"{record.name}: attempt {number}"
            more["id"] = number * size + i
            yield _event("b", name, begin, track, **more)
            yield _event("e", name, till, track, cat="attempt", id=more["id"])
        free = max(free, till)


def _told(facts: Facts, plan: Plan, i: int) -> Event:
    """Return what stands beside a slice that is selected."""
    record = facts.records[i]
    told: Event = {"state": state_of(record), "on critical path": record.name in facts.critical}
    if plan.needs[i]:
        told["needs"] = [printable(plan.names[j]) for j in plan.needs[i]]
    if record.error is not None:
        told["error"] = printable(describe(record.error))
    if record.thread is not None:
        told["thread"] = printable(record.thread)
    return told


def _running(facts: Facts) -> Iterator[Event]:
    changes: dict[float, int] = {0.0: 0}
    for each in facts.records:
        if each.start is not None:
            changes[each.start] = changes.get(each.start, 0) + 1
            if each.end is not None:
                changes[each.end] = changes.get(each.end, 0) - 1
    running = 0
    for at in sorted(changes):
        running += changes[at]
        yield _event("C", "running jobs", at, 0, args={"jobs": running})
