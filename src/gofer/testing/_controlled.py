"""Locks, threads and event loops that wait by a conductor; for its own strands alone."""

from __future__ import annotations

import asyncio
import math
import sys
import threading
from collections.abc import Callable, Iterator
from heapq import heappop
from typing import Any

from gofer._context import Context
from gofer.backends._frames import WAITS
from gofer.testing._conductor import Conductor
from gofer.testing._strands import (
    CALLER,
    IDLE,
    SLEEP,
    STOP,
    TIME,
    TIMEOUT,
    Abandoned,
    Strand,
    is_gofers,
    mine,
    strands,
)

_SLEEP = Context.sleep.__code__


class Lock:
    """What stands for ``threading.Lock``."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor, self._locked = conductor, False
        maker = sys._getframe(1)
        while maker.f_code in MAKERS:
            maker = maker.f_back  # type: ignore[assignment]
        # Gofer's own are of no interest: what they guard happens at once, or it is told elsewhere.
        own = is_gofers(maker) and not conductor.fine
        self._name = "" if own else conductor.numbered("lock")

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it, as a lock of ``threading`` does."""
        caller = sys._getframe(1)
        self._use("takes a lock")
        if not self._locked:
            self._locked = True
            return True
        if not blocking or timeout == 0:
            return False
        forever = timeout < 0 or caller.f_code in WAITS
        return self.take(None if forever else timeout, TIMEOUT if self._inside() else IDLE)

    def take(self, seconds: float | None, kind: int) -> bool:
        """Wait for it, at most so long."""
        conductor = self._conductor
        if mine() is not conductor:
            raise RuntimeError("a lock that an explored run has made is still held after the run")
        until = None if seconds is None or seconds == math.inf else conductor.now + seconds
        if not conductor.block(lambda: not self._locked, until, kind):
            return False
        self._locked = True
        self._use()
        return True

    def _inside(self) -> bool:
        return mine() is self._conductor and bool(self._conductor.label)

    def _use(self, verb: str = "") -> None:
        conductor = self._conductor
        if self._name and mine() is conductor:
            if verb:
                conductor.point(verb)
            conductor.touch(("lock", False, self._name), write=True)

    def release(self) -> None:
        """Give it back."""
        if self._conductor.dead is not None:
            self._locked = False
            return
        if not self._locked:
            raise RuntimeError("release unlocked lock")
        self._use()
        self._locked = False

    def locked(self) -> bool:
        """Return whether it is held."""
        return self._locked

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class RLock(Lock):
    """What stands for ``threading.RLock``."""

    def __init__(self, conductor: Conductor) -> None:
        super().__init__(conductor)
        self._owner, self._count = 0, 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it, or once more."""
        me = threading.get_ident()
        if self._owner != me:
            if not super().acquire(blocking, timeout):
                return False
            self._owner = me
        self._count += 1
        return True

    def release(self) -> None:
        """Give it back, once."""
        if self._owner != threading.get_ident() and self._conductor.dead is None:
            raise RuntimeError("cannot release un-acquired lock")
        self._count -= 1
        if not self._count:
            self._owner = 0
            super().release()

    # What ``threading.Condition`` asks for.

    def _is_owned(self) -> bool:
        return self._owner == threading.get_ident()

    def _release_save(self) -> int:
        count, self._count = self._count, 1
        self.release()
        return count

    def _acquire_restore(self, count: int) -> None:
        self.acquire()
        self._count = count


def lock(conductor: Conductor) -> Lock:
    """Stand for ``threading.Lock``."""
    return Lock(conductor)


def rlock(conductor: Conductor) -> RLock:
    """Stand for ``threading.RLock``."""
    return RLock(conductor)


MAKERS: set[object] = {each.__code__ for each in (RLock.__init__, lock, rlock)}
"""The code between who makes a lock and the lock."""


def wait(gate: Any, seconds: float | None, real: Callable[..., bool]) -> bool:
    """Stand for ``_parts.wait``."""
    if not isinstance(gate, Lock):
        return real(gate, seconds)
    if not gate.locked():
        return gate.acquire()
    kind = SLEEP if sys._getframe(2).f_code is _SLEEP else TIMEOUT
    return gate.take(seconds, kind)


# -- threads

_strand_of: dict[int, Strand] = {}


def start(thread: Any, real: Callable[[Any], None]) -> None:
    """Stand for ``threading.Thread.start``; a job's own threads are strands with its name."""
    conductor = mine()
    if conductor is None:
        real(thread)
        return
    if conductor.label and not is_gofers(sys._getframe(2)):
        _begin(conductor, thread, thread.run)
    else:
        thread._gofer_strand = conductor.begin(thread, thread.run)


def _begin(conductor: Conductor, thread: Any, run: Callable[[], object]) -> None:
    """Begin a strand of the job that runs."""
    label = conductor.unique(f"{conductor.label}'s thread")

    def run_as_job() -> None:
        conductor.running.labels.append(label)
        conductor.point("starts")
        run()

    thread._gofer_strand = conductor.begin(thread, run_as_job)


