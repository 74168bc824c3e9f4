"""The thread backend's own code, interrupted at each use of a lock, a shared list or a flag.

The code is the real one. Only what its threads share is replaced: locks by the explorer's, the
lists and flags that are used without a lock by some that are points, too. So what is explored are
all orders of those operations that can differ.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from textwrap import dedent
from typing import Any

import pytest

from gofer import JobManager, _running, job
from gofer._core.schedule import Schedule
from gofer.testing._conductor import Conductor
from gofer.testing._directed import direct
from gofer.testing._reduction import Explorer
from gofer.testing._strands import Strand, mine
from gofer.testing.exploring import exploring


class Fine(Conductor):
    """A conductor to whom no code is Gofer's own: all strands are chosen among.

    What is done under the run's lock is one step, so nobody else runs while it is held.

    Attributes:
        guard: That lock.
    """

    fine = True
    guard: Any = None

    def made(self, thread: Any) -> Strand:
        """Make a strand; it has a name from its beginning."""
        strand = super().made(thread)
        strand.labels.append(self.unique("the caller" if self.running is None else "worker"))
        return strand


def use(what: str, *, write: bool) -> None:
    """Be a point, if a strand calls this that does not have the run's lock."""
    conductor = mine()
    if isinstance(conductor, Fine) and conductor.dead is None:
        guard = conductor.guard
        if guard is None or not guard.locked():  # else the caller has it: see `Fine`
            conductor.point("writes" if write else "reads", what)
        conductor.touch((what, False, ""), write=write)


class SharedList(list[Any]):
    """A list each use of which is a point."""

    def __init__(self, name: str, items: Any = ()) -> None:
        super().__init__(items)
        self.name = name

    def append(self, item: Any) -> None:
        """Append, atomically."""
        use(self.name, write=True)
        super().append(item)

    def pop(self, *args: Any) -> Any:
        """Take the last one, atomically."""
        use(self.name, write=True)
        return super().pop(*args)

    def __len__(self) -> int:
        use(self.name, write=False)
        return super().__len__()

    def __bool__(self) -> bool:
        return len(self) > 0

    def __getitem__(self, i: Any) -> Any:
        use(self.name, write=False)
        return super().__getitem__(i)


def flag(name: str) -> Any:
    """Return a property that is a point whenever it is read or written."""
    key = f"_{name}"

    def get(self: Any) -> Any:
        use(name, write=False)
        return getattr(self, key)

    def put(self: Any, value: Any) -> None:
        use(name, write=True)
        setattr(self, key, value)

    return property(get, put)


class FineSchedule(Schedule):
    """The real schedule, where what is used without the run's lock is a point."""

    waking: Any = flag("waking")
    stopped: Any = flag("stopped")
    running: Any = flag("running")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._first = tuple(SharedList(f"line {n}", each) for n, each in enumerate(self._first))  # type: ignore[assignment]


def fine_execution(real: Any) -> Callable[..., None]:
    """Return an ``__init__`` after which the lists of an execution are points."""

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        real(self, *args, **kwargs)
        conductor = mine()
        if isinstance(conductor, Fine):
            conductor.guard = self.lock
            self.parked = SharedList("parked")
            self.ended_elsewhere = SharedList("desk")

    return init


