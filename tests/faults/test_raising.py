"""Rows 1 to 9: whatever a job raises, the run ends with it, and the next one works."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from gofer import Cancelled, Context, JobManager, JobPanic

from .modes import Mode

BUILTIN = sorted(
    {
        each
        for each in vars(builtins).values()
        if isinstance(each, type) and issubclass(each, BaseException)
    },
    key=lambda kind: kind.__name__,
)
ARGUMENTS: dict[type[BaseException], tuple[Any, ...]] = {
    UnicodeDecodeError: ("utf-8", b"\xff", 0, 1, "no"),
    UnicodeEncodeError: ("ascii", "\xff", 0, 1, "no"),
    UnicodeTranslateError: ("\xff", 0, 1, "no"),
    BaseExceptionGroup: ("some", [SystemExit(3)]),
    ExceptionGroup: ("some", [KeyError("k"), OSError(5, "no")]),
}


class Unusual(BaseException):
    """Neither an exception nor anything that Python knows."""


def made(kind: type[BaseException]) -> BaseException:
    """Make an error of a kind."""
    return kind(*ARGUMENTS.get(kind, ("said",)))


def outcome(mode: Mode, fails: Any, **options: Any) -> tuple[BaseException, list[str]]:
    """Return what a run of a job that fails raises, and what became of it and its dependent."""
    jobs = [mode.job(fails, name="fails"), mode.job(returns_one, name="after", after=["fails"])]
    manager = JobManager(jobs, **options)
    try:
        run = mode.execute(manager, check=False)
        run.check()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            return error, ["cancelled", "not started"]
        return error, [record.state for record in run.records]
    raise AssertionError("it raised nothing")


def returns_one() -> int:
    """Work."""
    return 1


@pytest.mark.parametrize("kind", [*BUILTIN, Unusual], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("fail_fast", [True, False])
def test_each_kind_of_base_exception_is_a_failure_of_its_job(
    mode: Mode, kind: type[BaseException], fail_fast: bool
) -> None:
    """Its own object comes out, a panic as JobPanic; the process goes on, whatever it was."""
    error = made(kind)

    def fails() -> None:
        raise error

    raised, states = outcome(mode, fails, fail_fast=fail_fast)

    if kind is KeyboardInterrupt:
        assert raised is error
        return
    assert states == ["failed", "not started"]
    if not fail_fast:
        assert type(raised) is ExceptionGroup
        (raised,) = raised.exceptions
    if kind is StopIteration and mode.is_async:
        assert type(raised) is RuntimeError  # Python's own doing, see PEP 479
        assert raised.__cause__ is error
    elif issubclass(kind, Exception) and kind not in (StopIteration, StopAsyncIteration):
        assert raised is error
    else:
        assert type(raised) is JobPanic
        assert raised.__cause__ is error
    assert mode.execute(JobManager([mode.job(returns_one)]))["returns_one"] == 1


def recurse() -> int:
    """Call itself until Python has enough."""
    return 1 + recurse()


def too_large() -> object:
    """Ask for more memory than any machine has."""
    return bytearray(1 << 60)


def too_many() -> object:
    """The same, where the number does not even fit."""
    return [None] * (1 << 62)


@pytest.mark.parametrize(
    ("fails", "kind"),
    [(recurse, RecursionError), (too_large, MemoryError), (too_many, MemoryError)],
)
def test_what_python_itself_raises_is_a_failure_like_any(
    mode: Mode, fails: Any, kind: type[Exception]
) -> None:
    """The recursion limit and memory that is not there: the run ends, and the next one works."""
    for _ in range(3):
        raised, states = outcome(mode, fails)

        assert type(raised) is kind
        assert states == ["failed", "not started"]
        assert "job 'fails' failed" in raised.__notes__[0]
    assert mode.execute(JobManager([mode.job(returns_one)]))["returns_one"] == 1


def test_an_error_deep_in_a_recursion_has_its_whole_traceback(mode: Mode) -> None:
    """900 frames below the job's own neither lengthen it by Gofer's nor overflow anything."""

    def dive(depth: int) -> None:
        if depth == 0:
            raise ValueError("at the ground")
        dive(depth - 1)

    raised, _ = outcome(mode, lambda: dive(700))
    depth, trace = 0, raised.__traceback__
    while trace is not None:
        depth, trace = depth + (trace.tb_frame.f_code is dive.__code__), trace.tb_next

    assert depth == 701


def test_a_failure_that_is_caught_by_its_job_is_none(mode: Mode) -> None:
    """What a job gets over, a cancellation of something of its own included, is its business."""

    def gets_over(ctx: Context) -> int:
        child = ctx.child()
        child.cancel("enough")
        caught = 0
        for kind in BUILTIN:
            try:
                raise made(kind)
            except BaseException:
                caught += 1
        try:
            child.check()
        except Cancelled:
            caught += 1
        return caught

    run = mode.execute(JobManager([mode.job(gets_over)]))

    assert run["gets_over"] == len(BUILTIN) + 1
