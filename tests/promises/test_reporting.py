"""Promise 19: what a run knows afterwards; and what none of Gofer's texts ever contains."""

from __future__ import annotations

import itertools
import pickle
import threading
import traceback
from typing import Any

import pytest

import gofer
from gofer import Cancelled, Context, JobManager, JobPanic, NoResult, errors


class Boom(Exception):
    """What jobs fail with."""


# 19. `Run` holds for each job: state, start and end (seconds from the run's start), waiting time,
#     attempts, error, thread; the results by name; the first error and all errors; the critical
#     path. It costs no extra call to have it.


async def test_a_run_holds_a_record_of_every_job(backend: Any) -> None:
    """Promise 19: every state, with the times and facts that belong to it."""
    barrier, error = backend.Barrier(2), Boom("text")

    async def ends() -> int:
        return 1

    async def fails() -> None:
        await barrier.wait()
        raise error

    async def stopped(ctx: Context) -> None:
        await barrier.wait()
        await backend.until_cancelled(ctx)

    jobs = [
        backend.job(ends),
        backend.job(lambda: 2, name="unwanted", when=lambda ctx, param: False),
        backend.job(fails, after=["ends", "unwanted"]),
        backend.job(stopped, after=["ends"]),
        backend.job(ends, name="never", after=["fails"]),
    ]
    run = await backend.execute(JobManager(jobs, name="page"), check=False)
    names = ["ends", "unwanted", "fails", "stopped", "never"]
    states = ["succeeded", "skipped", "failed", "cancelled", "not started"]

    assert [record.name for record in run.records] == names
    assert [record.state for record in run.records] == states
    assert [record.error for record in run.records] == [None, None, error, None, None]
    assert [len(record.attempts) for record in run.records] == [1, 0, 1, 1, 0]
    assert (run.name, run.state, run.ok, run.error, run.errors) == (
        *("page", "failed", False, error),
        (error,),
    )
    for record in run.records[:-1]:
        assert 0 <= record.start <= record.end <= run.duration
        assert record.duration == record.end - record.start
        assert 0 <= record.waiting <= record.start
    last = run.record("never")
    assert (last.start, last.end, last.duration, last.waiting, last.thread) == (None,) * 5


async def test_waiting_is_counted_from_the_end_of_the_last_need(backend: Any) -> None:
    """Promise 19: under a limit, a ready job waits for its place, and the record says how long."""

    async def work() -> None:
        await backend.sleep(0.01)

    first = backend.jobs(4, work)
    manager = JobManager([*first, backend.job(work, name="last", after=first)], limit=1)
    run = await backend.execute(manager)
    records = sorted(run.records[:-1], key=lambda record: record.start)
    last = run.record("last")

    assert all(before.end <= after.start for before, after in itertools.pairwise(records))
    assert [record.waiting for record in records] == [record.start for record in records]
    assert last.waiting == pytest.approx(last.start - records[-1].end)
    assert last.waiting < last.start


async def test_a_run_has_the_results_by_name_and_by_job(backend: Any) -> None:
    """Promise 19: in the manager's order; a skipped job has None, and what needs it gets that."""

    async def last(*, skipped: object, first: int) -> tuple[object, int]:
        return skipped, first

    end = backend.job(last)
    skipped = backend.job(lambda: 1, name="skipped", when=lambda ctx, param: param)
    first = backend.job(lambda: 7, name="first")
    run = await backend.execute(JobManager([end, skipped, first]), None, False)

    assert list(run.results.items()) == [("last", (None, 7)), ("skipped", None), ("first", 7)]
    assert (run["last"], run[end], run[skipped]) == ((None, 7), (None, 7), None)
    assert "last" in run
    assert end in run
    assert "lost" not in run


async def test_a_missing_result_says_why(backend: Any) -> None:
    """Promise 19: of a failed job, of one that never started, of a name that is not there."""

    async def fails() -> None:
        raise Boom("text")

    jobs = [backend.job(fails), backend.job(fails, name="later", after=["fails"])]
    run = await backend.execute(JobManager(jobs), check=False)
    reasons = {"fails": "failed: Boom: text", "later": "not started", "fail": "mean 'fails'"}
    for name, reason in reasons.items():
        with pytest.raises(NoResult, match=reason) as caught:
            run[name]

        assert isinstance(caught.value, KeyError)
        assert name not in run
    assert run.results == {}


