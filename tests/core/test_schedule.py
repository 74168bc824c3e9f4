"""Schedules, told as short stories; test_schedule_at_random.py has the proof."""

from __future__ import annotations

from typing import Any

import pytest

from gofer._core.lanes import LOOP, NOTHING, THREADS, Lanes
from gofer._core.plan import Plan
from gofer._core.schedule import Schedule
from gofer._core.states import (
    CANCELLED,
    FAILED,
    LETS_DEPENDENTS_START,
    NAMES,
    NOT_STARTED,
    OUTCOMES,
    READY,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    TRANSITIONS,
    WAITING,
    named,
)
from gofer.errors import InvalidTransition

from .playing import everything, refuse


def schedule(needs: dict[str, str], loop: str = "", **options: Any) -> Schedule:
    """Make a schedule of jobs named by one letter; those in ``loop`` are for the loop."""
    lanes = bytes(LOOP if name in loop else THREADS for name in needs)
    return Schedule(Plan(list(needs), [list(each) for each in needs.values()], lanes), **options)


def states(made: Schedule) -> list[str]:
    return [NAMES[each] for each in made.states]


def test_a_diamond_runs_from_the_top_down() -> None:
    """A job is ready when the last of its needs has ended well, and no sooner."""
    made = schedule({"a": "", "b": "a", "c": "a", "d": "bc"})
    assert made.take(THREADS, 0.0) == 0
    assert made.take(THREADS, 0.0) == NOTHING
    made.ended(0, SUCCEEDED, 1.0)
    assert states(made) == ["succeeded", "ready", "ready", "waiting"]
    assert [made.take(THREADS, 1.0), made.take(THREADS, 1.5)] == [1, 2]
    made.ended(2, SKIPPED, 3.0)
    assert made.take(THREADS, 3.0) == NOTHING
    assert made.turn(1, SUCCEEDED, THREADS, 4.0) == 3
    assert not made.finished
    made.ended(3, SUCCEEDED, 6.0)
    assert made.finished
    assert made.started_at == [0.0, 1.0, 1.5, 4.0]
    assert made.ended_at == [1.0, 4.0, 3.0, 6.0]
    assert [made.waited(i) for i in range(4)] == [0.0, 0.0, 0.5, 0.0]
    made.check()


def test_the_first_failure_stops_the_run_and_is_its_error() -> None:
    """Nothing is taken after it; what runs still may fail too, but comes second."""
    made = schedule({"a": "", "b": "", "c": "", "d": "a"})
    for i in (0, 1):
        assert made.take(THREADS, 0.0) == i
    assert made.turn(1, FAILED, THREADS, 1.0) == NOTHING
    assert not made.finished
    made.ended(0, FAILED, 2.0)
    assert (made.first, made.failures) == (1, [1, 0])
    assert made.finished
    assert [NAMES[made.final_state(i)] for i in range(4)] == [
        "failed", "failed", "not started", "not started",
    ]  # fmt: skip
    assert made.waited(2) is None
    assert not made.cut_short
    made.check()


def test_without_fail_fast_all_runs_that_does_not_depend_on_a_failed_job() -> None:
    """What depends on it, however far down, is ruled out at once."""
    made = schedule({"a": "", "b": "a", "c": "b", "d": "", "e": "d"}, fail_fast=False)
    made.take(THREADS, 0.0)
    assert made.turn(0, FAILED, THREADS, 1.0) == 3
    assert states(made) == ["failed", "not started", "not started", "running", "waiting"]
    assert made.turn(3, SUCCEEDED, THREADS, 2.0) == 4
    made.ended(4, FAILED, 3.0)
    assert made.finished
    assert not made.unfinished
    assert (made.first, made.failures) == (0, [0, 4])
    made.check()


def test_a_failure_after_a_cancellation_is_not_the_error_of_the_run() -> None:
    """The cancellation came first, so it is what the run ended by."""
    made = schedule({"a": ""})
    made.take(THREADS, 0.0)
    made.cancelled()
    made.ended(0, FAILED, 1.0)
    assert (made.first, made.failures) == (NOTHING, [0])
    assert made.cut_short


