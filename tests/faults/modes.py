"""The ways to run jobs, as a matrix of faults needs them.

A job here is a plain function ``fn(ctx, param)`` of a module, so that any mode can run it: on the
loop it becomes a coroutine function, in another process it is found by its name.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import gofer

MODES = ["threads", "loop", "background", "mixed"]
"""Where jobs run, and who waits for them: ``loop`` and ``mixed`` are awaited on a loop."""


class Mode:
    """A way to run jobs.

    Attributes:
        name: One of ``MODES``.
        awaits: Whether the caller awaits ``aexecute``.
        is_async: Whether the jobs are coroutine functions.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.awaits = name in ("loop", "mixed")
        self.is_async = name in ("loop", "background")

    def job(self, fn: Callable[..., Any], **options: Any) -> Any:
        """Make a job of a plain function, of this mode's kind."""
        if not self.is_async:
            return gofer.job(fn, **options)

        @functools.wraps(fn)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            return fn(*args, **kwargs)

        return gofer.job(awaited, **options)

    def execute(self, manager: gofer.JobManager, *args: Any, **options: Any) -> gofer.Run:
        """Execute a manager this way."""
        if self.awaits:
            return asyncio.run(manager.aexecute(*args, **options))
        return manager.execute(*args, **options)
