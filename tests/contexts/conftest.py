"""What tests of contexts share: a clock that they move, and ears for what nobody can catch."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from gofer import _context, _parts, _timer


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def timer(monkeypatch: pytest.MonkeyPatch) -> _timer.Timer:
    """A timer of the test's own, with a thread of its own that leaves when idle."""
    monkeypatch.setattr(_timer, "_LINGER", 0.0)
    timer = _timer.Timer()
    monkeypatch.setattr(_context, "timer", timer)
    return timer


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, timer: _timer.Timer) -> Clock:
    """Time that a test moves; there is no timer thread, so nothing happens that nobody asks for."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    clock = Clock()
    monkeypatch.setattr(_parts, "clock", clock)
    monkeypatch.setattr(_parts, "start_thread", refuse)
    return clock


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """Every thread that Gofer starts during the test."""
    started: list[threading.Thread] = []
    start: Callable[[threading.Thread], None] = _parts.start_thread

    def note_and_start(thread: threading.Thread) -> None:
        started.append(thread)
        start(thread)

    monkeypatch.setattr(_parts, "start_thread", note_and_start)
    return started


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What ``sys.unraisablehook`` was told."""
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    return told
