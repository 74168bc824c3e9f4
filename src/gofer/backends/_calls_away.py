"""Jobs that go to a cluster one by one: those of a group, of a map, or single ones of a run.

Their results come back. Short calls of one function travel several at a time. A helper sends them,
and sees to a stop; the engine gives results back in a thread of its own.
"""

from __future__ import annotations

import pickle
import threading
from functools import partial
from itertools import count

from gofer import _parts
from gofer._core.lanes import AWAY, LOOP
from gofer._core.states import FAILED, NOT_STARTED, SUCCEEDED
from gofer._signature import is_async
from gofer.backends._clocks import Clocks
from gofer.backends._far_errors import as_error
from gofer.backends._far_jobs import Undone
from gofer.backends._far_pickles import far_function, far_pickle, pack_run
from gofer.backends._outlet import Outlet, went_on
from gofer.errors import BackendError, Cancelled, JobCrashed, describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from gofer.backends._execution import Execution

    class Sender(Protocol):
        """What a cluster is to calls.

        Attributes:
            name: What messages call it.
        """

        name: str

        @property
        def width(self) -> int:
            """How many jobs it runs at once, about."""

        def send(
            self, calls: Calls, number: int, batch: tuple[Any, ...], done: Callable[[Any], None]
        ) -> Any:
            """Have ``_site.answer`` called with a batch; return what ``take_back`` takes.

            ``done`` gets what it gave, or an exception; not where it was taken back.
            """

        def halt(self, run: str) -> list[tuple[str, int, list[int]]]:
            """Stop a run; see ``_cluster.Engine.stop``."""

        def take_back(self, sent: list[Any]) -> None:
            """Forget batches that have not begun."""

        def forget(self, run: str) -> None:
            """Let the workers forget a run."""


_MOST = 256  # jobs that are taken at once
_BATCH = 0.02  # seconds that the calls of a batch are to take together
_AGAIN = 0.2  # seconds between two looks at what has not ended after a stop


