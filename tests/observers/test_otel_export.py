"""What OpenTelemetryObserver makes arrives at a collector: OTLP over HTTP, on localhost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from gofer.observers import OpenTelemetryObserver

from .helpers import shop

pytest.importorskip(
    "opentelemetry.exporter.otlp.proto.http", reason="install gofer[test] to test OTLP"
)


class Collector:
    """A receiver of OTLP: keeps what is posted to it, decoded.

    Attributes:
        spans: Name -> span, as protobuf messages.
        metrics: Name -> metric.
        port: Where it listens.
    """

    def __init__(self) -> None:
        self.spans: dict[str, Any] = {}
        self.metrics: dict[str, Any] = {}
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(self.path, body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def take(self, path: str, body: bytes) -> None:
        """Decode a request."""
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
            ExportMetricsServiceRequest,
        )
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
        )

        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    assert scope.scope.name == "gofer"
                    self.spans.update({span.name: span for span in scope.spans})
        elif path == "/v1/metrics":
            for metrics in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for each in metrics.scope_metrics:
                    self.metrics.update({metric.name: metric for metric in each.metrics})

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(30)


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A receiver that is stopped after the test."""
    made = Collector()
    yield made
    made.close()


def test_spans_and_metrics_arrive_at_a_collector(collector: Collector) -> None:
    """Parents, links, attributes, buckets: as OTLP has them, decoded from what was sent."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    where = f"http://127.0.0.1:{collector.port}/v1/"
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(where + "traces")))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(where + "metrics"))
    meters = MeterProvider([reader], shutdown_on_exit=False)
    observer = OpenTelemetryObserver(tracer_provider=tracers, meter_provider=meters)
    try:
        shop(observer).execute()
    finally:
        tracers.shutdown()
        meters.shutdown()

    spans = collector.spans
    assert set(spans) == {
        "attempt 1",
        "attempt 2",
        "job orders",
        "job page",
        "job tips",
        "run shop",
    }
    assert {spans[f"job {n}"].parent_span_id for n in ("orders", "tips", "page")} == {
        spans["run shop"].span_id
    }
    assert {link.span_id for link in spans["job page"].links} == {
        spans["job orders"].span_id,
        spans["job tips"].span_id,
    }
    values = {each.key: each.value.string_value for each in spans["attempt 1"].attributes}
    assert values["error.type"].endswith("helpers.Boom")
    assert set(collector.metrics) == {
        "gofer.job.active",
        "gofer.job.duration",
        "gofer.job.queue.duration",
        "gofer.job.retries",
    }
    assert collector.metrics["gofer.job.duration"].unit == "s"
    point = collector.metrics["gofer.job.duration"].histogram.data_points[0]
    assert point.explicit_bounds[0] == 0.005
