"""Every kind of param and container: what is done to it is seen, and it stays what it is."""

from __future__ import annotations

import argparse
import asyncio
import copy
import dataclasses
import gc
import json
import pickle
import threading
import traceback
from abc import ABC, abstractmethod
from collections import Counter, OrderedDict, UserDict, defaultdict, deque
from collections.abc import Callable
from enum import Enum
from functools import cache
from types import SimpleNamespace
from typing import Any, Generic, NamedTuple, TypeVar

import pytest

from gofer import JobManager, job
from gofer.testing import RaceDetector, _tracking

from .shared import races_of, two

T = TypeVar("T")


@dataclasses.dataclass
class Data:
    """A plain data class."""

    total: int = 0
    rows: list[Any] = dataclasses.field(default_factory=list)
    inner: Any = None


@dataclasses.dataclass(slots=True)
class Slots:
    """One without a ``__dict__``."""

    total: int = 0
    rows: list[Any] = dataclasses.field(default_factory=list)
    inner: Any = None


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    """One that cannot be written, but what it holds can."""

    total: int = 0
    rows: list[Any] = dataclasses.field(default_factory=list)
    inner: Any = None


class Plain:
    """A class with a property, a method, a default, and attributes that are its own."""

    total = 0

    def __init__(self, total: int = 0) -> None:
        self._rows: list[Any] = []
        self.inner: Any = None
        if total:
            self.total = total

    @property
    def rows(self) -> list[Any]:
        return self._rows

    @rows.setter
    def rows(self, rows: list[Any]) -> None:
        self._rows = rows

    def __eq__(self, other: object) -> bool:
        return other.__class__ is self.__class__ and vars(other) == vars(self)

    __hash__ = None  # type: ignore[assignment]

    async def load(self) -> int:
        await asyncio.sleep(0)
        self.total += 1
        return self.total


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
        rows: list[Any] = []
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


def during(param: Any, look: Callable[[Any], object]) -> None:
    """Have a job look at a param while it is tracked."""
    RaceDetector(two(look)).execute(param=param)


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
        raise OSError

    with pytest.raises(OSError):
        during(page, fail)
    assert {type(page), type(page.inner), type(page.rows[0])} == {original}
    assert type(page.rows) is (Rows if original is Rows else list)
    assert _tracking._swapped == {}
    assert json.JSONEncoder.default is _tracking._default


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


@pytest.mark.parametrize("given", [True, False])
def test_a_class_that_counts_its_subclasses_is_not_told_of_ours(given: bool) -> None:
    """Neither ``__init_subclass__`` nor what it would register; and the class stays as it was."""
    told: list[type] = []

    class Base:
        def __init_subclass__(cls, **options: Any) -> None:
            told.append(cls)

    class Page(Base):
        total = 0

    page: Any = Page() if given else Base()
    before = {each: dict(vars(each)) for each in (Base, Page)}
    told.clear()
    assert races_of(page, *[lambda page: setattr(page, "total", 1)] * 2) == ["page.total"]
    assert told == []
    assert {each: dict(vars(each)) for each in (Base, Page)} == before
    gc.collect()
    assert [each.__name__ for each in Base.__subclasses__()] == ["Page"]


