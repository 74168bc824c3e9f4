"""A worker process: it runs one job after the other, in its main thread.

The main thread itself reads what the parent says, when it has nothing to do: so a job that comes
wakes one thread, not two. While a job runs, the parent rings where somebody has to listen at once:
a second thread does then, which cancels, and gives back what has not begun. It ends the process
when the parent is gone. Nothing of the parent is inherited but five descriptors.
"""

from __future__ import annotations

import marshal
import os
import select
import signal
import socket
import sys
import threading
from collections import deque

from gofer import _parts
from gofer._context import _CURRENT, Context
from gofer._signature import is_async
from gofer.backends import _letters, _main_module
from gofer.backends._execution import PLAIN, refuse_awaitable
from gofer.backends._far_errors import as_data
from gofer.backends._far_run import Run, learn
from gofer.backends._frames import ENGINE, strip
from gofer.backends._parcels import Parcel, aside, pack_for
from gofer.backends._wire import Reader, framed
from gofer.errors import Cancelled, ParamIsCopy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_PLAIN = frozenset({type(None), bool, int, float, str, bytes})
_SOON = 0.0005  # seconds that replies may wait for others, while there is more to do
_HALF = _letters.JOURNAL // 2


class Terminated(BaseException):
    """Raised in a job by SIGTERM, so that its ``finally`` blocks run."""


