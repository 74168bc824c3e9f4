"""No wake-up of the thread backend is lost, in any order of what its threads do to each other.

Jobs whose names are capitals wait for each other, so each must get a thread of its own: where a
wake-up is lost, nobody can go on any more.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from gofer import _parts
from gofer.backends import _workers, threads
from gofer.testing._schedules import Priorities, Uniform

from .protocol import Explored, explored, graph, meeting, mutated

SMALL = ["A B", "a b", "a B:a C:a", "a b:a c:b"]
"""Graphs of which all orders are run: two threads."""

LARGE = [
    "a b c",
    "A B C",
    "a B C:a",
    "a b C:a D:b",
    "A B C D",
    "a b c d",
    "a b C D",
    "a B:a C:a d:BC",
]
"""Graphs of which some orders are run: up to four threads, the caller among them."""

TIMES = int(os.environ.get("GOFER_SCHEDULES", "150"))
"""How many random orders of each large graph are run; half of them with priorities."""

MUTANTS: dict[str, tuple[Any, str, str]] = {
    "what ended elsewhere is not looked for after the desk is given back": (
        threads.work,
        "if ended_elsewhere:\n                _clear_desk(execution)\n            if outcome",
        "if outcome",
    ),
    "whoever leaves an end with another does not ask once more": (
        threads.work,
        "                i = NOTHING\n                _clear_desk(execution)\n",
        "                i = NOTHING\n",
    ),
    "a thread that arrives does not say so": (threads.work, "core.waking = False", "pass"),
    "a woken thread does not wake the next": (
        threads.work,
        "wake = i >= 0 and core.wants()",
        "wake = False",
    ),
    "whoever books ends of others wakes nobody": (
        threads._clear_desk,
        "wake, finished = core.wants(), core.finished",
        "wake, finished = False, core.finished",
    ),
    "the end of the run is not told": (
        threads._clear_desk,
        "        if finished:\n            execution.finish()\n        elif post",
        "        if post",
    ),
    "a thread that comes serves one run, and sends for nobody": (
        _workers.Workers._next,
        "self._coming = False",
        "pass",
    ),
}


def random(seed: int) -> Any:
    """Return one random order."""
    chance = _parts.seeded(seed)
    return Priorities(chance, 80) if seed % 2 else Uniform(chance)


def shape_explored(
    shape: str, patch: pytest.MonkeyPatch, most: int, chooser: Callable[[int], Any] | None = None
) -> Explored:
    """Explore a graph by its shape."""
    size = sum(each.partition(":")[0].isupper() for each in shape.split())
    meet, reset = meeting(size)
    return explored(graph(shape, meet), reset, patch, most=most, chooser=chooser)


@pytest.mark.parametrize("waits", [False, True], ids=["with a GIL", "without"])
@pytest.mark.parametrize("shape", SMALL)
def test_no_wake_up_is_lost_in_any_order(
    monkeypatch: pytest.MonkeyPatch, shape: str, waits: bool
) -> None:
    """Two threads: every order of their uses of locks, lists and flags that can differ."""
    monkeypatch.setattr(threads, "_WAITS", waits)
    result = shape_explored(shape, monkeypatch, 3000)
    assert (result.broken, result.exhaustive) == ("", True)


@pytest.mark.parametrize("waits", [False, True], ids=["with a GIL", "without"])
@pytest.mark.parametrize("shape", LARGE)
def test_no_wake_up_is_lost_at_random(
    monkeypatch: pytest.MonkeyPatch, shape: str, waits: bool
) -> None:
    """Up to four threads and four jobs, in orders from seeds."""
    monkeypatch.setattr(threads, "_WAITS", waits)
    assert shape_explored(shape, monkeypatch, TIMES, random).broken == ""


@pytest.mark.parametrize("name", MUTANTS)
def test_a_lost_wake_up_would_be_found(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """With one line of the protocol changed, some order hangs: so the others prove something."""
    monkeypatch.setattr(threads, "_WAITS", False)
    with mutated(*MUTANTS[name]):
        found = [shape_explored(shape, monkeypatch, 400) for shape in SMALL]
        if not any(each.broken for each in found):
            found = [shape_explored(shape, monkeypatch, 400, random) for shape in LARGE]
    assert any("a deadlock" in each.broken for each in found)