def test_a_cancellation_after_the_last_job_has_cut_nothing_short() -> None:
    """Everything was done, so there is nothing to complain of."""
    made = schedule({"a": "", "b": ""})
    made.take(THREADS, 0.0)
    made.take(THREADS, 0.0)
    made.ended(0, SUCCEEDED, 1.0)
    made.cancelled()
    assert made.cut_short  # so far
    made.ended(1, SUCCEEDED, 2.0)
    assert made.finished
    assert not made.cut_short


def test_whether_a_job_came_too_late_is_told_by_its_recorded_end() -> None:
    """The deadline may be told when the last job has ended; a failure before it stays the error."""
    for outcome, ended, due, cut_short in (
        (SUCCEEDED, 1.0, 1.5, False),
        (SUCCEEDED, 1.5, 1.5, True),
        (SUCCEEDED, 2.0, 1.5, True),
        (FAILED, 2.0, 1.5, False),
    ):
        made = schedule({"a": "", "b": ""})
        made.take(THREADS, 0.0)
        made.take(THREADS, 0.0)
        made.ended(1, outcome, ended)
        made.ended(0, SUCCEEDED, 0.5)
        made.was_due(due)
        assert made.cut_short == cut_short


def test_a_run_without_jobs_was_in_time() -> None:
    """Whenever it was due, even before it began."""
    made = schedule({})
    made.was_due(-0.1)
    assert made.cut_short is False


def test_a_job_that_was_taken_back_has_never_started() -> None:
    """The loop had it, but a cancellation came before its first line."""
    made = schedule({"a": "", "b": "a"}, loop="ab")
    assert made.take(LOOP, 0.5) == 0
    made.cancelled()
    made.ended(0, NOT_STARTED, 1.0)
    assert made.finished
    assert (made.started_at, made.ended_at) == ([None, None], [None, None])
    assert made.cut
    assert made.cut_short
    made.check()


def test_the_last_free_place_goes_to_the_first_of_both_lanes() -> None:
    """So a busy lane cannot keep the other from ever starting anything."""
    made = schedule({"a": "", "b": "", "c": "", "d": ""}, loop="bd", limit=2)
    assert made.take(LOOP, 0.0) == 1  # two places are free, so each lane may have one
    assert made.take(LOOP, 0.0) == NOTHING
    assert made.take(THREADS, 0.0) == 0
    assert made.take(THREADS, 0.0) == NOTHING  # none is free
    assert made.turn(1, SUCCEEDED, LOOP, 1.0) == NOTHING  # c comes before d
    assert made.take(THREADS, 1.0) == 2
    made.check()


def test_ready_jobs_go_in_the_order_given() -> None:
    """Longest remaining path first, say; what becomes ready later takes its place among them."""
    made = schedule({"a": "", "b": "", "c": "b", "d": ""}, order=[3, 2, 1, 0], limit=1)
    started = [made.take(THREADS, 0.0)]
    while (i := made.turn(started[-1], SUCCEEDED, THREADS, 0.0)) != NOTHING:
        started.append(i)
        made.check()
    assert started == [3, 1, 2, 0]
    assert made.finished


def test_jobs_that_are_not_asked_for_do_not_run() -> None:
    """They wait for ever, count for nothing, and are not started once the run is over."""
    made = schedule({"a": "", "b": "", "c": "ab", "d": "a"}, only={0, 3})
    assert made.take(THREADS, 0.0) == 0
    assert made.turn(0, SUCCEEDED, THREADS, 1.0) == 3
    assert states(made) == ["succeeded", "waiting", "waiting", "running"]
    made.ended(3, SUCCEEDED, 2.0)
    assert made.finished
    assert made.final_state(1) == made.final_state(2) == NOT_STARTED
    made.check()


@pytest.mark.parametrize("i", [-3, -2, -1, 2, 3, 1 << 70])
def test_a_job_that_does_not_exist_cannot_end(i: int) -> None:
    """NOTHING and other numbers below 0 do not count from the end, as Python's indices do."""
    made = schedule({"a": "", "b": ""})
    made.take(THREADS, 0.0)
    made.take(THREADS, 0.0)
    for outcome in OUTCOMES:
        refuse(made, i, outcome)