async def test_the_critical_path_is_the_chain_that_ended_last(backend: Any) -> None:
    """Promise 19: the jobs that decided when the run ended, whatever ran beside them."""
    begun, over = backend.Event(), backend.Event()

    async def slow() -> None:
        await over.wait()

    async def beside() -> None:
        await begun.wait()

    async def last() -> None:
        pass

    jobs = [
        backend.job(last, after=["slow", "beside"]),
        backend.job(beside),
        backend.job(slow, after=["start"]),
        backend.job(lambda: begun.set(), name="start"),
        backend.job(lambda: over.set(), name="watch", after=["beside"]),
    ]
    run = await backend.execute(JobManager(jobs))

    assert run.critical_path == ("start", "slow", "last")


@pytest.mark.parametrize("backend", ["threads", "mixed"], indirect=True)
async def test_a_record_names_the_thread_of_its_job(backend: Any) -> None:
    """Promise 19: jobs at the same time ran on different ones; a job after another has one, too."""
    barrier = backend.Barrier(10)

    async def work() -> int:
        await barrier.wait()
        return threading.get_ident()

    run = await backend.execute(JobManager(backend.jobs(10, work)))

    assert len(set(run.results.values())) == 10
    assert len({record.thread for record in run.records}) == 10
    assert all(record.thread for record in run.records)


async def test_only_the_chosen_jobs_and_their_needs_run(backend: Any) -> None:
    """Promise 19: what was left out has not started, and that is no failure."""

    async def work() -> str:
        return "done"

    jobs = [backend.job(work, name="0")]
    jobs += [backend.job(work, name=str(i), after=[str(i - 1)]) for i in range(1, 5)]
    run = await backend.execute(JobManager(jobs), only=[jobs[1], "2"])

    assert run.ok
    assert list(run.results) == ["0", "1", "2"]
    assert [record.state for record in run.records[3:]] == ["not started"] * 2


async def test_a_run_can_be_read_while_it_goes_on(backend: Any, watcher: Any) -> None:
    """Promise 19: from a job of it, by whoever holds it."""

    async def first() -> int:
        return 1

    async def looks(*, first: int) -> tuple[object, ...]:
        run = watcher.run
        states = [record.state for record in run.records]
        assert str(run)
        return run.state, run.ok, run["first"], run.duration, states

    async def later(*, looks: object) -> None:
        pass

    manager = JobManager(map(backend.job, (first, looks, later)), observers=[watcher])
    run = await backend.execute(manager)
    states = ["succeeded", "running", "waiting"]

    assert run["looks"] == ("running", False, 1, None, states)
    assert run is watcher.run


async def test_a_printed_run_names_every_job(backend: Any) -> None:
    """Promise 19: whatever became of them."""
    barrier = backend.Barrier(2)

    async def fails() -> None:
        await barrier.wait()
        raise Boom("what went wrong")

    async def stopped(ctx: Context) -> None:
        await barrier.wait()
        await backend.until_cancelled(ctx)

    jobs = [
        backend.job(lambda: 1, name="fine"),
        *map(backend.job, (fails, stopped)),
        backend.job(lambda: 1, name="later", after=["fails"]),
    ]
    run = await backend.execute(JobManager(jobs, name="page"), check=False)
    text = str(run)

    assert all(name in text for name in ("page", "fine", "fails", "stopped", "later"))
    assert "Boom: what went wrong" in text


async def test_check_raises_what_execute_would_have_raised(backend: Any) -> None:
    """Promise 19: each time the same object; after a success nothing."""
    error = Boom()

    async def fails(ctx: Context, wanted: bool) -> None:
        if wanted:
            raise error

    manager = JobManager([backend.job(fails)])
    (await backend.execute(manager, None, False, check=False)).check()
    run = await backend.execute(manager, None, True, check=False)
    for _ in range(2):
        with pytest.raises(Boom) as caught:
            run.check()

        assert caught.value is error


# Errors, as values that travel, and as texts that give nothing away (style: Errors).

