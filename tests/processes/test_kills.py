"""1,000 workers are killed at random moments: every job ends once, and none is lost."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import process_jobs as jobs
import pytest

import gofer
from gofer.backends.processes import ProcessBackend
from gofer.errors import JobCrashed


class Killer(threading.Thread):
    """Kills workers at random moments, until enough have died or it is stopped.

    Attributes:
        kills: How many it has killed.
    """

    def __init__(self, backend: Any, most: int, seed: int, within: float) -> None:
        super().__init__()
        self._pool, self._most, self._within = backend._pool, most, within
        self._chance = random.Random(seed)
        self.kills, self.stopped = 0, False

    def run(self) -> None:
        """Kill."""
        while not self.stopped and self.kills < self._most:
            time.sleep(self._chance.random() * self._within)
            ready = [hand for hand in tuple(self._pool._staff.hands) if hand.ready]
            if ready:
                try:
                    os.kill(self._chance.choice(ready).pid, signal.SIGKILL)
                    self.kills += 1
                except ProcessLookupError:
                    continue


def kill(start: str, count: int, kills: int, folder: Path) -> dict[str, int]:
    """Run so many jobs while so many workers are killed; return the figures."""
    folder.mkdir()
    backend = ProcessBackend(2, start=start)
    killer = Killer(backend, kills, seed=count, within=0.02)
    killer.start()
    numbers = iter(range(count))

    def items() -> Any:
        while True:  # as many as it takes for all the kills
            number = next(numbers, None)
            if number is None:
                if not killer.is_alive():
                    return
                number = next(extra)
            yield number

    extra = iter(range(count, 1 << 40))
    try:
        handles = list(
            gofer.map(jobs.Small(str(folder)), items(), backend=backend, check=False, limit=64)
        )
    finally:
        killer.stopped = True
        killer.join()
        backend.close()
    ran = Counter(int(line) for path in folder.iterdir() for line in path.read_text().split())
    crashed = [each for each in handles if not each.ok]
    assert all(each.done for each in handles)
    assert [each.result() for each in handles if each.ok] == [
        each.args[0] for each in handles if each.ok
    ]
    assert {type(each.error) for each in crashed} <= {JobCrashed}
    assert {each.error.signal for each in crashed} <= {"SIGKILL"}
    assert all(each.error.job == each.name for each in crashed)
    assert max(ran.values()) == 1, "a job ran twice"
    assert all(ran[each.args[0]] == 1 for each in handles if each.ok)
    return {"jobs": len(handles), "kills": killer.kills, "crashed": len(crashed)}


@pytest.mark.parametrize("start", ["forkserver", "spawn"])
def test_workers_that_are_killed_at_random_lose_no_job(start: str, tmp_path: Path) -> None:
    """Each job has its result, or the one crash that hit it; none runs twice."""
    figures = kill(start, 300, 20, tmp_path / "ran")
    assert figures["kills"] == 20
    assert figures["crashed"] <= 20


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_kills_over_ten_thousand_jobs_lose_none(
    tmp_path: Path, record_property: Any
) -> None:
    """The same, with the figures that the documentation has."""
    figures = kill("forkserver", 10_000, 1_000, tmp_path / "ran")
    for name, value in figures.items():
        record_property(name, value)
    print(figures)  # noqa: T201
    assert figures["kills"] == 1_000
    assert figures["jobs"] >= 10_000
    assert figures["crashed"] <= 1_000
