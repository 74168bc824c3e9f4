"""What the tests of races share."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from gofer import JobManager, job
from gofer.testing import RaceDetector


class Page:
    """A plain object."""

    def __init__(self) -> None:
        self.total = self.hits = 0
        self.user: Any = None
        self.rows: list[Any] = []


@dataclasses.dataclass
class Data:
    """A plain data class."""

    total: int = 0
    rows: list[Any] = dataclasses.field(default_factory=list)
    inner: Any = None


class Plain:
    """A class with a property, a method, a default, and attributes that are its own."""

    total = 0

    def __init__(self, total: int = 0) -> None:
        self._rows: list[Any] = []
        self.inner: Any = None
        if total:
            self.total = total

    @property
    def rows(self) -> list[Any]:
        return self._rows

    @rows.setter
    def rows(self, rows: list[Any]) -> None:
        self._rows = rows

    def __eq__(self, other: object) -> bool:
        return other.__class__ is self.__class__ and vars(other) == vars(self)

    __hash__ = None  # type: ignore[assignment]

    async def load(self) -> int:
        await asyncio.sleep(0)
        self.total += 1
        return self.total


@dataclasses.dataclass(slots=True)
class Slots:
    """One without a ``__dict__``."""

    total: int = 0
    rows: list[Any] = dataclasses.field(default_factory=list)
    inner: Any = None


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


def during(param: Any, look: Callable[[Any], object]) -> None:
    """Have a job look at a param while it is tracked."""
    RaceDetector(two(look)).execute(param=param)
