"""The pytest plugin: fixtures named ``gofer_*``, there wherever Gofer is installed.

pytest loads this at its start, in every project of the environment, so it imports nothing but what
``import gofer`` does; each fixture imports what it needs.
"""

from __future__ import annotations

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import Any

    from gofer import Run
    from gofer.testing import RaceDetector, VirtualClock


@pytest.fixture
def gofer_instant_retries() -> Iterator[None]:
    """Let no job wait between its attempts, during the test."""
    from gofer.testing import instant_retries

    with instant_retries():
        yield


@pytest.fixture
def gofer_clock() -> Iterator[VirtualClock]:
    """Let the test move the time that Gofer sees; see ``gofer.testing.virtual_clock``."""
    from gofer.testing import virtual_clock

    with virtual_clock() as clock:
        yield clock


@pytest.fixture
def gofer_runs() -> Iterator[list[Run]]:
    """Give every run of every manager that ends during the test, in that order."""
    from gofer.testing import recorded_runs

    with recorded_runs() as runs:
        yield runs


@pytest.fixture
def gofer_races() -> Callable[..., AbstractContextManager[RaceDetector]]:
    """Fail the test if jobs race in a block: ``with`` this, called with a manager.

    All runs of the manager in the block are watched, whoever starts them; the arguments are those
    of ``gofer.testing.RaceDetector``. A block in which there is no run fails, too.
    """
    from contextlib import contextmanager

    from gofer.testing import RaceDetector

    @contextmanager
    def watching(*args: Any, **options: Any) -> Iterator[RaceDetector]:
        with RaceDetector(*args, **options) as detector:
            yield detector
        assert detector.runs, "the manager had no run in this block, so no race could be found"
        detector.check()

    return watching
