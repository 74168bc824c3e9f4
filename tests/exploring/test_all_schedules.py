"""All schedules that can differ are run, and few others."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from gofer import Context, JobManager, job
from gofer.testing import _reduction, explore
from gofer.testing._reduction import Explorer
from gofer.testing._trials import Subject
from gofer.testing.exploring import exploring

FOLDER = Path(
    os.environ.get("GOFER_WORKLOADS")
    or Path(__file__).resolve().parents[3] / "shared" / "workloads"
)
SMALL = ["wf-helloworld-forkjoin-10", "wf-scrnaseq", "wf-sarek", "wf-fetchngs"]
OPS = [
    "read a",
    "write a",
    "read b",
    "write b",
    "add",
    "append",
    "item",
    "own item",
    "lock",
    "sleep",
]


class Param:
    """Two numbers and two containers."""

    def __init__(self) -> None:
        self.a = self.b = 0
        self.items: list[int] = []
        self.by: dict[int, Any] = {}

    def state(self) -> str:
        """Return all that it holds."""
        return repr(vars(self))


def do(param: Any, op: str, i: int, seen: list[Any]) -> None:
    """Do one thing to a param, in the name of job ``i``."""
    match op:
        case "read a":
            seen.append(param.a)
        case "write a":
            param.a = i * 10 + len(seen)
        case "read b":
            seen.append(param.b)
        case "write b":
            param.b = i * 10 + sum(seen)
        case "add":
            param.a += i + 1
        case "append":
            param.items.append(i)
        case "item":
            param.by[0] = i
        case "own item":
            param.by[i] = param.by.get(0)
        case "lock":
            param.b = param.b * 3 + i


def plain(ops: list[str], i: int) -> Callable[..., Any]:
    """Return a job for a thread."""

    def fn(ctx: Context, param: Any) -> list[Any]:
        seen: list[Any] = []
        for op in ops:
            if op == "sleep":
                ctx.sleep(1)
            elif op == "lock":
                with ctx.lock("x"):
                    do(param, op, i, seen)
            else:
                do(param, op, i, seen)
        return seen

    return fn


def on_loop(ops: list[str], i: int) -> Callable[..., Any]:
    """Return the same for the loop."""

    async def fn(ctx: Context, param: Any) -> list[Any]:
        seen: list[Any] = []
        for op in ops:
            if op == "sleep":
                await asyncio.sleep(1)
            elif op == "lock":
                async with ctx.lock("x"):
                    do(param, op, i, seen)
            else:
                do(param, op, i, seen)
        return seen

    return fn


def drawn(chance: Random) -> JobManager:
    """Draw a small graph."""
    jobs: list[Any] = []
    for i in range(chance.choice([2, 2, 3])):
        ops = chance.choices(OPS, k=chance.choice([1, 1, 2]))
        make = on_loop if chance.random() < 0.4 else plain
        after = [f"j{k}" for k in range(i) if chance.random() < 0.2]
        jobs.append(job(make(ops, i), name=f"j{i}", after=after))
    return JobManager(jobs, limit=chance.choice([None, None, None, 1, 2]))


def outcomes(manager: JobManager, most: int, **options: bool) -> tuple[set[str], int]:
    """Return what all schedules come to, and how many were run; at most so many."""
    given = dict.fromkeys(("failures", "cancellations", "timeouts"), False) | options
    subject = Subject(manager, Param, None, errors=(), stuck_after=60.0, **given)
    explorer, found, runs = Explorer(), set(), 0
    with exploring():
        while not explorer.is_over and runs < most:
            trial = subject.once(explorer)
            error = type(trial.error).__name__
            found.add(f"{trial.param.state()} {trial.result.results} {error}")
            explorer.ended(trial.conductor.steps)
            assert explorer.parted is None
            runs += 1
    return found, runs if explorer.is_over else most + 1


@pytest.mark.parametrize(
    ("option", "graphs", "fewer"), [("", 40, 10), ("failures", 8, 1), ("cancellations", 8, 1)]
)
def test_reduction_finds_what_brute_force_finds(
    monkeypatch: pytest.MonkeyPatch, option: str, graphs: int, fewer: int
) -> None:
    """Random graphs of threads and the loop, locks, limits and sleeps: the same outcomes."""
    options = {option: True} if option else {}
    compared = reduced = whole = 0
    for seed in range(graphs):
        manager = drawn(Random(seed))
        with monkeypatch.context() as patch:
            patch.setattr(_reduction, "commute", lambda *_: False)
            brute, many = outcomes(manager, 300, **options)
        if many > 300:
            continue
        found, few = outcomes(manager, 300, **options)
        assert found == brute, f"graph {seed}"
        compared, reduced, whole = compared + 1, reduced + few, whole + many
    assert compared >= 2
    assert reduced * fewer <= whole


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("kind", ["disjoint", "locked", "limited"])
def test_nothing_is_found_in_correct_graphs(name: str, kind: str) -> None:
    """Real graphs: disjoint parts, one lock, one place. Disjoint parts commute, so few runs do."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        pytest.skip(f"there are no real graphs in {FOLDER}; say where they are: GOFER_WORKLOADS=")
    spec = json.loads(path.read_text(encoding="utf-8"))["jobs"]
    limited = {"limit": "one"} if kind == "limited" else {}

    def make(i: int) -> Callable[..., Any]:
        def fn(ctx: Context, page: Any) -> None:
            if kind == "disjoint":
                page.rows[i] += 1
            elif kind == "limited":
                page.total += 1
            else:
                with ctx.lock("x"):
                    page.total += 1

        return fn

    jobs = [
        job(make(i), name=each["name"], after=each["after"], **limited)  # type: ignore[call-overload]
        for i, each in enumerate(spec)
    ]
    result = explore(
        JobManager(jobs, limits={"one": 1}),
        lambda: SimpleNamespace(rows=[0] * len(spec), total=0),
        runs=30,
    )
    assert result.found is None
    if kind == "disjoint":
        assert result.exhaustive
        assert str(result) == f"nothing breaks in {result.runs} schedules, which are all"
        assert result.runs <= 3


def test_too_many_schedules_are_not_called_all() -> None:
    """Eight jobs in turn under one lock have 40,320 orders."""

    def fn(ctx: Context, page: Any) -> None:
        with ctx.lock("x"):
            page.total += 1

    jobs = [job(fn, name=f"j{i}") for i in range(8)]
    result = explore(JobManager(jobs), lambda: SimpleNamespace(total=0), runs=60)
    assert (result.found, result.exhaustive, result.runs) == (None, False, 60)
