"""A job with policies, in one run: attempts, calls, and what comes of them.

From outside in: the fallback, the timeout, then for each attempt the limit, the hedge, and for
each call the breaker. Written once for both worlds, see ``_worlds``.

Errors are handed around as values here, not raised: a ``StopIteration`` that is raised in a
coroutine becomes something else, and what a job raises must come out as it is.
"""

from __future__ import annotations

from gofer import _parts, policies
from gofer._limits import Limit
from gofer._policy import Compiled
from gofer._run import Attempt, Story
from gofer.backends._calls import Call
from gofer.backends._execution import Skip, is_cancellation, is_panic
from gofer.backends._frames import CALLS, ENGINE
from gofer.backends._holds import Hold, hold
from gofer.backends._worlds import Loop, Threads
from gofer.errors import BreakerOpen, Cancelled, JobSkipped, JobTimeout, LimitDeadlock
from gofer.policies import NOTHING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gofer._running import RunExecution


class Policied:
    """One job of one run, while it is driven."""

    __slots__ = (
        "calls",
        "error",
        "execution",
        "i",
        "name",
        "policy",
        "story",
        "until",
        "value",
        "world",
    )

    def __init__(self, execution: RunExecution, i: int, policy: Compiled, story: Story) -> None:
        self.execution, self.i, self.policy, self.story = execution, i, policy, story
        self.world = Loop(execution) if policy.is_async else Threads(execution)
        self.name = execution.name_of(i)
        self.value: Any = None
        self.error: BaseException | None = None
        self.calls: list[Call] = []
        self.until: float | None = None
        if policy.timeout is not None:
            until, deadline = _parts.clock() + policy.timeout, execution.ctx.deadline
            if deadline is None or until < deadline:
                self.until = until

    def begin(self, *, skipped: bool) -> Any:
        """Drive a plain job in this thread; return what drives an async one, to be awaited."""
        perform_it = aperform if self.policy.is_async else perform
        return perform_it(self, skipped=skipped)

    async def drive(self, *, skipped: bool) -> None:
        """See the job to its end: there is a ``value`` then, or an ``error``."""
        try:
            if skipped:
                self.error = Skip()
            else:
                await self._try()
        finally:
            self.world.close()
        if self.error is None or self.policy.fallback is NOTHING:
            return
        if skipped:
            await self._fall_back(JobSkipped(self.name))
        elif self._is_failure(self.error):
            self.error = self.execution.noted(self.i, self.error)
            await self._fall_back(self.error)
            self.story.fell_back = True
            self.error = None

    @property
    def attempt(self) -> Attempt:
        """The last attempt."""
        return self.story.attempts[-1]

    async def _fall_back(self, error: BaseException) -> None:
        value = self.policy.fallback
        try:
            if callable(value):
                value = _ask(value, error)
            if self.world.is_async and hasattr(type(value), "__await__"):
                value = await value
        except Exception as failure:
            _chain(failure, error)
            raise
        self.value = value

    def _is_failure(self, error: BaseException) -> bool:
        """Return whether an error is one that a fallback may stand for: no cancellation is."""
        if is_cancellation(error):
            # A deadline of the job's own making is a failure like others; the run's is not.
            return isinstance(error, Exception) and not self.execution.ctx.cancelled
        if is_panic(error):
            return self.execution.recover and not isinstance(error, KeyboardInterrupt)
        return True

    async def _try(self) -> None:
        """Make attempts until one is the last, and keep its error."""
        while True:
            try:
                await self._attempt()
                error = self.error = self.attempt.error
                try:
                    pause = self.attempt.retry_in = self._pause(error)
                except Exception as failure:  # of the user's own ``on``
                    _chain(failure, error)
                    self.error = failure
                    return
                finally:
                    del error  # its traceback may hold this frame
            finally:
                if self.execution.observers:
                    self.execution.tell_attempt(self.i, self.attempt)
            if pause is None:
                return
            until = _parts.clock() + pause
            while _parts.clock() < until:
                await self.world.wait(until)

    def _pause(self, error: BaseException | None) -> float | None:
        """Return the seconds until the next attempt, or None if there is to be none."""
        retry, ctx = self.policy.retry, self.execution.ctx
        if retry is None or not isinstance(error, Exception) or is_panic(error) or ctx.cancelled:
            return None
        if isinstance(error, (BreakerOpen, LimitDeadlock)) or self._is_late():
            return None
        pause = policies.retries.pause(retry, error, len(self.story.attempts), _parts.chance)
        if pause is None:
            return None
        end = _parts.clock() + pause
        for latest in (self.until, ctx.deadline):
            if latest is not None and end >= latest:
                return None
        return pause

    def _is_late(self) -> bool:
        return self.until is not None and _parts.clock() >= self.until

    async def _attempt(self) -> None:
        """Make one attempt, and note in the story how it went."""
        start = self.execution.start
        self.story.attempts.append(Attempt(_parts.clock() - start))
        try:
            place = await self._enter()
            await self._make_calls(place)
            if isinstance(place, Hold) and all(call.end is not None for call in self.calls):
                while not place.over:  # before it may be entered again
                    await self.world.wait(None)
        except (BreakerOpen, JobTimeout, LimitDeadlock, _EnteringFailed) as error:
            self.attempt.error = error.error if isinstance(error, _EnteringFailed) else error
        finally:
            self.attempt.end = _parts.clock() - start
            for call in self.calls:
                call.forget()
            self.calls.clear()

    async def _enter(self) -> Any:
        """Wait for a place of the limit, if there is one, and return it."""
        policy, world = self.policy, self.world
        if policy.limit is not None:
            place: Any = policy.limit.enter(self.name, world.wake)
        elif policy.foreign is not None:
            place = self._hold()
        else:
            return None
        if place.granted:
            return place
        since = _parts.clock()
        try:
            while not place.granted:
                if getattr(place, "error", None) is not None:
                    raise _EnteringFailed(place.error)
                if self._is_late():
                    raise JobTimeout(self.name, policy.timeout or 0.0)
                await world.wait(self.until)
        except BaseException:
            place.leave()
            raise
        finally:
            self.attempt.waiting = _parts.clock() - since
        return place

    def _hold(self) -> Any:
        try:
            return hold(self.execution, self.name, self.policy.foreign(), self.world)
        except Exception as error:
            raise _EnteringFailed(error) from error

    async def _make_calls(self, place: Any) -> None:
        """Call the function, and once more where it is hedged."""
        if not self.policy.beside:
            self.calls.append(self._new(place, self.execution.ctx))
            await self.world.call(self.calls[0])
            self._take(self.calls[0])
            return
        self._spawn(place)
        why: BaseException = Cancelled("its run was stopped")
        try:
            late = await self._first_good()
            why = JobTimeout(self.name, self.policy.timeout or 0.0) if late else _FASTER
            if late:
                self.attempt.error = why
        finally:
            for call in self.calls:
                if call.end is None:
                    self.story.left_behind = call.leave(why) or self.story.left_behind

    async def _first_good(self) -> bool:
        """Wait for the first call that ends well, and take it; return whether it got too late."""
        policy, calls = self.policy, self.calls
        after = self._hedge_after()
        next_at = None if after is None else calls[0].start + after
        while True:
            good = next((c for c in calls if c.end is not None and c.error is None), None)
            if good is not None:
                if policy.durations is not None:
                    policy.durations.add((good.end or 0.0) - calls[0].start)
                self._take(good)
                return False
            if all(call.end is not None for call in calls):
                self._take(calls[0])
                return self._is_late() and self._was_cancelled()
            if self._is_late():
                return True
            now = _parts.clock()
            if after is not None and next_at is not None and now >= next_at:
                self._hedge()
                self.attempt.calls = len(calls)
                next_at = now + after if len(calls) < policy.most else None
            times = [at for at in (self.until, next_at) if at is not None]
            await self.world.wait(min(times) if times else None)

    def _take(self, call: Call) -> None:
        """Let an attempt end as this call has."""
        self.value, self.attempt.error = call.value, call.error

    def _was_cancelled(self) -> bool:
        """Return whether the attempt ended because its own context had seen the timeout."""
        error = self.attempt.error
        return error is not None and is_cancellation(error) and not self.execution.ctx.cancelled

    def _hedge_after(self) -> float | None:
        hedge = self.policy.hedge
        if hedge is None:
            return None
        durations, part = self.policy.durations, hedge.quantile
        if durations is not None and part is not None:
            return durations.quantile(part)
        return hedge.after  # type: ignore[return-value]  # compiled to a number

    def _hedge(self) -> None:
        """Make one more call, if nothing speaks against it: it must not wait for a place."""
        limit, place = self.policy.limit, None
        if limit is not None:
            place = limit.try_enter(self.name)
            if place is None:
                return
        try:
            self._spawn(place)
        except BreakerOpen:
            return

    def _new(self, place: Any, ctx: Any) -> Call:
        """Prepare a call, if the breaker lets it through.

        Raises:
            BreakerOpen: It does not; the place has been given back.
        """
        policy, ticket = self.policy, None
        if policy.breaker is not None:
            now = _parts.clock()
            ticket = policy.breaker.admit(now)
            if ticket is None:
                if place is not None:
                    place.leave()
                raise BreakerOpen(self.name, policy.breaker.opens_in(now))
        return Call(
            self.execution,
            self.i,
            ctx,
            self.world.wake,
            place=place,
            breaker=policy.breaker,
            ticket=ticket,
            guard=policy.guard,
            abandon=policy.abandon,
        )

    def _spawn(self, place: Any) -> None:
        outer = self.execution.ctx
        ctx = outer.child(deadline=self.until)
        ctx._outer = outer
        call = self._new(place, ctx)
        self.calls.append(call)
        call.note()
        try:
            self.world.spawn(call, self.execution, self.i)
        except RuntimeError as error:  # no thread to be had
            call.failed(error)
            call.ended()

    def clear(self) -> None:
        """Let go of everything: frames kept by a traceback must not keep results alive."""
        self.execution = self.story = self.world = None  # type: ignore[assignment]
        self.value = self.error = None


