"""The search: every state that a world can get into, each visited once.

Two orders that lead to the same state go on in the same ways, so it is enough to go on once from
each state. How many orders there are is counted afterwards, without running them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any

from .judged import check
from .remembered import Remembered
from .worlds import World


class Broken(Exception):
    """Some order breaks a promise.

    Attributes:
        order: The moves that led there, in the world that was searched.
    """

    def __init__(self, why: str, order: list[Any]) -> None:
        super().__init__(why)
        self.order = order


class Searched:
    """What a search has seen.

    Attributes:
        states: How many states.
        orders: In how many orders a run can go from its beginning to its end; None where some go
            round, because threads find the desk taken again and again.
        workers: The most workers in any state.
        exhaustive: Whether there are no more states.
    """

    def __init__(self) -> None:
        self.states = 1
        self.orders: int | None = None
        self.workers = 0
        self.exhaustive = False
        self._parents = array("l", [-1])  # state -> the one that it was first seen from
        self._moves: list[Any] = [None]  # and how
        self._after = array("l")  # the states after the first one, after the second, and so on
        self._missed = bytearray()  # for each of these whether the step found the desk taken
        self._begins = array("l", [0])  # where in `_after` those of a state begin

    def way_to(self, number: int) -> list[Any]:
        """Return the moves to a state."""
        order = []
        while number:
            order.append(self._moves[number])
            number = self._parents[number]
        return order[::-1]

    def saw(self, number: int, move: Any) -> int:
        """Return the number of a new state, which such a move leads to."""
        self._parents.append(number)
        self._moves.append(move)
        self.states += 1
        return self.states - 1

    def leads(self, to: int, missed: bool) -> None:
        """Note a step from the state in hand; missed: it found the desk taken."""
        self._after.append(to)
        self._missed.append(missed)

    def left(self) -> None:
        """Note that all steps from the state in hand have been told.

        Raises:
            AssertionError: None of them leads on.
        """
        begin, end = self._begins[-1], len(self._after)
        self._begins.append(end)
        lead = begin == end or not all(self._missed[begin:end])
        assert lead, "nobody can go on but those who find the desk taken"

    def see_that_it_ends(self) -> None:
        """Check that no order goes round, but for threads that find the desk taken; count orders.

        So all others get to a state in which nobody can move, from wherever they are.

        Raises:
            Broken: One does.
        """
        line = self._in_line(all_=False)
        if len(line) < self.states:
            round_ = min({*range(self.states)} - {*line})
            raise Broken("it goes round for ever", self.way_to(round_))
        line = self._in_line(all_=True)
        if len(line) == self.states:
            orders = [0] * self.states
            for number in reversed(line):
                orders[number] = sum(orders[to] for to in self._next(number, all_=True)) or 1
            self.orders = orders[0]

    def _next(self, number: int, *, all_: bool) -> Iterator[int]:
        for at in range(self._begins[number], self._begins[number + 1]):
            if all_ or not self._missed[at]:
                yield self._after[at]

    def _in_line(self, *, all_: bool) -> array[int]:
        """Return states so that steps lead forward; those that are on a circle are left out.

        Args:
            all_: Whether steps that find the desk taken count.
        """
        waits = array("l", [0]) * self.states
        for to, missed in zip(self._after, self._missed, strict=True):
            waits[to] += all_ or not missed
        line = array("l", [number for number, count in enumerate(waits) if not count])
        for number in line:
            for to in self._next(number, all_=all_):
                waits[to] -= 1
                if not waits[to]:
                    line.append(to)
        return line


def search(world: World, most: int = 10_000_000) -> Searched:
    """Look at every state of a world.

    Raises:
        Broken: A promise is broken in one of them.
    """
    searched, remembered = Searched(), Remembered(world)
    numbers = {world.first: 0}
    todo = [world.first]
    number = 0
    while todo:
        found: list[Any] = []
        for state in todo:  # the nearest first, so that what is found is short
            try:
                steps = remembered.steps(state)
                check(world, state, [step[0] for step in steps])
                for move, new, missed in steps:
                    to = numbers.get(new)
                    if to is None:
                        to = numbers[new] = searched.saw(number, move)
                        found.append(new)
                    searched.leads(to, missed)
                searched.left()
            except Exception as error:
                order = searched.way_to(number)
                why = str(error) if isinstance(error, AssertionError) else repr(error)
                raise Broken(why, order) from error
            number += 1
            if searched.states >= most:
                return searched
        todo = found
    searched.exhaustive = True
    searched.workers = max(map(world.workers_in, numbers))
    searched.see_that_it_ends()
    return searched
