"""The tree of contexts: who is cancelled with whom, and why; values; how they look."""

from __future__ import annotations

import pytest

from gofer import Cancelled, Context, current_context

from .conftest import Clock


def test_cancelling_a_context_cancels_all_below_it_and_nothing_else() -> None:
    """Children and theirs see it; parents and siblings do not."""
    root = Context()
    left, right = root.child(), root.child()
    below = left.child()
    left.cancel("enough")
    assert [ctx.cancelled for ctx in (root, left, right, below)] == [False, True, False, True]
    assert [ctx.cause for ctx in (root, left, right, below)] == [None, "enough", None, "enough"]


def test_the_first_cause_wins() -> None:
    """What comes later changes nothing, neither here nor below."""
    root = Context()
    child = root.child()
    child.cancel("mine")
    root.cancel("first")
    root.cancel("second")
    child.cancel("third")
    assert (root.cause, child.cause) == ("first", "mine")


def test_the_cause_goes_down_the_tree_as_it_is() -> None:
    """The very object, however deep."""
    cause = ValueError("no such user")
    root = Context()
    below = root.child().child().child()
    root.cancel(cause)
    assert below.cause is cause
    with pytest.raises(Cancelled) as caught:
        below.check()
    assert caught.value.cause is cause
    assert str(caught.value) == "the context was cancelled: ValueError: no such user"


def test_a_cancellation_needs_no_cause() -> None:
    """It is one all the same."""
    ctx = Context()
    ctx.cancel()
    assert ctx.cancelled
    assert ctx.cause is None
    with pytest.raises(Cancelled, match=r"^the context was cancelled$"):
        ctx.check()


def test_a_child_of_a_cancelled_context_is_cancelled_from_the_start() -> None:
    """With the same cause, also where it has a deadline of its own."""
    root = Context()
    root.cancel("enough")
    for child in (root.child(), root.child(timeout=60), root.child(timeout=0)):
        assert child.cancelled
        assert child.cause == "enough"


def test_a_live_context_says_nothing() -> None:
    """Neither cancelled nor a cause, a deadline or an objection."""
    ctx = Context().child()
    assert not ctx.cancelled
    assert ctx.cause is None
    assert ctx.deadline is None
    assert ctx.remaining() is None
    ctx.check()


@pytest.mark.parametrize("error", [None, ValueError("x"), Cancelled("other")], ids=repr)
def test_the_end_of_a_with_block_cancels(error: BaseException | None) -> None:
    """So that nothing is left behind; an error goes out as it is."""
    try:
        with Context() as ctx:
            child = ctx.child()
            assert not ctx.cancelled
            if error is not None:
                raise error
    except (ValueError, Cancelled) as caught:
        assert caught is error
    assert ctx.cancelled
    assert child.cancelled
    assert child.cause == "its with block has ended"


@pytest.mark.parametrize("deadline", [None, 60.0])
def test_a_tree_may_be_as_deep_as_memory_allows(deadline: float | None) -> None:
    """A loop that makes each context a child of the one before is no reason to fall over."""
    root = ctx = Context(deadline)
    told: list[int] = []
    for i in range(5_000):
        ctx = ctx.child()
        if i % 1000 == 0:
            ctx.on_cancel(lambda i=i: told.append(i))
    root.cancel("enough")
    assert ctx.cause == "enough"
    assert sorted(told) == [0, 1000, 2000, 3000, 4000]


def test_outside_of_jobs_there_is_no_current_context() -> None:
    """It is what a job that calls it runs under."""
    assert current_context() is None


# -- values


def test_values_are_looked_up_here_and_then_above() -> None:
    """A child's own come first, and a parent does not see them."""
    root = Context(values={"user": 7, "language": "de"})
    child = root.child(values={"user": 8, 5: None})
    below = child.child()
    assert [ctx.value("user") for ctx in (root, child, below)] == [7, 8, 8]
    assert below.value("language") == "de"
    assert below.value(5, "default") is None
    assert root.value(5, "default") == "default"
    assert root.value("nobody") is None


def test_values_are_those_of_the_moment() -> None:
    """A dict that changes later changes no context."""
    given = {"user": 7}
    ctx = Context(values=given)
    given["user"] = 8
    assert ctx.value("user") == 7
    assert ctx.child(values={}).value("user") == 7


def test_values_that_are_no_mapping_leave_nothing_behind() -> None:
    """A child that was refused is no child."""
    root = Context()
    with pytest.raises(TypeError):
        root.child(values=7)  # type: ignore[arg-type]
    root.cancel()
    assert root.cancelled


def test_a_context_shows_its_state_and_its_time(clock: Clock) -> None:
    """For whoever looks at it in a debugger."""
    ctx = Context(timeout=2.5)
    assert repr(Context()) == "<Context live>"
    assert repr(ctx) == "<Context live, 2.500 s left>"
    clock.now += 3
    assert repr(ctx) == "<Context cancelled, 0.000 s left>"
