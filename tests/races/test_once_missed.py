"""What once went wrong in the detector: told too little, too much, or changed what a job did."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import functools
import pickle
import threading
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from gofer import Context, JobManager, job
from gofer.testing import RaceDetector, races

from .shared import Data, Plain, during, races_of, two
from .test_kinds import pydantic_class


class Counted:
    """A class that counts in itself."""

    count = 0
    extra: Any = None

    def add(self) -> None:
        type(self).count += 1

    @classmethod
    def more(cls) -> None:
        cls.count += 1
        cls.extra = cls
        del cls.extra


def test_what_a_job_wrote_into_the_class_of_an_object_was_gone_after_the_run() -> None:
    """``type(self).count += 1`` and class methods write into the class itself, not into ours."""
    Counted.count, Counted.extra = 0, None
    during(Counted(), lambda page: (page.add(), page.more()))
    assert Counted.count == 2
    assert "extra" not in vars(Counted)


def test_a_table_of_handlers_by_type_did_not_know_the_class_of_a_tracked_object() -> None:
    """``handlers[type(it)]`` and ``functools.singledispatch`` find what they always do."""
    handlers = {Plain: "plain", Data: "data"}
    show = functools.singledispatch(lambda thing: "anything")
    show.register(Plain, lambda thing: "plain")

    def look(page: Any) -> None:
        assert handlers[type(page.inner)] == "plain"
        assert type(page.inner) == Plain  # noqa: E721
        assert type(page.inner) != Data  # noqa: E721
        assert show(page.inner) == "plain"

    page = Data()
    page.inner = Plain()
    during(page, look)


class Pair(NamedTuple):
    """A tuple with names."""

    rows: list[Any]
    other: Any = None


@pytest.mark.parametrize(
    ("inner", "path"),
    [(([1],), "page.inner[0]"), (Pair([1]), "page.inner.rows")],
    ids=["tuple", "named tuple"],
)
def test_a_list_in_a_tuple_was_not_seen(inner: Any, path: str) -> None:
    """A tuple cannot be written, but what it holds can; it comes back as what it was."""
    page = Data(inner=inner)

    def append(page: Any) -> None:
        assert page.inner == inner
        assert type(page.inner) is type(inner)
        assert page.inner is page.inner
        rows, *_ = page.inner
        rows.append(2)
        page.rows.append(page.inner)

    assert path in races_of(page, append, append)
    assert page.inner is inner
    assert [type(each[0]) for each in (inner, *page.rows)] == [list] * 3
    assert inner[0] == [1, 2, 2]
    assert path.replace(".inner", "") in races_of(inner, *[lambda it: it[0].append(1)] * 2)


def test_a_tuple_of_a_class_with_attributes_is_left_as_it_is() -> None:
    """One that is made anew would be without them."""

    class Tagged(Pair):
        tag = 0

    tagged = Tagged([1])
    tagged.tag = 5
    page = Data(inner=tagged)
    during(page, lambda page: setattr(page, "total", page.inner.tag))
    assert page.total == 5


def test_an_object_that_is_the_key_of_a_dict_was_not_seen() -> None:
    """Whoever loops over the keys has found it in the param."""
    page = SimpleNamespace(by_part={Plain2(): 1})

    def write(page: Any) -> None:
        for part in page.by_part:
            part.total = 1

    assert races_of(page, write, write) == ["page.by_part[...].total"]


class Plain2:
    """A plain object that can be a key."""

    total = 0


class Lazy:
    """One that keeps what it has computed."""

    @functools.cached_property
    def rows(self) -> list[Any]:
        return []


def test_what_a_cached_property_made_was_not_seen_by_the_job_that_made_it() -> None:
    """That both ask for it is no race, and what they do to what it made is one."""
    assert races_of(Lazy(), *[lambda page: page.rows] * 2) == []
    assert races_of(Lazy(), *[lambda page: page.rows.append(1)] * 2) == ["page.rows"]


@pytest.mark.parametrize(
    "read",
    [
        lambda page: page.model_dump(),
        lambda page: page.model_dump_json(),
        lambda page: page == page.model_copy(),
    ],
    ids=["dump", "json", "=="],
)
def test_a_dump_or_a_comparison_of_a_model_was_not_seen_as_a_read(read: Any) -> None:
    """Their code in C reads all attributes and all that these hold, models too."""
    model = pydantic_class()
    page = model(rows=[1], inner=model(rows=[[2]]))
    assert races_of(page, read, lambda page: setattr(page, "total", 1)) == ["page.total"]
    assert races_of(page, read, lambda page: page.rows.append(1)) == ["page.rows"]
    deep = races_of(page, read, lambda page: page.inner.rows[0].append(1))
    assert deep == ["page.inner.rows[0]"]
    page.inner.inner = page.inner.rows  # the same twice is read once
    assert races_of(page, lambda page: page.model_dump()) == []


def test_attrs_gave_proxies_in_what_it_made_of_an_object() -> None:
    """``asdict`` and ``astuple`` copy; ``evolve`` shares what is inside."""
    attrs = pytest.importorskip("attrs", reason="needs attrs: pip install attrs")

    @attrs.define
    class Page:
        total: int = 0
        rows: list[Any] = attrs.field(factory=list)

    rows = [[1]]
    page = Page(rows=rows)

    def look(given: Any) -> None:
        assert attrs.asdict(given) == {"total": 0, "rows": [[1]]}
        assert type(attrs.asdict(given)["rows"]) is list
        assert attrs.evolve(given, total=1) == Page(1, [[1]])
        assert attrs.evolve(given, total=1).rows is rows

    during(page, look)
    write = lambda page: setattr(page, "total", 1)  # noqa: E731
    assert races_of(page, attrs.asdict, write) == ["page.total"]
    assert races_of(page, attrs.evolve, lambda page: page.rows[0].append(2)) == []


def test_what_a_job_began_under_a_lock_counted_as_under_it_for_ever() -> None:
    """A task or a thread inherits what is held, and may go on when it has been given back."""

    @job
    async def a(ctx: Context, page: Plain) -> None:
        given_back = asyncio.Event()

        async def later() -> None:
            await given_back.wait()
            page.total += 1

        async with ctx.lock("total"):
            mine = asyncio.create_task(later())
        given_back.set()
        await mine

    @job
    def b(ctx: Context, page: Plain) -> None:
        with ctx.lock("total"):
            page.total += 1

    detector = RaceDetector(JobManager([a, b]))
    detector.execute(param=Plain())
    assert [race.path for race in detector.races] == ["page.total"]


def test_an_abandoned_job_made_the_detector_keep_what_it_went_on_with() -> None:
    """What it finds through a proxy that it still has is not tracked when the run has ended."""
    go, ended, seen = threading.Event(), threading.Event(), []

    @job(timeout=0.01, abandon=True, fallback=None)
    def late(ctx: Context, page: dict[str, Any]) -> None:
        assert go.wait(60)
        seen.append(type(page["rows"]))
        ended.set()

    detector = RaceDetector(JobManager([late]))
    detector.execute(param={"rows": []})
    go.set()
    assert ended.wait(60)
    assert seen == [list]
    (record,) = detector._records
    assert record.watch._proxies == {}


def test_a_report_of_millions_of_races_looked_at_each_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Races on the same lines are counted as bits: 3,000 jobs have 4.5 million on one line."""
    made = 0
    make = races._race

    def counted(*args: Any) -> races.Race:
        nonlocal made
        made += 1
        return make(*args)

    monkeypatch.setattr(races, "_race", counted)

    def count(ctx: Context, page: Plain) -> None:
        page.total += 1

    detector = RaceDetector(JobManager([job(count, name=f"j{i}") for i in range(3000)]))
    with detector as watching:
        for _ in range(2):  # what was found again is not told again
            watching._manager.execute(None, Plain())
    assert detector.report().startswith("4,498,500 races\n")
    assert made <= 2 * 3000


