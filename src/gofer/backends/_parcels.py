"""What travels to another process, and back: pickles, with their large buffers beside them.

Plain pickle does most. What it cannot do (lambdas, closures, what a notebook defines) cloudpickle
does, if it is installed. Large bytes and arrays are not copied into the pickle (protocol 5).
"""

from __future__ import annotations

import pickle

from gofer._signature import named
from gofer.backends._main_module import described, is_another
from gofer.errors import NotPicklable, describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

LARGE = 1 << 16
"""Bytes from which a buffer travels beside its pickle."""

_MOST = 1 << 30  # bytes of a pickle; marshal, which carries it, takes less than twice as much

_MAIN = b"__main__"
_BY_VALUE = b"cloudpickle"


class Parcel:
    """A pickle and the buffers beside it.

    Attributes:
        data: The pickle.
        buffers: In the order in which the pickle asks for them.
    """

    __slots__ = ("buffers", "data")

    def __init__(self, data: bytes, buffers: Sequence[Any] = ()) -> None:
        self.data, self.buffers = data, buffers

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self.data) + sum(memoryview(each).nbytes for each in self.buffers)

    @property
    def is_by_value(self) -> bool:
        """Whether a function in it travels with its code, not by its name alone."""
        return _BY_VALUE in self.data

    @property
    def print(self) -> tuple[bytes, ...]:
        """What is in it, to be compared: the pickle, and fingerprints of the buffers."""
        from hashlib import blake2b

        return self.data, *[blake2b(each, digest_size=16).digest() for each in self.buffers]

    def open(self) -> Any:
        """Return what is in it."""
        return pickle.loads(self.data, buffers=self.buffers)