def join(thread: Any, timeout: float | None, real: Callable[..., None]) -> None:
    """Stand for ``threading.Thread.join``."""
    strand, conductor = getattr(thread, "_gofer_strand", None), mine()
    if strand is None or conductor is None:
        real(thread, timeout)
        return
    until = None if timeout is None else conductor.now + timeout
    conductor.block(lambda: strand.ended, until)


def is_alive(thread: Any, real: Callable[[Any], bool]) -> bool:
    """Stand for ``threading.Thread.is_alive``."""
    strand = getattr(thread, "_gofer_strand", None)
    return real(thread) if strand is None else not strand.ended


def current_thread(real: Callable[[], Any]) -> Any:
    """Stand for ``threading.current_thread``."""
    known = strands.get(threading.get_ident())
    return real() if known is None else known[1].thread


# -- the loop


def _task_of(handle: Any) -> Any:
    owner = getattr(handle._callback, "__self__", None)
    return owner if isinstance(owner, asyncio.Task) else None


_MOST_CALLS = 10_000
"""Calls after which a loop is closed, whatever its tasks still do."""


_Base: Any = asyncio.BaseEventLoop


class Loop(_Base):  # type: ignore[misc]  # its methods are narrower than typeshed has them
    """An event loop without a network, whose next call the conductor chooses.

    What a task does next waits until its job is chosen; other calls are made at once, in order.
    """

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self._conductor: Any = conductor
        self._name = conductor.numbered("loop")

    def time(self) -> float:
        """Return the conductor's time."""
        return float(self._conductor.now)

    def times(self) -> Iterator[tuple[float, int]]:
        """Return when something is due, and what kind of wait that is."""
        for handle in self._scheduled:
            if not handle.cancelled():
                name = getattr(handle._callback, "__name__", "")
                yield handle.when(), SLEEP if name == "_set_result_unless_cancelled" else TIMEOUT

    def _collect(self) -> None:
        scheduled, ready = self._scheduled, self._ready
        while scheduled and scheduled[0].when() <= self._conductor.now:
            handle = heappop(scheduled)
            handle._scheduled = False
            ready.append(handle)

    def next_handle(self) -> Any:
        """Return the next call that is no step of a task, or None."""
        self._collect()
        for handle in self._ready:
            if handle.cancelled() or _task_of(handle) is None:
                return handle
        return None

    def turns(self) -> list[tuple[str, Any]]:
        """Return the jobs that can go on, and the call that each would make."""
        found = []
        for handle in self._ready:
            task = _task_of(handle)
            if task is not None and not handle.cancelled():
                found.append((self._conductor.label_of(task, task.get_name()), handle))
        return found

    def _run_once(self) -> None:
        conductor = self._conductor
        handle = conductor.turn(self)
        self._ready.remove(handle)
        if handle.cancelled():
            return
        task = _task_of(handle)
        if task is None:
            handle._run()
            return
        labels = conductor.running.labels
        labels.append(conductor.label_of(task, task.get_name()))
        conductor.touch(("loop", False, self._name), write=True)
        conductor.touch(STOP, write=False)
        try:
            handle._run()
        finally:
            labels.pop()

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        """Call something at a time."""
        conductor = mine()
        if conductor is not None:
            conductor.touch(TIME, write=True)
        return super().call_at(when, callback, *args, context=context)

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> Any:
        """Call something soon, without the lock that Python 3.14 gives to such a call.

        One strand runs at a time, and a lock of this run could not be taken once it is given up.
        What is given up ends in any order, so the loop may be closed before who calls it.
        """
        if self._conductor.dead is None:
            self._check_closed()
        return self._call_soon(callback, args, context)

    def serve(self, coroutine: Any = None) -> Any:
        """Run a coroutine, or until it is stopped; then cancel what is left, and close."""
        try:
            if coroutine is None:
                return self.run_forever()
            return self.run_until_complete(self.create_task(coroutine, name=CALLER))
        finally:
            self._cancel_all()
            self.close()

    def _cancel_all(self) -> None:
        """Let tasks that are left end here and now, without the conductor."""
        left: Any = asyncio.all_tasks(self)
        for task in left:
            task.cancel()
        asyncio.events._set_running_loop(self)
        try:
            for _ in range(_MOST_CALLS):
                if not self._ready:
                    break
                self._ready.popleft()._run()
        finally:
            asyncio.events._set_running_loop(None)
        for task in left:
            task._log_destroy_pending = False
            if task.done() and not task.cancelled():
                task.exception()  # it is of no interest any more

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None) -> Any:
        """Make a task, with a name that is the same in each run."""
        if name is None:
            name = f"{self._conductor.label or 'the caller'}'s part"
        return super().create_task(coro, name=name, context=context)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """Call a function in a strand of its own."""
        future = self.create_future()

        def call() -> None:
            try:
                result, error = func(*args), None
            except Abandoned:
                raise
            except BaseException as raised:
                result, error = None, raised
            self.call_soon_threadsafe(settle, result, error)

        def settle(result: Any, error: BaseException | None) -> None:
            if future.cancelled():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        _begin(self._conductor, threading.Thread(), call)
        return future

    def _write_to_self(self) -> None:
        pass

    def _process_events(self, event_list: Any) -> None:
        pass
