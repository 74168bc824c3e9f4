"""What a worker hears, and when: one without a process, and a parent that says anything."""

from __future__ import annotations

import asyncio
import contextlib
import marshal
import mmap
import os
import pickle
import select
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import process_jobs as jobs
import pytest
from watching import comes

from gofer.backends import _far_worker, _letters
from gofer.backends._far_worker import Worker
from gofer.backends._hand import Hand, replies
from gofer.backends._pool import Pool
from gofer.backends._wire import Reader, framed

RUN, FN = 1, 7


class Gone(SystemExit):
    """The worker would have ended its process."""


class Parent:
    """The other end of a worker's socket, and of its bell.

    Attributes:
        worker: The worker.
        gone: How often it wanted to end its process.
    """

    def __init__(self) -> None:
        self.sock, theirs = socket.socketpair()
        for each in (self.sock, theirs):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.bell, self.rope = os.pipe()
        self.worker = Worker(theirs, mmap.mmap(-1, _letters.JOURNAL))
        self.gone = 0
        self.looks = 0  # how often the listener has looked, and come back
        self._reader = Reader(self.sock, socket.MSG_DONTWAIT)
        self._threads: list[threading.Thread] = []

    def say(self, *messages: Any) -> None:
        """Send a frame."""
        for piece in framed(marshal.dumps(list(messages))):
            self.sock.sendall(piece)

    def run(self, fn: Any) -> None:
        """Tell of a run, and of a function that it calls."""
        self.say(
            (_letters.RUN, RUN, None, b"", 0),
            (_letters.FUNCTION, RUN, FN, pickle.dumps(fn), 0),
        )

    def ring(self) -> None:
        """Have it listen at once."""
        os.write(self.rope, b"!")

    def heard(self) -> list[tuple[int, int, Any]]:
        """Return the replies that are there: job, how, what."""
        found: list[tuple[int, int, Any]] = []
        try:
            while True:
                for body, buffers in self._reader.read():
                    found += [(r[0], r[1], r[4]) for r, _ in replies(body, deque(buffers))]
        except (BlockingIOError, EOFError):
            return found

    def idle(self) -> None:
        """Have it hear something as the first thread does that has nothing to do."""
        self.worker.idle = True
        assert self.worker.hear(idle=True)

    def listen(self) -> None:
        """Have the second thread begin."""
        hear = self.worker.hear

        def counted(*, idle: bool) -> bool:
            try:
                return hear(idle=idle)
            finally:
                self.looks += not idle

        self.worker.hear = counted  # type: ignore[method-assign]
        self._start(lambda: self.worker.listen(self.bell))

    def work(self) -> None:
        """Have the first thread begin."""
        self._start(self.worker.work)

    def _start(self, call: Callable[[], object]) -> None:
        def run() -> None:
            with contextlib.suppress(Gone):
                call()

        self._threads.append(threading.Thread(target=run, daemon=True))
        self._threads[-1].start()

    def close(self) -> None:
        """End all that runs."""
        os.close(self.rope)
        self.sock.shutdown(socket.SHUT_WR)
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()
        os.close(self.bell)
        self.sock.close()
        self.worker.sock.close()


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Parent]:
    """A worker in this process, and who speaks to it."""
    parent = Parent()

    def gone() -> None:
        parent.gone += 1
        raise Gone

    monkeypatch.setattr(_far_worker, "gone", gone)
    yield parent
    parent.close()


def call(number: int, *args: Any) -> tuple[Any, ...]:
    """Return the message that has a job run."""
    data = pickle.dumps((args, {}))
    return _letters.JOB, number, RUN, FN, f"job {number}", 0, None, None, data, 0


def numbers(worker: Worker) -> list[int]:
    """Return what is in line."""
    return [each[0] for each in worker.line]


def test_a_ring_that_came_while_the_main_thread_was_idle_was_lost(parent: Parent) -> None:
    """What it was for stood behind so much that it was not read before the job began."""
    parent.run(jobs.take)
    parent.idle()
    parent.worker.idle = True
    parent.say(call(1))
    parent.say(call(2, bytes(300_000)))
    parent.say((_letters.BACK,))
    parent.ring()
    parent.listen()
    assert comes(lambda: parent.looks)

    parent.idle()
    assert numbers(parent.worker) == [1]
    assert parent.heard() == [(2, _letters.RETURNED, None)]


