"""Promises 8, 9, 11 and 15 where the error itself fights back.

A user's exception may raise out of anything that a library does with one: printing it, comparing
it, hashing it, adding a note, setting its traceback. Its job fails with that very object, its
siblings are cancelled, and the report is there, whatever it does.
"""

from __future__ import annotations

from typing import Any

import pytest

from gofer import Context, JobManager, JobPanic


class Refusal(BaseException):
    """What no ``except Exception`` stops."""


def refuse(*_: object, **__: object) -> Any:
    """Be hostile."""
    raise Refusal


class BadStr(Exception):
    __str__ = refuse


class StrGivesNoText(Exception):
    def __str__(self) -> Any:
        return None


class BadRepr(Exception):
    __repr__ = refuse


class BadBoth(Exception):
    __str__ = __repr__ = refuse


class BadEq(Exception):
    __eq__ = __ne__ = refuse
    __hash__ = Exception.__hash__


class BadHash(Exception):
    __hash__ = refuse


class Unhashable(Exception):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class BadNotes(Exception):
    __notes__ = property(refuse, refuse)


class NotesAreNoList(Exception):
    __notes__ = "text"


class BadAddNote(Exception):
    add_note = refuse


class BadTraceback(Exception):
    __traceback__ = property(refuse, refuse)
    with_traceback = refuse


class BadContext(Exception):
    __context__ = property(refuse, refuse)
    __cause__ = property(refuse, refuse)


class BadSetattr(Exception):
    __setattr__ = refuse


class BadBool(Exception):
    __bool__ = __len__ = refuse


class BadReduce(Exception):
    __reduce__ = __reduce_ex__ = __getstate__ = refuse


class BadPanic(BaseException):
    __str__ = __repr__ = __eq__ = __hash__ = refuse


HOSTILE = [
    BadStr,
    StrGivesNoText,
    BadRepr,
    BadBoth,
    BadEq,
    BadHash,
    Unhashable,
    BadNotes,
    NotesAreNoList,
    BadAddNote,
    BadTraceback,
    BadContext,
    BadSetattr,
    BadBool,
    BadReduce,
]
every_kind = pytest.mark.parametrize("kind", HOSTILE)


async def outcome(backend: Any, manager: JobManager, ctx: Context | None = None) -> Any:
    """Return what an execution raises, compared with nothing."""
    try:
        await backend.execute(manager, ctx)
    except BaseException as error:
        return error
    return None


def read_all(run: Any) -> None:
    """Ask a run for everything that it has to say."""
    assert (run.state, run.ok) in (("failed", False), ("cancelled", False))
    assert run.errors
    assert run.error is not None
    assert "fails" in str(run)
    assert repr(run)
    assert all(map(repr, run.records))
    assert "fails" not in run
    assert run.results is not None


@every_kind
async def test_a_hostile_error_comes_out_as_itself(
    backend: Any, log: Any, kind: type[Exception]
) -> None:
    """Promise 9: it is raised, announced and reported like any other; siblings are cancelled."""
    error, barrier = kind("text"), backend.Barrier(2)

    async def fails() -> None:
        await barrier.wait()
        raise error

    async def sibling(ctx: Context) -> None:
        await barrier.wait()
        await backend.until_cancelled(ctx)

    manager = JobManager([backend.job(sibling), backend.job(fails)])
    raised = await outcome(backend, manager)

    assert raised is error
    assert "'fails'" in log.messages[0]
    assert kind.__name__ in log.messages[0]


@every_kind
async def test_the_report_of_a_hostile_error_can_be_read(
    backend: Any, kind: type[Exception]
) -> None:
    """Promise 19: records, texts and states are there, and ``check`` raises the object."""
    error = kind("text")

    async def fails() -> None:
        raise error

    run = await backend.execute(JobManager([backend.job(fails)]), check=False)
    read_all(run)
    raised = None
    try:
        run.check()
    except BaseException as caught:
        raised = caught

    assert raised is error
    assert run.error is error
    assert run.record("fails").error is error


