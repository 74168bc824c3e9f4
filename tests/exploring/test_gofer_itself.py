"""Gofer's own parts under its explorer: contexts, limits, breakers, groups, the core."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from gofer import (
    AsyncGroup,
    Breaker,
    BreakerOpen,
    Cancelled,
    Context,
    Group,
    JobManager,
    current_context,
    job,
)
from gofer._limits import Limit
from gofer.testing import PlannedFailure, explore

from .protocol import SharedDict, together

Prepared = tuple[list[Callable[[], object]], Callable[[], object]]


@pytest.fixture
def shared_contexts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the dicts of contexts points: all that these share without a lock."""
    begin = Context._begin

    def begin_shared(self: Context, *args: Any) -> None:
        begin(self, *args)
        self._outcome = SharedDict(f"outcome {self._parent is None}", self._outcome)
        self._calls = SharedDict(f"calls {self._parent is None}", self._calls)

    with monkeypatch.context() as patch:
        patch.setattr(Context, "_begin", begin_shared)
        yield


def test_a_context_is_cancelled_once_whoever_comes_first(shared_contexts: None) -> None:
    """Two cancel, one asks to be called, one makes a child: one cause for all, one call."""

    def prepare() -> Prepared:
        ctx = Context()
        called: list[object] = []
        children: list[Context] = []

        def check() -> None:
            assert ctx.cause in {"one", "other"}
            assert [each.cause for each in children] == [ctx.cause]
            assert called == [ctx.cause]
            assert not ctx._calls

        functions: list[Callable[[], object]] = [
            lambda: ctx.cancel("one"),
            lambda: ctx.on_cancel(lambda: called.append(ctx.cause)),
            lambda: children.append(ctx.child()),
        ]
        return functions, check

    runs, exhaustive = together(prepare, 1500)
    assert exhaustive or runs == 1500


def test_a_callback_that_is_taken_back_is_called_at_most_once(shared_contexts: None) -> None:
    """Whether the cancellation or the taking back comes first, in every order."""

    def prepare() -> Prepared:
        ctx = Context()
        called: list[str] = []
        forget = ctx.on_cancel(lambda: called.append("it"))

        def check() -> None:
            assert len(called) <= 1
            assert not ctx._calls

        return [lambda: ctx.cancel("one"), forget, lambda: ctx.cancel("other")], check

    runs, exhaustive = together(prepare, 3000)
    assert exhaustive
    assert runs > 1


@pytest.mark.parametrize("most", [1, 2])
def test_a_limit_hands_its_places_on(most: int) -> None:
    """Never more than there are, and whoever waits gets one: no hand-over is lost."""

    def prepare() -> Prepared:
        limit = Limit("db", most)
        held: list[int] = []
        had: list[int] = []

        def use() -> None:
            gate = threading.Lock()
            gate.acquire()
            place = limit.enter("job", gate.release)
            if not place.granted:
                gate.acquire()
            held.append(1)
            assert len(held) <= most
            had.append(1)
            held.pop()
            place.leave()

        def check() -> None:
            assert len(had) == 3
            assert not limit._held
            assert not limit._line

        return [use, use, use], check

    runs, exhaustive = together(prepare, 3000)
    assert exhaustive or runs == 3000


def test_who_leaves_the_line_takes_no_place_with_it() -> None:
    """One gives up waiting while the place is being handed to it: the third one gets it."""

    def prepare() -> Prepared:
        limit = Limit("db", 1)
        first = limit.enter("first", lambda: None)
        second = limit.enter("second", lambda: None)
        third: list[Any] = []

        def check() -> None:
            assert third[0].granted
            third[0].leave()
            assert not limit._held

        functions: list[Callable[[], object]] = [
            first.leave,
            second.leave,
            lambda: third.append(limit.enter("third", lambda: None)),
        ]
        return functions, check

    runs, exhaustive = together(prepare, 3000)
    assert exhaustive
    assert runs > 1


def test_a_half_open_breaker_lets_one_call_through() -> None:
    """Three ask at the same time; the one that was let through decides for all."""

    def prepare() -> Prepared:
        breaker = Breaker(failures=1, reset_after=10)
        ticket = breaker.admit(0.0)
        assert ticket is not None
        breaker.ended(ticket, ValueError(), 0.0)
        through: list[int] = []

        def ask() -> None:
            ticket = breaker.admit(20.0)
            if ticket is not None and breaker.state != "closed":
                through.append(ticket)
                breaker.ended(ticket, None, 20.0)

        def check() -> None:
            assert len(through) == 1
            assert breaker.state == "closed"

        return [ask, ask], check

    runs, exhaustive = together(prepare, 3000)
    assert exhaustive
    assert runs > 1


