"""The fixture ``mode``: each way to run jobs, for faults that are the same in all of them."""

from __future__ import annotations

import pytest

from .modes import MODES, Mode


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Mode:
    """Each way to run jobs, in turn."""
    return Mode(request.param)
