"""What a thread does that works for a run: take a ready job, run it, book it, take the next.

Wake one, and each woken thread wakes the next before it starts its job, only while more jobs are
ready and the limit allows (``Lanes.wants``). A job that blocks lets go of the GIL, so the next
thread starts at once; jobs that end quickly never cause a wake-up. A thread that ends a job takes
the next one itself. The caller of a run works for it, too. ``_workers`` has the other threads.

Why nobody waits for the lock. With a GIL, a thread that loses it in a locked section makes another
wait for the lock; that one is given the lock before it has the GIL; now the first waits for it; and
so on, two changes of thread for each job. So whoever ends a job asks for the desk, and does not
wait. If another thread has it, the job's end is left there, for that thread to book, and the thread
leaves: while jobs are so short that this happens, fewer threads are better, and if there is more to
do, the other one sends for a thread. An end that is left while the other thread gives the desk back
is seen by one of the two: the one looks after it has given it back, the other asks once more after
it has left it.

Why no wake-up is lost. What may start is changed and asked about under the run's lock. Whoever
makes jobs ready, or frees a place, asks ``wants`` in the same or a later locked section, and one
of these holds: it takes the job itself; ``waking`` is set, so a thread is on its way, which
clears it and looks again under the lock; or it wakes one. A thread parks itself only in a locked
section in which nothing was ready.
"""

from __future__ import annotations

import sys
import threading

from gofer import _parts
from gofer._core.lanes import NOTHING, THREADS
from gofer._core.states import CANCELLED, FAILED, SUCCEEDED
from gofer.backends._execution import Execution
from gofer.backends._frames import ENGINE, WAITS
from gofer.errors import InvalidTransition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_WAITS = not _parts.HAS_GIL
"""Whether to wait for the desk: without a GIL whoever has it runs, and is done in a moment."""
_A_LOOK = 0.05  # seconds between two looks whether a run was stopped


def work(
    execution: Execution,
    label: str,
    thread: threading.Thread | None = None,
    *,
    only: int | None = None,
) -> bool:
    """Run ready jobs of a run, one after the other, until none may start.

    Args:
        execution: The run.
        label: What the report calls this thread.
        thread: This thread, if it is to be called like the job that it runs.
        only: The one job to run, if it is the next in line; None means all that there is.

    Returns:
        Whether it left for another thread's sake: there may be more to do, which that one sees to.
    """
    core, lock, clock, start = execution.core, execution.lock, _parts.clock, execution.start
    observers, waiting = execution.observers, execution.waiting
    desk, ended_elsewhere = execution.desk, execution.ended_elsewhere
    turn, passes = (core.turn, core.passes) if only is None else (core.last, False)
    if not desk.acquire(False) and not (
        (_WAITS or only is not None or execution.refused) and _wait_for_desk(execution)
    ):
        ended_elsewhere.append((NOTHING, 0.0))  # nothing ended, but this thread has arrived
        _clear_desk(execution)
        return True
    with lock:
        if only is None:
            core.waking = False
            i = core.take(THREADS, clock() - start)
        else:  # unless somebody else has just taken it
            i = core.take(THREADS, clock() - start) if core.head(THREADS) == only else NOTHING
        wake = i >= 0 and core.wants()
        # `pass_on` may have left the last free place to the loop, and counts on this look.
        lane = execution.lane
        post = lane is not None and core.calls
    desk.release()
    if post:
        lane.post()
    if ended_elsewhere:
        _clear_desk(execution)
    if i < 0:
        return False
    # Only now is it sure that the run goes on; it does until the job in hand has ended.
    call, copy, ctx = execution.call, execution.snapshot.copy, execution.ctx
    try:
        while i >= 0:
            if wake:
                wake = False
                execution.wake()
            if thread is not None:
                thread.name = f"gofer:{execution.name_of(i)}"
            outcome = SUCCEEDED
            try:
                copy().run(call, i, label)
                at = clock() - start
            except BaseException as error:
                at = clock() - start
                outcome = _caught_in_turn(execution, i, error)
            if observers:
                execution.tell_ended(i, outcome, at)
            if passes and outcome == SUCCEEDED and (j := core.pass_on(i, at)) >= 0:
                i = j
                continue
            has_desk = desk.acquire(False)
            if not has_desk and (_WAITS or outcome != SUCCEEDED):
                has_desk = _wait_for_desk(execution)
            if not has_desk and outcome == SUCCEEDED:
                ended_elsewhere.append((i, at))
                i = NOTHING
                _clear_desk(execution)
                return True
            failure = execution.errors[i] if outcome == FAILED else None
            j, lane = i, execution.lane
            with lock:
                i = turn(j, outcome, THREADS, at)
                wake = not core.waking and core.wants()
                finished = i < 0 and core.finished
                post = lane is not None and core.calls
            if has_desk:
                desk.release()
            if failure is not None:
                if core.fail_fast and core.first == j:
                    ctx.cancel(failure)
                failure = None  # the error's traceback may hold this frame
            if waiting:
                execution.notify()
            if wake and i < 0:  # with `only`: others have to go on
                execution.wake()
            if finished:
                execution.finish()
            elif post:
                lane.post()
            if ended_elsewhere:
                _clear_desk(execution)
            if outcome == FAILED:  # last, as whoever listens may take long
                if wake and i >= 0:
                    wake = False
                    execution.wake()
                execution.announce()
    finally:
        if i >= 0:
            _abandon(execution, i, sys.exception())
    return False


