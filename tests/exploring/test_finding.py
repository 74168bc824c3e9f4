"""What the explorer finds, each in far fewer than its thousand runs, and what it tells of it."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from gofer import Context, Group, JobManager, LockDeadlock, Retry, job
from gofer.testing import PlannedFailure, ScheduleBroken, explore

FEW = 100
"""Runs in which everything here is found."""


def order() -> SimpleNamespace:
    """Return a param with a number."""
    return SimpleNamespace(total=0)


@job
def add(ctx: Context, order: Any) -> None:
    """Add to the total."""
    order.total += 5


@job
def fee(ctx: Context, order: Any) -> None:
    """Add to the total as well."""
    order.total += 1


@job
async def late_fee(ctx: Context, order: Any) -> None:
    """Add to the total as well, on the loop."""
    total = order.total
    await asyncio.sleep(10)
    order.total = total + 1


@pytest.mark.parametrize("jobs", [[add, fee], [fee, late_fee], [late_fee, add]], ids=str)
def test_a_lost_update_is_found(jobs: list[Any]) -> None:
    """Between reading and writing the other job writes: threads, the loop, or both."""
    found = explore(JobManager(jobs), order, runs=FEW).found
    assert found is not None
    assert found.problem == "order.total is not what it was in the usual order"
    assert found.switches == 1


def test_a_pair_that_races_is_turned_first() -> None:
    """Among many jobs that share nothing, the third run holds the one until the other has been."""
    quiet = [job(lambda ctx, order, n=n: order.rows[n], name=f"j{n}") for n in range(12)]
    made = JobManager([*quiet[:6], add, *quiet[6:], fee])
    result = explore(made, lambda: SimpleNamespace(total=0, rows=[0] * 12))
    assert (result.runs, result.found is not None) == (3, True)


def test_a_lost_update_on_the_loop_is_found() -> None:
    """Both read before either writes, because both wait in between."""
    other = job(late_fee.fn, name="other_fee")
    result = explore(JobManager([late_fee, other]), order, check=lambda p, _: p.total == 2)
    assert result.found is not None
    assert (result.found.problem, result.runs) == ("the check answered False", 1)


def test_a_check_then_act_is_found() -> None:
    """Both find the room free, and both take it."""

    @job
    def ann(ctx: Context, room: Any) -> None:
        if room.guest is None:
            room.guest = "Ann"
            room.booked.append("Ann")

    @job
    def bob(ctx: Context, room: Any) -> None:
        if room.guest is None:
            room.guest = "Bob"
            room.booked.append("Bob")

    def one_guest(room: Any, _: Any) -> None:
        assert len(room.booked) == 1

    made = JobManager([ann, bob])
    result = explore(made, lambda: SimpleNamespace(guest=None, booked=[]), check=one_guest)
    assert result.runs < FEW
    assert result.found is not None
    assert result.found.problem.startswith("the check raised AssertionError")
    assert result.found.switches == 1


@job
def load(ctx: Context, page: Any) -> None:
    """Write what another job reads."""
    page.user = "ann"


@pytest.mark.parametrize("seconds", [0.0, 3600.0])
def test_an_order_that_nobody_declared_is_found(seconds: float) -> None:
    """Also where the job sleeps first, in the hope that the other is done by then."""

    @job
    async def greet(ctx: Context, page: Any) -> None:
        await asyncio.sleep(seconds)
        page.html = "hello " + page.user

    result = explore(JobManager([load, greet]), lambda: SimpleNamespace(user=None), runs=FEW)
    assert result.found is not None
    assert result.found.problem.startswith("it raised TypeError")
    declared = JobManager([load, job(greet.fn, name="greet", after=["load"])])
    assert explore(declared, lambda: SimpleNamespace(user=None)).exhaustive


def test_a_fallback_that_hides_a_cancellation_is_found() -> None:
    """A job turns its cancellation into an error, and the fallback turns that into a success."""

    @job(fallback="nothing")
    async def tips() -> str:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            raise RuntimeError("no tips") from None
        return "tips"

    result = explore(JobManager([tips]), cancellations=True)
    assert result.runs < FEW
    assert result.found is not None
    assert "'tips' was told that its run is cancelled" in result.found.problem
    assert "a cancellation  comes" in str(result.found)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_job_that_swallows_its_cancellation_is_found(is_async: bool) -> None:
    """`except BaseException` around a wait, in a thread or on the loop."""

    def plain(ctx: Context) -> str:
        try:
            ctx.sleep(60)
        except BaseException:
            return "so what"
        return "done"

    async def on_loop() -> str:
        try:
            await asyncio.sleep(60)
        except BaseException:
            return "so what"
        return "done"

    made = JobManager([job(on_loop if is_async else plain, name="deaf")])
    assert explore(made, runs=FEW).found is None
    found = explore(made, cancellations=True, runs=FEW).found
    assert found is not None
    assert found.switches == 0


def test_locks_in_the_wrong_order_are_found() -> None:
    """Each job has what the other waits for; where both stand is told."""

    @job
    def one(ctx: Context) -> None:
        with ctx.lock("x"), ctx.lock("y"):
            pass

    @job
    async def other(ctx: Context) -> None:
        async with ctx.lock("y"), ctx.lock("x"):
            pass

    found = explore(JobManager([one, other]), runs=FEW).found
    assert found is not None
    assert found.problem.startswith("nothing can go on any more: a deadlock")
    assert "job 'one' waits at" in found.problem


def test_a_run_that_is_given_up_closes_its_loop() -> None:
    """On Python 3.14 the loop stayed open: what a thread calls there has a lock of its own."""
    loops = []

    @job
    def one() -> None:
        threading.Event().wait()

    @job
    async def other() -> None:
        loops.append(asyncio.get_running_loop())
        await asyncio.Event().wait()

    found = explore(JobManager([one, other]), runs=FEW).found
    assert found is not None
    assert "a deadlock" in found.problem
    assert loops
    assert all(loop.is_closed() for loop in loops)


def test_a_lost_update_of_a_group_is_found() -> None:
    """Any code that uses Gofer can be explored, not only a manager."""

    def work(order: Any) -> None:
        def add() -> None:
            order.total += 1

        with Group() as group:
            group.go(add)
            group.go(add)

    result = explore(work, order, check=lambda order, _: order.total == 2)
    assert result.runs < FEW
    assert result.found is not None


def test_failures_are_tried_at_every_place() -> None:
    """Whatever a job has done half is left so by a failure between two writes."""

    @job
    def move(ctx: Context, bank: Any) -> None:
        bank.one -= 5
        bank.other += 5

    def nothing_is_lost(bank: Any, _: Any) -> bool:
        return bool(bank.one + bank.other == 0)

    made = JobManager([move])
    assert explore(made, lambda: SimpleNamespace(one=0, other=0), check=nothing_is_lost).exhaustive
    found = explore(
        made, lambda: SimpleNamespace(one=0, other=0), check=nothing_is_lost, failures=True
    ).found
    assert found is not None
    assert isinstance(found.error, PlannedFailure)
    assert "is made to fail" in str(found)


def test_a_failure_stands_where_a_fallback_or_a_retry_does_not() -> None:
    """With one failure in each run, a retried job never fails."""

    @job(retry=Retry(attempts=2, on=PlannedFailure, wait_initial=60, wait_max=60))
    async def flaky() -> int:
        await asyncio.sleep(0)
        return 1

    result = explore(
        JobManager([flaky]), failures=True, check=lambda _, run: run.results == {"flaky": 1}
    )
    assert (result.found, result.exhaustive) == (None, True)


def test_a_timeout_is_tried_at_every_place() -> None:
    """A job that holds back what it has done so far until the end does nothing by halves."""

    @job(timeout=5, fallback=None)
    async def slow(ctx: Context, page: Any) -> None:
        page.begun = True
        await asyncio.sleep(1)
        page.ended = True

    def make() -> Any:
        return SimpleNamespace(begun=False, ended=False)

    def whole(page: Any, _: Any) -> bool:
        return bool(page.begun == page.ended)

    assert explore(JobManager([slow]), make, check=whole).found is None
    assert explore(JobManager([slow]), make, check=whole, timeouts=True).found is not None


def test_an_error_in_the_usual_order_is_found_at_once_unless_it_is_expected() -> None:
    """A run that always fails needs no schedule."""

    @job
    def fails() -> None:
        raise KeyError("no")

    result = explore(JobManager([fails]))
    assert (result.runs, result.found is not None) == (1, True)
    with pytest.raises(ScheduleBroken, match="it raised KeyError"):
        result.check()
    assert explore(JobManager([fails]), errors=(KeyError,)).exhaustive


def test_which_job_gets_the_last_place_is_tried() -> None:
    """Under a limit of one the manager's order is one of many."""
    seen: list[str] = []
    jobs = [job(lambda name=name: seen.append(name), name=name) for name in "abc"]

    orders: set[str] = set()
    result = explore(
        JobManager(jobs, limit=1), seen.clear, check=lambda *_: orders.add("".join(seen))
    )
    assert result.exhaustive
    assert orders == {"abc", "acb", "bac", "bca", "cab", "cba"}


def test_a_lock_twice_is_an_error_in_every_schedule() -> None:
    """Gofer's own answer is found as it is."""

    @job
    def twice(ctx: Context) -> None:
        with ctx.lock("x"), ctx.lock("x"):
            pass

    found = explore(JobManager([twice])).found
    assert found is not None
    assert isinstance(found.error, LockDeadlock)


def test_a_lock_of_the_param_orders_as_well() -> None:
    """A ``threading.Lock`` that is made in ``make_param`` waits by the explorer."""

    @job
    def one(ctx: Context, order: Any) -> None:
        with order.lock:
            order.total += 1

    made = JobManager([one, job(one.fn, name="other")])
    result = explore(made, lambda: SimpleNamespace(total=0, lock=threading.Lock()))
    assert (result.found, result.exhaustive) == (None, True)
