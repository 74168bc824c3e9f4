"""What the tests of races share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from gofer import JobManager, job
from gofer.testing import RaceDetector

Found = set[tuple[tuple[str, ...], str]]


def two(*does: Callable[[Any], object]) -> JobManager:
    """Return a manager of jobs without needs, ``a``, ``b`` and so on; each does this to a param."""

    def made(name: str, do: Callable[[Any], object]) -> Any:
        def call(ctx: object, page: Any) -> None:
            do(page)

        return job(call, name=name)

    return JobManager([made(chr(97 + i), do) for i, do in enumerate(does)])


def races_of(
    param: Any, *does: Callable[[Any], object], unordered: Iterable[str] = ()
) -> list[str]:
    """Return the paths of the races of jobs that do this to a param, each without the others."""
    detector = RaceDetector(two(*does), unordered=unordered)
    detector.execute(param=param)
    return [race.path for race in detector.races]
