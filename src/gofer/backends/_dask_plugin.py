"""What Gofer adds to Dask's scheduler, and what Dask's workers call.

Dask runs again what a lost worker ran, or held the result of. A job must not be run twice unless it
says that it may be. So the plugin puts something else in its place: a piece that only gives
``Undone``. This uses what a ``TaskState`` has in distributed 2024.12 and later.
"""

from __future__ import annotations

import threading
from asyncio import get_running_loop
from contextlib import contextmanager

from dask._task_spec import Task
from distributed import get_worker
from distributed import threadpoolexecutor as pools
from distributed import worker as workers
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.worker_state_machine import SecedeEvent

from gofer import _parts
from gofer.backends import _answers, _site
from gofer.backends._far_errors import as_data
from gofer.backends._far_jobs import Undone
from gofer.backends._outlet import PLACE
from gofer.errors import JobCrashed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from gofer.backends._far_jobs import Errand
    from gofer.backends._pack import Pack

_MOMENT = 0.005  # seconds after which an async piece counts as one that waits

MARK = "gofer"
"""Third in each key of ours: ``(function-run, piece, MARK, whether it may run again)``."""


def topic_of(run: str) -> str:
    """Return where news of a run are published: one place for all runs of a client.

    Dask keeps what it knows of a topic, and a client its handler, for ever.
    """
    return f"gofer-{run.partition('.')[0]}"


def name_of(worker: Any) -> str:
    """Return what reports call a worker, or the scheduler's record of one."""
    name, address = str(worker.name), worker.address
    return address if name == address else f"{name} at {address}"


class Watch(SchedulerPlugin):  # type: ignore[misc]
    """Sees to it that nothing runs twice that must not, and tells of what was lost."""

    name = MARK
    idempotent = True

    def __init__(self) -> None:
        self.scheduler: Any = None
        self.on: dict[Any, tuple[str, str]] = {}  # key -> address and name of its worker

    async def start(self, scheduler: Any) -> None:
        """Keep the scheduler."""
        self.scheduler = scheduler

    def transition(
        self, key: Any, start: str, finish: str, *args: Any, stimulus_id: str = "", **kwargs: Any
    ) -> None:
        """See a piece go from one state to the next."""
        if type(key) is not tuple or len(key) != 4 or key[2] != MARK:
            return
        if finish == "processing":
            worker = self.scheduler.tasks[key].processing_on
            if worker is not None:
                self.on[key] = worker.address, name_of(worker)
        elif finish == "memory":  # another worker may have stolen it
            worker = self.scheduler.workers.get(kwargs.get("worker"))
            if worker is not None:
                self.on[key] = worker.address, name_of(worker)
        elif finish == "forgotten":
            self.on.pop(key, None)
        elif finish == "released" and start in ("processing", "memory"):
            if not key[3] and not stimulus_id.startswith("worker-closing"):
                self._give_up(key, start)
        elif finish == "erred" and kwargs.get("cause", key) == key:
            text = kwargs.get("exception_text")
            told = {"erred": text} if text else {}
            self._tell(key, {"lost": key[1], "worker": self._worker(key)[1], **told})

    def remove_worker(self, scheduler: Any, worker: str, **kwargs: Any) -> None:
        """Tell of what has a result elsewhere: the last news of it may have been lost.

        It comes after all news that came from there, so what is known already stays as it is.
        """
        for key, (address, name) in list(self.on.items()):
            task = scheduler.tasks.get(key)
            if address == worker and task is not None and task.state == "memory":
                self._tell(key, {"lost": key[1], "worker": name})

    def _worker(self, key: Any) -> tuple[str, str]:
        return self.on.get(key, ("", "?"))

    def _give_up(self, key: Any, start: str) -> None:
        task, (address, worker) = self.scheduler.tasks[key], self._worker(key)
        errand = task.run_spec.args[0]
        job = errand if isinstance(errand, str) else _job_of(errand, key)
        task.run_spec = Task(key, lost, job, worker)
        for each in task.dependencies:
            each.dependents.discard(task)
        task.dependencies.clear()
        task.resource_restrictions = {}
        is_wanted = start == "processing" and (task.who_wants or task.waiters)
        # Of what had ended, the last news may be lost with the worker.
        if is_wanted or address not in self.scheduler.workers:
            self._tell(key, {"lost": key[1], "worker": worker})

    def _tell(self, key: Any, message: dict[str, Any]) -> None:
        run = key[0].rpartition("-")[2]
        self.scheduler.log_event(topic_of(run), {**message, "run": run})


# On workers


