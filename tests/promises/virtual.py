"""Virtual time for tests of promises: the clock that users have for their tests, as a fixture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gofer.testing import VirtualClock as Virtual
from gofer.testing import virtual_clock

__all__ = ["TIMEOUT", "Virtual", "virtual"]

TIMEOUT = 30.0
"""Real seconds after which a wait fails. Nothing that works comes near it, on any machine."""


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    """Virtual time for Gofer's own waits, on every backend."""
    with virtual_clock() as made:
        yield made
