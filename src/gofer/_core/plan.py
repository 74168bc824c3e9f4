"""Jobs -> Plan: integer indices, counts of needs, dependents, layers, and every check.

Compiled once, executed many times, in O(jobs + needs). No recursion: the depth of a graph
is bounded by memory alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gofer._core.states import READY, WAITING
from gofer.errors import (
    CycleError,
    DuplicateNameError,
    JobDefinitionError,
    UnknownNeedError,
    hint,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Plan:
    """A checked graph of jobs, as integers.

    Attributes:
        names: Index -> name, in the manager's order.
        index: Name -> index.
        needs: Index -> indices of the jobs that it needs, without repeats.
        need_counts: Index -> how many needs it has.
        signals: Index -> what the end of a job counts down: jobs, and gates (see ``_gates``).
        gates: Gate -> indices of the jobs behind it. Gates are numbered on from the last job.
        loose: Whether nothing waits for most jobs.
        first_pending: Index of a job or a gate -> how many signals it waits for.
        lanes: Index -> lane.
        roots: Lane -> indices of the jobs without needs, in order.
        layers: The jobs by earliest possible start; computed when first asked for.
    """

    __slots__ = (
        "_layers",
        "first_pending",
        "first_states",
        "gates",
        "index",
        "lanes",
        "loose",
        "names",
        "need_counts",
        "needs",
        "roots",
        "signals",
        "size",
    )

    def __init__(
        self, names: Sequence[str], needs: Iterable[Sequence[str]], lanes: bytes | None = None
    ) -> None:
        """Compile and check.

        Args:
            names: One name for each job.
            needs: For each job, the names of the jobs that it needs; repeats are allowed.
            lanes: For each job, its lane; None means THREADS for all.

        Raises:
            JobDefinitionError: A name is not a string or is empty.
            DuplicateNameError: Two names are equal after Unicode normalisation.
            UnknownNeedError: A need that no job provides.
            CycleError: Jobs that need each other in a circle.
        """
        self.size = len(names)
        self.names = list(names)
        self.index = _index(self.names)
        self.lanes = bytes(self.size) if lanes is None else lanes
        self.needs = [self._indices(i, wanted) for i, wanted in enumerate(needs)]
        self.need_counts = [len(each) for each in self.needs]
        self._gates()
        self.first_states = bytearray(WAITING if count else READY for count in self.need_counts)
        self.roots = self._roots()
        self._layers: list[list[int]] | None = None
        if sum(map(len, self.roots)) < self.size:
            self.layers()  # finds a circle, if there is one

    def _indices(self, i: int, wanted: Sequence[str]) -> tuple[int, ...]:
        if not wanted:
            return ()
        index = self.index
        try:
            found = tuple([index[name] for name in wanted])
        except KeyError:
            name = next(name for name in wanted if name not in index)
            raise UnknownNeedError(self.names[i], name, nearest(name, self.names)) from None
        return found if len(found) == 1 else tuple(dict.fromkeys(found))

    def _gates(self) -> None:
        """Put the jobs that need the same jobs behind one gate, and say who signals what.

        Layers of 100 jobs, each needing the whole layer before, have 10,000 needs between two of
        them. With a gate, the end of a job is one signal, not 100.
        """
        alike: dict[tuple[int, ...], list[int]] = {}
        for i, each in enumerate(self.needs):
            if len(each) >= _MANY:
                alike.setdefault(each, []).append(i)
        self.gates = {}
        self.first_pending = self.need_counts
        waits = self.needs
        shared = [(each, behind) for each, behind in alike.items() if len(behind) > 1]
        if shared:
            self.first_pending = list(self.need_counts)
            waits = list(self.needs)
            for gate, (each, behind) in enumerate(shared, self.size):
                self.gates[gate] = behind
                self.first_pending.append(len(each))
                waits.append(each)
                for i in behind:
                    self.first_pending[i] = 1
                    waits[i] = ()
        self.signals = _turned_round(waits, self.size)
        self.loose = 2 * self.signals.count(()) >= self.size

    def dependents(self, i: int) -> Sequence[int]:
        """Return the indices of the jobs that need a job."""
        signals = self.signals[i]
        if not self.gates:
            return signals
        found = [j for j in signals if j < self.size]
        for gate in signals:
            found += self.gates.get(gate, ())
        return sorted(found)

    def _roots(self) -> tuple[list[int], list[int], list[int]]:
        roots: tuple[list[int], list[int], list[int]] = ([], [], [])
        for i, count in enumerate(self.need_counts):
            if not count:
                roots[self.lanes[i]].append(i)
        return roots

    def layers(self) -> list[list[int]]:
        """Return the jobs by earliest possible start: what can run together stands together."""
        if self._layers is None:
            self._layers = self._find_layers()
        return self._layers

    def _find_layers(self) -> list[list[int]]:
        left = list(self.first_pending)
        layer = [i for i, count in enumerate(self.need_counts) if not count]
        layers = []
        seen = 0
        while layer:
            layers.append(layer)
            seen += len(layer)
            following: list[int] = []
            for i in layer:
                for j in self.signals[i]:
                    left[j] -= 1
                    if not left[j]:
                        following += self.gates.get(j, (j,))
            following.sort()
            layer = following
        if seen < self.size:
            raise CycleError(self._find_cycle(left))
        return layers

    def _find_cycle(self, left: list[int]) -> tuple[str, ...]:
        """Walk needs that were never met until a job comes again; then read the walk forwards."""
        i = next(j for j, count in enumerate(left) if count)
        seen: dict[int, int] = {}
        walk: list[int] = []
        while i not in seen:
            seen[i] = len(walk)
            walk.append(i)
            i = next(j for j in self.needs[i] if left[j])
        circle = walk[seen[i] :]
        start = circle.index(min(circle))  # begin where the manager's order begins
        circle = circle[start:] + circle[:start]
        names = [self.names[j] for j in circle]
        return (*names, names[0])

    def closure(self, wanted: Iterable[int]) -> set[int]:
        """Return the given jobs and all that they need, directly or not."""
        found = set(wanted)
        stack = list(found)
        while stack:
            for j in self.needs[stack.pop()]:
                if j not in found:
                    found.add(j)
                    stack.append(j)
        return found


def _index(names: list[str]) -> dict[str, int]:
    for name in names:
        if not isinstance(name, str) or not name:
            raise JobDefinitionError(str(name), "a name must be a string that is not empty")
    index = dict(zip(names, range(len(names)), strict=True))
    if len(index) < len(names):
        # The index keeps a name's last place, so a name before that place is the first of two.
        raise DuplicateNameError(next(name for i, name in enumerate(names) if index[name] != i))
    unusual = [name for name in names if not name.isascii()]
    if unusual:
        from unicodedata import normalize

        seen = {name for name in names if name.isascii()}
        for name in unusual:
            plain = normalize("NFKC", name)
            if plain in seen:
                raise DuplicateNameError(name)
            seen.add(plain)
    return index


_MANY = 4
"""Needs from which on it pays to look for jobs that have the same."""


_FEW = 8
"""Dependents that are copied for each one that comes."""


def _turned_round(needs: list[tuple[int, ...]], size: int) -> list[tuple[int, ...]]:
    """Return who needs each of the first ``size``, from what each needs."""
    # Few are tuples, of which the garbage collector, unlike of lists, soon knows better.
    found: list[Any] = [None] * size
    for i, each in enumerate(needs):
        for j in each:
            there = found[j]
            if there is None:
                found[j] = (i,)
            elif type(there) is list:
                there.append(i)
            elif len(there) < _FEW:
                found[j] = (*there, i)
            else:
                found[j] = [*there, i]
    return [() if each is None else tuple(each) for each in found]


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name that the person most likely meant, or None."""
    from difflib import get_close_matches

    found = get_close_matches(name, names, n=1)
    return found[0] if found else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return the end of a sentence that names the nearest, if one is near."""
    return hint(nearest(name, names))
