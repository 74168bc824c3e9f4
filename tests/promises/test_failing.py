"""Promises 8, 9 and 12: which error comes out, as what, and with what to say."""

from __future__ import annotations

import functools
import traceback
from typing import Any

import pytest

from gofer import Cancelled, Context, JobManager, JobPanic


class Boom(Exception):
    """What jobs fail with."""


def functions(error: BaseException) -> list[str]:
    """Return the names of the functions in an error's traceback."""
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def notes(error: BaseException) -> str:
    """Return an error's notes as one text."""
    return "\n".join(getattr(error, "__notes__", []))


# 8. The first failure wins: it is recorded first, then everything else is cancelled, so a sibling's
#    cancellation error can never be the one that is raised (1,000 racing runs).


async def test_a_siblings_cancellation_error_is_never_the_one_raised(backend: Any) -> None:
    """Promise 8: in 1,000 races of a failure with what its cancellation causes, it wins."""

    async def turns_it_into_an_error(ctx: Context, barrier: Any) -> None:
        await barrier.wait()
        try:
            await backend.until_cancelled(ctx)
        except BaseException:
            raise RuntimeError("raised while being cancelled") from None

    async def fails(ctx: Context, barrier: Any) -> None:
        await barrier.wait()
        raise Boom

    async def lets_it_through(ctx: Context, barrier: Any) -> None:
        await barrier.wait()
        await backend.until_cancelled(ctx)

    manager = JobManager(map(backend.job, (turns_it_into_an_error, fails, lets_it_through)))
    raised = []
    for _ in range(1000):
        try:
            await backend.execute(manager, None, backend.Barrier(3))
        except BaseException as error:
            raised.append(type(error))

    assert raised == [Boom] * 1000


async def test_of_many_failures_at_once_the_first_recorded_is_the_one(backend: Any) -> None:
    """Promise 8: ``run.error`` heads ``run.errors``, stands in its record, and is raised."""

    async def fails(ctx: Context, barrier: Any) -> None:
        await barrier.wait()
        raise Boom

    manager = JobManager(backend.jobs(4, fails))
    for _ in range(100):
        run = await backend.execute(manager, None, backend.Barrier(4), check=False)
        failed = [record.error for record in run.records if record.state == "failed"]

        assert run.errors[0] is run.error
        assert set(map(id, run.errors)) == set(map(id, failed))
        assert len(run.errors) == len(failed)
        with pytest.raises(Boom) as caught:
            run.check()
        assert caught.value is run.error


async def test_an_error_raised_while_the_run_is_cancelled_does_not_replace_it(backend: Any) -> None:
    """Promise 8: a failure in a job's clean-up is kept, and the cancellation comes out."""

    async def cleans_up_badly(ctx: Context, cancel: Any) -> None:
        try:
            cancel("enough")
            await backend.until_cancelled(ctx)
        finally:
            raise Boom

    with Context() as ctx:
        manager = JobManager([backend.job(cleans_up_badly)])
        run = await backend.execute(manager, ctx, ctx.cancel, check=False)

    assert type(run.error) is Cancelled
    assert run.state == "cancelled"
    assert [type(error) for error in run.errors] == [Boom]
    with pytest.raises(Cancelled, match="enough"):
        run.check()


# 9. The caller gets the job's **own exception object**, with its own traceback, so `except
#    ConnectionError:` works as in plain code. A note (PEP 678) names the job, when it failed, and
#    what was cancelled or not started; later failures are named in the note and kept in the run.
#    Never a bare group around one error. An exception object that is raised again and again does
#    not collect notes.


async def test_the_caller_gets_the_jobs_own_exception_object(backend: Any) -> None:
    """Promise 9: the same object, with the job's own lines in its traceback, and as it was."""
    cause, error = KeyError("below"), ConnectionError("refused")

    def deep_inside() -> None:
        raise error from cause

    async def fails() -> None:
        deep_inside()

    with pytest.raises(ConnectionError) as caught:
        await backend.execute(JobManager([backend.job(fails)]))

    assert caught.value is error
    assert functions(error)[-2:] == ["fails", "deep_inside"]
    assert error.args == ("refused",)
    assert error.__cause__ is cause
    assert error.__context__ is None


