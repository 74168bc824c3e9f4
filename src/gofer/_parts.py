"""The replaceable parts of the world: the clock, and the starting of threads.

Nothing else in Gofer reads a clock or starts a thread (a test holds that), so that a
simulation can put its own in their place. Which ready job goes next is decided in
``_core.schedule``.
"""

from __future__ import annotations

import sys
import threading
import time
from types import SimpleNamespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

clock = time.monotonic
"""Seconds on a clock that never goes back. Replace it before a run starts, not during one."""


HAS_GIL: bool = getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether only one thread at a time runs Python code, so that what it does is seen in order."""


LISTEN = 0.2
"""Seconds after which the main thread looks up from a wait. A signal that comes just before it
blocks is noticed by CPython when it goes on, which would be never where it waits for ever."""


def is_main_thread() -> bool:
    """Return whether this is the thread in which signal handlers run."""
    return threading.get_ident() == threading.main_thread().ident


def start_thread(thread: threading.Thread) -> None:
    """Start a thread; raise RuntimeError where the system refuses one."""
    thread.start()


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
