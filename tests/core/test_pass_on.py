"""The one call without a lock, ``pass_on``, in the midst of every other one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import pytest

from gofer._core.intake import Intake
from gofer._core.lanes import LOOP, NOTHING, THREADS, Lanes
from gofer._core.schedule import Schedule
from gofer._core.states import FAILED, RUNNING, SUCCEEDED
from tests.moments import interrupted_at

from .playing import everything, plan_of

LANES = [THREADS, THREADS, THREADS, LOOP, THREADS, LOOP]
"""Of the jobs 0 to 5. Nothing needs anything, but for 6, a thread's, which needs 2."""

CALLS: dict[str, Callable[[Schedule], object]] = {
    "take": lambda made: made.take(THREADS, 2.0),
    "take for the loop": lambda made: made.take(LOOP, 2.0),
    "take many": lambda made: made.take_many(LOOP, 2.0, 3),
    "turn": lambda made: made.turn(1, SUCCEEDED, THREADS, 2.0),
    "turn for the loop": lambda made: made.turn(1, SUCCEEDED, LOOP, 2.0),
    "turn of a failure": lambda made: made.turn(1, FAILED, THREADS, 2.0),
    "ended": lambda made: made.ended(1, SUCCEEDED, 2.0),
    "what makes another ready": lambda made: made.turn(2, SUCCEEDED, THREADS, 2.0),
    "has_ready": lambda made: [made.has_ready(lane) for lane in (THREADS, LOOP)],
    "head": lambda made: [made.head(lane) for lane in (THREADS, LOOP)],
    "finished": lambda made: made.finished,
}


def begun(limit: int | None, roots: int) -> Schedule:
    """Return a schedule where 0, 1 and 2 run, and a thread is on its way."""
    needs = {i: [] for i in range(roots)} | {roots: [2]}
    made = Schedule(plan_of(needs, [*LANES[:roots], THREADS]), limit=limit, fail_fast=False)
    assert [made.take(THREADS, 0.0) for _ in range(3)] == [0, 1, 2]
    made.waking = True
    return made


@pytest.mark.parametrize("limit", [None, 4])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_a_job_may_be_passed_on_in_the_midst_of_every_call(
    call: Callable[[Schedule], object], limit: int | None
) -> None:
    """Each job is started once, none is lost, and the limit holds."""
    moment, roots = 1, [3, 5, 6]
    while roots:
        made = begun(limit, roots[0])
        passed: list[int] = []
        came = interrupted_at(
            moment,
            lambda: call(made),  # noqa: B023
            lambda: passed.append(made.pass_on(0, 1.0)),  # noqa: B023
        )
        if came and passed[0] == NOTHING:
            made.ended(0, SUCCEEDED, 1.0)
        elif came:
            assert made.states[0] == SUCCEEDED
            assert (made.ended_at[0], made.started_at[passed[0]]) == (1.0, 1.0)
        made.check()
        finish(made)
        moment += 1
        if not came:
            moment = 1
            del roots[0]


def finish(made: Schedule) -> None:
    """Run what is left; hold that it is all there is."""
    for _ in range(20):
        for i in [i for i, state in enumerate(made.states) if state == RUNNING]:
            made.ended(i, SUCCEEDED, 3.0)
        for lane in (THREADS, LOOP):
            made.take(lane, 3.0)
            made.check()
    assert made.finished
    assert not made.unfinished
    assert set(made.states) <= {SUCCEEDED, FAILED}


class Emptied(list[int]):
    """A line whose last root another thread takes just after it was looked at."""

    def __bool__(self) -> bool:
        return True


def test_the_last_root_may_go_between_a_look_and_a_grasp() -> None:
    """Then there is no root, and what became ready later is next, if anything did."""
    made = begun(None, roots=3)
    made._first = (Emptied(), [])
    assert made.head(THREADS) == float("inf")
    assert made.take(THREADS, 1.0) == NOTHING
    made.ended(2, SUCCEEDED, 1.0)
    assert made.head(THREADS) == 3
    assert made.take(THREADS, 1.0) == 3


@pytest.mark.parametrize("change", ["waking", "stopped", "needed", "ready later", "limit", "none"])
def test_a_job_is_passed_on_only_where_no_lock_is_needed(change: str) -> None:
    """Otherwise NOTHING has changed nothing, and ``turn`` does it under the lock."""
    limit = 3 if change == "limit" else None
    made = begun(limit, roots=3 if change == "none" else 5)
    if change == "waking":
        made.waking = False
    elif change == "stopped":
        made.cancelled()
    elif change == "ready later":
        made.ended(2, SUCCEEDED, 1.0)
    before = everything(made)
    assert made.pass_on(2 if change == "needed" else 0, 2.0) == NOTHING
    assert everything(made) == before


def test_a_passed_on_place_is_what_turn_would_have_given() -> None:
    """The next root of the lane, and its start is the other's end."""
    made, other = begun(None, 5), begun(None, 5)
    assert made.pass_on(1, 2.0) == other.turn(1, SUCCEEDED, THREADS, 2.0) == 4
    assert everything(made) == everything(other)
    made.check()


