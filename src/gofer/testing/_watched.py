"""A manager whose runs are watched: each job's call says in a context variable whose code it is."""

from __future__ import annotations

import copy

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


class _Call:
    """A plain function, called in the name of a job."""

    __slots__ = ("_actor", "_fn", "_is_job", "_record")

    def __init__(
        self, record: Record, i: int, fn: Callable[..., Any], *, is_job: bool = False
    ) -> None:
        self._record, self._actor, self._fn = record, record.actors[i], fn
        self._is_job = is_job

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        token = ACTOR.set(self._actor)
        try:
            kwargs = {name: self._record.watch.known(value) for name, value in kwargs.items()}
            result = real(self._fn(*args, **kwargs))
        finally:
            ACTOR.reset(token)
        self._ended()
        return result

    def _ended(self) -> None:
        if self._is_job:
            self._actor.has_ended = True


class _AsyncCall(_Call):
    __slots__ = ()

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        token = ACTOR.set(self._actor)
        try:
            kwargs = {name: self._record.watch.known(value) for name, value in kwargs.items()}
            result = real(await self._fn(*args, **kwargs))
        finally:
            ACTOR.reset(token)
        self._ended()
        return result


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
    made.fns = [_wrapped(record, i, fn, is_job=True) for i, fn in enumerate(program.fns)]
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
    record: Record, i: int, fn: Callable[..., Any], *, is_job: bool = False
) -> Callable[..., Any]:
    return (_AsyncCall if is_async(fn) else _Call)(record, i, fn, is_job=is_job)


def param_name(program: Program) -> str:
    """Return what the first job that takes the param calls it."""
    for fn, form in zip(program.fns, program.forms, strict=True):
        plain = getattr(fn, "__func__", fn)
        code = getattr(plain, "__code__", None)
        if form & 3 == 2 and code is not None:
            return str(code.co_varnames[2 if plain is not fn else 1])
    return "param"
