"""What the tests of Gofer's users need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gofer.policies import retries
from gofer.testing._recorder import recorded_runs
from gofer.testing._scripts import Script, ScriptedJob, scripted
from gofer.testing._virtual import VirtualClock, virtual_clock
from gofer.testing.races import Race, RaceDetector

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gofer.testing.exploring import (
        Exploration,
        Found,
        Nondeterminism,
        PlannedFailure,
        ScheduleBroken,
        Stuck,
        explore,
    )

_OF_EXPLORING = frozenset(
    [
        "Exploration",
        "Found",
        "Nondeterminism",
        "PlannedFailure",
        "ScheduleBroken",
        "Stuck",
        "explore",
    ]
)

__all__ = [
    "Exploration",
    "Found",
    "Nondeterminism",
    "PlannedFailure",
    "Race",
    "RaceDetector",
    "ScheduleBroken",
    "Script",
    "ScriptedJob",
    "Stuck",
    "VirtualClock",
    "explore",
    "instant_retries",
    "no_retries",
    "recorded_runs",
    "scripted",
    "virtual_clock",
]


def __getattr__(name: str) -> Any:
    """Load what explores when it is first asked for: it needs asyncio."""
    if name not in _OF_EXPLORING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gofer.testing import exploring

    return getattr(exploring, name)


@contextmanager
def no_retries() -> Iterator[None]:
    """Let no job be tried more than once, for the time of a ``with`` block.

    It holds for the whole process, so that a server in another thread is tested, too.

    Thread safety: blocks may be entered and left in any order, in any thread; of several that
    are open at the same time, the one that was entered last counts.

    Example:
        >>> from gofer import JobManager, Retry, job
        >>> @job(retry=Retry(attempts=5, on=Exception), fallback="nothing")
        ... def flaky():
        ...     raise ConnectionError
        >>> with no_retries():
        ...     len(JobManager([flaky]).execute().record(flaky).attempts)
        1
    """
    take_back = retries.change("off")
    try:
        yield
    finally:
        take_back()


@contextmanager
def instant_retries() -> Iterator[None]:
    """Let no job wait between its attempts, for the time of a ``with`` block.

    The rest is as in ``no_retries``.

    Example:
        >>> from gofer import JobManager, Retry, job
        >>> @job(retry=Retry(attempts=5, on=Exception, wait_initial=3.0), fallback="nothing")
        ... def flaky():
        ...     raise ConnectionError
        >>> with instant_retries():
        ...     len(JobManager([flaky]).execute().record(flaky).attempts)
        5
    """
    take_back = retries.change("instant")
    try:
        yield
    finally:
        take_back()
