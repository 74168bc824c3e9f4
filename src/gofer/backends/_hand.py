"""One worker process, as its parent sees it: its socket, its journal, and the jobs that it has."""

from __future__ import annotations

import marshal
import mmap
import os
import signal
import socket
import tempfile
from collections import deque
from contextlib import ExitStack

from gofer import _parts
from gofer.backends import _letters, _main_module
from gofer.backends._wire import Reader, Writer, framed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from gofer.backends._errands import Errand


_SOCKET = 1 << 20  # bytes that a socket may hold; the system may allow fewer

_URGENT = (_letters.CANCEL, _letters.BACK)


class Hand:
    """A worker process.

    Attributes:
        pid: Its number, and that of its process group.
        in_flight: Number -> errand, of what it has been given, in that order.
        load: Seconds that these will probably take.
        ready: Whether it has said that it is there.
        leaving: Whether it is to be given nothing more.
        news_at: When it was last heard of, or first given something after that.
        asked: Whether it has been asked to give back what has not begun.
        halting: Numbers of jobs that it has been told to stop, and that have not ended.
        served: How many jobs it has been given.
        known: Run -> numbers of the functions that it knows; 0 -> those of all runs.
        params: Run -> the fingerprint of the param that it has.
    """

    def __init__(self, starter: Any, given: dict[str, Any]) -> None:
        """Start one.

        Args:
            starter: What starts it; see ``_nursery``.
            given: What makes it like this process.

        Raises:
            WorkerFailed: The system refuses.
            OSError: There are no more descriptors.
        """
        with ExitStack() as theirs, ExitStack() as ours:
            self.sock, sock = socket.socketpair()
            for each in (self.sock, sock):  # or large results go in small steps
                each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET)
            theirs.callback(sock.close)
            ours.callback(self.sock.close)
            life, self.life = os.pipe()
            bell, self.rope = os.pipe()
            for end in (life, bell):
                theirs.callback(os.close, end)
            for end in (self.life, self.rope):
                ours.callback(os.close, end)
            os.set_blocking(self.rope, False)
            memory = theirs.enter_context(tempfile.TemporaryFile())
            memory.truncate(_letters.JOURNAL)
            self.journal = ours.enter_context(mmap.mmap(memory.fileno(), _letters.JOURNAL))
            self._fault: Any = ours.enter_context(tempfile.TemporaryFile())
            fds = [sock.fileno(), memory.fileno(), self._fault.fileno(), life, bell]
            self.pid: int = starter.launch(fds)
            ours.pop_all()  # it is there, and so they are kept
        self.watch = _pidfd(self.pid)
        self.reader = Reader(self.sock, socket.MSG_DONTWAIT)
        self.writer = Writer(self.sock)
        self.writer.put(framed(marshal.dumps(given)))
        self.in_flight: dict[int, Errand] = {}
        self.load = 0.0
        self.ready = self.leaving = self.asked = False
        self.halting: set[int] = set()
        self.blocked = False  # whether its socket takes no more for now
        self.urgent = False  # whether it has to hear the next frame at once
        self.news_at = _parts.clock()
        self.served = 0
        self.known: dict[int, set[int]] = {0: set()}
        self.params: dict[int, Any] = {}
        self.over: list[Any] = []
        self.messages: list[Any] = []
        self.buffers: list[Any] = []

    @property
    def current(self) -> int:
        """The number of the job that it runs, or 0."""
        return int(_letters.CURRENT.unpack_from(self.journal, 0)[0])

    def say(self, *message: Any, buffers: Any = ()) -> None:
        """Add a message to the next frame."""
        self.urgent = self.urgent or message[0] in _URGENT
        self.messages.append(message)
        self.buffers.extend(buffers)

    def flush(self) -> None:
        """Send what was said, as far as the socket takes it."""
        if self.messages:
            self.writer.put(framed(marshal.dumps(self.over + self.messages), self.buffers))
            self.over, self.messages, self.buffers = [], [], []
        try:
            self.blocked = not self.writer.flush()
            if self.urgent or (self.blocked and self.current):
                self.urgent = self.blocked  # once more, when the rest is there to be heard
                os.write(self.rope, b"!")
        except BlockingIOError:  # it rings already
            return
        except OSError:  # it is dead; the reader will see it
            self.blocked = False

    def forget(self, run: int) -> None:
        """Have it forget a run, when it is next told something."""
        if self.known.pop(run, None) is not None:
            self.params.pop(run, None)
            self.over.append((_letters.FORGET, run))

    def unsent(self) -> Iterator[tuple[Any, ...]]:
        """Give the replies that a dead worker wrote down and did not send."""
        count = _letters.COUNT.unpack_from(self.journal, _letters.COUNT_AT)[0]
        body = self.journal[_letters.REPLIES_AT : _letters.REPLIES_AT + count]
        for reply, _ in replies(body, deque()):
            yield reply

    def kill(self, signum: int) -> None:
        """Send a signal to it and to all that it has started."""
        try:
            os.killpg(self.pid, signum)
        except (ProcessLookupError, PermissionError):
            return

    def stop(self, number: int, signum: int) -> None:
        """Send a signal that is meant for one job; a worker that has ended it does not mind."""
        _letters.TARGET.pack_into(self.journal, _letters.TARGET_AT, number)
        self.kill(signum)

    def stack(self) -> str:
        """Return what ``faulthandler`` wrote when it died."""
        self._fault.seek(0)
        return str(self._fault.read().decode("utf-8", "replace"))

    def close(self, *, and_kill: bool = False) -> None:
        """Let go of it: it ends by itself, when it sees that."""
        if and_kill:
            self.kill(signal.SIGKILL)
        self.sock.close()
        os.close(self.life)
        os.close(self.rope)
        if self.watch is not None:
            os.close(self.watch)
        self._fault.close()
        self.journal.close()


def replies(body: bytes, buffers: deque[Any]) -> Iterator[tuple[tuple[Any, ...], list[Any]]]:
    """Give the replies in a frame, each with its buffers."""
    at = 0
    while at < len(body):
        (length,) = _letters.LENGTH.unpack_from(body, at)
        at += _letters.LENGTH.size
        reply = marshal.loads(body[at : at + length])
        at += length
        yield reply, [buffers.popleft() for _ in range(reply[5])] if reply[5] else []


def _pidfd(pid: int) -> int | None:
    """Return a descriptor that can be read when a process has ended; None where there is none."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def like_this_one(memory: int | None) -> dict[str, Any]:
    """Return what makes a worker like this process, as far as jobs can see."""
    import sys

    try:
        directory = os.getcwd()
    except OSError:  # it has been removed
        directory = "/"
    return {
        "path": [str(each) for each in sys.path],
        "argv": [str(each) for each in sys.argv],
        "directory": directory,
        "environment": dict(os.environ),
        "main": _main_module.described(),
        "memory": memory,
    }
