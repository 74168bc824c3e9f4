"""How costs grow with size: up to a million jobs, ten million items, a hundred thousand runs.

Everything is measured in a process of its own, so that nothing is left from what came before.
A plot of the times goes to `docs/scale.svg`, if all of them were taken.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import gofer
from benchmarks import plot
from benchmarks.graphs import random_needs
from benchmarks.measure import Row
from benchmarks.report import ROOT, amount
from gofer import FunctionJob, JobManager, job

SIZES = 10_000, 100_000, 1_000_000
REPEATS = {10_000: 21, 100_000: 7, 1_000_000: 3}
SHAPES = "independent", "chain", "random"

MOST_GROWTH = 1.5  # time per job at the largest size, divided by that at the smallest
MOST_BYTES = 600.0  # per job
FLAT_TRACED, FLAT_RESIDENT = 64 << 10, 4 << 20  # bytes; an allocator's arenas come and go

ITEMS, FEW_ITEMS = 10_000_000, 100_000
TRACED_ITEMS = 1_000_000
EXECUTIONS, FEW_EXECUTIONS = 100_000, 1_000


def rows() -> Iterator[Row | str]:
    """Measure all of it."""
    series = {}
    for shape in SHAPES:
        times = {size: _elsewhere("times", shape, size) for size in SIZES}
        for part in ("compile", "run"):
            series[f"{shape}, {part}"] = [(size, times[size][part]) for size in SIZES]
        yield from _times(shape, times)
        for size in SIZES:
            yield _bytes(shape, size, _elsewhere("memory", shape, size))
    (ROOT / "docs" / "scale.svg").write_text(plot.svg(series), encoding="utf-8")
    for name, kind, what, most in [
        ("map", "traced", f"gofer.map over {TRACED_ITEMS:,} items", FLAT_TRACED),
        ("map", "resident", f"gofer.map over {ITEMS:,} items", FLAT_RESIDENT),
        ("executions", "traced", f"{EXECUTIONS:,} runs of ten jobs", FLAT_TRACED),
        ("executions", "resident", f"{EXECUTIONS:,} runs of ten jobs", FLAT_RESIDENT),
    ]:
        grown = _elsewhere(name, kind)["grown"]
        growth = f"{what}: growth of memory, {kind}"
        yield Row(growth, amount(most, "B"), grown, most, grown / most, 1.0, "B")


def _times(shape: str, times: dict[int, dict[str, float]]) -> Iterator[Row]:
    small = times[SIZES[0]]
    for size in SIZES[1:]:
        now = times[size]
        for part in ("compile", "run", "compile and run"):
            yield Row(
                f"{size:,} jobs, {shape}: {part}, per job",
                f"with {SIZES[0]:,} jobs",
                now[part],
                small[part],
                now[part] / small[part],
                MOST_GROWTH if part == "compile and run" and size == SIZES[-1] else None,
            )


def _bytes(shape: str, size: int, found: dict[str, float]) -> Row:
    return Row(
        f"{size:,} jobs, {shape}: memory of plan and run, per job",
        f"{MOST_BYTES:.0f} B",
        found["run"],
        MOST_BYTES,
        found["run"] / MOST_BYTES,
        1.0,
        "B",
        facts={"plan": found["plan"], "peak": found["peak"]},
    )


def _elsewhere(*what: object) -> dict[str, float]:
    """Measure in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.scale", *map(str, what)]
    ran = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    found: dict[str, float] = json.loads(ran.stdout)
    return found


# What the fresh process does.


def _nothing() -> None:
    pass


def _one(*, a: None) -> None:
    return a


def _two(*, a: None, b: None) -> None:  # noqa: ARG001 - to be given it is what counts
    return a


def _three(*, a: None, b: None, c: None) -> None:  # noqa: ARG001
    return a


def jobs(shape: str, count: int) -> list[FunctionJob[Any, Any, Any]]:
    """Return jobs that do nothing, and pass on what they get."""
    if shape == "independent":
        return [job(_nothing, name=f"j{i}") for i in range(count)]
    if shape == "chain":
        return [
            job(_one, name=f"j{i}", needs={"a": f"j{i - 1}"}) if i else job(_nothing, name="j0")
            for i in range(count)
        ]
    functions = _nothing, _one, _two, _three
    return [
        job(
            functions[len(needs)],
            name=f"j{i}",
            needs={arg: f"j{k}" for arg, k in zip("abc", needs, strict=False)},
        )
        for i, needs in enumerate(random_needs(count))
    ]


def times(shape: str, size: str) -> dict[str, float]:
    """Return the seconds a job costs to compile and to run, each time in a new manager."""
    count = int(size)
    made = jobs(shape, count)
    found = []
    for _ in range(REPEATS[count]):
        gc.collect()
        start = time.perf_counter()
        manager = JobManager(made)
        compiled = time.perf_counter()
        run = manager.execute()
        ended = time.perf_counter()
        found.append(((compiled - start) / count, (ended - compiled) / count))
        assert run.ok
        del run, manager
    return {
        "compile": median(a for a, _ in found),
        "run": median(b for _, b in found),
        "compile and run": median(a + b for a, b in found),
    }


def memory(shape: str, size: str) -> dict[str, float]:
    """Return the bytes a job costs, beside the job itself: held by the plan, with the run, at most.

    All results are None, so what the results themselves need does not count.
    """
    count = int(size)
    made = jobs(shape, count)
    JobManager(made[:100]).execute()  # what is imported late is there
    gc.collect()
    tracemalloc.start()
    before = _traced()
    manager = JobManager(made)
    plan = _traced()
    run = manager.execute()
    with_run, peak = _traced(), tracemalloc.get_traced_memory()[1]
    assert run.ok
    return {
        "plan": (plan - before) / count,
        "run": (with_run - before) / count,
        "peak": (peak - before) / count,
    }


def map_(kind: str) -> dict[str, float]:
    """Return by how much memory grows while many items go through ``gofer.map``."""
    items = TRACED_ITEMS if kind == "traced" else ITEMS
    results = gofer.map(str, range(items), limit=8)
    return _grown(kind, lambda n: deque(islice(results, n), maxlen=0), FEW_ITEMS, items)


def executions(kind: str) -> dict[str, float]:
    """Return by how much memory grows while a manager of ten jobs is executed again and again."""
    manager = JobManager(jobs("random", 10))

    def work(number: int) -> None:
        for _ in range(number):
            manager.execute()

    return _grown(kind, work, FEW_EXECUTIONS, EXECUTIONS)


def _grown(kind: str, work: Callable[[int], object], few: int, many: int) -> dict[str, float]:
    """Return by how many bytes the most that was ever held grows from few to many."""
    if kind == "traced":
        tracemalloc.start()
        most: Callable[[], int] = partial(_traced, peak=True)
    else:
        most = _resident
    work(few)
    before = most()
    work(many - few)
    return {"grown": most() - before}


def _traced(*, peak: bool = False) -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[peak]


def _resident() -> int:
    """Return the most bytes that this process has ever had in memory.

    Linux tells ``getrusage`` the most of the process that started this one, if that was more; only
    ``VmHWM`` begins anew with a new program.
    """
    import resource

    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
        kilobytes = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
        if kilobytes:
            return int(kilobytes[0]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


if __name__ == "__main__":
    work: Any = {"times": times, "memory": memory, "map": map_, "executions": executions}
    sys.stdout.write(json.dumps(work[sys.argv[1]](*sys.argv[2:])))
