"""Params, and the jobs that read them and write to them."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import gofer


class Page:
    """A param as most are."""

    def __init__(self) -> None:
        self.total = 1
        self.rows: list[int] = [1]
        self.names = {"a": 1}

    @functools.cached_property
    def costly(self) -> int:
        """Is computed once."""
        return 7


class Slots:
    """A param with slots."""

    __slots__ = ("rows", "total")

    def __init__(self) -> None:
        self.total, self.rows = 1, [1]


@dataclasses.dataclass
class DataPage:
    """A param as many are."""

    total: int = 1
    rows: list[int] = dataclasses.field(default_factory=lambda: [1])


@dataclasses.dataclass(frozen=True)
class FrozenPage:
    """A param that nobody writes to."""

    total: int = 1
    rows: list[int] = dataclasses.field(default_factory=lambda: [1])


@dataclasses.dataclass(slots=True)
class SlotsPage:
    """A param with slots."""

    total: int = 1
    rows: list[int] = dataclasses.field(default_factory=lambda: [1])


class Final:
    """Has no subclasses."""

    def __init__(self) -> None:
        self.total = 1

    def __init_subclass__(cls) -> None:
        raise TypeError("this class is final")


def pydantic_page() -> Any:
    """Return a model."""
    from pydantic_pages import Model

    return Model()


def replace_total(ctx: gofer.Context, param: Any) -> Any:
    """Make another of it."""
    return dataclasses.replace(param, total=5).total, param.total


def append_to_list(ctx: gofer.Context, param: Any) -> None:
    """Write to a list."""
    param.append(2)


def set_total(ctx: gofer.Context, param: Any) -> None:
    """Write to an attribute."""
    param.total = 2


def swallow_refusal(ctx: gofer.Context, param: Any) -> None:
    """Write to an attribute, and do not listen to what that says."""
    try:
        param.total = 2
    except AttributeError:
        return


def delete_total(ctx: gofer.Context, param: Any) -> None:
    """Delete an attribute."""
    del param.total


def append_row(ctx: gofer.Context, param: Any) -> None:
    """Write to a list of the param's."""
    param.rows.append(2)


def append_and_fail(ctx: gofer.Context, param: Any) -> None:
    """Write to a list of the param's, and fail for another reason."""
    param.rows.append(2)
    raise ValueError("of my own")


def set_key(ctx: gofer.Context, param: Any) -> None:
    """Write to a dict."""
    param["a"] = 2


def read(ctx: gofer.Context, param: Any) -> Any:
    """Read all that there is."""
    return getattr(param, "costly", 0), param.total, list(param.rows)


def copy_and_write(ctx: gofer.Context, param: Any) -> Any:
    """Write to copies of the param, which are the job's own."""
    from copy import copy, deepcopy

    first, second, third = copy(param), deepcopy(param), type(param)()
    first.total = second.total = third.total = 5
    second.rows.append(6)
    return first.total, second.rows, third.total, param.total


def send_on(ctx: gofer.Context, param: Any) -> Any:
    """Pickle the param."""
    import pickle

    return pickle.loads(pickle.dumps(param)).total


def give_param(ctx: gofer.Context, param: Any) -> Any:
    """Return the param."""
    return param
