"""Where one run hands over jobs to a pool of worker processes, and hears how they ended.

All but ``Port.post`` and ``Port.close`` happens in the thread of the pool.
"""

from __future__ import annotations

from collections import deque

from gofer import _parts
from gofer._core.lanes import AWAY, LOOP
from gofer._core.states import FAILED, NOT_STARTED, SUCCEEDED
from gofer.backends import _letters
from gofer.backends._errands import Errand
from gofer.backends._outlet import went_on
from gofer.backends._parcels import Parcel, aside, is_found, pack, pack_for, pack_function
from gofer.backends._variables import travelling
from gofer.errors import InvalidTransition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gofer.backends._execution import Execution
    from gofer.backends._hand import Hand
    from gofer.backends._pool import Pool


_FUNCTIONS = 500
"""Functions of one run, or found by name, whose pickles are kept; workers keep more."""


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
        self.functions: dict[int, tuple[int, int, Parcel, Any]] = {}
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
        if not self.closed:
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
        owner, number, function, _ = self._function(errand)
        args = None
        if errand.args or errand.kwargs:
            args = _pack_arguments(errand)
        param = None
        if errand.nargs == 2 and self.execution.param is not None:
            param = self._pack_param(errand.name, round_number)
        if self.number not in hand.known:
            run = self._pack_run()
            hand.known[self.number] = set()
            hand.say(
                _letters.RUN, self.number, self.deadline, run.data, len(run.buffers),
                buffers=run.buffers,
            )  # fmt: skip
        known = hand.known[owner]
        if number not in known:
            if len(known) >= 2 * _FUNCTIONS:
                known.clear()
            known.add(number)
            hand.say(
                _letters.FUNCTION, owner, number, function.data, len(function.buffers),
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

    def _function(self, errand: Errand) -> tuple[int, int, Parcel, Any]:
        """Return what is said of a function: the run that knows it, or 0, its number, its pickle.

        What is found by its name stays known from run to run. What else travels is pickled in
        each, as it is then, and forgotten with it.
        """
        fn, key = errand.fn, id(errand.fn)
        found = self.functions.get(key)
        if found is not None:
            return found
        found = self.pool.functions.get(key)
        if found is None or found[3] is not fn or not is_found(fn):
            parcel = pack_function(errand.name, fn)
            by_name = is_found(fn) and not parcel.is_by_value
            owner, kept = (0, self.pool.functions) if by_name else (self.number, self.functions)
            if len(kept) >= _FUNCTIONS:  # a group may be given a new one each time
                kept.clear()
            found = kept[key] = owner, next(self.pool.numbers), parcel, fn
        if len(self.functions) >= _FUNCTIONS:
            self.functions.clear()
        self.functions[key] = found
        return found

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
        """Tell the run what has ended; it may be over then.

        What could not be booked, for want of memory, say, is left as a failure to be booked when
        the pool has seen to its fault.
        """
        ended, self.ended = deque(self.ended), []
        booked: deque[tuple[int, int, float]] = deque()
        try:
            self._book(ended, booked)
        except BaseException as fault:
            if booked and isinstance(fault, InvalidTransition):
                booked.popleft()  # it had been booked before
            start = self.execution.start
            lost: list[Any] = [(i, None, fault, None, start + at) for i, _, at in booked]
            self.ended = [*lost, *ended, *self.ended]
            del lost, fault
            raise

    def _book(self, ended: deque[Any], booked: deque[tuple[int, int, float]]) -> None:
        execution, core, start = self.execution, self.execution.core, self.execution.start
        ctx = execution.ctx
        value = error = failure = None
        while ended:
            i, value, error, began, end = ended[0]
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
            ended.popleft()
            if outcome == FAILED:  # at once: what follows may have been stopped by it
                failure = execution.errors[i]
                self._end(booked)
                if core.fail_fast and core.first == i:
                    ctx.cancel(failure)
                execution.announce()
                failure = None
        if booked:
            self._end(booked)
        del value, error, failure  # tracebacks hold this frame

    def _end(self, booked: deque[tuple[int, int, float]]) -> None:
        execution, core, lane = self.execution, self.execution.core, self.execution.lane
        with execution.lock:
            while booked:
                core.ended(*booked[0])
                booked.popleft()
            wake, finished = core.wants(), core.finished
            post = lane is not self and core.has_ready(LOOP)
            more, over = core.has_ready(AWAY), finished and not execution.out
        if over:  # before anybody hears of it, who would say so
            self.pool.part(self)
        elif more:
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
