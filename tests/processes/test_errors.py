"""An error at any step of a process job is that job's, and is told as what it is."""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path
from typing import Any

import failing_jobs as failing
import pages
import process_jobs as jobs
import pytest
import stopping_jobs as stopping

from gofer import Group, JobManager, JobPanic, Retry, job
from gofer.errors import NotPicklable, ParamIsCopy, RemoteError

STEPS = {
    # step: function, argument, the error's type, what its text has
    "pickling an argument": (
        jobs.take,
        lambda: {"rows": [failing.BadlyPickled(ValueError("no"))]},
        NotPicklable,
        ["'take[3]'", "its argument 0['rows'][0]", "BadlyPickled", "ValueError: no"],
    ),
    "pickling an argument, with a panic": (
        jobs.take,
        lambda: failing.BadlyPickled(SystemExit(3)),
        NotPicklable,
        ["'take[3]'", "its argument 0", "BadlyPickled", "SystemExit: 3"],
    ),
    "pickling the function": (
        failing.holder_of_a_lock().method,
        lambda: 1,
        NotPicklable,
        ["'method[3]'", "its function", "lock"],
    ),
    "unpickling": (jobs.take, failing.BadlyLoaded, ValueError, ["cannot be loaded"]),
    "running": (failing.raises, lambda: LookupError, LookupError, [""]),
    "pickling the result": (
        failing.give,
        lambda: failing.give_lock,
        NotPicklable,
        ["'give[3]'", "its result['rows'][1]", "lock"],
    ),
    "pickling the result, with a panic": (
        failing.give,
        lambda: failing.make_badly_pickled,
        NotPicklable,
        ["'give[3]'", "its result", "KeyboardInterrupt"],
    ),
    "pickling a result that is too deep": (
        failing.give,
        lambda: failing.make_deep,
        NotPicklable,
        ["'give[3]'", "its result[0][0]", "ecursion"],
    ),
    "unpickling the result": (
        failing.give,
        lambda: failing.BadlyLoaded,
        NotPicklable,
        ["'give[3]'", "its result", "ValueError: cannot be loaded"],
    ),
    "unpickling the result, with a panic": (
        failing.give,
        lambda: failing.PanicsWhenLoaded,
        NotPicklable,
        ["'give[3]'", "its result", "SystemExit"],
    ),
}


@pytest.mark.parametrize("step", STEPS)
def test_an_error_at_any_step_fails_exactly_that_job(
    backend: Any, step: str, tmp_path: Path
) -> None:
    """It names the job and the part; the others ran once; the worker and the pool go on."""
    fn, make, kind, texts = STEPS[step]
    with pytest.raises(ExceptionGroup) as caught:
        with Group(backend=backend, fail_fast=False) as group:
            before = [group.go(jobs.work, str(tmp_path), i) for i in range(3)]
            fails = group.go(fn, make())
            after = [group.go(jobs.work, str(tmp_path), i) for i in range(3, 6)]

    (error,) = caught.value.exceptions
    assert type(error) is kind
    assert error is fails.error
    for text in texts:
        assert text in str(error)
    assert [each.result() for each in [*before, *after]] == list(range(6))
    assert [jobs.runs_of(tmp_path, i) for i in range(6)] == [1] * 6
    with Group(backend=backend) as group:
        assert group.go(jobs.take, 7) is not None


def test_a_param_that_does_not_pickle_fails_the_job_that_takes_it(one: Any) -> None:
    """The message says which part of it; jobs that do not take it run."""
    param = pages.Page()
    param.names = {"client": failing.holder_of_a_lock()}  # type: ignore[dict-item]
    manager = JobManager([job(pages.read), job(jobs.pid)], fail_fast=False)
    run = manager.execute(None, param, backend=one, check=False)

    error = run.record("read").error
    assert isinstance(error, NotPicklable)
    assert (error.job, error.what, error.kind) == (
        "read",
        "the param.names['client'].lock",
        "lock",
    )
    assert run.record("pid").state == "succeeded"


