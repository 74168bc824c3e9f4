"""Deadlines: which one counts, when it has passed, and what may be given as one."""

from __future__ import annotations

import math
import threading
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from gofer import Cancelled, Context, DeadlineExceeded

from .conftest import Clock

PATIENCE = 30.0
"""Seconds after which a wait fails. Nothing that works comes near it."""


def test_a_deadline_cancels_when_it_has_come_and_not_before(clock: Clock) -> None:
    """The clock decides, also where no timer has rung."""
    ctx = Context(timeout=2.5)
    below = ctx.child()
    assert ctx.deadline == below.deadline == 1002.5
    assert ctx.remaining() == below.remaining() == 2.5
    clock.now = 1002.4
    assert not ctx.cancelled
    assert not below.cancelled
    assert below.remaining() == pytest.approx(0.1)
    clock.now = 1002.5
    assert below.cancelled
    assert ctx.cancelled
    clock.now = 1010.0
    assert ctx.remaining() == 0.0
    for each in (ctx, below):
        assert isinstance(each.cause, DeadlineExceeded)
        with pytest.raises(DeadlineExceeded, match="the deadline has passed"):
            each.check()


def test_a_deadline_and_a_cancellation_are_never_taken_for_each_other(clock: Clock) -> None:
    """Whatever came first is what every check raises, for ever."""
    cancelled, expired = Context(timeout=5), Context(timeout=5)
    cancelled.cancel("enough")
    clock.now += 5
    assert expired.cancelled
    expired.cancel("too late")
    assert cancelled.cause == "enough"
    assert isinstance(expired.cause, DeadlineExceeded)
    for _ in range(2):
        with pytest.raises(Cancelled):
            cancelled.check()
        with pytest.raises(DeadlineExceeded):
            expired.check()


def test_a_deadline_error_as_a_cause_is_a_cancellation_all_the_same() -> None:
    """It was somebody's decision here, even if it was a deadline elsewhere."""
    ctx = Context()
    ctx.cancel(DeadlineExceeded())
    with pytest.raises(Cancelled, match="DeadlineExceeded: the deadline has passed"):
        ctx.check()


def test_each_check_raises_an_error_of_its_own(clock: Clock) -> None:
    """An object raised by many jobs would collect all their tracebacks and notes."""
    ctx, late = Context(), Context(timeout=0)
    ctx.cancel()
    errors = []
    for each in (ctx, ctx, late, late):
        with pytest.raises((Cancelled, DeadlineExceeded)) as caught:
            each.check()
        errors.append(caught.value)
    assert len(set(map(id, errors))) == 4
    assert late.cause not in errors


def test_the_earlier_deadline_of_parent_and_child_counts(clock: Clock) -> None:
    """A child can only have less time, and takes none from its parent."""
    root = Context(timeout=10)
    shorter, longer, endless = root.child(timeout=4), root.child(60), root.child(timeout=math.inf)
    assert shorter.deadline == shorter.child(timeout=9).deadline == 1004.0
    assert longer.deadline == endless.deadline == longer.child().deadline == 1010.0
    clock.now = 1004.0
    assert [ctx.cancelled for ctx in (root, shorter, longer)] == [False, True, False]
    clock.now = 1010.0
    assert longer.child().cancelled
    assert longer.cancelled
    assert isinstance(longer.cause, DeadlineExceeded)


def test_the_earlier_of_timeout_and_deadline_counts(clock: Clock) -> None:
    """One is from now on, the other on the clock."""
    assert Context(timeout=5, deadline=1003.0).deadline == 1003.0
    assert Context(timeout=5, deadline=1008.0).deadline == 1005.0
    assert Context(deadline=1008.0).child(deadline=1007, timeout=7.5).deadline == 1007.0


@pytest.mark.parametrize("timeout", [0, -1, -0.0, -math.inf, -(10**400), timedelta(0), False])
def test_a_timeout_of_nothing_has_passed_already(timeout: Any, clock: Clock) -> None:
    """As if one came too late: no error of its own, the context is simply over."""
    for ctx in (Context(timeout), Context(60).child(timeout)):
        assert ctx.cancelled
        assert isinstance(ctx.cause, DeadlineExceeded)
        assert ctx.remaining() == 0.0


@pytest.mark.parametrize("timeout", [None, math.inf, 10**400, Fraction(10) ** 400])
def test_an_endless_timeout_is_none(timeout: Any, clock: Clock) -> None:
    """What no float can hold is as good as for ever."""
    assert Context(timeout).deadline is None
    assert Context(deadline=timeout).deadline is None
    assert Context(60).child(timeout).deadline == 1060.0


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [
        (2, 2.0),
        (2.5, 2.5),
        (True, 1.0),
        (Fraction(5, 2), 2.5),
        (Decimal("2.5"), 2.5),
        (timedelta(minutes=1), 60.0),
        (timedelta.max, timedelta.max.total_seconds()),
        (1e300, 1e300),
    ],
)
def test_a_timeout_may_be_any_number(timeout: Any, seconds: float, clock: Clock) -> None:
    """Whatever is a number of seconds, and a timedelta."""
    ctx = Context(timeout)
    assert ctx.deadline == 1000.0 + seconds
    assert not ctx.cancelled


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (math.nan, ValueError, "must be a number of seconds, got NaN"),
        (Decimal("NaN"), ValueError, "must be a number of seconds, got NaN"),
        ("5", TypeError, "must be a number of seconds, got '5'"),
        (b"5", TypeError, "must be a number of seconds, got b'5'"),
        ([5], TypeError, r"must be a number of seconds, got \[5\]"),
        (1j, TypeError, "must be a number of seconds, got 1j"),
    ],
)
def test_what_is_no_number_of_seconds_is_refused(
    given: Any, error: type[Exception], words: str
) -> None:
    """In words that say which argument it was; nothing is left of the attempt."""
    root = Context()
    for make in (Context, root.child):
        with pytest.raises(error, match=f"timeout {words}"):
            make(timeout=given)
        with pytest.raises(error, match=f"deadline {words}"):
            make(deadline=given)
        with pytest.raises(error, match="must be a number of seconds"):
            make(timeout=0, deadline=given)
    with pytest.raises(error, match="must be a number of seconds"):
        root.sleep(given)
    assert not root.cancelled


def test_a_deadline_rings_by_itself() -> None:
    """Nobody has to ask: callbacks run when it has passed, and see why."""
    seen: list[object] = []
    rung = threading.Event()
    ctx = Context(timeout=0.01)
    below = ctx.child()
    below.on_cancel(lambda: (seen.append(below.cause), rung.set()))
    assert rung.wait(PATIENCE)
    assert [type(each) for each in seen] == [DeadlineExceeded]
