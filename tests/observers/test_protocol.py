"""The protocol of observers: what is told, when, where, and what it costs those who have none."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
from functools import partial
from typing import Any

import pytest

import gofer
from gofer import Context, JobManager, Observer, Retry, job

from .helpers import Boom, flaky, shop, work

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class Diary(Observer):
    """Keeps all that it is told, as ``(event, name)``."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.attempts: list[Any] = []

    def run_started(self, run: Any) -> None:
        self.told.append(("run_started", ""))

    def job_started(self, run: Any, name: str) -> None:
        self.told.append(("job_started", name))

    def attempt_ended(self, run: Any, name: str, attempt: Any) -> None:
        self.told.append(("attempt_ended", name))
        self.attempts.append((name, attempt, attempt.error))

    def job_ended(self, run: Any, record: Any) -> None:
        self.told.append(("job_ended", record.name))

    def run_ended(self, run: Any) -> None:
        self.told.append(("run_ended", ""))

    def of(self, name: str) -> list[str]:
        """Return the events of one job, in order."""
        return [event for event, whose in self.told if whose == name]


def test_each_job_starts_tries_and_ends_in_this_order() -> None:
    """With policies or without, sync or async: one ``attempt_ended`` for each attempt."""
    diary = Diary()
    shop(diary).execute()

    once = ["job_started", "attempt_ended", "job_ended"]
    assert diary.of("orders") == diary.of("page") == once
    assert diary.of("tips") == ["job_started", "attempt_ended", "attempt_ended", "job_ended"]
    assert diary.told[0] == ("run_started", "")
    assert diary.told[-1] == ("run_ended", "")


def test_an_attempt_says_whether_another_follows() -> None:
    """``retry_in`` is there when the observer is told, and None for the last attempt."""
    diary = Diary()
    retry = Retry(3, on=Boom, wait_initial=0.001, wait_jitter=0)
    JobManager([job(flaky(1), name="flaky", retry=retry)], observers=[diary]).execute()

    (_, first, error), (_, second, none) = diary.attempts
    assert first.retry_in == 0.001
    assert isinstance(error, Boom)
    assert (second.retry_in, none) == (None, None)


def test_a_job_whose_when_says_no_has_no_attempt() -> None:
    """It starts and ends, as ``skipped``; its function was never called."""
    diary = Diary()
    skipped = job(work, name="skipped", when=lambda ctx, param: False)
    JobManager([skipped], observers=[diary]).execute()

    assert diary.of("skipped") == ["job_started", "job_ended"]


def test_a_cancelled_attempt_is_told_too() -> None:
    """A job with policies that its run's end cuts short has ended its attempt before itself."""
    diary = Diary()

    def stops(ctx: Context) -> None:
        ctx.cancel("enough")
        ctx.check()

    jobs = [job(stops, retry=Retry(3))]
    JobManager(jobs, observers=[diary]).execute(Context(), check=False)

    assert diary.of("stops") == ["job_started", "attempt_ended", "job_ended"]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_variable_that_an_observer_sets_is_seen_by_that_job_alone(is_async: bool) -> None:
    """``job_started`` is called in the job's own context."""

    class Sets(Observer):
        def job_started(self, run: Any, name: str) -> None:
            assert VARIABLE.get() == "of the caller"
            VARIABLE.set(name)

    def look() -> str:
        return VARIABLE.get()

    async def alook() -> str:
        return VARIABLE.get()

    names = ["a", "b"]
    jobs = [job(alook if is_async else look, name=name) for name in names]

    def execute() -> Any:
        VARIABLE.set("of the caller")
        run = JobManager(jobs, observers=[Sets()]).execute()
        assert VARIABLE.get() == "of the caller"
        return run.results

    assert contextvars.copy_context().run(execute) == {"a": "a", "b": "b"}


def test_observers_are_called_in_the_thread_of_the_job() -> None:
    """A sync job's observer runs where the job does."""
    threads: dict[str, set[int]] = {"a": set(), "b": set()}
    both = threading.Barrier(2)

    class Where(Observer):
        def job_started(self, run: Any, name: str) -> None:
            threads[name].add(threading.get_ident())

        def job_ended(self, run: Any, record: Any) -> None:
            threads[record.name].add(threading.get_ident())

    def meet(name: str) -> None:
        both.wait(30)
        threads[name].add(threading.get_ident())

    jobs = [job(partial(meet, name), name=name) for name in "ab"]
    JobManager(jobs, observers=[Where()]).execute()

    assert len(threads["a"]) == len(threads["b"]) == 1
    assert threads["a"] != threads["b"]


def test_an_attempt_whose_observer_raises_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error goes to ``sys.unraisablehook``; the attempt's own outcome stands."""
    caught: list[BaseException] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda facts: caught.append(facts.exc_value))

    class Broken(Observer):
        def attempt_ended(self, run: Any, name: str, attempt: Any) -> None:
            raise Boom("in the observer")

    run = shop(Broken()).execute()

    assert run.ok
    assert [str(each) for each in caught] == ["in the observer"] * 4


def test_an_error_keeps_none_of_gofers_frames_of_an_observed_run() -> None:
    """A traceback begins at the job, whether somebody watches or not."""

    def fails() -> None:
        raise Boom

    run = JobManager([job(fails)], observers=[Observer()]).execute(check=False)

    assert run.error is not None
    assert run.error.__traceback__ is not None
    assert run.error.__traceback__.tb_frame.f_code is fails.__code__


def test_a_run_without_observers_loads_nothing_of_them() -> None:
    """What watches is not even imported where nobody watches."""
    code = (
        "import sys, gofer; gofer.JobManager([gofer.job(lambda: 0, name='a')]).execute(); "
        "print([m for m in sys.modules if m.startswith(('gofer.observers.', 'gofer._observed'))])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert ran.stdout == "[]\n"


def test_an_observer_that_does_not_exist_is_an_attribute_error() -> None:
    """The lazy names of ``gofer.observers`` hide no misspelt one."""
    with pytest.raises(AttributeError, match="'PrintingObserver'"):
        gofer.observers.PrintingObserver  # noqa: B018


def test_the_needs_of_a_job_are_told_by_the_run() -> None:
    """By name or by job, each once."""
    run = shop(Observer()).execute()

    assert run.needs("page") == ("orders", "tips")
    assert run.needs("orders") == ()
    with pytest.raises(gofer.NoResult, match="did you mean 'page'"):
        run.needs("pgae")
