"""Cancelling at any moment: from a signal handler, from many threads, and both at once."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from gofer import Cancelled, Context
from gofer._timer import Timer
from tests.moments import Moments, interrupted_at

SOURCE = Path(__file__).parents[2] / "src"
PATIENCE = 30.0
"""Seconds after which a wait fails. Nothing that works comes near it."""


class Story:
    """What may happen to a tree of contexts, and what must be so afterwards."""

    def __init__(self) -> None:
        self.root = Context(timeout=1000)
        self.child = self.root.child()
        self.calls: list[str] = []

    def tell(self) -> None:
        """Do all that one does with contexts."""
        self.root.on_cancel(lambda: self.calls.append("root"))
        forget = self.child.on_cancel(lambda: self.calls.append("taken back"))
        self.other = self.root.child(timeout=500)
        self.other.on_cancel(lambda: self.calls.append("other"))
        self.born = self.child.child()
        forget()
        self.child.on_cancel(lambda: self.calls.append("child"))
        self.born.on_cancel(lambda: self.calls.append("born"))
        if self.born.cancelled:
            assert self.root.cancelled
        self.root.cancel("program")

    def hold(self, cause: str) -> None:
        """Hold that everything was cancelled for one reason, and each was told once."""
        for ctx in (self.root, self.child, self.other, self.born):
            assert ctx.cancelled
            assert ctx.cause == cause
        calls = sorted(self.calls)
        assert calls in (
            ["born", "child", "other", "root"],
            ["born", "child", "other", "root", "taken back"],
        )
        self.root.cancel("late")
        self.root.on_cancel(lambda: self.calls.append("late"))
        assert sorted(self.calls) == sorted([*calls, "late"])


def test_a_signal_handler_may_cancel_at_any_moment(timer: Timer) -> None:
    """Whatever it interrupts, everybody is told once, and of one cause."""
    moment = 1
    while True:
        story = Story()
        came = interrupted_at(moment, story.tell, lambda: story.root.cancel("signal"))  # noqa: B023
        if not came:
            break
        story.hold(story.root.cause)  # type: ignore[arg-type]
        moment += 1
    story.hold("program")
    assert moment > 200


def test_a_signal_handler_may_use_contexts_at_any_moment(timer: Timer) -> None:
    """Make new ones, with deadlines, while others are being made: no lock is in the way."""
    moment = 1
    while True:
        story, inner = Story(), Story()
        if not interrupted_at(moment, story.tell, inner.tell):
            break
        story.hold("program")
        inner.hold("program")
        moment += 3
    assert moment > 200


def test_a_signal_handler_ends_the_sleep_that_it_interrupts() -> None:
    """Also where it comes before the thread has really gone to sleep."""
    moments = moments_before_sleeping()
    assert moments > 20
    for moment in range(1, moments + 1):
        ctx = Context()
        with pytest.raises(Cancelled, match="signal"):
            interrupted_at(moment, lambda: ctx.sleep(10**6), lambda: ctx.cancel("signal"))  # noqa: B023


def moments_before_sleeping() -> int:
    """Return how many instructions a sleep takes until it waits for its gate."""
    ctx, moments = Context(), Moments()
    at: list[int] = []

    def profile(frame: Any, event: str, arg: Any) -> None:
        if event == "c_call" and arg.__name__ == "acquire":
            at.append(moments.passed)
            if len(at) == 2:  # the first one closed the gate
                ctx.cancel()

    sys.setprofile(profile)
    try:
        with pytest.raises(Cancelled):
            moments.run(lambda: ctx.sleep(10**6))
    finally:
        sys.setprofile(None)
    return at[1]


STORM = """
import random, signal, sys, threading
from gofer import Cancelled, Context

WANTED = int(sys.argv[1])
rung, live, calls, signals = [], [], {}, 0

