"""Managers to watch, and an OpenTelemetry that keeps what it is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gofer import JobManager, Retry, job


class Boom(Exception):
    """What the jobs of these tests fail with."""


def work() -> int:
    """Do as little as a job can."""
    return 1


def flaky(times: int) -> Callable[[], str]:
    """Return a function that fails so many times, and then works."""
    left = [times]

    def call() -> str:
        left[0] -= 1
        if left[0] >= 0:
            raise Boom("not yet")
        return "at last"

    return call


def shop(observer: Any, **options: Any) -> JobManager:
    """Return a manager with a need, an async job and one that is retried once."""

    async def orders() -> int:
        return 1

    def page(*, orders: int, tips: str) -> str:
        return f"{orders} {tips}"

    again = Retry(2, on=Boom, wait_initial=0, wait_jitter=0)
    tips = job(flaky(1), name="tips", retry=again)
    return JobManager([job(orders), tips, job(page)], name="shop", observers=[observer], **options)


class Telemetry:
    """The SDK, with exporters into memory."""

    def __init__(self) -> None:
        export = pytest.importorskip(
            "opentelemetry.sdk.trace.export", reason="install gofer[test] to test OpenTelemetry"
        )
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self._exporter = InMemorySpanExporter()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(export.SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.tracer = self.tracers.get_tracer("test")

    def observer(self) -> Any:
        """Return an observer that reports here."""
        from gofer.observers import OpenTelemetryObserver

        return OpenTelemetryObserver(tracer_provider=self.tracers, meter_provider=self.meters)

    @property
    def spans(self) -> dict[str, Any]:
        """The ended spans by name; of equal names the last."""
        return {each.name: each for each in self._exporter.get_finished_spans()}

    def points(self, name: str) -> list[Any]:
        """Return the data points of a metric."""
        data = self._reader.get_metrics_data()
        assert data is not None
        (metric,) = [
            metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
        ]
        return list(metric.data.data_points)
