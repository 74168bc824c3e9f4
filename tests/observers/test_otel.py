"""OpenTelemetryObserver, with the real SDK: spans, links, parents, errors and metrics."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import Any

import pytest

from gofer import Context, JobManager, Retry, job

from .helpers import Boom, Telemetry, flaky, shop, work


@pytest.fixture
def telemetry() -> Telemetry:
    """An OpenTelemetry of this test's own."""
    return Telemetry()


def is_child(child: Any, parent: Any) -> bool:
    """Whether a span's parent is this one, in the same trace."""
    same = child.context.trace_id == parent.context.trace_id
    return same and child.parent.span_id == parent.context.span_id


def test_a_run_is_a_span_and_each_job_a_child_of_it(telemetry: Telemetry) -> None:
    """Sync or async, in whatever thread; the times are those of the report."""
    run = shop(telemetry.observer()).execute()

    spans = telemetry.spans
    root = spans["run shop"]
    assert root.parent is None
    assert root.attributes["gofer.run.name"] == "shop"
    assert root.attributes["gofer.run.jobs"] == 3
    assert root.attributes["gofer.run.state"] == "succeeded"
    for name in ("orders", "tips", "page"):
        span, record = spans[f"job {name}"], run.record(name)
        assert is_child(span, root)
        assert span.attributes["gofer.job.name"] == name
        assert span.attributes["gofer.job.state"] == "succeeded"
        assert record.start is not None
        assert record.duration is not None
        assert span.start_time - root.start_time == pytest.approx(record.start * 1e9, abs=2)
        assert span.end_time - span.start_time == pytest.approx(record.duration * 1e9, abs=2)


def test_a_job_links_to_the_jobs_that_it_needs(telemetry: Telemetry) -> None:
    """One link a need, to the span of the job that provided it."""
    shop(telemetry.observer()).execute()

    spans = telemetry.spans
    linked = {link.context.span_id for link in spans["job page"].links}
    assert linked == {spans[f"job {name}"].context.span_id for name in ("orders", "tips")}
    assert spans["job orders"].links == ()


def test_attempts_are_spans_only_where_there_are_several(telemetry: Telemetry) -> None:
    """Each with its own error and state, one after the other, inside the job's span."""
    shop(telemetry.observer()).execute()

    spans = telemetry.spans
    first, second, whole = spans["attempt 1"], spans["attempt 2"], spans["job tips"]
    assert len([name for name in spans if name.startswith("attempt")]) == 2
    assert is_child(first, whole)
    assert is_child(second, whole)
    assert whole.start_time <= first.start_time <= first.end_time <= second.start_time
    assert second.end_time <= whole.end_time
    assert first.attributes["error.type"].endswith("helpers.Boom")
    assert not first.status.is_ok
    assert second.attributes["gofer.attempt.state"] == "succeeded"
    assert whole.status.is_unset
    assert whole.attributes["gofer.job.attempts"] == 2


def test_the_callers_span_is_the_parent_across_threads(telemetry: Telemetry) -> None:
    """A request's span is above the run, and what a job traces is below its job's."""

    def inside() -> int:
        with telemetry.tracer.start_as_current_span("query"):
            return threading.get_ident()

    async def ainside() -> int:
        with telemetry.tracer.start_as_current_span("fetch"):
            await asyncio.sleep(0)
        return threading.get_ident()

    both = threading.Barrier(2)  # so that at least one is in another thread
    jobs = [job(lambda: (both.wait(30), inside())[1], name=name) for name in ("a", "b")]
    with telemetry.tracer.start_as_current_span("request"):
        run = JobManager([*jobs, ainside], observers=[telemetry.observer()]).execute()

    spans = telemetry.spans
    assert len({*run.results.values()}) == 3
    assert is_child(spans["run"], spans["request"])
    assert is_child(spans["fetch"], spans["job ainside"])
    assert is_child(spans["query"], spans["job a"]) or is_child(spans["query"], spans["job b"])


async def _aexecute(telemetry: Telemetry, jobs: list[Any]) -> None:
    with telemetry.tracer.start_as_current_span("request"):
        await JobManager(jobs, observers=[telemetry.observer()]).aexecute()
        with telemetry.tracer.start_as_current_span("after"):
            await asyncio.sleep(0)


