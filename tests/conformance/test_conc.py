"""``Group`` and ``map`` in the situations of the tests of Go's ``sourcegraph/conc``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import gofer
from gofer import Cancelled, Context, Group, JobPanic, LimitError

from .helpers import Base, Boom


class Active:
    """Counts how many are in it at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = self.most = self.total = 0

    def __call__(self, number: int = 0) -> int:
        with self.lock:
            self.now += 1
            self.total += 1
            self.most = max(self.most, self.now)
        with self.lock:
            self.now -= 1
        return number


def boom(*_: object) -> None:
    """Fail."""
    raise Boom


def panics(*_: object) -> None:
    """Panic."""
    raise Base("super bad thing")


@pytest.mark.parametrize("limit", [1, 10, 100])
def test_a_pool_never_has_more_than_its_limit(limit: int) -> None:
    """Ten times as many jobs as places: each runs once."""
    active = Active()
    with Group(limit=limit) as group:
        for _ in range(10 * limit):
            group.go(active)

    assert active.total == 10 * limit
    assert active.most <= limit


@pytest.mark.parametrize("limit", [1, 10, 100])
def test_a_map_never_has_more_than_its_limit(limit: int) -> None:
    """Likewise, and results are in order."""
    active = Active()

    assert list(gofer.map(active, range(10 * limit), limit=limit)) == list(range(10 * limit))
    assert active.most <= limit


@pytest.mark.parametrize("limit", [0, -1])
def test_a_bad_limit_is_refused_at_once(limit: int) -> None:
    """As conc does, which panics."""
    with pytest.raises(LimitError):
        Group(limit=limit)
    with pytest.raises(LimitError):
        gofer.map(boom, [], limit=limit)


def test_all_jobs_have_run_when_the_block_ends() -> None:
    """A hundred increments are a hundred."""
    active = Active()
    with Group() as group:
        for _ in range(100):
            group.go(active)

    assert active.total == 100


@pytest.mark.parametrize("count", [1, 100])
def test_a_panic_comes_out_at_the_end_and_others_have_ended(count: int) -> None:
    """One of many panics: the first is it, with the job's own lines in its traceback."""
    active = Active()
    with pytest.raises(JobPanic, match="super bad thing") as caught, Group() as group:
        group.go(active)
        try:
            for _ in range(count):
                group.go(panics)
        except Cancelled:
            pass

    assert active.now == 0
    assert type(caught.value.__cause__) is Base
    trace = caught.value.__cause__.__traceback__
    assert trace is not None
    assert trace.tb_frame.f_code is panics.__code__


def test_panics_do_not_use_up_the_places() -> None:
    """Ten times as many panics as places, and still every job is tried."""
    with pytest.raises(ExceptionGroup) as caught, Group(limit=2, fail_fast=False) as group:
        for _ in range(20):
            group.go(panics)

    assert [type(each) for each in caught.value.exceptions] == [JobPanic] * 20


def test_a_pools_limit_can_be_read() -> None:
    """As ``MaxGoroutines``; differs: the default is no limit, not the number of processors."""
    with Group() as group:
        barrier = threading.Barrier(200)
        for _ in range(200):
            group.go(barrier.wait)


@pytest.mark.parametrize("errors", [0, 1, 2])
def test_all_errors_are_joined_where_one_asks_for_it(errors: int) -> None:
    """``fail_fast=False`` is conc's default: every job runs, and the errors are one group."""
    active = Active()
    raised: tuple[Any, ...] = ()
    try:
        with Group(fail_fast=False) as group:
            for i in range(4):
                group.go(boom if i < errors else active)
    except ExceptionGroup as group_of_errors:
        raised = group_of_errors.exceptions

    assert [type(each) for each in raised] == [Boom] * errors
    assert active.total == 4 - errors


def test_the_first_error_cancels_the_context_of_the_others() -> None:
    """``WithCancelOnError`` and ``WithFirstError``: here that is the default."""
    barrier = threading.Barrier(3)

    def waits(ctx: Context) -> None:
        barrier.wait()
        ctx.sleep(3600)

    def fails() -> None:
        barrier.wait()
        raise Boom

    with pytest.raises(Boom), Group() as group:
        group.go(waits, group.context)
        group.go(waits, group.context)
        group.go(fails)


def test_a_cancelled_context_cancels_the_pool() -> None:
    """The caller's context reaches every job; Cancelled comes out, with what it was given."""
    with Context() as ctx, pytest.raises(Cancelled) as caught, Group(ctx) as group:
        group.go(group.context.sleep, 3600)
        ctx.cancel("enough")

    assert caught.value.cause == "enough"


def test_results_are_in_the_order_of_adding() -> None:
    """Whatever order the jobs end in; conc's result pools promise it since 0.4."""
    events = [threading.Event() for _ in range(10)]

    def gives(i: int) -> int:
        if i < 9:
            assert events[i + 1].wait(30)
        events[i].set()
        return i

    with Group() as group:
        handles = [group.go(gives, i) for i in range(10)]

    assert [each.result() for each in handles] == list(range(10))


def test_a_stream_hands_out_in_order_while_later_ones_run() -> None:
    """The first result is there before the last job may end; conc calls a callback for each."""
    go = threading.Event()

    def gives(i: int) -> int:
        if i == 3:
            assert go.wait(30)
        return i

    seen = []
    for result in gofer.map(gives, range(5), limit=4):
        seen.append(result)
        if result == 2:
            go.set()

    assert seen == [0, 1, 2, 3, 4]


def test_a_panic_in_the_callback_of_a_stream_ends_it() -> None:
    """The callback is the body of the loop here: its error comes out, and all jobs have ended."""
    active = Active()

    def body() -> None:
        for _ in gofer.map(active, range(1000), limit=4):
            raise Base

    with pytest.raises(Base):
        body()
    assert active.now == 0
    assert active.total < 1000


@pytest.mark.parametrize("items", [[], [1], list(range(10_000))])
def test_a_map_of_any_length(items: list[int]) -> None:
    """Empty, one, and very many."""
    assert list(gofer.map(lambda item: item + 1, items)) == [item + 1 for item in items]


def test_each_item_may_be_changed_in_place() -> None:
    """What jobs get are the items themselves, as with ``iter.ForEach`` and its pointers."""
    items = [{"n": n} for n in range(100)]

    def add(item: dict[str, int]) -> None:
        item["n"] += 1

    assert list(gofer.map(add, items)) == [None] * 100
    assert [item["n"] for item in items] == list(range(1, 101))


@pytest.mark.parametrize("fn", [boom, panics])
def test_a_map_passes_on_an_error_and_a_panic(fn: Callable[..., None]) -> None:
    """The error as itself, the panic as a JobPanic."""
    with pytest.raises((Boom, JobPanic)) as caught:
        list(gofer.map(fn, range(5)))

    assert type(caught.value) is (Boom if fn is boom else JobPanic)
    failed = sum(not handle.ok for handle in gofer.map(fn, range(5), check=False))
    assert failed == 5
