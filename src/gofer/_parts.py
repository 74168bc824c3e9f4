"""The replaceable parts of the world: the clock, and the starting of threads.

Nothing else in Gofer reads a clock or starts a thread (a test holds that), so that a
simulation can put its own in their place. Which ready job goes next is decided in
``_core.schedule``.
"""

from __future__ import annotations

import threading
import time

clock = time.monotonic
"""Seconds on a clock that never goes back. Replace it before a run starts, not during one."""


def start_thread(thread: threading.Thread) -> None:
    """Start a thread; raise RuntimeError where the system refuses one."""
    thread.start()
