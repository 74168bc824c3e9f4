"""No wake-up is lost in any order: every state of small worlds is visited.

A step is one use of a lock, a list or a flag that threads share, in the real code; a job may take
for ever. In every state that can be reached
- no ready job is without somebody who comes for it, where all that could still move are in jobs;
  so jobs that meet, or never end, keep nobody else waiting,
- no job's end is left where nobody books it,
- no more jobs run than the limit allows, and none runs twice,
- the end can be reached, where each job has run once, the caller has gone, and every worker is
  parked; and nothing goes round for ever, but for threads that find the desk taken again and again.

Where threads are refused, a job may be ready while all threads that there are are in jobs. Where
only some workers come in time, the next is on its way for ever, and only limits count from there.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from .every_order import Broken, Searched, search
from .judged import check
from .mutants import MUTANTS, Mutant
from .worlds import World

DESK = {"with_gil": False}

SMALL: list[tuple[str, dict[str, Any]]] = [
    ("a", {}),
    ("a b", {}),
    ("A B", {}),
    ("a b", {"limit": 1}),
    ("a B:a C:a", {}),
    ("a b:a c:b", {}),
    ("a b", {"caller": "waits"}),
    ("a b", {"idle": True}),
    ("a b", {"stopped": True}),
    ("a b", {"refuses": True}),
    ("a b", {"most": 1}),
    ("a b c", {"most": 1}),
    ("a|b", {}),
    ("a b|c", {"in_time": 2}),
    ("a b|c", DESK),
    ("a b c", {"in_time": 1, "stopped": True}),
    ("a b c", DESK),
    ("A B C", DESK),
    ("a b c d", {**DESK, "limit": 2}),
    ("a b C:a D:b", DESK),
    ("a B:a C:a d:BC", DESK),
    ("A B C D", DESK),
    ("a b c", {**DESK, "refuses": True}),
    ("a b c", {**DESK, "stopped": True}),
]
"""Jobs and worlds of which every state is visited in a moment. ``DESK``: all wait for the desk."""

LARGE: list[tuple[str, dict[str, Any]]] = [
    ("a b c d", DESK),
    ("a b c d", {**DESK, "limit": 3}),
    ("a b c", {**DESK, "caller": "waits"}),
    ("a b c", {**DESK, "caller": "waits", "refuses": True}),
    ("A B C", {"most": 2}),
    ("a b c", {"most": 2}),
    ("a b c", {"in_time": 3}),
    ("a b c", {"in_time": 3, "caller": "waits"}),
    ("a b c", {"in_time": 2, "stopped": True}),
    ("A B C D", {"in_time": 3}),
    ("a b C:a D:b", {"in_time": 3}),
    ("a B:a C:a d:BC", {"in_time": 3}),
]
"""The same, in some seconds each, or in half a minute."""

LARGEST: list[tuple[str, dict[str, Any]]] = [
    ("a b c d", {"in_time": 3}),
    ("a b c d", {"in_time": 3, "limit": 2}),
    ("a b c d", {"in_time": 3, "limit": 3}),
    ("a b c d", {"in_time": 3, "caller": "waits"}),
    ("a b c d", {"most": 2}),
    ("a b c", {"in_time": 2, "refuses": True}),
]
"""The same, in minutes and with up to 2 GB: where ``GOFER_EVERY_ORDER`` is set."""


def searched(shapes: str, options: dict[str, Any], change: Mutant | None = None) -> Searched:
    """Visit every state of a world."""
    return search(World(shapes.split("|"), change=change, **options))


def _name(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={each}" for key, each in value.items()) or "plain"
    return str(value)


@pytest.mark.parametrize(("shapes", "options"), SMALL, ids=_name)
def test_no_wake_up_is_lost_in_any_state(shapes: str, options: dict[str, Any]) -> None:
    """Every state of a small world, each visited once."""
    assert searched(shapes, options).exhaustive


@pytest.mark.slow
@pytest.mark.parametrize(("shapes", "options"), LARGE, ids=_name)
def test_no_wake_up_is_lost_in_any_state_of_larger_worlds(
    shapes: str, options: dict[str, Any]
) -> None:
    """Up to three workers, besides the caller, and four jobs."""
    assert searched(shapes, options).exhaustive


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.skipif("GOFER_EVERY_ORDER" not in os.environ, reason="set GOFER_EVERY_ORDER")
@pytest.mark.parametrize(("shapes", "options"), LARGEST, ids=_name)
def test_no_wake_up_is_lost_in_any_state_of_the_largest_worlds(
    shapes: str, options: dict[str, Any]
) -> None:
    """Without waiting for the desk there are many more states."""
    assert searched(shapes, options).exhaustive


@pytest.mark.parametrize("name", MUTANTS)
def test_what_would_lose_a_wake_up_is_found(name: str) -> None:
    """With one thing changed in the code some state breaks a promise."""
    change, shapes, options = MUTANTS[name]
    with pytest.raises(Broken):
        search(World(shapes, change=change, **options))


def test_states_that_can_be_reached_are_told_with_their_way() -> None:
    """What is found is the shortest way there."""
    change, shapes, options = MUTANTS["a woken thread does not wake the next"]
    world = World(shapes, change=change, **options)
    with pytest.raises(Broken, match="a wake-up is lost") as caught:
        search(world)
    state = world.first
    for move in caught.value.order:
        world.load(state)
        assert move in world.moves(state)
        state = world.step(state, move)
    world.load(state)
    with pytest.raises(AssertionError, match="a wake-up is lost"):
        check(world, state, world.moves(state))


def test_the_worlds_leave_as_runs_do() -> None:
    """A stand-in for a line of the real code is that line."""
    import inspect

    from gofer.backends._execution import Execution

    from .programs import leave

    there = inspect.getsource(Execution.conclude)
    assert "if self.core.waking or self in self.workers._wanting:" in there
    here = inspect.getsource(leave)
    assert "if execution.core.waking or execution in execution.workers._wanting:" in here
