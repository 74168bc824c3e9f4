"""Promise 7, of memory, with policies: what a run with them leaves behind dies with its last user.

With the cyclic garbage collector off, so that an object dies only if nothing refers to it.
"""

from __future__ import annotations

from typing import Any

import pytest

from gofer import Breaker, Context, JobManager, Retry

from .test_leftovers import Boom, Thing, Watch, all_die, watch

__all__ = ["watch"]  # a fixture

DIRECT: dict[str, Any] = {"retry": Retry(3, on=Boom, wait_initial=0.0), "breaker": Breaker(99)}
POLICIES = pytest.mark.parametrize(
    "policies",
    [DIRECT, DIRECT | {"limit": "db"}, DIRECT | {"timeout": 1000.0}, DIRECT | {"hedge": 1000.0}],
    ids=["direct", "limit", "timeout", "hedge"],
)


@POLICIES
async def test_a_success_keeps_nothing_alive(
    backend: Any, watch: Watch, policies: dict[str, Any]
) -> None:
    """Nor do the attempts that failed before it."""
    left = [1, 2]

    async def flaky(ctx: Context, param: Thing) -> Thing:
        if left:
            raise watch(f"error{left.pop()}", Boom(watch("payload", Thing())))
        watch("ctx", ctx)
        return watch("result", Thing())

    manager = JobManager([backend.job(flaky, **policies)], limits={"db": 1})
    run = watch("run", await backend.execute(manager, None, watch("param", Thing())))
    assert run["flaky"] is not None
    assert len(run.record("flaky").attempts) == 3
    del run
    await all_die(backend, watch, "param", "result", "ctx", "run", "error1", "error2", "payload")


@POLICIES
@pytest.mark.parametrize("fallback", [{}, {"fallback": None}], ids=["raised", "fallback"])
async def test_a_failure_keeps_nothing_alive(
    backend: Any, watch: Watch, policies: dict[str, Any], fallback: dict[str, Any]
) -> None:
    """Once ``except`` has ended, the errors of all attempts are gone."""
    numbers = [3, 2, 1]

    async def fails(ctx: Context, param: Thing) -> Thing:
        payload = watch("payload", Thing())
        raise watch(f"error{numbers.pop()}", Boom(payload))

    manager = JobManager([backend.job(fails, **policies, **fallback)], limits={"db": 1})
    try:
        await backend.execute(manager, None, watch("param", Thing()))
    except Boom:
        assert not fallback
    await all_die(backend, watch, "param", "payload", "error1", "error2", "error3")


async def test_a_timeout_keeps_nothing_alive(backend: Any, watch: Watch) -> None:
    """The late call, its context and its result are gone when it has ended."""

    async def slow(ctx: Context, param: Thing) -> None:
        watch("ctx", ctx)
        await backend.until_cancelled(ctx)

    manager = JobManager([backend.job(slow, timeout=0.02)])
    try:
        await backend.execute(manager, None, watch("param", Thing()))
    except TimeoutError as error:
        watch("error", error)
    await all_die(backend, watch, "param", "ctx", "error")
