"""What the methods of built-in containers do to their items, and their methods that note it.

An item of a dict, by its key, is a part of its own; so is an item of a list or a deque, by its
index. Everything else, all of a set included, is an access to the whole container, which meets each
of its items.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import ItemsView, KeysView, ValuesView
from functools import partialmethod

from gofer.testing._accesses import ACTOR, WHOLE, note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

BUILT_IN = (list, dict, set, deque, defaultdict, OrderedDict)
"""Their instances cannot be given another class; a proxy stands for them."""

_WRITES = frozenset(
    [
        "append",
        "appendleft",
        "extend",
        "extendleft",
        "insert",
        "remove",
        "pop",
        "popleft",
        "popitem",
        "clear",
        "sort",
        "reverse",
        "rotate",
        "add",
        "discard",
        "update",
        "intersection_update",
        "difference_update",
        "symmetric_difference_update",
        "move_to_end",
        "setdefault",
        "__setitem__",
        "__delitem__",
        "__iadd__",
        "__imul__",
        "__ior__",
        "__iand__",
        "__isub__",
        "__ixor__",
    ]
)
_STORES = frozenset(["append", "appendleft", "insert", "add", "setdefault", "__setitem__"])
_BY_KEY = frozenset(
    ["get", "pop", "setdefault", "__getitem__", "__setitem__", "__delitem__", "__contains__"]
)
_BY_INDEX = frozenset(["__getitem__", "__setitem__"])
_UNTOUCHED = frozenset(
    [
        "__new__",
        "__init__",
        "__init_subclass__",
        "__subclasshook__",
        "__class__",
        "__class_getitem__",
        "__doc__",
        "__getattribute__",
        "__setattr__",
        "__delattr__",
        "__dir__",
        "__reduce__",
        "__reduce_ex__",
        "__getstate__",
        "__sizeof__",
        "__hash__",
        "__missing__",
        "__copy__",
    ]
)


def base_of(kind: type) -> type | None:
    """Return the built-in container that a class is, or is made of."""
    return next((base for base in reversed(BUILT_IN) if issubclass(kind, base)), None)


def names_of(base: type) -> list[str]:
    """Return the names of the methods to be stood in for."""
    found = [name for name in dir(base) if callable(getattr(base, name))]
    return [name for name in found if name not in _UNTOUCHED]


def uses(name: str, real: Any, args: tuple[Any, ...]) -> Iterable[tuple[Any, bool]]:
    """Return what a method is about to use: keys, or WHOLE, and whether it writes."""
    write = name in _WRITES
    if isinstance(real, dict):
        if name not in _BY_KEY or not args:
            return ((WHOLE, write),)
        key = args[0]
        if name == "setdefault" or (name == "__getitem__" and isinstance(real, defaultdict)):
            write = not dict.__contains__(real, key)
        return ((key, write),)
    if name in _BY_INDEX and args and isinstance(args[0], int):
        count: Any = list.__len__ if isinstance(real, list) else deque.__len__
        size, index = count(real), int(args[0])  # not `len`, which would be noted
        if -size <= index < size:
            return ((index % size, write),)
        return ((WHOLE, False),)
    return ((WHOLE, write),)


def _view(stands: Any, view: Callable[[Any], Any]) -> Any:
    return view(stands)


_VIEWS = {"keys": KeysView, "values": ValuesView, "items": ItemsView}


class Stand:
    """How the methods of one class are stood in for.

    Attributes:
        real_of: Return the container of the object that has the method.
        unwrap: Return what a proxy stands for, and anything else as it is.
        keep: Likewise, also for what is inside a value that is kept.
        found: Track a value that was found at a key, and return it or its proxy.
    """

    __slots__ = ("found", "keep", "real_of", "unwrap")

    def __init__(
        self,
        real_of: Callable[[Any], Any],
        unwrap: Callable[[Any], Any],
        keep: Callable[[Any], Any],
        found: Callable[..., Any],
    ) -> None:
        self.real_of, self.unwrap, self.keep, self.found = real_of, unwrap, keep, found

    def methods(self, kind: Any, base: Any) -> dict[str, Any]:
        """Return the methods for a class that is a built-in container, or is made of one."""
        made: dict[str, Any] = {name: self._method(kind, name) for name in names_of(base)}
        if issubclass(base, dict):
            # The views of the real one would show what is inside as it is.
            for name, view in _VIEWS.items():
                if getattr(kind, name) is getattr(base, name):
                    made[name] = partialmethod(_view, view)
        if issubclass(base, list):
            made["__radd__"] = lambda stands, other: other + stands[:]
        made["__hash__"] = kind.__hash__
        return made

    def _method(self, kind: Any, name: str) -> Callable[..., Any]:
        call, real_of, unwrap = getattr(kind, name), self.real_of, self.unwrap
        merges = name in {"update", "__ior__"} and kind in BUILT_IN and issubclass(kind, dict)

        def method(stands: Any, /, *args: Any, **kwargs: Any) -> Any:
            real = real_of(stands)
            if ACTOR.get() is None:
                result = call(real, *map(unwrap, args), **kwargs)
                return stands if result is real else result
            if merges:
                given = dict(*args, **kwargs)  # through the proxy, if it is one: that is a read
                for key, value in given.items():
                    note(real, key, item=True, write=True)
                    given[key] = unwrap(self.found(real, key, self.keep(value), item=True))
                args, kwargs = (given,), {}
            else:
                for key, write in uses(name, real, args):
                    note(real, key, item=True, write=write)
                if name not in _STORES:
                    self._read(args)
            args = tuple(map(self.keep if name in _WRITES else unwrap, args))
            result = call(real, *args, **kwargs)
            if result is real:
                return stands
            if name in {"__iter__", "__reversed__"} and not isinstance(real, list):
                result = iter(list(result))  # at once, so ``list(it)`` is as atomic as ever
            if name in _STORES:
                by_key = name in _BY_KEY and not isinstance(args[0], slice)
                self.found(real, args[0] if by_key else None, args[-1], item=True)
            return self._dressed(name, real, args, result)

        method.__name__ = name
        return method

    def _read(self, args: tuple[Any, ...]) -> None:
        for each in args:
            real = self.unwrap(each)
            if real is not each:
                note(real, WHOLE, item=True, write=False)

    def _dressed(self, name: str, real: Any, args: tuple[Any, ...], result: Any) -> Any:
        found = self.found
        if name in {"__iter__", "__reversed__"}:
            known = name == "__iter__" and not isinstance(real, (set, dict))
            return (
                found(real, i if known else None, each, item=True) for i, each in enumerate(result)
            )
        if name in {"__getitem__", "get", "setdefault"} and not isinstance(args[0], slice):
            return found(real, args[0], result, item=True)
        if type(result) is list:
            return [found(real, None, each, item=True) for each in result]
        if type(result) is dict:
            return {key: found(real, key, each, item=True) for key, each in result.items()}
        if name == "popitem":
            return result[0], found(real, result[0], result[1], item=True)
        return found(real, None, result, item=True) if name in _WRITES else result
