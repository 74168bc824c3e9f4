"""Every kind of param and container: what is done to it is seen, and it stays what it is."""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import pickle
from abc import ABC, abstractmethod
from functools import cache
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

import pytest

from gofer import JobManager, job
from gofer.testing import RaceDetector, _proxies, _tracking

from .shared import Data, Plain, Slots, during, races_of

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    """One that cannot be written, but what it holds can."""

    total: int = 0
    rows: list[Any] = dataclasses.field(default_factory=list)
    inner: Any = None


class Abstract(ABC, Generic[T]):
    """What metaclasses and generic bases do to layouts."""

    @abstractmethod
    def get(self) -> T: ...


class Concrete(Abstract[int]):
    """Its instances are tracked all the same."""

    def __init__(self) -> None:
        self.total, self.rows, self.inner = 0, [], None

    def get(self) -> int:
        return self.total


class Rows(list):  # type: ignore[type-arg]
    """A list with attributes."""

    total = 0
    inner: Any = None

    @property
    def rows(self) -> Any:
        return self


@cache
def attrs_class() -> Any:
    """Return a class made by attrs, with slots."""
    attrs = pytest.importorskip("attrs", reason="needs attrs: pip install attrs")

    @attrs.define
    class Attrs:
        total: int = 0
        rows: list[Any] = attrs.field(factory=list)
        inner: Any = None

    return Attrs


@cache
def pydantic_class() -> Any:
    """Return a model of pydantic."""
    pydantic = pytest.importorskip("pydantic", reason="needs pydantic: pip install pydantic")

    class Model(pydantic.BaseModel):
        total: int = 0
        rows: list[Any] = pydantic.Field(default_factory=list)
        inner: Any = None

    return Model


KINDS: list[Any] = [Data, Slots, Plain, Concrete, Rows, attrs_class, pydantic_class]
KINDS += [lambda: lambda: SimpleNamespace(total=0, rows=[], inner=None)]
KINDS += [lambda: lambda: argparse.Namespace(total=0, rows=[], inner=None)]
each_kind = pytest.mark.parametrize(
    "kind",
    KINDS,
    ids=["data", "slots", "plain", "abc", "rows", "attrs", "pydantic", "namespace", "argparse"],
)


def made(kind: Any) -> Any:
    """Return an instance of one of the kinds."""
    return (kind if isinstance(kind, type) else kind())()


@each_kind
def test_attributes_are_seen(kind: Any) -> None:
    """What two jobs do to an attribute, to what a container holds, and to a nested object."""

    def add(page: Any) -> None:
        page.total += 1

    def append(page: Any) -> None:
        page.rows.append(1)

    def nested(page: Any) -> None:
        page.inner.inner = 1

    assert races_of(made(kind), add, add) == ["page.total"]
    assert [each.replace("_", "") for each in races_of(made(kind), append, append)][-1:] == (
        ["page"] if kind is Rows else ["page.rows"]
    )
    page = made(kind)
    page.inner = made(kind)
    assert races_of(page, nested, nested) == ["page.inner.inner"]
    assert races_of(page, add, append, nested, lambda page: page.inner.total) == []


@each_kind
def test_an_object_stays_what_it_is(kind: Any) -> None:
    """Class, ``isinstance``, equality, repr, copies and pickles, during a run and afterwards."""
    page, twin = made(kind), made(kind)
    page.inner, twin.inner = made(kind), made(kind)
    original = type(page)
    shown = repr(page)

    def look(given: Any) -> None:
        assert isinstance(given, original)
        assert given.__class__ is original
        assert isinstance(given.inner, original)
        assert given.inner is given.inner
        assert isinstance(given.rows, list)
        if original.__eq__ is not object.__eq__:
            assert given == twin
            assert twin == given
            assert not given != twin  # noqa: SIM202
        if "object at" not in shown:
            assert repr(given) == shown
        copies.extend([copy.copy(given), copy.deepcopy(given)])
        for other in copies:
            assert other.__class__ is original
            assert other is not given
        if original.__qualname__ in globals() or original is SimpleNamespace:
            for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
                other = pickle.loads(pickle.dumps(given, protocol))
                assert type(other) is original
                assert type(other.inner) is original
        with pytest.raises(AttributeError):
            given.missing  # noqa: B018

    copies: list[Any] = []
    during(page, look)
    assert {type(each) for each in (page, page.inner, *copies)} == {original}


