"""Promises 16, 17 and 18: what is refused before anything runs, and one thing that cannot be.

What is refused does not depend on where jobs run, so only promise 18 needs a backend.
"""

from __future__ import annotations

import asyncio
import gc
import math
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any

import pytest

from gofer import (
    Context,
    CycleError,
    DuplicateNameError,
    JobDefinitionError,
    JobManager,
    LimitError,
    NotAwaitedError,
    PlanError,
    TypeHintError,
    UnknownJobError,
    UnknownNeedError,
    job,
)


def named(name: str, *after: str) -> Any:
    """Make a job that only has a name and needs, and must never run."""

    def never() -> None:
        raise AssertionError("it was to be refused")

    return job(never, name=name, after=after)


# 16. A cycle is refused and its path is spelt out: `a -> b -> c -> a`. An unknown need is refused
#     with the nearest name: `job 'tips' needs 'order', which no job provides; did you mean
#     'orders'?`. Duplicate names, a generator function, a wrong signature, a bad limit or timeout
#     (0, negative, NaN): refused, saying which job and what to write.


def test_a_cycle_is_refused_and_its_path_is_spelt_out() -> None:
    """Promise 16: each needs the next, and the first stands again at the end."""
    jobs = [named("z"), named("a", "b"), named("c", "a", "z"), named("b", "c"), named("d", "c")]

    with pytest.raises(CycleError, match="a -> b -> c -> a") as caught:
        JobManager(jobs)

    assert caught.value.cycle == ("a", "b", "c", "a")


def test_a_job_that_needs_itself_is_a_cycle() -> None:
    """Promise 16: the shortest circle is spelt out like any other."""
    with pytest.raises(CycleError, match="narcissus -> narcissus"):
        JobManager([named("narcissus", "narcissus")])


def test_a_long_cycle_is_found_without_recursion() -> None:
    """Promise 16: 10,000 jobs in one circle are refused, not a RecursionError."""
    jobs = [named(str(i), str((i + 1) % 10_000)) for i in range(10_000)]

    with pytest.raises(CycleError) as caught:
        JobManager(jobs)

    assert len(caught.value.cycle) == 10_001


def test_a_cycle_through_results_is_refused() -> None:
    """Promise 16: a need by a keyword-only parameter counts like one by ``after``."""

    def egg(*, hen: int) -> int:
        return hen

    async def hen(*, egg: int) -> int:
        return egg

    with pytest.raises(CycleError, match="egg -> hen -> egg"):
        JobManager([egg, hen])


def test_an_unknown_need_is_refused_with_the_nearest_name() -> None:
    """Promise 16: the message is the one in the promise, word for word."""

    def orders() -> list[int]:
        return []

    def tips(*, order: list[int]) -> None:
        pass

    with pytest.raises(UnknownNeedError) as caught:
        JobManager([orders, tips])

    assert str(caught.value) == (
        "job 'tips' needs 'order', which no job provides; did you mean 'orders'?"
    )
    facts = caught.value.job, caught.value.need, caught.value.suggestion
    assert facts == ("tips", "order", "orders")


def test_a_need_that_resembles_nothing_is_refused_without_a_guess() -> None:
    """Promise 16: no suggestion is better than a wild one."""
    with pytest.raises(UnknownNeedError) as caught:
        JobManager([named("orders"), named("tips", "xyzzy")])

    assert str(caught.value) == "job 'tips' needs 'xyzzy', which no job provides"


@pytest.mark.parametrize(
    "names", [("a", "b", "a"), ("caf\u00e9", "cafe\u0301"), ("\ufb01n", "fin")]
)
def test_duplicate_names_are_refused(names: tuple[str, ...]) -> None:
    """Promise 16: also names that only look the same."""
    with pytest.raises(DuplicateNameError) as caught:
        JobManager(map(named, names))

    assert any(repr(name) in str(caught.value) for name in names)
    assert "name=" in str(caught.value)