CONTAINERS: list[tuple[Any, Callable[[Any], object], Callable[[Any], object], list[str]]] = [
    # dict: items are parts of their own, everything else is all of it
    ({}, lambda d: d.update(x=1), lambda d: d.update(y=1), []),
    ({}, lambda d: d.update({"x": 1}), lambda d: d.setdefault("x", 2), ["page['x']"]),
    ({"x": 1}, lambda d: d.setdefault("x", 2), lambda d: d.setdefault("x", 2), []),
    ({"x": 1}, lambda d: d["x"], lambda d: d.get("x"), []),
    ({"x": 1}, lambda d: d.pop("x", 1), lambda d: "x" in d, ["page['x']"]),
    ({}, lambda d: d.__setitem__("x", 1), lambda d: len(d), ["page"]),
    ({}, lambda d: d.__setitem__("x", 1), lambda d: dict(d), ["page"]),
    ({}, lambda d: d.__setitem__("x", 1), lambda d: {**d}, ["page"]),
    ({}, lambda d: d.__setitem__("x", 1), lambda d: list(d.items()), ["page"]),
    ({}, lambda d: d.__setitem__("x", 1), lambda d: d == {}, ["page"]),
    ({}, lambda d: d.__setitem__("x", 1), lambda d: {} == d, ["page"]),
    ({}, lambda d: d.__setitem__("x", 1), lambda d: json.dumps([d]), ["page"]),
    ({}, lambda d: d.__setitem__("x", 1), lambda d: str(d), ["page"]),
    ({}, lambda d: d.__setitem__("x", 1), lambda d: pickle.dumps(d), ["page"]),
    ({}, lambda d: d.__ior__({"x": 1}), lambda d: d | {}, ["page"]),
    ({"x": 1}, lambda d: d.clear(), lambda d: d["x"] if "x" in d else 0, ["page"]),
    ({"x": {"y": [1]}}, *[lambda d: d["x"]["y"].append(1)] * 2, ["page['x']['y']"]),
    (
        {"x": {"y": [1]}},
        *[lambda d: [e["y"].append(1) for e in d.values()]] * 2,
        ["page['x']['y']"],
    ),
    ({1: 0, (1, 2): 0}, *[lambda d: d.update({1: 1, (1, 2): 2})] * 2, ["page[...]", "page[1]"]),
    # list: likewise
    ([0, 1], lambda x: x.__setitem__(0, 5), lambda x: x.__setitem__(1, 5), []),
    ([0, 1], lambda x: x.__setitem__(-1, 5), lambda x: x[1], ["page[1]"]),
    ([0, 1], lambda x: x.__setitem__(0, 5), lambda x: x[:], ["page"]),
    ([0, 1], lambda x: x.append(5), lambda x: x[0], ["page"]),
    ([0, 1], lambda x: x.extend([5]), lambda x: sorted(x), ["page"]),
    ([0, 1], lambda x: x.sort(), lambda x: [3] + x, ["page"]),
    ([0, 1], lambda x: x.__iadd__([1]), lambda x: list(reversed(x)), ["page"]),
    ([0, 1], lambda x: x.__delitem__(0), lambda x: sum(x), ["page"]),
    ([0, 1], lambda x: x.index(1), lambda x: x.count(1), []),
    ([[0]], *[lambda x: x[0].append(1)] * 2, ["page[0]"]),
    ([[0]], *[lambda x: [e.append(1) for e in x]] * 2, ["page[...]"]),
    ([[0]], *[lambda x: [e.append(1) for e in x[:]]] * 2, ["page[...]"]),
    # the others
    ({1}, lambda s: s.add(2), lambda s: 1 in s, ["page"]),
    ({1}, lambda s: s.discard(2), lambda s: {5} | s, ["page"]),
    ({1}, lambda s: s.__ior__({2}), lambda s: s.copy(), ["page"]),
    (deque([1]), lambda d: d.appendleft(2), lambda d: d[0], ["page"]),
    (deque([1], 3), lambda d: d.popleft(), lambda d: d.maxlen, []),
    (defaultdict(list), lambda d: d["x"].append(1), lambda d: d["y"].append(1), []),
    (defaultdict(list), lambda d: d["x"].append(1), lambda d: d["x"].append(1), ["page['x']"]),
    (OrderedDict(x=1), lambda d: d.move_to_end("x"), lambda d: list(d), ["page"]),
    (Counter("xy"), lambda d: d.update("x"), lambda d: d["y"], ["page"]),
    (UserDict(x=1), lambda d: d.update(x=2), lambda d: d["x"], ["page.data['x']"]),
    ((Data(), Data()), *[lambda t: setattr(t[0], "total", 1)] * 2, ["page[0].total"]),
]


@pytest.mark.parametrize(("param", "one", "other", "paths"), CONTAINERS)
def test_containers_are_seen(param: Any, one: Any, other: Any, paths: list[str]) -> None:
    """An item is a part of its own; what uses all of a container meets each of its items."""
    kind = type(param)
    assert sorted({*races_of(param, one, other)}) == paths
    assert type(param) is kind


@pytest.mark.parametrize(
    "value",
    [[1, 2], {"x": 1}, {1, 2}, deque([1]), defaultdict(int, x=1), OrderedDict(x=1)],
    ids=lambda value: type(value).__name__,
)
def test_a_container_in_a_param_looks_like_itself(value: Any) -> None:
    """To ``isinstance``, ``==``, ``repr``, ``len``, ``match``, copies, pickles and its own class."""
    page = SimpleNamespace(value=value)
    original = type(value)

    def look(given: Any) -> None:
        seen = given.value
        assert seen is given.value
        assert isinstance(seen, original)
        assert seen == value
        assert value == seen
        assert not (seen != value)  # noqa: SIM202
        assert (repr(seen), str(seen), f"{seen}") == (repr(value), str(value), f"{value}")
        assert len(seen) == len(value)
        assert bool(seen) is True
        assert sorted(dir(seen)) == sorted(dir(value))
        for other in (copy.copy(seen), copy.deepcopy(seen), pickle.loads(pickle.dumps(seen))):
            assert type(other) is original
            assert other == value
        assert type(type(seen)()) is original  # as ``dataclasses.asdict`` makes its own
        with pytest.raises(TypeError):
            hash(seen)
        if isinstance(value, dict):
            match seen:
                case {"x": 1}:
                    pass
                case _:
                    pytest.fail("a pattern did not match")
            assert dict(**seen) == value
        given.value = seen
        given.other = [seen]

    during(page, look)
    assert page.value is value
    assert type(value) is original