async def test_an_error_keeps_its_context(backend: Any) -> None:
    """Promise 9: Gofer chains nothing of its own to a job's error, and takes nothing away."""

    async def fails() -> None:
        try:
            raise KeyError
        except KeyError:
            raise Boom  # noqa: B904

    with pytest.raises(Boom) as caught:
        await backend.execute(JobManager([backend.job(fails)]))

    assert type(caught.value.__context__) is KeyError
    assert caught.value.__context__.__context__ is None
    assert caught.value.__suppress_context__ is False


async def test_a_note_names_the_job_and_what_became_of_the_others(backend: Any) -> None:
    """Promise 9: one note: which job, when, what was cancelled, what not started."""
    barrier = backend.Barrier(2)

    async def finished() -> None:
        pass

    async def breaks() -> None:
        await barrier.wait()
        raise Boom

    async def interrupted(ctx: Context) -> None:
        await barrier.wait()
        await backend.until_cancelled(ctx)

    async def never() -> None:
        raise AssertionError("it needs a job that failed")

    needs_it = backend.job(never, after=["breaks"])
    manager = JobManager([*map(backend.job, (finished, breaks, interrupted)), needs_it])
    with pytest.raises(Boom) as caught:
        await backend.execute(manager)
    (note,) = caught.value.__notes__

    assert "'breaks'" in note
    assert any(char.isdigit() for char in note)  # seconds from the run's start
    assert note.index("cancelled") < note.index("interrupted")
    assert note.index("not started") < note.index("never")
    assert "finished" not in note


async def test_later_failures_are_named_in_the_note_and_kept(backend: Any) -> None:
    """Promise 9: the second error is not lost, though the first is the one that is raised."""
    barrier, late = backend.Barrier(2), RuntimeError("late")

    async def breaks() -> None:
        await barrier.wait()
        raise Boom

    async def clumsy(ctx: Context) -> None:
        try:
            await barrier.wait()
            await backend.until_cancelled(ctx)
        finally:
            raise late

    manager = JobManager([backend.job(clumsy), backend.job(breaks)])
    run = await backend.execute(manager, check=False)
    with pytest.raises(Boom):
        run.check()

    assert "'breaks'" in notes(run.error)
    assert "clumsy" in notes(run.error)
    assert run.errors == (run.error, late)
    assert run.record("clumsy").error is late


async def test_there_is_never_a_group_around_one_error(backend: Any) -> None:
    """Promise 9: 50 jobs are cancelled, and one plain error is raised."""
    barrier = backend.Barrier(51)

    async def other(ctx: Context) -> None:
        await barrier.wait()
        await backend.until_cancelled(ctx)

    async def breaks() -> None:
        await barrier.wait()
        raise Boom

    with pytest.raises(Boom) as caught:
        await backend.execute(JobManager([*backend.jobs(50, other), backend.job(breaks)]))

    assert type(caught.value) is Boom


async def test_an_exception_raised_again_and_again_collects_no_notes(backend: Any) -> None:
    """Promise 9: after 100 runs of two managers it has its own note and the latest of ours."""
    error = Boom()
    error.add_note("its own")

    async def fails() -> None:
        raise error

    managers = [JobManager([backend.job(fails, name=name)]) for name in ("odd", "even")]
    for i in range(100):
        with pytest.raises(Boom):
            await backend.execute(managers[i % 2])

    assert error.__notes__[0] == "its own"
    assert len(error.__notes__) == 2
    assert "'even'" in error.__notes__[1]


async def test_an_exception_raised_in_many_runs_at_once_collects_no_notes(backend: Any) -> None:
    """Promise 9: nor does it when the runs that share it end together."""
    error, barrier = Boom(), backend.Barrier(20)

    async def fails() -> None:
        await barrier.wait()
        raise error

    manager = JobManager([backend.job(fails, name="one"), backend.job(fails, name="two")])
    execute = functools.partial(backend.execute, manager, check=False)
    runs = await backend.together(*[execute] * 10)

    assert [run.error for run in runs] == [error] * 10
    assert len(error.__notes__) == 1


