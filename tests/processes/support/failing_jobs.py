"""Jobs that fail, and things that do not travel."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from process_jobs import die, note, runs_of, wait_for


class BadlyLoaded:
    """Raises where it is unpickled."""

    def __reduce__(self) -> Any:
        return _raise, (ValueError, "cannot be loaded")


class BadlyPickled:
    """Raises where it is pickled."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error


def _raise(kind: type[BaseException], text: str) -> NoReturn:
    raise kind(text)


def give(make: Callable[..., Any], *args: Any) -> Any:
    """Return what something makes, in the worker."""
    return make(*args)


def give_lock() -> Any:
    """Return something with a lock in it."""
    return {"rows": [1, threading.Lock()]}


def raises(kind: type[BaseException], *args: Any) -> NoReturn:
    """Raise."""
    raise kind(*args)


async def araises(kind: type[BaseException], *args: Any) -> NoReturn:
    """Raise."""
    await asyncio.sleep(0)
    raise kind(*args)


class TwoArguments(Exception):
    """Pickles, and cannot be rebuilt."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


class HoldsLock(Exception):
    """Does not pickle."""

    def __init__(self) -> None:
        super().__init__("has a lock")
        self.lock = threading.Lock()


class Holder:
    """Holds a lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def method(self, _: object) -> None:
        """Do nothing."""


def holder_of_a_lock() -> Holder:
    """Return something that does not pickle."""
    return Holder()


def make_badly_pickled() -> Any:
    """Return what raises a panic where it is pickled."""
    return BadlyPickled(KeyboardInterrupt())


class PanicsWhenLoaded:
    """Raises a panic where it is unpickled."""

    def __reduce__(self) -> Any:
        return _raise, (SystemExit, "out")


def make_deep() -> Any:
    """Return a list in a list in a list, and so on."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


def needs_thing(*, thing: Any) -> Any:
    """Return it."""
    return thing


def raise_group() -> NoReturn:
    """Raise a group with a group in it."""
    inner = ExceptionGroup("inner", [HoldsLock()])
    raise ExceptionGroup("outer", [ValueError("one"), inner])


def fails_when_it_began(*, folder: str) -> NoReturn:
    """Wait for another job to begin, and fail."""
    wait_for(folder, "began")
    raise ValueError("now")


def raise_from() -> NoReturn:
    """Raise an error with a cause that has a context."""
    try:
        try:
            {}["missing"]
        except KeyError:
            raise LookupError("not there")  # noqa: B904
    except LookupError as error:
        raise RuntimeError("cannot go on") from error


def fail_once(*, folder: str, error: Any) -> str:
    """Die or raise in the first attempt, return in the second."""
    note(folder, "tries")
    if runs_of(folder, "tries") == 1:
        if isinstance(error, str):
            die(error)
        raise error
    return "the second"
