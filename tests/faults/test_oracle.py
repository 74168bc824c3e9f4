"""10,000 random graphs with random faults, each in one of the modes, judged by a model.

The seeds are 0 to 9,999; ``GOFER_ORACLE_FROM`` begins elsewhere, so that a night can go further. A
graph that is judged wrong is named by its seed, and ``play(seed)`` plays it again.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest

from gofer import JobManager, Retry, job

from .modes import MODES, Mode
from .oracle import (
    CANCELLED_BY_ITSELF,
    CANCELS,
    FAILS,
    FALLS_BACK,
    FINE,
    PANICS,
    RETRIED,
    SKIPPED,
    Graph,
    Seen,
    wrong,
)

FROM = int(os.environ.get("GOFER_ORACLE_FROM", "0"))
AGAIN = Retry(3, on=ConnectionResetError, wait_initial=0, wait_jitter=0)


def fault(end: int, i: int, tries: list[int], ctx: Any) -> int:
    """End as a job of that kind does."""
    tries[i] += 1
    if end == FAILS or (end == FALLS_BACK):
        raise ConnectionError(str(i))
    if end == PANICS:
        raise SystemExit(i)
    if end == CANCELLED_BY_ITSELF:
        raise asyncio.CancelledError
    if end == RETRIED and tries[i] == 1:
        raise ConnectionResetError
    if end == CANCELS:
        ctx.cancel("by a job")
        ctx.check()
    return i


def play(seed: int) -> str | None:
    """Run the graph of a seed; return what is wrong with it, or None."""
    graph, seen, lock = Graph.drawn(seed), Seen(), threading.Lock()
    mode = Mode(MODES[seed % len(MODES)])
    tries = [0] * len(graph.ends)

    def made(i: int, end: int) -> Any:
        def work(ctx: Any) -> int:
            with lock:
                seen.events.append((i, True))
            try:
                return fault(end, i, tries, ctx)
            finally:
                with lock:
                    seen.events.append((i, False))

        async def on_loop(ctx: Any) -> int:
            with lock:
                seen.events.append((i, True))
            try:
                if end == FINE and i % 3 == 0:
                    await asyncio.sleep(0)
                return fault(end, i, tries, ctx)
            finally:
                with lock:
                    seen.events.append((i, False))

        options: dict[str, Any] = {}
        if end == SKIPPED:
            options["when"] = lambda ctx, param: False
        if end == FALLS_BACK:
            options["fallback"] = i
        if end == RETRIED:
            options["retry"] = AGAIN
        mixed = mode.name == "mixed" and i % 2
        after = [str(k) for k in graph.needs[i]]
        fn = on_loop if mode.is_async or mixed else work
        return job(fn, name=str(i), after=after, **options)

    jobs = [made(i, end) for i, end in enumerate(graph.ends)]
    manager = JobManager(jobs, limit=graph.limit, fail_fast=graph.fail_fast)
    return wrong(graph, seen, mode.execute(manager, check=False))


@pytest.mark.parametrize("block", range(10))
def test_a_thousand_random_graphs_with_random_faults_are_as_the_model_says(block: int) -> None:
    """Who ran, in which order, under which limit, the first error, and nothing left behind."""
    start = FROM + 1000 * block
    found = {seed: what for seed in range(start, start + 1000) if (what := play(seed))}

    assert found == {}


def test_the_model_finds_what_is_wrong() -> None:
    """A judge that says yes to everything would judge nothing."""
    graph = Graph([[], [0]], [FINE, FINE], limit=1, fail_fast=True)
    jobs = [job(lambda: 0, name="0"), job(lambda: 1, name="1", after=["0"])]
    run = JobManager(jobs).execute()
    fine = [(0, True), (0, False), (1, True), (1, False)]

    assert wrong(graph, Seen(fine), run) is None
    assert "before its needs" in str(wrong(graph, Seen([*fine[2:], *fine[:2]]), run))
    assert "went on" in str(wrong(graph, Seen(fine[:3]), run))
    assert "at once" in str(
        wrong(Graph([[], []], [FINE, FINE], 1, True), Seen([fine[0], fine[2], *fine[1::2]]), run)
    )
    assert "attempts" in str(wrong(graph, Seen([*fine[:2], *fine]), run))
    assert "not one of" in str(wrong(graph, Seen(fine[:2]), run))
    assert "ended well" in str(
        wrong(Graph([[], [0]], [CANCELS, FINE], None, True), Seen(fine), run)
    ) or "not one of" in str(wrong(Graph([[], [0]], [CANCELS, FINE], None, True), Seen(fine), run))
