"""Intakes, told as short stories; test_intake_at_random.py has the proof."""

from __future__ import annotations

from typing import Any

import pytest

from gofer._core.intake import Intake
from gofer._core.lanes import LOOP, NOTHING, THREADS
from gofer._core.states import FAILED, OUTCOMES, READY, RUNNING, SUCCEEDED, WAITING
from gofer.errors import InvalidTransition

from .playing import everything, refuse


def test_jobs_are_numbered_and_started_in_the_order_in_which_they_came() -> None:
    """Each lane is a queue, and the number is the place in the order of arrival."""
    intake = Intake()
    assert [intake.added(lane) for lane in (THREADS, LOOP, THREADS, LOOP)] == [0, 1, 2, 3]
    assert [intake.take(THREADS, 0.0) for _ in range(3)] == [0, 2, NOTHING]
    assert [intake.take(LOOP, 1.0) for _ in range(3)] == [1, 3, NOTHING]
    assert intake.started_at == {0: 0.0, 2: 0.0, 1: 1.0, 3: 1.0}
    assert intake.came == 4
    intake.check()


def test_a_group_is_over_when_it_is_closed_and_all_its_jobs_have_ended() -> None:
    """While it is open more may come, even if nothing is left to do."""
    intake = Intake()
    intake.added(LOOP)
    assert intake.take(LOOP, 0.0) == 0
    intake.ended(0, SUCCEEDED, 1.0)
    assert not intake.finished
    intake.added(THREADS)
    intake.closed = True
    assert not intake.finished
    assert intake.unfinished
    assert intake.take(THREADS, 1.0) == 1
    assert not intake.finished
    intake.ended(1, SUCCEEDED, 2.0)
    assert intake.finished
    assert not intake.unfinished
    intake.check()


def test_a_job_that_waits_takes_a_place_too() -> None:
    """At the limit nobody is let in who would only have to wait."""
    intake = Intake(limit=2)
    for i in range(2):
        assert intake.admits()
        assert intake.added(THREADS) == i
    assert not intake.admits()
    assert intake.take(THREADS, 0.0) == 0
    assert not intake.admits()
    assert intake.turn(0, SUCCEEDED, THREADS, 1.0) == 1
    assert intake.admits()
    intake.check()


def test_the_last_free_place_goes_to_who_came_first() -> None:
    """Over both lanes, so that neither starves the other."""
    intake = Intake(limit=1)
    intake.added(LOOP)
    intake.added(THREADS)
    assert intake.take(THREADS, 0.0) == NOTHING
    assert intake.take(LOOP, 0.0) == 0
    assert intake.turn(0, SUCCEEDED, LOOP, 1.0) == NOTHING
    assert intake.take(THREADS, 1.0) == 1


def test_a_failure_stops_a_group_and_what_waits_is_never_started() -> None:
    """It is over once nothing runs, closed or not."""
    intake = Intake()
    intake.added(THREADS)
    intake.added(THREADS)
    intake.take(THREADS, 0.0)
    assert intake.turn(0, FAILED, THREADS, 1.0) == NOTHING
    assert (intake.first, intake.failures) == (0, [0])
    assert intake.finished
    assert intake.unfinished
    assert not intake.cut_short
    intake.check()


def test_what_has_ended_is_forgotten() -> None:
    """A group that lives for ever does not grow with the jobs that have been."""
    intake = Intake(limit=3)
    for i in range(5_000):
        assert intake.added(i % 2) == i
        assert intake.take(i % 2, float(i)) == i
        intake.ended(i, SUCCEEDED, float(i))
    fresh = Intake(limit=3)
    fresh.came, fresh.last_end = 5_000, 4_999.0
    assert everything(intake) == everything(fresh)


@pytest.mark.parametrize("i", [-1, 0, 1, 2, 3])
def test_a_job_that_does_not_run_cannot_end(i: int) -> None:
    """Neither one that has ended, nor one that waits, nor one that never came."""
    intake = Intake(limit=1)
    intake.added(THREADS)
    intake.added(THREADS)
    intake.take(THREADS, 0.0)
    intake.ended(0, SUCCEEDED, 1.0)
    for outcome in OUTCOMES:
        refuse(intake, i, outcome)
    with pytest.raises(InvalidTransition, match=f"job {i} does not run; it cannot become failed"):
        intake.ended(i, FAILED, 1.0)


@pytest.mark.parametrize("outcome", [WAITING, READY, RUNNING, -1, 8, None])
def test_a_running_job_of_a_group_ends_only_as_the_table_says(outcome: Any) -> None:
    """What is no outcome is refused, in words."""
    intake = Intake()
    intake.added(THREADS)
    intake.take(THREADS, 0.0)
    refuse(intake, 0, outcome)
    with pytest.raises(InvalidTransition, match="job 0 is running; it cannot become"):
        intake.ended(0, outcome, 1.0)
