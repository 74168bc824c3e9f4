"""The trace, as Perfetto takes it: sorted by time, else in the order it stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gofer import JobManager, job
from gofer._core.plan import Plan
from gofer._run import Attempt
from gofer.views.trace import trace

from .plans import plan_of
from .runs import HOSTILE_NAMES, FakeRun, busy_run, hedged_run, hostile_run, record, tried


def events_of(run: FakeRun, plan: Plan) -> list[dict[str, Any]]:
    """Return the events as a reader gets them."""
    found = json.loads(trace(run, plan))["traceEvents"]  # type: ignore[arg-type]
    return sorted(found, key=lambda event: event["ts"])


def slices(events: list[dict[str, Any]]) -> dict[int, list[tuple[str, float, float, int]]]:
    """Close each slice that was opened; return name, start, end and depth by track."""
    stacks: dict[int, list[dict[str, Any]]] = {}
    found: dict[int, list[tuple[str, float, float, int]]] = {}
    arrows = set()
    for event in events:
        stack = stacks.setdefault(event["tid"], [])
        if event["ph"] == "B":
            stack.append(event)
        elif event["ph"] == "E":
            opened = stack.pop()
            assert opened["name"] == event["name"]
            entry = (event["name"], opened["ts"], event["ts"], len(stack))
            found.setdefault(event["tid"], []).append(entry)
        elif event["ph"] == "s":
            assert stack, "an arrow begins in a slice"
            assert event["id"] not in arrows
            arrows.add(event["id"])
        elif event["ph"] == "f":
            assert stack, "an arrow ends in a slice"
            arrows.remove(event["id"])  # and after it has begun
    assert not arrows
    assert not any(stacks.values())
    return found


def test_a_job_is_a_track_with_its_wait_and_its_attempts_in_it() -> None:
    """From when it could have started to its end; times in microseconds."""
    late = record("late", 0.5, 2.0, waiting=0.25)
    tried(
        late,
        Attempt(0.5, 1.0, ConnectionError("down")),
        Attempt(1.5, 2.0, None),
    )
    run = FakeRun([record("first", 0.0, 0.25), late], duration=2.0)

    events = events_of(run, plan_of(first=[], late=["first"]))

    assert slices(events) == {
        2: [("attempt 1", 0.0, 250_000.0, 1), ("first", 0.0, 250_000.0, 0)],
        3: [
            ("waiting", 250_000.0, 500_000.0, 1),
            ("attempt 1", 500_000.0, 1_000_000.0, 1),
            ("attempt 2", 1_500_000.0, 2_000_000.0, 1),
            ("late", 250_000.0, 2_000_000.0, 0),
        ],
    }
    names = {event["tid"]: event["args"]["name"] for event in events if "_name" in event["name"]}
    assert names == {
        0: "page: succeeded in 2.00 s, 1.75 s of work, 0.9 at once",
        2: "first",
        3: "late",
    }
    failed = next(e for e in events if e["name"] == "attempt 1" and e["tid"] == 3)
    assert failed["args"] == {"error": "ConnectionError: down"}
    told = next(e for e in events if e["name"] == "late")
    assert told["args"] == {"state": "succeeded", "on critical path": False, "needs": ["first"]}


def test_the_counter_says_how_many_jobs_run() -> None:
    """It changes when a job starts or ends, once for all changes at one time."""
    records = [record("a", 0.0, 2.0), record("b", 1.0, 3.0), record("c", 2.0, 3.0), record("d")]
    events = events_of(FakeRun(records, duration=3.0), plan_of(a=[], b=[], c=[], d=["c"]))

    counted = [(e["ts"], e["args"]["jobs"]) for e in events if e["ph"] == "C"]
    assert counted == [(0.0, 1), (1e6, 2), (2e6, 2), (3e6, 0)]


@pytest.mark.parametrize("jobs", [3, 40, 600])
def test_a_busy_run_has_whole_slices_and_an_arrow_for_each_need(jobs: int) -> None:
    """Waits, retries, failures: every slice closes, every arrow starts and ends in a slice."""
    run, plan = busy_run(jobs)
    events = events_of(run, plan)

    tracks = slices(events)

    started = [i for i, each in enumerate(run.records) if each.start is not None]
    assert len(tracks) == len(started)
    assert max(depth for track in tracks.values() for *_, depth in track) == 1
    arrows = sum(event["ph"] == "s" for event in events)
    assert arrows == sum(len(plan.needs[i]) for i in started)


def test_a_hedge_gets_a_track_of_its_own() -> None:
    """It overlaps the attempt before it, which slices of one track may not."""
    events = events_of(*hedged_run())

    assert [name for name, *_ in slices(events)[2]] == ["attempt 1", "hedged"]
    beside = [(e["ph"], e["name"], e["ts"]) for e in events if e["ph"] in "be"]
    assert beside == [("b", "hedged: attempt 2", 1e6), ("e", "hedged: attempt 2", 2e6)]


def test_jobs_without_any_length_keep_their_arrows() -> None:
    """All at one moment, and a dependent that stands before its need in the manager."""
    records = [record("b", 0.0, 0.0), record("a", 0.0, 0.0)]
    events = events_of(FakeRun(records, duration=0.0), plan_of(b=["a"], a=[]))

    assert len(slices(events)) == 2
    assert [e["ph"] for e in events if e["ph"] in "sf"] == ["s", "f"]


def test_rounding_does_not_part_an_arrow_from_its_slice() -> None:
    """The wait is a difference of floats, so the sum of both misses the need's end at times."""
    end, start = 0.1 + 0.2 - 1e-16, 0.9
    run = FakeRun([record("a", 0.0, end), record("b", start, 1.0, waiting=start - end + 6e-10)])

    slices(events_of(run, plan_of(a=[], b=["a"])))


def test_a_run_that_goes_on_is_drawn_to_the_last_news() -> None:
    """What still runs ends there, and its arrows are those that there are."""
    records = [record("a", 0.0, 1.0), record("b", 1.0, state="running"), record("c")]
    run = FakeRun(records, state="running", duration=None)

    events = events_of(run, plan_of(a=[], b=["a"], c=["b"]))

    assert slices(events)[3][-1] == ("b", 1e6, 1e6, 0)
    assert [e["args"]["jobs"] for e in events if e["ph"] == "C"] == [1, 1]


def test_hostile_names_and_errors_are_text_that_any_reader_takes() -> None:
    """Valid JSON in ASCII, no control characters, no lone surrogates."""
    run, plan = hostile_run()
    text = trace(run, plan)  # type: ignore[arg-type]

    assert text.isascii()
    names = {
        e["args"]["name"] for e in json.loads(text)["traceEvents"] if e["name"] == "thread_name"
    }
    assert len(names) == len(HOSTILE_NAMES)
    assert all(name.isprintable() for name in names)


def test_a_real_run_writes_its_trace(tmp_path: Path) -> None:
    """A path as text or as an object; what was there is replaced."""

    def fine() -> None: ...

    run = JobManager([job(fine), job(fine, name="then", after=["fine"])]).execute()
    path = tmp_path / "trace.json"
    path.write_text("something longer than a trace" * 1000, encoding="utf-8")

    run.to_trace(path)
    events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    run.to_trace(str(path))

    assert len(slices(sorted(events, key=lambda event: event["ts"]))) == 2
    assert {event["args"]["thread"] for event in events if event.get("cat") == "job"} != {None}
    with pytest.raises(OSError, match="No such file"):
        run.to_trace(tmp_path / "nowhere" / "trace.json")
