"""The pool: one thread that gives jobs of all runs to worker processes, and books how they ended.

Other threads only leave word for it. It takes ready jobs from the runs when workers have room,
sends several at once where they are short, and asks them back where they turn out to be long.
"""

from __future__ import annotations

import math
import signal
import socket
import threading
from collections import deque
from contextlib import suppress
from functools import partial
from itertools import count

from gofer import _parts
from gofer._core.lanes import AWAY
from gofer.backends import _letters
from gofer.backends._port import Port
from gofer.backends._staff import Staff, how
from gofer.errors import Cancelled, JobCrashed, describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gofer.backends._errands import Errand
    from gofer.backends._execution import Execution
    from gofer.backends._hand import Hand
    from gofer.backends._parcels import Parcel
    from gofer.errors import WorkerFailed

_LISTEN = 1.0  # seconds after which it looks up: a signal handler that raises may keep it unrung
_NOTICE = 0.1  # seconds that a stopped job has to end by itself, before it gets a signal
_WORTH = 0.005  # seconds of work for which it pays to start a worker
_FAULTS = 3  # of this thread in a row, after which it ends
_KNOWN = 1000  # functions of which it is known how long they take


class Pool:
    """The workers of one backend, and the runs that they work for.

    Attributes:
        numbers: Gives each run, function and errand a number of its own.
        paces: What is called -> seconds that it takes, as far as it is known.
        functions: As those of a port, but of all runs: what is found by its name.
    """

    def __init__(
        self,
        starter: Callable[[], Any],
        *,
        workers: int,
        grace: float,
        most_jobs: int | None = None,
        memory: int | None = None,
    ) -> None:
        """Begin with no worker and no thread; see ``ProcessBackend`` for the arguments."""
        self.workers = workers
        self._grace = grace
        self._make_staff: Callable[[], Staff] = lambda: Staff(
            self, starter(), workers, most_jobs, memory
        )
        self.numbers = count(1)
        self.paces: dict[Any, float] = {}
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()  # around whether there is a thread
        self._thread: threading.Thread | None = None
        self._closing = self._at_exit = False
        self._word: deque[tuple[str, Any]] = deque()  # left by other threads
        self._awake = False  # whether the bell has been rung
        self._bell: Any = None  # and its rope, while there is a thread
        self._rope: Any = None
        self._ports: dict[Port, None] = {}
        self._hungry: dict[Port, None] = {}  # those that may have ready jobs
        self._line: deque[Errand] = deque()  # taken, and with no worker
        self._stopping: set[Errand] = set()  # told to stop, and not ended
        self._round = 0
        self._staff = self._make_staff()
        self.functions: dict[int, tuple[int, int, Parcel, Any]] = {}

    def open(self, execution: Execution) -> Port:
        """Serve a run."""
        port = Port(self, execution)
        with self._lock:
            if self._thread is None:
                self._start()
            self._ports[port] = None
        return port

    def _start(self) -> None:
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._rope.setblocking(False)
        self._awake = False
        thread = _parts.Thread(self._serve, name="gofer:processes")
        try:
            _parts.start_thread(thread)
        except BaseException:
            self._unhang()
            raise
        self._thread = thread

    # From any thread, and from a signal handler: no locks

    def leave_word(self, kind: str, what: Any) -> None:
        """Have the thread ``look`` at a port, ``send`` or ``stop`` an errand, or ``close``."""
        self._word.append((kind, what))
        if not self._awake:
            self._awake = True
            rope = self._rope
            try:
                if rope is not None:
                    rope.send(b"!")
            except OSError:  # it rings already, or the thread has just left
                pass

    def close(self, *, at_exit: bool = False) -> None:
        """End all workers, and wait a moment for them; the next run starts others.

        Args:
            at_exit: Whether the program ends, so that runs which were left are not waited for.
        """
        with self._lock:
            thread, self._closing, self._at_exit = self._thread, True, at_exit
        if thread is not None:
            self.leave_word("close", None)
            thread.join(5.0)
        self._closing = False

    # The thread

    def _serve(self) -> None:
        faults, fault = 0, None  # in a row, and the last
        while faults < _FAULTS:
            try:
                self._staff.open(self._bell, self._heard)
                while self._turn():
                    faults = 0
                return
            except BaseException as error:
                faults, fault = faults + 1, error
                self._broken(error)
        with self._lock:
            ports = list(self._ports)
            self._ports.clear()
            self._thread = None
            self._unhang()
        for port in ports:  # one may have come meanwhile, and nobody serves them any more
            while self._fail(port, [], fault):
                pass
        del fault

    def _turn(self) -> bool:
        """Wait for news and see to them; return whether to go on."""
        self._staff.wait(self._timeout())
        self._awake = False
        self._obey()
        for port in list(self._ports):
            if port.ended:
                port.book()
        self._round += 1
        self._assign()
        self._press()
        self._staff.see_to_times()
        self._staff.flush()
        left = self._ports and not self._at_exit
        if left or (self._staff.hands and not self._closing):
            return True
        with self._lock:
            left = self._ports and not self._at_exit
            if left or any(kind == "send" for kind, _ in self._word):
                return True
            self._thread = None
            self._staff.close(at_once=bool(self._ports))
            self._staff = self._make_staff()
            self._unhang()
        return False

    def _unhang(self) -> None:
        self._bell.close()
        self._rope.close()
        self._bell = self._rope = None

    def _timeout(self) -> float | None:
        if self._word or any(port.ended for port in list(self._ports)):
            return 0.0
        times = [*[errand.due for errand in self._stopping], *self._staff.due()]
        if self._ports:
            times.append(_parts.clock() + _LISTEN)
        return max(0.0, min(times) - _parts.clock()) if times else None

    def _heard(self, _events: int) -> None:
        with suppress(BlockingIOError):
            self._bell.recv(4096)

    def _obey(self) -> None:
        """Do what other threads have left word of."""
        while self._word:
            kind, what = self._word.popleft()
            if kind == "look":
                self._look(what)
            elif kind == "send":
                what.port.errands.add(what)
                self._line.append(what)
            elif kind == "stop":
                self._stop(what)

    def _look(self, port: Port) -> None:
        """See whether a run has something to do, was stopped, or is over."""
        port.posted = False
        if not port.closed and not port.execution.core.stopped:
            self._hungry[port] = None
            return
        self._hungry.pop(port, None)
        for errand in tuple(port.errands):
            self._stop(errand)
        if port.closed or port.execution.over():  # perhaps with nobody there to close it
            self.part(port)

    def part(self, port: Port) -> None:
        """Have nothing more to do with a run: it is over."""
        port.closed = True
        self._hungry.pop(port, None)
        self._ports.pop(port, None)
        for hand in self._staff.hands:
            hand.forget(port.number)

    def hungry(self, port: Port) -> None:
        """Note that a run has ready jobs."""
        self._hungry[port] = None

    # -- giving out

    def _assign(self) -> None:
        """Give errands to workers that have room."""
        while self._line or self._hungry:
            hand = self._staff.choose()
            if hand is None:
                break
            if not self._line:
                port = next(iter(self._hungry))
                del self._hungry[port]
                most = 8 * max(1, self._staff.free())
                taken = port.take(most)
                if len(taken) == most:  # there may be more
                    self._hungry[port] = None  # the last in turn
                self._line.extend(taken)
                continue
            errand = self._line.popleft()
            try:
                errand.port.pack(errand, hand, self._round)
            except BaseException as error:  # what is pickled may raise anything
                self._forget(errand)
                errand.failed(error, None, _parts.clock())
                continue
            self._staff.give(errand, hand)
            errand.went(hand)
        if self._line or self._hungry:
            self._staff.grow(self._wanted())

    def _wanted(self) -> int:
        """Return how many workers there is work for, beside those that are busy."""
        trifles, others = 0.0, 0
        for errand in self._line:
            trifles += errand.estimate if errand.is_known else 0.0
            others += not errand.is_known
        for port in self._hungry:
            waiting = port.execution.core.waiting(AWAY)
            trifles += waiting * (port.pace or 0.0)
            others += waiting if port.pace is None else 0
        return others + math.ceil(trifles / _WORTH)

    # -- getting back; called by the staff

    def ended(self, errand: Errand, reply: tuple[Any, ...], buffers: list[Any]) -> None:
        """Note how an errand went."""
        self._forget(errand)
        took, known = reply[3] - reply[2], self.paces.get(errand.key)
        if known is None and len(self.paces) >= _KNOWN:
            self.paces.clear()
        pace = self.paces[errand.key] = took if known is None else 0.7 * known + 0.3 * took
        errand.port.pace = pace
        errand.came_back(reply, buffers)

    def returned(self, errands: list[Errand]) -> None:
        """Put errands that have not begun to the front of the line again."""
        for errand in reversed(errands):
            if errand.stage:
                self._forget(errand)
                errand.not_begun()
            else:
                self._line.appendleft(errand)

    def slow(self, errand: Errand, took: float) -> None:
        """Note that an errand takes long, and others like it will, too."""
        self.paces[errand.key] = max(took, self.paces.get(errand.key, 0.0))
        for each in (*self._line, *errand.port.errands):
            if each.key is errand.key:
                each.estimate = max(each.estimate, took)

    def crashed(self, errand: Errand, hand: Hand, status: int | None) -> None:
        """Note that an errand has died with its worker."""
        now, stopped = _parts.clock(), errand.stage > 0
        self._forget(errand)
        if stopped:
            errand.failed(Cancelled("its process was ended"), now, now)
            return
        code = None if status is None or status < 0 else status
        name = None if status is None or status >= 0 else how(status)
        worker = f"process {hand.pid}"
        errand.failed(JobCrashed(errand.name, worker, code, name, hand.stack()), now, now)

    def refused(self, why: WorkerFailed) -> None:
        """No worker can be had: what is ready fails."""
        for port in tuple(self._hungry):
            self._line.extend(port.take(1 << 30))
            del self._hungry[port]
        while self._line:
            errand = self._line.popleft()
            self._forget(errand)
            errand.failed(why, None, _parts.clock())

    def _forget(self, errand: Errand) -> None:
        errand.port.errands.discard(errand)
        self._stopping.discard(errand)

    # -- stopping

    def _stop(self, errand: Errand) -> None:
        """Stop an errand: it is taken out of the line, or its worker is told."""
        if errand.stage or errand not in errand.port.errands:
            return
        errand.stage = 1
        hand = self._staff.who_has(errand)
        if hand is None:
            self._line.remove(errand)
            self.returned([errand])
            return
        ctx = errand.port.execution.ctx
        hand.say(_letters.CANCEL, errand.number, "" if ctx is None else describe(ctx.cause))
        hand.halting.add(errand.number)  # until it has ended, the worker gets nothing else
        errand.due = _parts.clock() + _NOTICE
        self._stopping.add(errand)

    def _press(self) -> None:
        """Go on with what was told to stop, and has not: a signal, and then the last one."""
        now = _parts.clock()
        for errand in tuple(self._stopping):
            hand = self._staff.who_has(errand)
            if hand is None:
                self._stopping.discard(errand)
            elif now >= errand.due and hand.current != errand.number:
                errand.due = now + _NOTICE  # not begun: it is given back, or begins
            elif now >= errand.due:
                hand.stop(errand.number, signal.SIGTERM if errand.stage == 1 else signal.SIGKILL)
                hand.leaving = True
                errand.stage += 1
                errand.due = now + self._grace

    # -- the worst

    def _broken(self, error: BaseException) -> None:
        """This thread has a fault: fail everything that waits, so that nobody waits for ever.

        The runs go on, with other workers: those that do not fail fast may have more jobs.
        """
        staff, self._staff = self._staff, self._make_staff()
        words = [self._word.popleft() for _ in range(len(self._word))]
        sent = [what for kind, what in words if kind == "send"]
        self._word.extend(word for word in words if word[0] != "send")
        self._line.clear()
        self._stopping.clear()
        calls: list[Any] = [partial(self._fail, port, sent, error) for port in list(self._ports)]
        for call in (partial(staff.close, at_once=True), *calls):
            try:
                call()
            except BaseException as failure:
                _parts.report_unraisable(failure, "the thread of a process pool has a fault", self)

    def _fail(self, port: Port, sent: list[Errand], error: Any) -> bool:
        """Fail all that a run has in the pool, or has sent to it; return whether it had any."""
        lost = {*port.errands, *[each for each in sent if each.port is port], *port.take(1 << 30)}
        port.errands.clear()
        for errand in lost:
            errand.failed(error, None, _parts.clock())
        port.book()
        return bool(lost)

    def after_fork(self) -> None:
        """Forget everything, in the child of a fork: the workers are the parent's."""
        self._staff.after_fork()
        if self._bell is not None:
            self._unhang()
        self._begin()
