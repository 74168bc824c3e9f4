"""Who goes on: the one place where that is decided, for all strands of a run.

Gofer's own code goes first wherever it can, without being a choice: what is chosen among are jobs,
the clock, and what comes from outside.
"""

from __future__ import annotations

import threading
from _thread import allocate_lock
from typing import Any

from gofer._timer import is_gone
from gofer.testing._score import Score
from gofer.testing._strands import (
    ALL,
    CANCEL,
    CLOCK,
    FAILS,
    IDLE,
    MOST,
    NEXT,
    SLEEP,
    STOP,
    TIME,
    TIMEOUT,
    Abandoned,
    Option,
    PlannedFailure,
    Step,
    Strand,
    hands,
    place_of,
    strands,
    uncontrolled,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Conductor(Score):
    """One run: who goes on, what time it is, and what has happened.

    Args:
        choose: Given the step, return the label of one of its options.
        failures: Whether a job may fail at any point, once in a run.
        timeouts: Whether time may pass at any point; else only sleeps may be over late or early.
        tell: Whether to note the lines of code of what happens.

    Attributes:
        now: The time.
        cancel: What cancels the run from outside, while that is still to be explored.
    """

    def __init__(
        self,
        choose: Callable[[Step], str],
        *,
        failures: bool = False,
        timeouts: bool = False,
        tell: bool = False,
    ) -> None:
        self._choose, self._failures, self._timeouts = choose, failures, timeouts
        super().__init__(tell=tell)
        self.now = 1000.0
        self.stood: list[str] = []  # where each job stood when the run was given up
        self.error: BaseException | None = None
        self.cancel: Callable[[], object] | None = None
        self.done = allocate_lock()
        self.done.acquire()
        self.everything = False  # whether each step may touch anything
        self.failed = False  # whether a failure has been planned
        self.disturbed = False  # whether a cancellation or a time out of turn was
        self.strands: list[Strand] = []
        self._entries: list[list[Any]] = []
        self._outside: Strand | None = None
        self._current, self._counts = "", {"": 0}
        self._failing = ""
        self.moves = 0  # so that whoever waits sees that something goes on

    # -- strands

    def begin(self, thread: Any, run: Callable[[], object]) -> Strand:
        """Add a strand; it goes on when it is chosen."""
        strand = self.made(thread)
        self.strands.append(strand)
        if self.running is None:
            self.running = strand
            strand.ready = None
            strand.gate.release()
        with uncontrolled():
            hands.play(lambda: self._play(strand, run))
        return strand

    def made(self, thread: Any) -> Strand:
        """Make a strand."""
        return Strand(thread)

    def _play(self, strand: Strand, run: Callable[[], object]) -> None:
        strand.gate.acquire()
        strand.ident = threading.get_ident()
        strands[strand.ident] = (self, strand)
        try:
            if self.dead is None:
                strand.ready = None
                run()
        except Abandoned:
            pass
        except BaseException as error:
            self.error = error
        strands.pop(strand.ident, None)
        strand.ended = True
        strand.labels.clear()
        if self.dead is not None:
            self._let_go()
            return
        try:
            following = self._next() if not all(s.ended for s in self.strands) else None
        except Abandoned:
            self._let_go()
            return
        if following is None:
            self.done.release()
        else:
            self.running = following
            following.gate.release()

    def _let_go(self) -> None:
        """After its death: the last strand that ends says so."""
        if all(each.ended for each in self.strands) and self.done.locked():
            try:
                self.done.release()
            except RuntimeError:  # another one was the last, too
                return

    def die(self, why: str) -> None:
        """Give the run up: every strand raises ``Abandoned`` wherever it is."""
        if self.dead is None:
            self.stood = [
                f"job {each.labels[-1]!r} waits at {place_of(each)}"
                for each in self.strands
                if each.labels and not each.ended
            ]
            self.dead = why
            for each in self.strands:
                if not each.ended and each.gate.locked():
                    try:
                        each.gate.release()
                    except RuntimeError:
                        continue

    def close(self) -> None:
        """Let everything end that is still there; nothing is a choice any more."""
        self.closing = True
        self._entries.clear()

    # -- what strands call

    def point(self, verb: str, what: str = "", *, write: bool | None = None) -> None:
        """Let another go first, perhaps, before a job does something.

        Raises:
            PlannedFailure: The job is to fail here.
        """
        strand = self.running
        if self.dead is not None:
            raise Abandoned
        if not strand.labels or strand.ident != threading.get_ident():
            return
        if not self.closing:
            strand.access = None if write is None else (what, write)
            self._go_on(strand)
            strand.access = None
        self.fail_if_planned()
        self.note(verb, what)

    def fail_if_planned(self) -> None:
        """Raise the failure that was chosen for the job that runs, if any."""
        if self._failing and self._failing == self.label:
            label, self._failing = self._failing, ""
            self.note("is made to fail")
            raise PlannedFailure(f"the explorer lets job {label!r} fail here")

    def block(
        self, ready: Callable[[], object], until: float | None = None, kind: int = TIMEOUT
    ) -> bool:
        """Wait until something is so, or until a time; return whether it is so."""
        if self.dead is not None:
            raise Abandoned
        strand = self.running
        if not ready():
            strand.ready, strand.until, strand.kind = ready, until, kind
            if until is not None and kind != IDLE:
                self.touch(TIME, write=True)
            self._go_on(strand)
            strand.ready = strand.until = None
            if strand.labels:
                self.touch(STOP, write=False)
        return bool(ready())

    def turn(self, loop: Any) -> Any:
        """Wait until an event loop has something to call; return that."""
        strand = self.running
        strand.loop, strand.ready, strand.picked = loop, lambda: False, None
        try:
            self._go_on(strand)
        finally:
            strand.loop = strand.ready = None
        return strand.picked

    def _go_on(self, me: Strand) -> None:
        following = self._next()
        if following is not me:
            self.running = following
            following.gate.release()
            me.gate.acquire()
        if self.dead is not None:
            raise Abandoned

    # -- time, and what comes from outside

    def add(self, at: float, call: Callable[[], object]) -> list[Any]:
        """Arrange a call at a time; the same as ``_timer.Timer.add``."""
        entry = [at, 0, call]
        if getattr(call, "__name__", "") != "_name_the_deaf" and not self.closing:
            self._entries.append(entry)
        return entry

    def _due(self) -> list[Any]:
        return [each for each in self._entries if not is_gone(each[2]) and each[0] <= self.now]

    def _serve_outside(self) -> None:
        while not self.closing:
            self.block(lambda: self.closing or self._due())
            for entry in self._due():
                self._entries.remove(entry)
                if entry[2] is not None:
                    entry[2]()

    def _times(self) -> Iterator[tuple[float, int]]:
        self._entries = [each for each in self._entries if not is_gone(each[2])]
        yield from ((each[0], TIMEOUT) for each in self._entries)
        for strand in self.strands:
            if strand.ended:
                continue
            if strand.loop is not None:
                yield from strand.loop.times()
            elif strand.until is not None:
                yield strand.until, strand.kind

    def _let_time_pass(self) -> bool:
        """Move the clock on because nobody else can go on; return whether anybody waits for it."""
        later = [each for each in self._times() if each[0] > self.now]
        if not later:
            return False
        kind = max(kind for at, kind in later if at == min(later)[0])
        if not self.closing and kind != IDLE:
            step = self._new_step([Option(CLOCK)], {CLOCK})
            step.chosen = self._choose(step)
            step.touches[ALL if kind == TIMEOUT else TIME] = True
            self._counts[self._current] += 1
            self.events.append((CLOCK, "goes on", "", ""))
        self.now = min(later)[0]
        return True

    def _new_step(self, options: list[Option], enabled: set[str]) -> Step:
        if len(self.steps) >= MOST:
            self.die(f"the run had not ended after {MOST:,} choices")
            raise Abandoned
        step = self._step = Step(options, enabled, self._current, self._counts[self._current])
        self.steps.append(step)
        return step

    def _clock_may_go(self) -> bool:
        later = [each for each in self._times() if each[0] > self.now and each[1] != IDLE]
        if not later or self._timeouts:
            return bool(later)
        first = min(later)[0]
        return all(kind == SLEEP for at, kind in later if at == first)

    # -- who is next

    def _next(self) -> Strand:
        self.moves += 1
        while True:
            strand = self._gofers_own()
            if strand is not None:
                return strand
            options, enabled = self._options()
            if not options:
                if not self._let_time_pass():
                    self.die("nothing can go on any more: a deadlock")
                    raise Abandoned
                continue
            option = self._decide(options, enabled)
            if option.label == CLOCK:
                self._pass_until_something_is_due()
                self.events.append((CLOCK, "goes on", "", ""))
            elif option.label == CANCEL:
                cancel, self.cancel = self.cancel, None
                assert cancel is not None
                self.events.append((CANCEL, "comes", "", ""))
                self._entries.append([self.now, 0, cancel])
            else:
                return self._choice(option)

    def _choice(self, option: Option) -> Strand:
        strand, step = option.strand, self._step
        assert strand is not None
        if option.handle is not None:
            strand.picked, strand.turn = option.handle, len(self.steps) - 1
        if step is not None and strand.picked is not None:
            step.loop, step.turn = strand.picked._loop, strand.turn
        return strand

    def _pass_until_something_is_due(self) -> None:
        later = [at for at, kind in self._times() if at > self.now and kind != IDLE]
        self.now = min(later)

    def _gofers_own(self) -> Strand | None:
        """Return a strand that goes on without being chosen: Gofer's own code, outside of jobs."""
        if self._outside is None and self._due():
            self._outside = self.begin(None, self._serve_outside)
        for strand in self.strands:
            if strand.ended:
                continue
            if strand.loop is not None:
                handle = strand.loop.next_handle()
                if handle is not None:
                    strand.picked = handle
                    return strand
            elif not strand.labels and strand.can(self.now):
                return strand
        return None

    def _options(self) -> tuple[list[Option], set[str]]:
        found: list[Option] = []
        enabled: set[str] = set()
        for strand in self.strands:
            if strand.ended:
                continue
            if strand.loop is not None:
                found += [Option(label, strand, h) for label, h in strand.loop.turns()]
            elif strand.can(self.now):
                found.append(Option(strand.labels[-1], strand, None, strand.access))
                if strand.picked is not None:  # a loop in the midst of a job
                    enabled.update(label for label, _ in strand.picked._loop.turns())
        order = {label: n for n, label in enumerate(self._counts)}
        found.sort(key=lambda each: order.get(each.label, len(order)))
        if self.closing:
            return found, enabled
        if found and self._clock_may_go():
            found.append(Option(CLOCK))
        if found and self.cancel is not None:
            found.append(Option(CANCEL))
        if self._failures and not self.failed:
            can = [
                each for each in found if each.strand and (each.handle or each.strand.can_fail())
            ]
            found += [Option(each.label + FAILS, *each[1:]) for each in can]
        return found, enabled | {each.label for each in found}

    def which(self, names: list[str]) -> int:
        """Choose one of several for Gofer, such as which ready job gets the last place."""
        count = self._counts[NEXT] = self._counts.get(NEXT, 0) + 1
        options = [Option(NEXT + each) for each in names]
        step = Step(options, set(), NEXT, count)
        self.steps.append(step)
        step.chosen = self._choose(step)
        return step.options.index(step.chosen)

    def _goes_on(self, label: str) -> bool:
        """Return whether someone went on in the last step, so that this is a part of it."""
        return self._step is not None and self._step.chosen == label == self._current

    def _decide(self, options: list[Option], enabled: set[str]) -> Option:
        for each in options:
            self._counts.setdefault(each.label, 0)
        if self.closing or (len(options) == 1 and self._goes_on(options[0].label)):
            return options[0]
        step = self._new_step(options, enabled)
        step.chosen = label = self._choose(step)
        option = options[step.options.index(label)]
        if label == CLOCK:
            step.touches[ALL if self._timeouts else TIME] = True
        if label == CANCEL or self.everything:
            step.touches[ALL] = True
        if label.endswith(FAILS):
            self.failed = True
            label = label.removesuffix(FAILS)
            self._failing = label
        self._counts[label] += 1
        if label in (CLOCK, CANCEL):
            self.disturbed |= label == CANCEL or self._timeouts
            self._counts[self._current] += 1
        else:
            self._current = label
        return option
