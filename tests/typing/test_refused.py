# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""What mypy and pyright refuse: each line here is an error, and says which.

An ignore that ignores nothing is an error itself, so a line that becomes acceptable is noticed.
Where Gofer refuses it, too, the test runs the line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import gofer
from gofer import (
    AsyncGroup,
    Context,
    Group,
    JobDefinitionError,
    JobManager,
    LimitError,
    PolicyError,
    Run,
    job,
)


@job
def orders(ctx: Context, page: str) -> list[str]:
    return [page]


@job
async def user(ctx: Context) -> int:
    return 7


def fetch(url: str, *, retries: int = 0) -> bytes:
    return url.encode() * (retries + 1)


async def afetch(url: str) -> bytes:
    return url.encode()


class Nameless:
    """Not a job: it has no name."""

    def do(self, ctx: Context, param: Any) -> None: ...


class Undone:
    """Not a job: it has a name, and nothing to do."""

    name = "undone"


class Misshapen:
    """Not a job: its ``do`` does not take what a run gives."""

    name = "misshapen"

    def do(self) -> None: ...


def test_what_is_no_job_is_refused_by_the_manager() -> None:
    """A job has a name and ``do(ctx, param)``; classes, numbers and names are none."""
    with pytest.raises(JobDefinitionError):
        JobManager([Nameless()])  # type: ignore[list-item]
    with pytest.raises(JobDefinitionError):
        JobManager([Undone()])  # type: ignore[list-item]
    with pytest.raises(JobDefinitionError):
        JobManager([7])  # type: ignore[list-item]
    JobManager([Misshapen()])  # type: ignore[list-item]


def test_wrong_options_of_a_manager_are_refused() -> None:
    """Limits are numbers, and contexts come first."""
    with pytest.raises(LimitError):
        JobManager([orders], limit="8")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        JobManager([orders], limits=8)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        JobManager([orders]).execute("page")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        JobManager([orders]).execute(None, "page", ["orders"])  # type: ignore[call-arg]


def test_wrong_policies_are_refused() -> None:
    """By name at once, by value when the manager is built."""
    with pytest.raises(TypeError):
        job(orders, retries=2)  # type: ignore[call-overload]
    with pytest.raises(PolicyError):
        JobManager([job(orders, timeout="1")])  # type: ignore[call-overload]
    with pytest.raises(PolicyError):
        JobManager([job(orders, retry="twice")])  # type: ignore[call-overload]


def test_a_job_that_is_called_wrongly_is_refused() -> None:
    """It has the signature of its function."""
    with pytest.raises(TypeError):
        orders("page")  # type: ignore[call-arg, arg-type]
    with pytest.raises(TypeError):
        orders(Context(), page="x", user=7)  # type: ignore[call-arg]
    orders(Context(), 7)  # type: ignore[arg-type]


def test_a_result_of_the_wrong_type_is_refused() -> None:
    """``run[job]`` is the function's type, an async one's without the coroutine."""
    run = JobManager([orders, user]).execute(None, "page")
    number: str = run[user]  # type: ignore[assignment]
    text: int = run[orders]  # type: ignore[assignment]
    assert [text, number] == [["page"], 7]
    with pytest.raises(TypeError):
        run[7]  # type: ignore[call-overload]


def test_awaiting_is_neither_forgotten_nor_too_much() -> None:
    """``aexecute`` gives something to await, ``execute`` does not."""

    async def main() -> None:
        forgotten: Run = JobManager([orders]).aexecute()  # type: ignore[assignment]
        await JobManager([orders]).execute()  # type: ignore[misc]
        assert forgotten

    assert callable(main)  # the checkers have read it; there is nothing to run


def test_wrong_arguments_of_a_groups_job_are_refused() -> None:
    """``go`` takes what the function takes; the job would fail with the same."""
    with pytest.raises(TypeError), Group() as group:
        group.go(fetch)  # type: ignore[call-overload]
    with pytest.raises(AttributeError), Group() as group:
        group.go(fetch, 7)  # type: ignore[call-overload]
    with pytest.raises(TypeError), Group() as group:
        group.go(fetch, "/", attempts=3)  # type: ignore[arg-type, call-arg]
    with pytest.raises(TypeError), Group() as group:
        group.go(afetch, "/", "/")  # type: ignore[call-overload]
    with pytest.raises(TypeError), Group() as group:
        group.try_go(fetch)  # type: ignore[call-overload]


def test_what_cannot_be_called_is_refused_by_a_group() -> None:
    """A coroutine that was made too early, above all."""
    made = afetch("/")
    with Group() as group, pytest.raises(JobDefinitionError):
        group.go(made)  # type: ignore[call-overload]
    with Group() as group, pytest.raises(JobDefinitionError):
        group.go("/")  # type: ignore[call-overload]


def test_a_groups_wrong_options_are_refused() -> None:
    """The context comes first, and only it may come without its name."""
    with pytest.raises(TypeError):
        Group(8)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        AsyncGroup(None, 8)  # type: ignore[call-arg]


def test_a_group_is_entered_by_the_right_kind_of_with() -> None:
    """``with`` for Group, ``async with`` for AsyncGroup."""

    async def main() -> None:
        async with Group():  # type: ignore[attr-defined]
            pass
        with AsyncGroup():  # type: ignore[attr-defined]
            pass

    assert callable(main)  # the checkers have read it


def test_a_handles_result_is_of_the_functions_type() -> None:
    """Not the coroutine of an async one."""
    with Group() as group:
        handle = group.go(afetch, "/")
    text: str = handle.result()  # type: ignore[assignment]
    assert repr(text) == "b'/'"


def test_a_function_that_does_not_take_the_items_is_refused_by_map() -> None:
    """Of the wrong type, or with too many parameters."""

    def two(first: str, second: str) -> str:
        return first + second

    with pytest.raises(AttributeError):
        list(gofer.map(fetch, [7]))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        list(gofer.map(two, ["/"]))  # type: ignore[arg-type]


def test_a_maps_wrong_options_are_refused() -> None:
    """A map always has a limit; a plain one takes no async source."""

    async def source() -> Any:
        yield "/"

    with pytest.raises(LimitError):
        gofer.map(fetch, ["/"], limit=None)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        gofer.map(fetch, 7)  # type: ignore[call-overload]
    results: Iterator[str] = gofer.map(fetch, ["/"])  # type: ignore[arg-type]
    assert repr(list(results)) == "[b'/']"
    assert callable(source)