def _caught_in_turn(execution: Execution, i: int, error: BaseException) -> int:
    """Note what a job raised; without a GIL, at the desk.

    There each dict and set has a lock of its own. While threads stood in line for these, new ones
    found the desk free and took the next jobs, so that each of 100,000 that failed took a thread.
    At the desk a new one stands behind them.
    """
    has_desk = _WAITS and _wait_for_desk(execution)
    try:
        return execution.caught(i, error)
    finally:
        if has_desk:
            execution.desk.release()


def _wait_for_desk(execution: Execution) -> bool:
    """Wait for the desk; return False where a stop came first.

    After a stop nobody needs it, and one that was torn out of ``work`` may have it for ever.
    """
    while not execution.desk.acquire(timeout=_A_LOOK):
        if execution.core.stopped:
            return False
    return True


def _clear_desk(execution: Execution) -> None:
    """Book what ended elsewhere, unless another thread has the desk: it does so when it leaves it.

    After a stop it does not ask for the desk: see ``_wait_for_desk``.
    """
    core, desk, ended_elsewhere = execution.core, execution.desk, execution.ended_elsewhere
    while ended_elsewhere:
        ask = not core.stopped
        if ask and not desk.acquire(False):
            return
        with execution.lock:
            while ended_elsewhere:
                try:
                    i, at = ended_elsewhere.pop()
                except IndexError:  # somebody else took the last one
                    break
                if i == NOTHING:
                    core.waking = False
                else:
                    core.ended(i, SUCCEEDED, at)
            wake, finished = core.wants(), core.finished
            lane = execution.lane
            post = lane is not None and core.calls
        if ask:
            desk.release()
        if execution.waiting:
            execution.notify()
        if wake:
            execution.wake()
        if finished:
            execution.finish()
        elif post:
            lane.post()


def _abandon(execution: Execution, i: int, error: BaseException | None) -> None:
    """End a job whose thread was torn out of ``work``: by a signal handler that raised, say."""
    execution.ctx.cancel(error)
    _clear_desk(execution)
    with execution.lock:
        try:
            execution.core.ended(i, CANCELLED, _parts.clock() - execution.start)
        except InvalidTransition:  # it had been booked just before
            return
    if execution.over():
        execution.finish()


def work_and_wait(execution: Execution) -> None:
    """Work for a run in the calling thread, until it is over.

    Whatever a signal handler raises in here cancels the run, and goes on when the run is over; the
    KeyboardInterrupt of a second Ctrl-C goes on at once.
    """
    try:
        _work_and_wait(execution)
    except BaseException as error:
        if not execution.hurried:
            execution.ctx.cancel(error)
            _work_and_wait(execution)
        raise


def _work_and_wait(execution: Execution) -> None:
    gate = threading.Lock()
    gate.acquire()
    label = threading.current_thread().name
    execution.caller = threading.get_ident()
    core = execution.core
    while True:
        left = work(execution, label)
        with execution.lock:
            # Whoever it left the rest to may send for a thread, and be refused.
            if core.has_ready(THREADS) and (not left or execution.refused):
                continue
            # It looks when it is parked, as a stop, which needs no lock, tells those who are.
            execution.parked.append(gate)
            if core.finished and not execution.out:
                return
        wait(gate, execution)


def wait(gate: Any, execution: Execution) -> None:
    """Wait until a gate opens.

    Raises:
        BaseException: At a second Ctrl-C, or the like; the handler raises it only in this function,
            and leaves a note where it came too early for that.
    """
    if execution.hurried:
        raise execution.interrupted or KeyboardInterrupt
    while not gate.acquire(timeout=_parts.LISTEN):
        pass


ENGINE.add(work.__code__)
WAITS.add(wait.__code__)
