"""What a run sends to worker processes: an errand for each call, and the port that they leave by.

All but ``Port.post``, ``Port.close`` and ``Away`` happens in the thread of the pool.
"""

from __future__ import annotations

from gofer import _parts
from gofer._core.lanes import AWAY, LOOP
from gofer._core.states import FAILED, NOT_STARTED, SUCCEEDED
from gofer.backends import _letters
from gofer.backends._far_errors import as_error
from gofer.backends._outlet import went_on
from gofer.backends._parcels import Parcel, aside, pack, pack_for, pack_function
from gofer.backends._variables import travelling
from gofer.errors import Cancelled, NotPicklable, describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gofer._context import Context
    from gofer._running import RunExecution
    from gofer.backends._execution import Execution
    from gofer.backends._hand import Hand
    from gofer.backends._pool import Pool


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


_FUNCTIONS = 500  # of one run, whose pickles are kept; a worker keeps four times as many
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


class Port:
    """Where one run hands over jobs to the pool.

    Attributes:
        number: The run's, for workers.
        ended: What has ended and is to be booked: (job, value, error, start, end).
        errands: Those that have not ended.
        posted: Whether the pool is to look at the run already.
        pace: Seconds that the last one took that came back, or None.
    """

    loop = None

    def __init__(self, pool: Pool, execution: Execution) -> None:
        self.pool, self.execution = pool, execution
        self.number = next(pool.numbers)
        self.deadline = execution.ctx.deadline
        self.functions: dict[int, tuple[int, Parcel, Any]] = {}
        self.ended: list[tuple[int, Any, BaseException | None, float | None, float]] = []
        self.errands: set[Errand] = set()
        self.closed = False
        self.pace: float | None = None
        self.posted = False
        self._run: Parcel | None = None
        self._param: Parcel | None = None
        self._param_round = -1

    @property
    def port(self) -> Port:
        """Itself: a run without a loop has its port in the place of a lane."""
        return self

    def post(self, *, force: bool = False) -> None:
        """Have the pool look at the run; from any thread, and from a signal handler."""
        if not self.posted or force:
            self.posted = True
            self.pool.leave_word("look", self)

    def close(self) -> None:
        """Note that the run is over, or that nobody waits for it any more."""
        self.closed = True
        self.pool.leave_word("look", self)

    def frame_of(self, i: int) -> None:
        """Return None: nothing of a job in another process can be seen here."""

    # In the pool's thread

    def take(self, most: int) -> list[Errand]:
        """Take some ready jobs of the run."""
        execution = self.execution
        at = _parts.clock() - execution.start
        with execution.lock:
            taken = execution.core.take_many(AWAY, at, most)
        made: list[Errand] = []
        for i in taken:
            errand = Errand(self, i, *execution.parcel(i))
            errand.carried = execution.depart(i)
            made.append(errand)
        self.errands.update(made)
        return made

    def pack(self, errand: Errand, hand: Hand, round_number: int) -> None:
        """Say to a worker what it needs for an errand.

        Raises:
            NotPicklable: Something does not travel; nothing has been said of this errand.
        """
        number, function = self._function(errand)
        args = None
        if errand.args or errand.kwargs:
            args = _pack_arguments(errand)
        param = None
        if errand.nargs == 2 and self.execution.param is not None:
            param = self._pack_param(errand.name, round_number)
        known = hand.known.get(self.number)
        if known is None:
            run = self._pack_run()
            known = hand.known[self.number] = set()
            hand.say(
                _letters.RUN, self.number, self.deadline, run.data, len(run.buffers),
                buffers=run.buffers,
            )  # fmt: skip
        if number not in known:
            if len(known) >= 2 * _FUNCTIONS:
                known.clear()
            known.add(number)
            hand.say(
                _letters.FUNCTION, self.number, number, function.data, len(function.buffers),
                buffers=function.buffers,
            )  # fmt: skip
        if param is not None and hand.params.get(self.number) != param.print:
            hand.params[self.number] = param.print
            hand.say(
                _letters.PARAM, self.number, param.data, len(param.buffers), buffers=param.buffers
            )
        data, buffers = (None, ()) if args is None else (args.data, args.buffers)
        hand.say(
            _letters.JOB, errand.number, self.number, number, errand.name, errand.nargs,
            errand.deadline, errand.carried, data, len(buffers), buffers=buffers,
        )  # fmt: skip

    def _function(self, errand: Errand) -> tuple[int, Parcel]:
        key = id(errand.fn)
        found = self.functions.get(key)
        if found is None:
            parcel = pack_function(errand.name, errand.fn)
            if len(self.functions) >= _FUNCTIONS:  # a group may be given a new one each time
                self.functions.clear()
            found = self.functions[key] = next(self.pool.numbers), parcel, errand.fn
        return found[:2]

    def _pack_run(self) -> Parcel:
        if self._run is None:
            self._run = travelling(self.execution.ctx, self.execution.snapshot)
        return self._run

    def _pack_param(self, job: str, round_number: int) -> Parcel:
        """Pickle the param as it is now, once for all jobs that start now."""
        if self._param is None or self._param_round != round_number:
            self._param = pack_for(job, "the param", self.execution.param)
            self._param_round = round_number
        return self._param

    def book(self) -> None:
        """Tell the run what has ended; it may be over then."""
        execution, core, start = self.execution, self.execution.core, self.execution.start
        ctx = execution.ctx
        ended, self.ended = self.ended, []
        booked = []
        value = error = failure = None
        for i, value, error, began, end in ended:
            at, outcome = end - start, SUCCEEDED
            if began is None and error is None:
                outcome = NOT_STARTED
            elif error is not None:
                outcome = execution.caught(i, error)
            else:
                execution.keep(i, value)
            if began is not None:
                core.began(i, began - start)
            if execution.observers and outcome != NOT_STARTED:
                execution.tell_ended(i, outcome, at)
            booked.append((i, outcome, at))
            if outcome == FAILED:  # at once: what follows may have been stopped by it
                failure = execution.errors[i]
                self._end(booked)
                if core.fail_fast and core.first == i:
                    ctx.cancel(failure)
                booked, failure = [], None
        if booked:
            self._end(booked)
        del ended, value, error, failure  # tracebacks hold this frame

    def _end(self, booked: list[tuple[int, int, float]]) -> None:
        execution, core, lane = self.execution, self.execution.core, self.execution.lane
        with execution.lock:
            for i, outcome, at in booked:
                core.ended(i, outcome, at)
            wake, finished = core.wants(), core.finished
            post = lane is not self and core.has_ready(LOOP)
            more = core.has_ready(AWAY)
        if more:
            self.pool.hungry(self)
        went_on(execution, wake=wake, finished=finished, lane=lane if post else None)


def _pack_arguments(errand: Errand) -> Parcel:
    """Pickle what a call gets, besides the context and the param.

    Raises:
        NotPicklable: Something does not pickle; the message names the argument.
    """
    args = tuple([aside(each) for each in errand.args])
    kwargs = {name: aside(each) for name, each in errand.kwargs.items()}
    try:
        return pack((args, kwargs))
    except BaseException:
        for i, each in enumerate(args):
            pack_for(errand.name, f"its argument {i}", each)
        for name, each in kwargs.items():
            pack_for(errand.name, f"its argument {name!r}", each)
        raise