@pytest.mark.parametrize("name", ["", 7, None, b"bytes", ["list"]])
def test_a_name_that_is_no_name_is_refused(name: Any) -> None:
    """Promise 16: a name is a string that is not empty."""

    class Go:
        def __init__(self) -> None:
            self.name = name

        def do(self, ctx: Context, param: object) -> None:
            raise AssertionError("it was to be refused")

    with pytest.raises(JobDefinitionError):
        JobManager([Go()])


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


def three(ctx: Context, param: object, orders: list[int]) -> None:
    pass


class NoJob:
    """Has a name and nothing to do."""

    name = "idler"


class GoShaped:
    """A class instead of an object of it."""

    name = "shaped"

    def do(self, ctx: Context, param: object) -> None:
        pass


@pytest.mark.parametrize(
    ("wrong", "name", "advice"),
    [
        (generator, "generator", "list"),
        (async_generator, "async_generator", "list"),
        (three, "three", "def three(ctx, param, *, orders)"),
        (NoJob(), "NoJob", "do(ctx, param)"),
        (GoShaped, "GoShaped", "GoShaped()"),
        (lambda: 1, "<lambda>", "name="),
        (7, "int", "do(ctx, param)"),
    ],
)
def test_what_cannot_be_a_job_is_refused_with_what_to_write(
    wrong: Any, name: str, advice: str
) -> None:
    """Promise 16: the message names the job and the way out."""
    with pytest.raises(JobDefinitionError) as caught:
        JobManager([named("good"), wrong])

    assert repr(name) in str(caught.value)
    assert advice in str(caught.value)
    assert isinstance(caught.value, PlanError)


@pytest.mark.parametrize("limit", [0, -1, math.nan, math.inf, 1.5, "8", True, [1]])
def test_a_bad_limit_is_refused(limit: Any) -> None:
    """Promise 16: a limit is None or a whole number of at least 1; the message says whose."""
    with pytest.raises(LimitError) as caught:
        JobManager([named("good")], name="page", limit=limit)

    assert "'page'" in str(caught.value)
    assert "at least 1" in str(caught.value)


@pytest.mark.parametrize("how", ["timeout", "deadline"])
def test_a_timeout_that_is_no_number_is_refused(how: str) -> None:
    """Promise 16: NaN is a ValueError, text a TypeError, both name what was wrong."""
    with pytest.raises(ValueError, match=f"{how} must be a number"):
        Context(**{how: math.nan})
    with pytest.raises(TypeError, match=f"{how} must be a number"):
        Context(**{how: "soon"})
    with Context() as ctx, pytest.raises(ValueError, match=f"{how} must be a number"):
        ctx.child(**{how: math.nan})


def test_nothing_runs_before_everything_is_checked() -> None:
    """Promise 16: jobs registered one by one are checked at the first use, before the first job."""
    manager = JobManager(name="page")
    ran: list[int] = []

    @manager.job
    def good() -> None:
        ran.append(1)

    @manager.job(after=["god"])
    def tips() -> None:
        ran.append(2)

    uses: list[Callable[[], object]] = [manager.execute, manager.check, manager.layers]
    for use in uses:
        with pytest.raises(UnknownNeedError, match="'good'"):
            use()
    with pytest.raises(UnknownNeedError, match="'good'"):
        asyncio.run(manager.aexecute())

    assert ran == []


def test_jobs_may_be_registered_in_any_order() -> None:
    """Promise 16: a need is unknown only if nothing provides it in the end."""
    manager = JobManager()

    @manager.job(after=["second"])
    def first() -> str:
        return "first"

    @manager.job
    async def second() -> str:
        return "second"

    assert manager.execute().results == {"first": "first", "second": "second"}
    assert manager.layers() == [["second"], ["first"]]


def test_an_unknown_job_in_only_is_refused_with_the_nearest_name() -> None:
    """Promise 16: before anything runs, as an unknown need is."""
    with pytest.raises(UnknownJobError, match=r"'assembly'.*did you mean 'assemble'\?"):
        JobManager([named("assemble")]).execute(only=["assembly"])


# 17. Where both ends of a need carry type hints that contradict each other, `manager.check()` says
#     so.


