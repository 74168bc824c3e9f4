"""What happens on a cluster's worker: the jobs of a piece run here, and news of them go out.

A ``Site`` is what one worker knows of one run. It outlives its pieces a little, for the next ones.
News are small tuples, several in one message:

    ("began", job, at)
    ("ended", job, state, start, end, error, story, late)
    ("undone", job, error)      it did not begin: what it needs is lost, or its run was stopped

Times are nanoseconds on this machine's wall clock; errors are data, see ``_far_errors``; a story is
``(attempts, fell back, left behind)``; ``late`` says that the run's own deadline had passed here.
"""

from __future__ import annotations

import pickle
import threading
from collections import deque
from contextvars import copy_context
from functools import partial

from gofer import _parts
from gofer._context import _CURRENT, Context
from gofer._core.states import CANCELLED, FAILED, NAMES, SUCCEEDED
from gofer._timer import timer
from gofer.backends._copies import Copy
from gofer.backends._execution import is_cancellation
from gofer.backends._far_errors import as_data
from gofer.backends._far_jobs import FarJob, Undone, check
from gofer.backends._frames import ENGINE, strip
from gofer.errors import DeadlineExceeded, ParamIsCopy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextvars import Context as Variables
    from contextvars import ContextVar
    from typing import Any

    from gofer.backends._far_jobs import Errand
    from gofer.backends._pack import Pack

_SOON = 0.01  # seconds that news may wait for more
_IDLE = 10.0  # seconds after which a site that does nothing may be forgotten
_RECENT = 10_000  # jobs that have begun which a quiet run's site remembers
_ENOUGH = 4  # sites that are not looked at for that


class Site:
    """One run on one worker.

    Thread safety: all methods may be called from any thread.

    Attributes:
        worker: What reports and errors call the worker.
        ctx: The context of its jobs.
        running: The jobs that have begun here and not ended.
        heard: How many messages have been sent.
        stopped: Whether nothing may begin any more.
    """

    def __init__(
        self,
        pack: Pack,
        worker: str,
        send: Callable[[dict[str, Any]], object],
        is_last: Callable[[], bool],
    ) -> None:
        self.worker, self._send, self._is_last = worker, send, is_last
        self._param, self._quiet, self._carried = pack.param, pack.quiet, pack.carried
        self._copies: list[Copy] = []
        values, variables = pack.variables.open() if pack.variables.data else ({}, [])
        left = pack.left
        if left is not None:
            gone = _parts.wall_clock() - pack.clocks.get(worker, 0) - pack.sent
            left -= max(0.0, gone / 1e9)
        self.ctx = Context(left, values=values)
        self._variables = [(_CURRENT, self.ctx), *_found(variables)]
        self.lock = threading.Lock()
        self.running: set[int] = set()
        self._recent: deque[int] = deque(maxlen=_RECENT)  # what has begun, where nobody listens
        self.pieces = 0
        self.heard = 0
        self.stopped = False
        self.used_at = self._sent_at = _parts.clock()
        self._news: list[tuple[Any, ...]] = []
        self._waits = False

    def begin(self, i: int, at: int) -> bool:
        """Note that a job begins; return whether it may."""
        with self.lock:
            if self.stopped:
                return False
            if self._quiet:
                self._recent.append(i)
                return True
            self.running.add(i)
            self._news.append(("began", i, at))
        self._tell()
        return True

    def end(self, i: int, news: tuple[Any, ...]) -> None:
        """Note what became of a job."""
        with self.lock:
            self.running.discard(i)
            self._news.append(news)

    def enter(self, by: int) -> None:
        """Note that a piece begins (1) or has ended (-1)."""
        with self.lock:
            self.pieces += by
            self.used_at = _parts.clock()
            last = by < 0 and not self.pieces
        if by < 0:
            self._tell(now=last and self._is_last())

    def _tell(self, *, now: bool = False) -> None:
        """Send the news, unless some were sent just now and more will come."""
        with self.lock:
            if not self._news:
                return
            at = _parts.clock()
            wait = not now and at < self._sent_at + _SOON
            if wait:
                later, self._waits = not self._waits, True
            else:
                self._flush(at)
                return
        if later:
            timer.add(at + _SOON, self._tell_late)

    def _tell_late(self) -> None:
        with self.lock:
            self._waits = False
            if self._news:
                self._flush(_parts.clock())

    def _flush(self, at: float) -> None:
        """Send all news. The lock is held, so that messages go out in the order of their number."""
        news, self._news = self._news, []
        self._sent_at = at
        self.heard += 1
        # Not "worker": under that key Dask's scheduler puts an address, which is not what
        # `standing` calls this one.
        message = {"where": self.worker, "number": self.heard, "sent": _parts.wall_clock()}
        self._send({**message, "news": pickle.dumps(news, 5)})

    def standing(self) -> tuple[str, int, list[int]]:
        """Let nothing begin any more, and cancel what runs.

        Returns:
            The worker's name, how many messages it has sent, and what still runs; for a run that
            is quiet, what has begun of late, as its end may be on the way.
        """
        with self.lock:
            self.stopped = True
            if self._news:
                self._flush(_parts.clock())
            told = self.worker, self.heard, sorted({*self.running, *self._recent})
        self.ctx.cancel("its run was stopped")
        return told

    def variables(self) -> Variables:
        """Return the context variables for a job: the engine's, and those of its caller."""
        copied = copy_context()
        copied.run(self._set)
        return copied

    def _set(self) -> None:
        for variable, value in self._variables:
            variable.set(value)
        if self._carried:
            from gofer.observers._carry import unpack

            unpack(self._carried)

    def lend(self, job: str) -> tuple[Copy | None, Any]:
        """Return the param for a job, and whose copy it is, for ``take_back``."""
        if self._param is None:
            return None, None
        with self.lock:
            copy = self._copies.pop() if self._copies else None
        if copy is None:
            copy = Copy(self._param.open())
        copy.job = job
        return copy, copy.lend()

    def take_back(self, copy: Copy | None) -> None:
        """Look whether a job has written to the param.

        Raises:
            ParamIsCopy: It has.
        """
        if copy is not None:
            written = copy.take_back()
            if written is not None:
                raise ParamIsCopy(copy.job, written)
            with self.lock:
                self._copies.append(copy)


