"""Jobs that are given away to an engine, which tells later when each has begun."""

from __future__ import annotations

import random

import pytest

from gofer._core.lanes import AWAY, NOTHING
from gofer._core.plan import Plan
from gofer._core.schedule import Schedule
from gofer._core.states import FAILED, NAMES, NOT_STARTED, READY, SUCCEEDED
from gofer.errors import InvalidTransition


def schedule(needs: dict[str, str]) -> Schedule:
    """Make a schedule of jobs named by one letter, all of which go away."""
    plan = Plan(list(needs), [list(each) for each in needs.values()], bytes([AWAY] * len(needs)))
    return Schedule(plan)


def shown(made: Schedule) -> list[str]:
    return [NAMES[made.final_state(i)] for i in range(made.plan.size)]


def test_a_job_that_was_given_away_is_ready_until_it_has_begun() -> None:
    """Whoever looks at the run sees what really happens, not what has been sent."""
    made = schedule({"a": "", "b": "", "c": "a"})
    assert made.take_many(AWAY, None, 9) == [0, 1]
    assert shown(made) == ["ready", "ready", "waiting"]
    made.check()
    made.began(1, 2.0)
    assert shown(made) == ["ready", "running", "waiting"]
    assert made.started_at == [None, 2.0, None]
    made.began(0, 3.0)
    made.ended(0, SUCCEEDED, 4.0)
    assert made.take_many(AWAY, None, 9) == [2]
    assert made.take(AWAY, None) == NOTHING
    made.check()


def test_one_that_never_began_has_not_started() -> None:
    """After a stop the engine takes it back."""
    made = schedule({"a": "", "b": ""})
    made.take_many(AWAY, None, 9)
    made.began(0, 1.0)
    made.ended(0, FAILED, 2.0)
    assert not made.finished
    made.ended(1, NOT_STARTED, 0.0)
    assert made.finished
    assert shown(made) == ["failed", "not started"]
    made.check()


def test_an_engine_that_had_not_heard_of_the_stop_may_begin_one_more() -> None:
    """Its news is booked: the job did run, though nobody could take it any more."""
    made = schedule({"a": "", "b": "", "c": "a", "d": "a"})
    made.take_many(AWAY, None, 9)
    made.began(0, 1.0)
    made.cancelled()
    made.ended(0, SUCCEEDED, 2.0)
    assert made.take_many(AWAY, None, 9) == []
    made.began(2, 2.0)
    made.check()
    assert not made.finished
    made.ended(2, SUCCEEDED, 3.0)
    made.ended(1, NOT_STARTED, 0.0)
    assert made.finished
    assert shown(made) == ["succeeded", "not started", "succeeded", "not started"]
    made.check()


def test_a_root_may_begin_likewise() -> None:
    """Also one that was never taken, as the run was stopped at once."""
    made = schedule({"a": "", "b": ""})
    made.cancelled()
    made.began(1, 0.5)
    made.check()
    made.ended(1, SUCCEEDED, 1.0)
    assert shown(made) == ["not started", "succeeded"]


def test_a_job_that_cannot_have_begun_is_refused() -> None:
    """It waits for others, or has ended; nothing is changed."""
    made = schedule({"a": "", "b": "a"})
    with pytest.raises(InvalidTransition, match="job 'b' is waiting; it cannot have begun"):
        made.began(1, 1.0)
    made.take_many(AWAY, None, 9)
    made.began(0, 1.0)
    made.ended(0, SUCCEEDED, 2.0)
    with pytest.raises(InvalidTransition, match="job 'a' is succeeded; it cannot have begun"):
        made.began(0, 3.0)
    assert made.started_at == [1.0, None]
    made.check()


@pytest.mark.parametrize("seed", range(20))
def test_at_random_the_engine_may_tell_in_any_order(seed: int) -> None:
    """Invariants hold after each piece of news, before and after a stop."""
    draw = random.Random(seed)
    letters = "abcdefghijkl"
    needs = {x: "".join(draw.sample(letters[:i], min(i, 2))) for i, x in enumerate(letters)}
    made = schedule(needs)
    made.take_many(AWAY, None, 99)
    while not made.finished:
        alive = [i for i, at in enumerate(made.started_at) if at is not None]
        busy = [i for i in alive if made.ended_at[i] is None]
        idle = [i for i in range(made.plan.size) if made.final_state(i) == READY]
        if draw.random() < 0.05:
            made.cancelled()
        if idle and (not busy or draw.random() < 0.5):
            made.began(draw.choice(idle), 1.0)
        elif busy:
            made.ended(draw.choice(busy), draw.choice([SUCCEEDED] * 9 + [FAILED]), 2.0)
            made.take_many(AWAY, None, 99)
        made.check()
