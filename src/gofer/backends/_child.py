"""A worker process: it runs one job after the other, in its main thread.

A second thread listens: it puts jobs in line, cancels, gives back what has not begun, and ends the
process when the parent is gone. Nothing of the parent is inherited but four descriptors.
"""

from __future__ import annotations

import faulthandler
import fcntl
import marshal
import mmap
import os
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
from gofer.backends._far_run import Run
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


class _Terminated(BaseException):
    """Raised in a job by SIGTERM, so that its ``finally`` blocks run."""


class _Worker:
    """The process."""

    def __init__(self, sock: socket.socket, journal: Any) -> None:
        self.sock, self.journal = sock, journal
        self.line: deque[Any] = deque()
        self.gate = threading.Lock()  # open when there may be something in line
        self.gate.acquire()
        self.lock = threading.Lock()  # around the journal's replies and the socket
        self.filled = 0
        self.flushed_at = 0.0
        self.runs: dict[int, Run] = {}
        self.job: tuple[int, Context] | None = None  # number and context of what runs
        self.to_cancel = 0  # the last number that was to be cancelled
        self.task: Any = None
        self.loop: Any = None
        self.leaving = False

    # The main thread

    def work(self) -> None:
        """Run jobs until it is time to leave."""
        line, gate = self.line, self.gate
        while not self.leaving:
            try:
                job = line.popleft()
            except IndexError:
                if self.filled:
                    self.flush()
                if not line:
                    flush_streams()
                    gate.acquire()
                continue
            self.run(*job)

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
            terminated = isinstance(error, _Terminated)
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
        found = run.functions[function]
        if type(found) is Parcel:
            fn = _main_module.opened(found)
            found = run.functions[function] = fn, is_async(fn)
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

    # The second thread

    def listen(self, reader: Reader, frames: list[Any]) -> None:
        """Do what the parent says, until it is gone; first what came with the greeting."""
        try:
            while True:
                for body, buffers in frames:
                    self.told(marshal.loads(body), deque(buffers))
                frames = reader.read()
        except (EOFError, OSError):
            pass
        except BaseException as error:  # a fault; a worker that does not listen is of no use
            _parts.report_unraisable(error, "the thread of a worker process has a fault", self)
        finally:
            os.killpg(0, signal.SIGKILL)

    def told(self, messages: list[Any], buffers: deque[Any]) -> None:
        """Do what some messages say."""
        for kind, *rest in messages:
            taken: list[Any] = []
            if kind in _WITH_BUFFERS:
                taken = [buffers.popleft() for _ in range(rest.pop())]
            if kind == _letters.JOB:
                number, run, *others = rest
                self.line.append((number, self.runs[run], *others, taken))
            elif kind == _letters.FUNCTION:
                run, number, data = rest
                self.runs[run].learn(number, Parcel(data, taken))
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
                self.give_back()
            else:
                self.leaving = True
        if self.line or self.leaving:
            try:
                self.gate.release()
            except RuntimeError:  # it is open
                pass

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

    def give_back(self) -> None:
        """Give back what has not begun, and send the replies that wait."""
        returned = b""
        while self.line:
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


def main(sock_fd: int, journal_fd: int, fault_fd: int, life_fd: int) -> None:
    """Be a worker."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable(fault_fd, all_threads=False)
    _die_with_parent(life_fd)
    sock = socket.socket(fileno=sock_fd)
    journal = mmap.mmap(journal_fd, _letters.JOURNAL)
    worker = _Worker(sock, journal)
    reader = Reader(sock)
    frames: list[Any] = []
    try:
        while not frames:
            frames = reader.read()
    except (EOFError, OSError):  # the pool was closed meanwhile
        leave(0)
    _begin(marshal.loads(frames[0][0]))

    def terminate(*_: object) -> None:
        (target,) = _letters.TARGET.unpack_from(journal, _letters.TARGET_AT)
        if target and target != _letters.CURRENT.unpack_from(journal, 0)[0]:
            return  # it was meant for a job that has just ended
        if worker.job is None:
            leave(128 + signal.SIGTERM)
        raise _Terminated

    signal.signal(signal.SIGTERM, terminate)
    listener = threading.Thread(
        target=worker.listen, args=(reader, frames[1:]), name="gofer:listener", daemon=True
    )
    _parts.start_thread(listener)
    worker.send(framed(b""))  # ready
    worker.work()
    leave(0)


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


def _begin(given: dict[str, Any]) -> None:
    """Make this process like the parent, as far as jobs can see."""
    sys.path[:] = given["path"]
    sys.argv[:] = given["argv"]
    try:
        os.chdir(given["directory"])
    except OSError:  # it has been removed
        pass
    if given["environment"] != dict(os.environ):  # it has changed since the server was started
        os.environ.clear()
        os.environ.update(given["environment"])
    _main_module.known = given["main"]
    if given["memory"] is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (given["memory"], given["memory"]))


def _die_with_parent(fd: int) -> None:
    """Have the system kill this process and its children when the parent is gone, even if killed.

    The other end of the pipe is the parent's alone. Linux can send any signal when it is closed;
    elsewhere the listening thread sees the end of the socket, as soon as it gets to run.
    """
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(fd, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)


ENGINE |= {_Worker.run.__code__, _Worker._call.__code__, _Worker._await.__code__}
