"""The timer: one thread for all deadlines, there only while one is pending."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from gofer import Context, DeadlineExceeded, _parts, _timer
from gofer._timer import Timer
from tests.moments import interrupted_at

SOURCE = Path(__file__).parents[2] / "src"
PATIENCE = 30.0
"""Seconds after which a wait fails. Nothing that works comes near it."""


def leaves(thread: threading.Thread) -> bool:
    """Wait for a thread to leave; return whether it did."""
    thread.join(PATIENCE)
    return not thread.is_alive()


def test_there_is_no_thread_while_there_is_no_deadline(
    timer: Timer, threads: list[threading.Thread]
) -> None:
    """Contexts without one need none, nor do deadlines that have passed or are only inherited."""
    with Context() as root:
        child = root.child(values={"user": 7})
        child.on_cancel(lambda: None)
        child.sleep(0.001)
        root.child(timeout=0).cancel()
        root.child(timeout=-1).child(timeout=60)
        root.child(deadline=float("inf")).cancel()
    assert root.child(timeout=60).cancelled
    assert threads == []


def test_one_thread_serves_a_thousand_deadlines(
    timer: Timer, threads: list[threading.Thread]
) -> None:
    """And all of them, in whatever order they come; then it leaves."""
    rung = threading.Semaphore(0)
    contexts = [Context(timeout=0.001 * (1 + 7 * i % 50)) for i in range(1000)]
    for ctx in contexts:
        ctx.on_cancel(rung.release)
    for _ in contexts:
        assert rung.acquire(timeout=PATIENCE)
    assert {type(ctx.cause) for ctx in contexts} == {DeadlineExceeded}
    assert leaves(threads[-1])
    assert {(thread.name, thread.daemon) for thread in threads} == {("gofer:timer", True)}
    assert len(threads) < 10  # with time to spare it is one; here it leaves as soon as it can


def test_a_deadline_need_not_wait_for_a_later_one(timer: Timer) -> None:
    """The thread that sleeps until the one is woken for the other."""
    later = Context(timeout=1000)
    rung = threading.Event()
    for timeout in (500, 100, 0.01):
        earlier = Context(timeout)
        earlier.on_cancel(rung.set)
    assert rung.wait(PATIENCE)
    assert not later.cancelled


@pytest.mark.parametrize("how", ["cancelled", "forgotten"])
def test_the_thread_leaves_when_nobody_waits_for_a_deadline_any_more(
    how: str, timer: Timer, threads: list[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block that had an hour and took a moment does not keep a thread for the hour."""
    monkeypatch.setattr(_timer, "_LONGEST", 0.01)  # how often it looks
    ctx: Context | None = Context(timeout=3600)
    if how == "cancelled":
        assert ctx is not None
        ctx.cancel()
    else:
        ctx = None
    assert leaves(threads[0])


def test_it_looks_again_soon_whether_anybody_still_waits() -> None:
    """Not only when the next deadline comes, which may be in a year."""
    assert _timer._LONGEST <= 60


def test_a_thread_that_left_is_replaced(timer: Timer, threads: list[threading.Thread]) -> None:
    """A deadline after a pause is like the first one."""
    for i in range(3):
        rung = threading.Event()
        ctx = Context(timeout=0.001)
        ctx.on_cancel(rung.set)
        assert rung.wait(PATIENCE)
        assert leaves(threads[i])


