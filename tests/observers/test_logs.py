"""LoggingObserver: what it writes, at which level."""

from __future__ import annotations

import logging
import re

import pytest

from gofer import JobManager, job
from gofer.observers import LoggingObserver

from .helpers import Boom, shop, work


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged, level first, with times replaced."""
    return [
        f"{each.levelname} " + re.sub(r"[\d.]+ (us|ms|s)\b", "T", each.getMessage())
        for each in caplog.records
        if each.name == "gofer"
    ]


def test_a_run_is_logged_from_start_to_end(caplog: pytest.LogCaptureFixture) -> None:
    """Starts of jobs at DEBUG, ends at INFO, an attempt that is repeated at WARNING."""
    caplog.set_level(logging.DEBUG, "gofer")
    shop(LoggingObserver(), limit=1).execute()

    written = lines(caplog)
    assert written[0] == "INFO run 'shop' started: 3 jobs"
    assert "DEBUG job 'orders' started" in written
    assert "INFO job 'orders' succeeded after T" in written
    assert "INFO job 'tips' succeeded after T, 2 attempts" in written
    assert "WARNING job 'tips' failed, and is tried again in T: Boom: not yet" in written
    assert written[-1] == "INFO run 'shop' succeeded after T: 3 succeeded"
    assert len(written) == 9


def test_a_failure_is_a_warning_once_and_never_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """What is raised as well is nobody's ERROR, and it is not said twice."""
    caplog.set_level(logging.INFO, "gofer")

    def fails() -> None:
        raise Boom("no")

    jobs = [job(fails), job(work, name="later", after=["fails"])]
    with pytest.raises(Boom):
        JobManager(jobs, observers=[LoggingObserver()]).execute()

    written = lines(caplog)
    assert [each for each in written if "WARNING" in each] == [
        "WARNING job 'fails' failed: Boom: no",
        "WARNING a run failed after T: 1 failed, 1 not started",
    ]
    assert "INFO job 'fails' failed after T" in written
    assert not [each for each in written if each.startswith(("ERROR", "CRITICAL"))]


def test_a_fallback_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A job that succeeded only by its fallback says so."""
    caplog.set_level(logging.INFO, "gofer")

    def fails() -> None:
        raise Boom("no")

    JobManager([job(fails, fallback=0)], observers=[LoggingObserver()]).execute()

    assert "INFO job 'fails' succeeded, by its fallback, after T" in lines(caplog)


def test_records_carry_their_facts_for_machines(caplog: pytest.LogCaptureFixture) -> None:
    """Logs that are written as JSON need not parse sentences."""
    caplog.set_level(logging.INFO, "gofer")
    run = shop(LoggingObserver()).execute()

    (record,) = [each for each in caplog.records if getattr(each, "gofer_job", "") == "page"]
    assert vars(record)["gofer_run"] == "shop"
    assert vars(record)["gofer_state"] == "succeeded"
    assert vars(record)["gofer_seconds"] == run.record("page").duration
    assert vars(record)["gofer_attempts"] == 1


def test_below_the_level_nothing_is_written(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever listens from WARNING on hears of what goes wrong alone."""
    caplog.set_level(logging.WARNING, "gofer")
    shop(LoggingObserver()).execute()

    assert [each.partition(" ")[0] for each in lines(caplog)] == ["WARNING"]


def test_a_program_without_logging_prints_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The observer itself sets up no handler that writes, and keeps Python's last resort away."""
    logger = logging.getLogger("gofer")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", False)
    shop(LoggingObserver()).execute()

    assert capsys.readouterr().err == ""
    assert [type(each) for each in logger.handlers] == [logging.NullHandler]