def test_a_ring_is_forgotten_when_all_was_read(parent: Parent) -> None:
    """Else the main thread would read on for ever before each job."""
    parent.listen()
    parent.worker.idle = True
    parent.ring()
    assert comes(lambda: parent.looks)
    assert parent.worker.rung
    parent.say((_letters.BACK,))
    parent.idle()
    assert not parent.worker.rung


def test_a_worker_that_was_asked_before_it_could_begin_gave_back_for_ever(parent: Parent) -> None:
    """It keeps the first: else a machine that is slow to let it run never sees a job begin."""
    parent.run(jobs.take)
    parent.say(call(1), call(2), call(3), (_letters.BACK,))
    parent.idle()
    assert numbers(parent.worker) == [1]
    assert [each[:2] for each in parent.heard()] == [
        (2, _letters.RETURNED),
        (3, _letters.RETURNED),
    ]


def test_a_worker_that_runs_a_job_gives_back_all_the_others(parent: Parent) -> None:
    """What the second thread reads is read while a job runs."""
    parent.run(jobs.take)
    parent.say(call(1), call(2), (_letters.BACK,))
    parent.worker.hear(idle=False)
    assert numbers(parent.worker) == []
    assert [each[0] for each in parent.heard()] == [1, 2]


def test_a_parent_that_could_not_say_all_rings_once_more() -> None:
    """The rest comes later, when nobody may be listening any more."""

    class Starter:
        def launch(self, fds: list[int]) -> int:
            self.fds = [os.dup(each) for each in fds]
            return os.getpid()

    starter = Starter()
    hand = Hand(starter, {})
    sock, bell = socket.socket(fileno=starter.fds[0]), starter.fds[4]
    try:
        hand.say(_letters.FUNCTION, 0, 1, b"", 1, buffers=[bytes(8 << 20)])
        hand.say(_letters.CANCEL, 2, "")
        hand.flush()
        assert hand.blocked
        assert os.read(bell, 4096) == b"!"
        while hand.blocked:
            sock.recv(1 << 20, socket.MSG_DONTWAIT)
            hand.flush()
            rings = select.select([bell], [], [], 0)[0]
            assert rings
            os.read(bell, 4096)
        assert not hand.urgent
    finally:
        hand.close()
        sock.close()
        for fd in starter.fds[1:]:
            os.close(fd)


def test_a_job_is_run_and_its_reply_sent_when_nothing_else_is_to_do(parent: Parent) -> None:
    """By the main thread alone, which reads what it is told; nothing waits in the journal."""
    parent.run(jobs.square)
    parent.work()
    found: list[Any] = []
    for number in (1, 2):
        parent.say(call(number, number))
        assert comes(lambda: found.extend(parent.heard()) or found)
        assert found.pop() == (number, _letters.DONE, number * number)
    assert comes(lambda: parent.worker.idle)
    assert parent.worker.filled == 0


def test_a_cancel_reaches_a_job_that_runs(parent: Parent, tmp_path: Any) -> None:
    """The second thread hears it, when the parent rings; what waits behind it is given back."""
    began, over = threading.Event(), threading.Event()

    def runs(ctx: Any) -> str:
        began.set()
        ctx.on_cancel(over.set)
        assert over.wait(20)
        return str(ctx.cause)

    parent.run(jobs.take)
    parent.idle()
    parent.worker.runs[RUN].functions[FN] = runs, False
    parent.listen()
    parent.work()
    job = list(call(1))
    job[5] = 1
    job[8] = None
    parent.say(tuple(job), call(2))
    assert began.wait(20)
    parent.say((_letters.CANCEL, 1, "enough"))
    parent.ring()
    found: list[Any] = []
    assert comes(lambda: found.extend(parent.heard()) or len(found) == 2)
    assert found[0] == (2, _letters.RETURNED, None)
    assert found[1][:2] == (1, _letters.DONE)
    assert "enough" in found[1][2]


