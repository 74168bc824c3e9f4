"""Proxies, for objects that cannot be given another class: built-in containers and namespaces.

The real one stays where it is, and whoever else has it has the same. A proxy says that it is of the
real one's class, and does what that does; code in C that asks for the very type is not deceived.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import MutableMapping, MutableSequence
from json import JSONEncoder
from operator import is_
from types import SimpleNamespace

from gofer.testing._accesses import ACTOR, WHOLE, about_to_write, note
from gofer.testing._containers import BUILT_IN, Stand

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LEAVE, SWAP, PROXY, LOOK_INSIDE = range(4)
"""The ways to track a value; see ``_tracking.Watch``."""

_lock = threading.Lock()
_runs = 0  # that are watched now


def is_dunder(name: str) -> bool:
    """Return whether a name is one of Python's own, such as ``__dict__``."""
    return name.startswith("__") and name.endswith("__")


class Proxy:
    """What stands for an object; the base of all proxies."""

    __slots__ = ("__weakref__", "_gofer_real")


_real_of = Proxy.__dict__["_gofer_real"].__get__


def unwrap(value: Any) -> Any:
    """Return what a proxy stands for, and anything else as it is."""
    return _real_of(value) if issubclass(type(value), Proxy) else value


def real(value: Any) -> Any:
    """Return a value that is about to be kept, without the proxies in what a job has made of it."""
    found = unwrap(value)
    return found if found is not value else _cleaned(value, set())


def _cleaned(value: Any, seen: set[int]) -> Any:
    kind = type(value)
    if id(value) in seen or not (kind is list or kind is dict or is_tuple(kind)):
        return unwrap(value)
    seen.add(id(value))
    if is_tuple(kind):
        return remade(value, [_cleaned(each, seen) for each in value])
    for key, each in list(value.items() if kind is dict else enumerate(value)):
        cleaned = _cleaned(each, seen)
        if cleaned is not each:
            value[key] = cleaned
    return value


def is_tuple(kind: type) -> bool:
    """Return whether a class is that of tuples, with names for their items or without."""
    return kind is tuple or (
        issubclass(kind, tuple) and hasattr(kind, "_fields") and not kind.__dictoffset__
    )


def remade(value: Any, inside: list[Any]) -> Any:
    """Return a tuple that has something else inside; the tuple itself, if it is the same."""
    return value if all(map(is_, inside, value)) else tuple.__new__(type(value), inside)


def proxy_of(value: Any) -> Any:
    """Return a new proxy for a value of one of the classes in PROXIES."""
    made: Any = object.__new__(PROXIES[type(value)])
    Proxy.__dict__["_gofer_real"].__set__(made, value)
    return made


def found(owner: object, key: Any, value: Any, *, item: bool) -> Any:
    """Track a value that a job has found in an object, or put into it.

    Returns:
        The value, or a proxy for it.
    """
    actor = ACTOR.get()
    if actor is None or actor.watch.way(type(value)) == LEAVE:
        return value
    each: Any = actor
    while each is not None:
        path = each.find(owner, key, value, item=item)
        each = each.outer
    return actor.watch.take(value, path)


def _read(thing: Any) -> list[tuple[Any, Any, bool]]:
    """Note that all of a container or a namespace is read.

    Returns:
        Its parts: key, value, and whether it is an item.
    """
    if isinstance(thing, SimpleNamespace):
        for name in list(vars(thing)):
            note(thing, name, item=False, write=False)
        return [(name, value, False) for name, value in list(vars(thing).items())]
    note(thing, WHOLE, item=True, write=False)
    if isinstance(thing, dict):
        return [(key, value, True) for key, value in list(thing.items())]
    if isinstance(thing, set):
        return [(None, value, True) for value in list(thing)]
    return [(i, value, True) for i, value in enumerate(list(thing))]


