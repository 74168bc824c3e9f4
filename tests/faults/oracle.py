"""What any run of a graph with faults may look like: a model to judge it by, in a hundred lines.

A graph is drawn from a seed: how jobs need each other, and how each of them ends. The model does
not play the run; it is handed what was seen (who started and ended in which order) and says what
is wrong with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

FINE, FAILS, PANICS, CANCELLED_BY_ITSELF, CANCELS, SKIPPED, FALLS_BACK, RETRIED = range(8)
ODDS = (20, 3, 1, 1, 1, 2, 2, 2)


@dataclass
class Graph:
    """Jobs and their needs, how each ends, and how the manager is set."""

    needs: list[list[int]]
    ends: list[int]
    limit: int | None
    fail_fast: bool

    @classmethod
    def drawn(cls, seed: int) -> Graph:
        """Draw one; the same seed is the same graph."""
        chance = Random(seed)
        size = chance.choice([1, 2, 3, 5, 8, 13, 21])
        most = chance.choice([0, 1, 2, 4])
        faulty = chance.random() < 0.7
        needs = [
            sorted(chance.sample(range(i), min(i, chance.randint(0, most)))) for i in range(size)
        ]
        odds = ODDS if faulty else (20, 0, 0, 0, 0, 2, 2, 2)
        ends = chance.choices(range(8), odds, k=size)
        return cls(needs, ends, chance.choice([None, None, 1, 2, 3]), chance.random() < 0.6)


@dataclass
class Seen:
    """What happened: ``(i, True)`` where job i starts an attempt, ``(i, False)`` where it ends."""

    events: list[tuple[int, bool]] = field(default_factory=list)


def wrong(graph: Graph, seen: Seen, run: Any) -> str | None:
    """Return what is wrong with a run, or None.

    Judged: who ran, and how often; that needs had ended well; the limit; that nothing is lost or
    made up after a failure or a cancellation; the error, and all errors; results.
    """
    states = {i: record.state for i, record in enumerate(run.records)}
    begun = {i for i, start in seen.events if start}
    bad = {i for i, state in states.items() if state == "failed"}
    stopped = any(graph.ends[i] == CANCELS and i in begun for i in range(len(states)))
    running = most = 0
    done: set[int] = {i for i, state in states.items() if state == "skipped"}
    for i, start in seen.events:
        if start and not set(graph.needs[i]) <= done:
            return f"job {i} started before its needs had ended well"
        running += 1 if start else -1
        most = max(most, running)
        if not start and graph.ends[i] in (FINE, FALLS_BACK, RETRIED):
            done.add(i)
    if running:
        return "a job went on after the run"
    if graph.limit is not None and most > graph.limit:
        return f"{most} ran at once, of {graph.limit}"
    for i, state in states.items():
        expected = _may_be(graph, i, i in begun, stopped, bool(bad))
        if state not in expected:
            return f"job {i}, which {graph.ends[i]}, is {state}, not one of {expected}"
        attempts = sum(start and j == i for j, start in seen.events)
        expected_attempts = 0 if i not in begun else 2 if graph.ends[i] == RETRIED else 1
        if attempts != expected_attempts and not (stopped or bad):
            return f"job {i} had {attempts} attempts"
    ready = [i for i in states if states[i] == "not started" and _could(graph, i, states)]
    if ready and not stopped and not (graph.fail_fast and bad):
        return f"jobs {ready} never started, and nothing kept them"
    return _wrong_error(graph, bad, stopped, states, run)


def _may_be(graph: Graph, i: int, began: bool, stopped: bool, failed: bool) -> set[str]:
    cut = {"cancelled"} if stopped or (failed and graph.fail_fast) else set()
    if graph.ends[i] == SKIPPED:
        return {"skipped", "not started"} | cut
    if not began:
        return {"not started"} | cut
    if graph.ends[i] in (FAILS, PANICS):
        return {"failed"}
    if graph.ends[i] == CANCELLED_BY_ITSELF:
        return {"failed"} | cut
    if graph.ends[i] == CANCELS:
        return {"cancelled"}
    if cut and graph.ends[i] in (FALLS_BACK, RETRIED):  # its error came as the run was stopped
        cut.add("failed")
    return {"succeeded"} | cut


def _could(graph: Graph, i: int, states: dict[int, str]) -> bool:
    return all(states[k] in ("succeeded", "skipped") for k in graph.needs[i])


def _wrong_error(
    graph: Graph, bad: set[int], stopped: bool, states: dict[int, str], run: Any
) -> str | None:
    errors = {id(run.records[i].error) for i in bad}
    if {id(each) for each in run.errors} != errors:
        return "the errors are not those of the failed jobs"
    if not bad and not stopped:
        return None if run.ok and run.error is None else f"{run.error!r} came out of nothing"
    if run.ok:
        return "it ended well, though a job failed or cancelled it"
    if not stopped and run.error is not run.errors[0]:
        return "the first error is not the one"
    for i, state in states.items():
        if state == "succeeded" and run.results.get(str(i)) != i:
            return f"the result of {i} is {run.results.get(str(i))!r}"
    return None