def test_an_awaited_run_leaves_the_callers_span_as_it_was(telemetry: Telemetry) -> None:
    """On the caller's own loop, too, a job's span is current in the job alone."""

    async def fetch() -> None:
        with telemetry.tracer.start_as_current_span("fetch"):
            await asyncio.sleep(0)

    asyncio.run(_aexecute(telemetry, [fetch, job(work)]))

    spans = telemetry.spans
    assert is_child(spans["run"], spans["request"])
    assert is_child(spans["fetch"], spans["job fetch"])
    assert is_child(spans["after"], spans["request"])


def test_a_call_beside_its_job_is_traced_below_it(telemetry: Telemetry) -> None:
    """A timeout brings another thread; its spans hang on the job's nevertheless."""

    def query() -> None:
        with telemetry.tracer.start_as_current_span("query"):
            pass

    JobManager([job(query, timeout=30)], observers=[telemetry.observer()]).execute()

    assert is_child(telemetry.spans["query"], telemetry.spans["job query"])


def test_a_manager_in_a_manager_is_a_run_below_a_job(telemetry: Telemetry) -> None:
    """Two managers with an observer each make one trace."""
    inner = JobManager([job(work)], name="inner", observers=[telemetry.observer()])
    JobManager([inner], name="outer", observers=[telemetry.observer()]).execute()

    spans = telemetry.spans
    assert is_child(spans["run inner"], spans["job inner"])
    assert is_child(spans["job work"], spans["run inner"])


def test_a_failure_sets_status_type_and_exception(telemetry: Telemetry) -> None:
    """On the job that failed and on the run; what is cancelled is no error."""
    ready = threading.Event()

    def fails() -> None:
        ready.wait(30)
        raise Boom("no route")

    def cancelled(ctx: Context) -> None:
        ready.set()
        ctx.sleep(30)

    jobs = [job(fails), job(cancelled)]
    JobManager(jobs, name="page", observers=[telemetry.observer()]).execute(check=False)

    spans = telemetry.spans
    for name in ("job fails", "run page"):
        assert spans[name].attributes["error.type"].endswith("helpers.Boom")
        assert spans[name].status.description == "Boom: no route"
        (event,) = spans[name].events
        assert event.attributes["exception.message"] == "no route"
        assert event.timestamp == spans[name].end_time
    assert spans["job cancelled"].status.is_unset
    assert spans["job cancelled"].attributes["gofer.job.state"] == "cancelled"
    assert "error.type" not in spans["job cancelled"].attributes


def test_a_builtin_error_has_its_plain_name(telemetry: Telemetry) -> None:
    """``error.type`` is the class with its module, and without one for Python's own."""

    def fails() -> None:
        raise ConnectionError

    JobManager([job(fails)], observers=[telemetry.observer()]).execute(check=False)

    assert telemetry.spans["job fails"].attributes["error.type"] == "ConnectionError"


