"""Runs of random graphs, driven at random, against the plain reference."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gofer._core.states import NAMES, TRANSITIONS

from .playing import RunGame


@settings(max_examples=100)
@given(st.data())
def test_any_run_of_a_small_graph_is_as_the_reference_says(data: st.DataObject) -> None:
    """Whatever order things happen in, every answer and every state is the plain one's."""
    size = data.draw(st.integers(1, 8))
    RunGame(lambda n: data.draw(st.integers(0, n - 1)), size).play(moves=4 * size)


@settings(max_examples=100)
@given(st.integers(1, 30), st.integers(0, 2**32))
def test_any_run_of_a_graph_is_as_the_reference_says(size: int, seed: int) -> None:
    """The same, for graphs that are too large to be made smaller step by step."""
    RunGame(Random(seed).randrange, size).play(moves=4 * size)


@pytest.mark.parametrize("size", [100, 200])
@pytest.mark.parametrize("seed", range(4))
def test_a_run_of_a_large_graph_is_as_the_reference_says(size: int, seed: int) -> None:
    """The same, where lanes are long and failures rule out much."""
    RunGame(Random(1000 * size + seed).randrange, size).play(moves=4 * size)


def test_jobs_move_as_the_table_says_and_in_no_other_way() -> None:
    """Every transition of the table is seen, and none that it does not have."""
    seen = set()
    for seed in range(60):
        game = RunGame(Random(seed).randrange, 1 + seed % 12)
        game.play(moves=60)
        seen |= game.seen
    allowed = {(before, after) for before, afters in TRANSITIONS.items() for after in afters}
    assert {(NAMES[before], NAMES[after]) for before, after in seen} == {
        (NAMES[before], NAMES[after]) for before, after in allowed
    }
