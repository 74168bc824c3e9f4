"""Every run of a manager that ends while a test looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gofer._run import Run


@contextmanager
def recorded_runs() -> Iterator[list[Run]]:
    """Give a test every run of every manager, for the time of a ``with`` block.

    The managers need no observer, so this shows what code did that makes and executes them itself:
    failed and cancelled runs too, inner runs before those whose jobs they are made in. A run is in
    the list before ``execute`` returns or raises. Groups and maps make no runs.

    Thread safety: it holds for the whole process, runs of all threads included. Of blocks that are
    open at the same time each lies inside another.

    Example:
        >>> from gofer import JobManager, job
        >>> @job
        ... def answer():
        ...     return 42
        >>> with recorded_runs() as runs:
        ...     _ = JobManager([answer], name="deep thought").execute()
        >>> [(run.name, run.state, run.results) for run in runs]
        [('deep thought', 'succeeded', {'answer': 42})]
    """
    from gofer._running import RunExecution

    place: Any = RunExecution
    runs: list[Run] = []
    end = place.ended

    def end_and_record(execution: RunExecution, torn: BaseException | None) -> Run:
        run: Run = end(execution, torn)
        runs.append(run)
        return run

    place.ended = end_and_record
    try:
        yield runs
    finally:
        place.ended = end
