"""What is forgotten is gone at once: no parent, timer or callback keeps it, nor a cycle."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator

import pytest

from gofer import Cancelled, Context
from gofer._timer import Timer


@pytest.fixture(autouse=True)
def _without_the_garbage_collector(timer: Timer) -> Iterator[None]:
    """References alone decide here."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def objects() -> int:
    """Return how many objects there are that can hold others."""
    return len(gc.get_objects())


@pytest.mark.parametrize("timeout", [None, 1000, 0])
def test_a_context_that_nobody_holds_is_gone(timeout: float | None) -> None:
    """The timer knows it only as long as somebody else does."""
    ctx = Context(timeout)
    gone = weakref.ref(ctx)
    del ctx
    assert gone() is None


@pytest.mark.parametrize("timeout", [None, 1000, 0])
def test_a_child_that_nobody_holds_is_gone_while_its_parent_lives(timeout: float | None) -> None:
    """A request's context does not grow with the runs that were made under it."""
    root = Context(1000)
    child = root.child(timeout)
    gone = weakref.ref(child)
    del child
    assert gone() is None
    root.cancel()


def test_a_parent_lives_as_long_as_its_children() -> None:
    """Its deadline is theirs; and when the last one goes, it goes."""
    root = Context(1000)
    child = root.child().child()
    gone = weakref.ref(root)
    del root
    assert gone() is not None
    del child
    assert gone() is None


@pytest.mark.parametrize("how", ["cancelled", "slept", "taken back"])
def test_a_context_that_was_used_is_gone_too(how: str) -> None:
    """Cancelling, sleeping and callbacks leave no cycle behind."""
    root = Context(1000)
    ctx = root.child(500)
    forget = ctx.on_cancel(print)
    if how == "slept":
        ctx.sleep(0.001)
    forget()
    if how == "cancelled":
        ctx.cancel(ValueError("x"))
        with pytest.raises(Cancelled):
            ctx.check()
    gone = weakref.ref(ctx)
    del ctx, forget
    assert gone() is None


@pytest.mark.parametrize("how", ["called", "taken back"])
def test_a_callback_is_let_go_when_it_is_over(how: str) -> None:
    """What it refers to may be large."""
    ctx = Context()

    def call() -> None:
        pass

    gone = weakref.ref(call)
    forget = ctx.on_cancel(call)
    del call
    assert gone() is not None
    if how == "called":
        ctx.cancel()
    else:
        forget()
    assert gone() is None


def _nothing() -> None:
    pass


def _child(root: Context) -> None:
    root.child()


def _child_with_a_deadline(root: Context) -> None:
    root.child(timeout=500)


def _cancelled_child(root: Context) -> None:
    with root.child(timeout=500) as ctx:
        ctx.on_cancel(_nothing)


def _callback(root: Context) -> None:
    root.on_cancel(_nothing)()


def _sleep(root: Context) -> None:
    root.sleep(0)


@pytest.mark.parametrize(
    "use", [_child, _child_with_a_deadline, _cancelled_child, _callback, _sleep]
)
def test_a_context_that_lives_long_does_not_grow(use: Callable[[Context], None]) -> None:
    """However often it is used, what was over by then has left nothing."""
    root = Context(timeout=1000)
    for _ in range(200):  # the timer may keep some entries that were dropped
        use(root)
    before = objects()
    for _ in range(2000):
        use(root)
    assert objects() - before < 500
    assert not root.cancelled