GROUP_CALLS: dict[str, Callable[[Intake], object]] = {
    "take": lambda made: made.take(THREADS, 2.0),
    "take for the loop": lambda made: made.take(LOOP, 2.0),
    "turn": lambda made: made.turn(1, SUCCEEDED, THREADS, 2.0),
    "turn for the loop": lambda made: made.turn(1, SUCCEEDED, LOOP, 2.0),
    "turn of a failure": lambda made: made.turn(1, FAILED, THREADS, 2.0),
    "ended": lambda made: made.ended(1, SUCCEEDED, 2.0),
    "added": lambda made: made.added(THREADS),
    "added for the loop": lambda made: made.added(LOOP),
    "taken back": lambda made: made.taken_back(THREADS, 2),
    "has_ready": lambda made: [made.has_ready(lane) for lane in (THREADS, LOOP)],
    "head": lambda made: [made.head(lane) for lane in (THREADS, LOOP)],
    "finished": lambda made: made.finished,
}


@pytest.mark.parametrize("lines", [[], [THREADS], [THREADS, LOOP], [LOOP], [THREADS, THREADS]])
@pytest.mark.parametrize("call", GROUP_CALLS.values(), ids=GROUP_CALLS.keys())
def test_a_job_of_a_group_may_be_passed_on_in_the_midst_of_every_call(
    call: Callable[[Intake], object], lines: list[int]
) -> None:
    """Each job is started once, and none is lost."""
    moment, came = 1, True
    while came:
        made = Intake(fail_fast=False)
        for lane in (THREADS, THREADS, *lines):
            made.added(lane)
        assert [made.take(THREADS, 0.0) for _ in range(2)] == [0, 1]
        made.waking = True
        passed: list[int] = []
        back: list[object] = []
        came = interrupted_at(
            moment,
            lambda: back.append(call(made)),  # noqa: B023
            lambda: passed.append(made.pass_on(0, 1.0)),  # noqa: B023
        )
        if passed == [NOTHING]:
            made.ended(0, SUCCEEDED, 1.0)
        elif passed:
            assert made.started_at[passed[0]] == 1.0
        made.check()
        waiting = {i for queue in made._queues for i in queue}
        kept = set(range(made.came)) - ({2} if back == [True] and 2 not in waiting else set())
        assert waiting | set(made.started_at) | {0, 1} >= kept - {0, 1}
        assert not waiting & set(made.started_at)
        moment += 1


def test_the_last_job_of_a_group_may_go_between_a_look_and_a_grasp() -> None:
    """Then there is none."""

    class Emptied(deque[int]):
        def __bool__(self) -> bool:
            return True

    made = Intake()
    made._queues = (Emptied(), deque())
    assert made.head(THREADS) == float("inf")
    assert made.take(THREADS, 1.0) == NOTHING


def test_the_last_job_of_a_group_may_go_between_two_looks() -> None:
    """It was there when the place was found, and is another thread's when it is grasped."""

    class Taken(deque[int]):
        def popleft(self) -> int:
            raise IndexError

    made = Intake()
    made._queues = (Taken([0]), deque())
    assert made.head(THREADS) == 0
    assert made.take(THREADS, 1.0) == NOTHING
    assert not made.running


@pytest.mark.parametrize("change", ["waking", "stopped", "empty"])
def test_a_job_of_a_group_is_passed_on_only_where_no_lock_is_needed(change: str) -> None:
    """Otherwise NOTHING has changed nothing."""
    made = Intake()
    for _ in range(1 if change == "empty" else 2):
        made.added(THREADS)
    made.take(THREADS, 0.0)
    made.waking = change != "waking"
    if change == "stopped":
        made.cancelled()
    before = everything(made)
    assert made.pass_on(0, 1.0) == NOTHING
    assert everything(made) == before


def test_a_group_with_a_limit_is_never_worth_a_try() -> None:
    """Whoever waits for a place has to be told, by the one who holds the lock."""
    assert Intake().passes
    assert not Intake(3).passes


def test_a_job_that_has_started_cannot_be_taken_back() -> None:
    """Whoever adds a job to a group that ends at this moment is told so, or the job runs."""
    made = Intake()
    made.added(THREADS)
    made.added(THREADS)
    made.take(THREADS, 0.0)
    assert not made.taken_back(THREADS, 0)
    assert made.taken_back(THREADS, 1)
    assert made.take(THREADS, 1.0) == NOTHING


def test_what_has_not_said_how_takes_the_lock() -> None:
    """``Lanes`` alone passes nothing on."""
    assert Lanes(1, fail_fast=True).pass_on(0, 1.0) == NOTHING


def test_where_an_order_is_given_the_place_passes_to_the_next_in_it() -> None:
    """The line speaks of ranks then, and the answer is a job."""
    made = Schedule(plan_of({0: [], 1: [], 2: []}), order=[2, 0, 1])
    assert made.take(THREADS, 0.0) == 2
    assert made.wants()
    assert made.pass_on(2, 1.0) == 0
    made.check()