def test_a_hostile_error_ends_its_span_nevertheless(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be recorded goes to the hook; the span is there, ended."""
    caught: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", caught.append)

    class Hostile(Exception):
        def __str__(self) -> str:
            raise Boom("in __str__")

    def fails() -> None:
        raise Hostile

    JobManager([job(fails)], observers=[telemetry.observer()]).execute(check=False)

    assert "Hostile" in telemetry.spans["job fails"].attributes["error.type"]
    assert "run" in telemetry.spans


def test_a_fallback_is_no_error_but_said(telemetry: Telemetry) -> None:
    """The job has succeeded, and its span says by what, and what its fallback stands for."""
    jobs = [job(flaky(1), name="tips", fallback="none")]
    JobManager(jobs, observers=[telemetry.observer()]).execute()

    span = telemetry.spans["job tips"]
    assert span.attributes["gofer.job.fell_back"] is True
    assert span.status.is_unset
    assert "error.type" not in span.attributes
    assert [each.attributes["exception.message"] for each in span.events] == ["not yet"]


def test_names_have_few_different_words(telemetry: Telemetry) -> None:
    """Numbers are starred in span names and metrics; the whole name is an attribute."""
    jobs = [job(work, name=f"fetch[{i}]") for i in range(3)]
    JobManager(jobs, observers=[telemetry.observer()]).execute()

    assert set(telemetry.spans) == {"job fetch[*]", "run"}
    assert "fetch[" in telemetry.spans["job fetch[*]"].attributes["gofer.job.name"]
    (point,) = telemetry.points("gofer.job.duration")
    assert point.attributes["gofer.job.name"] == "fetch[*]"
    assert point.count == 3


def test_durations_are_seconds_in_advised_buckets(telemetry: Telemetry) -> None:
    """Two histograms; what ran is split by state and type of error."""

    def fails() -> None:
        raise ConnectionError

    manager = JobManager(
        [job(work), job(fails)], name="page", fail_fast=False, observers=[telemetry.observer()]
    )
    run = manager.execute(check=False)

    points = {each.attributes["gofer.job.name"]: each for each in telemetry.points(DURATION)}
    assert points["work"].sum == pytest.approx(run.record("work").duration)
    assert dict(points["fails"].attributes) == {
        "gofer.job.name": "fails",
        "gofer.run.name": "page",
        "gofer.job.state": "failed",
        "error.type": "ConnectionError",
    }
    assert points["work"].explicit_bounds[:3] == (0.005, 0.01, 0.025)
    assert points["work"].explicit_bounds[-1] == 60
    queued = telemetry.points("gofer.job.queue.duration")
    assert sum(each.count for each in queued) == 2
    waited = [run.record(name).waiting or 0.0 for name in ("work", "fails")]
    assert min(waited) > 0
    assert sum(each.sum for each in queued) == pytest.approx(sum(waited))
    assert queued[0].explicit_bounds == points["work"].explicit_bounds


DURATION = "gofer.job.duration"


def test_active_jobs_are_counted_while_they_run_and_not_after(telemetry: Telemetry) -> None:
    """An up-down counter that comes back to zero, whatever became of the job."""
    seen: list[int] = []

    def look() -> None:
        seen.append(telemetry.points("gofer.job.active")[0].value)
        raise Boom

    JobManager([job(look)], observers=[telemetry.observer()]).execute(check=False)

    assert seen == [1]
    assert telemetry.points("gofer.job.active")[0].value == 0


def test_retries_are_counted(telemetry: Telemetry) -> None:
    """Attempts after the first."""
    retry = Retry(5, on=Boom, wait_initial=0)
    jobs = [job(flaky(3), name="tips", retry=retry)]
    JobManager(jobs, observers=[telemetry.observer()]).execute()

    (point,) = telemetry.points("gofer.job.retries")
    assert point.value == 3


def test_a_job_that_was_torn_out_of_its_thread_ends_with_its_run(telemetry: Telemetry) -> None:
    """An observer that is told of no end ends the span when the run does."""
    observer = telemetry.observer()
    run = JobManager([job(work)]).execute()
    observer.run_started(run)
    observer.job_started(run, "work")
    observer.run_ended(run)

    assert telemetry.spans["job work"].attributes["gofer.job.state"] == "cancelled"
    assert telemetry.points("gofer.job.active")[0].value == 0


def test_a_job_that_was_sent_and_never_began_has_not_started(telemetry: Telemetry) -> None:
    """The trace says of it what the report says; it used to say that it was cancelled."""
    observer = telemetry.observer()
    run = JobManager([job(work), job(work, name="idle")]).execute(only=["work"])
    observer.run_started(run)
    observer.job_started(run, "idle")
    observer.run_ended(run)

    assert run.record("idle").state == "not started"
    assert telemetry.spans["job idle"].attributes["gofer.job.state"] == "not started"
    assert telemetry.points("gofer.job.active")[0].value == 0


def test_without_opentelemetry_the_error_says_what_to_install() -> None:
    """The extra is named, and nothing of OpenTelemetry is needed for the rest."""
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from gofer.observers import LoggingObserver\n"
        "from gofer.observers import OpenTelemetryObserver"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60
    )
    last = ran.stderr.splitlines()[-1]
    needs = "OpenTelemetryObserver needs OpenTelemetry: pip install 'gofer[otel]'"
    assert last == f"ImportError: {needs}"
