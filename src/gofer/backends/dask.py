"""Dask: a run's graph goes there in one message, and results stay there until asked for."""

from __future__ import annotations

import atexit
import threading
from weakref import WeakValueDictionary
from zlib import crc32

from gofer import _parts
from gofer._core.states import RUNNING
from gofer.backends._cluster import Whole
from gofer.backends._clustered import Clustered
from gofer.errors import BackendError

try:
    import dask
    from dask._task_spec import Task, TaskRef
    from distributed import Client, LocalCluster

    from gofer.backends import _dask_plugin as far
except ImportError as error:
    raise BackendError("the Dask backend needs Dask: pip install 'gofer[dask]'") from error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gofer.backends._calls_away import Calls
    from gofer.backends._pieces import Piece

_A_WHILE = 5.0  # seconds after which the cluster may have another size
_SMALL = 4096  # bytes of a pack that goes with each piece; a larger one is scattered once


class DaskBackend(Clustered):
    """Runs jobs on a Dask cluster; give it as ``backend=`` to a manager, a group or a map.

    Args:
        client_or_address: A ``distributed.Client``, or a scheduler's address. None starts a cluster
            in this process when it is first needed: threads that behave like a cluster's workers.

    Thread safety: may serve many runs at the same time.

    Example:
        >>> from gofer import JobManager, job
        >>> @job
        ... def number():
        ...     return 20
        >>> @job
        ... def double(*, number):
        ...     return 2 * number
        >>> with DaskBackend() as cluster:
        ...     run = JobManager([number, double]).execute(backend=cluster)
        ...     run["double"]
        40
    """

    name = "Dask"
    ends_workers = False

    def __init__(self, client_or_address: Any = None) -> None:
        if isinstance(client_or_address, Client) and client_or_address.asynchronous:
            raise BackendError(
                "an asynchronous Client serves one loop only; "
                "write: DaskBackend(client.scheduler.address)"
            )
        self._given = client_or_address
        self._client: Any = client_or_address if isinstance(client_or_address, Client) else None
        self._cluster: Any = None
        self._ahead: dict[str, int] | None = None
        self._mark = ""  # of the client, in the name of each run
        self._runs: WeakValueDictionary[str, Whole] = WeakValueDictionary()
        self._width = 1, 0.0  # and when to look again
        self._is_closed = False
        self._lock = threading.Lock()

    @property
    def client(self) -> Any:
        """The client; it is made, and a cluster started, when it is first needed."""
        with self._lock:
            if self._is_closed:
                raise BackendError("this DaskBackend has been closed; make another")
            if self._client is None:
                self._client = self._connect()
            if self._ahead is None:
                self._mark = f"{crc32(self._client.id.encode()):x}"
                self._client.register_plugin(far.Watch())
                self._client.subscribe_topic(far.topic_of(self._mark), self._heard)
                self._ahead = self._look_at_clocks()
            return self._client

    def _connect(self) -> Any:
        address = self._given
        if address is None:
            # A dashboard_address of None would open a well-known port.
            self._cluster = LocalCluster(
                processes=False, n_workers=1, dashboard_address="127.0.0.1:0"
            )
            address = self._cluster.scheduler_address
            atexit.register(self.close)
        return Client(address, set_as_default=False)

    def _look_at_clocks(self) -> dict[str, int]:
        """Return how far each worker's clock is ahead, as far as that can be told."""
        before = _parts.wall_clock()
        told = self._client.run(far.clock, on_error="ignore")
        after = _parts.wall_clock()
        middle, doubt = (before + after) // 2, after - before
        ahead = {worker: at - middle for worker, at in told.values()}
        return {worker: by for worker, by in ahead.items() if abs(by) > doubt}

    def close(self) -> None:
        """Close what this object has opened; runs' results that were not fetched are lost."""
        with self._lock:
            self._is_closed = True
            if self._client is not None and self._client is not self._given:
                self._client.close()
                self._client = self._ahead = None
            if self._cluster is not None:
                self._cluster.close()
                self._cluster = None
                atexit.unregister(self.close)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return _arrived, (self.client.scheduler.address,)

    def __repr__(self) -> str:
        given = self._given if self._given is None or isinstance(self._given, str) else "client"
        return f"<DaskBackend {given or 'in this process'}>"

    @property
    def width(self) -> int:
        """How many jobs the cluster runs at once, as it was a moment ago."""
        client, now = self.client, _parts.clock()
        if now >= self._width[1]:
            self._width = max(1, sum(client.nthreads().values())), now + _A_WHILE
        return self._width[0]

    # What a run needs of it; see ``_cluster.Engine``

    def launch(self, whole: Whole) -> None:
        """Send the graph."""
        client = self.client
        pack: Any = whole.pack
        pack.clocks = self._ahead
        pack.run = f"{self._mark}.{pack.run}"
        self._runs[pack.run] = whole
        if pack.size > _SMALL:
            pack = client.scatter(pack, broadcast=True, hash=False)
        keys = [_key(whole, piece) for piece in whole.pieces]
        graph: dict[Any, Any] = {}
        for piece, key in zip(whole.pieces, keys, strict=True):
            refs = [TaskRef(keys[number]) for number in piece.sources]
            refs += [_token(graph, keys[number], far.token) for number in piece.after]
            if piece.behind is not None:
                refs.append(_token(graph, keys[piece.behind], far.ended))
            told = [whole.errands[piece.number], pack if pack is whole.pack else TaskRef(pack.key)]
            perform: Any = far.perform
            if whole.is_async(piece):
                perform = far.aperform
                told.append(key)
            graph[key] = Task(key, perform, *told, len(piece.sources), *refs)
        wanted = [keys[piece.number] for piece in whole.pieces]
        with dask.annotate(**_annotations(whole, keys)):
            futures = client.get(graph, wanted, sync=False)
        whole.held = dict(zip(wanted, futures, strict=True)), keys, pack

    def look(self, whole: Whole) -> None:
        """Raise if the scheduler is gone."""
        if self.client.status != "running":
            raise BackendError(f"the connection to Dask's scheduler is {self.client.status}")

    def stop(self, whole: Whole) -> list[tuple[str, int, list[int]]]:
        """Stop what can be stopped, and ask the workers."""
        self.look(whole)
        told = self.halt(whole.pack.run)
        states = whole.execution.core.states
        busy = {i for _, _, jobs in told for i in jobs}
        futures, keys, _ = whole.held
        idle = [
            futures[keys[piece.number]]
            for piece in whole.pieces
            if states[piece.jobs[-1]] <= RUNNING and not busy.intersection(piece.jobs)
        ]
        self.take_back(idle)
        return told

    def fetch(self, whole: Whole, wanted: list[tuple[int, int]]) -> list[Any]:
        """Fetch results."""
        futures, keys, _ = whole.held
        asked = [
            futures[keys[number]]
            if place < 0
            else self.client.submit(_item, futures[keys[number]], place, pure=False)
            for number, place in wanted
        ]
        return self.client.gather(asked)  # type: ignore[no-any-return]

    def send(
        self, calls: Calls, number: int, batch: tuple[Any, ...], done: Callable[[Any], None]
    ) -> Any:
        """Have a worker make some calls."""
        client = self.client
        if calls.held is None:
            calls.held = calls.pack
            calls.pack.clocks = self._ahead or {}
            calls.pack.run = f"{self._mark}.{calls.pack.run}"
            if calls.pack.size > _SMALL:
                calls.held = client.scatter(calls.pack, broadcast=True, hash=False)
        waits, made = batch
        key = f"{made[0][0][1].partition('[')[0]}-{calls.pack.run}", number, far.MARK, 0
        answer, more = (far.aanswer, key[:2]) if waits else (far.answer, ())
        future = client.submit(answer, made, calls.held, *more, key=key, pure=False)

        def ended(future: Any) -> None:
            if future.status == "finished":
                done(future.result())
            elif future.status == "error":
                done(future.exception())
            else:
                done(BackendError(f"Dask gave it up: its future is {future.status}"))

        future.add_done_callback(ended)
        return future

    def halt(self, run: str) -> list[tuple[str, int, list[int]]]:
        """Stop a run on all workers."""
        told = self.client.run(far.standing, run, on_error="ignore")
        return list(told.values())

    def take_back(self, sent: list[Any]) -> None:
        """Cancel what has not begun."""
        if sent:
            self.client.cancel(sent, force=True)

    def forget(self, run: str) -> None:
        """Let the workers forget a run."""
        client = self._client
        try:
            if client is not None and client.status == "running":
                client.run(far.forget, run, on_error="ignore", wait=False)
        except Exception:  # it is being closed; and workers forget what is idle by themselves
            return

    def _heard(self, event: tuple[float, dict[str, Any]]) -> None:
        """Take news, in the client's thread."""
        message = event[1]
        whole = self._runs.get(message["run"])
        if whole is None:
            return
        if "news" in message:
            whole.heard(message)
        elif "erred" in message:
            whole.broke(message["erred"])
        else:
            whole.lost(message["lost"], message["worker"])

    def over(self, whole: Whole) -> None:
        """Listen no more, and let the workers forget the run."""
        self._runs.pop(whole.pack.run, None)
        self.forget(whole.pack.run)