def _found(variables: list[tuple[str, str, Any]]) -> Iterator[tuple[ContextVar[Any], Any]]:
    for module, name, value in variables:
        try:
            yield getattr(__import__(module, fromlist=["_"]), name), value
        except (ImportError, AttributeError):  # this worker's jobs may never ask for it
            continue


_sites: dict[tuple[str, str], Site] = {}
_halted: dict[tuple[str, str], None] = {}  # what was stopped here of late, the newest last
_door = threading.Lock()


def site_of(
    pack: Pack,
    worker: str,
    send: Callable[[dict[str, Any]], object],
    is_last: Callable[[], bool] = lambda: True,
) -> Site:
    """Return what a worker knows of a run; the first piece of it brings it.

    Args:
        pack: What the run says.
        worker: Which worker this is; there may be several in one process.
        send: Sends a message to the run, in order.
        is_last: Whether this worker has nothing else to do now, so that news should not wait.
    """
    with _door:
        site = _sites.get((pack.run, worker))
        if site is None:
            _forget_idle()
            site = _sites[pack.run, worker] = Site(pack, worker, send, is_last)
            site.stopped = (pack.run, worker) in _halted  # this piece was on its way meanwhile
        return site


def _forget_idle() -> None:
    if len(_sites) >= _ENOUGH:
        before = _parts.clock() - _IDLE
        for key, site in list(_sites.items()):
            if not site.pieces and site.used_at < before:
                del _sites[key]


def standing(run: str, worker: str) -> tuple[str, int, list[int]]:
    """Stop a run on a worker; see ``Site.standing``. It may not have been there yet."""
    with _door:
        _halted[run, worker] = None
        if len(_halted) > _RECENT:
            del _halted[next(iter(_halted))]
        site = _sites.get((run, worker))
    return (worker, 0, []) if site is None else site.standing()


def forget(run: str, worker: str) -> None:
    """Forget a run that is over."""
    with _door:
        _sites.pop((run, worker), None)