def test_a_result_that_the_next_job_needs_may_be_of_the_parents_world_only(one: Any) -> None:
    """What a thread's job gives and a process's job needs is named as its argument."""
    manager = JobManager(
        [job(failing.give_lock, name="thing", backend="threads"), job(failing.needs_thing)]
    )
    with pytest.raises(NotPicklable, match=r"its argument 'thing'\['rows'\]\[1\]"):
        manager.execute(backend=one)


@pytest.mark.parametrize("fn", [failing.raises, failing.araises])
def test_an_exception_comes_back_as_itself(backend: Any, fn: Any) -> None:
    """Its type, its arguments and its traceback, down to the line; no frames of Gofer's."""
    with pytest.raises(KeyError) as caught:
        with Group(backend=backend) as group:
            group.go(fn, KeyError, "missing")

    assert caught.value.args == ("missing",)
    lines = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert lines[-1] == fn.__name__
    shown = "".join(traceback.format_exception(caught.value))
    assert "raise kind(*args)" in shown
    assert shown.count("failing_jobs.py") == 1
    assert "_far_worker.py" not in shown


def test_a_remote_traceback_is_shown_once(one: Any) -> None:
    """Cause and context come with it, each with its own lines, and nothing twice."""
    with pytest.raises(RuntimeError) as caught:
        JobManager([job(failing.raise_from)]).execute(backend=one)

    cause = caught.value.__cause__
    assert isinstance(cause, LookupError)
    assert isinstance(cause.__context__, KeyError)
    assert caught.value.__context__ is cause
    shown = "".join(traceback.format_exception(caught.value))
    for text in ("KeyError: 'missing'", "LookupError: not there", "RuntimeError: cannot go on"):
        assert shown.count(text) == 1
    assert shown.count("Traceback (most recent call last)") == 3


@pytest.mark.parametrize(
    ("kind", "args", "text"),
    [(failing.TwoArguments, ("one", "two"), "one and two"), (failing.HoldsLock, (), "has a lock")],
)
def test_an_exception_that_cannot_travel_keeps_name_text_and_traceback(
    backend: Any, kind: Any, args: Any, text: str
) -> None:
    """A ``RemoteError`` stands for it."""
    with pytest.raises(RemoteError) as caught:
        with Group(backend=backend) as group:
            group.go(failing.raises, kind, *args)

    assert caught.value.kind == kind.__qualname__
    assert str(caught.value) == f"{kind.__qualname__}: {text}"
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "raises"


@pytest.mark.parametrize("kind", [SystemExit, asyncio.CancelledError, GeneratorExit])
@pytest.mark.parametrize("fn", [failing.raises, failing.araises])
def test_a_panic_is_the_jobs_and_ends_neither_the_worker_nor_the_program(
    one: Any, kind: Any, fn: Any
) -> None:
    """With ``recover`` it becomes a ``JobPanic``; without, it comes out as it is."""
    before = JobManager([job(jobs.pid)]).execute(backend=one)["pid"]
    with pytest.raises(JobPanic) as caught:
        with Group(backend=one) as group:
            group.go(fn, kind, "out")
    assert type(caught.value.__cause__) is kind
    with pytest.raises(kind):
        with Group(backend=one, recover=False) as group:
            group.go(fn, kind, "out")
    assert JobManager([job(jobs.pid)]).execute(backend=one)["pid"] == before


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
def test_a_stop_iteration_is_a_panic_too(one: Any, kind: Any) -> None:
    """As in a thread."""
    with pytest.raises(JobPanic) as caught:
        JobManager([job(lambda: failing.raises(kind), name="stops")]).execute(backend=one)
    assert type(caught.value.__cause__) is kind


