"""A manager whose runs are watched: each job's call says in a context variable whose code it is."""

from __future__ import annotations

import copy

from gofer._limits import HELD
from gofer._manager import JobManager
from gofer._program import Program, stays
from gofer._signature import is_async
from gofer._wiring import Wiring
from gofer.backends._frames import CALLS, ENGINE
from gofer.testing._accesses import ACTOR, BOUNDARY, Record
from gofer.testing._proxies import real

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gofer._job import FunctionJob


class _Held:
    """A lock of somebody else that is a job's ``limit=``, as a place of a limit is noted."""

    __slots__ = ("limit", "lock")
    is_held = True
    most = 1

    def __init__(self, lock: object) -> None:
        self.limit = self
        self.lock = lock

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and other.lock is self.lock

    def __hash__(self) -> int:
        return id(self.lock)


class _Call:
    """A plain function, called in the name of a job."""

    __slots__ = ("_actor", "_fn", "_held", "_is_job", "_record")

    def __init__(
        self, record: Record, i: int, fn: Callable[..., Any], job: FunctionJob[..., Any, Any] | None
    ) -> None:
        self._record, self._actor, self._fn = record, record.actors[i], fn
        self._is_job = job is not None
        limit = None if job is None or job.policy is None else job.policy.limit
        self._held = (_Held(limit),) if _is_lock(limit) else ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        actor, held = ACTOR.set(self._actor), HELD.set((*HELD.get(), *self._held))
        try:
            kwargs = {name: self._record.watch.known(value) for name, value in kwargs.items()}
            result = real(self._fn(*args, **kwargs))
        finally:
            ACTOR.reset(actor)
            HELD.reset(held)
        self._ended()
        return result

    def _ended(self) -> None:
        if self._is_job:
            self._actor.has_ended = True


class _AsyncCall(_Call):
    __slots__ = ()

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        actor, held = ACTOR.set(self._actor), HELD.set((*HELD.get(), *self._held))
        try:
            kwargs = {name: self._record.watch.known(value) for name, value in kwargs.items()}
            result = real(await self._fn(*args, **kwargs))
        finally:
            ACTOR.reset(actor)
            HELD.reset(held)
        self._ended()
        return result


def _is_lock(limit: object) -> bool:
    """Return whether a limit is a lock that everybody knows; of others nobody can say how many."""
    return f"{type(limit).__module__}.{type(limit).__qualname__}" in _LOCKS


_LOCKS = {"_thread.lock", "_thread.RLock", "asyncio.locks.Lock"}
_HERE = (None, "thread", "threads")

_CODES = {_Call.__call__.__code__, _AsyncCall.__call__.__code__}
BOUNDARY |= _CODES
CALLS |= _CODES  # so that a deaf job is named with its own line
ENGINE |= _CODES  # and tracebacks begin with the job


def local_program(manager: JobManager) -> Program:
    """Return what a manager runs, with all its jobs here: elsewhere nobody could watch them."""
    if all(each.backend is None for each in manager.jobs):
        return manager._program()
    return Program(manager._jobs, name=manager.name or None, **manager._options)


def jobs_away(program: Program, backend: Any) -> frozenset[str]:
    """Return the names of the jobs that are meant to run elsewhere.

    Args:
        program: Of which jobs.
        backend: Where a run says that they do.
    """
    return frozenset(each.name for each in program.jobs if _is_away(each, backend))


def _is_away(job: FunctionJob[..., Any, Any], backend: Any) -> bool:
    if job.backend is None and stays(job.fn):
        return False
    return (backend if job.backend is None else job.backend) not in _HERE


def watched(manager: JobManager, program: Program, record: Record) -> JobManager:
    """Return a manager with the same jobs and limits, the runs of which are noted in a record."""
    made = copy.copy(manager)
    for name in ("execute", "aexecute"):  # a detector's
        vars(made).pop(name, None)
    made._compiled = {None: _watched(program, record)}
    manager._executed = True
    return made


def _watched(program: Program, record: Record) -> Program:
    made = copy.copy(program)
    made.fns = [_wrapped(record, i, fn, program.jobs[i]) for i, fn in enumerate(program.fns)]
    made.whens = {i: _wrapped(record, i, when) for i, when in program.whens.items()}
    made.wirings = [
        None if each is None else Wiring(made.fns[i], each.names, program.forms[i] & 3)
        for i, each in enumerate(program.wirings)
    ]
    made.policies = dict(program.policies)
    for i, policy in program.policies.items():
        if callable(policy.fallback):
            made.policies[i] = copy.copy(policy)
            made.policies[i].fallback = _wrapped(record, i, policy.fallback)
    return made


def _wrapped(
    record: Record,
    i: int,
    fn: Callable[..., Any],
    job: FunctionJob[..., Any, Any] | None = None,
) -> Callable[..., Any]:
    return (_AsyncCall if is_async(fn) else _Call)(record, i, fn, job)


def param_name(program: Program) -> str:
    """Return what the first job that takes the param calls it."""
    for fn, form in zip(program.fns, program.forms, strict=True):
        plain = getattr(fn, "__func__", fn)
        code = getattr(plain, "__code__", None)
        if form & 3 == 2 and code is not None:
            return str(code.co_varnames[2 if plain is not fn else 1])
    return "param"