class Calls(Outlet):
    """Where one group, or one run, leaves its jobs.

    Attributes:
        pack: What every worker gets.
        held: What the engine keeps with it.
    """

    def __init__(self, sender: Sender, execution: Execution) -> None:
        self.sender, self.execution = sender, execution
        param = getattr(execution, "param", None)
        self.pack = pack_run(execution, param, quiet=True)
        self.held: Any = None
        super().__init__()
        self._numbers = count()
        self._door = threading.Lock()  # around what is out
        self._out: dict[int, tuple[list[int], Any]] = {}  # batch -> its jobs, what was sent
        self._clocks = Clocks(_parts.wall_clock())
        self._functions: dict[int, tuple[Any, bytes, bool]] = {}
        self._paces: dict[int, float] = {}
        self._waits = False  # whether any is async: a worker has many of these at once

    def post(self, *, force: bool = False) -> None:
        """Look at the run: from any thread, and from a signal handler."""
        if not self._begun:
            self._begun = True
            self._set_off(self.sender.name, self._serve)
        self._open()

    # The helper

    def _serve(self) -> None:
        core, sender = self.execution.core, self.sender
        while not self._closed and not (core.stopped and self.execution.over()):
            self._gate.acquire(timeout=_AGAIN if core.stopped else -1)
            try:
                if self._closed:
                    break
                if core.stopped:
                    self._stop()
                else:
                    self._send_ready()
            except BaseException as error:
                self._break(error)
        try:
            if self.held is not None:
                sender.forget(self.pack.run)
        except BaseException as error:
            _parts.report_unraisable(error, f"{sender.name} could not end a run", self)
        self.execution = None  # type: ignore[assignment]

    def _break(self, error: BaseException) -> None:
        """Let the run raise something that is no job's, and end."""
        execution, ctx = self.execution, self.execution.ctx
        if self._closed or ctx is None:  # it is over
            return
        problem = BackendError(f"{self.sender.name} could not run it: {describe(error)}")
        problem.__cause__ = error
        execution.interrupted = execution.interrupted or problem
        ctx.cancel(problem)
        with self._door:
            out, self._out = self._out, {}
        for jobs, _ in out.values():
            for i in jobs:
                self._booked(i, Cancelled("its cluster is gone"), 0.0)

    def _send_ready(self) -> None:
        execution = self.execution
        at = _parts.clock() - execution.start
        room = _MOST if self._waits else 2 * self.sender.width - len(self._out)
        if room <= 0:  # what comes meanwhile makes the next batches larger
            return
        with execution.lock:
            taken = execution.core.take_many(AWAY, at, _MOST)
        alike: dict[int, list[tuple[Any, ...]]] = {}
        for i in taken:
            name = execution.name_of(i)
            try:
                fn, nargs, args, kwargs = execution.parcel(i)
                key = id(getattr(fn, "__code__", fn))
                if id(fn) not in self._functions:
                    self._functions[id(fn)] = fn, far_function(name, fn), is_async(fn)
                _, function, waits = self._functions[id(fn)]
                given = far_pickle(name, "an argument", (args, kwargs)) if args or kwargs else b""
            except Exception as error:
                self._booked(i, error, at)
                continue
            self._waits |= waits
            if execution.observers:
                execution.tell_started(i)
            call = (i, name, function, nargs, (), None), given
            alike.setdefault(key if not waits else -key, []).append(call)
        for key, calls in alike.items():
            most = max(1, int(_BATCH / self._paces.get(abs(key), _BATCH)))
            size = min(most, 1 + (len(calls) - 1) // room)
            for first in range(0, len(calls), size):
                self._send(tuple(calls[first : first + size]), key)
        if len(taken) == _MOST:
            self._open()

    def _send(self, batch: tuple[Any, ...], key: int) -> None:
        number = next(self._numbers)
        jobs = [call[0][0] for call in batch]
        with self._door:
            self._out[number] = jobs, None
        sent = self.sender.send(self, number, (key < 0, batch), partial(self._done, number, key))
        with self._door:
            if number in self._out:
                self._out[number] = jobs, sent

    def _stop(self) -> None:
        """After a stop, note what has not begun: once the workers say so, it never will."""
        told = self.sender.halt(self.pack.run) if self.held is not None else []
        busy = {i for _, _, jobs in told for i in jobs}
        with self._door:
            idle = {n: each for n, each in self._out.items() if not busy.intersection(each[0])}
            for number in idle:
                del self._out[number]
        self.sender.take_back([sent for _, sent in idle.values() if sent is not None])
        for jobs, _ in idle.values():
            for i in jobs:
                self._booked(i, None, None)
        if self.execution.over():
            self.execution.finish()

    # The engine's thread

    def _done(self, number: int, key: int, answer: Any) -> None:
        """Book what a batch gave."""
        with self._door:
            jobs, _ = self._out.pop(number, ((), None))
        if not jobs or self._closed:
            return
        at = _parts.clock() - self.execution.start
        if type(answer) is Undone:
            answer = as_error(answer.error)
        if isinstance(answer, BaseException):
            for i in jobs:
                name = self.execution.name_of(i)
                lost = isinstance(answer, JobCrashed)
                error = JobCrashed(name, answer.worker) if lost else answer  # type: ignore[attr-defined]
                self._booked(i, error, at)
            return
        worker, sent, results = answer
        self._clocks.heard(worker, sent, _parts.wall_clock())
        for i, (start, end, value, error) in zip(jobs, results, strict=True):
            if start is None:
                self._booked(i, None, None)
                continue
            pace, took = self._paces.get(abs(key)), (end - start) / 1e9 + 1e-6
            self._paces[abs(key)] = took if pace is None else 0.8 * pace + 0.2 * took
            self.execution.went(i, f"worker {worker}")
            self._read(
                i, value, error, self._clocks.at(worker, start), self._clocks.at(worker, end)
            )

    def _read(self, i: int, value: Any, error: Any, start: float, end: float) -> None:
        execution = self.execution
        with execution.lock:
            execution.core.began(i, start)
        raised = None if error is None else as_error(error)
        if raised is None:
            try:
                execution.keep(i, pickle.loads(value))
            except Exception as failure:
                raised = failure
        self._booked(i, raised, end)

    def _booked(self, i: int, error: BaseException | None, at: float | None) -> None:
        """Book a job's end; without a time it has never begun."""
        execution, core, lane = self.execution, self.execution.core, self.execution.lane
        outcome = NOT_STARTED if at is None else SUCCEEDED
        if error is not None:
            outcome = execution.caught(i, error)
        if execution.observers and at is not None:
            execution.tell_ended(i, outcome, at)
        failure = execution.errors[i] if outcome == FAILED and i in execution.errors else None
        with execution.lock:
            core.ended(i, outcome, at or 0.0)
            wake, finished = core.wants(), core.finished
            post = lane is not self and core.has_ready(LOOP)
            more = core.has_ready(AWAY)
        if failure is not None and core.fail_fast and core.first == i:
            execution.ctx.cancel(failure)
        if failure is not None:
            execution.announce()
        del failure, error  # tracebacks hold this frame
        went_on(execution, wake=wake, finished=finished, lane=lane if post else None)
        if more:
            self._open()