def test_a_breaker_in_runs_opens_once_and_closes_again() -> None:
    """Calls of several jobs: what comes after the first failure in any order is refused."""
    breaker = Breaker(failures=1, reset_after=60)

    @job(breaker=breaker, fallback="refused or failed")
    def asks(ctx: Context) -> str:
        raise ConnectionError

    made = JobManager([asks, job(asks.fn, name="too", breaker=breaker)])
    result = explore(made, errors=(ConnectionError, BreakerOpen), check=lambda *_: None)
    assert (result.found, result.exhaustive) == (None, True)


@pytest.mark.parametrize("limit", [None, 1, 2])
def test_a_group_runs_what_it_was_given(limit: int | None) -> None:
    """Every job once, never more than the limit, also those that jobs add."""

    def work(seen: Any) -> None:
        running: list[int] = []

        def add(n: int) -> int:
            running.append(n)
            assert limit is None or len(running) <= limit
            seen.ran += 1
            if n == 0:
                handles.append(group.go(add, 3))
            running.remove(n)
            return n

        handles: list[Any] = []
        with Group(limit=limit) as group:
            handles += [group.go(add, n) for n in range(2)]
        assert sorted(each.result() for each in handles) == [0, 1, 3]

    result = explore(work, lambda: SimpleNamespace(ran=0), runs=150, check=lambda *_: None)
    assert result.found is None


def test_a_group_whose_job_fails_tells_the_others() -> None:
    """In every order: the first failure is raised, and handles say what became of each job."""

    def work() -> None:
        handles: list[Any] = []
        group = Group()
        try:
            with group:
                for _ in range(2):
                    handles.append(group.go(wait))
        except PlannedFailure:
            assert any(each.error is not None for each in handles)
        assert all(each.done for each in handles)
        assert {each.state for each in handles} <= {
            "succeeded",
            "failed",
            "cancelled",
            "not started",
        }

    def wait() -> None:
        ctx = current_context()
        assert ctx is not None
        ctx.sleep(1)

    result = explore(work, runs=300, failures=True, check=lambda *_: None)
    assert result.found is None


def test_an_async_group_is_cancelled_as_a_whole() -> None:
    """A failure at any await: the block and the other job end, and the error goes out."""

    async def work() -> str:
        ended: list[str] = []

        async def one() -> None:
            try:
                await asyncio.sleep(5)
            finally:
                ended.append("one")

        try:
            async with AsyncGroup() as group:
                await group.go(one)
                await group.go(one)
                await asyncio.sleep(1)
        except PlannedFailure:
            return "failed"
        assert ended == ["one", "one"]
        return "succeeded"

    result = explore(work, runs=200, failures=True, check=lambda *_: None)
    assert result.found is None


@pytest.mark.parametrize("seed", range(6))
def test_the_core_keeps_its_invariants_in_every_schedule(seed: int) -> None:
    """Random graphs with failures and cancellations: nothing starts before its needs or after all.

    The schedule's own invariants hold, and what ran is closed under needs.
    """
    chance = Random(seed)
    needs = [sorted(chance.sample(range(i), min(i, chance.choice([0, 1, 1, 2])))) for i in range(4)]

    def make(i: int) -> Callable[..., Any]:
        async def on_loop(ctx: Context, param: Any) -> None:
            assert all(param.done.get(k) for k in needs[i])
            param.done[i] = True

        def plain(ctx: Context, param: Any) -> None:
            assert all(param.done.get(k) for k in needs[i])
            param.done[i] = True

        return on_loop if chance.random() < 0.4 else plain

    jobs = [job(make(i), name=f"j{i}", after=[f"j{k}" for k in needs[i]]) for i in range(4)]
    made = JobManager(jobs, limit=chance.choice([None, 1, 2]), fail_fast=chance.random() < 0.7)

    def check(_: Any, run: Any) -> None:
        run._schedule.check()
        states = {name: run.record(name).state for name in ("j0", "j1", "j2", "j3")}
        for i in range(4):
            if states[f"j{i}"] != "not started":
                assert all(states[f"j{k}"] == "succeeded" for k in needs[i])
        if run.state == "succeeded":
            assert set(states.values()) == {"succeeded"}
        else:
            assert isinstance(run.error, (PlannedFailure, Cancelled))

    result = explore(
        made,
        lambda: SimpleNamespace(done={}),
        check=check,
        runs=150,
        failures=True,
        cancellations=True,
    )
    assert result.found is None, str(result)