_here: dict[str, DaskBackend] = {}  # for jobs that bring one along: one client for all of them


def _arrived(address: str) -> DaskBackend:
    return _here.setdefault(address, DaskBackend(address))


def _item(given: list[Any], place: int) -> Any:
    return given[place]


def _key(whole: Whole, piece: Piece) -> tuple[Any, ...]:
    fn = whole.program.fns[piece.jobs[0]]
    name = getattr(fn, "__name__", None) or whole.program.plan.names[piece.jobs[0]]
    run = whole.pack.run
    return f"{name}-{run}", piece.number, far.MARK, int(whole.is_idempotent(piece))


def _token(graph: dict[Any, Any], key: tuple[Any, ...], stands: Any) -> TaskRef:
    """Return a reference to what stands for a piece without its results: it is small."""
    name = (f"{stands.__name__}-{key[0]}", key[1])
    if name not in graph:
        graph[name] = Task(name, stands, TaskRef(key))
    return TaskRef(name)


class _Of:
    """An annotation that is another for each key."""

    def __init__(self, values: dict[Any, Any], rest: Any) -> None:
        self.values, self.rest = values, rest

    def __call__(self, key: Any) -> Any:
        return self.values.get(key, self.rest)


def _annotations(whole: Whole, keys: list[tuple[Any, ...]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, of, rest in (("resources", whole.resources, {}), ("priority", whole.priority, 0)):
        values = {keys[p.number]: of(p) for p in whole.pieces if of(p)}
        if values:
            found[name] = _Of(values, rest)
    return found
