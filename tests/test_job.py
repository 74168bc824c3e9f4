"""Jobs: what can be one, and what it knows of itself."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from gofer import Context, FunctionJob, Job, JobManager, Run, job


def run(*jobs: Any, param: Any = "param") -> Run:
    """Execute some jobs."""
    return JobManager(jobs).execute(Context(), param)


@job
def one() -> int:
    return 1


# -- names and the rest of what a job knows


def test_a_job_knows_what_it_was_made_of() -> None:
    """And looks like the function, to whoever asks it for name, documentation or signature."""

    def orders(ctx: Context, page: Any, *, user: int) -> list[int]:
        """Fetch the orders."""
        return [user]

    made = job(orders)
    assert isinstance(made, FunctionJob)
    assert (made.name, made.fn, made.when) == ("orders", orders, None)
    assert (made.after, made.needs) == ((), {})
    assert made.__wrapped__ is orders
    assert (made.__name__, made.__doc__) == ("orders", "Fetch the orders.")
    assert (made.__module__, made.__qualname__) == (orders.__module__, orders.__qualname__)
    assert inspect.signature(made) == inspect.signature(orders)
    assert repr(made) == "<job 'orders'>"
    assert not made.is_async


def test_a_job_is_an_ordinary_callable() -> None:
    """A test calls it as the function that it was."""

    @job(name="sum")
    def add(ctx: None, param: int, *, one: int, more: int = 0) -> int:
        return param + one + more

    assert add(None, 2, one=1) == 3
    assert add(None, param=2, one=1, more=5) == 8
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'one'"):
        add(None, 2)  # type: ignore[call-arg]


def test_a_job_may_be_done_by_hand() -> None:
    """``do`` gives the function what it takes of both."""
    assert job(lambda: "x", name="x").do(1, 2) == "x"  # type: ignore[arg-type]
    assert job(lambda ctx: ctx, name="x").do(1, 2) == 1  # type: ignore[arg-type]
    assert job(lambda ctx, param: param, name="x").do(1, 2) == 2  # type: ignore[arg-type]


def test_a_decorator_with_options_makes_a_job_with_them() -> None:
    """Jobs are named by their names or by themselves."""

    def now(ctx: Context, param: Any) -> bool:
        return True

    @job(name="two", after=[one, "zero"], needs={"a": one, "b": "zero"}, when=now)
    def made(*, a: int, b: int) -> int:
        return a + b

    assert made.name == made.__name__ == "two"
    assert made.after == ("one", "zero")
    assert made.needs == {"a": "one", "b": "zero"}
    assert made.when is now


def test_a_job_of_a_job_keeps_what_is_not_said_anew() -> None:
    """So one function can be several jobs."""
    first = job(lambda *, a: a + 1, name="first", needs={"a": one}, after=["zero"])
    second = job(first, name="second", needs={"a": "first"})
    assert (second.name, second.needs, second.after) == ("second", {"a": "first"}, ("zero",))
    assert job(first).name == "first"
    assert job(first, after=[one]).after == ("one",)
    assert run(job(lambda: 0, name="zero"), one, first, second)["second"] == 3


def test_a_method_can_be_a_job() -> None:
    """It is bound to its object, as methods are."""

    class Shop:
        def __init__(self, name: str) -> None:
            self.name = name

        @job
        def orders(self, ctx: Context) -> str:
            return f"orders of {self.name}"

        @job(name="bills", after=["orders"])
        @staticmethod
        def static(ctx: Context, param: Any) -> Any:
            return param

    shop = Shop("us")
    assert shop.orders.name == "orders"
    assert shop.orders(None) == "orders of us"  # type: ignore[arg-type]
    assert isinstance(Shop.orders, FunctionJob)
    done = run(shop.orders, shop.static)
    assert done.results == {"orders": "orders of us", "bills": "param"}


def test_the_go_shape_is_a_job_as_it_stands() -> None:
    """A name and ``do(ctx, param)``, sync or async, and no class to inherit from."""

    class AJob:
        name = "a"

        def do(self, ctx: Context, param: Any, /) -> Any:
            param.append("a")
            return "from a"

    class BJob(Job):
        after = ("a",)
        needs = {"given": "a"}  # noqa: RUF012  as people write it

        @property
        def name(self) -> str:
            return "b"

        def when(self, ctx: Context, param: Any) -> bool:
            return len(param) == 1

        async def do(self, ctx: Context, param: Any, *, given: str) -> Any:
            param.append(f"b {given}")

    param: list[str] = []
    assert run(BJob(), AJob(), param=param).state == "succeeded"
    assert param == ["a", "b from a"]


def test_a_plain_function_is_a_job_without_being_made_one() -> None:
    """A manager makes one of it."""

    def two(*, one: int) -> int:
        return one + 1

    manager = JobManager([one, two])
    assert [each.name for each in manager.jobs] == ["one", "two"]
    assert manager.execute()["two"] == 2
