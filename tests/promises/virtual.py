"""Time that a test moves, for everything that waits: threads, loops, and deadlines.

``jumps``: whoever waits for a time moves the clock there at once, so nothing takes long. Without,
time stands still until the test calls ``advance``, or ``next``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from gofer import _context, _parts
from gofer.backends import _calls, _execution, _holds

TIMEOUT = 30.0
"""Real seconds after which a wait fails. Nothing that works comes near it, on any machine."""


class Virtual:
    """A clock, a timer, and two ways to wait.

    Attributes:
        now: What the clock reads.
        jumps: Whether a wait for a time is over at once.
        slept: The waits for a time, in seconds, in their order.
        chance: What every random number is.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._due: list[list[Any]] = []
        self._awaited: list[float] = []  # the times for which somebody waits
        self.now = 1000.0
        self.jumps = True
        self.slept: list[float] = []
        self.chance = 1.0

    def clock(self) -> float:
        """Read the clock."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move the clock, and call what is due."""
        self._move(self.now + seconds)

    def next(self) -> None:
        """Move the clock to the first time that somebody waits for, if anybody does."""
        with self._lock:
            at = min(self._awaited, default=None)
            if at is not None:
                self._awaited.remove(at)
        if at is not None:
            self._move(at)

    def _forget(self, at: float | None) -> None:
        with self._lock:
            if at in self._awaited:
                self._awaited.remove(at)  # type: ignore[arg-type]  # not None, as it is there

    def _move(self, to: float) -> None:
        with self._lock:
            self.now = max(self.now, to)
            due = [each for each in self._due if each[0] <= self.now]
            self._due = [each for each in self._due if each[0] > self.now]
        for each in due:
            if each[2] is not None:
                each[2]()

    def add(self, at: float, call: Callable[[], object]) -> list[Any]:
        """Stand for ``Timer.add``."""
        entry = [at, 0, call]
        with self._lock:
            self._due.append(entry)
        return entry

    @staticmethod
    def drop(entry: list[Any]) -> None:
        """Stand for ``Timer.drop``."""
        entry[2] = None

    def wait(self, gate: Any, seconds: float | None) -> bool:
        """Stand for ``_parts.wait``."""
        if gate.acquire(blocking=False):
            return True
        until = None if seconds is None else self.now + seconds
        if until is not None and seconds is not None:
            self.slept.append(seconds)
            if self.jumps:
                self._move(until)
                return False
            self._awaited.append(until)
        given_up = time.monotonic() + TIMEOUT
        try:
            while not gate.acquire(timeout=0.001):
                if until is not None and self.now >= until:
                    return False
                assert time.monotonic() < given_up, "what this thread waits for never came"
            return True
        finally:
            self._forget(until)

    def call_later(self, loop: Any, seconds: float, call: Callable[[], object]) -> Any:
        """Stand for ``_parts.call_later``."""
        self.slept.append(seconds)
        at = self.now + seconds
        if self.jumps:
            return loop.call_soon(lambda: (self._move(at), call()))
        self._awaited.append(at)
        return _Handle(self, self.add(at, lambda: loop.call_soon_threadsafe(call)))


class _Handle:
    def __init__(self, virtual: Virtual, entry: list[Any]) -> None:
        self._virtual, self._entry = virtual, entry

    def cancel(self) -> None:
        """Forget the call."""
        self._virtual._forget(self._entry[0])
        self._entry[2] = None


@pytest.fixture
def virtual(monkeypatch: pytest.MonkeyPatch) -> Virtual:
    """Virtual time for Gofer's own waits, on every backend."""
    made = Virtual()
    monkeypatch.setattr(_parts, "clock", made.clock)
    monkeypatch.setattr(_parts, "wait", made.wait)
    monkeypatch.setattr(_parts, "call_later", made.call_later)
    monkeypatch.setattr(_parts, "chance", lambda: made.chance)
    for module in (_context, _execution, _calls, _holds):
        monkeypatch.setattr(module, "timer", made)
    return made
