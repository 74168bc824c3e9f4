# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""What mypy and pyright find out about jobs, managers and runs; and that it is true."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext
from typing import Any, assert_type

from gofer import (
    Attempt,
    Breaker,
    Context,
    FunctionJob,
    Hedge,
    Job,
    JobManager,
    JobRecord,
    Observer,
    Retry,
    Run,
    current_context,
    job,
)


class Page:
    """What a request handler hands to its jobs."""

    def __init__(self, user_id: int) -> None:
        self.user_id = user_id


@job
def orders(ctx: Context, page: Page) -> list[str]:
    return [f"order of {page.user_id}"]


@job
async def user(ctx: Context, page: Page) -> dict[str, int]:
    return {"id": page.user_id}


@job(after=["user"])
def tips(ctx: Context, page: Page, *, orders: list[str]) -> int:
    return len(orders)


@job(name="news", needs={"name": user})
async def latest(*, name: dict[str, int]) -> str:
    return f"for {name['id']}"


def plain(ctx: Context) -> float:
    return 0.5


ready = job(plain, name="ready", when=lambda ctx, page: page is not None)


class Audit:
    """A job of the Go shape, sync."""

    name = "audit"

    def do(self, ctx: Context, param: Page) -> None:
        ctx.check()


class Mail:
    """A job of the Go shape, async, with a name of its own for each."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def do(self, ctx: Context, param: Any) -> bytes:
        return b"sent"


def test_results_are_typed_by_the_job() -> None:
    """``run[job]`` is what the function returns, sync or async; by name it is anything."""
    manager = JobManager([orders, user, tips, latest, ready, Audit(), Mail("mail")])
    run = manager.execute(None, Page(7))

    assert_type(manager, JobManager)
    assert_type(run, Run)
    assert_type(run[orders], list[str])
    assert_type(run[user], dict[str, int])
    assert_type(run[tips], int)
    assert_type(run[latest], str)
    assert_type(run[ready], float)
    assert_type(run["orders"], Any)
    assert_type(run[Mail("mail").name], Any)
    assert run[orders] == ["order of 7"]
    assert run[user] == {"id": 7}
    assert run[tips] == 1
    assert run[latest] == "for 7"
    assert run[ready] == 0.5
    assert run["mail"] == run[Mail("mail").name] == b"sent"


def test_a_run_is_typed() -> None:
    """What a report is made of."""
    run = JobManager([orders], name="page").execute(Context(timeout=60), Page(7), only=[orders])

    assert_type(run.results, dict[str, Any])
    assert_type(run.records, tuple[JobRecord, ...])
    assert_type(run.record(orders), JobRecord)
    assert_type(run.record("orders").duration, float | None)
    assert_type(run.record("orders").error, BaseException | None)
    assert_type(run.state, str)
    assert_type(run.ok, bool)
    assert_type(run.error, BaseException | None)
    assert_type(run.errors, tuple[BaseException, ...])
    assert_type(run.duration, float | None)
    assert_type(run.critical_path, tuple[str, ...])
    assert_type(run.name, str | None)
    assert_type(str(run), str)
    run.check()
    assert "orders" in run
    assert run.ok


def test_policies_keep_the_type_of_the_result() -> None:
    """Each takes what it says, on functions, on other people's functions and on managers' jobs."""

    @job(timeout=60, retry=2, fallback=[], hedge=30.0, breaker=Breaker(), limit="db")
    def some(ctx: Context) -> list[str]:
        return ["x"]

    @job(retry=Retry(3, on=lambda error: 0.5 if error.args else False), hedge=Hedge("p95"))
    async def other() -> int:
        return 1

    def more() -> float:
        return 0.5

    manager = JobManager([some, other], limits={"db": 2})

    @manager.job(fallback=lambda error: str(error), abandon=True)
    def last() -> str:
        return "y"

    late = job(more, name="late", timeout=1.5, limit=open_limit)
    run = JobManager([*manager.jobs, late], limits={"db": 2}).execute()
    assert_type(run[some], list[str])
    assert_type(run[other], int)
    assert_type(run[last], str)
    assert_type(run[late], float)
    assert_type(run.record(some).attempts, tuple[Attempt, ...])
    assert_type(run.record(some).attempts[0].error, BaseException | None)
    assert_type(run.record(some).waiting_for_limit, float)
    assert_type(run.record(some).left_behind, str | None)
    assert run.results == {"some": ["x"], "other": 1, "last": "y", "late": 0.5}


def open_limit() -> AbstractContextManager[None]:
    return nullcontext()


def test_an_awaited_execution_gives_the_same_run() -> None:
    """``await manager.aexecute(...)`` is a ``Run``, and its results are typed."""

    async def main() -> Run:
        run = await JobManager([orders, user]).aexecute(None, Page(7), check=False)
        assert_type(run, Run)
        assert_type(run[user], dict[str, int])
        return run

    assert asyncio.run(main())[user] == {"id": 7}


def test_a_job_is_still_a_function_of_its_own_signature() -> None:
    """Calling it is calling the function: arguments are checked, an async one is awaited."""
    page = Page(7)

    async def main() -> None:
        assert_type(await user(Context(), page), dict[str, int])
        assert_type(await latest(name={"id": 1}), str)

    assert_type(orders(Context(), page), list[str])
    assert_type(tips(Context(), page, orders=["x"]), int)
    assert_type(tips(ctx=Context(), page=page, orders=[]), int)
    assert_type(orders.name, str)
    assert tips(Context(), page, orders=["x"]) == 1
    asyncio.run(main())


def test_a_managers_decorator_keeps_types() -> None:
    """``@manager.job`` and ``@manager.job(...)`` as ``@job`` and ``@job(...)``."""
    manager = JobManager()

    @manager.job
    def first() -> int:
        return 1

    @manager.job
    async def second() -> str:
        return "two"

    @manager.job(after=[first, "second"])
    def third(*, first: int) -> list[int]:
        return [first]

    @manager.job(name="fourth")
    async def last(ctx: Context) -> bytes:
        return b"4"

    run = manager.execute()
    assert_type(run[first], int)
    assert_type(run[second], str)
    assert_type(run[third], list[int])
    assert_type(run[last], bytes)
    assert_type(third(first=1), list[int])
    assert_type(manager.jobs, tuple[FunctionJob[..., Any, Any], ...])
    assert_type(manager.layers(), list[list[str]])
    assert [run[first], run[second], run[third], run[last]] == [1, "two", [1], b"4"]


def test_whatever_has_the_shape_of_a_job_is_one() -> None:
    """Classes that inherit nothing, functions, job objects and managers go into one list."""
    inner = JobManager([orders], name="inner")
    shaped: list[Job] = [Audit(), Mail("mail"), orders, user]
    manager = JobManager([*shaped, plain, inner, job(Mail("other"), after=["mail", inner])])

    assert manager.execute(None, Page(7))["mail"] == b"sent"


def test_the_rest_of_the_front_door_is_typed() -> None:
    """Contexts and observers."""

    class Names(Observer):
        def __init__(self) -> None:
            self.names: list[str] = []

        def job_ended(self, run: Run, record: JobRecord) -> None:
            self.names.append(record.name)

    observer = Names()
    JobManager([orders], observers=[observer], limit=2, fail_fast=False).execute(None, Page(7))
    with Context(timeout=5, values={"user": 7}) as ctx:
        assert_type(ctx, Context)
        assert_type(ctx.child(), Context)
        assert_type(ctx.remaining(), float | None)
        assert_type(ctx.cancelled, bool)
    assert_type(current_context(), Context | None)
    assert observer.names == ["orders"]
