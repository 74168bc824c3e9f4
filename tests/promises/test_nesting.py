"""Promise 5: nested runs."""

from __future__ import annotations

from typing import Any

import pytest

from gofer import JobManager

entries = pytest.mark.parametrize("backend", ["threads", "loop"], indirect=True)
"""For managers whose jobs' kinds the test itself chooses: ``execute`` and ``aexecute``."""


# 5. Nested runs never deadlock, at any depth and limit.


@pytest.mark.parametrize("limit", [1, 2, None])
async def test_nested_executions_never_deadlock(backend: Any, limit: int | None) -> None:
    """Promise 5: a job that executes its own manager ends, at depth 20 and limit 1."""

    async def dive(ctx: Any, depth: int) -> int:
        if not depth:
            return 0
        return 1 + (await backend.execute(manager, ctx, depth - 1))["dive"]

    manager = JobManager([backend.job(dive)], limit=limit)

    assert (await backend.execute(manager, None, 20))["dive"] == 20


@pytest.mark.parametrize("limit", [1, 2, None])
async def test_managers_as_jobs_never_deadlock(backend: Any, limit: int | None) -> None:
    """Promise 5: a manager in a manager in a manager ends, at depth 20 and limit 1."""
    seen: list[str] = []

    async def bottom(ctx: Any, param: list[str]) -> None:
        param.append("bottom")

    inner: Any = backend.job(bottom)
    for depth in range(20):
        sibling = backend.job(lambda: None, name="sibling")
        inner = JobManager([sibling, inner], name=f"level{depth}", limit=limit)
    run = await backend.execute(inner, None, seen)

    assert run.ok
    assert seen == ["bottom"]


@pytest.mark.parametrize("limit", [1, 2, None])
@entries
async def test_sync_and_async_runs_nested_in_turn_never_deadlock(
    backend: Any, limit: int | None
) -> None:
    """Promise 5: async in sync in async, and so on: each level executes from inside a job."""

    async def dive(ctx: Any, depth: int) -> int:
        if not depth:
            return 0
        return 1 + (await backend.execute(managers[depth % 2], ctx, depth - 1))["dive"]

    managers = [
        JobManager([backend.job(dive, is_async=is_async)], limit=limit)
        for is_async in (True, False)
    ]

    assert (await backend.execute(managers[0], None, 20))["dive"] == 20


async def test_wide_nested_runs_never_deadlock(backend: Any) -> None:
    """Promise 5: 50 jobs at limit 2 that each execute 10 jobs, which meet each other."""

    async def outer(ctx: Any, param: None) -> int:
        barrier = backend.Barrier(10)

        async def meet() -> None:
            await barrier.wait()

        return len((await backend.execute(JobManager(backend.jobs(10, meet)), ctx)).results)

    run = await backend.execute(JobManager(backend.jobs(50, outer), limit=2))

    assert list(run.results.values()) == [10] * 50


async def test_a_nested_runs_failure_is_its_jobs_failure(backend: Any) -> None:
    """Promise 5: the error of a nested run comes out of the outer one, the same object."""
    error = ConnectionError("refused")

    async def fails() -> None:
        raise error

    inner: Any = backend.job(fails)
    for depth in range(20):
        inner = JobManager([inner], name=f"level{depth}", limit=1)
    with pytest.raises(ConnectionError) as caught:
        await backend.execute(inner)

    assert caught.value is error
    assert "'fails'" in "\n".join(error.__notes__)
