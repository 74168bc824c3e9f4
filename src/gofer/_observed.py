"""A run that observers watch: the same as one without, and each event is told.

It is a class of its own, so that a run without observers never even asks whether there are any.
"""

from __future__ import annotations

from gofer import _parts
from gofer._core.states import NAMES
from gofer._run import Attempt, JobRecord
from gofer._running import RunExecution
from gofer.backends._frames import ENGINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gofer._context import Context
    from gofer._program import Program


class ObservedExecution(RunExecution):
    """One run of a manager in progress, whose observers are told of it."""

    __slots__ = ()

    def __init__(
        self, program: Program, ctx: Context | None, param: Any, only: list[int] | None
    ) -> None:
        super().__init__(program, ctx, param, only)
        self._tell("run_started", self.run)

    # `call` and `begin` run among the job's own context variables, so what an observer sets is
    # seen by the job, and by nobody else.

    def call(self, i: int, label: str) -> None:
        self._tell("job_started", self.run, self.name_of(i))
        super().call(i, label)

    def begin(self, i: int) -> Any:
        self._tell("job_started", self.run, self.name_of(i))
        return super().begin(i)

    # A job that goes away never gets to `call`: it starts, for observers, when it is sent. One with
    # policies does get to `begin`, and is sent by what that began.

    def depart(self, i: int) -> Any:
        variables = self.snapshot
        if variables is None:  # the run was left behind
            return None
        variables = variables.copy()
        variables.run(self._tell, "job_started", self.run, self.name_of(i))
        return variables.run(self.carried)

    def carried(self) -> Any:
        from gofer.observers._carry import pack

        return pack(self.observers)

    def tell_started(self, i: int) -> None:
        self._tell("job_started", self.run, self.name_of(i))

    def tell_attempt(self, i: int, attempt: Attempt) -> None:
        self._tell("attempt_ended", self.run, self.name_of(i), attempt)

    def tell_ended(self, i: int, outcome: int, at: float) -> None:
        core = self.core
        record = JobRecord(
            self.name_of(i),
            NAMES[outcome],
            core.started_at[i],
            at,
            core.waited(i),
            self.errors.get(i),
            self.threads[i],
            self.stories.get(i),
        )
        if i not in self.stories:  # without policies nobody else tells of its one attempt
            for attempt in record.attempts:
                self._tell("attempt_ended", self.run, record.name, attempt)
        self._tell("job_ended", self.run, record)

    def clear(self) -> None:
        self._tell("run_ended", self.run)
        super().clear()

    def _tell(self, event: str, *facts: Any) -> None:
        for observer in self.observers:
            try:
                getattr(observer, event)(*facts)
            except BaseException as error:
                _parts.report_unraisable(error, f"an observer's {event} failed", observer)


ENGINE |= {ObservedExecution.call.__code__, ObservedExecution.begin.__code__}
