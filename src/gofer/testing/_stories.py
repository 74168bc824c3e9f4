"""What a schedule did, as a story; and in what two runs differ."""

from __future__ import annotations

import linecache
import os
import sys
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from gofer._run import Run
from gofer.testing._accesses import child_path
from gofer.testing._strands import CANCEL, CLOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

Event = tuple[str, str, str, str]
"""Who, did what, with what, and where: ``file:line``."""

_DEEP = 12


def story(events: list[Event]) -> str:
    """Return events as lines: who, what, the line of code; where another goes on there is a gap."""
    here = os.getcwd() + os.sep
    names = max((len(each[0]) for each in events), default=0)
    did = [f"{verb} {what}".rstrip() for _, verb, what, _ in events]
    width = min(48, max(map(len, did), default=0))
    lines: list[str] = []
    before = None
    linecache.checkcache()
    for (who, _, _, place), what in zip(events, did, strict=True):
        shown = who if who != before else ""
        code = _code(place)
        where = f"  {place.removeprefix(here)}  {code}" if code else ""
        lines.append(f"  {shown:<{names}}  {what:<{width}}{where}".rstrip())
        before = who
    return "\n".join(lines)


def _code(place: str) -> str:
    file, _, line = place.rpartition(":")
    return linecache.getline(file, int(line)).strip() if line else ""


def switches(events: list[Event]) -> int:
    """Return how often another job went on than before, though that one had not ended."""
    last: dict[str, int] = {}
    for n, event in enumerate(events):
        last[event[0]] = n
    jobs = [(n, event[0]) for n, event in enumerate(events) if event[0] not in (CLOCK, CANCEL)]
    return sum(who != then and last[who] > n for (n, who), (_, then) in pairwise(jobs))


def difference(one: object, other: object, path: str) -> str | None:
    """Return the path of the first part in which two values differ, or None."""
    return next(_differences(one, other, path, _DEEP), None)


def _differences(one: Any, other: Any, path: str, deep: int) -> Iterator[str]:
    if one is other or not deep:
        return
    mine, theirs = _inside(one), _inside(other)
    if type(one) is not type(other) or mine.keys() != theirs.keys():
        yield path
    elif not mine:
        equal: Any = type(one).__eq__
        if equal is not object.__eq__ and one != other:
            yield path
    else:
        for where, value in mine.items():
            key, item = where
            inside = child_path(path, key, item=item)
            yield from _differences(value, theirs[where], inside, deep - 1)


def _inside(thing: Any) -> dict[tuple[Any, bool], Any]:
    """Return the parts of a value: key, whether it is an item; none where it is only compared."""
    if isinstance(thing, Run):
        thing = thing.results
    if isinstance(thing, dict):
        return {(key, True): value for key, value in thing.items()}
    if isinstance(thing, (list, tuple)):
        return {(i, True): value for i, value in enumerate(thing)}
    if isinstance(thing, BaseException):
        return {("args", False): thing.args}
    if isinstance(thing, (set, frozenset)) or not _is_plain(type(thing)):
        return {}
    return {(name, False): value for name, value in _parts_of(thing).items()}


def _is_plain(kind: type) -> bool:
    """Return whether instances of a class are what they hold: those of the user's own classes."""
    top = kind.__module__.partition(".")[0]
    ours = top == "gofer" or (top in sys.stdlib_module_names and top != "__main__")
    return kind is SimpleNamespace or not (ours or issubclass(kind, type))


def _parts_of(thing: Any) -> dict[str, Any]:
    names = [n for each in type(thing).__mro__ for n in getattr(each, "__slots__", ())]
    found = {name: getattr(thing, name) for name in names if hasattr(thing, name)}
    return {**found, **getattr(thing, "__dict__", {})}
