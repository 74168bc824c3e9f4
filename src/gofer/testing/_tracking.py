"""Objects that tell what is done to them, for the time of a run.

An object's class is swapped for a subclass of it, so the object stays what it is: the same object,
of the same class to ``isinstance`` and ``__class__``. Where Python refuses that (built-in
containers, ``SimpleNamespace``), what is found in a param is a proxy, and the real one stays where
it is: whoever else has it has the same.
"""

from __future__ import annotations

import copy
import sys
import threading
from collections import Counter, UserDict, UserList, deque
from collections.abc import MutableMapping, MutableSequence
from enum import Enum
from json import JSONEncoder
from types import MemberDescriptorType, ModuleType, SimpleNamespace

from gofer.testing._accesses import ACTOR, WHOLE, note
from gofer.testing._containers import BUILT_IN, Stand, base_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_LEAVE, _SWAP, _PROXY, _LOOK_INSIDE = range(4)
_HEAP_TYPE = 1 << 9
_MISSING = object()
_OF_STDLIB = (Counter, UserDict, UserList)
_MARKS = ("__dataclass_fields__", "__attrs_attrs__", "__pydantic_fields__")
_set_class = object.__dict__["__class__"].__set__

_lock = threading.RLock()  # guards what follows, and the making of classes
_swapped: dict[int, list[Any]] = {}  # id -> [object, its class, how many runs track it]
_runs = 0


# -- proxies


class _Proxy:
    __slots__ = ("__weakref__", "_gofer_real")


_real_of = _Proxy.__dict__["_gofer_real"].__get__


def unwrap(value: Any) -> Any:
    """Return what a proxy stands for, and anything else as it is."""
    return _real_of(value) if issubclass(type(value), _Proxy) else value


def found(owner: object, key: Any, value: Any, *, item: bool) -> Any:
    """Track a value that a job has found in an object, or put into it.

    Returns:
        The value, or a proxy for it.
    """
    actor = ACTOR.get()
    if actor is None or actor.watch.way(type(value)) == _LEAVE:
        return value
    each: Any = actor
    while each is not None:
        path = each.find(owner, key, value, item=item)
        each = each.outer
    return actor.watch.take(value, path)


def _read_all(stands: Any) -> Any:
    """Note that all of what a proxy stands for is read, and return that."""
    real = _real_of(stands)
    if isinstance(real, SimpleNamespace):
        for name in vars(real):
            note(real, name, item=False, write=False)
    else:
        note(real, WHOLE, item=True, write=False)
    return real


def _common(kind: type) -> dict[str, Any]:
    """Return what all proxies have."""

    def make(_: type, /, *args: Any, **kwargs: Any) -> Any:
        return kind(*args, **kwargs)

    return {
        "__slots__": (),
        "__new__": make,
        "__class__": property(lambda _: kind),
        "__dir__": lambda stands: dir(_real_of(stands)),
        "__copy__": lambda stands: copy.copy(_read_all(stands)),
        "__deepcopy__": lambda stands, memo: copy.deepcopy(_read_all(stands), memo),
        "__reduce_ex__": lambda stands, protocol: _read_all(stands).__reduce_ex__(protocol),
    }


def _container_proxy(kind: type) -> type:
    def get(stands: Any, name: str) -> Any:  # such as ``maxlen``; methods are found before
        return getattr(_real_of(stands), name)

    def put(stands: Any, name: str, value: Any) -> None:
        setattr(_real_of(stands), name, value)

    space = {"__getattr__": get, "__setattr__": put, **_common(kind)}
    space.update(Stand(_real_of, unwrap, found).methods(kind, kind))
    made = type(kind.__name__, (_Proxy,), space)
    for pattern, bases in ((MutableMapping, dict), (MutableSequence, (list, deque))):
        if issubclass(kind, bases):
            pattern.register(made)  # for ``match``
    return made


