"""All schedules of a small graph that can differ, each once: partial-order reduction.

Two steps commute unless both touch the same thing and one writes it. A run stands for all orders in
which steps that commute have changed places. After each run, wherever two steps that do not commute
came in one order and could come in the other, the other is put down to be run, too.

Source: Flanagan and Godefroid, Dynamic partial-order reduction for model checking software (2005);
Abdulla et al., Optimal dynamic partial order reduction (2014), for the sets to choose from;
Godefroid, Partial-order methods for the verification of concurrent systems (1996), for sleep sets.
"""

from __future__ import annotations

from typing import Any

from gofer.testing._accesses import WHOLE
from gofer.testing._strands import ALL, CANCEL, CLOCK, FAILS, NEXT, Step

Touches = dict[Any, bool]


def commute(one: Touches, other: Touches) -> bool:
    """Return whether two steps have the same effect in either order."""
    if ALL in one or ALL in other:
        return False
    for (owner, item, key), write in one.items():
        for (owner2, item2, key2), write2 in other.items():
            same = owner == owner2 and item == item2 and (key in (key2, WHOLE) or key2 == WHOLE)
            if same and (write or write2):
                return False
    return True


class Node:
    """One choice on the way that is being explored.

    Attributes:
        options: Who could go on.
        chosen: Who does, this time.
        todo: Who is to be tried.
        done: Who has been, and what that step touched.
        sleep: Who need not be: it was tried before, and all since commutes with it.
    """

    __slots__ = ("chosen", "done", "options", "sleep", "todo")

    def __init__(self, step: Step, chosen: str, sleep: dict[str, Touches]) -> None:
        self.options, self.chosen, self.sleep = step.options, chosen, sleep
        self.todo: set[str] = set()
        self.done: dict[str, Touches] = {}
        self.want(chosen)
        if CANCEL in step.options:  # it may come at any time, or never
            self.todo.add(CANCEL)

    def want(self, label: str) -> None:
        """Put someone down to be tried; where failures are explored, its failure as well."""
        self.todo.add(label)
        if label.startswith(NEXT):
            self.todo.update(self.options)
        if label + FAILS in self.options:
            self.todo.add(label + FAILS)

    def left(self) -> list[str]:
        """Return who is still to be tried."""
        return [
            each
            for each in self.options
            if each in self.todo and each not in self.done and each not in self.sleep
        ]


class Explorer:
    """Chooses so that, run by run, all is explored.

    Attributes:
        is_over: Whether all has been.
        parted: Where a run did not go the same way as before: the options then and now.
    """

    def __init__(self) -> None:
        self._path: list[Node] = []
        self._at = 0
        self._last: Step | None = None
        self._cut = False
        self.is_over = False
        self.parted: tuple[int, list[str], list[str]] | None = None

    def __call__(self, step: Step) -> str:
        at, before = self._at, self._last
        self._at += 1
        is_next = step.options[0].startswith(NEXT)
        if not is_next:
            self._last = step
        if self._cut:
            return step.usual
        if at < len(self._path):
            node = self._path[at]
            if node.options != step.options and self.parted is None:
                self.parted = at, node.options, step.options
            return node.chosen if node.chosen in step.options else step.usual
        sleep = self._asleep(None if is_next else before)
        free = [each for each in step.options if each not in sleep]
        if not free:
            self._cut = True  # the rest has been seen, in another order
            return step.usual
        node = Node(step, step.usual if step.usual in free else free[0], sleep)
        self._path.append(node)
        return node.chosen

    def _asleep(self, before: Step | None) -> dict[str, Touches]:
        """Return who sleeps from here on: all that commutes with the step before, if it is over."""
        if not self._path:
            return {}
        above = self._path[-1]
        known = {**above.sleep, **above.done}
        return {
            who: what
            for who, what in known.items()
            if who.removesuffix(FAILS) != above.chosen.removesuffix(FAILS)
            and not who.startswith(NEXT)
            and (before is None or commute(what, before.touches))
        }

    def ended(self, steps: list[Step]) -> None:
        """Learn from a run, and prepare the next one."""
        self._compare(steps[: len(self._path)])
        self._give_chances(steps)
        path = self._path
        while path:
            node = path[-1]
            node.done[node.chosen] = steps[len(path) - 1].touches
            left = node.left()
            if left:
                node.chosen = left[0]
                break
            path.pop()
        self.is_over = not path
        self._at, self._last, self._cut = 0, None, False

    def _compare(self, steps: list[Step]) -> None:
        """Find pairs of steps that could come the other way round."""
        before: list[int] = []  # of each step: the bits of those that must come before it
        last: dict[str, int] = {}
        for i, step in enumerate(steps):
            label = step.chosen.removesuffix(FAILS)
            enabled_by = _enabled_by(steps, i, label, last.get(label, -1))
            near = 0 if label not in last else before[last[label]] | 1 << last[label]
            if enabled_by >= 0:
                near |= before[enabled_by] | 1 << enabled_by
            against = []
            for j in range(i - 1, -1, -1):
                if near >> j & 1:
                    continue
                if not commute(steps[j].touches, step.touches):
                    if step.loop is None or steps[j].loop is not step.loop:
                        against.append(j)
                    elif step.turn == i:  # on one loop, whole turns change places
                        against.append(steps[j].turn)
                    near |= before[j] | 1 << j
            before.append(near)
            last[label] = i
            for j in against:
                self._turn(steps, before, j, i)

    def _give_chances(self, steps: list[Step]) -> None:
        """Have whoever could go on, and cannot after a step, go on before it: a stop does that."""
        usual = [(i, each) for i, each in enumerate(steps) if not each.options[0].startswith(NEXT)]
        for (i, step), (_, then) in zip(usual, [*usual[1:], (-1, None)], strict=True):
            left = step.enabled - (then.enabled if then is not None else set())
            for label in left & set(step.options) - {CLOCK, CANCEL}:
                is_itself = label.removesuffix(FAILS) == step.chosen.removesuffix(FAILS)
                if i < len(self._path) and not is_itself and not label.endswith(FAILS):
                    self._path[i].want(label)

    def _turn(self, steps: list[Step], before: list[int], j: int, i: int) -> None:
        """Have the step ``i`` come before the step ``j`` in another run."""
        between = [k for k in range(j + 1, i) if not before[k] >> j & 1]
        firsts: list[str] = []
        bits = 0
        for k in [*between, i]:
            own = before[k] & ~(1 << j) if k == i else before[k]
            label = steps[k].chosen.removesuffix(FAILS)
            if not own & bits and label not in firsts and not label.startswith(NEXT):
                firsts.append(label)
            bits |= 1 << k
        node = self._path[j]
        if any(each in node.todo for each in firsts):
            return
        usable = [each for each in firsts if each in node.options]
        for each in usable[:1] or node.options:
            node.want(each)


def _enabled_by(steps: list[Step], i: int, label: str, last: int) -> int:
    """Return the step that made this one possible, or -1 if it was all the time."""
    if label in (CLOCK, CANCEL) or label.startswith(NEXT):
        return -1
    for k in range(i - 1, last, -1):
        if label not in steps[k].enabled and not steps[k].options[0].startswith(NEXT):
            return k
    return -1