def do(parent: Parent, fn: Any, number: int, *, waits: bool = False) -> tuple[int, int, Any]:
    """Have a job run in this thread, as the main thread does; return the reply."""
    run = parent.worker.runs[RUN]
    run.functions[FN] = fn, waits
    parent.worker.run(number, run, FN, "it", 1, None, None, None, ())
    (reply,) = parent.heard()
    return reply


def test_a_cancel_that_comes_as_a_job_begins_reaches_it(parent: Parent) -> None:
    """It is not in line any more, and does not run yet."""
    parent.run(jobs.take)
    parent.idle()
    parent.worker.cancel(1, "enough")
    assert parent.heard() == []
    assert do(parent, lambda ctx: ctx.cancelled, 1) == (1, _letters.DONE, True)


def test_a_job_after_a_cancelled_one_is_not_cancelled(parent: Parent) -> None:
    """Though both are of one run, which shares its context."""

    def cancelled(ctx: Any) -> bool:
        parent.worker.cancel(1, "enough")
        return bool(ctx.cancelled)

    parent.run(jobs.take)
    parent.idle()
    parent.worker.runs[RUN].functions[FN] = cancelled, False
    parent.worker.run(1, parent.worker.runs[RUN], FN, "it", 1, None, None, None, ())
    assert (1, _letters.DONE, True) in parent.heard()
    assert do(parent, lambda ctx: ctx.cancelled, 2) == (2, _letters.DONE, False)


def test_a_cancel_that_comes_before_an_async_job_is_a_task_ends_it(parent: Parent) -> None:
    """There is no task yet that could be cancelled."""

    def begins(ctx: Any) -> Any:
        parent.worker.cancel(1, "enough")
        return asyncio.sleep(10, "slept")

    parent.run(jobs.take)
    parent.idle()
    run = parent.worker.runs[RUN]
    run.functions[FN] = begins, True
    parent.worker.run(1, run, FN, "it", 1, None, None, None, ())
    asyncio.set_event_loop(None)
    parent.worker.loop.close()
    (_, how, _) = parent.heard()[-1]
    assert how == _letters.FAILED


def test_what_jobs_have_printed_is_written_out_before_a_worker_waits(
    parent: Parent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its streams are not a terminal's; and it may wait for long, or be killed."""
    flushed: list[int] = []
    monkeypatch.setattr(_far_worker, "flush_streams", lambda: flushed.append(1))
    parent.run(jobs.square)
    parent.work()
    assert comes(lambda: parent.worker.idle)
    before = len(flushed)
    parent.say(call(1, 1))
    assert comes(lambda: len(flushed) > before and parent.worker.idle)


def test_a_parent_that_is_gone_is_noticed_by_an_idle_worker(parent: Parent) -> None:
    """It is the end of the socket that it waits at."""
    parent.work()
    assert comes(lambda: parent.worker.idle)
    parent.sock.shutdown(socket.SHUT_WR)
    assert comes(lambda: parent.gone == 1)


@pytest.mark.parametrize("rings", [True, False])
def test_a_parent_that_is_gone_is_noticed_while_a_job_runs(parent: Parent, rings: bool) -> None:
    """It is the end of the bell; or that of the socket, where it rang before."""
    parent.listen()
    if rings:
        parent.ring()
        assert comes(lambda: parent.looks)
        parent.sock.shutdown(socket.SHUT_WR)
    else:
        os.close(parent.rope)
        parent.rope = os.open(os.devnull, os.O_WRONLY)
    assert comes(lambda: parent.gone == 1)


def test_a_run_that_comes_while_the_pool_looks_at_the_others_was_a_fault() -> None:
    """``open`` adds it from another thread; the pool goes through a list of its own."""
    pool = Pool(lambda: None, workers=1, grace=1.0)

    class Port:
        @property
        def ended(self) -> list[Any]:
            pool._ports[Port()] = None  # type: ignore[index]
            return []

    pool._ports[Port()] = None  # type: ignore[index]
    timeout = pool._timeout()
    pool._ports.clear()
    assert timeout is not None
