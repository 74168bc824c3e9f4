"""The calls of one run that Ray has: what comes of them, and the cancelling of all."""

from __future__ import annotations

import pickle
import threading
from functools import partial
from queue import SimpleQueue

import ray
from ray.exceptions import (
    LocalRayletDiedError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    TaskCancelledError,
    WorkerCrashedError,
)

from gofer import _parts
from gofer.backends import _ray_inside, _ray_worker
from gofer.backends._far_jobs import Undone
from gofer.backends._helpers import helpers
from gofer.errors import Cancelled, JobCrashed, describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gofer.backends._calls_away import Calls
    from gofer.backends._cluster import Whole
    from gofer.backends._pieces import Piece

_SMALL = 1 << 14  # bytes of a pack that goes with each call; a larger one goes to the store once
_GRACE = 1.0  # seconds that a cancelled job has to end by itself, before its worker is killed
_NAMING = 3.0  # seconds in which Ray may tell which worker it has lost
_AGAIN = 3  # how often a job is run again that may be, when its worker was lost

_OPTIONS = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}

_perform = ray.remote(num_returns=2, max_retries=0, max_calls=_ray_inside.CALLS)(
    _ray_worker.perform
)
_answer = ray.remote(max_retries=0, max_calls=_ray_inside.CALLS)(_ray_worker.answer)

SENT, STOPPED, LOST, NEEDS_LOST, REFUSED = range(5)
"""What an error of a call says: it is none; it was cancelled before it began; its worker is lost;
what it needs is not there; Ray could not do it."""


def kind_of(error: BaseException | None) -> int:
    """Return what an error of a call says."""
    if error is None:
        return SENT
    gone = (WorkerCrashedError, NodeDiedError, LocalRayletDiedError, OutOfMemoryError)
    if not isinstance(error, RayTaskError):
        return STOPPED if isinstance(error, TaskCancelledError) else LOST
    if isinstance(error, (TaskCancelledError, *gone)):
        return NEEDS_LOST
    return LOST if isinstance(error, ObjectLostError) else REFUSED


class Out:
    """Calls that are out. What comes back is told in a thread of its own.

    Attributes:
        told: Called with the number of a call, its result or None, its error or None.
        then: Called when it is out no more.
    """

    def __init__(
        self,
        told: Callable[[int, Any, BaseException | None], None],
        then: Callable[[], object] = lambda: None,
        *,
        place: Any = None,
    ) -> None:
        self.told, self.then = told, then
        self._place = place if isinstance(place, _ray_worker.Place) else None
        self._arrived: SimpleQueue[Any] = SimpleQueue()
        self._lock = threading.Lock()
        self._refs: dict[int, Any] = {}
        self._killed: set[int] = set()
        self._stopped_at: float | None = None
        helpers.lend("Ray", self._listen)
        if self._place is not None:
            self._place.begin(self)

    def __len__(self) -> int:
        return len(self._refs)

    @property
    def stopped(self) -> bool:
        """Whether all are being cancelled."""
        return self._stopped_at is not None

    def refs(self) -> list[Any]:
        """Return the calls themselves."""
        with self._lock:
            return list(self._refs.values())

    def add(self, number: int, ref: Any) -> None:
        """Note a call."""
        with self._lock:
            self._refs[number] = ref
            stopped = self.stopped
        ref.future().add_done_callback(partial(self._arrive, number))
        if stopped:
            ray.cancel(ref)

    def _arrive(self, number: int, future: Any) -> None:
        self._arrived.put((number, future))  # in a thread of Ray's, which must not be held up

    def _listen(self) -> None:
        while True:
            arrived = self._arrived.get()
            if arrived is None:
                return
            if callable(arrived):
                arrived()
                continue
            number, future = arrived
            error = future.exception()
            if kind_of(error) == STOPPED and number in self._killed:
                error = WorkerCrashedError()
            self.told(number, None if error is not None else future.result(), error)
            with self._lock:
                self._refs.pop(number, None)
            del arrived, future, error
            self.then()

    def call(self, call: Callable[[], object]) -> None:
        """Have something called that never raises, in the thread that tells what comes back."""
        self._arrived.put(call)

    def cancel(self) -> list[int]:
        """Cancel all, those that do not hear it by force; return what has not ended yet."""
        with self._lock:
            now = _parts.clock()
            first = not self.stopped
            self._stopped_at = now if self._stopped_at is None else self._stopped_at
            late = now >= self._stopped_at + _GRACE
            left = {n: ref for n, ref in self._refs.items() if n not in self._killed}
            if late:
                self._killed.update(left)
            out = list(self._refs)
        if first or late:
            for ref in left.values():
                ray.cancel(ref, force=late)
        return out

    def whereabouts(self, number: int) -> tuple[str, int | None]:
        """Return which worker was lost with a call, and when the call began there, or None."""
        ref = self._refs[number]
        until = _parts.clock() + (0.0 if self.stopped else _NAMING)
        pause = threading.Event()
        worker, began = _ray_inside.whereabouts(ref)
        while worker is None and _parts.clock() < until:
            pause.wait(0.05)
            worker, began = _ray_inside.whereabouts(ref)
        return worker or "a worker of Ray's", began

    def close(self) -> None:
        """Listen no more."""
        self._arrived.put(None)
        if self._place is not None:
            self._place.end(self)


def packed(pack: Any) -> Any:
    """Return what goes with each call in the place of a pack."""
    return ray.put(pack) if pack.size > _SMALL else pickle.dumps(pack, 5)