@pytest.mark.parametrize("outcome", [WAITING, READY, RUNNING, -1, 8, None])
def test_a_running_job_ends_only_as_the_table_says(outcome: Any) -> None:
    """What is no outcome is refused, in words."""
    made = schedule({"orders": ""})
    made.take(THREADS, 0.0)
    refuse(made, 0, outcome)
    wish = NAMES[outcome] if outcome in TRANSITIONS else f"{outcome!r}, which is no state"
    with pytest.raises(InvalidTransition) as caught:
        made.ended(0, outcome, 1.0)
    assert str(caught.value) == f"job 'orders' is running; it cannot become {wish}"


@pytest.mark.parametrize("outcome", sorted(OUTCOMES))
def test_a_job_ends_once(outcome: int) -> None:
    """Neither before it has started nor a second time."""
    made = schedule({"orders": "", "tips": ""})
    refuse(made, 0, outcome)
    made.take(THREADS, 0.0)
    made.ended(0, outcome, 1.0)
    refuse(made, 0, SUCCEEDED)
    refuse(made, 0, outcome)
    with pytest.raises(InvalidTransition, match=f"job 'orders' is {NAMES[outcome]}; it cannot"):
        made.ended(0, SUCCEEDED, 2.0)


def test_runs_of_one_plan_share_nothing() -> None:
    """A plan is compiled once, and no run of it leaves a trace in it."""
    plan = Plan(["a", "b"], [[], ["a"]])
    one, other = Schedule(plan), Schedule(plan)
    untouched = everything(other)
    one.take(THREADS, 0.0)
    one.turn(0, SUCCEEDED, THREADS, 1.0)
    one.ended(1, FAILED, 2.0)
    assert everything(other) == everything(Schedule(plan)) == untouched


def test_one_thread_at_a_time_is_woken_and_only_where_it_may_take_a_job() -> None:
    """Who wakes one notes that it is on its way; when it has come, the next may be woken."""
    made = schedule({"a": "", "b": "", "c": ""}, loop="c", limit=2)
    assert made.wants()
    assert not made.wants()
    made.waking = False
    made.take(THREADS, 0.0)
    assert made.wants()
    made.waking = False
    made.take(THREADS, 0.0)
    assert not made.wants()  # the limit
    made.ended(0, SUCCEEDED, 1.0)
    assert not made.wants()  # what is left is not for a thread
    assert made.take(LOOP, 1.0) == 2
    assert not made.waking


def test_every_state_is_in_the_table_and_the_ended_ones_are_ends() -> None:
    """States, names and transitions agree with each other."""
    assert list(TRANSITIONS) == list(range(len(NAMES)))
    assert [named(state) for state in TRANSITIONS] == list(NAMES)
    assert {state for state, after in TRANSITIONS.items() if not after} == OUTCOMES
    assert {SUCCEEDED, FAILED, CANCELLED, SKIPPED, NOT_STARTED} == OUTCOMES
    assert LETS_DEPENDENTS_START < OUTCOMES


def test_lanes_alone_are_no_schedule() -> None:
    """What differs between a graph and a group is theirs to say."""
    lanes = Lanes(1, fail_fast=True)
    for call in (
        lambda: lanes.finished,
        lambda: lanes.unfinished,
        lambda: lanes.head(THREADS),
        lambda: lanes.take(THREADS, 0.0),
        lambda: lanes.ended(0, SUCCEEDED, 0.0),
    ):
        with pytest.raises(NotImplementedError):
            call()


def test_a_job_behind_a_gate_that_is_left_out_stays_where_it_is() -> None:
    """``only`` picks one of two jobs that need the same four."""
    four = ["a", "b", "c", "d"]
    schedule = Schedule(Plan([*four, "x", "y"], [[], [], [], [], four, four]), only={0, 1, 2, 3, 5})
    taken = [schedule.take(THREADS, 0.0) for _ in range(4)]
    for i in taken:
        schedule.ended(i, SUCCEEDED, 1.0)
    assert schedule.take(THREADS, 2.0) == 5
    schedule.ended(5, SUCCEEDED, 3.0)
    schedule.check()
    assert schedule.finished
    assert schedule.states[4] == WAITING
