"""How a worker process begins: it becomes like its parent, and is ended together with it."""

from __future__ import annotations

import faulthandler
import fcntl
import marshal
import mmap
import os
import signal
import socket
import sys
from collections import deque

from gofer import _parts
from gofer.backends import _letters, _main_module
from gofer.backends._far_worker import Terminated, Worker, leave
from gofer.backends._wire import framed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main(sock_fd: int, journal_fd: int, fault_fd: int, life_fd: int, bell: int) -> None:
    """Be a worker."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable(fault_fd, all_threads=False)
    _die_with_parent(life_fd)
    sock = socket.socket(fileno=sock_fd)
    journal = mmap.mmap(journal_fd, _letters.JOURNAL)
    worker = Worker(sock, journal)
    frames: list[Any] = []
    parent = worker.said()
    try:
        while not frames:
            parent.poll()
            frames = worker.reader.read()
    except (EOFError, OSError):  # the pool was closed meanwhile
        leave(0)
    _begin(marshal.loads(frames[0][0]))

    def terminate(*_: object) -> None:
        (target,) = _letters.TARGET.unpack_from(journal, _letters.TARGET_AT)
        if target and target != _letters.CURRENT.unpack_from(journal, 0)[0]:
            return  # it was meant for a job that has just ended
        if worker.job is None:
            leave(128 + signal.SIGTERM)
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    listener = _parts.Thread(worker.listen, args=(bell,), name="gofer:listener")
    _parts.start_thread(listener)
    for body, buffers in frames[1:]:
        worker.told(marshal.loads(body), deque(buffers), idle=True)
    worker.send(framed(b""))  # ready
    worker.work()
    leave(0)


def _begin(given: dict[str, Any]) -> None:
    """Make this process like the parent, as far as jobs can see."""
    sys.path[:] = given["path"]
    sys.argv[:] = given["argv"]
    try:
        os.chdir(given["directory"])
    except OSError:  # it has been removed
        pass
    if given["environment"] != dict(os.environ):  # it has changed since the server was started
        os.environ.clear()
        os.environ.update(given["environment"])
    _main_module.known = given["main"]
    if given["memory"] is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (given["memory"], given["memory"]))


def _die_with_parent(fd: int) -> None:
    """Have the system kill this process and its children when the parent is gone, even if killed.

    The other end of the pipe is the parent's alone. Linux can send any signal when it is closed;
    elsewhere the listening thread sees the end of the socket, as soon as it gets to run.
    """
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(fd, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
