"""What watches runs while they happen. An observer never decides anything.

Ready ones: ``LoggingObserver``, ``OpenTelemetryObserver`` (``pip install 'gofer[otel]'``) and
``PrometheusObserver`` (``pip install 'gofer[prometheus]'``). Each is loaded when it is asked for.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gofer._run import Attempt, JobRecord, Run
    from gofer.observers.logs import LoggingObserver as LoggingObserver
    from gofer.observers.otel import OpenTelemetryObserver as OpenTelemetryObserver
    from gofer.observers.prometheus import PrometheusObserver as PrometheusObserver

_READY = {
    "LoggingObserver": "logs",
    "OpenTelemetryObserver": "otel",
    "PrometheusObserver": "prometheus",
}

__all__ = ["LoggingObserver", "Observer", "OpenTelemetryObserver", "PrometheusObserver"]


class Observer:
    """A base for observers: override what you need, and pass it as ``observers=[...]``.

    Thread safety: methods are called in whatever thread the thing happens in, several at the
    same time, on the event loop for async jobs; so they should be short, and must not block.
    For one job the order is ``job_started``, ``attempt_ended`` for each attempt, ``job_ended``,
    which comes before anything that the end makes possible. An observer that raises harms
    nobody: the error goes to ``sys.unraisablehook``.

    Example:
        >>> from gofer import JobManager, job
        >>> class Names(Observer):
        ...     def job_ended(self, run, record):
        ...         print(record.name, record.state)
        >>> run = JobManager([job(lambda: 1, name="orders")], observers=[Names()]).execute()
        orders succeeded
    """

    def run_started(self, run: Run) -> None:
        """Note that a run begins; nothing has started yet. Called in the caller's context."""

    def job_started(self, run: Run, name: str) -> None:
        """Note that a job starts, in this thread and in the job's own context.

        A context variable that is set here is seen by the job, and by nothing else. One that goes
        to another process starts when it is sent, and a variable stays here; see ``carried``. If
        its run is stopped before it has begun there, no more is told of it.
        """

    def attempt_ended(self, run: Run, name: str, attempt: Attempt) -> None:
        """Note that an attempt of a job has ended; see ``attempt.error``. There may be more."""

    def job_ended(self, run: Run, record: JobRecord) -> None:
        """Note that a job has ended, well or not: see ``record.state`` and ``record.error``."""

    def run_ended(self, run: Run) -> None:
        """Note that a run is over; ``run.state`` and ``run.error`` say how."""

    def carried(self) -> dict[str, str]:
        """Return what a job in another process is to find there, such as the span above it.

        Called for such a job only, after ``job_started`` and in the same context.
        """
        return {}

    @staticmethod
    def arrived(carried: dict[str, str]) -> None:
        """Take what was carried: called in the other process, in the context of the job there.

        The observer stays at home, so this is a function of the class, which is imported there.
        """


def __getattr__(name: str) -> Any:
    module = _READY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{module}"), name)
