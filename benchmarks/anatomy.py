"""`python -m benchmarks.anatomy`: where the time of a job that does nothing goes, piece by piece.

Each piece is measured alone, in a loop whose own cost is taken off; the whole is measured in a run.
What the pieces do not add up to is the loop around them, and what a processor does worse when it
does all of it in turn.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from time import perf_counter
from typing import Any

from benchmarks.blocking import noop
from benchmarks.graphs import Graph, random_needs
from benchmarks.loops import yielding
from benchmarks.measure import say
from gofer import Context, JobManager, _parts, job
from gofer._core.lanes import LOOP, THREADS
from gofer._core.schedule import Schedule
from gofer._core.states import SUCCEEDED
from gofer._running import RunExecution

COUNT, ROUNDS = 1000, 15


def best(work: Callable[[], object]) -> float:
    """Return the nanoseconds of one of ``COUNT`` repetitions that ``work`` does, at best."""
    least = float("inf")
    for _ in range(ROUNDS):
        start = perf_counter()
        work()
        least = min(least, perf_counter() - start)
    return least / COUNT * 1e9


def repeated(call: Callable[[], object]) -> float:
    """Return the nanoseconds that a call takes, beside the loop around it."""

    def loop() -> None:
        for _ in range(COUNT):
            call()

    def empty() -> None:
        for _ in range(COUNT):
            pass

    return best(loop) - best(empty)


def _begun(manager: JobManager) -> RunExecution:
    return manager._begin(None, None, None)


def _core(manager: JobManager, lane: int, *, pass_on: bool = False) -> Callable[[], None]:
    """Return a function that takes the core alone through a run, a job after the other."""
    plan = manager._program().plan

    def play() -> None:
        core = Schedule(plan)
        core.waking = True
        i = core.take(lane, 0.0)
        while i >= 0:
            j = core.pass_on(i, 0.0) if pass_on else -1
            i = j if j >= 0 else core.turn(i, SUCCEEDED, lane, 0.0)

    return play


def _locked() -> float:
    lock = threading.Lock()

    def both() -> None:
        with lock:
            pass

    return repeated(both)


def _calls(manager: JobManager) -> float:
    """Return what it takes to call every job of a run, with what it needs."""
    execution = _begun(manager)
    execution.results[:] = [1] * COUNT
    return best(lambda: [execution.call(i, "here") for i in range(COUNT)])


def _copies() -> float:
    context = copy_context()
    return repeated(lambda: context.copy().run(len, ""))


def _clock() -> float:
    return repeated(_parts.clock)


def plain() -> Iterator[tuple[str, float]]:
    """Take a plain job apart."""
    manager = JobManager([job(noop, name=f"j{i}") for i in range(COUNT)])
    yield "the whole: jobs that nobody waits for", best(manager.execute)
    yield "call it, keep the result and the thread's name", _calls(manager)
    yield "a context of its own: copy, enter, leave", _copies()
    yield "the clock, once", _clock()
    yield "the next job, without a lock", best(_core(manager, THREADS, pass_on=True))


def graph() -> Iterator[tuple[str, float]]:
    """Take a job that takes three results apart."""
    manager = JobManager(Graph(random_needs(COUNT)).jobs())
    yield "the whole: jobs with three needs, results passed", best(manager.execute)
    yield "call it with three results", _calls(manager)
    yield "a context of its own: copy, enter, leave", _copies()
    yield "the clock, once", _clock()
    yield "count down three dependents, and the next job", best(_core(manager, THREADS))
    yield "the desk and the lock", 2 * _locked()


def asynchronous() -> Iterator[tuple[str, float]]:
    """Take an async job apart, which lets others run once."""
    manager = JobManager([job(yielding, name=f"j{i}") for i in range(COUNT)])

    async def tasks() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(COUNT):
            last = asyncio.Task(yielding(None, None), loop=loop)
        await last

    with asyncio.Runner() as runner:

        def on_loop(fn: Callable[[], Any]) -> float:
            async def timed() -> float:
                start = perf_counter()
                await fn()
                return perf_counter() - start

            return min(runner.run(timed()) for _ in range(ROUNDS)) / COUNT * 1e9

        yield "the whole: async jobs, sleep(0)", on_loop(manager.aexecute)
        yield "asyncio's task and the job alone, nobody waits for it", on_loop(tasks)
    yield "a context of its own, copied", repeated(copy_context().copy)
    yield "the clock, once", _clock()
    yield "the next job", best(_core(manager, LOOP))


def fixed() -> Iterator[tuple[str, float]]:
    """Take a run of no jobs apart."""
    manager = JobManager([])
    yield "the whole: a run of no jobs", repeated(manager.execute)
    yield "its state: begin and end", repeated(lambda: _begun(manager).ended(None))
    yield "of that, the schedule", repeated(lambda: Schedule(manager._program().plan))
    yield "of that, a context", repeated(Context)


def main() -> None:
    """Print all of it."""
    for pieces in (plain, graph, asynchronous, fixed):
        for n, (what, nanoseconds) in enumerate(pieces()):
            say(f"{'' if n else chr(10)}{nanoseconds:8,.0f} ns  {'  ' if n else ''}{what}")


if __name__ == "__main__":
    main()
