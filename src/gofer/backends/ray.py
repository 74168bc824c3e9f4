"""Ray: each piece of a run is a call of one remote function; results stay in the object store."""

from __future__ import annotations

import os
import threading
from collections import Counter

from gofer import _parts
from gofer.backends._cluster import Whole
from gofer.backends._clustered import Clustered
from gofer.backends._far_jobs import Undone
from gofer.errors import BackendError, describe

try:
    import ray
except ImportError as error:
    raise BackendError("the Ray backend needs Ray: pip install 'gofer[ray]'") from error

from ray.exceptions import RayError

from gofer.backends import _ray_inside, _ray_worker
from gofer.backends._ray_board import Reader
from gofer.backends._ray_calls import Graph, Singles, fetched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gofer.backends._calls_away import Calls

_A_WHILE = 5.0  # seconds after which the cluster may have another size

_SYSTEM = {"task_events_report_interval_ms": 100}  # so that it is soon known who was lost

_item = ray.remote(_ray_worker.item)
_starting = threading.Lock()


class RayBackend(Clustered):
    """Runs jobs on a Ray cluster; give it as ``backend=`` to a manager, a group or a map.

    Args:
        address: The cluster's, as ``ray.init`` takes it. None means the one to which this process
            is connected, or a new one on this machine, which ends with the process.
        options: What else ``ray.init`` takes, such as ``num_cpus=2``.

    Raises:
        BackendError: On first use: there is no cluster to be had.

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
    ends_workers = True

    def __init__(self, address: str | None = None, **options: Any) -> None:
        self.address, self._options = address, options
        self._is_ours = False
        self._width = 1, 0.0  # and when to look again
        self._singles: dict[str, Singles] = {}
        self._hearing: dict[str, Callable[[dict[str, Any]], object]] = {}
        self._board_name = f"gofer-{_parts.wall_clock():x}-{id(self):x}"
        self._board: Reader | None = None

    def connect(self) -> None:
        """Connect to the cluster, or start it; it is done when first needed, and takes seconds.

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
                options.setdefault("_system_config", _SYSTEM)
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
                self._is_ours, self._board = False, None
                ray.shutdown()

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return _arrived, ()

    def __repr__(self) -> str:
        return f"<RayBackend {self.address or 'on this machine'}>"

    # What a run needs of it; see ``_cluster.Engine``

    def launch(self, whole: Whole) -> None:
        """Send the graph, as much of it as the run's limit lets through."""
        self.connect()
        if self.address is None:
            _refuse_the_impossible(whole)
        whole.held = Graph(whole, self._board_name)
        self._hearing[whole.pack.run] = whole.held.heard
        whole.held.send()

    def look(self, whole: Whole) -> None:
        """Raise if this process is not connected any more; see that what takes long is seen."""
        if not ray.is_initialized():
            raise BackendError("the connection to Ray was closed")
        # A worker with a board owns an actor, so Ray would never end it: see `_ray_inside.leave`.
        if whole.held is not None and self._board is None and whole.place is None:
            self._board = Reader(self._board_name, self._hearing)

    def stop(self, whole: Whole) -> list[tuple[str, int, list[int]]]:
        """Cancel what is out, after a while by force, and say what it is."""
        self.look(whole)
        out = whole.held.out.cancel()
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
            got = [fetched(ref) for ref in once]
        found = dict(zip(once, got, strict=True))
        return [
            found[ref] if place < 0 or type(found[ref]) is Undone else found[ref][place]
            for ref, place in zip(refs, places, strict=True)
        ]

    def over(self, whole: Whole) -> None:
        """Listen no more, and let go of what nobody can ask for."""
        self._hearing.pop(whole.pack.run, None)
        whole.held.over()

    # What a group needs of it; see ``_calls_away.Sender``

    @property
    def width(self) -> int:
        """How many jobs the cluster runs at once, as it was a moment ago."""
        self.connect()
        now = _parts.clock()
        if now >= self._width[1]:
            self._width = max(1, int(ray.cluster_resources().get("CPU", 1))), now + _A_WHILE
        return self._width[0]

    def send(
        self, calls: Calls, number: int, batch: tuple[Any, ...], done: Callable[[Any], None]
    ) -> Any:
        """Have a worker make some calls."""
        if calls.held is None:
            calls.held = self._singles[calls.pack.run] = Singles(calls)
        return calls.held.send(number, batch, done)

    def halt(self, run: str) -> list[tuple[str, int, list[int]]]:
        """Cancel a group's calls, after a while by force, and say which are out."""
        return [("", 0, self._singles[run].halt())]

    def take_back(self, sent: list[Any]) -> None:
        """Do nothing: what has not begun was cancelled with the rest."""

    def forget(self, run: str) -> None:
        """Listen no more to a group's calls."""
        self._singles.pop(run).out.close()


_here: list[RayBackend] = []  # for jobs that bring one along


def _arrived() -> RayBackend:
    if not _here:
        _here.append(RayBackend())
    return _here[0]


def _refuse_the_impossible(whole: Whole) -> None:
    """Refuse a job that would wait for ever: a cluster on this machine does not grow.

    Raises:
        BackendError: One wants more than there is.
    """
    there = ray.cluster_resources()
    for piece in whole.pieces:
        for what, amount in whole.resources(piece).items():
            if amount > there.get(what, 0.0):
                name, most = whole.program.plan.names[piece.jobs[0]], there.get(what, 0.0)
                raise BackendError(
                    f"job {name!r} wants {amount:g} of {what!r}, and Ray has {most:g} of it; "
                    f"write: RayBackend(resources={{{what!r}: ...}})"
                )