def test_jobs_that_only_read_cost_a_mask_each() -> None:
    """Where nobody writes there is nothing to compare."""
    manager = two(*[lambda page: page.total] * 5)
    detector = RaceDetector(manager)
    detector.execute(param=Data())
    (record,) = detector._records
    assert list(races._meetings(record)) == []


@dataclasses.dataclass
class Tagged:
    """One that compares by means of its ``__dict__``."""

    tag: int = 0

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]


def test_a_comparison_of_dicts_of_attributes_was_not_seen_as_a_read() -> None:
    """As ``__eq__`` of many classes does it."""
    write = lambda page: setattr(page, "tag", 1)  # noqa: E731
    assert races_of(Tagged(), lambda page: page == Tagged(), write) == ["page.tag"]


def test_a_run_that_failed_early_looked_as_if_it_had_no_races() -> None:
    """Jobs that were not seen are named: of what they do nothing is known."""

    def fail(ctx: Context, page: Plain) -> None:
        raise ConnectionError

    def write(ctx: Context, page: Plain) -> None:
        page.total += 1

    jobs = [job(fail), *[job(write, name=f"j{i}", after=["fail"]) for i in range(12)]]
    detector = RaceDetector(JobManager(jobs))
    assert detector.report() == "0 races"  # of no runs
    detector.execute(param=Plain(), check=False)
    assert detector.report().splitlines() == [
        "0 races",
        "",
        (
            "not seen to their end, so races may be missing: "
            f"'fail', {', '.join(repr(f'j{i}') for i in range(9))} and 3 more"
        ),
    ]


