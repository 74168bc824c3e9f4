"""What strands can do next, worked out once for all states in which it is the same.

What a strand does depends on where it stands, on the runs and the workers as they are, and of the
other strands on very little. There are many more states than such views.
"""

from __future__ import annotations

from typing import Any

from .worlds import World

Step = tuple[Any, Any, bool]
"""A move, the state after it, and whether it found the desk taken."""


class Remembered:
    """A world that does each step once.

    Attributes:
        world: The real one.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._views: dict[Any, Any] = {}
        self._opened: dict[int, int] = {}
        self._meets = any(world.meeting)
        self._runs = len(world.runs)

    def steps(self, state: Any) -> list[Step]:
        """Return what may happen next."""
        world = self.world
        loose, rest, strands = world.loose, state[0], state[1:]
        readers = passing = False
        for number in strands:
            look = loose[number]
            readers |= look == 1
            passing |= look == 2
        where = (rest, len(strands), readers, passing, self._in_jobs(strands))
        found: list[Step] = []
        for slot, number in enumerate(strands):
            view = (slot, number, where)
            known = self._views.get(view)
            if known is None:
                known = self._views[view] = self._look(state, slot)
            for move, missed, new, opened, started, then in known:
                found.append((move, world.after(state, slot, new, opened, started, then), missed))
        return found

    def _in_jobs(self, strands: tuple[int, ...]) -> Any:
        """Return which jobs are under way, where others wait for that."""
        if not self._meets:
            return None
        return frozenset(filter(None, map(self.world.at_job, strands)))

    def _look(self, state: Any, slot: int) -> list[Any]:
        world = self.world
        world.load(state)
        found = []
        for how in world.ways(state, slot):
            effect = world.effect(state, slot, how)
            found.append(((slot, how), world.missed, *effect))
        return found
