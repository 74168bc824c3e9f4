"""What the detector says besides single races, and what it refuses."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from gofer import Context, JobManager, RacesFound, job
from gofer.testing import RaceDetector

from .shared import Page, two


def test_needs_over_which_nothing_flows_are_listed() -> None:
    """Not those that bring a result, or data in the param, or keep two from racing."""

    def nothing(ctx: Context, page: Page) -> None: ...

    def give(ctx: Context, page: Page) -> int:
        page.user = 1
        return 1

    def take(*, give: int) -> None: ...

    def read(ctx: Context, page: Page) -> None:
        assert page.user

    def overwrite(ctx: Context, page: Page) -> None:
        page.user = 2

    manager = JobManager(
        [
            give,
            take,
            nothing,
            job(read, after=["give", "nothing"]),
            job(overwrite, after=["read"]),
            job(nothing, name="late", after=["overwrite"]),
            job(nothing, name="never", after=["late"], when=lambda ctx, page: False),
        ]
    )
    detector = RaceDetector(manager)
    assert detector.unused_needs == []
    detector.execute(param=Page())
    assert detector.unused_needs == [("read", "nothing"), ("late", "overwrite")]
    assert detector.report().splitlines() == [
        "0 races",
        "",
        "2 needs over which nothing flowed",
        "  job 'read' waits for 'nothing', but takes nothing that it made",
        "  job 'late' waits for 'overwrite', but takes nothing that it made",
        "",
        "not seen to their end, so races may be missing: 'never'",
    ]


def test_what_processes_would_lose_is_listed() -> None:
    """Each part that a job writes, once; of all jobs or of some."""

    def a(page: Any) -> None:
        page.total += 1
        page.total += 1
        page.rows.append(page.hits)

    manager = two(a, lambda page: setattr(page, "user", 1))
    detector = RaceDetector(manager)
    detector.execute(param=Page())
    lost = [(each.job, each.path) for each in detector.lost_writes()]
    assert lost == [("a", "page.total"), ("a", "page.rows"), ("b", "page.user")]
    assert [each.path for each in detector.lost_writes([manager.jobs[1]])] == ["page.user"]


class Elsewhere:
    """A backend that no job must reach: what is watched runs here."""

    name = "elsewhere"
    port = None


def test_what_a_job_of_another_process_writes_is_told_as_lost() -> None:
    """By the report itself, where the job or the run says so; it runs here, and races with none."""

    def write(ctx: Context, page: Page) -> None:
        page.total += 1

    def told(of_job: Any, *, unordered: tuple[str, ...] = (), **option: Any) -> list[str]:
        inner = JobManager([job(write, name="inner")], name="inner")
        jobs = [
            job(write, backend=of_job),
            job(lambda ctx, page: page.hits, name="look", backend="thread"),
            job(inner, after=["write"]),
        ]
        detector = RaceDetector(JobManager(jobs), unordered=unordered)
        page = Page()
        detector.execute(param=page, **option)
        assert page.total == 2
        report = detector.report().splitlines()
        if report[2:]:
            with pytest.raises(RacesFound, match="it is lost"):
                detector.check()
        return [line.partition(" at ")[0] for line in report]

    lost = [
        "0 races",
        "",
        "1 lost write",
        "page.total",
        "  job 'write' writes it",
        "  it is lost: the job runs elsewhere, on a copy of the param; return it instead",
    ]
    assert told(Elsewhere()) == lost
    assert told("process") == lost
    assert told(None, backend="processes") == lost
    assert told("thread", backend="processes") == ["0 races"]
    assert told(None) == ["0 races"]
    assert told(Elsewhere(), unordered=("total",)) == ["0 races"]

    away = Elsewhere()
    both = JobManager([job(write, name=name, backend=away) for name in "ab"])
    detector = RaceDetector(both)
    assert (detector.races, detector.lost_writes()) == ([], [])
    detector.execute(param=Page())
    assert detector.races == []
    assert len(detector.lost_writes()) == 2


def test_many_races_on_the_same_lines_are_told_once() -> None:
    """200 jobs of one function are 19,900 races, and one thing to read."""

    def count(ctx: Context, page: Page) -> None:
        page.hits += 1

    detector = RaceDetector(JobManager([job(count, name=f"count[{i}]") for i in range(200)]))
    detector.execute(param=Page())
    assert len(detector.races) == 19_900
    with pytest.raises(RacesFound) as caught:
        detector.check()
    assert "and 19,899 more on these lines" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 5
    assert detector.report().startswith("19,900 races\npage.hits\n")


def test_a_race_of_an_item_with_all_of_a_container_names_the_item() -> None:
    """The path is the container's, and the line says what was used of it."""
    detector = RaceDetector(two(lambda page: page.update(x=1), len))
    detector.execute(param={})
    (race,) = detector.races
    assert race.path == "page"
    told = str(race).splitlines()
    assert told[1].startswith("  job 'a' writes page['x'] at ")
    assert told[2].startswith("  job 'b' reads it at ")


def test_without_races_a_check_passes() -> None:
    """And the report says that there are none."""
    detector = RaceDetector(two(lambda page: page.total))
    detector.execute(param=Page())
    detector.check()
    assert detector.report() == "0 races"


@pytest.mark.parametrize("param", [None, 7, "text", object(), sys, re.compile("x")])
def test_what_cannot_be_tracked_is_passed_on(param: object) -> None:
    """A manager whose param is nothing to write to runs as ever."""
    seen = []
    detector = RaceDetector(two(seen.append))
    detector.execute(param=param)
    assert seen == [param]
    assert detector.races == []


def test_wrong_arguments_are_refused_with_what_to_write() -> None:
    """A text is a list of letters to Python, and never what was meant."""
    manager = two(print)
    with pytest.raises(TypeError, match=r"unordered=\['hits'\]"):
        RaceDetector(manager, unordered="hits")
    with pytest.raises(TypeError, match=r"opaque=\['hits'\]"):
        RaceDetector(manager, opaque="hits")
    with pytest.raises(TypeError, match="is for a JobManager"):
        RaceDetector([print])  # type: ignore[arg-type]


def test_the_param_has_the_name_that_jobs_give_it() -> None:
    """Of functions, methods and objects with ``do``; else it is the param."""

    class Go:
        name = "go"

        def do(self, ctx: Context, order: Any) -> None:
            order.total = 1

    def named(*jobs: Any) -> list[str]:
        detector = RaceDetector(JobManager(jobs))
        detector.execute(param=SimpleNamespace(total=0))
        return [race.path for race in detector.races]

    other = job(lambda ctx, bill: setattr(bill, "total", 1), name="other")
    assert named(Go(), other) == ["order.total"]
    assert named(other, Go()) == ["bill.total"]
