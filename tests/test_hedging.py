"""What hedging does to a slow tail, as ``benchmarks/hedging.py`` measures it, in virtual time."""

from __future__ import annotations

import pytest

hedging = pytest.importorskip(
    "benchmarks.hedging", reason="the benchmarks are in the repository only, not in the archive"
)


def test_hedging_takes_the_tail_off_for_little_load() -> None:
    """The p99 falls to at most 0.2 of what it was, for at most 3 % more calls."""
    without = hedging.simulate(None, 10_000, at_once=20)
    hedged = hedging.simulate(0.02, 10_000, at_once=20)
    assert len(without.times) == len(hedged.times) == 10_000
    assert without.extra_load == 0
    assert without.percentile(99) > 0.4
    assert hedged.percentile(99) <= 0.2 * without.percentile(99)
    assert 0 < hedged.extra_load <= 0.03
    assert hedged.percentile(50) == pytest.approx(without.percentile(50), rel=0.05)


def test_a_learnt_delay_does_as_well() -> None:
    """``Hedge("p98")`` finds out by itself when a call is late."""
    hedged = hedging.simulate(hedging.HEDGES['Hedge("p98")'], 10_000, at_once=20)
    assert hedged.percentile(99) < 0.1
    assert 0 < hedged.extra_load <= 0.03
