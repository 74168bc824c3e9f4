"""Observers of jobs in other processes: real ones, and what travels there by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from gofer import JobManager, Observer, Retry, job
from gofer.backends.processes import ProcessBackend
from gofer.observers._carry import pack, unpack

from .helpers import Boom, Telemetry

FAR = """
def above(*, before=None):
    from opentelemetry import trace
    span = trace.get_current_span().get_span_context()
    return [span.span_id, span.trace_id, span.is_remote]

def fails():
    raise OSError("no route")
"""


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, ProcessBackend]]:
    """A module whose functions travel by their names, and a backend that ends with the test."""
    (tmp_path / "far_jobs.py").write_text(FAR, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    backend = ProcessBackend(workers=1)
    yield import_module("far_jobs"), backend
    backend.close()
    sys.modules.pop("far_jobs")


def test_a_job_in_a_process_has_its_span_and_sees_it(far: tuple[Any, ProcessBackend]) -> None:
    """With policies or without: parent, links, metrics as for any other job, no error anywhere."""
    telemetry, (module, backend) = Telemetry(), far
    jobs = [
        job(module.above, name="plain"),
        job(module.above, name="driven", needs={"before": "plain"}, timeout=60),
        job(module.fails, fallback=0, retry=Retry(2, on=OSError, wait_initial=0, wait_jitter=0)),
    ]
    manager = JobManager(jobs, observers=[telemetry.observer()])
    with telemetry.tracer.start_as_current_span("GET"):
        run = manager.execute(backend=backend)

    spans = telemetry.spans
    assert spans["run"].parent.span_id == spans["GET"].context.span_id
    for name in ("plain", "driven"):
        span = spans[f"job {name}"]
        assert run[name] == [span.context.span_id, span.context.trace_id, True]
        assert span.parent.span_id == spans["run"].context.span_id
    assert [each.context for each in spans["job driven"].links] == [spans["job plain"].context]
    assert spans["attempt 2"].parent.span_id == spans["job fails"].context.span_id
    assert {each.value for each in telemetry.points("gofer.job.active")} == {0}
    queued = telemetry.points("gofer.job.queue.duration")
    waited = {each.name: each.waiting for each in run.records}
    assert {e.attributes["gofer.job.name"]: e.sum for e in queued} == pytest.approx(waited)


def test_a_job_in_a_process_starts_for_observers_before_it_ends(
    far: tuple[Any, ProcessBackend],
) -> None:
    """Each is told once of each, in the order of the protocol."""
    module, backend = far
    told: list[str] = []

    class Told(Observer):
        def job_started(self, run: Any, name: str) -> None:
            told.append(f"{name} started")

        def attempt_ended(self, run: Any, name: str, attempt: Any) -> None:
            told.append(f"{name} tried")

        def job_ended(self, run: Any, record: Any) -> None:
            told.append(f"{record.name} {record.state}")

    jobs = [job(module.above), job(module.fails, after=["above"])]
    JobManager(jobs, observers=[Told()]).execute(check=False, backend=backend)

    assert told == [
        *("above started", "above tried", "above succeeded"),
        *("fails started", "fails tried", "fails failed"),
    ]


CHILD = """
import json, sys
from gofer.observers._carry import unpack
from opentelemetry.sdk.trace import TracerProvider

unpack(json.load(sys.stdin))
span = TracerProvider().get_tracer("job").start_span("query")
print(json.dumps([span.parent.span_id, span.context.trace_id, span.parent.is_remote]))
"""


def test_what_a_job_traces_in_another_process_is_below_its_span() -> None:
    """The trace is the caller's, the parent the job's span, whatever way the texts travel."""
    telemetry = Telemetry()
    observer = telemetry.observer()

    def elsewhere() -> Any:
        ran = subprocess.run(
            [sys.executable, "-c", CHILD],
            input=json.dumps(pack([observer, Observer()])),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return json.loads(ran.stdout)

    run = JobManager([job(elsewhere)], observers=[observer]).execute()

    above = telemetry.spans["job elsewhere"].context
    assert run["elsewhere"] == [above.span_id, above.trace_id, True]


class Broken(Observer):
    """Fails on both sides."""

    def carried(self) -> dict[str, str]:
        raise Boom("there")

    @staticmethod
    def arrived(carried: dict[str, str]) -> None:
        raise Boom("here")


def test_an_observer_that_cannot_carry_harms_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its errors go to ``sys.unraisablehook``; also that of a class that is not to be found."""
    caught: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda facts: caught.append(str(facts.exc_value)))

    assert pack([Broken(), Observer()]) == []
    unpack([(Broken.__module__, "Broken", {"a": "b"}), ("gofer.observers", "Lost", {"a": "b"})])

    assert caught[:2] == ["there", "here"]
    assert "Lost" in caught[2]
