"""Ray: each piece of a run is a call of one remote function; results stay in the object store."""

from __future__ import annotations

import os
import pickle
import threading
from collections import Counter
from functools import partial
from queue import SimpleQueue

from gofer import _parts
from gofer.backends._cluster import Whole
from gofer.backends._far_errors import as_data
from gofer.backends._far_jobs import Undone
from gofer.backends._helpers import helpers
from gofer.errors import BackendError, JobCrashed, describe

try:
    import ray
except ImportError as error:
    raise BackendError("the Ray backend needs Ray: pip install 'gofer[ray]'") from error

from ray.exceptions import ObjectLostError, RayError, RayTaskError, TaskCancelledError

from gofer.backends import _ray_inside, _ray_worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self

    from gofer.backends._execution import Execution
    from gofer.backends._pieces import Piece

_SMALL = 1 << 14  # bytes of a pack that goes with each piece; a larger one goes to the store once
_GRACE = 1.0  # seconds that a cancelled job has to end by itself, before its worker is killed
_NAMING = 3.0  # seconds in which Ray may tell which worker it has lost
_AGAIN = 3  # how often a job is run again that may be, when its worker was lost

_OPTIONS = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}

_perform = ray.remote(num_returns=2, max_retries=0, max_calls=_ray_inside.CALLS)(
    _ray_worker.perform
)
_item = ray.remote(_ray_worker.item)
_starting = threading.Lock()


class RayBackend:
    """Runs jobs on a Ray cluster; give it as ``backend=`` to a manager, a group or a map.

    Args:
        address: The cluster's, as ``ray.init`` takes it. None means the one to which this process
            is connected, or a new one on this machine, which ends with the process.
        options: What else ``ray.init`` takes, such as ``num_cpus=2``.

    Raises:
        BackendError: Ray is not installed, or this process is connected to another cluster.

    Thread safety: may serve many runs at the same time.

    Example:
        >>> from gofer import JobManager, job
        >>> @job
        ... def number():
        ...     return 20
        >>> @job
        ... def double(*, number):
        ...     return 2 * number
        >>> with RayBackend(num_cpus=1) as cluster:  # doctest: +SKIP
        ...     run = JobManager([number, double]).execute(backend=cluster)
        ...     run["double"]
        40
    """

    name = "Ray"
    whole = True
    ends_workers = True

    def __init__(self, address: str | None = None, **options: Any) -> None:
        self.address, self._options = address, options
        self._is_ours = False

    def connect(self) -> None:
        """Connect to the cluster, or start it; it is done when first needed.

        Raises:
            BackendError: That cannot be.
        """
        with _starting:
            if ray.is_initialized():
                return
            options = {"log_to_driver": False, "logging_level": "ERROR", **self._options}
            if self.address is None:
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
                options = {"address": "local", "include_dashboard": False, **options}
                options.setdefault("_system_config", {"task_events_report_interval_ms": 100})
            else:
                options["address"] = self.address
            try:
                ray.init(**options)
            except (RayError, ConnectionError, RuntimeError, ValueError) as error:
                where = "here" if self.address is None else f"at {self.address}"
                raise BackendError(f"there is no Ray {where}: {describe(error)}") from error
            self._is_ours = True
            if not options["log_to_driver"]:
                _ray_inside.be_quiet()

    def close(self) -> None:
        """Leave the cluster if this object has connected to it; one that it started ends.

        Runs' results that were not fetched are lost.
        """
        with _starting:
            if self._is_ours:
                self._is_ours = False
                ray.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<RayBackend {self.address or 'on this machine'}>"

    def port(self, execution: Execution) -> Any:
        """Serve a run."""
        return Whole(self, execution)  # type: ignore[arg-type]

    # What a run needs of it; see ``_cluster.Engine``

    def launch(self, whole: Whole) -> None:
        """Send the graph, as much of it as the run's limit lets through."""
        self.connect()
        if self.address is None:
            _refuse_the_impossible(whole)
        held = whole.held = _Held(whole)
        helpers.lend(self.name, partial(held.listen, whole))
        held.send(whole)

    def look(self, whole: Whole) -> None:
        """Raise if this process is not connected any more."""
        if not ray.is_initialized():
            raise BackendError("the connection to Ray was closed")

    def stop(self, whole: Whole) -> list[tuple[str, int, list[int]]]:
        """Cancel what is out, after a while by force, and say what it is."""
        self.look(whole)
        out = whole.held.cancel()
        return [("", 0, [i for number in out for i in whole.pieces[number].jobs])]

    def fetch(self, whole: Whole, wanted: list[tuple[int, int]]) -> list[Any]:
        """Fetch results."""
        values = whole.held.values
        asked = Counter(number for number, _ in wanted)
        refs = []
        places = []
        for number, place in wanted:
            alone = place >= 0 and asked[number] == 1  # the others' bytes stay where they are
            refs.append(_item.remote(values[number], place) if alone else values[number])
            places.append(-1 if alone else place)
        once = list(dict.fromkeys(refs))
        try:
            got = ray.get(once)
        except RayError:
            got = [_fetched(ref) for ref in once]
        found = dict(zip(once, got, strict=True))
        return [
            found[ref] if place < 0 or type(found[ref]) is Undone else found[ref][place]
            for ref, place in zip(refs, places, strict=True)
        ]

    def over(self, whole: Whole) -> None:
        """Listen no more, and let go of what nobody can ask for."""
        whole.held.over(whole)


