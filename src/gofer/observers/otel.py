"""Traces and metrics for OpenTelemetry: a span for each run and each job, linked by their needs.

Times of spans are those of the run's report, put on the wall clock as it was when the run began, so
a trace and the report of one run agree.
"""

from __future__ import annotations

import threading
from weakref import WeakKeyDictionary

from gofer import _parts
from gofer.errors import describe
from gofer.observers import Observer
from gofer.observers._labels import BUCKETS, error_type
from gofer.views.fold import pattern

try:
    from opentelemetry import context, metrics, propagate, trace
except ImportError as error:
    raise ImportError(
        "OpenTelemetryObserver needs OpenTelemetry: pip install 'gofer[otel]'"
    ) from error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gofer._run import Attempt, JobRecord, Run


class OpenTelemetryObserver(Observer):
    """Makes a span of each run and a child of it of each job, and counts and times jobs.

    The span of a run is a child of the caller's, that of a job links to those of the jobs that it
    needs. What a job does is traced below its own span, in whatever thread it runs, and in another
    process if that one exports spans. Attempts have spans of their own where there are several. A
    failure sets the status and ``error.type``, and its exception is recorded.

    Metrics: ``gofer.job.duration`` and ``gofer.job.queue.duration`` (from the end of the last need
    to the start) in seconds, ``gofer.job.active``, ``gofer.job.retries``.

    Names of spans and attributes of metrics have a star for each number, so that
    ``fetch[17]`` is one of ``fetch[*]``; a span has the whole name in ``gofer.job.name``.

    Args:
        tracer_provider: None means the global one, as it is when the observer is made.
        meter_provider: Likewise.

    Raises:
        ImportError: OpenTelemetry is not installed.

    Thread safety: as all observers. One may watch many managers.

    Example:
        >>> from gofer import JobManager
        >>> manager = JobManager(name="page", observers=[OpenTelemetryObserver()])
    """

    def __init__(self, *, tracer_provider: Any = None, meter_provider: Any = None) -> None:
        self._tracer = trace.get_tracer("gofer", tracer_provider=tracer_provider)
        meter = metrics.get_meter("gofer", meter_provider=meter_provider)
        self._duration = meter.create_histogram(
            "gofer.job.duration",
            unit="s",
            description="How long jobs ran, all attempts together.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self._queued = meter.create_histogram(
            "gofer.job.queue.duration",
            unit="s",
            description="How long jobs waited after the end of their last need.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self._active = meter.create_up_down_counter(
            "gofer.job.active", unit="{job}", description="Jobs that run now."
        )
        self._retries = meter.create_counter(
            "gofer.job.retries", unit="{attempt}", description="Attempts after the first of a job."
        )
        self._lock = threading.Lock()
        self._runs: WeakKeyDictionary[Run, _Spans] = WeakKeyDictionary()

    def run_started(self, run: Run) -> None:
        start = _parts.wall_clock()
        attributes: dict[str, Any] = {"gofer.run.jobs": len(run.records)}
        if run.name:
            attributes["gofer.run.name"] = run.name
        name = f"run {pattern(run.name)}" if run.name else "run"
        span = self._tracer.start_span(name, start_time=start, attributes=attributes)
        with self._lock:
            self._runs[run] = _Spans(span, start)

    def job_started(self, run: Run, name: str) -> None:
        spans, record = self._runs[run], run.record(name)
        self._active.add(1, _labels(run, name))
        ended = [spans.contexts.get(each) for each in run.needs(name)]
        span = self._tracer.start_span(
            f"job {pattern(name)}",
            context=spans.context,
            links=[trace.Link(each) for each in ended if each is not None],
            start_time=spans.at(record.start),
            attributes={"gofer.job.name": name},
        )
        spans.open[name] = span
        spans.contexts[name] = span.get_span_context()
        context.attach(trace.set_span_in_context(span))  # it ends with the job's own context

    def job_ended(self, run: Run, record: JobRecord) -> None:
        labels, spans = _labels(run, record.name), self._runs[run]
        span = spans.open.pop(record.name)
        inside = trace.set_span_in_context(span)
        self._active.add(-1, labels)
        self._queued.record(record.waiting or 0.0, labels)
        attempts = record.attempts
        if len(attempts) > 1:
            self._retries.add(len(attempts) - 1, labels)
            for number, attempt in enumerate(attempts, 1):
                self._attempt(spans, inside, number, attempt)
        labels["gofer.job.state"] = record.state
        if record.state == "failed" and record.error is not None:
            labels["error.type"] = error_type(record.error)
        self._duration.record(record.duration or 0.0, labels, context=inside)
        span.set_attribute("gofer.job.attempts", len(attempts))
        if record.fell_back:
            span.set_attribute("gofer.job.fell_back", True)
        if record.thread is not None:
            span.set_attribute("thread.name", record.thread)
        _end(span, spans.at(record.end), "gofer.job.state", record.state, record.error)

    def _attempt(self, spans: _Spans, inside: Any, number: int, attempt: Attempt) -> None:
        span = self._tracer.start_span(
            f"attempt {number}", context=inside, start_time=spans.at(attempt.start)
        )
        state = "succeeded" if attempt.error is None else "failed"
        _end(span, spans.at(attempt.end), "gofer.attempt.state", state, attempt.error)

    def run_ended(self, run: Run) -> None:
        with self._lock:
            spans = self._runs.pop(run)
        end = spans.at(run.duration)
        for name in tuple(spans.open):
            # It was sent to a process and had not begun there, or a signal handler has torn its
            # thread out of it.
            never = run.record(name).state == "not started"
            self._active.add(-1, _labels(run, name))
            state = "not started" if never else "cancelled"
            _end(spans.open.pop(name), end, "gofer.job.state", state, None)
        error = run.error if run.state == "failed" else None
        _end(spans.run, end, "gofer.run.state", run.state, error)

    def carried(self) -> dict[str, str]:
        """Return the current span as headers: ``traceparent``, as the W3C has it, and the like."""
        headers: dict[str, str] = {}
        propagate.inject(headers)
        return headers

    @staticmethod
    def arrived(carried: dict[str, str]) -> None:
        context.attach(propagate.extract(carried))  # it ends with the job's own context


class _Spans:
    """The spans of one run.

    Attributes:
        run: The run's own.
        context: What has it as its current span.
        open: Those of the jobs that run now, by name.
        contexts: What to link to, by the name of the job.
    """

    def __init__(self, run: Any, start: int) -> None:
        self.run, self._start = run, start
        self.context = trace.set_span_in_context(run)
        self.open: dict[str, Any] = {}
        self.contexts: dict[str, Any] = {}

    def at(self, seconds: float | None) -> int:
        """Return a time of the report on the wall clock; for None that of the run's start."""
        return self._start + round((seconds or 0.0) * 1e9)


def _labels(run: Run, name: str) -> dict[str, Any]:
    labels = {"gofer.job.name": pattern(name)}
    if run.name:
        labels["gofer.run.name"] = pattern(run.name)
    return labels


def _end(span: Any, at: int, key: str, state: str, error: BaseException | None) -> None:
    """End a span in some state; it is ended, too, where its error has hostile attributes.

    An error of what did not fail is one for which a fallback stands: it is recorded, no more.
    """
    try:
        span.set_attribute(key, state)
        if error is not None and state == "failed":
            span.set_attribute("error.type", error_type(error))
            span.set_status(trace.Status(trace.StatusCode.ERROR, describe(error)))
        if error is not None:
            span.record_exception(error, timestamp=at)
    finally:
        span.end(at)
