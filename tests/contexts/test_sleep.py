"""A sleep that a cancellation ends."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from gofer import Cancelled, Context, DeadlineExceeded, RunningLoopError, _parts

from .conftest import Clock

PATIENCE = 30.0
"""Seconds after which a wait fails. Nothing that works comes near it."""


def test_a_sleep_takes_its_time() -> None:
    """No less than was asked for."""
    before = time.monotonic()
    Context().sleep(0.02)
    Context(60).child().sleep(timedelta(milliseconds=20))  # type: ignore[arg-type]
    assert time.monotonic() - before >= 0.04


def test_a_sleep_goes_on_until_the_clock_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may wake it early, as here, where our clock is behind the system's."""
    ticks = iter(range(10_000))
    monkeypatch.setattr(_parts, "clock", lambda: next(ticks) / 1000)
    Context().sleep(0.01)
    assert next(ticks) >= 10


@pytest.mark.parametrize("seconds", [0, -1, -math.inf, -(10**400)])
def test_a_sleep_of_nothing_only_checks(seconds: float, clock: Clock) -> None:
    """It returns, or raises what ``check`` would."""
    ctx = Context()
    ctx.sleep(seconds)
    ctx.cancel("enough")
    with pytest.raises(Cancelled, match="enough"):
        ctx.sleep(seconds)
    with pytest.raises(DeadlineExceeded):
        Context(timeout=0).sleep(seconds)


def test_a_sleep_of_none_is_refused() -> None:
    """Nobody knows whether that means not at all or for ever."""
    with pytest.raises(TypeError, match="seconds must be a number of seconds, got None"):
        Context().sleep(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [60, math.inf, 10**400, timedelta.max, 1e300], ids=repr)
def test_a_cancellation_ends_a_sleep(seconds: Any) -> None:
    """At once, however long it was meant to be, from any thread and from above."""
    root = Context()
    ctx = root.child()
    caught: list[BaseException] = []
    asleep = threading.Event()

    def sleep() -> None:
        asleep.set()
        try:
            ctx.sleep(seconds)
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=sleep)
    thread.start()
    assert asleep.wait(PATIENCE)
    root.cancel("enough")
    thread.join(PATIENCE)
    assert [type(error) for error in caught] == [Cancelled]
    assert ctx.cause == "enough"


@pytest.mark.parametrize("make", [Context, Context(60).child, lambda s: Context(s).child(60)])
def test_a_deadline_ends_a_sleep(make: Callable[[float], Context]) -> None:
    """Its own and an inherited one alike."""
    with pytest.raises(DeadlineExceeded):
        make(0.01).sleep(10**400)


def test_a_sleep_on_a_running_loop_is_refused_with_the_line_to_write() -> None:
    """It would freeze everything else; all other methods may be called there."""

    async def main() -> None:
        ctx = Context(60)
        with pytest.raises(RunningLoopError, match=r"write: await asyncio\.sleep\(s\)"):
            ctx.sleep(0)
        ctx.check()
        ctx.cancel()
        assert ctx.child().cancelled

    asyncio.run(main())
