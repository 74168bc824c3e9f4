"""Where both ends of a need carry type hints that contradict each other, say so.

Only what is certain counts: no value could be of both types. A hint that cannot be resolved, a
type variable, a protocol, a subclass where its base is given: all of these are taken to agree, so
that no manager is refused which works.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any

from gofer._program import Program
from gofer.errors import TypeHintError

_NUMBERS = {(int, float), (int, complex), (float, complex)}
"""Where the second is wanted, the first will do. Source: PEP 484, the numeric tower."""


def check_hints(program: Program) -> None:
    """Compare the hints at both ends of every need.

    Raises:
        TypeHintError: Some contradict each other; it says which.
    """
    found = tuple(_contradictions(program))
    if found:
        raise TypeHintError(found)


def _contradictions(program: Program) -> Iterator[str]:
    jobs = program.jobs
    hints = [_hints_of(each.fn) for each in jobs]
    for i, wiring in enumerate(program.wirings):
        for parameter, j in zip(wiring.names if wiring else (), program.sources[i], strict=True):
            given, wanted = hints[j].get("return", Any), hints[i].get(parameter, Any)
            if not _agree(given, wanted):
                yield (
                    f"job {jobs[i].name!r} takes {parameter}: {_spelt(wanted)}, but job "
                    f"{jobs[j].name!r} returns {_spelt(given)}"
                )


def _hints_of(fn: Any) -> dict[str, Any]:
    while hasattr(fn, "func") and hasattr(fn, "keywords"):  # functools.partial
        fn = fn.func
    if not hasattr(fn, "__annotations__"):
        fn = getattr(type(fn), "__call__", fn)  # noqa: B004  an object with __call__
    try:
        return typing.get_type_hints(fn)
    except Exception:  # a name that exists for type checkers only, or anything else
        return {}


def _agree(given: Any, wanted: Any) -> bool:
    """Return whether some value may be of both types."""
    if _is_union(given):
        return any(_agree(each, wanted) for each in typing.get_args(given))
    if _is_union(wanted):
        return any(_agree(given, each) for each in typing.get_args(wanted))
    one, other = _class_of(given), _class_of(wanted)
    if one is None or other is None or (one, other) in _NUMBERS:
        return True
    try:
        if not issubclass(one, other) and not issubclass(other, one):
            return False
    except TypeError:  # a protocol, a TypedDict: they cannot be asked
        return True
    given_args, wanted_args = typing.get_args(given), typing.get_args(wanted)
    if one is not other or len(given_args) != len(wanted_args) or one is _CALLABLE:
        return True
    return all(map(_agree, given_args, wanted_args))


_CALLABLE = typing.get_origin(typing.Callable[[], None])


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _class_of(hint: Any) -> type | None:
    """Return the class that values of a type have, or None where that is not certain."""
    if hint is None:
        return type(None)
    if hint is Any:
        return None
    found = typing.get_origin(hint) or hint
    return found if isinstance(found, type) else None


def _spelt(hint: Any) -> str:
    if hint is type(None):
        return "None"
    return hint.__qualname__ if type(hint) is type else str(hint)
