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

from gofer import _parts
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

    @property
    def is_held(self) -> bool:
        """Whether it is held now: it may have been given back since it was granted."""
        return self in self.limit._held

    def leave(self) -> None:
        """Give it back, or leave the line; once more does nothing."""
        self.limit._leave(self)


HELD: ContextVar[tuple[Place, ...]] = ContextVar("gofer_places", default=())
"""The places that the jobs hold which this code runs in."""


class Limit:
    """So many places, handed from one to the next in the order in which they came.

    Thread safety: all methods may be called from any thread.
    """

    def __init__(self, name: str, most: int) -> None:
        self.name, self.most = name, most
        self._renew()
        _parts.renew_after_fork(self)  # who holds its places stays behind

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._held: set[Place] = set()
        self._line: deque[Place] = deque()

    def enter(self, job: str, wake: Callable[[], object]) -> Place:
        """Take a place, or stand in line for one.

        Args:
            job: Whose it will be.
            wake: Called once it is granted; if that answers False, nobody waits any more.

        Raises:
            LimitDeadlock: It would never be granted.
        """
        place = Place(self, job, HELD.get(), wake)
        with self._lock:
            if len(self._held) < self.most and not self._line:
                place.granted = True
                place.wake = None
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
        leaving: Place | None = place
        while leaving is not None:
            leaving = self._hand_over(leaving)
            if leaving is None:
                return
            # What is held must not keep alive who holds it: a loop may be closed, and forgotten.
            wake, leaving.wake = leaving.wake, None
            if wake() is not False:  # type: ignore[operator]  # who is in line has one
                return

    def _hand_over(self, place: Place) -> Place | None:
        """Take a place from who has it, or out of the line; return who has it now, if anybody."""
        with self._lock:
            if not place.granted:
                if place in self._line:
                    self._line.remove(place)
                    self._unblock(place)
                return None
            if place not in self._held:
                return None
            self._held.discard(place)
            if not self._line:
                return None
            following = self._line.popleft()
            self._unblock(following)
            following.granted = True
            self._held.add(following)
            return following

    @staticmethod
    def _unblock(place: Place) -> None:
        for each in place.outer:
            each.blocked -= 1