def meeting(size: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return a job that waits until so many of it have begun, and what begins the next run."""
    begun: list[int] = []

    def meet() -> None:
        begun.append(1)
        conductor = mine()
        if conductor is not None:
            conductor.block(lambda: len(begun) >= size)

    return meet, begun.clear


class Explored:
    """What came of exploring.

    Attributes:
        runs: How many.
        broken: What was wrong with the first one that broke, or None.
        exhaustive: Whether there are no more.
    """

    def __init__(self) -> None:
        self.runs, self.broken, self.exhaustive = 0, "", False
        self.choices = 0


def explored(
    manager: JobManager,
    reset: Callable[[], None],
    patch: pytest.MonkeyPatch,
    *,
    most: int,
    chooser: Callable[[int], Any] | None = None,
) -> Explored:
    """Run a manager in all orders of the operations of its threads, or in so many."""
    explorer, result = Explorer(), Explored()
    with exploring(), patch.context() as own:
        own.setattr(_running, "Schedule", FineSchedule)
        init = _running.RunExecution.__init__
        own.setattr(_running.RunExecution, "__init__", fine_execution(init))
        while result.runs < most and not explorer.is_over:
            conductor = Fine(explorer if chooser is None else chooser(result.runs))
            runs: list[Any] = []
            reset()
            direct(conductor, lambda runs=runs: runs.append(manager.execute()), 60.0)  # type: ignore[misc]
            result.runs += 1
            result.choices = max(result.choices, len(conductor.steps))
            if conductor.dead is not None or conductor.error is not None:
                result.broken = f"{conductor.dead} {conductor.error!r} {conductor.stood}"
                return result
            assert runs[0].state == "succeeded"
            runs[0]._schedule.check()
            if chooser is None:
                assert explorer.parted is None, explorer.parted
                explorer.ended(conductor.steps)
    result.exhaustive = explorer.is_over
    return result


@contextmanager
def mutated(function: Any, old: str, new: str) -> Iterator[None]:
    """Change some text in the source of a function, for a while; the code object alone."""
    source = dedent(inspect.getsource(function))
    assert source.count(old) == 1, f"{old!r} is {source.count(old)} times in {function}"
    space: dict[str, Any] = {}
    exec(compile(source.replace(old, new), "<mutant>", "exec"), dict(function.__globals__), space)
    before = function.__code__
    function.__code__ = space[function.__name__].__code__
    try:
        yield
    finally:
        function.__code__ = before


def graph(shape: str, meet: Callable[[], None]) -> JobManager:
    """Return a small graph by the names and needs of its jobs; those with capitals meet.

    Such as ``"a B:a C:a d:BC"``: ``B`` and ``C`` need ``a``, meet, and ``d`` needs them.
    """
    jobs: list[Any] = []
    for each in shape.split():
        name, _, needs = each.partition(":")
        fn = meet if name.isupper() else (lambda: None)
        jobs.append(job(fn, name=name, after=list(needs)))
    return JobManager(jobs)


class SharedDict(dict[Any, Any]):
    """A dict each use of which is a point, and atomic."""

    def __init__(self, name: str, items: Any = ()) -> None:
        super().__init__(items)
        self.name = name

    def setdefault(self, key: Any, value: Any = None) -> Any:
        """Put, unless there is something."""
        use(self.name, write=True)
        return super().setdefault(key, value)

    def pop(self, *args: Any) -> Any:
        """Take out."""
        use(self.name, write=True)
        return super().pop(*args)

    def popitem(self) -> Any:
        """Take any out."""
        use(self.name, write=True)
        return super().popitem()

    def __setitem__(self, key: Any, value: Any) -> None:
        use(self.name, write=True)
        super().__setitem__(key, value)

    def __len__(self) -> int:
        use(self.name, write=False)
        return super().__len__()

    def __bool__(self) -> bool:
        return len(self) > 0


def together(
    prepare: Callable[[], tuple[list[Callable[[], object]], Callable[[], object]]], most: int
) -> tuple[int, bool]:
    """Let functions run at the same time, in all orders that can differ, or in so many.

    Args:
        prepare: Returns the functions, and what checks how it went.
        most: How many orders.

    Returns:
        How many were run, and whether these are all.
    """
    explorer, runs = Explorer(), 0
    with exploring():
        while runs < most and not explorer.is_over:
            conductor = Fine(explorer)
            checks: list[Callable[[], object]] = []

            def body(checks: list[Callable[[], object]] = checks) -> None:
                functions, check = prepare()
                checks.append(check)
                threads = [threading.Thread(target=each) for each in functions]
                for each in threads:
                    each.start()
                for each in threads:
                    each.join()

            direct(conductor, body, 60.0)
            runs += 1
            assert conductor.dead is None, conductor.stood
            assert conductor.error is None, conductor.error
            checks[0]()
            assert explorer.parted is None, explorer.parted
            explorer.ended(conductor.steps)
    return runs, explorer.is_over