class _Doing:
    """A piece that is being done: its jobs in order, and what they gave."""

    def __init__(
        self, site: Site, errand: Errand, inputs: Sequence[Any], after: Sequence[Any]
    ) -> None:
        self.site, self.errand, self.inputs = site, errand, inputs
        self.results: list[Any] = []
        undone = [each for each in after if type(each) is Undone]
        self.undone: Undone | None = undone[0] if undone else None

    def jobs(self) -> Iterator[FarJob]:
        """Give each job that may begin; ``ended`` or ``failed`` is called before the next."""
        site = self.site
        site.enter(1)
        try:
            for spec in self.errand.jobs:
                job = FarJob(spec, site)
                if self.undone is None:
                    self.undone = job.wire(self.inputs, self.results)
                if self.undone is None:
                    job.start = _parts.wall_clock()
                    if site.begin(job.i, job.start):
                        yield job
                        continue
                    self.undone = Undone()
                site.end(job.i, ("undone", job.i, self.undone.error))
                self.results.append(self.undone)
        finally:
            site.enter(-1)

    def ended(self, job: FarJob, value: Any) -> None:
        """Note what a job gave."""
        end = _parts.wall_clock()
        try:
            self.site.take_back(job.copy)
            if job.is_policied:
                state, error, story = job.told(value)
                value = value[job.name] if job.name in value else Undone()
            else:
                state, error, story = SUCCEEDED, None, None
            if type(value) is Undone:
                self.undone = value
            else:
                check(job, value)
        except Exception as failure:
            self.failed(job, failure)
            return
        self.results.append(value)
        late = state == CANCELLED and self._is_late()
        data = None if error is None else as_data(error)
        told = ("ended", job.i, NAMES[state], job.start, end, data, story, late)
        self.site.end(job.i, told)

    def failed(self, job: FarJob, error: BaseException) -> None:
        """Note what a job raised."""
        end = _parts.wall_clock()
        strip(error)
        try:
            self.site.take_back(job.copy)
        except ParamIsCopy as another:
            if not is_cancellation(error):
                error = another
        self.undone = Undone()
        self.results.append(self.undone)
        cancelled = self.site.ctx.cancelled and is_cancellation(error)
        state = CANCELLED if cancelled else FAILED
        late = cancelled and self._is_late()
        told = ("ended", job.i, NAMES[state], job.start, end, as_data(error), None, late)
        self.site.end(job.i, told)

    def _is_late(self) -> bool:
        return isinstance(self.site.ctx.cause, DeadlineExceeded)

    @property
    def result(self) -> Any:
        """What the piece gives: the one result that is kept, or a list of them."""
        kept = [self.results[k] for k in self.errand.kept]
        return kept[0] if len(kept) == 1 else kept


def perform(site: Site, errand: Errand, inputs: Sequence[Any], after: Sequence[Any]) -> Any:
    """Do a piece of plain jobs in this thread; return its results, never raise.

    Args:
        site: Its run on this worker.
        errand: What to do.
        inputs: What the pieces gave that it takes from.
        after: Tokens of those that it only has to come after.
    """
    doing = _Doing(site, errand, inputs, after)
    for job in doing.jobs():
        try:
            value = site.variables().run(job.call)
        except BaseException as error:
            doing.failed(job, error)
        else:
            doing.ended(job, value)
    return doing.result


async def aperform(site: Site, errand: Errand, inputs: Sequence[Any], after: Sequence[Any]) -> Any:
    """Do a piece of async jobs on this loop; as ``perform``."""
    doing = _Doing(site, errand, inputs, after)
    for job in doing.jobs():
        try:
            value = await acall(site, job)
        except BaseException as error:
            doing.failed(job, error)
        else:
            doing.ended(job, value)
    return doing.result


async def acall(site: Site, job: FarJob) -> Any:
    """Call an async job in a task of its own, which is cancelled with its run."""
    from asyncio import get_running_loop

    loop = get_running_loop()
    task = loop.create_task(job.acall(), context=site.variables())
    forget = site.ctx.on_cancel(partial(loop.call_soon_threadsafe, task.cancel))
    try:
        return await task
    finally:
        forget()
        del task


def token(given: Any) -> Undone | None:
    """Return what little those need to know of a piece that only come after it."""
    last = given[-1] if type(given) is list and given else given
    return last if type(last) is Undone else None


ENGINE |= {perform.__code__, aperform.__code__, acall.__code__}