async def test_an_exception_group_of_a_job_stays_one_failure(backend: Any) -> None:
    """Promise 9: it is that job's own object, neither flattened nor wrapped."""
    group = ExceptionGroup("two things", [Boom(), ConnectionError()])

    async def fails() -> None:
        raise group

    run = await backend.execute(JobManager([backend.job(fails)]), check=False)
    with pytest.raises(ExceptionGroup) as caught:
        run.check()

    assert caught.value is group
    assert [type(error) for error in group.exceptions] == [Boom, ConnectionError]
    assert run.errors == (group,)


# 12. `fail_fast=False` runs all that does not depend on a failed job, then raises one
#     `ExceptionGroup` in the order of the jobs in the manager.


async def test_without_fail_fast_one_group_holds_all_errors_in_the_managers_order(
    backend: Any,
) -> None:
    """Promise 12: the order is the manager's, not the one in which they failed."""
    second, third = backend.Event(), backend.Event()
    ran: list[str] = []

    async def last() -> None:
        await third.wait()
        raise Boom("last")

    async def middle() -> None:
        await second.wait()
        third.set()
        raise SystemExit("middle")

    async def first() -> None:
        second.set()
        raise ConnectionError("first")

    async def needs_them() -> None:
        ran.append("needs_them")

    async def unrelated() -> None:
        await third.wait()

    async def dependent() -> None:
        ran.append("dependent")

    jobs = [
        backend.job(needs_them, after=["unrelated", "first"]),
        *map(backend.job, (last, middle, first, unrelated)),
        backend.job(dependent, after=["unrelated"]),
        backend.job(needs_them, name="needs_it", after=["needs_them"]),
    ]
    run = await backend.execute(JobManager(jobs, fail_fast=False), check=False)
    with pytest.raises(ExceptionGroup) as caught:
        run.check()
    errors = caught.value.exceptions

    assert [type(error) for error in errors] == [Boom, JobPanic, ConnectionError]
    assert [record.error for record in run.records if record.error] == list(errors)
    assert ran == ["dependent"]
    assert [run.record(name).state for name in ("needs_them", "needs_it")] == ["not started"] * 2
    assert [run.record(name).state for name in ("unrelated", "dependent")] == ["succeeded"] * 2
    assert run.errors[0] is errors[2]


async def test_without_fail_fast_nothing_is_cancelled(backend: Any) -> None:
    """Promise 12: 30 of 100 jobs fail before the others have begun; all the others end well."""
    failed = backend.Barrier(30)

    async def fails() -> None:
        await failed.wait()
        raise Boom

    async def works(ctx: Context) -> bool:
        await backend.sleep(0.01)
        return ctx.cancelled

    jobs = [*backend.jobs(30, fails), *(backend.job(works, name=f"w{i}") for i in range(70))]
    run = await backend.execute(JobManager(jobs, fail_fast=False), check=False)

    assert list(run.results.values()) == [False] * 70
    assert len(run.errors) == 30


async def test_the_group_can_be_caught_with_except_star(backend: Any) -> None:
    """Promise 12: and each error in it is the job's own object."""
    errors = [Boom("a"), Boom("b"), ConnectionError("c")]

    async def fails(ctx: Context, param: Any, *, error: BaseException) -> None:
        raise error

    jobs = []
    for i, error in enumerate(errors):
        jobs.append(backend.job(lambda error=error: error, name=f"error{i}"))
        jobs.append(backend.job(fails, name=f"job{i}", needs={"error": f"error{i}"}))
    booms: tuple[BaseException, ...] = ()
    refused: tuple[BaseException, ...] = ()
    try:
        await backend.execute(JobManager(jobs, fail_fast=False))
    except* Boom as group:
        booms = group.exceptions
    except* ConnectionError as group:
        refused = group.exceptions

    assert [*booms, *refused] == errors


async def test_without_fail_fast_a_run_without_failures_raises_nothing(backend: Any) -> None:
    """Promise 12: there is no empty group."""
    run = await backend.execute(JobManager(backend.jobs(5, lambda: 1), fail_fast=False))

    assert run.ok
