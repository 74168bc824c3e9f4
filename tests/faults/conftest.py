"""The fixtures ``mode`` and ``workers``: each way to run jobs, and each kind of processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gofer.backends import ProcessBackend

from .modes import MODES, Mode


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Mode:
    """Each way to run jobs, in turn."""
    return Mode(request.param)


@pytest.fixture(scope="module", params=["forkserver", "spawn"])
def workers(request: pytest.FixtureRequest) -> Iterator[ProcessBackend]:
    """Two workers of each start method, for all tests of a file."""
    backend = ProcessBackend(2, start=request.param)
    yield backend
    backend.close()
