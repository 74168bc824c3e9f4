"""A job on its way to a cluster's worker, and there: what is called, with what, and how it went.

A plain job is called as it stands. One with policies, ``when`` or ``backend="process"`` is the one
job of a manager that is made on the worker, so that all of it is the same as everywhere.
"""

from __future__ import annotations

import pickle

from gofer._core.states import CANCELLED, NAMES
from gofer._job import FunctionJob
from gofer._policy import policy_of
from gofer._signature import is_async
from gofer.backends._execution import PLAIN, refuse_awaitable
from gofer.backends._far_errors import as_data
from gofer.backends._frames import CALLS, ENGINE
from gofer.backends._parcels import pack_for
from gofer.errors import Cancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from gofer._run import Run
    from gofer.backends._copies import Copy
    from gofer.backends._site import Site

_MOST = 1 << 16  # bytes of a function that is kept, and how many of them


_KNOWN = frozenset({"builtins", "datetime", "decimal", "numpy", "pandas", "polars", "pyarrow"})
"""Where types come from of which results travel; others are tried when the job has ended."""


class Errand:
    """What a worker has to know of a piece, besides its run.

    Attributes:
        jobs: For each job ``(index, name, function, how many of (ctx, param), wires, more)``. A
            wire is ``(argument, source, place)``: of the source's results, or of this piece's own
            where the source is -1; a place of -1 means that the source gives one result alone.
        kept: The places of the jobs whose results the piece gives.
    """

    __slots__ = ("jobs", "kept")

    def __init__(self, jobs: tuple[Any, ...], kept: tuple[int, ...]) -> None:
        self.jobs, self.kept = jobs, kept

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Errand, (self.jobs, self.kept)


class Undone:
    """Stands for a result that there is not: its job failed, was stopped, or was lost.

    Attributes:
        error: What those get that need it, as data; None if their run knows already.
    """

    __slots__ = ("error",)

    def __init__(self, error: Any = None) -> None:
        self.error = error

    def __reduce__(self) -> tuple[Any, tuple[Any]]:
        return Undone, (self.error,)


class FarJob:
    """One job of a piece, on the worker.

    Attributes:
        i: Its index in its run.
        name: Its name.
        copy: The copy of the param that it was lent, or None.
        given: Arguments that it was given besides, and keyword arguments.
        start: When it began, in nanoseconds on the wall clock.
        is_policied: Whether a manager runs it.
    """

    __slots__ = (
        "_fn",
        "_more",
        "_named",
        "_nargs",
        "_site",
        "_wires",
        "copy",
        "given",
        "i",
        "is_async",
        "is_policied",
        "name",
        "start",
    )

    def __init__(self, spec: tuple[Any, ...], site: Site) -> None:
        self.i, self.name, self._fn, self._nargs, self._wires, self._more = spec
        self._site = site
        self._named: dict[str, Any] = {}
        self.given: tuple[Any, dict[str, Any]] = ((), {})
        self.copy: Copy | None = None
        self.start = 0
        self.is_async = False
        self.is_policied = self._more is not None

    def wire(self, inputs: Sequence[Any], results: Sequence[Any]) -> Undone | None:
        """Gather what it takes; return what stands for it if something is not there."""
        for arg, source, place in self._wires:
            given = results if source < 0 else inputs[source]
            if type(given) is Undone:
                return given
            value = given if place < 0 else given[place]
            if type(value) is Undone:
                return value
            self._named[arg] = value
        return None

    def _begin(self) -> tuple[Any, tuple[Any, ...]]:
        """Return its function and its first arguments."""
        fn = opened(self._fn)
        self.is_async = is_async(fn)
        if self._nargs < 2 and self._more is None:
            return fn, (self._site.ctx,)[: self._nargs]
        self.copy, param = self._site.lend(self.name)
        return fn, (self._site.ctx, param)

    def call(self) -> Any:
        """Call a plain job; return its result, or the run of a policied one."""
        fn, args = self._begin()
        if self._more is not None:
            return self._manager(fn).execute(*args, check=False)
        rest, named = self.given
        return fn(*args, *rest, **self._named, **named)

    async def acall(self) -> Any:
        """Call an async job likewise."""
        fn, args = self._begin()
        if self._more is not None:
            return await self._manager(fn).aexecute(*args, check=False)
        rest, named = self.given
        return await fn(*args, *rest, **self._named, **named)

    def _manager(self, fn: Any) -> Any:
        make, policies, when, backend = pickle.loads(self._more)
        kind = _AsyncBound if self.is_async else _Bound
        bound = kind(fn, self._nargs, self._named)
        policy = policy_of(policies)
        return make([FunctionJob(bound, self.name, (), None, when, policy, backend)])

    def told(self, run: Run) -> tuple[int, BaseException | None, Any]:
        """Return how a policied job went: its state, its error, its story."""
        record = run.record(self.name)
        story = record._story
        error = record.error
        if record.state == NAMES[CANCELLED]:
            error = Cancelled("its run was stopped")
        elif error is None and run.error is not None:
            error = run.error
        attempts = [
            (
                each.start,
                each.end,
                None if each.error is None else as_data(each.error),
                each.waiting,
                each.calls,
                each.retry_in,
            )
            for each in (() if story is None else story.attempts)
        ]
        told = None if story is None else (attempts, story.fell_back, story.left_behind)
        return NAMES.index(record.state), error, told


def check(job: FarJob, value: Any) -> None:
    """Refuse a result that cannot be one here.

    Raises:
        NotAwaitedError: It wants to be awaited.
        NotPicklable: It does not travel.
    """
    kind = type(value)
    if kind in PLAIN:
        return
    if not job.is_async:
        refuse_awaitable(job.name, value)
    if kind.__module__.partition(".")[0] not in _KNOWN or kind.__name__ == "generator":
        pack_for(job.name, "its result", value)


class _Bound:
    """A function with the results that it takes, as a job of ``(ctx, param)``."""

    def __init__(self, fn: Any, nargs: int, named: dict[str, Any]) -> None:
        self.fn, self.nargs, self.named = fn, nargs, named

    def __call__(self, ctx: Any, param: Any) -> Any:
        return self.fn(*(ctx, param)[: self.nargs], **self.named)


class _AsyncBound(_Bound):
    async def __call__(self, ctx: Any, param: Any) -> Any:
        return await self.fn(*(ctx, param)[: self.nargs], **self.named)


_opened: dict[bytes, Any] = {}


def opened(data: bytes) -> Any:
    """Return the function that a pickle holds; the same one for the same pickle."""
    fn = _opened.get(data)
    if fn is None:
        fn = pickle.loads(data)
        if len(data) < _MOST:
            if len(_opened) > _MOST >> 6:
                _opened.clear()
            _opened[data] = fn
    return fn


_FRAMES = {FarJob.call.__code__, FarJob.acall.__code__, _Bound.__call__.__code__}
_FRAMES |= {_AsyncBound.__call__.__code__}
CALLS |= _FRAMES
ENGINE |= _FRAMES