def test_a_keyboard_interrupt_of_a_job_stops_the_run(one: Any) -> None:
    """Without a signal: all is cancelled, then it comes out, also with ``check=False``."""
    manager = JobManager([job(lambda: failing.raises(KeyboardInterrupt), name="interrupts")])
    with pytest.raises(KeyboardInterrupt):
        manager.execute(backend=one, check=False)


def test_an_exception_group_of_a_job_is_one_failure(one: Any) -> None:
    """It is not flattened, ``except*`` works, and members that do not travel stand in for."""
    caught: list[Any] = []
    try:
        JobManager([job(failing.raise_group)]).execute(backend=one)
    except* ValueError as group:
        caught.append(group.exceptions)
    except* RemoteError as group:
        caught.append(group.exceptions)

    (values,), (remote,) = caught
    assert values.args == ("one",)
    assert "HoldsLock: has a lock" in str(remote.exceptions[0])


def test_a_job_that_returns_a_coroutine_by_mistake_says_so(one: Any) -> None:
    """It is closed in the worker."""
    from gofer.errors import NotAwaitedError

    with pytest.raises(NotAwaitedError, match="coroutine"):
        JobManager([job(lambda: jobs.apid(), name="forgot")]).execute(backend=one)


def test_fail_fast_stops_what_runs_and_starts_nothing_more(backend: Any, tmp_path: Path) -> None:
    """The running job is cancelled, its ``finally`` runs; the later one never starts."""
    fails = job(failing.fails_when_it_began, needs={"folder": "folder"})
    manager = JobManager(
        [
            job(lambda: str(tmp_path), name="folder", backend="threads"),
            job(stopping.wait, after=["folder"]),
            fails,
            job(jobs.pid, name="later", after=["fails_when_it_began"]),
        ]
    )
    with pytest.raises(ValueError, match="now") as caught:
        manager.execute(None, str(tmp_path), backend=backend)

    assert (tmp_path / "cleaned").exists()
    assert "cancelled: wait; not started: later" in caught.value.__notes__[0]


def test_without_fail_fast_all_runs_that_does_not_depend_on_the_failed(one: Any) -> None:
    """One ``ExceptionGroup``, in the order of the jobs."""
    manager = JobManager(
        [
            job(lambda: jobs.die("exit 2"), name="dies"),
            job(lambda: failing.raises(ValueError), name="fails"),
            job(jobs.pid),
            job(jobs.apid, after=["fails"]),
        ],
        fail_fast=False,
    )
    run = manager.execute(backend=one, check=False)

    states = [each.state for each in run.records]
    assert states == ["failed", "failed", "succeeded", "not started"]
    with pytest.raises(ExceptionGroup, match="2 of 4 jobs failed"):
        run.check()


def test_a_swallowed_refusal_is_told_nevertheless(one: Any) -> None:
    """``ParamIsCopy`` is an ``AttributeError``, and may be swallowed; it is never a silent loss."""
    with pytest.raises(ParamIsCopy):
        JobManager([job(pages.swallow_refusal)]).execute(None, pages.Page(), backend=one)


def test_a_job_whose_name_is_of_a_class_of_its_own_runs(one: Any) -> None:
    """``marshal`` knows ``str`` alone; a ``StrEnum`` is a name, too."""
    import enum

    class Name(enum.StrEnum):
        ORDERS = "orders"

    assert JobManager([job(jobs.pid, name=Name.ORDERS)]).execute(backend=one)["orders"]


@pytest.mark.parametrize("how", [ConnectionError("one"), "exit 1"])
def test_a_retry_tries_again_whatever_it_was(one: Any, how: Any, tmp_path: Path) -> None:
    """An error and a crash alike, without being asked to."""
    run = JobManager(
        [
            job(failing.fail_once, name="fails", retry=Retry(3, wait_initial=0.0)),
            job(lambda: str(tmp_path), name="folder", backend="threads"),
            job(lambda: how, name="error", backend="threads"),
        ]
    ).execute(backend=one)

    assert run["fails"] == "the second"
    assert len(run.record("fails").attempts) == 2