@each_kind
def test_classes_are_given_back_when_a_job_fails(kind: Any) -> None:
    """Whatever happens, nothing of the detector stays in the param."""
    page = made(kind)
    original = type(page)

    def fail(given: Any) -> None:
        given.inner = copy.copy(given)
        given.rows.append(copy.copy(given))
        raise ConnectionError

    with pytest.raises(ConnectionError):
        during(page, fail)
    assert {type(page), type(page.inner), type(page.rows[0])} == {original}
    assert type(page.rows) is (Rows if original is Rows else list)
    assert _tracking._swapped == {}
    assert json.JSONEncoder.default is _proxies._default


def test_data_classes_keep_their_functions() -> None:
    """``replace``, ``asdict``, ``astuple``, ``fields``; a frozen one is frozen still."""
    page = Data(1, [{"x": {1}}, Frozen(2, [3])], Slots(4, [5]))
    told = dataclasses.asdict(page)

    def look(given: Data) -> None:
        assert dataclasses.asdict(given) == told
        assert {type(each) for each in dataclasses.asdict(given).values()} == {int, list, dict}
        assert dataclasses.astuple(given)[0] == 1
        assert dataclasses.replace(given, total=2) == Data(2, page.rows, page.inner)
        assert dataclasses.is_dataclass(given.inner)
        assert [each.name for each in dataclasses.fields(given)] == ["total", "rows", "inner"]
        with pytest.raises(dataclasses.FrozenInstanceError):
            given.rows[1].total = 5

    during(page, look)
    assert races_of(Data(inner=Frozen()), *[lambda page: page.inner.rows.append(1)] * 2) == [
        "page.inner.rows"
    ]


def test_a_model_of_pydantic_keeps_its_methods() -> None:
    """Dumps, copies, validation on assignment; a copy is no tracked one."""
    model = pydantic_class()
    page = model(rows=[1], inner=model())

    def look(given: Any) -> None:
        assert given.model_dump() == {
            "total": 0,
            "rows": [1],
            "inner": {"total": 0, "rows": [], "inner": None},
        }
        assert json.loads(given.model_dump_json())["rows"] == [1]
        other = given.model_copy(update={"total": 5})
        assert (other.total, given.total) == (5, 0)
        assert given.model_fields_set == {"rows", "inner"}
        copies.append(other)

    copies: list[Any] = []
    during(page, look)
    assert type(copies[0]) is model


def test_an_async_method_runs_on_the_tracked_object() -> None:
    """What it does to itself is the job's doing, before and after it has waited."""

    @job
    async def a(ctx: object, page: Plain) -> int:
        return await page.load()

    @job
    async def b(ctx: object, page: Plain) -> int:
        return await page.load()

    detector = RaceDetector(JobManager([a, b]))
    run = detector.execute(param=Plain())
    assert {run[a], run[b]} <= {1, 2}
    assert [race.path for race in detector.races] == ["page.total"]


@pytest.mark.parametrize(
    ("read", "is_deep"),
    [
        (pickle.dumps, True),
        (copy.deepcopy, True),
        (dataclasses.asdict, True),
        (copy.copy, False),
        (dataclasses.replace, False),
    ],
)
def test_what_reads_all_of_an_object_reads_what_it_must(read: Any, is_deep: bool) -> None:
    """It races with a write to the object, and to what is inside only where it looks inside."""

    def write(page: Data) -> None:
        page.total = 1

    def deep(page: Data) -> None:
        page.rows[0]["x"].append(1)

    assert races_of(Data(), read, write) == ["page.total"]
    assert races_of(Data(rows=[{"x": []}]), read, deep) == ["page.rows[0]['x']"] * is_deep


def test_what_holds_itself_is_read_once() -> None:
    """A circle in a param is no trap."""
    page = Data(inner={})
    page.inner["x"] = page.inner["y"] = [page.inner, SimpleNamespace(page=page)]
    during(page, pickle.dumps)
    during(page, copy.deepcopy)
    during(page, lambda given: setattr(given, "inner", given.inner["x"][0]["y"]))
    assert page.inner[0]["y"] is page.inner


def test_a_list_of_ones_own_class_has_items_of_their_own() -> None:
    """Asking for one does not ask how many there are."""
    page = Rows([0, 1])
    assert races_of(page, lambda rows: rows.__setitem__(0, 5), lambda rows: rows[1]) == []
    assert page == [5, 1]
