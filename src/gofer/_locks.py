"""``ctx.lock(name)``: locks by name, shared by the jobs of a run, for sync and async code alike.

A lock is a named limit of one place, so whoever waits is woken in the order of coming, in whatever
world it waits, and what a job holds stands in the same context variable.
"""

from __future__ import annotations

import threading

from gofer import _parts
from gofer._limits import HELD, Limit
from gofer.errors import LockDeadlock, RunningLoopError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token
    from typing import Any

    from gofer._context import Context
    from gofer._limits import Place

_guard = threading.Lock()


class Lock:
    """A lock as one context sees it: ``with`` in plain code, ``async with`` in async code.

    Thread safety: may be used from any thread or task, each ``with`` block for itself.
    """

    __slots__ = ("_ctx", "_held", "_limit", "name")

    def __init__(self, name: str, limit: Limit, ctx: Context) -> None:
        self.name, self._limit, self._ctx = name, limit, ctx
        self._held: list[tuple[Place, Token[tuple[Place, ...]]]] = []  # by its holder, at most one

    def __enter__(self) -> Lock:
        if _parts.running_loop() is not None:
            raise RunningLoopError(
                f"waiting for a lock would freeze the running event loop; "
                f"write: async with ctx.lock({self.name!r})"
            )
        gate = threading.Lock()
        gate.acquire()

        def wake() -> None:
            try:
                gate.release()
            except RuntimeError:  # it is open already
                return

        place = self._stand_in_line(wake)
        forget = self._ctx.on_cancel(wake)
        try:
            while not place.granted:
                self._ctx.check()
                _parts.wait(gate, self._ctx.remaining())
            self._ctx.check()
        except BaseException:
            place.leave()
            raise
        finally:
            forget()
        return self._take(place)

    async def __aenter__(self) -> Lock:
        loop = _parts.running_loop()
        future = loop.create_future()

        def look() -> None:
            if not future.done():
                future.set_result(None)

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(look)
            except RuntimeError:  # the loop was closed: nobody waits on it any more
                return

        place = self._stand_in_line(wake)
        forget = self._ctx.on_cancel(wake)
        try:
            if not place.granted:
                await future
            self._ctx.check()
        except BaseException:
            place.leave()
            raise
        finally:
            forget()
        return self._take(place)

    def _stand_in_line(self, wake: Callable[[], object]) -> Place:
        self._ctx.check()
        if any(place.limit is self._limit and place.is_held for place in HELD.get()):
            raise LockDeadlock(self.name)
        return self._limit.enter(self.name, wake)

    def _take(self, place: Place) -> Lock:
        self._held.append((place, HELD.set((*HELD.get(), place))))
        return self

    def __exit__(self, *_: object) -> None:
        place, token = self._held.pop()
        HELD.reset(token)
        place.leave()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()

    def __repr__(self) -> str:
        return f"<lock {self.name!r}>"


def lock_of(ctx: Context, name: Any) -> Lock:
    """Return a lock of the run that a context belongs to, or of the topmost context above it.

    Raises:
        TypeError: The name is not text.
    """
    if not isinstance(name, str) or not name:
        raise TypeError(f"a lock's name must be text, got {name!r}")
    owner = ctx
    while owner._parent is not None and not hasattr(owner, "_locks"):
        owner = owner._parent
    with _guard:
        locks = getattr(owner, "_locks", None)
        if locks is None:
            locks = owner._locks = {}
        limit = locks.get(name)
        if limit is None:
            limit = locks[name] = Limit(name, 1)
    return Lock(name, limit, ctx)
