"""The replaceable parts of the world: the clock, waiting, chance, and the starting of threads.

Nothing else in Gofer reads a clock, draws a number or starts a thread (a test holds that), so that
a simulation can put its own in their place. Which ready job goes next is decided in
``_core.schedule``.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from functools import partial
from types import SimpleNamespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

clock = time.monotonic
"""Seconds on a clock that never goes back. Replace it before a run starts, not during one."""

wall_clock = time.time_ns
"""Nanoseconds since 1970, for what is compared with the clocks of others."""


HAS_GIL: bool = getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether only one thread at a time runs Python code, so that what it does is seen in order."""


LISTEN = 0.2
"""Seconds after which the main thread looks up from a wait. A signal that comes just before it
blocks is noticed by CPython when it goes on, which would be never where it waits for ever."""


def is_main_thread() -> bool:
    """Return whether this is the thread in which signal handlers run."""
    return threading.get_ident() == _main[0]


_main = [threading.main_thread().ident]  # asked once: it is three times as fast, for each run


def _fork_is_main() -> None:
    _main[0] = threading.get_ident()


os.register_at_fork(after_in_child=_fork_is_main)


def wait(gate: Any, seconds: float | None) -> bool:
    """Wait in this thread until a lock can be taken; return False if it could not, so far.

    That may come before the time is over: whoever waits looks at the clock, and waits again.
    """
    most = LISTEN if is_main_thread() else _LONGEST
    return bool(gate.acquire(timeout=most if seconds is None else min(seconds, most)))


def call_later(loop: Any, seconds: float, call: Any) -> Any:
    """Have an event loop call something in some seconds; return a handle with ``cancel``."""
    return loop.call_later(min(seconds, _LONGEST), call)


def chance() -> float:
    """Return a random number from 0 to 1, for jitter."""
    from random import random  # slow to import, and few need it

    return random()


def seeded(seed: int) -> Any:
    """Return a source of chance that says the same for the same seed: a ``random.Random``."""
    from random import Random

    return Random(seed)


_LONGEST = 3600.0
"""Seconds that one wait may take; the system refuses hundreds of years."""


class Thread(threading.Thread):
    """A daemon thread whose ``start`` notices that it died before its first line.

    That happens where there is no memory for that line, and Python's own ``start`` then waits for
    ever (python/cpython#140746). What a new thread calls is kept by Python until the thread has
    ended, and by nobody else, so a weak reference to it tells. This takes two private names of
    ``threading``; where Python has others, it is a thread like any.
    """

    def __init__(self, target: Any, *, name: str, args: Any = (), awaited: bool = True) -> None:
        """Make it.

        Args:
            target: What to call.
            name: Its name.
            args: What to call it with.
            awaited: Whether ``start`` waits until it has begun. Where others compute that takes as
                long as they hold the GIL; whoever does not wait does not hear of its death either.
        """
        super().__init__(target=target, name=name, args=args, daemon=True)
        self._started = _Started(awaited)

    @property
    def _bootstrap(self) -> Any:
        call = self._started.call()
        if call is None:  # not started yet; a debugger may look before that, and afterwards
            call = partial(super()._bootstrap)  # type: ignore[misc]
            self._started.call = weakref.ref(call)
        return call


class _Started(threading.Event):
    """What a thread sets when it has begun."""

    call: Any = staticmethod(lambda: None)  # answers None while there is no such thread

    def __init__(self, awaited: bool) -> None:
        super().__init__()
        self._awaited = awaited

    def wait(self, timeout: float | None = None) -> bool:
        seconds, waited = 0.001, 0.0
        while self._awaited and not super().wait(seconds):
            if (self.call() is None or waited > _LONGEST_START) and not self.is_set():
                raise _Died
            waited += seconds
            seconds = min(2 * seconds, LISTEN)
        return True


class _Died(Exception):
    """A thread died before its first line."""


_LONGEST_START = 60.0
"""Seconds after which a thread that has not begun counts as dead, whoever keeps what it calls."""


def start_thread(thread: threading.Thread) -> None:
    """Start a thread; raise RuntimeError where the system refuses one, or Python is at its end."""
    if is_ending():  # as Python 3.12 does; before, the thread would never run
        raise RuntimeError("can't start new thread at interpreter shutdown")
    try:
        thread.start()
    except _Died:
        getattr(threading, "_limbo", {}).pop(thread, None)  # else it would be listed for ever
        raise RuntimeError("can't start new thread: it died before its first line") from None


def is_ending() -> bool:
    """Return whether Python shuts down: from then on no daemon thread runs any more."""
    return sys.is_finalizing()


_shared: weakref.WeakSet[Any] = weakref.WeakSet()


def renew_after_fork(thing: Any) -> None:
    """Have ``thing._renew()`` called in forked processes, where threads it counts on are gone."""
    _shared.add(thing)


def _renew_all() -> None:
    for thing in _shared:
        thing._renew()


os.register_at_fork(after_in_child=_renew_all)


def running_loop() -> Any:
    """Return the event loop that runs in this thread, or None; never imports asyncio."""
    events = sys.modules.get("asyncio.events")
    find = getattr(events, "_get_running_loop", None)  # None while asyncio is half imported
    return find() if find else None


def report_unraisable(error: BaseException, message: str, where: object) -> None:
    """Hand an error that nobody can receive to ``sys.unraisablehook``; never raise."""
    try:
        if sys.unraisablehook is sys.__unraisablehook__:
            # The hook that Python brings takes only what Python itself has made.
            import traceback

            told = "".join(traceback.format_exception(error))
            sys.stderr.write(f"{message}: {where!r}\n{told}")
            sys.stderr.flush()
        else:
            facts: Any = SimpleNamespace(
                exc_type=type(error),
                exc_value=error,
                exc_traceback=error.__traceback__,
                err_msg=message,
                object=where,
            )
            sys.unraisablehook(facts)
    except KeyboardInterrupt:
        raise
    except BaseException:  # a hostile error, a closed stderr, a hook that raises
        return


def start_python(code: str, fds: Sequence[int]) -> Any:
    """Start an interpreter like this one, in a process group of its own; return its ``Popen``.

    Args:
        code: What it runs.
        fds: The descriptors that it inherits.

    Raises:
        OSError: The system refuses.
    """
    import subprocess

    flags: Any = getattr(subprocess, "_args_from_interpreter_flags", list)
    return subprocess.Popen(
        [sys.executable, *flags(), "-c", code],
        stdin=subprocess.DEVNULL,
        pass_fds=fds,
        process_group=0,
    )


def exit_code(process: Any, seconds: float) -> int | None:
    """Wait for a process; return how it ended, or None if it has not by then."""
    import subprocess

    try:
        code: int = process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    return code


def fork() -> int:
    """Fork this process, which has no other thread; return 0 in the child."""
    return os.fork()
