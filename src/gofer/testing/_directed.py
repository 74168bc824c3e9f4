"""One run of a manager, or of any code that uses Gofer, under a conductor.

Gofer's own code runs, with other parts: the clock, waiting, locks, the starting of threads, the
loop, and which ready job goes next. Nothing of what Gofer means is written a second time here.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import heapify
from itertools import count
from types import SimpleNamespace
from typing import Any

from gofer import _context, _crew, _parts, _program, _running
from gofer._context import Context
from gofer._core.lanes import LAST, LOOP, THREADS
from gofer._core.schedule import Schedule
from gofer._crew import GroupExecution
from gofer._limits import Limit
from gofer._running import RunExecution
from gofer._timer import timer
from gofer.backends import _calls, _execution, _helpers, _holds, _workers, _worlds, loop
from gofer.backends._execution import Execution
from gofer.policies import Breaker
from gofer.testing import _controlled
from gofer.testing._conductor import Conductor
from gofer.testing._controlled import Loop
from gofer.testing._hooks import (
    asked,
    begin_of,
    bound,
    call_of,
    caught,
    of_breaker,
    of_limit,
)
from gofer.testing._strands import SLEEP, mine, place_of


class ChoosingSchedule(Schedule):
    """A schedule that lets the conductor choose who gets the last place of a limit."""

    __slots__ = ("_lane",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lane: int | None = None
        if mine() is not None:
            self.passes = False

    def _binds(self) -> Conductor | None:
        return mine() if self.limit < self.plan.size else None

    def head(self, lane: int) -> float:
        own, conductor = super().head(lane), self._binds()
        if conductor is None or own == LAST or LAST in map(super().head, (THREADS, LOOP)):
            return own
        if self._lane is None:
            self._lane = conductor.which(["a thread", "the loop"])
        return 0.0 if lane == self._lane else 1.0

    def _pop(self, lane: int) -> int:
        first, later, self._lane = self._first[lane], self._later[lane], None
        ranks, conductor = sorted([*first, *later]), self._binds()
        if conductor is None or len(ranks) < 2:
            return super()._pop(lane)
        jobs = [self._job(rank) for rank in ranks]
        chosen = conductor.which([self.plan.names[i] for i in jobs])
        line = first if ranks[chosen] in first else later
        line.remove(ranks[chosen])
        if line is later:
            heapify(later)
        return jobs[chosen]


def _instead(real: Any, stand_in: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that hands the real one to what stands for it."""

    def call(*args: Any) -> Any:
        return stand_in(*args, real)

    return call


