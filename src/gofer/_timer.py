"""One timer thread for every deadline of the process; it exists only while one is pending.

An entry is a list ``[at, number, call]``; ``call`` becomes None when the entry is dropped, or a
weak reference when what it is for is gone, so dropping costs nothing and needs no lock (a garbage
collection may do it at any moment).
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count

from gofer import _parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Entry = list[Any]

_LINGER = 1.0  # seconds that the thread stays without entries, so that bursts reuse it
_LONGEST = 10.0  # seconds that it sleeps, so that it leaves soon after the last entry is dropped


def is_gone(call: Any) -> bool:
    """Return whether the entry that has this is not to be called any more."""
    return call is None or type(call) is weakref.ReferenceType


class Timer:
    """Calls back at given times, on one thread named ``gofer:timer``.

    Thread safety: all methods may be called from any thread. The lock is reentrant, because
    a signal handler may create a context while its own thread is in here.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._heap: list[Entry] = []
        self._numbers = count()
        self._compact_at = 64
        self._thread: threading.Thread | None = None
        self._gate = threading.Lock()
        self._gate.acquire()
        self._poked = False
        self._wakes_at = 0.0

    def add(self, at: float, call: Callable[[], object]) -> Entry:
        """Arrange ``call()`` at ``at`` on the clock; return the entry, for ``drop``."""
        entry: Entry = [at, next(self._numbers), call]
        with self._lock:
            if len(self._heap) >= self._compact_at:
                self._compact()
            heappush(self._heap, entry)
            if self._thread is None:
                self._start()
            elif at < self._wakes_at and not self._poked:
                self._poked = True
                self._gate.release()
        return entry

    def _compact(self) -> None:
        # A signal handler may add entries between any two steps. The first step keeps it from
        # doing this, too; the entries go to the old heap or the new one, and none is lost.
        self._compact_at = 2 * len(self._heap)
        old, self._heap = self._heap, []
        self._heap.extend([each for each in old if not is_gone(each[2])])
        heapify(self._heap)
        self._compact_at = max(64, 2 * len(self._heap))

    @staticmethod
    def drop(entry: Entry) -> None:
        """Forget an entry; it is not called unless it is being called right now."""
        entry[2] = None

    def _start(self) -> None:
        self._wakes_at = 0.0  # it looks at the heap before it sleeps
        try:
            self._thread = _parts.Thread(self._serve, name="gofer:timer")
            _parts.start_thread(self._thread)
        except RuntimeError:
            # No thread to be had: deadlines are still seen by everyone who asks the context,
            # and the next entry tries again.
            self._thread = None

    def _serve(self) -> None:
        woken = idle = False
        while True:
            with self._lock:
                if woken:
                    self._poked = False
                now = _parts.clock()
                due = self._take_due(now)
                sleep = _LINGER
                if self._heap:
                    sleep = min(self._heap[0][0] - now, _LONGEST)
                elif not due and idle:
                    self._thread = None
                    return
                self._wakes_at = 0.0 if due else now + sleep
                idle = not self._heap and not due
            for call in due:
                _call(call)
            woken = not due and self._gate.acquire(timeout=sleep)

    def _take_due(self, now: float) -> list[Callable[[], object]]:
        due = []
        heap = self._heap
        while heap and (is_gone(heap[0][2]) or heap[0][0] <= now):
            entry = heappop(heap)
            call, entry[2] = entry[2], None
            if not is_gone(call):
                due.append(call)
        return due


def _call(call: Callable[[], object]) -> None:
    try:
        call()
    except BaseException as error:
        _parts.report_unraisable(error, "a deadline's callback failed", call)


timer = Timer()
os.register_at_fork(after_in_child=timer.__init__)  # type: ignore[misc]