class _Held:
    """What Ray has of one run, as references: calls that are out, and results.

    Attributes:
        values: For each piece, what it gives, or will; None before it is sent, or if nobody asks.
    """

    def __init__(self, whole: Whole) -> None:
        pack = whole.pack
        self._pack = ray.put(pack) if pack.size > _SMALL else pickle.dumps(pack, 5)
        self.values: list[Any] = [None] * len(whole.pieces)
        self._reports: list[Any] = [None] * len(whole.pieces)
        self._arrived: SimpleQueue[Any] = SimpleQueue()
        self._lock = threading.Lock()
        self._out: dict[int, bool] = {}  # number -> whether its worker is killed; in order
        self._next = 0
        self._calls: dict[Any, Any] = {}
        self._most = whole.program.limit or len(whole.pieces)
        self._stopped_at: float | None = None

    def send(self, whole: Whole) -> None:
        """Send as many pieces as may be out. What they need has always been sent before."""
        with self._lock:
            while self._next < len(whole.pieces) and len(self._out) < self._most:
                if self._stopped_at is not None:
                    return
                number = self._next
                self._send(whole, whole.pieces[number])
                self._next = number + 1

    def _send(self, whole: Whole, piece: Piece) -> None:
        errand = pickle.dumps((whole.is_async(piece), whole.errands[piece.number]), 5)
        given = [self.values[number] for number in piece.sources]
        given += [self._reports[number] for number in piece.after]
        value, report = self._call(whole, piece).remote(
            errand, self._pack, len(piece.sources), *given
        )
        self.values[piece.number], self._reports[piece.number] = value, report
        self._out[piece.number] = False
        arrive = partial(self._arrive, piece.number)
        report.future().add_done_callback(arrive)

    def _call(self, whole: Whole, piece: Piece) -> Any:
        """Return the remote function with the options of a piece; most have the same."""
        fn = whole.program.fns[piece.jobs[0]]
        name = getattr(fn, "__name__", None) or whole.program.plan.names[piece.jobs[0]]
        key = name, whole.is_idempotent(piece), *whole.resources(piece).items()
        call = self._calls.get(key)
        if call is None:
            call = self._calls[key] = _perform.options(name=name, **_options(whole, piece))
        return call

    def _arrive(self, number: int, future: Any) -> None:
        # In a thread of Ray's, which must not be held up.
        self._arrived.put((number, future))

    def listen(self, whole: Whole) -> None:
        """Tell the run what comes back, until it is over; in a thread of its own."""
        while True:
            arrived = self._arrived.get()
            if arrived is None:
                return
            number, future = arrived
            error = future.exception()
            if error is None:
                for message in future.result()[1]:
                    whole.heard(message)
            else:
                self._failed(whole, number, error)
            with self._lock:
                del self._out[number]
            try:
                self.send(whole)
            except Exception as problem:
                whole.broke(describe(problem))
            del arrived, future, error

    def _failed(self, whole: Whole, number: int, error: BaseException) -> None:
        """Note that there is no report of a piece."""
        forced = self._out[number]
        _fetched(self.values[number])  # nobody will, and Ray logs errors that nobody sees
        if isinstance(error, TaskCancelledError) and not forced:
            return  # before it began
        if isinstance(error, RayTaskError) and not isinstance(error, (ObjectLostError, *_GONE)):
            first = whole.program.plan.names[whole.pieces[number].jobs[0]]
            whole.broke(f"{first!r}: {describe(error.cause)}")
            return
        if isinstance(error, RayTaskError) and not isinstance(error, ObjectLostError):
            return  # what it needs was lost, and those who need that never begin
        self._lose(whole, number, wait=not forced)

    def _lose(self, whole: Whole, number: int, *, wait: bool) -> None:
        until = _parts.clock() + (_NAMING if wait else 0.0)
        gate = threading.Event()
        worker, began = _ray_inside.whereabouts(self._reports[number])
        while worker is None and _parts.clock() < until:
            gate.wait(0.05)
            worker, began = _ray_inside.whereabouts(self._reports[number])
        worker = worker or "a worker of Ray's"
        if began is not None:
            whole.heard(_message(worker, ("began", whole.pieces[number].jobs[0], began)))
        whole.lost(number, worker)

    def cancel(self) -> list[int]:
        """Cancel what is out; return the numbers of these pieces."""
        with self._lock:
            now = _parts.clock()
            first = self._stopped_at is None
            self._stopped_at = now if self._stopped_at is None else self._stopped_at
            late = now >= self._stopped_at + _GRACE
            out = list(self._out)
            refs = [self._reports[number] for number in out if first or not self._out[number]]
            if late:
                self._out.update(dict.fromkeys(out, True))
        if first or late:
            for ref in refs:
                ray.cancel(ref, force=late)
        return out

    def over(self, whole: Whole) -> None:
        """Note that the run is over: reports are of no use any more, nor are some results."""
        self._arrived.put(None)
        self._reports.clear()
        self._pack = None
        for piece in whole.pieces:
            if not any(whole.has(i) for i in piece.kept):
                self.values[piece.number] = None


_GONE = (
    TaskCancelledError,
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.LocalRayletDiedError,
    ray.exceptions.OutOfMemoryError,
)


def _message(worker: str, news: tuple[Any, ...]) -> dict[str, Any]:
    sent = _parts.wall_clock()
    return {"worker": worker, "number": 0, "sent": sent, "news": pickle.dumps([news], 5)}


def _fetched(ref: Any) -> Any:
    try:
        return ray.get(ref)
    except RayError:
        return Undone()


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


def _refuse_the_impossible(whole: Whole) -> None:
    """Refuse a job that would wait for ever: a cluster on this machine does not grow.

    Raises:
        BackendError: One wants more than there is.
    """
    there = ray.cluster_resources()
    for piece in whole.pieces:
        for what, amount in whole.resources(piece).items():
            if amount > there.get(what, 0.0):
                name = whole.program.plan.names[piece.jobs[0]]
                raise BackendError(
                    f"job {name!r} wants {amount:g} of {what!r}, and Ray has "
                    f"{there.get(what, 0.0):g} of it; write: RayBackend(resources={{{what!r}: ...}})"
                )
