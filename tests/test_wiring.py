"""Results reach the parameters that want them, whatever way they are handed over."""

from __future__ import annotations

import asyncio
import functools
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from gofer import JobManager, job
from gofer._wiring import Wiring


def one() -> int:
    return 1


def two() -> int:
    return 2


def _run(fn: Any, **needs: str) -> Any:
    """Return what a job got of ``one`` and ``two``, with the param ``"param"``."""
    manager = JobManager([one, two, job(fn, name="fn", needs=needs or None)])
    return manager.execute(param="param")["fn"]


def keyword_only(*, two: int, one: int) -> Any:
    return one, two


def with_param(ctx: Any, param: str, *, two: int, one: int) -> Any:
    return ctx.cancelled, param, one, two


def with_context(ctx: Any, *, one: int) -> Any:
    return ctx.cancelled, one


def positional(ctx: Any, a: int, b: int) -> Any:
    return a, b


def defaulted(a: int = 7, *, one: int) -> Any:
    return a, one


def optional(*, one: int, three: int = 3) -> Any:
    return one, three


def keywords(*, one: int, **others: int) -> Any:
    return one, others


def _closure() -> Callable[..., Any]:
    held = [10]

    def closure(*, one: int, two: int) -> Any:
        return held[0] + one, two

    return closure


@pytest.mark.parametrize(
    ("fn", "needs", "got", "by_place"),
    [
        (keyword_only, {}, (1, 2), True),
        (with_param, {}, (False, "param", 1, 2), True),
        (with_context, {}, (False, 1), True),
        (positional, {"a": "one", "b": "two"}, (1, 2), True),
        (_closure(), {}, (11, 2), True),
        (defaulted, {}, (7, 1), False),
        (defaulted, {"a": "two"}, (2, 1), True),
        (optional, {}, (1, 3), False),
        (optional, {"three": "two"}, (1, 2), True),
        (keywords, {"other": "two"}, (1, {"other": 2}), False),
        (functools.partial(keyword_only, two=5), {}, (1, 2), False),
    ],
)
def test_each_parameter_gets_the_result_it_asked_for(
    fn: Any, needs: dict[str, str], got: Any, by_place: bool
) -> None:
    """By place where all that stands behind the run's own parameters is wired, else by name."""
    manager = JobManager([one, two, job(fn, name="fn", needs=needs or None)])
    wiring = manager._program().wirings[2]
    assert wiring is not None
    assert (wiring.by_place is not None) == by_place
    assert manager.execute(param="param")["fn"] == got


def test_async_jobs_and_methods_get_their_results_too() -> None:
    """A coroutine function stays one; a bound method keeps its object."""

    class Service:
        def fetch(self, *, one: int) -> Any:
            return self, one

    async def waits(*, one: int, two: int) -> Any:
        await asyncio.sleep(0)
        return one, two

    service = Service()
    assert _run(waits) == (1, 2)
    assert _run(service.fetch) == (service, 1)


def test_a_function_that_gets_new_code_runs_it() -> None:
    """Whoever reloads a module in a running program swaps the code of its functions."""

    def old(*, one: int) -> Any:
        return "old", one

    def new(*, one: int) -> Any:
        return "new", one

    manager = JobManager([one, job(old, name="fn")])
    assert manager.execute()["fn"] == ("old", 1)
    old.__code__ = new.__code__
    assert manager.execute()["fn"] == ("new", 1)


def test_a_job_that_takes_results_by_place_fails_where_it_stands() -> None:
    """The traceback shows the function's own file, line and name, and its locals by name."""

    def broken(*, one: int, two: int) -> None:
        raise ValueError(one + two)

    with pytest.raises(ValueError, match="3") as caught:
        _run(broken)
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (last.name, last.filename) == ("broken", __file__)
    assert last.lineno == broken.__code__.co_firstlineno + 1
    tb: Any = caught.value.__traceback__
    while tb.tb_next is not None:
        tb = tb.tb_next
    assert tb.tb_frame.f_locals == {"one": 1, "two": 2}


def test_jobs_of_one_function_share_its_wiring() -> None:
    """A million jobs of one function cost one copy of its code."""

    def add(*, a: int, b: int) -> int:
        return a + b

    jobs: list[Any] = [one, two]
    jobs += [job(add, name=f"add{i}", needs={"a": "one", "b": "two"}) for i in range(3)]
    wirings = JobManager(jobs)._program().wirings
    assert wirings[2] is wirings[3] is wirings[4]


def test_what_is_no_plain_function_is_called_as_it_is() -> None:
    """An object with ``__call__`` has code, but is not called by it."""
    wiring = Wiring(SimpleNamespace(), ["a"], 0)
    assert (wiring.by_place, wiring.names) == (None, ("a",))
