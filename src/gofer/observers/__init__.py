"""What watches runs while they happen. An observer never decides anything."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gofer._run import JobRecord, Run


class Observer:
    """A base for observers: override what you need, and pass it as ``observers=[...]``.

    Thread safety: methods are called from whatever thread it happens in, several at the same
    time; ``job_started`` comes before the job, ``job_ended`` before anything that the end
    makes possible. They should be short. An observer that raises harms nobody: the error goes
    to ``sys.unraisablehook``.
    """

    def run_started(self, run: Run) -> None:
        """Note that a run begins; nothing has started yet."""

    def job_started(self, run: Run, name: str) -> None:
        """Note that a job starts, in this thread."""

    def job_ended(self, run: Run, record: JobRecord) -> None:
        """Note that a job has ended, well or not: see ``record.state`` and ``record.error``."""

    def run_ended(self, run: Run) -> None:
        """Note that a run is over; ``run.state`` and ``run.error`` say how."""
