"""How a graph is cut for an engine, and what clocks far away are taken for: no engine is needed."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from gofer import _parts
from gofer._core.plan import Plan
from gofer.backends import _site
from gofer.backends._clocks import Clocks
from gofer.backends._pack import Pack
from gofer.backends._parcels import Parcel
from gofer.backends._pieces import Piece, cut


def pieces(
    needs: dict[str, str],
    taken: dict[str, str] | None = None,
    *,
    wanted: str | None = None,
    kinds: str = "",
    limit: int | None = None,
) -> list[Piece]:
    """Cut a graph of jobs named by one letter.

    Args:
        needs: What each needs.
        taken: Of which it takes the result; None means all.
        wanted: Whose results are kept; None means all.
        kinds: Jobs that are of another kind.
        limit: As for ``cut``.
    """
    plan = Plan(list(needs), [list(each) for each in needs.values()])
    sources = [tuple(plan.index[x] for x in (taken or needs).get(name, "")) for name in plan.names]
    chosen = range(plan.size)
    kept = chosen if wanted is None else [plan.index[x] for x in wanted]
    return cut(
        plan,
        sources,
        lambda i: plan.names[i] in kinds,
        chosen=chosen,
        wanted=frozenset(kept),
        limit=limit,
    )


def told(found: list[Piece]) -> list[tuple[Any, ...]]:
    return [(each.jobs, each.kept, each.sources, each.after) for each in found]


def test_a_line_is_one_piece() -> None:
    """Nothing else takes what its jobs give."""
    assert told(pieces({"a": "", "b": "a", "c": "b"})) == [((0, 1, 2), (0, 1, 2), (), ())]
    assert told(pieces({"a": "", "b": "a", "c": "b"}, wanted="c")) == [((0, 1, 2), (2,), (), ())]


def test_the_last_of_a_line_is_alone_where_its_result_goes_on_and_the_others_are_kept() -> None:
    """Else whoever takes it would move them all."""
    fork = {"a": "", "b": "a", "c": "b", "d": "b"}
    assert [each.jobs for each in pieces(fork)] == [(0,), (1,), (2,), (3,)]
    assert [each.jobs for each in pieces(fork, wanted="cd")] == [(0, 1), (2,), (3,)]


def test_jobs_of_two_kinds_are_two_pieces() -> None:
    """An async job runs on a loop, one with resources on a worker that has them."""
    found = pieces({"a": "", "b": "a", "c": "b"}, kinds="b")
    assert [each.jobs for each in found] == [(0,), (1,), (2,)]


def test_what_only_comes_after_takes_nothing() -> None:
    """Results and order are told apart."""
    found = pieces({"a": "", "b": "", "c": "ab"}, {"c": "b"})
    assert told(found)[2] == ((2,), (2,), (1,), (0,))


@pytest.mark.parametrize("seed", range(50))
def test_at_random_each_job_is_in_one_piece_after_what_it_needs(seed: int) -> None:
    """And with a limit of k, each piece waits for the one k places before it."""
    draw = random.Random(seed)
    letters = "abcdefghijklmnopqrst"
    needs = {
        x: "".join(draw.sample(letters[:i], draw.randrange(min(i, 3) + 1)))
        for i, x in enumerate(letters)
    }
    wanted = "".join(x for x in letters if draw.random() < 0.5)
    limit = draw.randrange(1, 5)
    found = pieces(needs, wanted=wanted, limit=limit)
    assert sorted(i for each in found for i in each.jobs) == list(range(len(letters)))
    place = {i: each.number for each in found for i in each.jobs}
    for each in found:
        for i, job in enumerate(each.jobs):
            before = {letters.index(x) for x in needs[letters[job]]}
            if i:
                assert before == {each.jobs[i - 1]}
            else:
                assert {place[j] for j in before} == {*each.sources, *each.after}
                assert all(place[j] < each.number for j in before)
        assert each.kept[-1] == each.jobs[-1]
        assert all(i in each.kept for i in each.jobs if letters[i] in wanted)
        assert each.behind == (each.number - limit if each.number >= limit else None)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let long have passed, as nothing is later than now."""
    monkeypatch.setattr(_parts, "clock", itertools.count(0, 100).__next__)


@pytest.mark.usefixtures("later")
def test_a_clock_that_agrees_is_left_alone() -> None:
    """Messages take some time, and that is all."""
    clocks = Clocks(1_000_000_000)
    clocks.heard("w", 1_500_000_000, 1_502_000_000)
    assert clocks.at("w", 1_400_000_000) == 0.4


@pytest.mark.usefixtures("later")
def test_a_clock_that_is_ahead_is_put_back() -> None:
    """News cannot come before it was sent."""
    clocks = Clocks(1_000_000_000)
    clocks.heard("w", 9_000_000_000, 1_500_000_000)
    assert clocks.at("w", 9_000_000_000) == 0.5
    assert clocks.at("another", 1_100_000_000) == pytest.approx(0.1)


@pytest.mark.usefixtures("later")
def test_a_clock_that_is_behind_is_put_forward() -> None:
    """Nothing can have begun before the run."""
    clocks = Clocks(5_000_000_000)
    assert clocks.at("w", 1_000_000_000) == 0.0
    assert clocks.at("w", 1_250_000_000) == 0.25


def test_a_wall_clock_that_jumps_makes_no_far_job_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 26: what a worker of a cluster says is moved to a time that can have been."""
    now = [0]
    monkeypatch.setattr("gofer._parts.wall_clock", lambda: now[0])
    monkeypatch.setattr("gofer._parts.clock", lambda: now[0] / 1e9)
    clocks = Clocks(0)
    now[0] = 1_000_000_000
    assert clocks.at("worker", 3600_000_000_000) == 1.0
    assert clocks.at("worker", 500_000_000) == 0.5


@pytest.mark.parametrize("been", [True, False])
def test_a_piece_began_that_was_on_its_way_when_its_run_was_stopped(been: bool) -> None:
    """It is late by a moment, or the first of its run there: the run is over, and forgotten."""
    pack = Pack("mark.run", 0, None, {}, Parcel(b""), None)
    sent: list[Any] = []
    if been:
        assert _site.site_of(pack, "w", sent.append).begin(0, 1)
    _site.standing(pack.run, "w")
    _site.forget(pack.run, "w")
    assert not _site.site_of(pack, "w", sent.append).begin(1, 2)
    assert _site.site_of(pack, "another", sent.append).begin(1, 2)


def test_what_was_stopped_is_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker lives for long, and has many runs."""
    monkeypatch.setattr(_site, "_halted", {})
    monkeypatch.setattr(_site, "_RECENT", 3)
    for n in range(5):
        _site.standing(f"mark.{n}", "w")
    assert [run for run, _ in _site._halted] == ["mark.2", "mark.3", "mark.4"]
