"""What stands for the surroundings of the thread backend in a small world: see ``worlds``.

Locks and lists are in ``machine``. Here are gates, jobs, a loop, a context, and ``_parts``.
"""

from __future__ import annotations

from typing import Any, ClassVar

from gofer.backends import _workers

from .machine import LOCAL, MOVER, VISIBLE, SharedList, Thing

IDLE = _workers.IDLE_AFTER
REFUSED = RuntimeError("can't start new thread")


class Gate:
    """A lock that one strand waits at; others only open it."""

    def __init__(self, slot: int) -> None:
        self.slot, self.locked = slot, False

    def release(self) -> None:
        """Open it. For whoever waits there it is the same as if that had come a bit earlier."""
        assert self.locked
        self.locked = False


class OwnGate(Thing):
    """The gate of the strand that asks, whichever that is: so all strands look alike."""

    def __init__(self, world: Any) -> None:
        self.world = world

    def sight(self, method: str) -> int:
        # To take one's own gate, once it is open, is seen by nobody else; that it was shut is.
        if self.world.time_out:
            return VISIBLE
        return MOVER if self.world.own().locked else LOCAL

    def ready(self, method: str, args: tuple[Any, ...], named: dict[str, Any]) -> bool:
        return not self.world.own().locked or self.world.time_out

    def acquire(self, timeout: float = -1) -> bool:
        """Take it; False where the time is over."""
        gate = self.world.own()
        if gate.locked:
            assert timeout == IDLE
            self.world.time_out = False
            return False
        gate.locked = True
        return True


class Parked(list[Any]):
    """A list of gates, in which everybody finds the own one."""

    def __init__(self, world: Any) -> None:
        super().__init__()
        self.world = world

    def append(self, gate: Any) -> None:
        assert self.world.own().locked
        super().append(self.world.own())

    def remove(self, gate: Any) -> None:
        super().remove(self.world.own())

    def __contains__(self, gate: Any) -> bool:
        return super().__contains__(self.world.own())


class SharedParked(Parked, SharedList):
    """The same, used without a lock."""


class Own(list[Any]):
    """A list that stays the same one in all states; frames may hold it."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


class OwnBytes(bytearray):
    """Likewise."""

    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__


class Job(Thing):
    """Stands for ``execution.snapshot``: what runs a job."""

    visible: ClassVar = {"run": MOVER}  # its end is seen by nobody before it is booked

    def __init__(self, world: Any, number: int) -> None:
        self.world, self.number = world, number

    def copy(self) -> Job:
        """Return itself."""
        return self

    def ready(self, method: str, args: tuple[Any, ...], named: dict[str, Any]) -> bool:
        return self.world.may_end(self.number, args[1])

    def run(self, call: Any, i: int, label: str) -> None:
        """Note that a job has run."""
        self.world.ran(self.number, i)


class Lane(Thing):
    """Stands for the loop of a caller that only waits, as ``loop.Lane.post`` and ``pump`` do."""

    visible: ClassVar = {"post": VISIBLE, "take_back": VISIBLE}
    port = None

    def __init__(self) -> None:
        self.posted = True

    def ready(self, method: str, args: tuple[Any, ...], named: dict[str, Any]) -> bool:
        return self.posted or method == "post"

    def post(self, *, force: bool = False) -> None:
        """Have the caller look."""
        self.posted = True

    def take_back(self) -> None:
        """Begin to look."""
        self.posted = False


class Stand:
    """Stands for a thread, to which only names are given."""

    name = ""


class Ctx:
    """Stands for a run's context: what stops it."""

    _by_deadline = False
    cancelled = False

    def __init__(self, execution: Any) -> None:
        self.execution = execution

    @property
    def _outcome(self) -> bool:
        return self.cancelled

    def cancel(self, cause: object) -> None:
        """Stop the run."""
        if not self.cancelled:
            self.cancelled = True
            self.execution.stop()


class Parts(Thing):
    """Stands for ``_parts``: the clock stands still, threads are strands."""

    LISTEN = 0.2

    def __init__(self, world: Any) -> None:
        self.world = world

    def sight(self, method: str) -> int:
        # What a new thread does first may come at any time; so the start itself needs no step.
        sure = not self.world.refuses and not self.world.is_full()
        return VISIBLE if method == "start_thread" and not sure else LOCAL

    def clock(self) -> float:
        """Return no time."""
        return 0.0

    def is_ending(self) -> bool:
        """Return that the program goes on."""
        return False

    def Thread(self, *_: object, **__: object) -> object:
        """Return what stands for a new one; it is the one that ``start_thread`` starts."""
        return "thread"

    def start_thread(self, thread: object) -> None:
        """Start one more worker, unless the system refuses."""
        self.world.start()


class Numbered:
    """Things by numbers, the same ones only once."""

    def __init__(self) -> None:
        self.things: list[Any] = []
        self._numbers: dict[Any, int] = {}

    def number(self, thing: Any) -> int:
        """Return the number of a thing."""
        number = self._numbers.get(thing)
        if number is None:
            number = self._numbers[thing] = len(self.things)
            self.things.append(thing)
        return number