class _Aside:
    """Bytes that are to travel beside the pickle; plain pickle would copy them."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> tuple[Any, tuple[Any]]:
        return type(self.value), (pickle.PickleBuffer(self.value),)


def aside(value: Any) -> Any:
    """Return what is to be packed in the place of a value: itself, unless it is large bytes."""
    if (type(value) is bytes or type(value) is bytearray) and len(value) >= LARGE:
        return _Aside(value)
    return value


def pack(thing: Any, *, by_value: bool = False) -> Parcel:
    """Pickle something.

    Raises:
        BaseException: It does not pickle, neither plainly nor by cloudpickle.
    """
    buffers: list[Any] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        try:
            view = buffer.raw()
        except BufferError:  # not contiguous
            return True
        if view.nbytes < LARGE:
            return True
        buffers.append(view)
        return False

    try:
        if not by_value:
            data = pickle.dumps(thing, 5, buffer_callback=keep)
            if _MAIN not in data or any(described()) or not _by_value():
                return _checked(data, buffers)
    except BaseException:  # what is pickled may raise anything
        if not _by_value():
            raise
    buffers.clear()
    return _checked(_by_value().dumps(thing, protocol=5, buffer_callback=keep), buffers)


def _checked(data: bytes, buffers: list[Any]) -> Parcel:
    if len(data) > _MOST:
        raise OverflowError(f"its pickle has more than {_MOST} bytes beside large buffers")
    return Parcel(data, buffers)


def _by_value() -> Any:
    """Return cloudpickle, or None where it is not installed."""
    if not _found:
        try:
            import cloudpickle
        except ImportError:
            cloudpickle = None
        _found.append(cloudpickle)
    return _found[0]


_found: list[Any] = []


def pack_for(job: str, what: str, thing: Any, *, by_value: bool = False) -> Parcel:
    """Pickle something that a job needs or gives.

    Args:
        job: Its name, for messages.
        what: What the thing is to it, such as ``its argument 'url'``.
        thing: The thing.
        by_value: Whether it must not travel by its name; this wants cloudpickle.

    Raises:
        NotPicklable: It does not pickle; the message says which part of it.
    """
    try:
        return pack(thing, by_value=by_value)
    except BaseException as error:
        path, part, why = _culprit(what, thing, error)
        hint = ""
        if _by_value() is None and _is_local(part):
            hint = "; cloudpickle could do it: pip install 'gofer[process]'"
        _drop_keys(error)
        raise NotPicklable(job, path, type(part).__name__, f"{describe(why)}{hint}") from error


def _drop_keys(error: BaseException) -> None:
    """Drop pickle's notes of Python 3.14, such as ``when serializing dict item 'KEY'``.

    They name keys, which may be secrets; and of what is nested too deeply there are thousands.
    """
    each: BaseException | None = error
    for _ in range(10):  # cloudpickle's error has pickle's as its cause
        if each is None:
            return
        notes = getattr(each, "__notes__", None)
        if isinstance(notes, list):
            notes[:] = [note for note in notes if not str(note).startswith("when serializing ")]
        each = each.__cause__ or each.__context__


def _is_local(part: Any) -> bool:
    """Return whether a function or class cannot be found by its name, so that cloudpickle helps."""
    return isinstance(part, type) or hasattr(part, "__code__")


def _culprit(path: str, thing: Any, error: BaseException) -> tuple[str, Any, BaseException]:
    """Return the innermost part that does not pickle: its path, itself, and why it does not."""
    for _ in range(20):
        for name, part in _parts_of(thing):
            try:
                pack(part)
            except BaseException as found:
                path, thing, error = f"{path}{name}", part, found
                break
        else:
            break
    return path, thing, error


def _parts_of(thing: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(thing, dict):
        for key, value in thing.items():
            yield shown_key(key), value
    elif isinstance(thing, (list, tuple)):
        for i, value in enumerate(thing):
            yield f"[{i}]", value
    elif hasattr(thing, "__code__"):
        names = thing.__code__.co_freevars
        for name, cell in zip(names, thing.__closure__ or (), strict=True):
            yield f", its variable {name!r}", cell.cell_contents
    else:
        found = dict(getattr(thing, "__dict__", None) or {})
        for each in type(thing).__mro__:
            slots: Iterable[str] = each.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if hasattr(thing, name):
                    found.setdefault(name, getattr(thing, name))
        for name, value in found.items():
            yield f".{name}", value


# Functions


class _OfJob:
    """Stands for the function of a job that can be found by its name: ``@job`` hides it there."""

    def __init__(self, job: Any) -> None:
        self.job = job

    def __reduce__(self) -> tuple[Callable[[Any], Any], tuple[Any]]:
        return _fn_of, (self.job,)


def _fn_of(job: Any) -> Any:
    return job.fn


def pack_function(job: str, fn: Any) -> Parcel:
    """Pickle what a job calls; by its name, where it can be found by it.

    Raises:
        NotPicklable: It does not pickle.
    """
    there = named(fn)
    if is_another(fn):
        return _pack_anew(job, fn)
    if there is not fn and is_found(fn):
        return pack_for(job, "its function", _OfJob(there))
    return pack_for(job, "its function", fn)


def _pack_anew(job: str, fn: Any) -> Parcel:
    """Pickle a function that the script has defined again: by value, as its name is another's."""
    if _by_value() is None:
        raise NotPicklable(
            job,
            "its function",
            type(fn).__name__,
            "the script has defined it again, and workers know the first; give it another name, "
            "or: pip install 'gofer[process]'",
        )
    return pack_for(job, "its function", fn, by_value=True)


def is_found(fn: Any) -> bool:
    """Return whether a function is found by its name; perhaps in the job that ``@job`` made."""
    if is_another(fn):
        return False
    there = named(fn)
    return there is fn or (there is not None and getattr(there, "fn", None) is fn)


def shown_key(key: object) -> str:
    """Return ``[key]`` for messages: keys are data, unless they are words as names are."""
    is_name = type(key) is str and key.isidentifier() and len(key) <= 40
    return f"[{key!r}]" if is_name else f"[<{type(key).__name__}>]"