@every_kind
async def test_a_hostile_error_during_a_cancellation_harms_nothing(
    backend: Any, kind: type[Exception]
) -> None:
    """Promise 8: raised while the run is already cancelled, it is kept and does no more."""
    error = kind("text")

    async def fails(ctx: Context) -> None:
        try:
            ours.cancel("enough")
            await backend.until_cancelled(ctx)
        finally:
            raise error

    with Context() as ours:
        run = await backend.execute(JobManager([backend.job(fails)]), ours, check=False)
    read_all(run)

    assert run.state == "cancelled"
    assert run.errors[0] is error


@every_kind
async def test_hostile_errors_of_several_jobs_are_told_apart(
    backend: Any, kind: type[Exception]
) -> None:
    """Promise 12: each job keeps its own object in the group, in the manager's order."""
    errors = [kind("text") for _ in range(3)]
    barrier = backend.Barrier(3)

    async def fails(ctx: Context, param: None, *, number: int) -> None:
        try:
            await barrier.wait()
        finally:  # also where the first of them has cancelled this one
            raise errors[number]

    jobs = []
    for i in range(3):
        jobs.append(backend.job(lambda i=i: i, name=f"number{i}"))
        jobs.append(backend.job(fails, name=f"fails{i}", needs={"number": f"number{i}"}))
    for fail_fast in (False, True):
        run = await backend.execute(JobManager(jobs, fail_fast=fail_fast), check=False)
        read_all_of_several(run)

        assert all(run.record(f"fails{i}").error is errors[i] for i in range(3))
        raised = None
        try:
            run.check()
        except Exception as caught:
            raised = caught
        if fail_fast:
            assert raised is run.errors[0]
        else:
            assert isinstance(raised, ExceptionGroup)
            assert list(map(id, raised.exceptions)) == list(map(id, errors))


def read_all_of_several(run: Any) -> None:
    """Ask a run with three failures for its texts."""
    assert run.state == "failed"
    assert len(run.errors) == 3
    assert "fails1" in str(run)
    assert run.critical_path


@every_kind
async def test_a_hostile_error_can_be_raised_in_many_runs(
    backend: Any, kind: type[Exception]
) -> None:
    """Promise 9: the same object, run after run, and nothing piles up in it."""
    error = kind("text")

    async def fails() -> None:
        raise error

    manager = JobManager([backend.job(fails)])
    for _ in range(5):
        raised = await outcome(backend, manager)

        assert raised is error
    if kind not in (BadNotes, NotesAreNoList, BadAddNote, BadSetattr):
        assert len(error.__notes__) == 1


async def test_a_hostile_panic_becomes_a_job_panic(backend: Any, log: Any) -> None:
    """Promise 10: the panic names the job and says that its cause cannot be printed."""
    panic = BadPanic()

    async def fails() -> None:
        raise panic

    error = await outcome(backend, JobManager([backend.job(fails)]))

    assert type(error) is JobPanic
    assert error.__cause__ is panic
    assert "'fails'" in str(error)
    assert "<unprintable BadPanic>" in str(error)
    assert "'fails'" in log.messages[0]


async def test_a_hostile_cause_of_a_cancellation_harms_nothing(backend: Any) -> None:
    """Promise 14: what ``cancel`` is given may be unprintable as well."""

    async def fails(ctx: Context) -> None:
        ours.cancel(cause)
        await backend.until_cancelled(ctx)

    for cause in (BadBoth(), BadEq(), BadTraceback(), BadBool(), Opaque()):
        with Context() as ours:
            run = await backend.execute(JobManager([backend.job(fails)]), ours, check=False)

        assert run.state == "cancelled"
        assert run.error is not None
        assert run.error.cause is cause
        assert str(run)
        assert str(run.error)


class Opaque:
    """Not an exception, and just as hostile."""

    __str__ = __repr__ = __eq__ = __hash__ = __bool__ = refuse  # type: ignore[assignment]
