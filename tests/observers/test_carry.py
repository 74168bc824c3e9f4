"""What observers give a job in another process: tried with a real one."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from gofer import JobManager, Observer, job
from gofer.observers._carry import pack, unpack

from .helpers import Boom, Telemetry

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
