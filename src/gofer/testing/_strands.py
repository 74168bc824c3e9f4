"""Strands: threads of which one goes on at a time.

Whoever holds the baton runs; it passes the baton on where it waits, and, inside of a job, at each
point where another could go first. Nobody else decides: the strand that stops asks who is next, and
opens that one's gate.
"""

from __future__ import annotations

import sys
import threading
from _thread import allocate_lock
from contextlib import contextmanager
from contextvars import Context as Variables
from typing import Any, NamedTuple

from gofer import _parts
from gofer.testing._accesses import WHOLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gofer.testing._conductor import Conductor

IDLE, SLEEP, TIMEOUT = range(3)
"""What a wait for a time is: a parked thread's, a job's sleep, or a limit to how long it waits."""

CLOCK, CANCEL, CALLER = "the clock", "a cancellation", "the caller"
"""What may go on besides jobs: time passes; the run is cancelled; code that makes runs itself."""

FAILS = " (fails)"
"""What stands behind the name of a job where it fails instead of going on."""

NEXT = "next: "
"""What stands before the name of a job that is given the last place of a limit."""

MOST = 20_000
"""Choices after which a run counts as one that does not end."""

ALL = ("*", False, WHOLE)
"""What is touched by whatever may touch anything."""

STOP = ("stop", False, "")
"""What is touched by whoever stops a run, or may see that it was stopped."""

TIME = ("time", False, "")
"""What is touched by whoever begins to wait for a time, and by the clock."""


class Abandoned(BaseException):
    """Raised in every strand of a run that is given up."""


class PlannedFailure(Exception):
    """What the explorer lets a job fail with, where it explores failures."""


class Option(NamedTuple):
    """Who may go on: a job by its label, the clock, or the caller.

    Attributes:
        label: Its name in the schedule.
        strand: The thread.
        handle: For an async job: what its loop is to call.
        access: What it is about to do: a path and whether it writes, or None.
    """

    label: str
    strand: Strand | None = None
    handle: Any = None
    access: tuple[str, bool] | None = None


class Step:
    """What happened from one choice to the next.

    Attributes:
        chosen: The label of whoever went on.
        options: The labels of those who could.
        access: What each of them was about to do.
        touches: What was used: ``(owner, whether an item, key)`` -> whether it was written.
        enabled: Labels of those who could go on as far as they were concerned.
        current, count: Who had gone on before, and how often by then.
        usual: Who would go on without a reason to change.
        loop: Of an async job: the event loop, which nobody else has before the next ``await``.
        turn: At which step it got the loop.
    """

    __slots__ = (
        "access",
        "chosen",
        "count",
        "current",
        "enabled",
        "loop",
        "options",
        "touches",
        "turn",
        "usual",
    )

    def __init__(self, options: list[Option], enabled: set[str], current: str, count: int) -> None:
        self.options = [each.label for each in options]
        self.access = {each.label: each.access for each in options}
        self.enabled, self.current, self.count = enabled, current, count
        self.usual = self.chosen = current if current in self.options else self.options[0]
        self.touches: dict[Any, bool] = {}
        self.loop: Any = None
        self.turn = -1


class Strand:
    """One thread: it runs, stands at a point, or waits until it is ready.

    Attributes:
        labels: The jobs that it is in, the innermost last.
        ready: Whether it can go on; None while it need not wait.
        until: When it goes on anyhow.
        loop: The event loop that waits in it for something to call.
    """

    def __init__(self, thread: Any) -> None:
        self.gate = allocate_lock()
        self.gate.acquire()
        self.thread = thread
        self.labels: list[str] = []
        self.ready: Callable[[], object] | None = lambda: True
        self.until: float | None = None
        self.kind = TIMEOUT
        self.loop: Any = None
        self.picked: Any = None
        self.turn = -1
        self.access: tuple[str, bool] | None = None
        self.is_ending = False  # its job is over, and can't fail any more
        self.ident = 0
        self.ended = False

    def can(self, now: float) -> bool:
        """Return whether it can go on."""
        due = self.until is not None and self.until <= now
        return self.ready is None or due or bool(self.ready())

    def can_fail(self) -> bool:
        """Return whether a failure can be raised where it stands: at a point, or in a sleep."""
        return not self.is_ending and (self.ready is None or self.kind == SLEEP)


class _Hands:
    """Threads that play strands, kept from run to run."""

    def __init__(self) -> None:
        self._free: list[Any] = []
        self._is_open = False

    def play(self, body: Callable[[], object]) -> None:
        """Have a thread call something that never raises."""
        self._is_open = True
        if self._free:
            hand = self._free.pop()
        else:
            hand = [allocate_lock(), None]
            hand[0].acquire()
            thread = threading.Thread(
                target=self._serve, args=(hand,), name="gofer:explorer", daemon=True
            )
            _parts.start_thread(thread)
        hand[1] = body
        hand[0].release()

    def _serve(self, hand: Any) -> None:
        while True:
            hand[0].acquire()
            if hand[1] is None:
                return
            Variables().run(hand[1])
            hand[1] = None
            if not self._is_open:
                return
            self._free.append(hand)

    def dismiss(self) -> None:
        """Let all threads end, those that still play something after that."""
        self._is_open = False
        free, self._free = self._free, []
        for hand in free:
            hand[0].release()


hands = _Hands()
strands: dict[int, tuple[Conductor, Strand]] = {}
"""Identifier of a thread -> the conductor that it belongs to, and its strand."""


@contextmanager
def uncontrolled() -> Iterator[None]:
    """Let this thread do something that no conductor sees."""
    ident = threading.get_ident()
    mine = strands.pop(ident, None)
    try:
        yield
    finally:
        if mine is not None:
            strands[ident] = mine


def mine() -> Conductor | None:
    """Return the conductor of the thread that calls this, or None."""
    known = strands.get(threading.get_ident())
    return None if known is None else known[0]


_FOLDER = _parts.__file__.removesuffix("_parts.py")


def is_gofers(frame: Any) -> bool:
    """Return whether a frame is of Gofer's own code."""
    return bool(frame.f_code.co_filename.startswith(_FOLDER))


def line_of(frame: Any) -> str:
    """Return ``file:line`` of the innermost code that is neither Gofer's nor a library's."""
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((_FOLDER, _LIBRARIES)) and "site-packages" not in file:
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def place_of(strand: Strand) -> str:
    """Return ``file:line`` of the user's code in which a strand stands, or what is known."""
    frame = sys._current_frames().get(strand.ident)
    return line_of(frame) or "an unknown line"


_LIBRARIES = threading.__file__.removesuffix("threading.py")
