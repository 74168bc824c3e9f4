"""Groups whose jobs come and end at random, against the plain reference."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from .playing import GroupGame


@settings(max_examples=60)
@given(st.data())
def test_any_small_group_is_as_the_reference_says(data: st.DataObject) -> None:
    """Whenever jobs come, start, end or are refused, every answer is the plain one's."""
    size = data.draw(st.integers(1, 8))
    GroupGame(lambda n: data.draw(st.integers(0, n - 1)), size).play(moves=4 * size)


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_any_group_is_as_the_reference_says(seed: int) -> None:
    """The same, for groups that live long."""
    GroupGame(Random(seed).randrange, size=40).play(moves=160)
