"""Whoever lets others go on does so once each, also where some come back at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gofer import JobManager, job
from gofer._running import RunExecution


class Comes:
    """A gate whose thread goes on, and comes back before anybody else has moved."""

    def __init__(self, back: Callable[[Any], object]) -> None:
        self.back, self.times = back, 0

    def release(self) -> None:
        """Let it go on."""
        self.times += 1
        assert self.times < 10, "it goes round for ever"
        self.back(self)


@pytest.fixture
def execution() -> RunExecution:
    """A run that has begun."""
    return JobManager([job(lambda: None, name="a")])._begin(None, None, None)


def test_a_thread_that_parked_again_at_once_was_woken_for_ever(execution: RunExecution) -> None:
    """The caller of a stopped run waits on while jobs still run; who stops it goes on, too."""
    gates = [Comes(execution.parked.append) for _ in range(3)]
    execution.parked += gates
    execution.ctx.cancel("enough")
    assert [each.times for each in gates] == [1, 1, 1]
    assert execution.parked == gates


def test_who_waited_again_at_once_for_a_job_was_called_for_ever(execution: RunExecution) -> None:
    """The job that ended was not the one that a map waits for, say."""
    openers = [Comes(lambda each: execution.waiting.append(each.release)) for _ in range(3)]
    execution.waiting += [each.release for each in openers]
    execution.notify()
    assert [each.times for each in openers] == [1, 1, 1]
