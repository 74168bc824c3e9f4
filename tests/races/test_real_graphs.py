"""Real graphs with random accesses: what is found is exactly what brute force finds."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from gofer import Context, JobManager, job
from gofer.testing import RaceDetector

FOLDER = Path(
    os.environ.get("GOFER_WORKLOADS")
    or Path(__file__).resolve().parents[3] / "shared" / "workloads"
)
GRAPHS = sorted(FOLDER.glob("*.json"))
LOCKS = ["", "", "x", "y"]
Use = tuple[str, int, bool, str]


class Part:
    """Something in a param that has attributes of its own."""

    value = 0


def parts() -> SimpleNamespace:
    """Return a param with an attribute, items, an object and containers to race for."""
    return SimpleNamespace(
        total=0, by_name={}, rows=[0] * 20, part=Part(), parts=[Part() for _ in range(5)], log=[]
    )


PLACES = ["total", "by_name", "rows", "part", "parts", "log"]


def use(page: Any, place: str, number: int, write: bool) -> None:
    """Read or write one place of the param."""
    one = {"total": page, "part": page.part, "parts": page.parts[number % 5]}.get(place)
    if one is not None:
        name = "total" if place == "total" else "value"
        setattr(one, name, 1) if write else getattr(one, name)
    elif place == "by_name":
        page.by_name.update({number: 1}) if write else page.by_name.get(number)
    elif place == "rows":
        page.rows.__setitem__(number % 20, 1) if write else page.rows[number % 20]
    else:
        page.log.append(1) if write else len(page.log)


def key_of(place: str, number: int) -> str:
    """Return the path of what ``use`` uses."""
    return {
        "total": "page.total",
        "by_name": f"page.by_name[{number}]",
        "rows": f"page.rows[{number % 20}]",
        "part": "page.part.value",
        "parts": f"page.parts[{number % 5}].value",
        "log": "page.log",
    }[place]


def drawn(random: Random, size: int) -> list[list[Use]]:
    """Draw what each job of a graph does; of large ones some jobs do nothing."""
    some = min(1.0, 1000 / size)
    return [
        [
            (place, random.randrange(40), random.random() < 0.3, random.choice(LOCKS))
            for place in (random.choices(PLACES, k=3) if random.random() < some else [])
            # what all use has pairs without end: two in five jobs are enough
            if place not in {"total", "part", "log"} or random.random() < 0.4
        ]
        for _ in range(size)
    ]


def brute_force(
    names: list[str], needs: list[list[int]], uses: list[list[Use]]
) -> set[tuple[frozenset[str], str]]:
    """Compare each use with each other; a set of ancestors by a search for each job."""

    def ancestors(i: int) -> set[int]:
        found: set[int] = set()
        todo = list(needs[i])
        while todo:
            j = todo.pop()
            if j not in found:
                found.add(j)
                todo += needs[j]
        return found

    above = {i: ancestors(i) for i, each in enumerate(uses) if each}
    everything: dict[str, list[tuple[int, bool, str]]] = {}
    for i, each in enumerate(uses):
        for place, number, write, lock in each:
            everything.setdefault(key_of(place, number), []).append((i, write, lock))
    return {
        (frozenset([names[i], names[j]]), path)
        for path, found in everything.items()
        for (i, write, lock), (j, also, other) in combinations(found, 2)
        if i != j and (write or also) and not (lock and lock == other)
        if j not in above[i] and i not in above[j]
    }


def jobs_of(names: list[str], needs: list[list[int]], uses: list[list[Use]]) -> Iterator[Any]:
    """Make the jobs that do all this."""

    def made(mine: list[Use]) -> Any:
        def call(ctx: Context, page: Any) -> None:
            for place, number, write, lock in mine:
                if lock:
                    with ctx.lock(lock):
                        use(page, place, number, write)
                else:
                    use(page, place, number, write)

        return call

    for name, each, mine in zip(names, needs, uses, strict=True):
        yield job(made(mine), name=name, after=[names[j] for j in each])


def judge(names: list[str], needs: list[list[int]], seed: int) -> int:
    """Compare the detector with brute force on a graph; return how many races there are."""
    uses = drawn(Random(seed), len(names))
    detector = RaceDetector(JobManager(jobs_of(names, needs, uses)))
    detector.execute(param=parts())
    found = [(frozenset(race.jobs), race.path) for race in detector.races]
    expected = brute_force(names, needs, uses)
    assert len(found) == len(set(found))
    assert set(found) == expected
    return len(found)


@pytest.mark.parametrize("path", GRAPHS or [None], ids=lambda path: path.stem if path else "none")
def test_on_a_real_graph_the_detector_finds_what_brute_force_finds(path: Path | None) -> None:
    """With attributes, items, nested objects, containers and locks, used at random."""
    if path is None:
        pytest.skip("no graphs: put them into ../shared/workloads, or set GOFER_WORKLOADS")
    told = json.loads(path.read_text(encoding="utf-8"))["jobs"]
    names = [each["name"] for each in told]
    index = {name: i for i, name in enumerate(names)}
    judge(names, [[index[need] for need in each["after"]] for each in told], seed=1)


@pytest.mark.parametrize("seed", range(5))
def test_on_a_random_graph_the_detector_finds_what_brute_force_finds(seed: int) -> None:
    """The same where there are no real graphs; most of these have many races."""
    random = Random(seed)
    size = 120
    needs = [[j for j in range(i) if random.random() < 0.01] for i in range(size)]
    assert judge([f"job{i}" for i in range(size)], needs, seed) > 100
