"""The workers of a pool: started, told, heard, and buried. All in the pool's thread."""

from __future__ import annotations

import select
import selectors
import signal
from collections import deque

from gofer import _parts
from gofer.backends import _letters
from gofer.backends._hand import Hand, like_this_one, replies
from gofer.errors import WorkerFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from gofer.backends._errands import Errand

    class Owner(Protocol):
        """Who is told what became of errands."""

        def ended(self, errand: Errand, reply: tuple[Any, ...], buffers: list[Any]) -> None:
            """An errand has come back."""

        def returned(self, errands: list[Errand]) -> None:
            """Some had not begun; in the order in which they were given."""

        def crashed(self, errand: Errand, hand: Hand, status: int | None) -> None:
            """One has died with its worker."""

        def slow(self, errand: Errand, took: float) -> None:
            """One takes long, and keeps others waiting."""

        def refused(self, why: WorkerFailed) -> None:
            """There is no worker, and none can be had."""


IDLE_AFTER = 10.0
"""Seconds that a worker waits for a job before it leaves."""

_BUDGET = 0.002  # seconds of work that a worker is given at once
_TRIFLE = 0.0002  # seconds of work for which it does not pay to wake another worker
_MOST = 128  # errands that a worker is given at once
_PATIENCE = 0.005  # seconds without news after which what has not begun is asked back
_TRIES = 3  # workers in a row that may end before they are ready
_DYING = 0.5  # seconds from the end of a socket to that of its worker
_DEATHS = 3  # workers that may die with an errand in line, before it counts as their killer


