"""``JobManager`` in the situations of the scheduler tests of Go's ``uber-go/cff``.

Graphs of up to 100 jobs at 0, 1, 2, 4 and 8 workers (0 is no limit here), with jobs that must, may
or must not run, in every mode.
"""

from __future__ import annotations

import threading
from typing import Any

import pytest

from gofer import Cancelled, Context, Group, GroupClosed, JobManager, Observer
from tests.faults.modes import MODES, Mode

from .helpers import Boom

MUST, MAY, MUST_NOT, FAILS = "must", "may", "must not", "fails"

Shape = list[tuple[list[int], str]]

DIAMOND: Shape = [([], MUST), ([0], MUST), ([0], MUST), ([1, 2], MUST)]
GRAPHS: dict[str, Shape] = {
    "diamond": DIAMOND,
    "diamond, the first fails": [([], FAILS), *[(needs, MUST_NOT) for needs, _ in DIAMOND[1:]]],
    "diamond, one in the middle fails": [
        ([], MUST),
        ([0], MAY),
        ([0], FAILS),
        ([1, 2], MUST_NOT),
    ],
    "two chains": [([], MUST), ([0], MUST), ([], MUST), ([2], MUST)],
    "two chains, one fails": [([], FAILS), ([0], MUST_NOT), ([], MAY), ([2], MAY)],
    "100 alone": [([], MUST)] * 100,
    "chain of 100": [([i - 1] if i else [], MUST) for i in range(100)],
    "chain of 100, the first fails": [
        ([i - 1] if i else [], MUST_NOT if i else FAILS) for i in range(100)
    ],
    "fan out of 100": [([0] if i else [], MUST) for i in range(100)],
    "fan in of 100": [([] if i < 99 else list(range(99)), MUST) for i in range(100)],
    "diamond of 100": [
        ([] if i == 0 else [0] if i < 99 else list(range(1, 99)), MUST) for i in range(100)
    ],
    "nothing": [],
}


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Mode:
    """Each way to run jobs, in turn."""
    return Mode(request.param)


@pytest.mark.parametrize("workers", [0, 1, 2, 4, 8])
@pytest.mark.parametrize("name", GRAPHS)
def test_each_graph_runs_what_must_and_nothing_that_must_not(
    mode: Mode, name: str, workers: int
) -> None:
    """Also in order, and with the one error where a job fails."""
    graph, ran, lock = GRAPHS[name], [], threading.Lock()

    def make(i: int, needs: list[int], how: str) -> Any:
        def work() -> None:
            with lock:
                assert set(needs) <= set(ran)
                ran.append(i)
            if how == FAILS:
                raise Boom

        return mode.job(work, name=str(i), after=[str(k) for k in needs])

    jobs = [make(i, needs, how) for i, (needs, how) in enumerate(graph)]
    run = mode.execute(JobManager(jobs, limit=workers or None), check=False)

    assert len(ran) == len(set(ran))
    for i, (_, how) in enumerate(graph):
        assert how == MAY or (i in ran) == (how in (MUST, FAILS)), f"job {i} {how} run"
    failing = any(how == FAILS for _, how in graph)
    assert type(run.error) is (Boom if failing else type(None))


@pytest.mark.parametrize("limit", [1, 10, 100])
def test_a_manager_never_runs_more_than_its_limit(mode: Mode, limit: int) -> None:
    """Ten times as many jobs as places."""
    lock, active, most = threading.Lock(), [0], [0]

    def work() -> None:
        with lock:
            active[0] += 1
            most[0] = max(most[0], active[0])
        with lock:
            active[0] -= 1

    jobs = [mode.job(work, name=str(i)) for i in range(10 * limit)]
    run = mode.execute(JobManager(jobs, limit=limit))

    assert len(run.results) == 10 * limit
    assert most[0] <= limit


def test_going_on_after_an_error_rules_out_dependents_alone(mode: Mode) -> None:
    """``fail_fast=False``: what needs the failed job does not run; both errors are kept."""
    ran = []

    def fails() -> None:
        raise Boom("sad times")

    def fails_too() -> None:
        raise Boom("another")

    jobs = [
        mode.job(fails),
        mode.job(lambda: ran.append("root"), name="root", after=["fails"]),
        mode.job(fails_too),
    ]
    with pytest.raises(ExceptionGroup) as caught:
        mode.execute(JobManager(jobs, fail_fast=False))

    assert [str(each) for each in caught.value.exceptions] == ["sad times", "another"]
    assert ran == []


def test_a_run_of_nothing_succeeds_and_nothing_is_added_afterwards(mode: Mode) -> None:
    """Cff panics where a job comes after Wait; a group says that it is closed."""
    assert mode.execute(JobManager([])).ok
    with Group() as group:
        pass
    with pytest.raises(GroupClosed):
        group.go(print)


def test_a_context_that_was_cancelled_before_starts_nothing(mode: Mode) -> None:
    """And says so. Differs: cff fails even where there is nothing to do; here that succeeds."""
    ran = []
    manager = JobManager([mode.job(lambda: ran.append(1), name="any")])
    with Context() as ctx:
        ctx.cancel()
        with pytest.raises(Cancelled):
            mode.execute(manager, ctx)

    assert ran == []


def test_a_hundred_threads_add_jobs_at_once() -> None:
    """They wait for each other first, and none is lost."""
    barrier, ran = threading.Barrier(100), []

    def add(group: Group) -> None:
        barrier.wait()
        group.go(ran.append, 1)

    with Group() as group:
        threads = [threading.Thread(target=add, args=(group,)) for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(ran) == 100


def test_the_state_of_a_run_can_be_read_while_it_goes_on(mode: Mode) -> None:
    """What cff's emitter says: how many are waiting, run, and have ended."""
    told = []

    class Emitter(Observer):
        def run_started(self, run: Any) -> None:
            self.run = run

    emitter = Emitter()

    def looks() -> None:
        told.append([record.state for record in emitter.run.records])

    jobs = [mode.job(looks, name="a"), mode.job(looks, name="b", after=["a"])]
    mode.execute(JobManager(jobs, limit=1, observers=[emitter]))

    assert told == [["running", "waiting"], ["succeeded", "running"]]
