"""Worker processes: a crash, a timeout or a leak of one job harms no other."""

from __future__ import annotations

import atexit
import os
import socket
import threading
import weakref

from gofer.backends import _main_module
from gofer.backends._errands import Away
from gofer.backends._nursery import METHODS, ForkServer, Spawn
from gofer.backends._pool import Pool
from gofer.backends._port import Port
from gofer.errors import BackendError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gofer.backends._execution import Execution


class ProcessBackend:
    """Runs jobs in worker processes, which are started when needed and reused from run to run.

    Args:
        workers: How many there are at most; None means one for each core that this process may use.
        start: ``"forkserver"`` or ``"spawn"``; None means the first. Never a fork of this process.
        max_jobs_per_worker: After how many jobs a worker leaves, for code that leaks; None: never.
        memory_limit: Bytes of memory that a worker may map; what wants more raises ``MemoryError``
            in the job. None means no limit.
        grace: Seconds between SIGTERM and SIGKILL for a job that was stopped and does not end.

    Thread safety: may be given to any number of managers, groups and maps, at the same time.
    """

    name = "processes"

    def __init__(
        self,
        workers: int | None = None,
        *,
        start: str | None = None,
        max_jobs_per_worker: int | None = None,
        memory_limit: int | None = None,
        grace: float = 1.0,
    ) -> None:
        if not hasattr(socket, "AF_UNIX") or not hasattr(os, "killpg"):
            raise BackendError("the processes backend needs a system like Linux or macOS")
        for what, value in (
            ("workers", workers),
            ("max_jobs_per_worker", max_jobs_per_worker),
            ("memory_limit", memory_limit),
        ):
            if value is not None and (type(value) is not int or value < 1):
                raise BackendError(f"{what} must be a whole number of at least 1, got {value!r}")
        if start is not None and start not in METHODS:
            raise BackendError(f"start must be 'forkserver' or 'spawn', got {start!r}")
        self._pool = Pool(
            Spawn if start == "spawn" else ForkServer,
            workers=workers if workers is not None else _cores(),
            grace=grace,
            most_jobs=max_jobs_per_worker,
            memory=memory_limit,
        )
        _pools.add(self._pool)

    def port(self, execution: Execution) -> Port:
        """Serve a run; see ``Backend``."""
        _main_module.stop_here()
        return self._pool.open(execution)

    def away(self, name: str, fn: Callable[..., Any]) -> Away:
        """Return what calls a job that has policies; see ``Program``."""
        return Away(name, fn)

    def close(self) -> None:
        """End all workers, and wait a moment for them; the next run starts others."""
        self._pool.close()

    def __repr__(self) -> str:
        return f"<ProcessBackend, {self._pool.workers} workers at most>"


def _cores() -> int:
    counted: Any = getattr(os, "sched_getaffinity", None)
    return len(counted(0)) if counted is not None else os.cpu_count() or 1


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()
_default: list[ProcessBackend] = []
_default_lock = threading.Lock()


def default() -> ProcessBackend:
    """Return the backend that ``"processes"`` means: one for the program, made when needed."""
    with _default_lock:
        if not _default:
            _default.append(ProcessBackend())
        return _default[0]


def _close_all() -> None:
    for pool in tuple(_pools):
        pool.close(at_exit=True)


def _forget_all() -> None:
    for pool in tuple(_pools):
        pool.after_fork()
    _default_lock._at_fork_reinit()  # type: ignore[attr-defined]  # another thread may have had it


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forget_all)
