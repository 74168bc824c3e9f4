"""What is a race and what is none; what the detector says of it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from gofer import Context, JobManager, Retry, job
from gofer.testing import Race, RaceDetector

from .shared import Page, races_of, two

HERE = __file__


def test_a_lost_update_is_found_where_nothing_went_wrong() -> None:
    """Two jobs that add are told, by name, line and path, also if one ran long before the other."""
    ended = threading.Event()

    @job
    def add(ctx: Context, page: Page) -> None:
        page.total += 5
        ended.set()

    @job
    def fee(ctx: Context, page: Page) -> None:
        assert ended.wait(60)
        page.total += 1

    detector, page = RaceDetector(JobManager([add, fee])), Page()
    run = detector.execute(param=page)

    assert run.state == "succeeded"
    assert page.total == 6
    (race,) = detector.races
    assert isinstance(race, Race)
    assert (race.jobs, race.path, race.after) == (("add", "fee"), "page.total", "after=['add']")
    line = test_a_lost_update_is_found_where_nothing_went_wrong.__code__.co_firstlineno
    assert [(each.file, each.line - line, each.write) for each in race] == [
        (HERE, 6, True),
        (HERE, 12, True),
    ]
    assert str(race).splitlines()[1:] == [
        f"  job 'add' writes it at {race.first.place}",
        f"  job 'fee' writes it at {race.second.place}",
        "  nothing orders them: give job 'fee' after=['add'], or hold one ctx.lock(name) in both",
    ]


def test_the_after_that_is_named_ends_the_race() -> None:
    """What the report says is to be done helps, and there is no other path of needs before."""

    def write(ctx: Context, page: Page) -> None:
        page.user = "Ann"

    def read(ctx: Context, page: Page) -> None:
        assert page.user in {None, "Ann"}

    def found(**after: Any) -> list[Race]:
        jobs = [job(read, **after), job(lambda: None, name="between", after=["write"]), job(write)]
        detector = RaceDetector(JobManager(jobs))
        detector.execute(param=Page())
        return detector.races

    (race,) = found()
    assert race.jobs == ("write", "read")  # the one that writes comes first
    assert race.after == "after=['write']"
    assert found(after=["write"]) == []
    assert found(after=["between"]) == []


def test_jobs_that_share_nothing_that_one_writes_do_not_race() -> None:
    """Disjoint attributes and items, and what all only read."""

    def reads(page: Any) -> None:
        assert page.hits == 0
        assert page.rows[2] == 2
        assert page.user["x"] == 0

    def writes(page: Any) -> None:
        page.total = 1
        page.rows[0] = 5
        page.user["y"] = 5

    page = Page()
    page.rows, page.user = [0, 1, 2], {"x": 0}
    assert races_of(page, reads, reads, writes) == []


@pytest.mark.parametrize(
    ("one", "other", "paths"),
    [
        (lambda page: setattr(page, "user", 1), lambda page: page.user, ["page.user"]),
        (
            lambda page: delattr(page, "total"),
            lambda page: setattr(page, "total", 1),
            ["page.total"],
        ),
        (lambda page: hasattr(page, "new"), lambda page: setattr(page, "new", 1), ["page.new"]),
        (lambda page: page.rows.append(1), lambda page: page.rows.append(2), ["page.rows"]),
        (lambda page: page.rows.append(1), lambda page: page.rows[-1], ["page.rows"]),
        (lambda page: page.rows.append(1), lambda page: len(page.rows), ["page.rows"]),
        (
            lambda page: page.rows.append(1),
            lambda page: setattr(page, "rows", []),
            ["page.rows"],
        ),
        (lambda page: setattr(page, "user", 1), lambda page: page.total, []),
    ],
)
def test_what_meets_is_a_race(one: Any, other: Any, paths: list[str]) -> None:
    """In either order of the jobs."""

    def page() -> Page:
        made = Page()
        made.rows = [0]
        return made

    assert races_of(page(), one, other) == paths
    assert races_of(page(), other, one) == paths


def test_what_is_given_on_as_a_result_is_ordered_by_the_need() -> None:
    """A part of the param that is handed over is still that part; who gets it comes later."""

    @job
    def rows(ctx: Context, page: Page) -> list[Any]:
        page.rows.append(1)
        return page.rows

    @job
    def more(*, rows: list[Any]) -> int:
        rows.append(2)
        return len(rows)

    @job
    def beside(ctx: Context, page: Page) -> None:
        page.rows.append(3)

    page = Page()
    detector = RaceDetector(JobManager([rows, more]))
    run = detector.execute(param=page)
    assert detector.races == []
    assert run[rows] is page.rows
    assert type(run[rows]) is list
    assert detector.unused_needs == []

    detector = RaceDetector(JobManager([rows, more, beside]))
    detector.execute(param=page)
    assert [race.jobs for race in detector.races] == [("rows", "beside"), ("more", "beside")]


def test_what_is_held_by_both_is_no_race() -> None:
    """A lock by name, or a limit of one place; another lock, or two places, order nothing."""

    def found(name: str, other: str) -> list[Race]:
        @job
        def a(ctx: Context, page: Page) -> None:
            with ctx.lock(name):
                page.total += 1

        @job
        async def b(ctx: Context, page: Page) -> None:
            async with ctx.lock(other):
                await asyncio.sleep(0)
                page.total += 1

        detector = RaceDetector(JobManager([a, b]))
        detector.execute(param=Page())
        return detector.races

    assert found("total", "total") == []
    assert [race.path for race in found("total", "other")] == ["page.total"]


@pytest.mark.parametrize(("most", "count"), [(1, 0), (2, 1)])
def test_a_limit_of_one_place_orders_its_jobs(most: int, count: int) -> None:
    """With attempts and without; a limit of two does not."""

    @job(limit="db", retry=Retry(attempts=2))
    def a(ctx: Context, page: Page) -> None:
        page.total += 1

    @job(limit="db", timeout=60)
    async def b(ctx: Context, page: Page) -> None:
        page.total += 1

    detector = RaceDetector(JobManager([a, b], limits={"db": most}))
    detector.execute(param=Page())
    assert len(detector.races) == count


def test_a_part_that_is_waived_may_be_used_in_any_order() -> None:
    """By its path from the param, with all that is below it, and nothing that begins alike."""

    def does(page: Any) -> None:
        page.hits += 1
        page.rows.append(1)
        page.total += 1

    assert races_of(Page(), does, does) == ["page.hits", "page.rows", "page.total"]
    assert races_of(Page(), does, does, unordered=["hits"]) == ["page.rows", "page.total"]
    assert races_of(Page(), does, does, unordered=["page.rows", "tot"]) == [
        "page.hits",
        "page.total",
    ]
    assert races_of({"x": {"y": 1}}, *[lambda x: x["x"].update(y=2)] * 2, unordered=["['x']"]) == []


def test_code_outside_of_jobs_does_not_count() -> None:
    """Neither the caller, nor a thread that a job has started for itself, nor an observer."""
    page, started = Page(), threading.Event()

    @job
    def a(ctx: Context, page: Page) -> None:
        thread = threading.Thread(target=lambda: (setattr(page, "total", 1), page.rows.append(1)))
        thread.start()
        thread.join()
        started.set()

    @job
    def b(ctx: Context, page: Page) -> None:
        assert started.wait(60)
        page.total += 1

    detector = RaceDetector(JobManager([a, b]))
    detector.execute(param=page)
    page.total += 1
    assert detector.races == []


def test_a_jobs_own_threads_of_asyncio_count_as_the_job() -> None:
    """``asyncio.to_thread`` takes the job's context variables along."""

    @job
    async def a(ctx: Context, page: Page) -> None:
        await asyncio.to_thread(setattr, page, "total", 1)

    @job
    async def b(ctx: Context, page: Page) -> None:
        page.total = 2

    detector = RaceDetector(JobManager([a, b]))
    asyncio.run(detector.aexecute(param=Page()))
    assert [race.jobs for race in detector.races] == [("a", "b")]


