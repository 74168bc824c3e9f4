"""Small worlds for ``machine``: a run or two, who calls them, and the workers that come.

What is stepped are the real functions of the thread backend, of ``Execution``, ``Workers`` and
``Schedule``, over the real objects; locks, lists, threads and the clock are stood in for. A state
is a tuple of all that may change.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from gofer import JobManager, job
from gofer._core.lanes import THREADS, Lanes
from gofer.backends import _workers
from gofer.backends._execution import Execution

from .codes import GET
from .machine import Desk, Lock, Machine, SharedList, Thing
from .programs import ALONE, FUNCTIONS, stops, waits, works
from .stepped import stepped
from .surroundings import (
    IDLE,
    REFUSED,
    Ctx,
    Gate,
    Job,
    Lane,
    Numbered,
    Own,
    OwnBytes,
    OwnGate,
    Parked,
    Parts,
    SharedParked,
    Stand,
)


class World:
    """Some runs, their callers, and the workers they share."""

    def __init__(
        self,
        shapes: list[str],
        *,
        limit: int | None = None,
        caller: str = "works",
        with_gil: bool = True,
        most: int = 9,
        in_time: int = 9,
        refuses: bool = False,
        idle: bool = False,
        stopped: bool = False,
        change: tuple[Any, str, str] | None = None,
    ) -> None:
        """Make a world.

        Args:
            shapes: Each run's jobs: ``"A B c:AB"``; those with capitals wait for each other.
            limit: How many jobs of a run may run at once.
            caller: What the callers do: "works" for their runs too, or only "waits".
            with_gil: Whether nobody waits for the desk.
            most: How many workers there may be; the system refuses more.
            in_time: How many workers get going; the next one is on its way for ever.
            refuses: Whether it may refuse any other, too.
            idle: Whether parked workers may leave.
            stopped: Whether somebody cancels the first run, at any time.
            change: A function, what to change in its source, and into what.
        """
        self.most, self.in_time, self.refuses, self.idle = most, in_time, refuses, idle
        self.time_out = self.refuse = self.missed = False
        self.own_gate = OwnGate(self)
        self.workers: Any = _workers.Workers()
        self.workers._lock = Lock()
        self.workers._parked = Parked(self)
        self.done = [0] * len(shapes)
        self.meeting = [_capitals(shape) for shape in shapes]
        self.in_jobs = [0] * len(shapes)
        self.runs: list[Any] = [self._run(n, shape, limit) for n, shape in enumerate(shapes)]
        self.can_refuse = refuses or most < 9
        self.looks = caller == "waits" or stopped  # whether somebody looks at it without a job
        flags = {"waking"} | ({"stopped"} if stopped or self.can_refuse else set())
        flags |= {"refused"} if self.can_refuse else set()
        flags |= {"running"} if limit is not None or caller == "waits" else set()
        self.machine = self._machine(stepped(FUNCTIONS, self._names(with_gil), change), flags)
        needs = any(":" in shape for shape in shapes)
        self.callers: list[Any] = []
        for execution in self.runs:
            execution.core._later[THREADS].shared = needs
            execution.core._later[THREADS].unseen = lambda: True  # it is changed under the lock
            execution.core._first[THREADS].unseen = self._is_quiet
            if caller == "waits":
                execution.lane = Lane()
            self.callers.append((waits if caller == "waits" else works, execution))
        if stopped:
            self.callers.append((stops, self.runs[0]))
        self.started: list[Any] = []
        self.alive = self.readers = self.passing = 0
        self.gates = [Gate(slot) for slot in range(len(self.callers) + 12)]
        self.current = -1
        self.serve = self.machine.call(_workers.Workers._serve, self.workers, "worker")
        self.strands, self.states, self.rests = Numbered(), Numbered(), Numbered()
        self.stands: dict[int, Any] = {}
        self.loose: list[int] = []  # strand -> see `_looseness`
        self.fresh = self._numbered((self.serve, True))  # a worker at its beginning
        self.first = self._begin()

    def _machine(self, codes: Any, flags: set[str]) -> Machine:
        machine = Machine(codes, flags, (Lanes, Execution))
        for function in ALONE:
            codes[function].is_alone = True
        machine.is_read = self._is_read
        machine.guards += [execution.lock for execution in self.runs]
        return machine

    def _names(self, with_gil: bool) -> dict[str, Any]:
        """Return what some globals of Gofer's modules are here."""
        thread = Stand()
        return {
            "threading": SimpleNamespace(
                Lock=lambda: self.own_gate,
                current_thread=lambda: thread,
                get_ident=lambda: 0,
            ),
            "_parts": Parts(self),
            "timer": SimpleNamespace(add=lambda at, call: None),
            "IDENTS": {},
            "_WAITS": not with_gil,
            "warn": lambda message: None,
        }

    def _run(self, number: int, shape: str, limit: int | None) -> Any:
        jobs: list[Any] = []
        for each in shape.split():
            name, _, needs = each.partition(":")
            jobs.append(job(_nothing, name=name, after=list(needs)))
        execution: Any = JobManager(jobs, limit=limit)._begin(None, None, None)
        execution.lock, execution.desk = Lock(), Desk()
        execution.desk.stopped = lambda: execution.core.stopped
        execution.desk.missed = self._missed
        execution.ended_elsewhere = SharedList()
        execution.parked = SharedParked(self)
        execution.workers = self.workers
        execution.announcer = SimpleNamespace(add=lambda *_: None, speak=lambda: None)
        execution.ctx = Ctx(execution)
        execution.snapshot = Job(self, number)
        core = execution.core
        core._first = (SharedList(core._first[THREADS]), *core._first[1:])
        execution.waiting = Own()
        core.states, core._pending, core.failures = OwnBytes(core.states), Own(core._pending), Own()
        core._later = (SharedList(core._later[THREADS]), *core._later[1:])
        return execution

    # -- who sees what: see ``machine``

    def _looseness(self, strand: Any) -> int:
        """Return 1 for a strand that may look at ``waking`` without the lock, 2 if it just has."""
        if strand[0] is None:
            return 0
        code, pc, _ = strand[0][-1]
        if code.name in ("Schedule.pass_on", "leave"):
            return 1 if code.ins[pc][0] == GET and code.ins[pc][2] == "waking" else 2
        target, method, _, _ = self.machine.stand(strand[0])
        return int(isinstance(target, Job) and method == "run")

    def _is_read(self, flag: str) -> bool:
        return bool(self.readers or (flag != "waking" and (self.passing or self.looks)))

    def _is_quiet(self) -> bool:
        """Return whether nobody can take a root without the lock.

        That is done in ``pass_on``, after a look at ``waking``, which stays as it is meanwhile.
        """
        if self.passing:
            return False
        return not self.readers or not any(each.core.waking for each in self.runs)

    # -- what strands do

    def _missed(self) -> None:
        self.missed = True

    def own(self) -> Gate:
        """Return the gate of the strand that moves."""
        return self.gates[self.current]

    def workers_in(self, state: Any) -> int:
        """Return how many workers there are in a state."""
        return len(state) - 1 - len(self.callers)

    def running_in(self, state: Any) -> list[int]:
        """Return how many jobs of each run count as running in a state."""
        return [self.states.things[saved][0][0] for saved in self.rests.things[state[0]][0]]

    def is_late(self, state: Any) -> bool:
        """Return whether the last worker is on its way for ever."""
        return self.workers_in(state) > self.in_time

    def is_full(self) -> bool:
        """Return whether there are as many workers as there may be."""
        return self.alive + len(self.started) >= self.most

    def start(self) -> None:
        """Start a worker, or refuse."""
        if self.refuse:
            self.refuse = False
            raise REFUSED
        self.started.append(self.serve)

    def ran(self, number: int, i: int) -> None:
        """Note that a job has run: by whom is the same to all."""
        assert not self.done[number] >> i & 1, f"job {i} of run {number} ran twice"
        self.done[number] |= 1 << i

    def may_end(self, number: int, i: int) -> bool:
        """Return whether a job may end: all that it meets have begun."""
        meeting = self.meeting[number]
        return not meeting >> i & 1 or not meeting & ~(self.done[number] | self.in_jobs[number])

    # -- states

    def _begin(self) -> Any:
        strands = []
        for slot, (function, execution) in enumerate(self.callers):
            self.current = slot
            strands.append((self.machine.call(function, execution), self.own().locked))
        return self.save(strands)

    def save(self, strands: list[Any]) -> Any:
        """Return the state; workers stand in an order that does not tell which is which."""
        return self.settle([self._numbered(each) for each in strands], self._rest())

    def _rest(self) -> int:
        """Return the number of all that is no strand."""
        workers = self.workers
        return self.rests.number(
            (
                tuple([self._saved(number) for number in range(len(self.runs))]),
                workers._lock.locked,
                workers._coming,
                tuple([self.runs.index(each) for each in workers._wanting]),
                tuple([gate.slot for gate in workers._parked]),
            )
        )

    def settle(self, strands: list[int], rest: int) -> tuple[int, ...]:
        """Return the state with these strands and this rest, in which slots are the old ones."""
        count, (*others, parked) = len(self.callers), self.rests.things[rest]
        if not parked and not self.idle:
            return (rest, *strands[:count], *sorted(strands[count:]))
        kept = []
        for slot in range(count, len(strands)):
            if self.strands.things[strands[slot]][0] is not None:  # it has not left
                kept.append((strands[slot], parked.index(slot) if slot in parked else -1, slot))
        kept.sort()
        places = {each[2]: count + at for at, each in enumerate(kept)}
        rest = self.rests.number((*others, tuple([places[slot] for slot in parked])))
        return (rest, *strands[:count], *[each[0] for each in kept])

    def _saved(self, number: int) -> int:
        execution = self.runs[number]
        core, lane = execution.core, execution.lane
        return self.states.number(
            (
                (core.running, core.stopped, core.waking, core.cut, core.first),
                tuple(core.failures),
                bytes(core.states),
                tuple(core._pending),
                tuple(core._first[THREADS]),
                tuple(core._later[THREADS]),
                tuple([gate.slot for gate in execution.parked]),
                tuple(execution.ended_elsewhere),
                (execution.lock.locked, execution.desk.locked, execution.ctx.cancelled),
                execution.refused,
                lane is not None and lane.posted,
                self.done[number],
            )
        )

    def load(self, state: Any) -> None:
        """Put the world into a state."""
        strands = state[1:]
        runs, locked, coming, wanting, parked = self.rests.things[state[0]]
        gates, workers = self.gates, self.workers
        for number, saved in enumerate(runs):
            self._restore(number, self.states.things[saved])
        workers._lock.locked, workers._coming = locked, coming
        workers._wanting = dict.fromkeys([self.runs[each] for each in wanting])
        workers._parked[:] = [gates[slot] for slot in parked]
        self.in_jobs = [0] * len(runs)
        self.readers = self.passing = 0
        for slot, number in enumerate(strands):
            self.readers += self.loose[number] == 1
            self.passing += self.loose[number] == 2
            gates[slot].locked = self.strands.things[number][1]
            at = self.at_job(number)
            if at is not None:
                self.in_jobs[at[0]] |= 1 << at[1]
        self.alive = len(strands) - len(self.callers)
        self.started.clear()

    def _restore(self, number: int, saved: Any) -> None:
        execution = self.runs[number]
        core, lane = execution.core, execution.lane
        flags, failures, states, pending, first, later, parked, ended, locks, *more = saved
        core.running, core.stopped, core.waking, core.cut, core.first = flags
        core.failures[:], core.states[:], core._pending[:] = failures, states, pending
        core._first[THREADS][:], core._later[THREADS][:] = first, later
        execution.parked[:] = [self.gates[slot] for slot in parked]
        execution.ended_elsewhere[:] = ended
        execution.lock.locked, execution.desk.locked, execution.ctx.cancelled = locks
        execution.refused, posted, self.done[number] = more
        if lane is not None:
            lane.posted = posted

    def _numbered(self, strand: Any) -> int:
        number = self.strands.number(strand)
        if number == len(self.loose):
            self.loose.append(self._looseness(strand))
        return number

    def stand(self, number: int) -> Any:
        """Return what a strand does next; see ``Machine.stand``."""
        known = self.stands.get(number)
        if known is None:
            frames = self.strands.things[number][0]
            known = self.stands[number] = frames and self.machine.stand(frames)
        return known

    def at_job(self, number: int) -> tuple[int, int] | None:
        """Return the run and the job that a strand is in, if it is."""
        stand = self.stand(number)
        if stand is None or not isinstance(stand[0], Job) or stand[1] != "run":
            return None
        return stand[0].number, stand[2][1]

    def step(self, state: Any, move: tuple[int, str]) -> Any:
        """Return the state after a strand's move."""
        slot, how = move
        new, opened, started, rest = self.effect(state, slot, how)
        return self.after(state, slot, new, opened, started, rest)

    def effect(self, state: Any, slot: int, how: str) -> tuple[int, tuple[int, ...], int, int]:
        """Do a strand's move: return it, whose gates it opens, how many it starts, and the rest."""
        self.load(state)
        self.current = slot
        self.refuse, self.time_out = how == "refused", how == "idle"
        self.missed = False
        frames = self.machine.step(self.strands.things[state[slot + 1]][0])
        new = self._numbered((frames, self.gates[slot].locked))
        opened = [
            at
            for at, number in enumerate(state[1:])
            if at != slot and self.gates[at].locked != self.strands.things[number][1]
        ]
        return new, tuple(opened), len(self.started), self._rest()

    def after(
        self, state: Any, slot: int, new: int, opened: tuple[int, ...], started: int, rest: int
    ) -> Any:
        """Return the state with what a move has changed."""
        strands = list(state[1:])
        strands[slot] = new
        for at in opened:
            strands[at] = self._numbered((self.strands.things[strands[at]][0], False))
        strands += [self.fresh] * started
        return self.settle(strands, rest)

    def moves(self, state: Any) -> list[tuple[int, str]]:
        """Return what may happen next, in this state, which has been loaded."""
        return [(slot, how) for slot in range(len(state) - 1) for how in self.ways(state, slot)]

    def ways(self, state: Any, slot: int) -> list[str]:
        """Return how a strand may go on, in this state, which has been loaded."""
        self.time_out = False
        stand = self.stand(state[slot + 1])
        if stand is None:
            return []
        if state[slot + 1] == self.fresh and self.is_late(state):
            return []
        self.current = slot
        target, method, args, named = stand
        if isinstance(target, Parts):
            full = self.is_full()
            return ["started"] * (not full) + ["refused"] * (self.refuses or full)
        if not isinstance(target, Thing) or target.ready(method, args, named):
            return ["job" if isinstance(target, Job) and method == "run" else "goes on"]
        idle = self.idle and isinstance(target, OwnGate) and named.get("timeout") == IDLE
        return ["idle"] if idle else []


def _nothing() -> None:
    """Do nothing."""


def _capitals(shape: str) -> int:
    names = [each.partition(":")[0] for each in shape.split()]
    return sum(1 << i for i, name in enumerate(names) if name.isupper())