PUBLIC = [
    getattr(gofer, name)
    for name in dir(gofer)
    if isinstance(getattr(gofer, name), type) and issubclass(getattr(gofer, name), BaseException)
]
FACTS: dict[str, tuple[Any, ...]] = {
    "BreakerOpen": ("a", 2.5),
    "Cancelled": (ValueError("away"),),
    "CycleError": (("a", "b", "a"),),
    "DuplicateNameError": ("a",),
    "JobCrashed": ("a", "process 47", None, "SIGSEGV", "Stack"),
    "JobDefinitionError": ("a", "is a generator function"),
    "JobPanic": ("a", "SystemExit: 3"),
    "JobSkipped": ("a",),
    "JobTimeout": ("a", 0.3),
    "LimitDeadlock": ("a", "db", 1, "b"),
    "LimitError": ("manager 'page'", 0),
    "NoResult": ("a", "it failed"),
    "NotAwaitedError": ("a", "coroutine"),
    "NotPicklable": ("a", "its result", "lock", "TypeError: cannot pickle"),
    "ParamIsCopy": ("a", "param.rows"),
    "PolicyError": ("a", "retry: on=() retries nothing"),
    "RemoteError": ("Odd", "Odd: text"),
    "TypeHintError": (("job 'a' wants an int",),),
    "UnknownJobError": ("a", "b"),
    "UnknownNeedError": ("a", "b", "c"),
}


@pytest.mark.parametrize("kind", PUBLIC, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_pickles(kind: type[BaseException], protocol: int) -> None:
    """Type, message, facts and notes are the same on the other side."""
    error = kind(*FACTS.get(kind.__name__, ("text",)))
    error.add_note("a note")
    copy = pickle.loads(pickle.dumps(error, protocol))

    assert type(copy) is kind
    assert str(copy) == str(error)
    assert repr(vars(copy)) == repr(vars(error))
    assert copy.__notes__ == ["a note"]


def test_every_public_error_is_in_that_test() -> None:
    """All of ``gofer.errors`` is public, and an error with facts has an example of them."""
    defined = {
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, BaseException)
    }

    assert set(PUBLIC) == defined
    assert set(FACTS) <= {kind.__name__ for kind in PUBLIC}


async def test_an_error_that_came_out_of_a_run_pickles(backend: Any) -> None:
    """With the note that Gofer wrote on it; JobPanic as well."""
    for kind in (ConnectionError, SystemExit):

        async def fails(ctx: Context, kind: type[BaseException]) -> None:
            raise kind("text")

        run = await backend.execute(JobManager([backend.job(fails)]), None, kind, check=False)
        copy = pickle.loads(pickle.dumps(run.error))

        assert type(copy) is (JobPanic if kind is SystemExit else kind)
        assert str(copy) == str(run.error)
        assert copy.__notes__ == run.error.__notes__
        assert "'fails'" in copy.__notes__[0]


CANARY = "hunter2-canary"


class Secret(dict[str, str]):
    """A param that shows itself wherever somebody prints it."""

    def __repr__(self) -> str:
        return CANARY

    __str__ = __repr__


@pytest.mark.parametrize("how", ["fails", "panics", "cancels", "succeeds", "not awaited", "deaf"])
async def test_a_params_contents_appear_nowhere(
    backend: Any, log: Any, how: str, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    """Nor do values and results: not in messages, notes, logs, tracebacks' notes or reports."""
    monkeypatch.setattr("gofer.backends._execution.DEAF_AFTER", 0.0)
    secret = Secret(password=CANARY)

    async def login(ctx: Context, param: Secret) -> Secret:
        return param

    async def work(ctx: Context, param: Secret, *, login: Secret) -> object:
        if how in ("fails", "deaf"):
            raise Boom
        if how == "panics":
            raise SystemExit
        if how == "cancels":
            ctx.cancel()
            await backend.until_cancelled(ctx)
        return forgotten(param) if how == "not awaited" else login

    async def beside(ctx: Context, param: Secret) -> Secret:
        if how == "deaf":
            await backend.eventually(lambda: any("beside" in each for each in log.everything))
        return param

    async def later(ctx: Context, param: Secret, *, work: object) -> None:
        pass

    kinds = {"work": how != "not awaited" and backend.is_async}
    jobs = [backend.job(fn, is_async=kinds.get(fn.__name__)) for fn in (login, work, beside, later)]
    with Context(values={"secret": secret}) as ctx:
        run = await backend.execute(JobManager(jobs, name="page"), ctx, secret, check=False)
    texts = [str(run), repr(run), *map(repr, run.records), *log.everything, *capfd.readouterr()]
    if run.error is not None:
        texts += traceback.format_exception(run.error)
        texts += [str(run.error), repr(run.error), *run.error.__notes__]
    for name in ("work", "later", "wrok"):
        try:
            run[name]
        except NoResult as error:
            texts += [str(error), repr(error)]

    assert run.ok == (how == "succeeds")
    assert isinstance(run.error, Cancelled) == (how == "cancels")
    assert CANARY not in "\n".join(texts)


async def forgotten(secret: Secret) -> Secret:
    """Be called, and not awaited."""
    return secret