def test_a_predicate_and_a_fallback_are_of_their_job() -> None:
    """What they do to the param counts as what the job does."""
    page = Page()

    def fall_back(_: object) -> None:
        page.rows.append(1)

    @job(when=lambda ctx, page: page.total == 0, fallback=fall_back)
    def a(ctx: Context, page: Page) -> None:
        raise ConnectionError

    @job
    def b(ctx: Context, page: Page) -> None:
        page.total = 0
        page.rows.append(2)

    detector = RaceDetector(JobManager([a, b]))
    detector.execute(param=page)
    assert [race.path for race in detector.races] == ["page.rows", "page.total"]


def test_in_a_block_all_runs_of_the_manager_are_watched_whoever_starts_them() -> None:
    """So the code under test needs no change; afterwards the manager is as it was."""
    manager = two(lambda page: setattr(page, "total", 1), lambda page: page.total)

    def code_under_test() -> None:
        manager.execute(None, Page())

    with RaceDetector(manager) as detector:
        code_under_test()
        asyncio.run(manager.aexecute(None, Page()))
        with pytest.raises(RuntimeError, match="another detector"), RaceDetector(manager):
            pytest.fail("its block must not begin")
    code_under_test()
    assert len(detector.races) == 1
    assert "2 runs" in repr(detector)
    assert not {"execute", "aexecute"} & vars(manager).keys()


def test_a_run_that_fails_is_told_about_too_and_fails_as_ever() -> None:
    """The job's own exception comes out, and the traceback begins with the job."""
    manager = two(lambda page: setattr(page, "total", 1), lambda page: page.total / 0)
    detector = RaceDetector(manager)
    page = Page()
    with pytest.raises(ZeroDivisionError) as caught:
        detector.execute(param=page)
    assert type(page) is Page
    assert "gofer/testing/_watched.py" not in {
        entry.path.as_posix()[-26:] for entry in caught.traceback
    }
    run = detector.execute(param=page, check=False)
    assert run.state == "failed"


def test_a_manager_in_a_manager_is_one_job_and_can_have_a_detector_of_its_own() -> None:
    """What its jobs do is done by it; among themselves they are compared by their own graph."""
    inner = two(lambda page: setattr(page, "total", 1), lambda page: page.total)
    inner.name = "inner"

    @job
    def beside(ctx: Context, page: Page) -> None:
        page.total += 1

    page = Page()
    outer = JobManager([inner, beside])
    with RaceDetector(outer) as detector, RaceDetector(inner) as of_inner:
        outer.execute(None, page)
    assert [race.jobs for race in detector.races] == [("inner", "beside")]
    assert [race.jobs for race in of_inner.races] == [("a", "b")]
    assert type(page) is Page


def test_only_what_ran_is_compared() -> None:
    """Two runs with some jobs each tell of what happened in each, not across."""
    manager = two(lambda page: setattr(page, "total", 1), lambda page: page.total)
    detector = RaceDetector(manager)
    detector.execute(param=(page := Page()), only=["a"])
    detector.execute(param=page, only=["b"])
    assert detector.races == []
