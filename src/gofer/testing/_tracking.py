"""Objects that tell what is done to them, for the time of a run.

An object's class is swapped for a subclass of it, so the object stays what it is: the same object,
of the same class to ``isinstance`` and ``__class__``. Where Python refuses that, there are proxies.
"""

from __future__ import annotations

import copy
import re
import sys
import threading
from collections import Counter, UserDict, UserList
from enum import Enum
from types import MemberDescriptorType, ModuleType

from gofer.testing._accesses import ACTOR, about_to_write, note, spellings, spelt
from gofer.testing._containers import Stand, base_of
from gofer.testing._proxies import (
    LEAVE,
    LOOK_INSIDE,
    PROXIES,
    PROXY,
    SWAP,
    Proxy,
    found,
    is_dunder,
    is_tuple,
    proxy_of,
    read_all,
    real,
    remade,
    see_through_proxies,
    unwrap,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType
    from typing import Any

_HEAP_TYPE = 1 << 9
_MISSING = object()
_OF_STDLIB = (Counter, UserDict, UserList)
_MARKS = ("__dataclass_fields__", "__attrs_attrs__", "__pydantic_fields__")
_COPIERS = re.compile(r"dataclasses$|attr\.")
_SHALLOW = re.compile(r"replace|evolve|assoc")
_set_class = object.__dict__["__class__"].__set__

_lock = threading.RLock()  # guards what follows, and the making of classes
_swapped: dict[int, list[Any]] = {}  # id -> [object, its class, how many runs track it]


# -- subclasses


def _declared(kind: type, name: str) -> Any:
    """Return what a class has under a name, as it is, or ``_MISSING``."""
    return next((vars(each)[name] for each in kind.__mro__ if name in vars(each)), _MISSING)


def _is_data(kind: type, name: str, thing: Any) -> bool:
    """Return whether a name is that of data in an object, not of a method or a property.

    What a property does with the object is seen by itself; other descriptors may keep their value
    in the object, under their own name.
    """
    if is_dunder(name):
        return False
    declared = _declared(kind, name)
    if type(declared) is MemberDescriptorType or not hasattr(type(declared), "__get__"):
        return True
    return not isinstance(declared, property) and name in getattr(thing, "__dict__", ())


def _inherited(kind: Any) -> dict[str, Any]:
    """Return the methods of a tracking subclass that depend on what its class is made of."""
    space: dict[str, Any] = {}
    if hasattr(kind, "__pydantic_fields__"):
        space["__gofer_read__"] = _read_fields
    base = base_of(kind)
    if base is not None:
        space.update(Stand(lambda self: self, unwrap, real, found).methods(kind, base))
    return space


def _tracking(kind: Any, watch: Watch) -> type:
    """Make the subclass of a class that its tracked instances have."""
    get, put, drop = kind.__getattribute__, kind.__setattr__, kind.__delattr__

    def getattribute(self: Any, name: str) -> Any:
        if ACTOR.get() is None:
            return get(self, name)
        caller = sys._getframe(1)
        if is_dunder(name):
            _before_dunder(self, name, caller.f_code.co_name)
            return get(self, name)
        is_data = _is_data(kind, name, self)
        if is_data:  # before: a missing one has been asked for, too
            note(self, name, item=False, write=False)
        value = get(self, name)
        if not is_data and not _is_data(kind, name, self):  # now it is, if it has been cached
            return value
        return _handed_to(caller, found(self, name, value, item=False))

    def setattribute(self: Any, name: str, value: Any) -> None:
        value = real(value)
        if _is_data(kind, name, self):
            about_to_write(self, name)
        put(self, name, value)
        if _is_data(kind, name, self):
            note(self, name, item=False, write=True)
            found(self, name, value, item=False)

    def delattribute(self: Any, name: str) -> None:
        is_data = _is_data(kind, name, self)
        drop(self, name)
        if is_data:
            note(self, name, item=False, write=True)

    space = _inherited(kind)
    space.update(
        {
            "__slots__": (),
            "__module__": kind.__module__,
            "__qualname__": kind.__qualname__,
            "__doc__": kind.__doc__,
            "__class__": property(lambda _: kind, _set_class),
            "__getattribute__": getattribute,
            "__setattr__": setattribute,
            "__delattr__": delattribute,
            "__gofer_kind__": kind,
            **_making(kind, watch),
        }
    )
    return _subclass(kind, space)


def _handed_to(caller: FrameType, value: Any) -> Any:
    """Return a value for who has asked for it: some functions look for the very types."""
    if not _COPIERS.match(caller.f_globals.get("__name__") or ""):
        return value
    return unwrap(value) if _SHALLOW.search(caller.f_code.co_name) else read_all(value)


def _before_dunder(thing: Any, name: str, caller: str) -> None:
    """Note what will be read by code in C, which looks into an object by itself."""
    if name == "__pydantic_serializer__" or (name == "__dict__" and caller == "__eq__"):
        _read_fields(thing)


def _read_fields(thing: Any, seen: set[int] | None = None) -> None:
    """Note that all attributes of an object are read, with all that they hold."""
    for name in list(object.__getattribute__(thing, "__dict__")):
        read_all(getattr(thing, name), seen)


def _making(kind: Any, watch: Watch) -> dict[str, Any]:
    """Return how instances are made and copied: those of the class itself are wanted."""
    new, reduce = kind.__new__, kind.__reduce_ex__
    slots = [
        name
        for each in kind.__mro__
        for name, value in vars(each).items()
        if type(value) is MemberDescriptorType
    ]

    def make(cls: type, /, *args: Any, **kwargs: Any) -> Any:
        made = new(cls) if new is object.__new__ else new(cls, *args, **kwargs)
        watch.swap(made)  # ``type(self)(...)``: to be given back its class with the others
        return made

    def reduced(self: Any, protocol: Any) -> Any:
        is_deep = sys._getframe(1).f_code is not copy.copy.__code__
        for name in [*getattr(self, "__dict__", ()), *slots]:
            value = getattr(self, name, None)
            if is_deep:
                read_all(value)
        told = reduce(self, protocol)
        if not isinstance(told, tuple):
            return told
        here = type(self)
        args = tuple(kind if each is here else each for each in told[1])
        return (kind if told[0] is here else told[0], args, *told[2:])

    return {"__new__": make, "__reduce_ex__": reduced}


def _standing_for(kind: Any) -> type:
    """Return a metaclass whose classes are equal to a class, and change that instead of themselves.

    So ``handlers[type(it)]`` finds the handler, and ``type(it).count += 1`` counts.
    """
    space: dict[str, Any] = {
        "__setattr__": lambda _, name, value: setattr(kind, name, value),
        "__delattr__": lambda _, name: delattr(kind, name),
        "__eq__": lambda own, other: other is own or other == kind,
        "__hash__": lambda _: hash(kind),
    }
    base: Any = type(kind)
    try:
        made: type = type(base)(base.__name__, (base,), space)
    except TypeError:  # one of which no other can be made
        return base  # type: ignore[no-any-return]
    return made


def _subclass(kind: Any, space: dict[str, Any]) -> type:
    """Make a subclass of which neither ``__init_subclass__`` nor a metaclass is told."""
    announces = type(kind.__init_subclass__) is not type(object.__init_subclass__)
    own = vars(kind).get("__init_subclass__", _MISSING)
    if announces:
        type.__setattr__(kind, "__init_subclass__", classmethod(lambda _, **__: None))
    try:
        made: type = type.__new__(_standing_for(kind), kind.__name__, (kind,), space)
        return made
    finally:
        if announces and own is _MISSING:
            type.__delattr__(kind, "__init_subclass__")
        elif announces:
            type.__setattr__(kind, "__init_subclass__", own)


# -- one run


class Watch:
    """All that is tracked for one run.

    Args:
        opaque: Paths and types of what is not looked into.

    Thread safety: values may be taken by any thread; proxies are made once by an atomic operation
    of a dict, classes and swaps are made under one lock.
    """

    def __init__(self, opaque: Iterable[str | type]) -> None:
        given = list(opaque)
        self._paths = {spelt(each) for each in given if isinstance(each, str)}
        self._types = tuple(each for each in given if not isinstance(each, str))
        self._ways: dict[type, int] = {}
        self._proxies: dict[int, Any] = {}
        self._classes: dict[type, type] = {}
        self._mine: dict[int, Any] = {}
        self._is_open = True
        see_through_proxies(1)

    def take(self, value: Any, path: str, *, root: bool = False) -> Any:
        """Track a value; return it, or a proxy for it."""
        value = unwrap(value)
        if not self._is_open:  # an abandoned job goes on
            return value
        way = self.way(type(value), root=root)
        if self._paths and not self._paths.isdisjoint(spellings(path)):
            return value
        if way == PROXY:
            made = self._proxies.get(id(value))
            if made is None:
                made = self._proxies.setdefault(id(value), proxy_of(value))
            return made
        if way == SWAP:
            self.swap(value)
        elif way == LOOK_INSIDE:
            return self._looked_into(value)
        return value

    def _looked_into(self, value: Any) -> Any:
        """Return a tuple, or one like it with proxies for the containers that it holds."""
        made = self._proxies.get(id(value))  # whoever found the tuple has noted it, so it stays
        if made is None:
            names = getattr(value, "_fields", None)
            keys = range(len(value)) if names is None else names
            parts = zip(keys, value, strict=True)
            inside = [found(value, key, each, item=names is None) for key, each in parts]
            made = remade(value, inside)
            made = self._proxies.setdefault(id(value), made)
        return made

    def known(self, value: Any) -> Any:
        """Return the proxy for a value, if there is one already; else the value."""
        return self._proxies.get(id(value), value)

    def way(self, kind: type, *, root: bool = False) -> int:
        """Return how values of a class are tracked."""
        way = self._ways.get(kind)
        if way is None or (root and way == LEAVE):
            way = self._ways[kind] = self._decided(kind, root)
        return way

    def _decided(self, kind: Any, root: bool) -> int:
        if issubclass(kind, self._types):
            return LEAVE
        if kind in PROXIES or issubclass(kind, Proxy):
            return PROXY
        if "__gofer_kind__" in vars(kind):
            return SWAP
        if is_tuple(kind):
            return LOOK_INSIDE
        if not kind.__flags__ & _HEAP_TYPE or issubclass(kind, (type, Enum, ModuleType)):
            return LEAVE
        if root or kind in _OF_STDLIB:
            return SWAP
        module = kind.__module__
        top = module.partition(".")[0]
        if top == "gofer" or (top in sys.stdlib_module_names and top != "__main__"):
            return LEAVE
        if any(hasattr(kind, mark) for mark in _MARKS):
            return SWAP
        # A class of a library, such as a client, guards its insides by means of its own.
        file = getattr(sys.modules.get(module), "__file__", None) or ""
        return LEAVE if "site-packages" in file else SWAP

    def swap(self, value: Any) -> None:
        """Give an object the subclass of its class that tracks it."""
        if id(value) in self._mine:
            return
        with _lock:
            if id(value) in self._mine or not self._is_open:  # an abandoned job goes on
                return
            kind = type(value)
            known = _swapped.get(id(value))
            if known is not None:
                known[2] += 1
            elif "__gofer_kind__" in vars(kind):  # made by a tracked one
                _swapped[id(value)] = [value, vars(kind)["__gofer_kind__"], 1]
            else:
                try:
                    if kind not in self._classes:
                        self._classes[kind] = _tracking(kind, self)
                    _set_class(value, self._classes[kind])
                except TypeError:  # a class that permits neither
                    self._ways[kind] = LEAVE
                    return
                _swapped[id(value)] = [value, kind, 1]
            self._mine[id(value)] = value

    def restore(self) -> None:
        """Give all objects their classes back that no other run tracks."""
        see_through_proxies(-1)
        with _lock:
            self._is_open = False
            for each in self._mine.values():
                known = _swapped[id(each)]
                known[2] -= 1
                if not known[2]:
                    del _swapped[id(each)]
                    if "__gofer_kind__" in vars(type(each)):  # else it has changed its class itself
                        _set_class(each, known[1])
            self._mine.clear()
            self._classes.clear()
            self._proxies.clear()
