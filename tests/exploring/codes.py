"""What a function in steps is: instructions over a frame that can be copied, compared and put back.

``stepped`` makes them, and ``machine`` runs them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

FLAGS = frozenset({"waking", "stopped", "running", "finished", "calls", "cancelled", "refused"})
"""Attributes whose reading and writing is an instruction: flags, and what is computed of them."""

LISTS = frozenset({"ended_elsewhere", "parked", "first", "later", "queue"})
"""Names of lists that threads may share, as variables and as attributes."""

SET, PUT, IF, JUMP, CALL, GET, STORE, TRUTH, ITEM, RETURN, RAISE = range(11)


class Code:
    """A function in steps.

    Attributes:
        ins: The instructions.
        plain: Instruction -> what does it to a frame and returns the next one; None for those of
            which others may see something.
        handlers: Instruction -> where an exception goes, and the variable that keeps it; or None.
        dead: Instruction -> the variables that nobody reads any more, before it.
        dead_after: The same after it, but for what it sets.
        size: How many variables.
        is_alone: Whether it looks at what threads share without the lock of the run.
        defaults: Variable -> its value at the start, where the caller gives none.
    """

    def __init__(self, function: Any, tree: Any, names: dict[str, Any]) -> None:
        """Make an empty one.

        Args:
            function: The real one, for its globals and defaults.
            tree: Its syntax tree.
            names: What some globals are here.
        """
        self.name = function.__qualname__
        self.is_alone = False
        self.globals = {**function.__globals__, **names}
        self.params = [each.arg for each in (*tree.args.args, *tree.args.kwonlyargs)]
        self.ins: list[tuple[Any, ...]] = []
        self.handlers: list[Any] = []
        self._flow: list[tuple[set[int], set[int]]] = []  # what each reads and sets
        self.size = 0
        self.defaults = {
            name: each.default
            for name, each in inspect.signature(function).parameters.items()
            if each.default is not each.empty
        }
        self.plain: list[Any] = []
        self.dead: list[tuple[int, ...]] = []
        self.dead_after: list[tuple[int, ...]] = []

    def complete(self, size: int) -> None:
        """Note that all instructions are there, and how many variables."""
        self.size = size
        self.plain = [_plain(at, *ins) for at, ins in enumerate(self.ins)]
        self.dead, self.dead_after = self._dead()

    def start(self, args: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
        """Return the variables of a new frame."""
        given = {**self.defaults, **dict(zip(self.params, args, strict=False)), **named}
        return [given[name] for name in self.params] + [None] * (self.size - len(self.params))

    def add(self, kind: int, *rest: Any, reads: set[int], sets: set[int], handler: Any) -> None:
        """Add an instruction."""
        self.ins.append((kind, *rest))
        self.handlers.append(handler)
        self._flow.append((reads, sets))

    def _dead(self) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        size = len(self.ins)
        before: list[set[int]] = [set() for _ in range(size + 1)]
        after: list[set[int]] = [set() for _ in range(size + 1)]
        changed = True
        while changed:
            changed = False
            for at in reversed(range(size)):
                out: set[int] = set()
                for to in self._next(at):
                    out |= before[to]
                reads, sets = self._flow[at]
                live = reads | (out - sets)
                if self.handlers[at] is not None:
                    to, slot = self.handlers[at]
                    live |= before[to] - {slot}
                    out |= before[to] - {slot}
                if live != before[at] or out != after[at]:
                    before[at], after[at], changed = live, out, True
        every = set(range(self.size))
        return (
            [tuple(every - each) for each in before[:size]],
            [tuple(every - each) for each in after[:size]],
        )

    def _next(self, at: int) -> list[int]:
        kind = self.ins[at][0]
        if kind == JUMP:
            return [self.ins[at][1]]
        if kind == IF:
            return [at + 1, self.ins[at][2]]
        return [] if kind in (RETURN, RAISE) else [at + 1]


def _plain(at: int, kind: int, *rest: Any) -> Callable[[list[Any]], int] | None:
    """Return what does an instruction that nobody else can see, and returns the next one."""
    value, other = (*rest, None)[:2]

    def set_(frame: list[Any]) -> int:
        frame[other] = value(frame)
        return at + 1

    def put(frame: list[Any]) -> int:
        value(frame)
        return at + 1

    def branch(frame: list[Any]) -> int:
        return at + 1 if value(frame) else other

    def jump(frame: list[Any]) -> int:
        return value

    def throw(frame: list[Any]) -> int:
        raise value(frame)

    return {SET: set_, PUT: put, IF: branch, JUMP: jump, RAISE: throw}.get(kind)
