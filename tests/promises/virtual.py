"""Virtual time for tests of promises: the clock that users have for their tests, as a fixture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gofer.testing import VirtualClock as Virtual
from gofer.testing import virtual_clock

__all__ = ["Virtual", "virtual"]


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    """Virtual time for Gofer's own waits, on every backend."""
    with virtual_clock() as made:
        yield made
