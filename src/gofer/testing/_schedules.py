"""Who goes first: the usual order, and the ways to leave it.

A schedule is told by where it leaves the usual order: whoever goes on keeps going on while it can,
and then the first of the others does. So the fewer changes, the easier it is to understand.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

from gofer.testing._strands import CANCEL, CLOCK, FAILS, NEXT, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

Changes = dict[tuple[str, int], str]
"""Who went on last, and how often by then -> who goes next instead."""

_RARE = 0.04
"""How often something from outside is chosen at random, at each point."""


def changes_of(steps: Iterable[Step]) -> Changes:
    """Return where a run left the usual order."""
    return {(each.current, each.count): each.chosen for each in steps if each.chosen != each.usual}


def as_text(changes: Changes) -> str:
    """Return changes as a seed: ``add@3>fee`` lets ``fee`` go on after ``add`` went on 3 times."""
    found = [f"{_quoted(who)}@{n}>{_quoted(then)}" for (who, n), then in changes.items()]
    return ",".join(found) or "usual"


def from_text(seed: str) -> Changes:
    """Return the changes that a seed tells.

    Raises:
        ValueError: It is no such seed.
    """
    changes: Changes = {}
    try:
        for each in [] if seed == "usual" else seed.split(","):
            who, rest = each.split("@")
            count, then = rest.split(">")
            changes[unquote(who), int(count)] = unquote(then)
    except ValueError:
        raise ValueError(
            f"{seed!r} is no seed; write a whole number or what found.seed says"
        ) from None
    return changes


def _quoted(label: str) -> str:
    return quote(label, safe=" ():'#[]")


class Replay:
    """Leaves the usual order where it is told to."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    def __call__(self, step: Step) -> str:
        wanted = self._changes.get((step.current, step.count))
        return wanted if wanted in step.options else step.usual


def reverse(step: Step) -> str:
    """Choose the last of those that could go first, and let it go on."""
    options = [each for each in step.options if not _is_outside(each)]
    if step.current in options and step.access[step.current] is not None:
        return step.current
    return options[-1] if options else step.usual


def _is_outside(label: str) -> bool:
    return label in (CLOCK, CANCEL) or label.endswith(FAILS)


class Uniform:
    """Chooses any of those that can go on, at each point."""

    def __init__(self, chance: Any) -> None:
        self._chance = chance

    def __call__(self, step: Step) -> str:
        rare = [each for each in step.options if each == CANCEL or each.endswith(FAILS)]
        if rare and self._chance.random() < _RARE:
            return str(self._chance.choice(rare))
        return str(self._chance.choice([each for each in step.options if each not in rare]))


class Priorities:
    """Lets whoever has the highest priority go on; at few random points that one gets the lowest.

    Source: Burckhardt et al., A randomized scheduler with probabilistic guarantees of finding bugs
    (2010), known as PCT.
    """

    def __init__(self, chance: Any, length: int) -> None:
        self._chance = chance
        self._changes = {chance.randrange(max(1, length)) for _ in range(chance.choice([1, 2, 3]))}
        self._strikes = chance.randrange(max(1, length))
        self._priorities: dict[str, float] = {}
        self._count = 0

    def __call__(self, step: Step) -> str:
        self._count += 1
        rare = [each for each in step.options if each == CANCEL or each.endswith(FAILS)]
        if rare and self._count > self._strikes:
            self._strikes += 1 << 30
            return str(self._chance.choice(rare))
        options = [each for each in step.options if each not in rare]
        for each in options:
            self._priorities.setdefault(each, self._chance.random())
        best = max(options, key=self._priorities.__getitem__)
        if self._count in self._changes and len(options) > 1:
            self._priorities[best] = -self._count
            best = max(options, key=self._priorities.__getitem__)
        return best


class Turned:
    """Stops one job right before it uses a part of the param, until another job has used it.

    Args:
        held: The job that waits.
        other: The job that goes first.
        path: What both use.
        write: Whether it is stopped before its first write, instead of before its first use.
    """

    def __init__(self, held: str, other: str, path: str, *, write: bool) -> None:
        self._held, self._other, self._path, self._write = held, other, path, write
        self._is_over = False

    def __call__(self, step: Step) -> str:
        options = [each for each in step.options if not _is_outside(each)] or step.options
        if self._is_over or step.options[0].startswith(NEXT):
            return step.usual
        chosen = self._choose(step, options)
        access = step.access[chosen]
        if chosen == self._other and access is not None and self._is_it(access[0]):
            self._is_over = access[1] or not self._write
        return chosen

    def _choose(self, step: Step, options: list[str]) -> str:
        access = step.access.get(self._held)
        stands = access is not None and self._is_it(access[0]) and (access[1] or not self._write)
        if not stands:  # go on until it does
            return self._held if self._held in options else self._without_other(step, options)
        if self._other in options:
            return self._other
        others = [each for each in options if each != self._held]
        return others[0] if others else self._give_up(step)

    def _without_other(self, step: Step, options: list[str]) -> str:
        usual = step.usual if step.usual in options else options[0]
        if usual != self._other:
            return usual
        return next((each for each in options if each != self._other), usual)

    def _give_up(self, step: Step) -> str:
        self._is_over = True
        return step.usual

    def _is_it(self, path: str) -> bool:
        one, other = self._path, path
        return (
            one == other
            or one.startswith((f"{other}.", f"{other}["))
            or other.startswith((f"{one}.", f"{one}["))
        )
