"""What a run sends to worker processes: an errand for each call.

All but ``Away``, and what it awaits, happens in the thread of the pool.
"""

from __future__ import annotations

from gofer import _parts
from gofer.backends import _letters
from gofer.backends._far_errors import as_error
from gofer.backends._parcels import Parcel
from gofer.errors import Cancelled, NotPicklable, describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gofer._context import Context
    from gofer._running import RunExecution
    from gofer.backends._hand import Hand
    from gofer.backends._port import Port


class Errand:
    """One call on its way to a worker and back.

    Attributes:
        number: Its own, over all runs.
        carried: What observers give it, for ``unpack`` there; None or empty if nothing.
        key: Under what it is known how long such calls take.
        is_known: Whether it is.
        estimate: Seconds that it will probably take.
        stage: How far the stopping of it has come; 0 if nobody stops it.
        due: When the next stage comes, if it has not ended by then.
        deaths: How many workers that had it in line have died.
    """

    __slots__ = (
        "args",
        "carried",
        "deadline",
        "deaths",
        "due",
        "estimate",
        "fn",
        "i",
        "is_known",
        "key",
        "kwargs",
        "name",
        "nargs",
        "number",
        "port",
        "stage",
    )

    def __init__(self, port: Port, i: int, fn: Any, nargs: int, args: Any, kwargs: Any) -> None:
        self.port, self.i, self.fn, self.nargs = port, i, fn, nargs
        self.args, self.kwargs = args, kwargs
        self.number = next(port.pool.numbers)
        self.name = str.__str__(port.execution.name_of(i))  # not of a subclass: marshal knows none
        self.deadline, self.carried = port.deadline, None
        self.key = getattr(fn, "__code__", None) or type(fn)
        pace = port.pool.paces.get(self.key)
        self.is_known = pace is not None
        self.estimate = _UNKNOWN if pace is None else pace
        self.stage, self.due, self.deaths = 0, 0.0, 0

    def went(self, hand: Hand) -> None:
        """Note which worker has it."""
        self.port.execution.went(self.i, label_of(hand))

    def came_back(self, reply: tuple[Any, ...], buffers: list[Any]) -> None:
        """Note how it went."""
        _, how, start, end, what, _ = reply
        if how == _letters.FAILED:
            self.failed(as_error(what), start, end)
            return
        value = what
        if how == _letters.PICKLED:
            try:
                value = Parcel(what, buffers).open()
            except BaseException as error:  # what is unpickled may raise anything
                why = NotPicklable(self.name, "its result", "what was sent", describe(error))
                why.__cause__ = error
                self.failed(why, start, end)
                return
        self.succeeded(value, start, end)

    def succeeded(self, value: Any, start: float, end: float) -> None:
        """Note its result."""
        self.port.ended.append((self.i, value, None, start, end))

    def failed(self, error: BaseException, start: float | None, end: float) -> None:
        """Note its error; it may not have begun."""
        self.port.ended.append((self.i, None, error, start, end))

    def not_begun(self) -> None:
        """Note that it was stopped before it began."""
        self.port.ended.append((self.i, None, None, None, 0.0))


_UNKNOWN = 0.0005
"""Seconds that a call is taken to last, before one like it has ended."""


def label_of(hand: Hand) -> str:
    """Return what reports call a worker."""
    return f"process {hand.pid}"


class Call(Errand):
    """A call for a job with policies: whoever makes it awaits it, on a loop."""

    __slots__ = ("error", "loop", "value", "waiter")

    def __init__(self, port: Port, i: int, fn: Any, nargs: int, args: Any, kwargs: Any) -> None:
        super().__init__(port, i, fn, nargs, args, kwargs)
        self.value: Any = None
        self.error: BaseException | None = None
        self.loop: Any = None
        self.waiter: Any = None

    def succeeded(self, value: Any, start: float, end: float) -> None:
        """Note its result, and wake who waits for it."""
        self.value = value
        self._wake()

    def failed(self, error: BaseException, start: float | None, end: float) -> None:
        """Note its error, and wake who waits for it."""
        self.error = error
        self._wake()

    def not_begun(self) -> None:
        """Wake who waits for it."""
        self.failed(Cancelled("it was stopped before it began"), None, 0.0)

    def _wake(self) -> None:
        try:
            self.loop.call_soon_threadsafe(self._finish)
        except RuntimeError:  # the loop was closed: nobody waits
            return

    def _finish(self) -> None:
        if not self.waiter.done():
            self.waiter.set_result(None)

    async def result(self) -> Any:
        """Send it, and wait for what it gives; if this is cancelled, for its end.

        Raises:
            BaseException: What the call raised.
        """
        self.loop = _parts.running_loop()
        self.waiter = self.loop.create_future()
        self.port.pool.leave_word("send", self)
        cancelled: BaseException | None = None
        while not self.waiter.done():
            try:
                await _shielded(self.waiter)
            except GeneratorExit:  # nothing can be awaited any more
                self.port.pool.leave_word("stop", self)
                raise
            except BaseException as error:
                cancelled = error
                self.port.pool.leave_word("stop", self)
        failure, value = cancelled or self.error, self.value
        self.error = self.value = None
        try:
            if failure is not None:
                raise failure
            return value
        finally:
            del failure, cancelled


async def _shielded(waiter: Any) -> None:
    from asyncio import shield

    await shield(waiter)


class Away:
    """What stands for the function of a job with policies that runs in a process."""

    def __init__(self, name: str, fn: Callable[..., Any]) -> None:
        self.name, self.fn = name, fn

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Never called: ``of`` gives what is."""
        raise NotImplementedError

    def of(self, execution: RunExecution, i: int, ctx: Context) -> Callable[..., Any]:
        """Return what calls the function in a worker, for one run."""

        async def call(*args: Any, **kwargs: Any) -> Any:
            port: Port = execution.lane.port
            errand = Call(port, i, self.fn, len(args), (), kwargs)
            errand.deadline, errand.carried = ctx.deadline, execution.carried()
            return await errand.result()

        return call