def handler(*_):
    global signals
    signals += 1
    for ctx in live:
        ctx.cancel("signal")
    mine = Context(timeout=random.choice([0.001, 0.01, 0.05, 1000]))
    if mine.remaining() < 1:
        event = threading.Event()
        mine.on_cancel(event.set)
        rung.append((mine, event))
        del rung[:-50]
    mine.child().cancel()

signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
slept = number = 0
while signals < WANTED:
    number += 1
    root = Context(timeout=random.choice([None, 500, 1000]))
    ctx = root.child(timeout=900)
    calls[number] = 0
    def call(number=number):
        calls[number] += 1
    ctx.on_cancel(call)
    forget = ctx.on_cancel(lambda: None)
    live.append(root)
    forget()
    if number % 2:
        try:
            ctx.sleep(1000)  # nobody but the handler ends this
        except Cancelled:
            slept += 1
    root.cancel("program")
    assert ctx.cancelled and ctx.cause == root.cause and ctx.cause in ("program", "signal")
    live.remove(root)
    assert calls.pop(number) == 1
signal.setitimer(signal.ITIMER_REAL, 0)
for ctx, event in rung:
    assert event.wait(30), "a deadline was lost"
print("signals", signals >= WANTED, "slept", slept > 0)
"""


@pytest.mark.skipif(not hasattr(__import__("signal"), "setitimer"), reason="no such signals here")
def test_thousands_of_signals_neither_block_nor_lose_anything() -> None:
    """A real handler, in a process of its own, cancels while contexts are made and slept on."""
    command = [sys.executable, "-c", STORM, "3000"]
    ran = subprocess.run(
        command,
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.stderr == ""
    assert ran.stdout.split() == ["signals", "True", "slept", "True"]


@pytest.mark.parametrize("racers", [2, 8])
def test_of_many_threads_that_cancel_at_once_one_is_the_first(racers: int) -> None:
    """All see its cause, here and below, and each callback is called once."""
    for _ in range(100):
        root = Context(timeout=1000)
        below = root.child().child()
        calls: list[int] = []
        for i in range(20):
            (root, below)[i % 2].on_cancel(lambda i=i: calls.append(i))  # noqa: B023
        seen = race(racers, lambda i: (root.cancel(i), root.cause)[1])  # noqa: B023
        assert len(set(seen)) == 1
        assert below.cause == seen[0]
        assert sorted(calls) == list(range(20))


def test_a_callback_that_comes_while_others_cancel_is_called_once() -> None:
    """By the thread that adds it or by the one that cancels, never by both or neither."""
    for _ in range(100):
        root = Context()
        calls: list[int] = []

        def act(i: int) -> None:
            if i == 0:
                root.cancel()  # noqa: B023
            elif i % 2:
                root.on_cancel(lambda: calls.append(i))  # noqa: B023
            else:
                root.child().on_cancel(lambda: calls.append(i))  # noqa: B023

        children = [root.child() for _ in range(3)]
        race(6, act)
        assert all(child.cancelled for child in children)
        assert {1, 3, 5} <= set(calls)
        assert len(set(calls)) == len(calls)


def test_a_callback_that_is_taken_back_while_others_cancel_is_called_once_at_most() -> None:
    """Once ``forget()`` has returned it is not called any more, unless it is just being called."""
    for _ in range(100):
        root = Context()
        calls: list[int] = []
        forgets = [root.on_cancel(lambda i=i: calls.append(i)) for i in range(20)]  # noqa: B023

        def act(i: int) -> None:
            if i == 0:
                root.cancel()  # noqa: B023
            else:
                for forget in forgets:  # noqa: B023
                    forget()

        race(2, act)
        assert len(set(calls)) == len(calls)


def race(runners: int, act: Any) -> list[Any]:
    """Let so many threads act at the same time; return what each got."""
    line = threading.Barrier(runners)
    results: list[Any] = [None] * runners

    def run(i: int) -> None:
        line.wait(PATIENCE)
        results[i] = act(i)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(runners)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    return results
