"""What is called when a context is cancelled."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import pytest

from gofer import Cancelled, Context

from .conftest import Clock


def test_a_callback_is_called_once_in_the_thread_that_cancels() -> None:
    """However often and by whomever it is cancelled afterwards."""
    root = Context()
    child = root.child()
    callers: list[str] = []
    child.on_cancel(lambda: callers.append(threading.current_thread().name))
    assert callers == []
    thread = threading.Thread(target=root.cancel, name="the one that cancels")
    thread.start()
    thread.join()
    root.cancel()
    child.cancel()
    assert callers == ["the one that cancels"]


def test_a_callback_sees_its_context_cancelled() -> None:
    """With the cause, so it need not be told."""
    ctx = Context()
    seen: list[object] = []
    ctx.on_cancel(lambda: seen.append((ctx.cancelled, ctx.cause)))
    ctx.cancel("enough")
    assert seen == [(True, "enough")]


@pytest.mark.parametrize("how", ["cancelled", "expired", "born cancelled"])
def test_a_callback_of_a_cancelled_context_is_called_at_once(how: str, clock: Clock) -> None:
    """Before ``on_cancel`` returns, and once."""
    root = Context()
    ctx = root.child(timeout=5)
    if how == "expired":
        clock.now += 5
    else:
        root.cancel()
    if how == "born cancelled":
        ctx = root.child()
    calls: list[int] = []
    forget = ctx.on_cancel(lambda: calls.append(1))
    assert calls == [1]
    forget()
    ctx.cancel()
    assert calls == [1]


def test_a_callback_that_was_taken_back_is_not_called() -> None:
    """Taking it back late or twice is harmless, and concerns no other."""
    ctx = Context()
    calls: list[str] = []
    taken = ctx.on_cancel(lambda: calls.append("taken back"))
    kept = ctx.on_cancel(lambda: calls.append("kept"))
    taken()
    taken()
    ctx.cancel()
    assert calls == ["kept"]
    kept()
    kept()
    assert kept() is None
    assert calls == ["kept"]


def test_a_callable_given_twice_is_called_twice() -> None:
    """Each call of ``on_cancel`` stands for itself, and is taken back by itself."""
    ctx = Context()
    calls: list[int] = []

    def call() -> None:
        calls.append(1)

    ctx.on_cancel(call)
    forget = ctx.on_cancel(call)
    ctx.on_cancel(call)
    forget()
    ctx.cancel()
    assert calls == [1, 1]


def test_callbacks_may_do_all_that_others_may() -> None:
    """Cancel again, take another back, add one, make a child: nothing is lost or doubled."""
    ctx = Context()
    calls: list[str] = []

    def busy(name: str) -> None:
        calls.append(name)
        ctx.cancel("again")
        for forget in forgets:
            forget()
        ctx.on_cancel(lambda: calls.append(f"added by {name}"))
        assert ctx.child().cancelled

    forgets = [ctx.on_cancel(lambda name=name: busy(name)) for name in ("a", "b")]
    ctx.cancel("first")
    assert ctx.cause == "first"
    assert len(calls) == 2
    assert calls[1] == f"added by {calls[0]}"


@pytest.mark.parametrize(
    "error", [ValueError("x"), SystemExit(3), asyncio.CancelledError(), Cancelled()], ids=repr
)
def test_a_callback_that_raises_is_reported_and_harms_nobody(
    error: BaseException, unraisable: list[Any]
) -> None:
    """The others, and those below, are called all the same; so is one that comes too late."""

    def fail() -> None:
        raise error

    root = Context()
    below = root.child()
    calls: list[int] = []
    for ctx in (root, below):
        ctx.on_cancel(lambda: calls.append(1))
        ctx.on_cancel(fail)
        ctx.on_cancel(lambda: calls.append(1))
    root.cancel("enough")
    assert calls == [1, 1, 1, 1]
    assert below.cause == "enough"
    below.on_cancel(fail)
    assert [each.exc_value for each in unraisable] == [error] * 3
    assert {each.exc_type for each in unraisable} == {type(error)}
    assert {each.object for each in unraisable} == {fail}


def test_ctrl_c_in_a_callback_goes_on_when_all_have_been_told() -> None:
    """It is meant for the main program, not for whoever happens to run."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    root = Context()
    below = root.child()
    calls: list[int] = []
    for ctx in (root, below):
        ctx.on_cancel(lambda: calls.append(1))
        ctx.on_cancel(interrupt)
        ctx.on_cancel(lambda: calls.append(1))
    with pytest.raises(KeyboardInterrupt):
        root.cancel()
    assert calls == [1, 1, 1, 1]
    assert below.cancelled


def test_where_nobody_listens_a_callback_that_raises_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its traceback, as Python prints what it cannot raise."""

    def fail() -> None:
        raise ValueError("no such user")

    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    ctx = Context()
    ctx.on_cancel(fail)
    ctx.cancel()
    told = capsys.readouterr().err
    assert told.startswith("an on_cancel callback failed: <function ")
    assert told.endswith("ValueError: no such user\n")
    assert "in fail" in told


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3)], ids=repr)
def test_a_hook_that_raises_harms_nobody_either(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nobody left to tell."""

    def fail(_: object = None) -> None:
        raise error

    monkeypatch.setattr(sys, "unraisablehook", fail)
    ctx = Context()
    calls: list[int] = []
    for call in (lambda: calls.append(1), fail, lambda: calls.append(1)):
        ctx.on_cancel(call)
    ctx.cancel()
    assert calls == [1, 1]


def test_ctrl_c_in_a_hook_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on to who cancels, when all have been told."""

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "unraisablehook", interrupt)
    ctx = Context()
    calls: list[int] = []
    for call in (lambda: calls.append(1), lambda: calls.append(1 // 0), lambda: calls.append(1)):
        ctx.on_cancel(call)
    with pytest.raises(KeyboardInterrupt):
        ctx.cancel()
    assert calls == [1, 1]
