"""A random driver: it plays runs and groups against their references, one call after the other.

Every decision is asked of ``choose(n)``, which answers with a number below ``n``: Hypothesis for
small games, which it then makes smaller still, and a seeded random for large ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gofer._core.intake import Intake
from gofer._core.lanes import AWAY, LOOP, NOTHING, THREADS, Lanes
from gofer._core.plan import Plan
from gofer._core.schedule import Schedule
from gofer._core.states import (
    FAILED,
    NOT_STARTED,
    OUTCOMES,
    READY,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    WAITING,
)
from gofer.errors import InvalidTransition

from .reference import GroupReference, Lines, RunReference

Choose = Callable[[int], int]

UNHAPPY = ([FAILED], [SKIPPED], [FAILED, SKIPPED], sorted(OUTCOMES))
"""How those jobs of a game may end that do not end like most."""

LIMITS = (None, 1, 2, 3, 8)

LANES = (THREADS, LOOP, AWAY)

NO_OUTCOMES = (WAITING, READY, RUNNING, -1, 8, 99)


def shuffled(size: int, choose: Choose) -> list[int]:
    """Return 0 .. size - 1 in a random order; the one without surprises if all choices are 0."""
    deck = list(range(size))
    return [deck.pop(choose(len(deck))) for _ in range(size)]


def random_needs(size: int, choose: Choose) -> dict[int, list[int]]:
    """Return the needs of a graph without circles, in no particular order of indices."""
    most = (0, 1, 2, 9)[choose(4)]
    near = 1 + choose(size)  # a small one makes long thin graphs, a large one flat ones
    before: list[int] = []
    needs = {}
    for i in shuffled(size, choose):
        possible = before[-near:]
        count = choose(most + 1) if possible else 0
        needs[i] = [possible[choose(len(possible))] for _ in range(count)]  # repeats are allowed
        if possible and not choose(3):  # a twin, which needs the same as another
            needs[i] = list(needs[possible[choose(len(possible))]])
        before.append(i)
    return needs


def plan_of(needs: dict[int, list[int]], lanes: list[int] | None = None) -> Plan:
    """Compile a graph whose jobs are called "0", "1", ..."""
    size = len(needs)
    return Plan(
        [str(i) for i in range(size)],
        [[str(j) for j in needs[i]] for i in range(size)],
        None if lanes is None else bytes(lanes),
    )


def everything(core: Lanes) -> dict[str, str]:
    """Return all that an object of the core holds, the private parts included."""
    slots = [name for each in type(core).__mro__ for name in getattr(each, "__slots__", ())]
    return {name: repr(getattr(core, name)) for name in slots if name != "plan"}


def refuse(core: Lanes, i: int, outcome: int) -> None:
    """Tell what cannot have happened, in each way there is; see it refused, and nothing changed."""
    before = everything(core)
    for call in (
        lambda: core.ended(i, outcome, 9.0),
        lambda: core.turn(i, outcome, 0, 9.0),
        lambda: core.turn(i, outcome, 1, 9.0),
        lambda: core.last(i, outcome, 0, 9.0),
    ):
        with pytest.raises(InvalidTransition):
            call()
    assert everything(core) == before


class Game:
    """One core, its twin that never takes the short way, and the reference of both."""

    core: Any
    twin: Any
    reference: Any

    def __init__(self, choose: Choose, size: int) -> None:
        self.choose = choose
        self.unhappy = UNHAPPY[choose(len(UNHAPPY))]
        self.one_in = (0, 2 * size, 1 + size // 2, 8, 2)[choose(5)]  # how many jobs end like that
        self.patience = (0, 1 + size // 4, 1)[choose(3)]  # the rarer, the larger; 0: nobody cancels
        self.now = 0.0
        self.waking = False

    def one_of(self, items: Any) -> Any:
        items = sorted(items)
        return items[self.choose(len(items))]

    def outcome(self) -> int:
        """Return how a job ends."""
        if not self.one_in or self.choose(self.one_in) < self.one_in - 1:
            return SUCCEEDED
        return self.unhappy[self.choose(len(self.unhappy))]

    def play(self, moves: int) -> None:
        """Make some random moves, then whatever ends the game."""
        self.compare()
        for _ in range(moves):
            if self.reference.finished:
                break
            self.move()
        while not self.reference.finished:
            self.go_on()
        for _ in range(3):  # nothing moves any more, whatever is tried
            self.nonsense()
        for lane in LANES:
            assert self.core.take(lane, 9.0) == NOTHING
        assert self.core.take_many(LOOP, 9.0, 2) == self.core.take_many(AWAY, 9.0, 2) == []
        assert not self.core.wants()
        self.compare()

    def move(self) -> None:
        self.now += self.choose(3)
        kind = self.choose(20)
        if kind >= 18:
            self.nonsense()
        elif kind == 17 and self.patience and self.choose(self.patience) == 0:
            self.cancel()
        elif kind == 16:
            self.ask_for_a_thread()
        elif kind == 15:
            self.begin()
        elif kind >= 8 and self.reference.running:
            self.end(self.one_of(self.reference.running), self.outcome(), kind % 4)
        else:
            self.take(kind % 3)

    def go_on(self) -> None:
        """Make a move that leads towards the end."""
        self.now += 1
        starts, running = self.reference.may_start(), self.reference.running
        assert starts or running, "nothing runs and nothing may start, but it is not over"
        if running and (not starts or self.choose(2)):
            self.end(self.one_of(running), self.outcome(), self.choose(4))
        else:
            self.take(self.reference.lanes[self.one_of(starts)])

    def take(self, lane: int) -> None:
        if lane != THREADS and self.choose(4) == 3:
            self.take_many(lane, self.choose(4))
            return
        expected = self.reference.take(lane, self.now)
        assert self.core.take(lane, self.now) == expected
        assert self.twin.take(lane, self.now) == expected
        self.compare()

    def take_many(self, lane: int, most: int) -> None:
        expected = [self.reference.take(lane, self.now) for _ in range(most)]
        taken = [i for i in expected if i != NOTHING]
        assert self.core.take_many(lane, self.now, most) == taken
        for i in expected:
            assert self.twin.take(lane, self.now) == i
        self.compare()

    def end(self, i: int, outcome: int, how: int) -> None:
        """End a job, and take the next of a lane in the same breath, or not."""
        lane = self.choose(3)
        self.reference.ended(i, outcome, self.now)
        self.twin.ended(i, outcome, self.now)
        self.saw()
        if how == 0:
            self.core.ended(i, outcome, self.now)
        elif how == 1:
            assert self.core.last(i, outcome, lane, self.now) == NOTHING
        else:
            expected = self.reference.take(lane, self.now)
            assert self.twin.take(lane, self.now) == expected
            if how == 2 or not self.pass_on(i, outcome, lane, expected):
                assert self.core.turn(i, outcome, lane, self.now) == expected
        self.compare()

    def pass_on(self, i: int, outcome: int, lane: int, expected: int) -> bool:
        """Try the way without the lock; return whether it went, and then as ``turn`` would have."""
        if outcome != SUCCEEDED or lane != THREADS:
            return False
        before = everything(self.core)
        answer = self.core.pass_on(i, self.now)
        assert answer in (NOTHING, expected)
        assert answer != NOTHING or everything(self.core) == before
        return answer != NOTHING

    def begin(self) -> None:
        """Have a job begin later than it was taken."""
        if self.reference.running:
            i = self.one_of(self.reference.running)
            self.reference.started_at[i] = self.now
            self.core.began(i, self.now)
            self.twin.began(i, self.now)
            self.compare()

    def cancel(self) -> None:
        self.reference.stopped = True
        self.core.cancelled()
        self.twin.cancelled()
        self.compare()

    def ask_for_a_thread(self) -> None:
        """One thread is on its way at most, and only to a job that it may take."""
        ready = any(self.reference.lanes[i] == 0 for i in self.reference.may_start())
        wanted = ready and not self.waking
        assert self.core.wants() == self.twin.wants() == wanted
        self.waking = self.core.waking = self.twin.waking = (self.waking or wanted) and (
            self.choose(2) > 0  # else it arrives
        )
        self.compare()

    def nonsense(self) -> None:
        """Tell of an end that cannot be: of a job that does not run, or as what is none."""
        i = self.choose(len(self.reference.lanes) + 6) - 3
        if i in self.reference.running:
            refuse(self.core, i, NO_OUTCOMES[self.choose(len(NO_OUTCOMES))])
        else:
            refuse(self.core, i, self.one_of({*OUTCOMES, *NO_OUTCOMES}))

    def saw(self) -> None:
        """Look at the twin, which takes one step at a time."""

    def compare(self) -> None:
        """Hold both cores to the reference, and to their own invariants."""
        self.saw()
        for core in (self.core, self.twin):
            core.check()
            reference: Lines = self.reference
            assert core.running == len(reference.running)
            assert core.failures == reference.failures
            assert core.first == reference.first
            assert core.stopped == reference.stopped
            assert core.cut == reference.cut
            assert core.cut_short == reference.cut_short
            assert core.unfinished == reference.unfinished
            assert core.finished == self.reference.finished
            starts = reference.may_start()
            assert core.calls == any(reference.lanes[i] != THREADS for i in starts)
            for lane in LANES:
                here = [i for i in starts if reference.lanes[i] == lane]
                assert core.has_ready(lane) == bool(here)
                ready = [i for i in reference.ready() if reference.lanes[i] == lane]
                assert core.waiting(lane) == len(ready)
                if here:
                    assert core.head(lane) == reference.ranks[here[0]]
        self.compare_more()

    def compare_more(self) -> None:
        raise NotImplementedError


class RunGame(Game):
    """One run of a random graph."""

    def __init__(self, choose: Choose, size: int) -> None:
        super().__init__(choose, size)
        needs = random_needs(size, choose)
        lanes = [choose(3) for _ in range(size)]
        plan = plan_of(needs, lanes)
        only = order = None
        if choose(3) == 2:
            only = plan.closure({choose(size) for _ in range(1 + choose(size))})
        if choose(3) == 2:
            order = shuffled(size, choose)
        limit = LIMITS[choose(len(LIMITS))]
        fast = choose(2) == 0
        self.core = Schedule(plan, limit=limit, fail_fast=fast, only=only, order=order)
        self.twin = Schedule(plan, limit=limit, fail_fast=fast, only=only, order=order)
        self.reference = RunReference(needs, lanes, limit, fast, only, order)
        self.states = [self.reference.state(i) for i in range(size)]
        self.seen: set[tuple[int, int]] = set()

    def saw(self) -> None:
        for change in zip(self.states, self.twin.states, strict=True):
            if change[0] != change[1]:
                self.seen.add(change)
        self.states = list(self.twin.states)

    def compare_more(self) -> None:
        jobs = range(len(self.states))
        states = [self.reference.state(i) for i in jobs]
        final = states
        if self.reference.finished:
            final = [NOT_STARTED if each in (WAITING, READY) else each for each in states]
            self.seen |= {each for each in zip(states, final, strict=True) if each[0] != each[1]}
        for core in (self.core, self.twin):
            assert list(core.states) == states
            assert [core.final_state(i) for i in jobs] == final
            assert core.started_at == [self.reference.started_at.get(i) for i in jobs]
            assert core.ended_at == [self.reference.ended_at.get(i) for i in jobs]
            assert [core.waited(i) for i in jobs] == [self.reference.waited(i) for i in jobs]


class GroupGame(Game):
    """One group, to which jobs come at random moments."""

    def __init__(self, choose: Choose, size: int) -> None:
        super().__init__(choose, size)
        limit, fast = LIMITS[choose(len(LIMITS))], choose(2) == 0
        self.core, self.twin = Intake(limit, fast), Intake(limit, fast)
        self.reference = GroupReference(limit, fast)

    def move(self) -> None:
        if self.reference.closed or not self.choose(2):
            super().move()
        elif self.choose(20) == 19:
            self.close()
        else:
            lane = self.choose(3)
            expected = self.reference.added(lane)
            assert self.core.added(lane) == self.twin.added(lane) == expected
            self.compare()

    def go_on(self) -> None:
        if self.reference.closed or self.reference.running or self.reference.may_start():
            super().go_on()
        else:
            self.close()

    def close(self) -> None:
        self.reference.closed = self.core.closed = self.twin.closed = True
        self.compare()

    def compare_more(self) -> None:
        for core in (self.core, self.twin):
            assert core.came == len(self.reference.ranks)
            assert core.admits() == self.reference.admits()
            assert core.started_at == {
                i: self.reference.started_at[i] for i in self.reference.running
            }