def test_a_container_that_is_put_elsewhere_is_put_there_itself() -> None:
    """No proxy gets into the param, whichever way a value goes in, nor into a result."""
    page = Data(rows=[[1]], inner={})

    def move(given: Data) -> Any:
        given.inner["x"] = given.rows
        given.rows.append(given.rows[0])
        given.rows.insert(0, given.inner)
        given.inner.update(y=given.rows[1])
        given.inner.setdefault("z", given.rows)
        return given.rows

    manager = JobManager([job(lambda ctx, page: move(page), name="move")])
    run = RaceDetector(manager).execute(param=page)
    assert run["move"] is page.rows
    assert [type(each) for each in page.rows] == [dict, list, list]
    assert page.inner == {"x": page.rows, "y": page.rows[1], "z": page.rows}
    assert {type(each) for each in page.inner.values()} == {list}


def test_an_object_made_in_a_run_is_tracked_from_when_it_is_in_the_param() -> None:
    """Also through the name that its maker has for it."""

    def make(page: Any) -> None:
        page.inner = mine = Plain()
        mine.total = 5
        page.rows.append(mine)

    def look(page: Any) -> None:
        if page.inner is not None:
            assert page.inner.total in {0, 5}

    page = Data()
    assert races_of(page, make, look) == ["page.inner", "page.inner.total"][: 1 + bool(page.inner)]
    assert type(page.inner) is Plain


def test_what_guards_itself_is_not_looked_into() -> None:
    """Locks, events, queues, exceptions, enums, classes: only the attribute itself is seen."""

    class Colour(Enum):
        RED = 1

    def use(page: Any) -> None:
        with page.lock:
            page.event.set()
        assert page.colour is Colour.RED
        assert page.kind().total == 0
        page.error.args = (1,)

    page = SimpleNamespace(
        lock=threading.Lock(),
        event=threading.Event(),
        colour=Colour.RED,
        kind=Plain,
        error=OSError(),
    )
    assert races_of(page, use, use) == []


def test_what_is_opaque_is_not_looked_into() -> None:
    """By class, or by path; C code that wants the very type then gets it."""
    import heapq

    def push(page: Any) -> None:
        heapq.heappush(page.rows, 1)
        page.inner.total += 1

    page = Data(inner=Plain())
    manager = two(push, push)
    detector = RaceDetector(manager, opaque=["rows", Plain])
    detector.execute(param=page)
    assert detector.races == []
    assert page.rows == [1, 1]
    with pytest.raises(TypeError, match="must be"):  # loudly, never something wrong
        RaceDetector(manager).execute(param=page)


def test_an_object_may_change_its_class_meanwhile() -> None:
    """It keeps the class that it gave itself."""

    class Draft:
        total = 0

    class Final(Draft): ...

    def turn(page: Any) -> None:
        page.__class__ = Final
        assert type(page) is Final

    page = Draft()
    during(page, turn)
    assert type(page) is Final


def test_what_a_tracked_object_makes_of_its_own_class_is_given_its_class_back() -> None:
    """``type(self)(...)`` in a method makes an object like all others."""

    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

        def moved(self) -> Any:
            return type(self)(self.x + 1)

    manager = JobManager([job(lambda ctx, point: point.moved(), name="move")])
    run = RaceDetector(manager).execute(param=Point(1))
    assert type(run["move"]) is Point
    assert run["move"].x == 2


def test_two_runs_at_once_share_an_object() -> None:
    """It gets its class back when the last of them has ended, not before."""
    page = Data()
    inside, go = threading.Event(), threading.Event()

    def wait(given: Any) -> None:
        inside.set()
        assert go.wait(60)
        given.total += 1
        assert type(given) is not Data

    thread = threading.Thread(target=during, args=(page, wait))
    thread.start()
    assert inside.wait(60)
    during(page, lambda given: given.total)
    assert type(page) is not Data
    go.set()
    thread.join()
    assert type(page) is Data
    assert page.total == 1


def test_a_line_is_that_of_the_users_code() -> None:
    """Not of the library that it called, nor of a method that a data class made."""

    def look(page: Data) -> None:
        dataclasses.asdict(page)

    def write(page: Data) -> None:
        page.total = 1

    detector = RaceDetector(two(look, write))
    detector.execute(param=Data())
    (race,) = detector.races
    frame = traceback.extract_stack(limit=1)[0]
    assert race.second.file == frame.filename
    assert race.second.line == look.__code__.co_firstlineno + 1


class Pair(NamedTuple):
    """A tuple with names."""

    one: Any
    other: Any


def test_a_tuple_of_ones_own_is_left_as_it_is() -> None:
    """Its class would have to be swapped on the way to what it holds; nothing breaks."""
    page = Data(inner=Pair(1, [2]))

    def look(given: Any) -> None:
        one, other = given.inner
        assert (one, other) == (1, [2])
        assert given.inner == Pair(1, [2])
        assert given.inner._replace(one=2) == Pair(2, [2])

    during(page, look)
    assert type(page.inner) is Pair
