"""What is checked in each state of a world; ``test_every_order`` says what that proves."""

from __future__ import annotations

from typing import Any

from gofer._core.lanes import THREADS
from gofer._core.states import NOT_STARTED, OUTCOMES, SUCCEEDED

from .worlds import World


def check(world: World, state: Any, moves: list[Any]) -> None:
    """Check a state, in which these moves are possible.

    Raises:
        AssertionError: It breaks a promise.
    """
    _check_limits(world, state)
    if world.is_late(state):
        return  # that worker is somebody who comes
    if all(how in ("job", "idle") for _, how in moves):
        world.load(state)
        for execution in world.runs:
            ready = execution.core.has_ready(THREADS)
            if world.can_refuse:  # those that there are go on, when they have time
                ready = ready and bool(world.workers._parked or execution.parked)
            assert not ready, "a wake-up is lost: a job is ready, and nobody comes"
            assert not execution.ended_elsewhere, "an end is lost: nobody books it"
        if all(how == "idle" for _, how in moves):
            _check_end(world, state)


def _check_limits(world: World, state: Any) -> None:
    at_jobs = [0] * len(world.runs)
    for number in state[1:]:
        at = world.at_job(number)
        if at is not None:
            at_jobs[at[0]] += 1
    for at, running in enumerate(world.running_in(state)):
        assert at_jobs[at] <= running <= world.runs[at].core.limit, "above the limit"


def _check_end(world: World, state: Any) -> None:
    """Check a state, which has been loaded, in which nobody can move any more."""
    for number in state[1 : len(world.callers) + 1]:
        assert world.stand(number) is None, "a caller waits for ever"
    for number, execution in enumerate(world.runs):
        core = execution.core
        for i, end in enumerate(core.states):  # times are no part of a state
            ran = end in OUTCOMES and end != NOT_STARTED
            core.started_at[i] = core.ended_at[i] = 0.0 if ran else None
        core.check()
        if execution.lane is None:
            assert not core.failures, "a job has failed, though the caller could have run it"
        if not core.stopped:
            assert set(core.states) <= {SUCCEEDED}, "a job has not ended"
            assert world.done[number] == (1 << len(core.states)) - 1, "a job has not run"
    assert not world.workers._coming, "a worker is on its way for ever"
    assert not world.workers._wanting, "a run that is over is in line"
