"""How a failure is announced when it happens: a warning in the log, for whoever listens."""

from __future__ import annotations

import sys
import threading
from collections import deque

from gofer import _parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_logger: list[Any] = []


def warn(message: str) -> None:
    """Log a warning, for whoever listens; where nothing imported logging, nobody does."""
    logging = sys.modules.get("logging")
    root = getattr(logging, "root", None)  # None while it is half imported, by another thread
    if logging is None or root is None:
        return
    if not _logger:  # to ask for it takes a lock of all of logging, for which failures would queue
        _logger.append(logging.getLogger("gofer"))
    logger = _logger[0]
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # what is raised need not be printed as well
    try:
        logger.warning("%s", message)
    except Exception as error:  # a handler that raises must not harm the run
        _parts.report_unraisable(error, "a log handler failed", logger)


class Announcer:
    """Says what fails in one run, one thread at a time.

    A handler has a lock, and may be slow. It is tempting to let each thread wait for it; but a
    thread that waits is one that another has to stand in for, so that of many jobs that fail each
    took a thread of its own. So a message is put down when the job fails, said when its end is
    booked, and left to another thread that speaks just then. Not before that: the first job to
    fail would speak while others that fail after it are booked, and one of them were the first.

    Thread safety: ``deque.append`` is atomic; only the one that has the lock takes messages out.
    """

    __slots__ = ("_messages", "_speaks")

    def __init__(self) -> None:
        self._messages: deque[str] = deque()
        self._speaks = threading.Lock()

    def add(self, message: str) -> None:
        """Put down a message, to be said soon."""
        self._messages.append(message)

    def speak(self) -> None:
        """Log what has been put down, or leave that to the thread that logs just now."""
        # Looked at again after each release: a message may come just before it.
        while self._messages and self._speaks.acquire(False):
            try:
                self._say_all()
            finally:
                self._speaks.release()

    def end(self) -> None:
        """Return when all has been said, at the end of the run."""
        with self._speaks:
            self._say_all()

    def _say_all(self) -> None:
        while self._messages:
            warn(self._messages.popleft())
