"""A param in another process is a copy: it can be read, and a write to it is an error.

A write to an attribute is refused where it happens: the copy has another class while a job runs.
What that does not see (``param.rows.append(x)``, a dict as param) is found when the job has ended,
by comparing what the param pickles to.
"""

from __future__ import annotations

import pickle
from functools import cached_property

from gofer.backends._parcels import shown_key
from gofer.errors import ParamIsCopy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_PLAIN = (type(None), bool, int, float, complex, str, bytes, frozenset)
_VALUES = frozenset({"datetime", "decimal", "fractions", "ipaddress", "pathlib", "uuid"})
"""Modules of values that nobody can change. To read a path writes to it: it keeps what it knows."""


class Copy:
    """A param that has arrived; it serves any number of jobs, one after the other.

    Attributes:
        param: What jobs get.
        job: Who gets it, for messages.
    """

    def __init__(self, param: Any) -> None:
        self.param = param
        self._class = type(param)
        plain = isinstance(param, _PLAIN) or self._class.__module__.partition(".")[0] in _VALUES
        self._guarded = None if plain else _guarded(self._class)
        self._before: dict[str | tuple[Any], int] | None = None if plain else _prints(param)
        self.job = ""

    def lend(self) -> Any:
        """Return the param for a job."""
        self._refused: str | None = None
        if self._guarded is not None:
            try:
                _set_class(self.param, self._guarded)
                _lent[id(self.param)] = self
            except TypeError:  # its layout does not allow it
                self._guarded = None
        return self.param

    def take_back(self) -> str | None:
        """Note that the job has ended; return what it has written to, such as ``param.rows``."""
        if self._guarded is not None and _lent.pop(id(self.param), None) is not None:
            _set_class(self.param, self._class)
        if self._refused is not None:
            return self._refused
        if self._before is not None:
            after = _prints(self.param) or {}
            for name in {**self._before, **after}:
                if self._before.get(name) != after.get(name) and not self._is_cache(name):
                    return f"param{name if isinstance(name, str) else shown_key(*name)}"
        return None

    def refuse(self, name: str) -> NoReturn:
        """Refuse a write, and remember it: the job may not listen.

        Raises:
            ParamIsCopy: Always.
        """
        self._refused = f"param.{name}"
        raise ParamIsCopy(self.job, self._refused)

    def _is_cache(self, name: str | tuple[Any]) -> bool:
        """Return whether an attribute is the value of a ``cached_property``: to read it writes."""
        return isinstance(name, str) and isinstance(
            getattr(self._class, name.removeprefix("."), None), cached_property
        )


_lent: dict[int, Copy] = {}
_classes: dict[type, Any] = {}
_set_class: Any = object.__dict__["__class__"].__set__


def _guarded(kind: Any) -> Any:
    """Return a class like this one whose objects refuse to be written; None if there can't be.

    Only those that are lent refuse: copies that a job makes are its own, and are of that class,
    or of its own: they are pickled and copied as what they were.
    """

    def write(param: Any, name: str, value: Any) -> None:
        if (copy := _lent.get(id(param))) is not None:
            copy.refuse(name)
        kind.__setattr__(param, name, value)

    def delete(param: Any, name: str) -> None:
        if (copy := _lent.get(id(param))) is not None:
            copy.refuse(name)
        kind.__delattr__(param, name)

    def reduce(param: Any, protocol: Any) -> Any:
        ours = type(param)
        _set_class(param, kind)
        try:
            return param.__reduce_ex__(protocol)
        finally:
            _set_class(param, ours)

    if kind not in _classes:
        body: dict[str, Any] = {
            "__setattr__": write,
            "__delattr__": delete,
            "__reduce_ex__": reduce,
        }
        body |= {"__slots__": (), "__class__": property(lambda _: kind)}
        body |= {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
        try:
            _classes[kind] = type(kind)(kind.__name__, (kind,), body)
        except Exception:  # final, or its metaclass wants something
            _classes[kind] = None
    return _classes[kind]


def _prints(param: Any) -> dict[str | tuple[Any], int] | None:
    """Return what each part of a param pickles to, as a hash; None where it does not pickle.

    Parts are ``".attribute"``, ``(key,)`` of a dict, or ``""``, which is all of it.
    """
    try:
        if isinstance(param, dict):
            return {(key,): hash(pickle.dumps(value, 5)) for key, value in param.items()}
        found = dict(getattr(param, "__dict__", None) or {})
        for each in type(param).__mro__:
            slots = each.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if hasattr(param, name):
                    found.setdefault(name, getattr(param, name))
        if not found or isinstance(param, (list, set, bytearray)):
            return {"": hash(pickle.dumps(param, 5))}
        return {f".{name}": hash(pickle.dumps(value, 5)) for name, value in found.items()}
    except Exception:
        return None