def test_type_hints_that_contradict_each_other_are_told() -> None:
    """Promise 17: each need is one sentence with both jobs and both types."""

    def orders() -> list[int]:
        raise AssertionError("checking runs nothing")

    async def count() -> int:
        raise AssertionError("checking runs nothing")

    def tips(*, orders: str, count: dict[str, int]) -> None:
        raise AssertionError("checking runs nothing")

    with pytest.raises(TypeHintError) as caught:
        JobManager([orders, count, tips]).check()
    first, second = caught.value.contradictions

    assert all(word in first for word in ("'tips'", "'orders'", "str", "list[int]"))
    assert all(word in second for word in ("'tips'", "'count'", "dict[str, int]", "int"))


def test_type_hints_that_agree_or_are_missing_are_passed() -> None:
    """Promise 17: subclasses, unions, Any, protocols and no hint at all contradict nothing."""

    def flag() -> bool:
        return True

    async def numbers() -> list[int]:
        return [1]

    def unknown():  # type: ignore[no-untyped-def]
        return object()

    def anything() -> Any:
        return object()

    def uses(
        ctx: Context,
        param: None,
        *,
        flag: int,
        numbers: Sequence[int] | None,
        unknown: str,
        anything: str,
    ) -> None:
        pass

    manager = JobManager([flag, numbers, unknown, anything, uses])
    manager.check()

    assert manager.execute().ok


def test_type_hints_of_wired_parameters_are_checked() -> None:
    """Promise 17: what counts is the parameter that gets the result, not its name."""

    def amount() -> str:
        raise AssertionError("checking runs nothing")

    def twice(*, number: int) -> int:
        raise AssertionError("checking runs nothing")

    with pytest.raises(TypeHintError, match="number"):
        JobManager([amount, job(twice, needs={"number": "amount"})]).check()


# 18. A sync job that returns a coroutine by mistake is an error that says so, never a result.


async def forgotten() -> int:
    """Be called, and not awaited."""
    return 1


returning = pytest.mark.parametrize("backend", ["threads", "mixed"], indirect=True)


@returning
async def test_a_sync_job_that_returns_a_coroutine_fails(backend: Any) -> None:
    """Promise 18: the error names the job and what to write; the coroutine is closed."""
    made: list[Coroutine[Any, Any, int]] = []
    started: list[int] = []

    def fetch() -> Coroutine[Any, Any, int]:
        made.append(forgotten())
        return made[0]

    later = backend.job(lambda: started.append(1), name="later", after=["fetch"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = await backend.execute(JobManager([backend.job(fetch), later]), check=False)
        closed = made.pop().cr_frame is None
        gc.collect()  # "never awaited" would be said here
    with pytest.raises(NotAwaitedError) as caught:
        run.check()

    assert closed
    assert (caught.value.job, caught.value.kind) == ("fetch", "coroutine")
    assert "async def" in str(caught.value)
    assert "fetch" not in run
    assert started == []


@returning
async def test_a_callable_that_hides_a_coroutine_fails(backend: Any) -> None:
    """Promise 18: a lambda, an object with ``do``, anything that looks sync from outside."""

    class Hidden:
        name = "hidden"

        def do(self, ctx: Context, param: object) -> object:
            return forgotten()

    for wrong in (job(lambda: forgotten(), name="hidden"), Hidden()):
        with pytest.raises(NotAwaitedError, match="'hidden'"):
            await backend.execute(JobManager([wrong]))


@returning
async def test_a_sync_job_that_returns_something_to_await_fails(backend: Any) -> None:
    """Promise 18: an async generator or any other awaitable is no result either."""

    class Awaitable:
        def __await__(self) -> Iterator[Any]:
            return iter(())

    for make in (async_generator, Awaitable):
        with pytest.raises(NotAwaitedError, match="'wrong'"):
            await backend.execute(JobManager([job(lambda make=make: make(), name="wrong")]))


async def test_what_only_resembles_an_awaitable_is_a_result(backend: Any) -> None:
    """Promise 18: a generator that a job has made, or a function, is returned as it is."""
    numbers = iter([1, 2])
    results = {"iterator": numbers, "function": forgotten, "class": NoJob}
    jobs = [backend.job(lambda it=it: it, name=name) for name, it in results.items()]

    assert (await backend.execute(JobManager(jobs))).results == results
