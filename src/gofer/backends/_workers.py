"""The other threads: parked between runs, shared by all of them, gone after some idle seconds.

One thread at most is on its way at any time, for all runs together. Whoever wants one while another
is on its way only puts the run into ``_wanting``; the thread that arrives takes the first of those
and, before it starts a job, sends for the next thread if there are more. So runs that are over
before any thread could arrive cost no wake-up at all, however many they are.

Why no run is forgotten: ``_wanting``, ``_coming`` and ``_parked`` change under one lock. A run that
is put there either finds ``_coming`` set, so a thread is on its way, which looks there under the
lock when it arrives; or sends for one. A thread parks only when nothing is there. A run whose
thread the system refuses stays there until it is over, for whichever thread is free first. A thread
that dies on its way, for want of memory, tells nobody; the next who wants one after a second sends
another, and where none has died that is one thread too many, which does no harm.
"""

from __future__ import annotations

import os
import threading
from itertools import count

from gofer import _parts
from gofer._core.lanes import NOTHING, THREADS
from gofer.backends._execution import Execution
from gofer.backends._frames import IDENTS
from gofer.backends.threads import work

IDLE_AFTER = 10.0
"""Seconds that a parked thread waits for work before it ends."""

OVERDUE = 1.0
"""Seconds after which a thread that is on its way is not counted on any more."""


class Workers:
    """All threads that Gofer has for sync jobs, beside those that call it.

    A thread is called ``gofer:idle`` while it is parked, and ``gofer:NAME`` while it runs the job
    NAME; the label that reports give it stays the same.

    Thread safety: ``summon`` and ``dismiss`` may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanting: dict[Execution, None] = {}  # a dict, so that a run can be taken out again
        self._coming = False  # whether a thread is on its way
        self._sent = 0.0  # since when, on the clock
        self._parked: list[threading.Lock] = []  # gates; last in, first out: the warmest goes first
        self._numbers = count(1)

    def summon(self, execution: Execution) -> None:
        """Bring one more thread to a run, parked or new."""
        with self._lock:
            self._wanting[execution] = None
            now = _parts.clock()
            if self._coming and now - self._sent < OVERDUE:
                return
            self._coming, self._sent = True, now
        self._send()

    def dismiss(self, execution: Execution) -> None:
        """Note that a run is over, and wants no thread any more."""
        with self._lock:
            self._wanting.pop(execution, None)

    def _send(self) -> None:
        """Send the thread for which ``_coming`` has been set."""
        with self._lock:
            gate = self._parked.pop() if self._parked and not _parts.is_ending() else None
        if gate is not None:
            gate.release()
            return
        label = f"gofer-{next(self._numbers)}"
        try:  # a subinterpreter may refuse even to make it
            thread = _parts.Thread(self._serve, args=(label,), name="gofer:idle", awaited=False)
            _parts.start_thread(thread)
        except (RuntimeError, MemoryError) as error:
            with self._lock:
                self._coming = False
                refused = list(self._wanting)  # they stay in line, for threads that others leave
            for execution in refused:
                _refused(execution, error)
                if execution.over():
                    self.dismiss(execution)

    def _serve(self, label: str) -> None:
        thread = threading.current_thread()
        gate = threading.Lock()
        gate.acquire()
        IDENTS[label] = threading.get_ident()
        arrived = True
        while True:
            execution = self._next(gate, arrived=arrived)
            if execution is not None:
                work(execution, label, thread)
                thread.name = "gofer:idle"
                arrived = False
                continue
            if not gate.acquire(timeout=IDLE_AFTER):
                with self._lock:
                    if gate in self._parked:
                        self._parked.remove(gate)
                        IDENTS.pop(label, None)  # an explored run numbers its own
                        return
                gate.acquire()  # sent for in this very moment
            arrived = True

    def _next(self, gate: threading.Lock, *, arrived: bool) -> Execution | None:
        """Return the run that has wanted a thread for longest, or None: the gate is parked then."""
        more = False
        with self._lock:
            if arrived:
                self._coming = False
            execution = next(iter(self._wanting), None)
            if execution is None:
                self._parked.append(gate)
                return None
            del self._wanting[execution]
            if self._wanting and not self._coming:
                self._coming = more = True
                self._sent = _parts.clock()
        if more:
            self._send()
        return execution


def _refused(execution: Execution, error: BaseException) -> None:
    """The system gives no more threads: those that there are go on with what is ready.

    Its caller goes on, too, if it had left the rest to the thread that does not come. Where no
    thread works for the run at all, nobody would, so what is ready fails with the error.
    """
    core = execution.core
    while True:
        with execution.lock:
            core.waking = False
            execution.refused = True
            lane = execution.lane
            post = lane is not None and core.calls
            at = _parts.clock() - execution.start
            helped = core.running or execution.caller is not None
            i = NOTHING if helped else core.take(THREADS, at)
        if post:
            lane.post()
        if i < 0:
            break
        outcome = execution.caught(i, error)
        with execution.lock:
            core.ended(i, outcome, _parts.clock() - execution.start)
        if core.fail_fast and core.first == i:
            execution.ctx.cancel(error)
        execution.announce()
    execution.unpark()
    execution.notify()
    if execution.over():
        execution.finish()


workers = Workers()
os.register_at_fork(after_in_child=workers.__init__)  # type: ignore[misc]  # no thread lives there
