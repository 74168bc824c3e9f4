"""A log of runs, for people who read logs."""

from __future__ import annotations

import logging

from gofer.errors import describe
from gofer.observers import Observer
from gofer.views.facts import amount, counts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gofer._run import Attempt, JobRecord, Run


class LoggingObserver(Observer):
    """Writes runs to the logger ``gofer``.

    ``DEBUG``: a job starts. ``INFO``: a run starts, a job ends, a run ends well. ``WARNING``: an
    attempt fails and is to be repeated, a run fails or is cancelled. That a job has failed Gofer
    says by itself, at ``WARNING``. Nothing is an ``ERROR``: what failed is raised as well, and
    whoever catches it decides.

    Records carry what they speak of as attributes, for logs that are not read by people:
    ``gofer_run``, ``gofer_job``, ``gofer_state``, ``gofer_seconds``, ``gofer_attempts``,
    ``gofer_retry_in``.

    Thread safety: as ``logging``.

    Example:
        >>> from gofer import JobManager
        >>> manager = JobManager(name="page", observers=[LoggingObserver()])
    """

    def __init__(self) -> None:
        self._log = logging.getLogger("gofer")
        if not self._log.handlers:  # else Python prints warnings where no logging is set up
            self._log.addHandler(logging.NullHandler())

    def run_started(self, run: Run) -> None:
        if self._log.isEnabledFor(logging.INFO):
            extra = {"gofer_run": run.name}
            self._log.info("%s started: %s jobs", _whose(run), len(run.records), extra=extra)

    def job_started(self, run: Run, name: str) -> None:
        if self._log.isEnabledFor(logging.DEBUG):
            extra = {"gofer_run": run.name, "gofer_job": name}
            self._log.debug("job %r started", name, extra=extra)

    def attempt_ended(self, run: Run, name: str, attempt: Attempt) -> None:
        error, pause = attempt.error, attempt.retry_in
        if error is None or pause is None:  # what is not retried is told as the job's end
            return
        extra = {"gofer_run": run.name, "gofer_job": name, "gofer_retry_in": pause}
        text = "job %r failed, and is tried again in %s: %s"
        self._log.warning(text, name, amount(pause), describe(error), extra=extra)

    def job_ended(self, run: Run, record: JobRecord) -> None:
        if not self._log.isEnabledFor(logging.INFO):
            return
        tries = len(record.attempts)
        extra = {
            "gofer_run": run.name,
            "gofer_job": record.name,
            "gofer_state": record.state,
            "gofer_seconds": record.duration,
            "gofer_attempts": tries,
        }
        state = f"{record.state}, by its fallback," if record.fell_back else record.state
        text = f"{state} after {amount(record.duration or 0.0)}"
        self._log.info(
            "job %r %s%s",
            record.name,
            text,
            f", {tries} attempts" if tries > 1 else "",
            extra=extra,
        )

    def run_ended(self, run: Run) -> None:
        level = logging.INFO if run.ok else logging.WARNING
        if not self._log.isEnabledFor(level):
            return
        states = ", ".join(f"{n:,} {state}" for state, n in counts(run.records).items())
        extra = {"gofer_run": run.name, "gofer_state": run.state, "gofer_seconds": run.duration}
        took = amount(run.duration or 0.0)
        text = f"{run.state} after {took}"
        self._log.log(level, "%s %s: %s", _whose(run), text, states or "no jobs", extra=extra)


def _whose(run: Run) -> str:
    return f"run {run.name!r}" if run.name else "a run"