def fetched(ref: Any) -> Any:
    """Return what a reference stands for, or ``Undone`` if it is lost."""
    try:
        return ray.get(ref)
    except RayError:
        return Undone()


class Graph:
    """The graph of a run, as Ray has it: references to calls and to their results.

    Attributes:
        values: For each piece, what it gives, or will; None before it is sent, or if nobody asks.
        out: The pieces that are out.
    """

    def __init__(self, whole: Whole, board: str) -> None:
        """Begin.

        Args:
            whole: The run.
            board: The name of the board on which workers write.
        """
        self.whole, self._board = whole, board
        self._pack = packed(whole.pack)
        self.values: list[Any] = [None] * len(whole.pieces)
        self._reports: list[Any] = [None] * len(whole.pieces)
        self._calls: dict[Any, Any] = {}
        self._next = 0
        self._most = whole.program.limit or len(whole.pieces)
        self._door = threading.Lock()
        self.out = Out(self._came, self.send, place=whole.place)

    def send(self) -> None:
        """Send as many pieces as may be out. What they need has always been sent before."""
        pieces = self.whole.pieces
        try:
            with self._door:
                while self._next < len(pieces) and len(self.out) < self._most:
                    if self.out.stopped:
                        return
                    self._send(pieces[self._next])
                    self._next += 1
        except Exception as problem:
            self.whole.broke(describe(problem))

    def _send(self, piece: Piece) -> None:
        whole, number = self.whole, piece.number
        errand = pickle.dumps((whole.is_async(piece), whole.errands[number], self._board), 5)
        given = [self.values[source] for source in piece.sources]
        given += [self._reports[earlier] for earlier in piece.after]
        call = self._call(piece)
        value, report = call.remote(errand, self._pack, len(piece.sources), *given)
        self.values[number], self._reports[number] = value, report
        self.out.add(number, report)

    def _call(self, piece: Piece) -> Any:
        """Return the remote function with the options of a piece; most have the same."""
        whole = self.whole
        fn = whole.program.fns[piece.jobs[0]]
        name = getattr(fn, "__name__", None) or whole.program.plan.names[piece.jobs[0]]
        key = name, whole.is_idempotent(piece), *whole.resources(piece).items()
        if key not in self._calls:
            self._calls[key] = _perform.options(name=name, **_options(whole, piece))
        return self._calls[key]

    def _came(self, number: int, report: Any, error: BaseException | None) -> None:
        whole, kind = self.whole, kind_of(error)
        if kind == SENT:
            for message in report[1]:
                whole.heard(message)
        else:
            fetched(self.values[number])  # nobody else will, and Ray logs what nobody sees
        if kind == LOST:
            self._lose(number)
        elif kind == REFUSED:
            first = whole.program.plan.names[whole.pieces[number].jobs[0]]
            whole.broke(f"{first!r}: {describe(error.cause)}")  # type: ignore[union-attr]

    def _lose(self, number: int) -> None:
        worker, began = self.out.whereabouts(number)
        if began is not None:
            news = [("began", self.whole.pieces[number].jobs[0], began)]
            sent = _parts.wall_clock()
            message = {"where": worker, "number": 0, "sent": sent, "news": pickle.dumps(news, 5)}
            self.whole.heard(message)
        self.whole.lost(number, worker)

    def heard(self, message: dict[str, Any]) -> None:
        """Tell the run what a worker has written on the board."""
        self.out.call(partial(self.whole.heard, message))

    def over(self) -> None:
        """Listen no more, and let go of what nobody can ask for."""
        self.out.close()
        self._reports.clear()
        self._pack = None
        for piece in self.whole.pieces:
            if not any(self.whole.has(i) for i in piece.kept):
                self.values[piece.number] = None


def _options(whole: Whole, piece: Piece) -> dict[str, Any]:
    options: dict[str, Any] = {}
    others = {}
    for what, amount in whole.resources(piece).items():
        if what in _OPTIONS:
            options[_OPTIONS[what]] = amount
        else:
            others[what] = amount
    if others:
        options["resources"] = others
    if whole.is_idempotent(piece):
        options["max_retries"] = _AGAIN
    return options


class Singles:
    """The single calls of a run or a group, as Ray has them."""

    def __init__(self, calls: Calls) -> None:
        self._pack = packed(calls.pack)
        self._door = threading.Lock()
        self._jobs: dict[int, tuple[list[int], Callable[[Any], None]]] = {}
        self.out = Out(self._came, place=calls.place)

    def send(self, number: int, batch: tuple[Any, ...], done: Callable[[Any], None]) -> int:
        """Send a batch; ``done`` gets what it gives, or an exception, unless it never began."""
        waits, made = batch
        self._jobs[number] = [call[0][0] for call in made], done
        name = made[0][0][1].partition("[")[0]
        self.out.add(number, _answer.options(name=name).remote(waits, made, self._pack))
        return number

    def _came(self, number: int, answer: Any, error: BaseException | None) -> None:
        _, done = self._jobs[number]
        kind = kind_of(error)
        if kind == LOST and self.out.stopped:
            done(Cancelled("its worker was stopped"))
        elif kind == LOST:
            done(JobCrashed("", self.out.whereabouts(number)[0]))
        elif kind == REFUSED:
            done(error.cause)  # type: ignore[union-attr]
        elif kind == SENT:
            done(answer)
        del self._jobs[number]

    def halt(self) -> list[int]:
        """Cancel all; return the jobs of what has not ended yet."""
        out = self.out.cancel()
        jobs = [self._jobs.get(number, ([], None))[0] for number in out]
        return [i for each in jobs for i in each]
