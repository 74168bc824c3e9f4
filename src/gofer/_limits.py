"""Named limits: so many calls at once, over all runs of a manager; first come, first served.

A limit belongs to no event loop: whoever waits brings a function that wakes it, from any thread.

Who holds a place is known in a context variable, so a run that was made inside a job knows what the
jobs around it hold. That is how a deadlock is seen: where each place of a limit is held by a job
that waits, in a run inside it, for that same limit, nobody will ever give one back.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar

from gofer.errors import LimitDeadlock


class Place:
    """One place of a limit, or one in the line for it.

    Attributes:
        limit: Of what.
        granted: Whether it is held; else it is in the line.
        job: Whose it is.
        blocked: How many wait for this limit in runs inside the job that holds it.
    """

    __slots__ = ("blocked", "granted", "job", "limit", "outer", "wake")

    def __init__(self, limit: Limit, job: str, outer: tuple[Place, ...], wake: object) -> None:
        self.limit, self.job, self.wake = limit, job, wake
        self.outer = [each for each in outer if each.limit is limit]
        self.granted = False
        self.blocked = 0

    def leave(self) -> None:
        """Give it back, or leave the line; once."""
        self.limit._leave(self)


HELD: ContextVar[tuple[Place, ...]] = ContextVar("gofer_places", default=())
"""The places that the jobs hold which this code runs in."""


class Limit:
    """So many places, handed from one to the next in the order in which they came.

    Thread safety: all methods may be called from any thread.
    """

    def __init__(self, name: str, most: int) -> None:
        self.name, self.most = name, most
        self._lock = threading.Lock()
        self._held: set[Place] = set()
        self._line: deque[Place] = deque()

    def enter(self, job: str, wake: Callable[[], object]) -> Place:
        """Take a place, or stand in line for one: ``wake`` is called once it is granted.

        Raises:
            LimitDeadlock: It would never be granted.
        """
        place = Place(self, job, HELD.get(), wake)
        with self._lock:
            if len(self._held) < self.most and not self._line:
                place.granted = True
                self._held.add(place)
                return place
            for each in place.outer:
                each.blocked += 1
            if place.outer and all(each.blocked for each in self._held):
                self._unblock(place)
                raise LimitDeadlock(job, self.name, self.most, place.outer[-1].job)
            self._line.append(place)
            return place

    def try_enter(self, job: str) -> Place | None:
        """Take a place if one is free and nobody waits for it."""
        place = Place(self, job, HELD.get(), None)
        with self._lock:
            if len(self._held) >= self.most or self._line:
                return None
            place.granted = True
            self._held.add(place)
            return place

    def _leave(self, place: Place) -> None:
        following = None
        with self._lock:
            if not place.granted:
                self._line.remove(place)
                self._unblock(place)
                return
            self._held.discard(place)
            if self._line:
                following = self._line.popleft()
                self._unblock(following)
                following.granted = True
                self._held.add(following)
        if following is not None:
            following.wake()  # type: ignore[operator]  # who is in line has one

    @staticmethod
    def _unblock(place: Place) -> None:
        for each in place.outer:
            each.blocked -= 1
