"""The search: every state that a world can get into, each visited once.

Two orders that lead to the same state go on in the same ways, so it is enough to go on once from
each state. How many orders there are is counted afterwards, without running them.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from .worlds import World


class Broken(Exception):
    """Some order breaks a promise.

    Attributes:
        order: The moves that led there.
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

    def __init__(self, world: World) -> None:
        self.world = world
        self.orders: int | None = None
        self.workers = 0
        self.exhaustive = False
        self.numbers: dict[Any, int] = {world.first: 0}
        self.parents: list[Any] = [None]  # state -> the one that it was first seen from, and how
        self.after: list[list[int]] = [[]]
        self.missed: set[tuple[int, int]] = set()  # steps that found the desk taken

    @property
    def states(self) -> int:
        """How many states."""
        return len(self.numbers)

    def way_to(self, number: int) -> list[Any]:
        """Return the moves to a state."""
        order = []
        while self.parents[number] is not None:
            number, move = self.parents[number]
            order.append(move)
        return order[::-1]


def search(world: World, most: int = 10_000_000) -> Searched:
    """Look at every state of a world.

    Raises:
        Broken: A promise is broken in one of them.
    """
    searched = Searched(world)
    numbers, parents, after = searched.numbers, searched.parents, searched.after
    todo, callers = deque([world.first]), len(world.callers)
    while todo:
        state = todo.popleft()  # the nearest first, so that what is found is short
        number = numbers[state]
        world.load(state)
        moves = world.moves(state)
        try:
            world.check(state, moves)
            for move in moves:
                new = world.step(state, move)
                to = numbers.get(new)
                if to is None:
                    to = numbers[new] = len(parents)
                    parents.append((number, move))
                    after.append([])
                    todo.append(new)
                    searched.workers = max(searched.workers, len(new[0]) - callers)
                after[number].append(to)
                if world.missed:
                    searched.missed.add((number, to))
        except Exception as error:
            order = searched.way_to(number)
            why = str(error) if isinstance(error, AssertionError) else repr(error)
            raise Broken(why, order) from error
        if len(numbers) >= most:
            return searched
    searched.exhaustive = True
    _see_that_it_ends(searched)
    return searched


def _see_that_it_ends(searched: Searched) -> None:
    """Check that no order goes round, but for threads that find the desk taken; count orders.

    Raises:
        Broken: One does; or from some state no end can be reached.
    """
    line = _in_line(searched, searched.missed)
    if len(line) < searched.states:
        round_ = set(range(searched.states)) - set(line)
        raise Broken("it goes round for ever", searched.way_to(min(round_)))
    ends = [number for number, after in enumerate(searched.after) if not after]
    before: list[list[int]] = [[] for _ in searched.after]
    for number, after in enumerate(searched.after):
        for to in after:
            before[to].append(number)
    reached, todo = set(ends), ends
    while todo:
        for number in before[todo.pop()]:
            if number not in reached:
                reached.add(number)
                todo.append(number)
    if len(reached) < searched.states:
        lost = set(range(searched.states)) - reached
        raise Broken("there is no way to the end any more", searched.way_to(min(lost)))
    line = _in_line(searched, set())
    if len(line) == searched.states:
        orders = [0] * searched.states
        for number in reversed(line):
            orders[number] = sum(orders[to] for to in searched.after[number]) or 1
        searched.orders = orders[0]


def _in_line(searched: Searched, without: set[tuple[int, int]]) -> list[int]:
    """Return states so that all steps lead forward; those that are on a circle are left out."""
    waits = [0] * searched.states
    for number, after in enumerate(searched.after):
        for to in after:
            waits[to] += (number, to) not in without
    line = [number for number, count in enumerate(waits) if not count]
    for number in line:
        for to in searched.after[number]:
            if (number, to) not in without:
                waits[to] -= 1
                if not waits[to]:
                    line.append(to)
    return line
