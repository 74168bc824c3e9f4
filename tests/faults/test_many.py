"""Row 29, and 100,000 failures: size alone breaks nothing, and memory grows with it, not faster."""

from __future__ import annotations

import logging
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

import gofer
from gofer import Context, DeadlineExceeded, Group, JobManager, job

from .modes import Mode

COUNT = 100_000

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def nobody_listens() -> Iterator[None]:
    """Keep the warnings from pytest's handler, which would keep a hundred thousand of them."""
    logger = logging.getLogger("gofer")
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(logging.NOTSET)


def nothing() -> None:
    """Do nothing."""


def fails() -> None:
    """Fail."""
    raise ValueError


def shaped(mode: Mode, shape: str, fn: Any, count: int) -> list[Any]:
    """Return so many jobs: none needs another, or in a chain, or with one before or after all."""
    made = mode.job(fn)
    jobs = []
    for i in range(count):
        after: list[str] = []
        if shape == "chain" and i:
            after = [str(i - 1)]
        if shape == "fan out" and i:
            after = ["0"]
        if shape == "fan in" and i == count - 1:
            after = [str(k) for k in range(i)]
        jobs.append(job(made, name=str(i), after=after))
    return jobs


def first(ctx: Context, param: object) -> None:
    """Fail if somebody wants it."""
    if param is not None:
        raise ValueError


@pytest.mark.parametrize("shape", ["none", "chain", "fan out", "fan in"])
@pytest.mark.parametrize("name", ["threads", "loop"])
def test_a_hundred_thousand_jobs_run(name: str, shape: str) -> None:
    """Each once, without recursion; with ``fail_fast`` the first failure rules out the rest."""
    mode = Mode(name)
    jobs = shaped(mode, shape, nothing, COUNT)
    jobs[0] = mode.job(first, name="0")
    manager = JobManager(jobs, limit=1)
    run = mode.execute(manager)
    assert len(run.results) == COUNT

    run = mode.execute(manager, None, "fail", check=False)
    assert type(run.error) is ValueError
    if shape in ("chain", "fan out"):  # else others may have gone first, being known to take long
        assert "; not started: 1, 2, 3, 4, 5 and 99,994 more" in run.error.__notes__[0]
    assert len(run.error.__notes__[0]) < 200


@pytest.mark.parametrize("name", ["threads", "loop"])
def test_a_hundred_thousand_failures_are_one_group_of_them(name: str) -> None:
    """In the order of the jobs, each with its own note; printing the run stays short."""
    mode = Mode(name)
    manager = JobManager(shaped(mode, "none", fails, COUNT), fail_fast=False)
    with pytest.raises(ExceptionGroup) as caught:
        mode.execute(manager)

    errors = caught.value.exceptions
    assert len(errors) == COUNT
    assert "job '99999' failed" in errors[-1].__notes__[0]
    run = mode.execute(manager, check=False)
    assert len(run.errors) == COUNT
    assert len(str(run)) < 10_000


def test_a_hundred_thousand_failures_in_a_map_and_a_group() -> None:
    """The map hands each out, and keeps none; the group raises the first."""
    failed = sum(not handle.ok for handle in gofer.map(_fails, range(COUNT), check=False))
    assert failed == COUNT
    with pytest.raises(ExceptionGroup) as caught, Group(fail_fast=False) as group:
        for i in range(COUNT):
            group.go(_fails, i)
    assert len(caught.value.exceptions) == COUNT


def _fails(_: int) -> None:
    raise ValueError


def test_a_run_of_very_many_is_stopped_at_its_deadline(mode: Mode) -> None:
    """Of 100,000 jobs those that have not started do not; the report names a few."""

    def until_over(ctx: Context) -> None:
        while not ctx.cancelled:
            pass

    jobs = [mode.job(until_over), *shaped(mode, "none", nothing, COUNT)]
    manager = JobManager(jobs, limit=1)
    with Context(timeout=1.0) as ctx, pytest.raises(DeadlineExceeded) as caught:
        mode.execute(manager, ctx)

    assert "and 99,995 more" in caught.value.__notes__[0]


@pytest.mark.parametrize("kind", [nothing, fails])
def test_a_runs_memory_grows_as_its_jobs_do(kind: Any) -> None:
    """Four times the jobs take four times the bytes, and no more; the figure is per job."""
    took = {}
    for count in (5_000, 20_000):
        manager = JobManager(shaped(Mode("threads"), "none", kind, count), fail_fast=False)
        manager.execute(check=False)
        tracemalloc.start()
        run = manager.execute(check=False)
        took[count] = tracemalloc.get_traced_memory()[0] / count
        tracemalloc.stop()
        assert len(run.records) == count

    assert took[20_000] < 1.3 * took[5_000] + 20
    assert took[20_000] < (150 if kind is nothing else 3_000), took