class Worker:
    """The process."""

    def __init__(self, sock: socket.socket, journal: Any) -> None:
        self.sock, self.journal = sock, journal
        self.reader = Reader(sock, socket.MSG_DONTWAIT)
        self.line: deque[Any] = deque()
        self.ear = threading.Lock()  # around the reader, and what is done with what it reads
        self.idle = False  # whether the main thread waits for the parent; it reads, nobody else
        self.rung = False  # whether the parent has rung, and nobody has read all there was since
        self.lock = threading.Lock()  # around the journal's replies and the socket
        self.filled = 0
        self.flushed_at = 0.0
        self.runs: dict[int, Run] = {}
        self.functions: dict[int, Any] = {}  # those of all runs
        self.job: tuple[int, Context] | None = None  # number and context of what runs
        self.to_cancel = 0  # the last number that was to be cancelled
        self.task: Any = None
        self.loop: Any = None
        self.leaving = False

    # The main thread

    def work(self) -> None:
        """Run jobs until it is time to leave."""
        line, parent = self.line, self.said()
        while not self.leaving:
            try:
                job = line.popleft()
            except IndexError:
                if self.filled:
                    self.flush()
                flush_streams()
                with self.ear:  # what the other thread has read until now is in line
                    self.idle = not (line or self.leaving)
                if self.idle:
                    parent.poll()
                    self.hear(idle=True)
                continue
            self.run(*job)

    def said(self) -> select.poll:
        """Return what waits until the parent has said something."""
        parent = select.poll()
        parent.register(self.sock, select.POLLIN)
        return parent

    def run(
        self,
        number: int,
        run: Run,
        function: int,
        name: str,
        nargs: int,
        deadline: float | None,
        carried: Any,
        data: bytes | None,
        buffers: Any,
    ) -> None:
        """Run a job, and reply."""
        _letters.CURRENT.pack_into(self.journal, 0, number)
        start = _parts.clock()
        parcel = None if data is None else Parcel(data, buffers)
        written = None
        try:
            try:
                ctx = self._enter(number, run, deadline)
                variables = run.variables.copy()
                if ctx is not run.ctx:
                    variables.run(_CURRENT.set, ctx)
                if carried:
                    from gofer.observers._carry import unpack

                    variables.run(unpack, carried)
                value = variables.run(self._call, run, ctx, function, name, nargs, parcel)
            finally:
                self.job = None
                if nargs == 2:
                    written = run.take_back()
            if written is not None:
                raise ParamIsCopy(name, written)
            end = _parts.clock()
            if type(value) in _PLAIN and not (type(value) is bytes and len(value) > 4096):
                reply: Any = (number, _letters.DONE, start, end, value, 0)
                self.reply(marshal.dumps(reply))
            else:
                sent = pack_for(name, "its result", aside(value))
                reply = (number, _letters.PICKLED, start, end, sent.data, len(sent.buffers))
                self.reply(marshal.dumps(reply), sent.buffers)
        except BaseException as error:
            end = _parts.clock()
            strip(error)
            terminated = isinstance(error, Terminated)
            told = as_data(Cancelled("terminated") if terminated else error)
            self.reply(marshal.dumps((number, _letters.FAILED, start, end, told, 0)))
            if terminated:
                self.flush()
                leave(128 + signal.SIGTERM)
        _letters.CURRENT.pack_into(self.journal, 0, 0)

    def _enter(self, number: int, run: Run, deadline: float | None) -> Context:
        """Return the context of a job that begins; from here on it can be cancelled."""
        if run.ctx.cancelled:  # with a job before this one; or by the deadline, and will be again
            run.renew()
        ctx = run.ctx
        self.job = number, ctx
        if not run.opened:
            run.open()
        if deadline != run.deadline:
            ctx = ctx.child(deadline=deadline)
            self.job = number, ctx
        if self.to_cancel == number:
            ctx.cancel("it was stopped")
        return ctx

    def _call(
        self, run: Run, ctx: Context, function: int, name: str, nargs: int, parcel: Parcel | None
    ) -> Any:
        known = self.functions if function in self.functions else run.functions
        found = known[function]
        if type(found) is Parcel:
            fn = _main_module.opened(found)
            found = known[function] = fn, is_async(fn)
        fn, waits = found
        if run.of_main:
            run.set_those_of_main()
        args, named = ((), {}) if parcel is None else _main_module.opened(parcel)
        if nargs == 2:
            args = (ctx, run.lend(name), *args)
        elif nargs:
            args = (ctx, *args)
        value = fn(*args, **named)
        if waits:
            return self._await(value)
        if type(value) not in PLAIN:
            refuse_awaitable(name, value)
        return value

    def _await(self, coroutine: Any) -> Any:
        import asyncio

        if self.loop is None:
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)
        self.task = self.loop.create_task(coroutine)
        try:
            if self.job is None or self.job[1].cancelled:
                self.task.cancel()
            return self.loop.run_until_complete(self.task)
        finally:
            self.task = None

    def reply(self, data: bytes, buffers: Any = ()) -> None:
        """Note a reply; send it, unless it can wait for others."""
        if buffers or len(data) > _HALF:
            self.flush()
            with self.lock:
                self.send(framed(_letters.LENGTH.pack(len(data)) + data, buffers))
            return
        if self.filled + len(data) > _HALF:
            self.flush()
        with self.lock:
            at = _letters.REPLIES_AT + self.filled
            end = at + _letters.LENGTH.size + len(data)
            self.journal[at:end] = _letters.LENGTH.pack(len(data)) + data
            self.filled = end - _letters.REPLIES_AT
            _letters.COUNT.pack_into(self.journal, _letters.COUNT_AT, self.filled)
        if not self.line or _parts.clock() - self.flushed_at > _SOON:
            self.flush()

    def flush(self) -> None:
        """Send the replies that wait."""
        with self.lock:
            if self.filled:
                end = _letters.REPLIES_AT + self.filled
                self.send(framed(self.journal[_letters.REPLIES_AT : end]))
                self.filled = 0
                _letters.COUNT.pack_into(self.journal, _letters.COUNT_AT, 0)
        self.flushed_at = _parts.clock()

    def send(self, pieces: Any) -> None:
        """Send all pieces; end the process if nobody listens any more."""
        try:
            for piece in pieces:
                self.sock.sendall(piece)
        except OSError:
            os._exit(1)

    # Listening

    def listen(self, bell: int) -> None:
        """Hear what the parent says when it rings, as long as the main thread is busy.

        A ring that comes while the main thread is idle is left to it: see ``hear``.
        """
        parent = self.said()
        while os.read(bell, 4096):
            with self.ear:
                self.rung = True
            while self.hear(idle=False):
                parent.poll()
        gone()

    def hear(self, *, idle: bool) -> bool:
        """Do what the parent has said; return whether this thread is to hear the rest, too.

        What it rang for may stand behind a job. So after a ring all is read that there is, before
        anybody begins that job: nobody would listen until it has ended.

        Args:
            idle: Whether this is the main thread, or one that stands in for it.
        """
        try:
            with self.ear:
                if self.idle != idle:
                    return False
                self.idle = False
                try:
                    while True:
                        for body, buffers in self.reader.read():
                            self.told(marshal.loads(body), deque(buffers), idle=idle)
                        if not self.rung:
                            break
                except BlockingIOError:
                    self.rung = False
        except (EOFError, OSError):
            gone()
        except BaseException as error:  # a fault; a worker that does not listen is of no use
            _parts.report_unraisable(error, "a worker process has a fault", self)
            gone()
        return True

    def told(self, messages: list[Any], buffers: deque[Any], *, idle: bool) -> None:
        """Do what some messages say.

        Args:
            messages: They.
            buffers: What stands beside them.
            idle: Whether no job runs, as the main thread reads.
        """
        for kind, *rest in messages:
            taken: list[Any] = []
            if kind in _WITH_BUFFERS:
                taken = [buffers.popleft() for _ in range(rest.pop())]
            if kind == _letters.JOB:
                number, run, *others = rest
                self.line.append((number, self.runs[run], *others, taken))
            elif kind == _letters.FUNCTION:
                run, number, data = rest
                learn(self.runs[run].functions if run else self.functions, number, data, taken)
            elif kind == _letters.PARAM:
                run, data = rest
                self.runs[run].copy, self.runs[run].param = None, Parcel(data, taken)
            elif kind == _letters.RUN:
                run, deadline, data = rest
                self.runs[run] = Run(deadline, Parcel(data, taken))
            elif kind == _letters.FORGET:
                self.runs.pop(rest[0], None)
            elif kind == _letters.CANCEL:
                self.cancel(*rest)
            elif kind == _letters.BACK:
                self.give_back(but=idle)
            else:
                self.leaving = True

    def cancel(self, number: int, cause: str) -> None:
        """Cancel a job; give back all that has not begun.

        What runs may be ended by a signal, which must not hit another job.
        """
        self.give_back()
        self.to_cancel = number  # first: the main thread looks at it after it has set `job`
        current = self.job
        if current is None or current[0] != number:
            return
        current[1].cancel(cause)
        task = self.task
        if task is not None:
            self.loop.call_soon_threadsafe(task.cancel)

    def give_back(self, *, but: int = 0) -> None:
        """Give back what has not begun, and send the replies that wait.

        Args:
            but: How many, of the first, it is to keep. A worker that got to run so late that it was
                asked before it could begin would go on giving back for ever.
        """
        returned = b""
        while len(self.line) > but:
            try:
                number = self.line.pop()[0]
            except IndexError:  # the other thread took the last one
                break
            reply = marshal.dumps((number, _letters.RETURNED, 0.0, 0.0, None, 0))
            returned = _letters.LENGTH.pack(len(reply)) + reply + returned
        with self.lock:
            self.send(framed(returned))
        self.flush()


_WITH_BUFFERS = frozenset({_letters.JOB, _letters.FUNCTION, _letters.PARAM, _letters.RUN})


def gone() -> NoReturn:
    """End this process and all that it has started: the parent is not there any more."""
    os.killpg(0, signal.SIGKILL)
    raise AssertionError("unreachable: this process is in its own group")


def leave(code: int) -> NoReturn:
    """End this process, whatever threads jobs have left; what they printed is not lost."""
    flush_streams()
    os._exit(code)


def flush_streams() -> None:
    """Write out what jobs have printed."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # closed, replaced, or None
            continue


ENGINE |= {Worker.run.__code__, Worker._call.__code__, Worker._await.__code__}
