"""Metrics for Prometheus, by its own client library."""

from __future__ import annotations

import threading
from weakref import WeakKeyDictionary

from gofer.observers import Observer
from gofer.observers._labels import BUCKETS
from gofer.views.fold import pattern

try:
    import prometheus_client
except ImportError as error:
    raise ImportError(
        "PrometheusObserver needs Prometheus's client: pip install 'gofer[prometheus]'"
    ) from error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gofer._run import JobRecord, Run


class PrometheusObserver(Observer):
    """Counts and times jobs for Prometheus.

    ``gofer_job_duration_seconds`` (by ``state``, so its count says how many failed),
    ``gofer_job_queue_duration_seconds`` (from the end of the last need to the start),
    ``gofer_jobs_active``, ``gofer_job_retries_total``. The labels ``run``, the manager's name, and
    ``job`` have a star for each number, so that ``fetch[17]`` is one of ``fetch[*]``.

    Args:
        registry: Where the metrics are; None means the client's global one. Observers of one
            registry share them.

    Raises:
        ImportError: ``prometheus_client`` is not installed.

    Thread safety: as all observers. One may watch many managers.

    Example:
        >>> from gofer import JobManager
        >>> manager = JobManager(name="page", observers=[PrometheusObserver()])
    """

    def __init__(self, registry: Any = None) -> None:
        self._metrics = _metrics_of(prometheus_client.REGISTRY if registry is None else registry)
        self._lock = threading.Lock()
        self._open: WeakKeyDictionary[Run, set[str]] = WeakKeyDictionary()

    def run_started(self, run: Run) -> None:
        with self._lock:
            self._open[run] = set()

    def job_started(self, run: Run, name: str) -> None:
        labels = _labels(run, name)
        self._open[run].add(name)
        self._metrics.active.labels(*labels).inc()

    def job_ended(self, run: Run, record: JobRecord) -> None:
        labels, metrics = _labels(run, record.name), self._metrics
        self._open[run].discard(record.name)
        metrics.active.labels(*labels).dec()
        metrics.queued.labels(*labels).observe(record.waiting or 0.0)
        metrics.duration.labels(*labels, record.state).observe(record.duration or 0.0)
        if (again := len(record.attempts) - 1) > 0:
            metrics.retries.labels(*labels).inc(again)

    def run_ended(self, run: Run) -> None:
        with self._lock:
            left = self._open.pop(run)
        for name in left:  # its thread was torn out of it by a signal handler
            self._metrics.active.labels(*_labels(run, name)).dec()


class _Metrics:
    """The metrics of one registry."""

    def __init__(self, registry: Any) -> None:
        labels = ("run", "job")
        self.duration = prometheus_client.Histogram(
            "gofer_job_duration_seconds",
            "How long jobs ran, all attempts together.",
            (*labels, "state"),
            buckets=BUCKETS,
            registry=registry,
        )
        self.queued = prometheus_client.Histogram(
            "gofer_job_queue_duration_seconds",
            "How long jobs waited after the end of their last need.",
            labels,
            buckets=BUCKETS,
            registry=registry,
        )
        self.active = prometheus_client.Gauge(
            "gofer_jobs_active",
            "Jobs that run now.",
            labels,
            registry=registry,
            multiprocess_mode="livesum",  # of several worker processes of a server
        )
        self.retries = prometheus_client.Counter(
            "gofer_job_retries_total",
            "Attempts after the first of a job.",
            labels,
            registry=registry,
        )


_known: WeakKeyDictionary[Any, _Metrics] = WeakKeyDictionary()
_lock = threading.Lock()


def _metrics_of(registry: Any) -> _Metrics:
    with _lock:
        found = _known.get(registry)
        if found is None:
            found = _known[registry] = _Metrics(registry)
        return found


def _labels(run: Run, name: str) -> tuple[str, str]:
    return pattern(run.name or ""), pattern(name)
