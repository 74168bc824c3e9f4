"""Time that a test moves, for everything in Gofer that waits."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from gofer import _context, _parts
from gofer._timer import timer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LOOK_UP = 0.001
"""Real seconds after which a thread that waits for the clock looks whether it was moved."""


class VirtualClock:
    """A clock that a test moves, or that jumps to whatever is waited for.

    Attributes:
        now: What the clock reads, in seconds.
        jumps: Whether a wait of Gofer's for a time is over at once, the clock having moved there.
            If not, time stands still until ``advance`` or ``next`` is called.
        slept: The waits for a time, in seconds, in the order in which they began.
        chance: What every random number is, from 0 to 1; jitter is drawn with it.

    Thread safety: may be used from any thread, jobs included.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._due: list[list[Any]] = []
        self._awaited: list[float] = []  # the times for which somebody waits
        self.now = 1000.0
        self.jumps = True
        self.slept: list[float] = []
        self.chance = 1.0

    def advance(self, seconds: float) -> None:
        """Move the clock on, and do what is due then: deadlines, timeouts, ends of waits.

        Called in a job it stands for work that takes so long.
        """
        self._move(self.now + seconds)

    def next(self) -> None:
        """Move the clock to the first time that somebody waits for, if anybody does."""
        with self._lock:
            at = min(self._awaited, default=None)
            if at is not None:
                self._awaited.remove(at)
        if at is not None:
            self._move(at)

    def _forget(self, at: float) -> None:
        with self._lock:
            if at in self._awaited:
                self._awaited.remove(at)

    def _move(self, to: float) -> None:
        with self._lock:
            self.now = max(self.now, to)
            due = [each for each in self._due if each[0] <= self.now]
            self._due = [each for each in self._due if each[0] > self.now]
        for each in due:
            if each[2] is not None:  # nobody has dropped it
                each[2]()

    # What stands for the parts of the world, called as they are.

    def _read(self) -> float:
        return self.now

    def _draw(self) -> float:
        return self.chance

    def _add(self, at: float, call: Callable[[], object]) -> list[Any]:
        entry = [at, 0, call]  # an entry of ``_timer.Timer``, so that its ``drop`` drops it
        with self._lock:
            self._due.append(entry)
        return entry

    def _wait(self, gate: Any, seconds: float | None) -> bool:
        if gate.acquire(blocking=False):
            return True
        if seconds is None:
            return bool(gate.acquire(timeout=_parts.LISTEN))  # who waits for no time waits again
        until = self.now + seconds
        self.slept.append(seconds)
        if self.jumps:
            self._move(until)
            return False
        with self._lock:
            self._awaited.append(until)
        try:
            while not gate.acquire(timeout=_LOOK_UP):
                if self.now >= until:
                    return False
            return True
        finally:
            self._forget(until)

    def _call_later(self, loop: Any, seconds: float, call: Callable[[], object]) -> Any:
        self.slept.append(seconds)
        at = self.now + seconds
        if self.jumps:

            def jump() -> None:
                self._move(at)
                call()

            return loop.call_soon(jump)
        with self._lock:
            self._awaited.append(at)
        return _Handle(self, self._add(at, lambda: loop.call_soon_threadsafe(call)))


class _Handle:
    """What ``call_later`` of an event loop would have returned."""

    def __init__(self, clock: VirtualClock, entry: list[Any]) -> None:
        self._clock, self._entry = clock, entry

    def cancel(self) -> None:
        self._clock._forget(self._entry[0])
        self._entry[2] = None


def _sleeps_of(clock: VirtualClock) -> list[tuple[Any, str, Any]]:
    """Return what stands for ``time.sleep`` and ``asyncio.sleep``, and where."""
    import asyncio

    real = asyncio.sleep

    def sleep(seconds: float) -> None:
        gate = threading.Lock()
        gate.acquire()
        until = clock.now + seconds
        while clock.now < until:
            clock._wait(gate, until - clock.now)

    async def asleep(delay: float, result: Any = None) -> Any:
        if delay <= 0:
            return await real(delay, result)
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def wake() -> None:
            if not future.done():
                future.set_result(result)

        handle = clock._call_later(loop, delay, wake)
        try:
            return await future
        finally:
            handle.cancel()

    return [
        (sys.modules["time"], "sleep", sleep),
        (asyncio, "sleep", asleep),
        (asyncio.tasks, "sleep", asleep),
    ]


@contextmanager
def virtual_clock(*, sleeps: bool = False) -> Iterator[VirtualClock]:
    """Let a test move the time that Gofer sees, for the time of a ``with`` block.

    Deadlines, timeouts, pauses between attempts, ``ctx.sleep`` and waits for a limit go by this
    clock. What a job does itself does not: ``time.sleep`` and ``asyncio.sleep`` take as long as
    ever, and a job that stands for a slow one calls ``clock.advance``.

    Args:
        sleeps: Whether those two go by this clock as well, in the whole process, wherever they are
            called as ``time.sleep`` and ``asyncio.sleep``.

    Thread safety: it holds for the whole process, so no run may go on when the block begins or
    ends. Of blocks that are open at the same time each lies inside another.

    Example:
        >>> from gofer import JobManager, Retry, job
        >>> @job(retry=Retry(attempts=3, on=ConnectionError, wait_initial=30, wait_max=60))
        ... def flaky():
        ...     raise ConnectionError
        >>> with virtual_clock() as clock:
        ...     run = JobManager([flaky]).execute(check=False)
        ...     clock.slept, run.duration
        ([30.0, 60.0], 90.0)
        >>> import asyncio
        >>> @job
        ... async def slow():
        ...     await asyncio.sleep(3600)
        >>> with virtual_clock(sleeps=True):
        ...     JobManager([slow]).execute().duration
        3600.0
    """
    # What `import gofer.testing` need not load.
    from gofer.backends import _calls, _execution, _holds

    clock = VirtualClock()
    deadlines = SimpleNamespace(add=clock._add, drop=timer.drop)
    parts: list[tuple[Any, str, Any]] = [
        (_parts, "clock", clock._read),
        (_parts, "wait", clock._wait),
        (_parts, "call_later", clock._call_later),
        (_parts, "chance", clock._draw),
        (_context, "timer", deadlines),
        (_execution, "timer", deadlines),
        (_calls, "timer", deadlines),
        (_holds, "timer", deadlines),
    ]
    if sleeps:
        parts += _sleeps_of(clock)
    before = [getattr(place, name) for place, name, _ in parts]
    for place, name, part in parts:
        setattr(place, name, part)
    try:
        yield clock
    finally:
        for (place, name, _), part in zip(parts, before, strict=True):
            setattr(place, name, part)