@pytest.mark.parametrize("path", ["cart.rows", "['cart']['rows']", "page.cart.rows", '["cart"]'])
def test_a_key_of_a_dict_could_be_waived_in_one_spelling_only(path: str) -> None:
    """A path from the param is written the same for keys and attributes; ``opaque``, too."""
    page: dict[str, Any] = {"cart": {"rows": []}, "rows": []}

    def write(page: Any) -> None:
        page["cart"]["rows"].append(1)

    assert races_of(page, write, write, unordered=[path]) == []
    assert races_of(page, write, write, unordered=["rows", "car"]) == ["page['cart']['rows']"]
    detector = RaceDetector(two(write, write), opaque=[path])
    detector.execute(param=page)
    assert detector.races == []


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock, asyncio.Lock])
def test_a_lock_of_ones_own_as_limit_did_not_count(make: Any) -> None:
    """Jobs that hold it as their ``limit=`` never run at once; what they do without it does."""
    lock = make()

    def found(other: Any) -> list[str]:
        def add(ctx: Context, page: Plain) -> None:
            page.total += 1

        async def more(ctx: Context, page: Plain) -> None:
            page.total += 1

        detector = RaceDetector(JobManager([job(add, limit=lock), job(more, limit=other)]))
        detector.execute(param=Plain())
        return [race.path for race in detector.races]

    assert found(lock) == []
    assert found(make()) == ["page.total"]


@pytest.mark.parametrize("read", [pickle.dumps, copy.deepcopy, dataclasses.asdict])
def test_what_is_in_a_tuple_was_not_read_by_what_reads_everything(read: Any) -> None:
    """A list in a tuple in a list, and no proxy comes out of it."""

    def look(page: Any) -> None:
        told = read(page)
        if read is dataclasses.asdict:
            assert type(told["inner"][0]) is type(told["rows"][0][0]) is list

    page = Data(inner=([1],), rows=[([2],)])
    assert races_of(page, look, lambda page: page.inner[0].append(1)) == ["page.inner[0]"]
    assert races_of(page, look, lambda page: page.rows[0][0].append(1)) == ["page.rows[0][0]"]