def _or_real(real: Any, of: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that asks the conductor of this thread, if there is one."""

    def call(*args: Any, **named: Any) -> Any:
        conductor = mine()
        return real(*args, **named) if conductor is None else of(conductor, *args, **named)

    _controlled.MAKERS.add(call.__code__)
    return call


def _sleep(conductor: Conductor, seconds: float) -> None:
    conductor.point("sleeps")
    conductor.block(lambda: False, conductor.now + seconds, SLEEP)
    conductor.fail_if_planned()


@contextmanager
def installed() -> Iterator[None]:
    """Replace the parts of the world, for the strands of conductors; nobody else notices."""
    time = sys.modules["time"]
    thread: Any = threading.Thread
    deadlines = SimpleNamespace(add=_or_real(timer.add, Conductor.add), drop=timer.drop)
    asks = Context.cancelled.fget  # type: ignore[attr-defined]
    parts: list[tuple[Any, str, Any]] = [
        (_parts, "clock", _or_real(_parts.clock, lambda c: c.now)),
        (_parts, "chance", _or_real(_parts.chance, lambda _: 0.5)),
        (_parts, "wait", _instead(_parts.wait, _controlled.wait)),
        (time, "sleep", _or_real(time.sleep, _sleep)),
        (threading, "Lock", _or_real(threading.Lock, _controlled.lock)),
        (threading, "_allocate_lock", _or_real(threading.Lock, _controlled.lock)),
        (threading, "RLock", _or_real(threading.RLock, _controlled.rlock)),
        (
            threading,
            "current_thread",
            _instead(threading.current_thread, _controlled.current_thread),
        ),
        (thread, "start", _instead(thread.start, _controlled.start)),
        (thread, "is_alive", _instead(thread.is_alive, _controlled.is_alive)),
        (thread, "join", _joined(thread.join)),
        (asyncio.events, "new_event_loop", _or_real(asyncio.new_event_loop, Loop)),
        *[(place, "timer", deadlines) for place in (_context, _execution, _calls, _holds)],
        *[(kind, "call", call_of(kind)) for kind in (RunExecution, GroupExecution)],
        *[(kind, "begin", begin_of(kind)) for kind in (RunExecution, GroupExecution)],
        (RunExecution, "bound", _instead(RunExecution.bound, bound)),
        (Execution, "caught", _instead(Execution.caught, caught)),
        (_running, "Schedule", ChoosingSchedule),
        (_program.Program, "learn", _or_real(_program.Program.learn, lambda *_: None)),
        (loop, "_IS_EAGER", False),
        (Context, "check", asked(Context.check, "asks whether to go on")),
        (Context, "sleep", asked(Context.sleep, "sleeps")),
        (Context, "cancel", asked(Context.cancel, "cancels", write=True)),
        (Context, "cancelled", property(asked(asks, "asks whether to go on"))),
        (Limit, "enter", of_limit(Limit.enter, "asks for")),
        (Limit, "try_enter", of_limit(Limit.try_enter, "asks for")),
        (Limit, "_leave", of_limit(Limit._leave, "")),
        (Breaker, "admit", of_breaker(Breaker.admit)),
        (Breaker, "ended", of_breaker(Breaker.ended)),
    ]
    with _replaced(parts):
        yield


def _joined(real: Any) -> Callable[..., None]:
    def join(self: Any, timeout: float | None = None) -> None:
        _controlled.join(self, timeout, real)

    return join


@contextmanager
def _replaced(parts: list[tuple[Any, str, Any]]) -> Iterator[None]:
    before = [(place, name, vars(place)[name]) for place, name, _ in parts]
    for place, name, part in parts:
        setattr(place, name, part)
    try:
        yield
    finally:
        for place, name, part in reversed(before):
            setattr(place, name, part)


class Stuck(RuntimeError):
    """A job blocks by means that the explorer does not control, so nothing can go on."""


def direct(conductor: Conductor, body: Callable[[], Any], stuck_after: float) -> None:
    """Call something in a first strand, and wait until all that it began has ended.

    Raises:
        Stuck: A strand has not come back for so many real seconds.
    """
    loops: list[Loop] = []

    def background_loop() -> Loop:
        if not loops:
            loops.append(Loop(conductor))
            thread = threading.Thread(target=loops[0].serve, name="gofer:loop")
            _parts.start_thread(thread)
        return loops[0]

    def main() -> None:
        workers, helpers = _workers.Workers(), _helpers.Helpers()  # with the conductor's locks
        workers._numbers = count(_FROM)
        helpers._numbers = count(_FROM)
        for place, name, _ in parts:
            setattr(place, name, workers if name == "workers" else helpers)
        try:
            body()
        finally:
            conductor.close()
            for each in loops:
                each.call_soon_threadsafe(each.stop)

    places = [(each, "workers") for each in (_running, _crew)]
    places += [(each, "helpers") for each in (_worlds, _holds)]
    parts = [(place, name, vars(place)[name]) for place, name in places]
    with _replaced([*parts, (loop, "background_loop", background_loop)]):
        conductor.begin(threading.Thread(name="gofer:explorer"), main)
        try:
            _wait(conductor, stuck_after)
        except BaseException:
            conductor.die("the explorer was interrupted")
            raise


def _wait(conductor: Conductor, stuck_after: float) -> None:
    seen: Any = None
    since = 0.0
    while not conductor.done.acquire(timeout=_LOOK_UP):
        now, running = _parts.clock(), conductor.running
        progress = conductor.moves, running, conductor.now
        if progress != seen:
            seen, since = progress, now
        elif conductor.dead is not None and now > since + 1.0:
            return  # what is left is deaf, and can do no harm
        elif now > since + stuck_after:
            name, place = conductor.label or "Gofer's own code", place_of(running)
            raise Stuck(
                f"job {name!r} has blocked for {stuck_after:g} s at {place}, by means that the "
                f"explorer does not control: give it fakes instead of networks and files that "
                f"block, and make locks, events and queues in make_param"
            )


_LOOK_UP = 0.2

_FROM = 1_000_001
"""The number of the first worker: no real one has it, so labels of parked ones stay theirs."""
