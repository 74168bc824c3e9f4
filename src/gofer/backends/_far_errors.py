"""An exception that was raised in another process: as data, and as an exception again.

It keeps its type, its traceback (files, lines and functions, without the frames' variables), its
cause and its context. Where it cannot be rebuilt, a ``RemoteError`` stands for it.
"""

from __future__ import annotations

from types import TracebackType

from gofer.backends._parcels import pack
from gofer.errors import RemoteError, describe, traceback_of, with_traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Any

_MOST_FRAMES = 100  # of a recursion; the outermost and the innermost half
_DEEPEST = 20  # causes of causes


def as_data(error: BaseException, depth: int = 0) -> tuple[Any, ...]:
    """Return an exception as bytes, text and numbers, which ``marshal`` and all others can send."""
    try:
        payload = pack(error).data
    except Exception:
        payload = None
    deeper = depth < _DEEPEST
    cause, context = error.__cause__, error.__context__
    members = error.exceptions if isinstance(error, BaseExceptionGroup) and deeper else ()
    return (
        payload,
        type(error).__qualname__,
        describe(error),
        _places(traceback_of(error)),
        as_data(cause, depth + 1) if cause is not None and deeper else None,
        as_data(context, depth + 1)
        if context is not None and context is not cause and deeper
        else None,
        error.__suppress_context__,
        tuple([as_data(each, depth + 1) for each in members]),
    )


def as_error(data: tuple[Any, ...]) -> BaseException:
    """Return an exception from what ``as_data`` made of it."""
    payload, name, text, places, cause, context, suppress, members = data
    error = _rebuilt(payload)
    if error is None:
        error = RemoteError(name, text)
    with_traceback(error, _traceback(places))
    if cause is not None:
        error.__cause__ = as_error(cause)
    if context is not None:
        error.__context__ = as_error(context)
    error.__suppress_context__ = suppress
    for each, member in zip(getattr(error, "exceptions", ()), members, strict=False):
        with_traceback(each, _traceback(member[3]))
    return error


def _rebuilt(payload: bytes | None) -> BaseException | None:
    from pickle import loads

    try:
        error = None if payload is None else loads(payload)
    except Exception:
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


def _without_columns(code: CodeType) -> CodeType:
    """Return code that knows no columns: those of this module's source would be shown as theirs.

    Source: CPython's Objects/locations.md; entries of kind 13 have a line and no columns.
    """
    units, table = len(code.co_code) // 2, bytearray()
    while units > 0:
        covered = min(units, 8)
        table += bytes([0x80 | 13 << 3 | covered - 1, 0])
        units -= covered
    return code.replace(co_linetable=bytes(table))


_raises = _without_columns(
    compile(
        "raise __import__('gofer.backends._far_errors', None, None, ['_Stop'])._Stop", "", "exec"
    )
)
