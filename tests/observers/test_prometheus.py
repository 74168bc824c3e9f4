"""PrometheusObserver, scraped from a real endpoint."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from gofer import JobManager, job
from gofer.observers import PrometheusObserver

from .helpers import Boom, shop, work

client = pytest.importorskip("prometheus_client", reason="install gofer[test] to test Prometheus")


class Endpoint:
    """A registry, and the address where it can be scraped."""

    def __init__(self) -> None:
        self.registry = client.CollectorRegistry()
        self.server, self.thread = client.start_http_server(
            0, addr="127.0.0.1", registry=self.registry
        )

    def scrape(self) -> dict[tuple[str, ...], float]:
        """Return ``(name, value of a label, ...) -> value``, labels by their names' order."""
        where = f"http://127.0.0.1:{self.server.server_port}/metrics"
        with urllib.request.urlopen(where, timeout=30) as response:
            text = response.read().decode("utf-8")
        parse = client.parser.text_string_to_metric_families
        return {
            (sample.name, *[value for _, value in sorted(sample.labels.items())]): sample.value
            for family in parse(text)
            for sample in family.samples
        }


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """An endpoint that is closed after the test."""
    import prometheus_client.parser  # noqa: F401

    made = Endpoint()
    yield made
    made.server.shutdown()
    made.server.server_close()
    made.thread.join(30)


def test_durations_waits_and_retries_can_be_scraped(endpoint: Endpoint) -> None:
    """Labels say run, job and state; the sums are those of the report."""
    run = shop(PrometheusObserver(endpoint.registry)).execute()

    found = endpoint.scrape()
    for name in ("orders", "tips", "page"):
        took = found["gofer_job_duration_seconds_sum", name, "shop", "succeeded"]
        assert took == pytest.approx(run.record(name).duration)
        assert found["gofer_job_queue_duration_seconds_count", name, "shop"] == 1
        waited = found["gofer_job_queue_duration_seconds_sum", name, "shop"]
        assert waited == pytest.approx(run.record(name).waiting)
        assert found["gofer_jobs_active", name, "shop"] == 0
    assert found["gofer_job_retries_total", "tips", "shop"] == 1
    assert ("gofer_job_retries_total", "page", "shop") not in found
    assert ("gofer_job_duration_seconds_bucket", "page", "60.0", "shop", "succeeded") in found


def test_failures_are_counted_by_state_and_running_jobs_while_they_run(endpoint: Endpoint) -> None:
    """A rule for alerts can be written on it."""
    seen: list[Any] = []

    def fails() -> None:
        seen.append(endpoint.scrape()["gofer_jobs_active", "fails", ""])
        raise Boom

    JobManager([job(fails)], observers=[PrometheusObserver(endpoint.registry)]).execute(check=False)

    found = endpoint.scrape()
    assert seen == [1]
    assert found["gofer_jobs_active", "fails", ""] == 0
    assert found["gofer_job_duration_seconds_count", "fails", "", "failed"] == 1


def test_two_observers_of_one_registry_share_its_metrics(endpoint: Endpoint) -> None:
    """Each manager may have an observer of its own; numbers in names are starred."""
    for i in range(2):
        jobs = [job(work, name=f"fetch[{i}]")]
        JobManager(jobs, observers=[PrometheusObserver(endpoint.registry)]).execute()

    assert endpoint.scrape()["gofer_job_duration_seconds_count", "fetch[*]", "", "succeeded"] == 2


def test_a_job_without_an_end_is_not_active_after_its_run(endpoint: Endpoint) -> None:
    """As where a signal handler tears a thread out of a job."""
    observer = PrometheusObserver(endpoint.registry)
    run = JobManager([job(work)]).execute()
    observer.run_started(run)
    observer.job_started(run, "work")
    observer.run_ended(run)

    assert endpoint.scrape()["gofer_jobs_active", "work", ""] == 0


def test_without_its_client_the_error_says_what_to_install() -> None:
    """The extra is named."""
    code = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "from gofer.observers import PrometheusObserver"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60
    )
    needs = "PrometheusObserver needs Prometheus's client: pip install 'gofer[prometheus]'"
    assert ran.stderr.splitlines()[-1] == f"ImportError: {needs}"