def read_all(value: Any, seen: set[int] | None = None) -> Any:
    """Note that all of a value is read, with all that it holds; return what it really is."""
    thing = unwrap(value)
    seen = set() if seen is None else seen
    kind = type(thing)
    if is_tuple(kind):  # it may be one with proxies in it
        return remade(thing, [read_all(each, seen) for each in thing])
    if id(thing) in seen:
        return thing
    if kind in PROXIES:
        seen.add(id(thing))
        for key, each, item in _read(thing):
            read_all(found(thing, key, each, item=item), seen)
    elif hasattr(kind, "__gofer_read__"):  # a model, which is looked into by code in C
        seen.add(id(thing))
        thing.__gofer_read__(seen)
    return thing


def _copied(stands: Any) -> Any:
    thing = _real_of(stands)
    _read(thing)  # not what is inside: the copy holds the same
    return copy.copy(thing)


def _common(kind: type) -> dict[str, Any]:
    """Return what all proxies have."""

    def make(_: type, /, *args: Any, **kwargs: Any) -> Any:
        return kind(*args, **kwargs)

    return {
        "__slots__": (),
        "__new__": make,
        "__class__": property(lambda _: kind),
        "__dir__": lambda stands: dir(_real_of(stands)),
        "__copy__": _copied,
        "__deepcopy__": lambda stands, memo: copy.deepcopy(read_all(stands), memo),
        "__reduce_ex__": lambda stands, protocol: read_all(stands).__reduce_ex__(protocol),
    }


def _container_proxy(kind: type) -> type:
    def get(stands: Any, name: str) -> Any:  # such as ``maxlen``; methods are found before
        return getattr(_real_of(stands), name)

    def put(stands: Any, name: str, value: Any) -> None:
        setattr(_real_of(stands), name, value)

    space = {"__getattr__": get, "__setattr__": put, **_common(kind)}
    space.update(Stand(_real_of, unwrap, real, found).methods(kind, kind))
    made = type(kind.__name__, (Proxy,), space)
    for pattern, bases in ((MutableMapping, dict), (MutableSequence, (list, deque))):
        if issubclass(kind, bases):
            pattern.register(made)  # for ``match``
    return made


def _namespace_proxy() -> type:
    def get(stands: Any, name: str) -> Any:
        if name == "__dict__":
            return vars(_real_of(stands))
        if is_dunder(name):
            return object.__getattribute__(stands, name)
        space = _real_of(stands)
        note(space, name, item=False, write=False)
        return found(space, name, getattr(space, name), item=False)

    def put(stands: Any, name: str, value: Any) -> None:
        space, value = _real_of(stands), real(value)
        about_to_write(space, name)
        setattr(space, name, value)
        note(space, name, item=False, write=True)
        found(space, name, value, item=False)

    def drop(stands: Any, name: str) -> None:
        delattr(_real_of(stands), name)
        note(_real_of(stands), name, item=False, write=True)

    space: dict[str, Any] = {
        "__getattribute__": get,
        "__setattr__": put,
        "__delattr__": drop,
        "__hash__": None,
    }
    space["__repr__"] = lambda stands: repr(read_all(stands))
    space["__eq__"] = lambda stands, other: (
        read_all(stands) == (read_all(other) if issubclass(type(other), Proxy) else other)
    )
    return type("SimpleNamespace", (Proxy,), {**_common(SimpleNamespace), **space})


PROXIES: dict[type, type] = {kind: _container_proxy(kind) for kind in BUILT_IN}
PROXIES[SimpleNamespace] = _namespace_proxy()


# -- json

_default = JSONEncoder.default


def see_through_proxies(more: int) -> None:
    """Let json write proxies: its encoder in C asks for the very type, and then for a default."""
    global _runs  # noqa: PLW0603
    with _lock:
        _runs += more
        if not _runs:
            JSONEncoder.default = _default  # type: ignore[method-assign]
        elif _runs == more:
            JSONEncoder.default = _default_of  # type: ignore[method-assign]


def _default_of(self: JSONEncoder, o: Any) -> Any:
    is_container = type(o) in PROXIES.values() and not isinstance(o, SimpleNamespace)
    return read_all(o) if is_container else _default(self, o)
