"""What a pool and its workers keep from run to run, and what they let go of with a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import process_jobs as jobs
import pytest

from gofer import JobManager, job
from gofer.backends import _far_run, _letters
from gofer.backends._hand import Hand


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """All that workers are told."""
    messages: list[tuple[Any, ...]] = []
    say = Hand.say

    def noted(hand: Hand, *message: Any, buffers: Any = ()) -> None:
        messages.append(message)
        say(hand, *message, buffers=buffers)

    monkeypatch.setattr(Hand, "say", noted)
    return messages


def run(backend: Any, fn: Callable[..., Any]) -> Any:
    """Run one job; return what it gives."""
    return JobManager([job(fn, name="it")]).execute(backend=backend)["it"]


def test_a_function_that_is_found_by_its_name_is_told_once(one: Any, said: list[Any]) -> None:
    """Though each run is another, with its own number; and it is pickled once."""
    assert [run(one, jobs.pid) for _ in range(3)] == [run(one, jobs.apid)] * 3
    told = [each for each in said if each[0] == _letters.FUNCTION]
    assert [each[1] for each in told] == [0, 0]
    assert len(one._pool.functions) == 2


def test_a_function_that_travels_by_value_is_told_in_each_run(one: Any, said: list[Any]) -> None:
    """As it is then: what it closes over may be another by now."""
    value = [1]

    def closes_over() -> list[int]:
        return value

    assert run(one, closes_over) == [1]
    value[0] = 2
    assert run(one, closes_over) == [2]
    told = [each for each in said if each[0] == _letters.FUNCTION]
    assert len({each[1] for each in told}) == 2
    assert all(each[1] for each in told)
    assert not one._pool.functions


def test_a_run_is_parted_from_before_its_caller_hears_of_its_end(one: Any) -> None:
    """So the pool does not have to be asked once more, and knows nothing of it from then on."""
    for _ in range(20):
        run(one, jobs.pid)
        assert not one._pool._ports
        assert not one._pool._hungry
        (hand,) = one._pool._staff.hands
        assert list(hand.known) == [0]
        assert not hand.params


def test_a_worker_forgets_a_run_with_the_next_thing_that_it_is_told(
    one: Any, said: list[Any]
) -> None:
    """It costs no message of its own, and nothing piles up."""
    for _ in range(3):
        run(one, jobs.pid)
    (hand,) = one._pool._staff.hands
    runs = [each[1] for each in said if each[0] == _letters.RUN]
    assert len(set(runs)) == 3
    assert hand.over == [(_letters.FORGET, runs[-1])]


def test_a_worker_keeps_only_so_many_functions() -> None:
    """The last ones: the parent asks for no others."""
    functions: dict[int, Any] = {}
    for number in range(3 * _far_run._FUNCTIONS):
        _far_run.learn(functions, number, b"", [])
    assert list(functions) == list(range(2 * _far_run._FUNCTIONS, 3 * _far_run._FUNCTIONS))
