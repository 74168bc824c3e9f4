"""What a worker process knows of one run: its context, its variables, its param, its functions."""

from __future__ import annotations

import sys
from contextvars import Context as Variables
from contextvars import ContextVar

from gofer._context import _CURRENT, Context
from gofer.backends import _main_module
from gofer.backends._copies import Copy
from gofer.backends._parcels import Parcel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_FUNCTIONS = 2000  # four times as many as the parent keeps; see ``_port``


def learn(functions: dict[int, Any], number: int, data: bytes, buffers: list[Any]) -> None:
    """Keep a function, and of all only so many, the last: the parent asks for no others."""
    if len(functions) >= _FUNCTIONS:
        del functions[next(iter(functions))]
    functions[number] = Parcel(data, buffers)


class Run:
    """What a worker knows of one run."""

    def __init__(self, deadline: float | None, parcel: Parcel) -> None:
        self.deadline, self.parcel = deadline, parcel
        self.values: Any = {}
        self.of_main: list[tuple[str, Any]] = []  # variables of the main module, with their values
        self.variables = Variables()
        self.renew()
        self.opened = not parcel.data
        self.param: Parcel | None = None
        self.copy: Copy | None = None
        self.functions: dict[int, Any] = {}

    def renew(self) -> None:
        """Make another context for the jobs to come."""
        self.ctx = Context(deadline=self.deadline, values=self.values)
        self.variables.run(_CURRENT.set, self.ctx)

    def open(self) -> None:
        """Unpickle the values and context variables, once, in the thread that runs jobs."""
        self.opened = True
        self.values, variables = _main_module.opened(self.parcel)
        self.ctx._values = self.values
        for module, name, value in variables:
            if module == _main_module.NAME:
                self.of_main.append((name, value))
                continue
            try:
                __import__(module)
                self.variables.run(getattr(sys.modules[module], name).set, value)
            except Exception:  # it is not there: this job's module may never ask for it
                continue

    def set_those_of_main(self) -> None:
        """Set the variables of the parent's main module, where a job has had it loaded."""
        main = sys.modules.get(_main_module.NAME)
        for name, value in self.of_main if main is not None else ():
            variable = getattr(main, name, None)
            if isinstance(variable, ContextVar):
                variable.set(value)

    def lend(self, job: str) -> Any:
        """Return the param, as a copy that refuses to be written."""
        if self.copy is None and self.param is not None:
            self.copy = Copy(_main_module.opened(self.param))
        if self.copy is None:
            return None
        self.copy.job = job
        return self.copy.lend()

    def take_back(self) -> str | None:
        """Return what of the param a job has written to, if it has."""
        written = None if self.copy is None else self.copy.take_back()
        if written is not None:
            self.copy = None  # the next job gets another
        return written
