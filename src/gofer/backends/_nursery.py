"""How worker processes are started: each from a fresh interpreter, or as a fork of a small server.

Never a fork of this process: it has threads, which hold locks. The server ("forkserver") is a
process of its own with one thread, which has imported Gofer and nothing else; a fork of it is there
in a few milliseconds. "spawn" starts an interpreter for each worker.

Each worker leads a process group of its own, so that Ctrl-C in a terminal does not reach it, and
so that it can be ended together with what it has started.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from struct import Struct

from gofer import _parts
from gofer.errors import WorkerFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

METHODS = ("forkserver", "spawn")

_NEWS = Struct("<qq")  # pid and exit status; a status of _BORN: it was started
_BORN = 1 << 32
_WAIT = 10.0  # seconds that the server may take to start a process


def _code(call: str, *numbers: int) -> str:
    """Return what an interpreter runs that is to be one of Gofer's processes."""
    given = ", ".join(map(str, numbers))
    start = f"import sys; sys.path[:] = {sys.path!r}; from gofer.backends import {call} as it"
    return f"{start}; it.main({given})"


class Spawn:
    """Starts an interpreter for each worker."""

    def __init__(self) -> None:
        self._processes: dict[int, Any] = {}

    def launch(self, fds: Sequence[int]) -> int:
        """Start a worker with these descriptors; return its pid.

        Raises:
            WorkerFailed: The system refuses.
        """
        try:
            process = _parts.start_python(_code("_child", *fds), fds)
        except OSError as error:
            raise WorkerFailed(f"no worker process could be started: {error}") from error
        self._processes[process.pid] = process
        return process.pid  # type: ignore[no-any-return]

    def status(self, pid: int) -> int | None:
        """Return how a worker ended that is known to be dead: minus a signal's number, or 0 up."""
        process = self._processes.pop(pid, None)
        return None if process is None else _parts.exit_code(process, _WAIT)

    def after_fork(self) -> None:
        """Let go of what belongs to the parent, in the child of a fork."""
        for process in self._processes.values():
            process.returncode = 0  # nobody's to wait for here

    def close(self) -> None:
        """Reap what has ended meanwhile."""
        for process in self._processes.values():
            process.poll()


class ForkServer:
    """Has a server fork each worker; the server is started with the first."""

    def __init__(self) -> None:
        self._sock: Any = None
        self._server: Any = None
        self._ended: dict[int, int] = {}

    def _open(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._server = _parts.start_python(
                    _code("_nursery", theirs.fileno()), (theirs.fileno(),)
                )
        except BaseException:
            ours.close()
            raise
        ours.settimeout(_WAIT)
        self._sock = ours

    def launch(self, fds: Sequence[int]) -> int:
        """Start a worker with these descriptors; return its pid.

        Raises:
            WorkerFailed: The system refuses.
        """
        for last in (False, True):
            try:
                if self._sock is None:
                    self._open()
                socket.send_fds(self._sock, [b"+"], list(fds))
                while True:
                    pid, status = self._next()
                    if status == _BORN and pid > 0:
                        return pid
                    if status == _BORN:
                        raise WorkerFailed(
                            f"no worker process could be started: {os.strerror(-pid)}"
                        )
            except (OSError, EOFError) as error:  # the server was killed
                self.close()
                if last:
                    raise WorkerFailed(f"no worker process could be started: {error}") from error
        raise AssertionError("unreachable: the second try returned or raised")

    def _next(self) -> tuple[int, int]:
        news = self._sock.recv(_NEWS.size, socket.MSG_WAITALL)
        if len(news) < _NEWS.size:
            raise EOFError("the server that starts workers has ended")
        pid, status = _NEWS.unpack(news)
        if status != _BORN:
            self._ended[pid] = status
        return pid, status

    def status(self, pid: int) -> int | None:
        """Return how a worker ended that is known to be dead: minus a signal's number, or 0 up."""
        try:
            while self._sock is not None and pid not in self._ended:
                self._next()
        except (OSError, EOFError):
            self.close()
        return self._ended.pop(pid, None)

    def after_fork(self) -> None:
        """Let go of what belongs to the parent, in the child of a fork: else it outlives it."""
        if self._sock is not None:
            self._sock.close()
            self._server.returncode = 0  # nobody's to wait for here

    def close(self) -> None:
        """End the server."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        if self._server is not None:
            if _parts.exit_code(self._server, 1.0) is None:
                self._server.kill()
                self._server.wait()
            self._server = None


def main(fd: int) -> None:
    """Be the server, in a process of its own, until the other end closes the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from gofer.backends import _child

    bell, ring = socket.socketpair()
    for each in (bell, ring):
        each.setblocking(False)
    signal.set_wakeup_fd(ring.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    sock = socket.socket(fileno=fd)
    from select import select

    while True:
        ready, _, _ = select([sock, bell], [], [])
        if bell in ready:
            bell.recv(4096)
            _reap(sock)
        if sock in ready:
            try:
                asked, fds, _, _ = socket.recv_fds(sock, 1, 8)
            except ConnectionResetError:  # the parent was killed, and had not read all news
                asked = b""
            if not asked:
                os._exit(0)
            pid = _fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for end in (sock, bell, ring):
                    end.close()
                _child.main(*fds)
                os._exit(0)
            for passed in fds:
                os.close(passed)
            sock.sendall(_NEWS.pack(pid, _BORN))


def _fork() -> int:
    try:
        return _parts.fork()
    except OSError as error:
        return -(error.errno or 1)


def _reap(sock: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        sock.sendall(_NEWS.pack(pid, os.waitstatus_to_exitcode(status)))
