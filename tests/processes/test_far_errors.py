"""Exceptions of other processes: as data, and as exceptions again."""

from __future__ import annotations

import marshal
import traceback
from typing import Any

import failing_jobs as failing
import process_jobs as jobs
import pytest

from gofer.backends import _far_errors
from gofer.backends._far_errors import as_data, as_error
from gofer.errors import RemoteError


def there_and_back(error: BaseException) -> BaseException:
    """Send an error through ``marshal``, as workers do."""
    return as_error(marshal.loads(marshal.dumps(as_data(error))))


def raised(error: BaseException) -> BaseException:
    """Return an error that has a traceback."""
    try:
        raise error
    except BaseException as caught:
        return caught


def test_chains_of_errors_keep_their_shape() -> None:
    """Cause, context, and whether the context is shown."""
    try:
        failing.raise_from()
    except RuntimeError as error:
        far = there_and_back(error)
    assert isinstance(far.__cause__, LookupError)
    assert far.__context__ is far.__cause__
    assert far.__suppress_context__
    assert isinstance(far.__cause__.__context__, KeyError)
    assert not far.__cause__.__suppress_context__


def test_errors_that_hang_together_in_a_circle_travel() -> None:
    """Each once; a shared one stays one."""
    first, second, third = ValueError("1"), LookupError("2"), KeyError("3")
    first.__cause__, second.__cause__, third.__cause__ = second, third, first
    first.__context__ = third
    second.__context__ = third
    far = there_and_back(first)
    assert far.__cause__ is not None
    assert far.__cause__.__cause__ is far.__context__
    assert far.__context__ is not None
    assert far.__context__.__cause__ is far


def test_a_web_of_errors_does_not_grow_without_bounds() -> None:
    """Each of 200 errors has another cause than context: 2 to the 200 ways lead through them."""
    errors: list[Any] = [ValueError("0"), ValueError("1")]
    for i in range(2, 200):
        error = ValueError(str(i))
        error.__cause__, error.__context__ = errors[-1], errors[-2]
        errors.append(error)
    data = as_data(errors[-1])
    assert len(data) == _far_errors._MOST
    assert there_and_back(errors[-1]).args == ("199",)


def test_a_group_is_a_group_where_a_member_does_not_travel() -> None:
    """The others keep their types, their causes and their tracebacks."""
    one = raised(ValueError("one"))
    one.__cause__ = KeyError("why")
    group = raised(ExceptionGroup("outer", [one, ExceptionGroup("in", [failing.HoldsLock()])]))
    far = there_and_back(group)
    assert isinstance(far, ExceptionGroup)
    assert far.message == "outer"
    first, inner = far.exceptions
    assert isinstance(first, ValueError)
    assert isinstance(first.__cause__, KeyError)
    assert traceback.extract_tb(first.__traceback__)[-1].name == "raised"
    assert isinstance(inner, ExceptionGroup)
    assert isinstance(inner.exceptions[0], RemoteError)


def test_a_recursion_is_cut_in_the_middle() -> None:
    """The outermost and the innermost frames are there."""

    def deep(n: int) -> None:
        if n == 0:
            raise RecursionError("deep")
        deep(n - 1)

    try:
        deep(400)
    except RecursionError as error:
        far = there_and_back(error)
    frames = traceback.extract_tb(far.__traceback__)
    assert len(frames) == _far_errors._MOST_FRAMES
    assert frames[0].name.startswith("test_a_recursion")
    assert frames[-1].name == "deep"


def refuse(*_: object, **__: object) -> Any:
    """Be of no help."""
    raise SystemExit("hostile")


class BadStr(Exception):
    __str__ = __repr__ = refuse  # type: ignore[assignment]


class BadReduce(Exception):
    __reduce__ = __reduce_ex__ = refuse


class BadSet(Exception):
    __setattr__ = refuse  # type: ignore[assignment]


class BadNotes(Exception):
    __notes__ = property(refuse)  # type: ignore[assignment]


class BadCause(Exception):
    __cause__ = property(refuse)  # type: ignore[assignment]
    __context__ = property(refuse)  # type: ignore[assignment]


class BadState(Exception):
    def __setstate__(self, state: Any) -> None:
        refuse()


@pytest.mark.parametrize("kind", [BadStr, BadReduce, BadSet, BadNotes, BadCause, BadState])
def test_a_hostile_error_travels_or_is_stood_for(kind: Any) -> None:
    """It never breaks who sends it, nor who gets it."""
    error = raised(kind())
    error.__dict__["x"] = 1
    far = there_and_back(error)
    assert isinstance(far, (kind, RemoteError))
    assert traceback.extract_tb(far.__traceback__)[-1].name == "raised"


def test_notes_travel_also_with_a_stand_in() -> None:
    """Once."""
    for error in (ValueError("one"), failing.HoldsLock()):
        error.add_note("a note")
        assert there_and_back(error).__notes__ == ["a note"]


def test_an_error_with_a_large_buffer_keeps_its_type() -> None:
    """Its buffers go in the pickle: an error has no room beside it."""
    error = ValueError(jobs.Buffer(bytearray(1 << 17)))
    far = there_and_back(error)
    assert type(far) is ValueError
    assert len(far.args[0].data) == 1 << 17


def test_the_lines_of_a_far_traceback_are_those_of_the_source() -> None:
    """However a traceback is shown."""
    error = raised(ValueError("shown"))
    near, far = (traceback.format_exception(each) for each in (error, there_and_back(error)))
    strip = [line for line in "".join(near).splitlines() if set(line.strip()) - {"^", "~"}]
    assert [line for line in "".join(far).splitlines() if line] == strip