def test_the_thread_lingers_between_deadlines(
    timer: Timer, threads: list[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that many short runs do not start one each."""
    monkeypatch.setattr(_timer, "_LINGER", PATIENCE)
    for _ in range(20):
        rung = threading.Event()
        ctx = Context(timeout=0.001)
        ctx.on_cancel(rung.set)
        assert rung.wait(PATIENCE)
    assert len(threads) == 1
    monkeypatch.setattr(_timer, "_LINGER", 0.0)
    Context(timeout=0.001)  # wakes it, and it leaves
    assert leaves(threads[0])


def test_an_entry_that_was_dropped_is_not_called(timer: Timer) -> None:
    """Nor does it disturb the others."""
    calls: list[str] = []
    rung = threading.Event()
    now = _parts.clock()
    dropped = timer.add(now + 0.01, lambda: calls.append("dropped"))
    timer.add(now + 0.02, rung.set)
    timer.drop(dropped)
    timer.drop(dropped)
    assert rung.wait(PATIENCE)
    assert calls == []


def test_a_call_that_raises_does_not_end_the_thread(timer: Timer, unraisable: list[Any]) -> None:
    """It is reported, and the next deadline rings."""

    def fail() -> None:
        raise SystemExit

    rung = threading.Event()
    now = _parts.clock()
    timer.add(now - 1, fail)
    timer.add(now + 0.01, rung.set)
    assert rung.wait(PATIENCE)
    assert [(each.exc_type, each.object) for each in unraisable] == [(SystemExit, fail)]


def test_where_there_is_no_thread_to_be_had_deadlines_are_seen_all_the_same(
    timer: Timer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whoever asks; and the next deadline tries again."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    rung = threading.Event()
    with monkeypatch.context() as poor:
        poor.setattr(_parts, "start_thread", refuse)
        ctx = Context(timeout=0.001)
        ctx.on_cancel(rung.set)
        with pytest.raises(DeadlineExceeded):
            ctx.sleep(1000)
        other = Context(timeout=0.001)
        rung.clear()
        other.on_cancel(rung.set)
    third = Context(timeout=0.001)
    assert rung.wait(PATIENCE)
    assert not third.remaining()


def test_dropped_entries_do_not_pile_up(timer: Timer) -> None:
    """Ten thousand blocks that each had an hour leave less than a hundred entries."""
    keep = Context(timeout=1000)
    for _ in range(10_000):
        Context(timeout=3600).cancel()
    assert len(timer._heap) < 100
    assert not keep.cancelled


def test_entries_that_wait_are_not_searched_at_each_new_one(timer: Timer) -> None:
    """A thousand deadlines that are really pending cost a few searches, not a thousand."""
    contexts = [Context(timeout=1000 + i) for i in range(1000)]
    assert len(timer._heap) == 1000
    assert timer._compact_at > 1000
    assert not any(ctx.cancelled for ctx in contexts)


def test_a_signal_handler_may_add_a_deadline_while_dropped_ones_are_thrown_out(
    timer: Timer, threads: list[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any moment of it: no entry is lost, and none is called twice."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def add(timer: Timer, calls: list[int], i: int) -> list[Any]:
        return timer.add(past - i, lambda: calls.append(i))  # an earlier one goes to the top

    past = _parts.clock() - 1000
    moment, came = 1, True
    while came:
        timer, calls, rung = Timer(), [], threading.Event()
        with monkeypatch.context() as poor:  # nothing is called before all is there
            poor.setattr(_parts, "start_thread", refuse)
            for i in range(64):
                entry = add(timer, calls, i)
                if i % 2:
                    timer.drop(entry)
            came = interrupted_at(
                moment,
                lambda: add(timer, calls, 100),  # noqa: B023
                lambda: [add(timer, calls, i) for i in (200, 201)],  # noqa: B023
            )
        timer.add(past + 1, rung.set)
        assert rung.wait(PATIENCE)
        assert leaves(threads[-1])
        added = [200, 201] if came else []
        assert sorted(calls) == [*range(0, 64, 2), 100, *added]
        moment += 1
    assert moment > 100


FORK = """
import os, threading
from gofer import Context, DeadlineExceeded

def rings(ctx):
    rung = threading.Event()
    ctx.on_cancel(rung.set)
    return rung.wait(30) and isinstance(ctx.cause, DeadlineExceeded)

old = Context(timeout=0.05)
assert rings(Context(timeout=0.01))
pid = os.fork()
fine = rings(Context(timeout=0.01))
if pid == 0:
    try:
        old.sleep(30)
    except DeadlineExceeded:
        os._exit(0 if fine else 1)
    os._exit(2)
assert fine and os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
print("fine")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_has_a_timer_of_its_own() -> None:
    """The thread stayed behind, so the child starts one, and sees its older deadlines by itself."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK],
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("fine\n", "")
