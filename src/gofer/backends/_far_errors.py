"""An exception that was raised in another process: as data, and as an exception again.

It keeps its type, its traceback (files, lines and functions, without the frames' variables), its
cause and its context. Where it cannot be rebuilt, a ``RemoteError`` stands for it.
"""

from __future__ import annotations

import pickle
from types import TracebackType

from gofer.backends._parcels import pack
from gofer.errors import RemoteError, describe, traceback_of, with_traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Any

_MOST_FRAMES = 100  # of a recursion; the outermost and the innermost half
_MOST = 100  # errors that hang together: causes, contexts, members of groups


def as_data(error: BaseException) -> tuple[Any, ...]:
    """Return an exception as bytes, text and numbers, which ``marshal`` and all others can send.

    It is one entry for each error that hangs together with it, by their places; they may hang
    together in circles.
    """
    found: list[BaseException] = []
    places: dict[int, int] = {}

    def place(each: Any) -> int:
        if not isinstance(each, BaseException):
            return -1
        if id(each) not in places:
            if len(found) >= _MOST:
                return -1
            places[id(each)] = len(found)
            found.append(each)
        return places[id(each)]

    place(error)
    entries = []
    for each in found:  # it grows meanwhile
        members = _of(each, "exceptions", ()) if isinstance(each, BaseExceptionGroup) else ()
        entries.append(
            (
                None if members else _pickled(each),
                str.__str__(type(each).__qualname__),
                describe(each),
                describe(_of(each, "message", "")),
                _places(traceback_of(each)),
                place(_of(each, "__cause__", None)),
                place(_of(each, "__context__", None)),
                bool(_of(each, "__suppress_context__", False)),
                tuple([place(member) for member in members]),
                tuple([str.__str__(note) for note in _notes(each)]),
            )
        )
    return tuple(entries)


def _of(error: BaseException, name: str, default: Any) -> Any:
    """Return an attribute that every exception has, also of one that hides it."""
    try:
        return getattr(error, name)
    except BaseException:
        return default


def _notes(error: BaseException) -> list[str]:
    notes = _of(error, "__notes__", ())
    return [each for each in notes if isinstance(each, str)] if type(notes) is list else []


def _pickled(error: BaseException) -> bytes | None:
    try:
        parcel = pack(error)
        return parcel.data if not parcel.buffers else pickle.dumps(error, 5)
    except BaseException:  # what is pickled may raise anything
        return None


def as_error(data: tuple[Any, ...]) -> BaseException:
    """Return an exception from what ``as_data`` made of it."""
    errors: list[BaseException | None] = [None] * len(data)
    for i in reversed(range(len(data))):  # members stand behind their groups
        payload, name, text, message, places, _, _, _, members, notes = data[i]
        parts = [part for j in members if j > i and (part := errors[j]) is not None]
        error = _group(message, parts) if parts else _rebuilt(payload)
        if error is None:
            error = RemoteError(name, text)
        errors[i] = with_traceback(error, _traceback(places))
        for note in notes:
            if note not in _notes(error):
                BaseException.add_note(error, note)
    for error, entry in zip(errors, data, strict=True):
        cause, context, suppress = entry[5:8]
        assert error is not None  # the loop above made all
        if cause >= 0:
            _set(error, "__cause__", errors[cause])
        if context >= 0:
            _set(error, "__context__", errors[context])
        _set(error, "__suppress_context__", suppress)
    assert errors[0] is not None  # it is there
    return errors[0]


def _group(message: str, parts: list[BaseException]) -> BaseException:
    return BaseExceptionGroup(message, parts)


def _set(error: BaseException, name: str, value: Any) -> None:
    """Set an attribute that every exception has, whatever its class says of that."""
    BaseException.__dict__[name].__set__(error, value)


def _rebuilt(payload: bytes | None) -> BaseException | None:
    try:
        error = None if payload is None else pickle.loads(payload)
    except BaseException:  # what is unpickled may raise anything
        return None
    return error if isinstance(error, BaseException) else None


def _places(trace: TracebackType | None) -> tuple[tuple[str, int, str], ...]:
    found = []
    while trace is not None:
        code = trace.tb_frame.f_code
        found.append((code.co_filename, trace.tb_lineno, code.co_name))
        trace = trace.tb_next
    if len(found) > _MOST_FRAMES:
        half = _MOST_FRAMES // 2
        found = found[:half] + found[-half:]
    return tuple(found)


def _traceback(places: tuple[tuple[str, int, str], ...]) -> TracebackType | None:
    trace: TracebackType | None = None
    for filename, line, name in reversed(places):
        trace = TracebackType(trace, _frame(filename, name), 0, line)
    return trace


def _frame(filename: str, name: str) -> FrameType:
    """Return a frame of a function of this name in this file, with no variables."""
    code = _raises.replace(co_filename=filename, co_name=name, co_qualname=name)
    try:
        exec(code, {"__name__": name})
    except _Stop as stop:
        trace = stop.__traceback__
        assert trace is not None  # it was raised
        inner = trace.tb_next
        assert inner is not None  # in another frame than this one
        return inner.tb_frame
    raise AssertionError("unreachable: the code raises")


class _Stop(Exception):
    pass


def _without_places(code: CodeType) -> CodeType:
    """Return code that knows no places: those of this module's source would be shown as theirs.

    Then those who show a traceback take the line that it has itself.
    Source: CPython's Objects/locations.md; entries of kind 15 have neither line nor columns.
    """
    units, table = len(code.co_code) // 2, bytearray()
    while units > 0:
        covered = min(units, 8)
        table.append(0x80 | 15 << 3 | covered - 1)
        units -= covered
    return code.replace(co_linetable=bytes(table))


_raises = _without_places(
    compile(
        "raise __import__('gofer.backends._far_errors', None, None, ['_Stop'])._Stop", "", "exec"
    )
)