_FASTER = Cancelled("another call was faster")


def _ask(fallback: Any, error: BaseException) -> Any:
    return fallback(error)


def _chain(failure: BaseException, error: BaseException | None) -> None:
    """Keep the error during which another one was raised, as Python does in an ``except`` block."""
    known = error is None or failure is error or failure is error.__cause__
    if not known and failure.__context__ is None:
        failure.__context__ = error


class _EnteringFailed(Exception):
    """Carries what a foreign limit has raised, so that it is not taken for the job's own."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


def perform(policied: Policied, *, skipped: bool) -> Any:
    """Drive a job in this thread: return its result, or raise its error."""
    try:
        try:
            policied.drive(skipped=skipped).send(None)
        except StopIteration:
            pass
        return _result(policied)
    finally:
        policied.clear()


async def aperform(policied: Policied, *, skipped: bool) -> Any:
    """Drive a job on this loop: return its result, or raise its error."""
    try:
        await policied.drive(skipped=skipped)
        return _result(policied)
    finally:
        policied.clear()


def _result(policied: Policied) -> Any:
    if isinstance(policied.error, Skip):
        policied.execution.keep(policied.i, policied.value)
    if policied.error is not None:
        raise policied.error
    return policied.value


CALLS.update({_ask.__code__, policies.Retry.pause.__code__})
ENGINE.update(
    each.__code__
    for each in (
        _ask,
        policies.Retries.pause,
        policies.Retry.pause,
        Limit.enter,
        perform,
        aperform,
        _result,
        Policied.begin,
        Policied.drive,
        Policied._try,
        Policied._pause,
        Policied._attempt,
        Policied._make_calls,
        Policied._first_good,
        Policied._enter,
        Policied._hold,
        Policied._new,
        Policied._spawn,
        Policied._fall_back,
        Threads.call,
        Threads.wait,
        Loop.call,
        Loop.wait,
    )
)