def _namespace_proxy() -> type:
    def get(stands: Any, name: str) -> Any:
        if name == "__dict__":
            return vars(_real_of(stands))
        if _is_dunder(name):
            return object.__getattribute__(stands, name)
        real = _real_of(stands)
        note(real, name, item=False, write=False)
        return found(real, name, getattr(real, name), item=False)

    def put(stands: Any, name: str, value: Any) -> None:
        real, value = _real_of(stands), unwrap(value)
        setattr(real, name, value)
        note(real, name, item=False, write=True)
        found(real, name, value, item=False)

    def drop(stands: Any, name: str) -> None:
        delattr(_real_of(stands), name)
        note(_real_of(stands), name, item=False, write=True)

    space: dict[str, Any] = {
        "__getattribute__": get,
        "__setattr__": put,
        "__delattr__": drop,
        "__hash__": None,
    }
    space["__repr__"] = lambda stands: repr(_read_all(stands))
    space["__eq__"] = lambda stands, other: (
        _read_all(stands) == (_read_all(other) if issubclass(type(other), _Proxy) else other)
    )
    return type("SimpleNamespace", (_Proxy,), {**_common(SimpleNamespace), **space})


_PROXIES: dict[type, type] = {kind: _container_proxy(kind) for kind in BUILT_IN}
_PROXIES[SimpleNamespace] = _namespace_proxy()


# -- subclasses


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _declared(kind: type, name: str) -> Any:
    """Return what a class has under a name, as it is, or ``_MISSING``."""
    return next((vars(each)[name] for each in kind.__mro__ if name in vars(each)), _MISSING)


def _is_data(kind: type, name: str, thing: Any) -> bool:
    """Return whether a name is that of data in an object, not of a method or a property.

    What a property does with the object is seen by itself.
    """
    if _is_dunder(name):
        return False
    declared = _declared(kind, name)
    if type(declared) is MemberDescriptorType or not hasattr(type(declared), "__get__"):
        return True
    if hasattr(type(declared), "__set__"):
        return False
    return name in getattr(thing, "__dict__", ())


def _is_stored(kind: type, name: str) -> bool:
    """Return whether giving a value to a name puts it into the object, not through a property."""
    declared = type(_declared(kind, name))
    is_slot = declared is MemberDescriptorType
    return not _is_dunder(name) and (is_slot or not hasattr(declared, "__set__"))


def _tracking(kind: Any, watch: Watch) -> type:
    """Make the subclass of a class that its tracked instances have."""
    get, put, drop, new = kind.__getattribute__, kind.__setattr__, kind.__delattr__, kind.__new__
    reduce = kind.__reduce_ex__

    def getattribute(self: Any, name: str) -> Any:
        if ACTOR.get() is None or _is_dunder(name):
            return get(self, name)
        is_data = _is_data(kind, name, self)
        if is_data:  # before: a missing one has been asked for, too
            note(self, name, item=False, write=False)
        value = get(self, name)
        return found(self, name, value, item=False) if is_data else value

    def setattribute(self: Any, name: str, value: Any) -> None:
        value = unwrap(value)
        put(self, name, value)
        if _is_stored(kind, name):
            note(self, name, item=False, write=True)
            found(self, name, value, item=False)

    def delattribute(self: Any, name: str) -> None:
        drop(self, name)
        if _is_stored(kind, name):
            note(self, name, item=False, write=True)

    def make(cls: type, /, *args: Any, **kwargs: Any) -> Any:
        made = new(cls) if new is object.__new__ else new(cls, *args, **kwargs)
        watch.swap(made)  # ``type(self)(...)``: to be given back its class with the others
        return made

    def reduced(self: Any, protocol: Any) -> Any:
        told = reduce(self, protocol)
        if not isinstance(told, tuple):
            return told
        here = type(self)
        args = tuple(kind if each is here else each for each in told[1])
        return (kind if told[0] is here else told[0], args, *told[2:])

    space: dict[str, Any] = {}
    base = base_of(kind)
    if base is not None:
        space.update(Stand(lambda self: self, unwrap, found).methods(kind, base))
    space.update(
        {
            "__slots__": (),
            "__module__": kind.__module__,
            "__qualname__": kind.__qualname__,
            "__doc__": kind.__doc__,
            "__class__": property(lambda _: kind, _set_class),
            "__new__": make,
            "__getattribute__": getattribute,
            "__setattr__": setattribute,
            "__delattr__": delattribute,
            "__reduce_ex__": reduced,
            "__gofer_kind__": kind,
        }
    )
    return _subclass(kind, space)


