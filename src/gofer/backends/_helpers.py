"""Threads for calls that their caller may leave: it waits beside them, and need not wait for ever.

They are no workers of any run: each does one call, parks, and is lent again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from itertools import count

from gofer import _parts
from gofer.backends._frames import IDENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

IDLE_AFTER = 10.0
"""Seconds that a parked thread waits for a call before it ends."""


class Helpers:
    """Parked threads, the warmest first.

    Thread safety: ``lend`` may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parked: list[_Helper] = []
        self._numbers = count(1)

    def lend(self, name: str, call: Callable[[], object]) -> str:
        """Have a thread call something that never raises; return the thread's label.

        Raises:
            RuntimeError: The system gives no more threads.
        """
        with self._lock:
            helper = self._parked.pop() if self._parked and not _parts.is_ending() else None
        if helper is None:
            helper = _Helper(self, f"gofer-call-{next(self._numbers)}")
            helper.name, helper.call = name, call
            _parts.start_thread(helper.thread)
        else:
            helper.name, helper.call = name, call
            helper.gate.release()
        return helper.label

    def _park(self, helper: _Helper) -> None:
        with self._lock:
            self._parked.append(helper)

    def _take_out(self, helper: _Helper) -> bool:
        """Return whether the helper was still parked; it is not any more."""
        with self._lock:
            if helper in self._parked:
                self._parked.remove(helper)
                return True
            return False


class _Helper:
    """One thread."""

    call: Any
    name: str

    def __init__(self, helpers: Helpers, label: str) -> None:
        self.helpers, self.label = helpers, label
        self.gate = threading.Lock()
        self.gate.acquire()
        self.thread = _parts.Thread(self._serve, name="gofer:idle")

    def _serve(self) -> None:
        IDENTS[self.label] = threading.get_ident()
        while True:
            self.thread.name = f"gofer:{self.name}"
            self.call()
            self.call = None  # it holds a job's result
            self.thread.name = "gofer:idle"
            self.helpers._park(self)
            if not self.gate.acquire(timeout=IDLE_AFTER):
                if self.helpers._take_out(self):
                    IDENTS.pop(self.label, None)  # as in `_workers`
                    return
                self.gate.acquire()  # lent in this very moment


helpers = Helpers()
os.register_at_fork(after_in_child=helpers.__init__)  # type: ignore[misc]  # no thread lives there
