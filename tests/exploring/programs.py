"""What runs in the worlds of ``worlds``: Gofer's own functions, and what their callers do."""

from __future__ import annotations

from typing import Any

from gofer._core.lanes import Lanes
from gofer._core.schedule import Schedule
from gofer.backends import _workers, threads
from gofer.backends._execution import Execution

from .surroundings import Ctx


def works(execution: Any) -> None:
    """Do what the caller of ``execute`` does."""
    threads._work_and_wait(execution)
    leave(execution)


def waits(execution: Any) -> None:
    """Do what a loop does that has no job of its own: see ``loop.Lane``."""
    core, lane = execution.core, execution.lane
    while True:
        lane.take_back()
        with execution.lock:
            wake = not core.waking and core.wants()
        if wake:
            execution.wake()
        if not core.running and execution.over():
            leave(execution)
            return


def leave(execution: Any) -> None:
    """Do what ``Execution.conclude`` does about threads."""
    if execution.core.waking or execution in execution.workers._wanting:
        execution.workers.dismiss(execution)


def stops(execution: Any) -> None:
    """Cancel a run from elsewhere."""
    execution.ctx.cancel("enough")


FUNCTIONS: list[Any] = [
    works,
    waits,
    leave,
    stops,
    Ctx.cancel,
    threads.work,
    threads._wait_for_desk,
    threads._clear_desk,
    threads._work_and_wait,
    threads.wait,
    Execution.wake,
    Execution.unpark,
    Execution.unpark_all,
    Execution.finish,
    Execution.over,
    Execution.notify,
    Execution.stop,
    Execution.caught,
    _workers.Workers.summon,
    _workers.Workers.dismiss,
    _workers.Workers._send,
    _workers.Workers._serve,
    _workers.Workers._next,
    _workers._refused,
    Schedule.take,
    Schedule.turn,
    Schedule.pass_on,
    Schedule.ended,
    Schedule.has_ready,
    Schedule.head,
    Schedule._pop,
    Schedule._met,
    Schedule._open,
    Schedule.finished.fget,
    Lanes.wants,
    Lanes.calls.fget,
    Lanes._head_beside,
    Lanes.cancelled,
    Lanes.last,
]

ALONE = [waits, leave, stops, threads._wait_for_desk, threads._clear_desk, Execution.stop]
ALONE += [Schedule.pass_on]
"""Those that look at flags without the lock of the run."""