class Staff:
    """The workers.

    Attributes:
        hands: Those that live, the most recently used last.
        most: How many there may be.
    """

    def __init__(
        self, owner: Owner, starter: Any, most: int, most_jobs: int | None, memory: int | None
    ) -> None:
        self.hands: list[Hand] = []
        self.most = most
        self._owner, self._starter = owner, starter
        self._most_jobs, self._memory = most_jobs, memory
        self._selector: Any = None
        self._refused = 0  # in a row that were not to be had

    def open(self, bell: Any, heard: Callable[[int], None]) -> None:
        """Begin to listen; what rings the bell is heard, too."""
        self._selector = selectors.DefaultSelector()
        self._selector.register(bell, selectors.EVENT_READ, heard)

    def wait(self, seconds: float | None) -> None:
        """Wait for news, and see to them."""
        for key, events in self._selector.select(seconds):
            key.data(events)

    def due(self) -> list[float]:
        """Return when things are to be done without news, on the clock."""
        times = []
        for hand in self.hands:
            if len(hand.in_flight) > 1 and not hand.asked:
                times.append(hand.news_at + _PATIENCE)
            elif hand.ready and not hand.in_flight and not hand.leaving:
                times.append(hand.news_at + IDLE_AFTER)
        return times

    def see_to_times(self) -> None:
        """Ask back what waits behind a long job; have those leave that have nothing to do."""
        now = _parts.clock()
        for hand in self.hands:
            if len(hand.in_flight) > 1 and not hand.asked and now - hand.news_at >= _PATIENCE:
                hand.asked = True
                hand.say(_letters.BACK)
                current = hand.in_flight.get(hand.current)
                if current is not None:
                    self._owner.slow(current, now - hand.news_at)
                    hand.load = sum(each.estimate for each in hand.in_flight.values())
            elif (
                hand.ready
                and not (hand.in_flight or hand.leaving)
                and now - hand.news_at >= IDLE_AFTER
            ):
                self.dismiss(hand)

    def flush(self) -> None:
        """Send what has been said."""
        for hand in self.hands:
            if hand.messages or hand.blocked:
                self._flush(hand)

    def _flush(self, hand: Hand) -> None:
        hand.flush()
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if hand.blocked else 0)
        key = self._selector.get_key(hand.sock)
        if key.events != events:
            self._selector.modify(hand.sock, events, key.data)

    # -- having them

    def grow(self, wanted: int) -> None:
        """Start workers, if fewer than so many are on their way, and more may be."""
        wanted -= sum(not hand.ready for hand in self.hands)
        while wanted > 0 and len(self.hands) < self.most:
            try:
                hand = Hand(self._starter, like_this_one(self._memory))
            except (OSError, WorkerFailed) as error:
                if not isinstance(error, WorkerFailed):
                    error = WorkerFailed(f"no worker process could be started: {error}")
                self._not_to_be_had(error)
                if self.hands or not self._refused:  # there is some, or nobody waits any more
                    return
                continue
            wanted -= 1
            self.hands.append(hand)
            self._selector.register(hand.sock, selectors.EVENT_READ, self._ear(hand))
            if hand.watch is not None:
                self._selector.register(
                    hand.watch, selectors.EVENT_READ, lambda _, hand=hand: self._died(hand)
                )
            self._flush(hand)

    def _not_to_be_had(self, why: WorkerFailed) -> None:
        self._refused += 1
        if self._refused >= _TRIES and not any(hand.ready for hand in self.hands):
            self._refused = 0
            self._owner.refused(why)

    def free(self) -> int:
        """Return how many are idle."""
        return sum(hand.ready and not (hand.in_flight or hand.leaving) for hand in self.hands)

    def choose(self) -> Hand | None:
        """Return who gets the next errand: for trifles one that is awake, else the least loaded."""
        best = None
        for hand in reversed(self.hands):
            busy = hand.asked or hand.halting or len(hand.in_flight) >= _MOST
            if not hand.ready or hand.leaving or busy or self._has_served(hand):
                continue
            if hand.in_flight and hand.load < _TRIFLE:
                return hand
            if hand.load < _BUDGET and (best is None or hand.load < best.load):
                best = hand
        return best

    def give(self, errand: Errand, hand: Hand) -> None:
        """Note that a worker has been told of an errand."""
        if not hand.in_flight:
            hand.news_at = _parts.clock()
        hand.in_flight[errand.number] = errand
        hand.load += errand.estimate
        hand.served += 1

    def _has_served(self, hand: Hand) -> bool:
        """Return whether a worker has been given all the jobs that it is to do in its life."""
        return self._most_jobs is not None and hand.served >= self._most_jobs

    def who_has(self, errand: Errand) -> Hand | None:
        """Return the worker that has an errand."""
        return next((hand for hand in self.hands if errand.number in hand.in_flight), None)

    # -- hearing them

    def _ear(self, hand: Hand) -> Callable[[int], None]:
        def events(mask: int) -> None:
            if hand not in self.hands:  # its end was seen a moment ago
                return
            if mask & selectors.EVENT_WRITE:
                self._flush(hand)
            if mask & selectors.EVENT_READ:
                try:
                    self._read(hand)
                except BlockingIOError:
                    return
                except (EOFError, OSError):
                    self._died(hand)

        return events

    def _read(self, hand: Hand) -> None:
        for body, buffers in hand.reader.read():
            hand.news_at = _parts.clock()
            if body:
                self._replied(hand, body, deque(buffers))
            else:  # it is there, or has nothing to give back
                hand.ready = True
                hand.asked = False
                self._refused = 0

    def _replied(self, hand: Hand, body: bytes, buffers: deque[Any]) -> None:
        returned = []
        for reply, beside in replies(body, buffers):
            errand = hand.in_flight.pop(reply[0], None)
            if errand is None:  # it has been read from the journal
                continue
            hand.halting.discard(errand.number)
            hand.load -= errand.estimate
            if reply[1] == _letters.RETURNED:
                returned.append(errand)
                hand.served -= 1
            else:
                self._owner.ended(errand, reply, beside)
        if returned:
            hand.asked = False
            self._owner.returned(returned)
        if not hand.in_flight:
            hand.load, hand.asked = 0.0, False
            if hand.leaving or self._has_served(hand):
                self.dismiss(hand)

    # -- losing them

    def dismiss(self, hand: Hand) -> None:
        """Have a worker leave, as soon as it has nothing to do."""
        hand.leaving = True
        hand.say(_letters.QUIT)

    def _died(self, hand: Hand) -> None:
        """See what a dead worker had done, what it died of, and what is to be done elsewhere."""
        if hand not in self.hands:
            return
        self.hands.remove(hand)
        self._selector.unregister(hand.sock)
        if hand.watch is not None:
            self._selector.unregister(hand.watch)
        if hand.watch is not None and not select.select([hand.watch], [], [], _DYING)[0]:
            hand.kill(signal.SIGKILL)  # it has closed its socket, and lives
        status = self._starter.status(hand.pid)
        self._hear_the_last(hand)  # only now: until its end it may have done more
        current = hand.in_flight.pop(hand.current, None)
        left = list(hand.in_flight.values())
        for errand in left:
            errand.deaths += 1
        if current is None and left and left[0].deaths >= _DEATHS:
            current = left.pop(0)
        if current is not None:
            self._owner.crashed(current, hand, status)
        self._owner.returned(left)
        was_ready = hand.ready
        hand.close(and_kill=True)
        if not was_ready:
            self._not_to_be_had(
                WorkerFailed(
                    f"a worker process ended before it was ready ({how(status)}); what it wrote "
                    f"to standard error says why"
                )
            )

    def _hear_the_last(self, hand: Hand) -> None:
        try:
            while True:
                self._read(hand)
        except (EOFError, OSError):  # BlockingIOError is one
            pass
        for reply in hand.unsent():
            errand = hand.in_flight.pop(reply[0], None)
            if errand is not None:
                self._owner.ended(errand, reply, [])

    def close(self, *, at_once: bool = False) -> None:
        """Have all leave; end those that have not gone in a moment."""
        for hand in self.hands:
            self.dismiss(hand)
        self.flush()
        until = _parts.clock() + (0.0 if at_once else 1.0)
        for hand in self.hands:
            if hand.watch is not None:
                select.select([hand.watch], [], [], max(0.0, until - _parts.clock()))
            hand.close(and_kill=True)
            self._starter.status(hand.pid)
        self.hands.clear()
        self._starter.close()
        if self._selector is not None:  # there may have been no descriptor for it
            self._selector.close()

    def after_fork(self) -> None:
        """Close what belongs to the parent, in the child of a fork."""
        self._starter.after_fork()
        for hand in self.hands:
            try:
                hand.close()
            except OSError:  # the fork came while the parent closed it
                continue


def how(status: int | None) -> str:
    """Return how a process ended, in a word; a signal by its name."""
    if status is None:
        return "nobody knows how"
    if status >= 0:
        return f"exit code {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
