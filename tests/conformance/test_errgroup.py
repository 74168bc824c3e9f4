"""``Group`` in the situations of Go's ``errgroup_test.go``."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import gofer
from gofer import Cancelled, Context, Group, GroupClosed, LimitError

from .helpers import Boom

ONE, TWO = Boom("1"), Boom("2")
CASES: list[list[Boom | None]] = [[], [None], [ONE], [ONE, None], [ONE, None, TWO]]


def give(error: Boom | None) -> None:
    """Fail, or not."""
    if error is not None:
        raise error


@pytest.mark.parametrize("errors", CASES)
def test_the_first_error_is_the_groups_error(errors: list[Boom | None]) -> None:
    """One after the other: whatever follows a failure changes nothing, and is not started."""
    raised = None
    try:
        with Group() as group:
            for error in errors:
                handle = group.go(give, error)
                while not handle.done:
                    pass
    except Boom as error:
        raised = error
    except Cancelled:  # `go` refused what came after the failure
        raise AssertionError("the failure was lost") from None

    assert raised is next((each for each in errors if each is not None), None)


@pytest.mark.parametrize("errors", CASES[:-1])
def test_the_groups_context_is_cancelled_at_its_end_with_the_cause(
    errors: list[Boom | None],
) -> None:
    """With the first error; after a success it is over as well, so nothing hangs on it.

    Differs: once the group is over the cause is kept as text, so that it keeps nothing alive.
    """
    seen: list[Any] = []
    context = None
    try:
        with Group() as group:
            context = group.context
            context.on_cancel(lambda: seen.append(context.cause if context else None))
            for error in errors:
                group.try_go(give, error)
    except Boom:
        pass

    assert context is not None
    assert context.cancelled
    if any(errors):
        assert seen == [ONE]
        assert context.cause == "Boom: 1"
    else:
        assert "ended" in str(context.cause)


def test_try_go_takes_a_job_while_there_is_a_place() -> None:
    """42 of 42, and not one more until one has ended. Differs: a limit cannot be changed."""
    go = threading.Event()
    with Group(limit=42) as group:
        taken = [group.try_go(go.wait) for _ in range(42)]
        assert None not in taken
        assert [group.try_go(go.wait) for _ in range(100)] == [None] * 100
        go.set()
        for handle in taken:
            while handle is not None and not handle.done:
                pass
        assert group.try_go(go.wait) is not None
    assert not hasattr(group, "set_limit")


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_of_nothing_is_refused(limit: int) -> None:
    """Differs: errgroup takes 0 and starts nothing for ever, and -1 as none; here None is none."""
    with pytest.raises(LimitError):
        Group(limit=limit)


def test_go_waits_at_the_limit() -> None:
    """Of 1,024 jobs at most ten are active."""
    lock, active, most = threading.Lock(), [0], [0]

    def work() -> None:
        with lock:
            active[0] += 1
            most[0] = max(most[0], active[0])
        with lock:
            active[0] -= 1

    with Group(limit=10) as group:
        for _ in range(1024):
            group.go(work)

    assert most[0] <= 10
    assert active[0] == 0


def test_a_group_is_used_once() -> None:
    """Differs: errgroup's zero value may be waited for and go on; here a block has one end."""
    with Group() as group:
        group.go(give, None)
    with pytest.raises(GroupClosed):
        group.go(give, None)


def test_the_search_of_the_documentation() -> None:
    """Three searches at once, results in the order of asking."""

    def search(kind: str, query: str) -> str:
        return f"{kind} result for {query!r}"

    with Context() as ctx, Group(ctx) as group:
        handles = [group.go(search, kind, "golang") for kind in ("web", "image", "video")]

    assert [each.result() for each in handles] == [
        f"{kind} result for 'golang'" for kind in ("web", "image", "video")
    ]


def test_a_panic_is_recovered() -> None:
    """Newer errgroups raise it again in Wait; here it is a JobPanic, or raw without ``recover``."""

    def panics() -> None:
        raise SystemExit(3)

    with pytest.raises(gofer.JobPanic), Group() as group:
        group.go(panics)
    with pytest.raises(SystemExit), Group(recover=False) as group:
        group.go(panics)