def _subclass(kind: Any, space: dict[str, Any]) -> type:
    """Make a subclass of which neither ``__init_subclass__`` nor a metaclass is told."""
    announces = type(kind.__init_subclass__) is not type(object.__init_subclass__)
    own = vars(kind).get("__init_subclass__", _MISSING)
    if announces:
        type.__setattr__(kind, "__init_subclass__", classmethod(lambda _, **__: None))
    try:
        made: type = type.__new__(type(kind), kind.__name__, (kind,), space)
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
        self._paths = {each for each in given if isinstance(each, str)}
        self._types = tuple(each for each in given if not isinstance(each, str))
        self._ways: dict[type, int] = {}
        self._proxies: dict[int, Any] = {}
        self._classes: dict[type, type] = {}
        self._mine: dict[int, Any] = {}
        self._is_open = True
        _see_through_proxies(1)

    def take(self, value: Any, path: str, *, root: bool = False) -> Any:
        """Track a value; return it, or a proxy for it."""
        value = unwrap(value)
        way = self.way(type(value), root=root)
        if path.partition(".")[2] in self._paths or path in self._paths:
            return value
        if way == _PROXY:
            made = self._proxies.get(id(value))
            if made is None:
                made = object.__new__(_PROXIES[type(value)])
                _Proxy.__dict__["_gofer_real"].__set__(made, value)
                made = self._proxies.setdefault(id(value), made)
            return made
        if way == _SWAP:
            self.swap(value)
        elif way == _LOOK_INSIDE:
            for i, each in enumerate(value):
                found(value, i, each, item=True)
        return value

    def known(self, value: Any) -> Any:
        """Return the proxy for a value, if there is one already; else the value."""
        return self._proxies.get(id(value), value)

    def way(self, kind: type, *, root: bool = False) -> int:
        """Return how values of a class are tracked."""
        way = self._ways.get(kind)
        if way is None or (root and way == _LEAVE):
            way = self._ways[kind] = self._decided(kind, root)
        return way

    def _decided(self, kind: Any, root: bool) -> int:
        if issubclass(kind, self._types):
            return _LEAVE
        if kind in _PROXIES or issubclass(kind, _Proxy):
            return _PROXY
        if "__gofer_kind__" in vars(kind):
            return _SWAP
        if kind is tuple:
            return _LOOK_INSIDE
        if not kind.__flags__ & _HEAP_TYPE or issubclass(kind, (type, Enum, ModuleType)):
            return _LEAVE
        if root or kind in _OF_STDLIB:
            return _SWAP
        module = kind.__module__
        top = module.partition(".")[0]
        if top == "gofer" or (top in sys.stdlib_module_names and top != "__main__"):
            return _LEAVE
        if any(hasattr(kind, mark) for mark in _MARKS):
            return _SWAP
        # A class of a library, such as a client, guards its insides by means of its own.
        file = getattr(sys.modules.get(module), "__file__", None) or ""
        return _LEAVE if "site-packages" in file else _SWAP

    def swap(self, value: Any) -> None:
        """Give an object the subclass of its class that tracks it."""
        if id(value) in self._mine:
            return
        with _lock:
            if not self._is_open:  # an abandoned job goes on
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
                    self._ways[kind] = _LEAVE
                    return
                _swapped[id(value)] = [value, kind, 1]
            self._mine[id(value)] = value

    def restore(self) -> None:
        """Give all objects their classes back that no other run tracks."""
        _see_through_proxies(-1)
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
            self._proxies.clear()


_default = JSONEncoder.default


def _see_through_proxies(more: int) -> None:
    """Let json write proxies: its encoder in C asks for the very type, and then for a default."""
    global _runs  # noqa: PLW0603
    with _lock:
        _runs += more
        if not _runs:
            JSONEncoder.default = _default  # type: ignore[method-assign]
        elif _runs == more:
            JSONEncoder.default = _default_of  # type: ignore[method-assign]


def _default_of(self: JSONEncoder, o: Any) -> Any:
    is_container = type(o) in _PROXIES.values() and not isinstance(o, SimpleNamespace)
    return _read_all(o) if is_container else _default(self, o)