def _job_of(errand: Any, key: Any) -> str:
    """Return the name of the last job of a piece, or what the key calls some calls."""
    jobs = getattr(errand, "jobs", None)
    return str(key[0].rpartition("-")[0] if jobs is None else jobs[-1][1])


def lost(job: str, worker: str) -> Undone:
    """Stand for a piece that was lost with its worker."""
    return Undone(as_data(JobCrashed(job, worker)))


def _site_here(pack: Pack) -> _site.Site:
    worker = get_worker()
    topic = topic_of(pack.run)

    def is_last() -> bool:
        state = worker.state
        return not state.ready and len(state.executing) <= 1

    def send(message: dict[str, Any]) -> None:
        worker.log_event(topic, {**message, "run": pack.run})

    return _site.site_of(pack, name_of(worker), send, is_last)


class _Place:
    """One of as many places as a worker has: what a piece takes from others while it runs.

    ``distributed.secede`` gives it away for its own thread only; a job with policies may wait in
    another one, and async jobs have none. So this is what it does, for any.
    """

    def __init__(self, key: Any) -> None:
        self._key, self._worker, self._start = key, get_worker(), _parts.clock()
        self._lock = threading.Lock()
        self._is_held = True

    def give_away(self) -> None:
        """Have the worker begin something else; what has the place goes on beside it."""
        with self._lock:
            if not self._is_held:
                return
            self._is_held = False
            worker = self._worker
            self._leave()
            event = SecedeEvent(
                key=self._key,
                compute_duration=_parts.clock() - self._start,
                stimulus_id=f"gofer-secede-{_parts.wall_clock()}",
            )
            worker.loop.add_callback(worker.handle_stimulus, event)

    def _leave(self) -> None:
        """Have no thread to give away."""

    def __enter__(self) -> None:
        self._before = PLACE.set(self)

    def __exit__(self, *_: object) -> None:
        PLACE.reset(self._before)
        with self._lock:  # what a timeout has left behind has no place to give away
            self._is_held = False


class _Thread(_Place):
    """A thread of a worker's pool, in which this is made. It ends with what it does."""

    def __init__(self) -> None:
        super().__init__(workers.thread_state.key)
        self._thread, self._of_thread = threading.current_thread(), vars(pools.thread_state)
        self._is_held = self._of_thread.get("proceed", False)  # of Dask's own kind of pool

    def _leave(self) -> None:
        self._of_thread["proceed"] = False
        executor = self._of_thread["executor"]
        with pools.threads_lock:
            executor._threads.discard(self._thread)
            executor._adjust_thread_count()


@contextmanager
def _aside(key: Any) -> Iterator[None]:
    """Let async jobs be as many as they want: after a moment, as it costs a message to each."""
    place = _Place(key)
    with place:
        later = get_running_loop().call_later(_MOMENT, place.give_away)
        try:
            yield
        finally:
            later.cancel()


def perform(errand: Errand, pack: Pack, sources: int, *given: Any) -> Any:
    """Do a piece of plain jobs.

    Args:
        errand: What to do.
        pack: What its run says.
        sources: How many of what follows are results; the rest are tokens.
        given: They.
    """
    with _Thread():
        return _site.perform(_site_here(pack), errand, given[:sources], given[sources:])


async def aperform(errand: Errand, pack: Pack, key: Any, sources: int, *given: Any) -> Any:
    """Do a piece of async jobs, on the worker's own loop."""
    with _aside(key):
        return await _site.aperform(_site_here(pack), errand, given[:sources], given[sources:])


def answer(batch: tuple[Any, ...], pack: Pack) -> Any:
    """Make plain calls."""
    with _Thread():
        return _answers.answer(_site_here(pack), batch)


async def aanswer(batch: tuple[Any, ...], pack: Pack, name: str, number: int) -> Any:
    """Make async calls, on the worker's own loop."""
    with _aside((name, number, MARK, 0)):
        return await _answers.aanswer(_site_here(pack), batch)


def token(given: Any) -> Undone | None:
    """Stand for a piece where it only has to come first."""
    return _site.token(given)


def ended(given: Any) -> None:
    """Stand for a piece that only has to have ended."""


def standing(run: str, dask_worker: Any) -> tuple[str, int, list[int]]:
    """Stop a run on this worker."""
    return _site.standing(run, name_of(dask_worker))


async def forget(run: str, dask_worker: Any) -> None:
    """Forget a run on this worker."""
    _site.forget(run, name_of(dask_worker))


def clock(dask_worker: Any) -> tuple[str, int]:
    """Return this worker's name and clock."""
    return name_of(dask_worker), _parts.wall_clock()
