"""Objects get their classes back, and what makes more of them is no trap."""

from __future__ import annotations

import copy
import dataclasses
import gc
import pickle
import threading
import traceback
from collections import defaultdict
from enum import Enum
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from gofer import JobManager, _parts, job
from gofer.testing import RaceDetector

from .shared import Data, Plain, Slots, during, races_of, two


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
    if not _parts.HAS_GIL:
        return  # such a build keeps classes for longer
    assert [each.__name__ for each in Base.__subclasses__()] == ["Page"]


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


def test_outside_of_jobs_a_proxy_does_what_the_real_one_does() -> None:
    """In a thread that a job has started, nothing is noted and everything works."""

    def use(page: Any) -> None:
        rows, names, space = page["rows"], page["names"], page["space"]
        rows += [2]
        rows.append(3)
        names.update(y=rows)
        space.new = rows
        del space.old
        with pytest.raises(AttributeError):
            space.old  # noqa: B018
        done.append(len(rows))

    done: list[int] = []
    page: dict[str, Any] = {"rows": [1], "names": defaultdict(int), "space": SimpleNamespace(old=1)}

    def start(given: Any) -> None:
        given["names"].default_factory = list
        thread = threading.Thread(target=use, args=(given,))
        thread.start()
        thread.join()

    assert races_of(page, start, len) == []
    assert done == [3]
    assert page["rows"] == [1, 2, 3]
    assert page["names"]["y"] is page["rows"]
    assert page["names"].default_factory is list
    assert vars(page["space"]) == {"new": page["rows"]}


def test_a_namespace_looks_like_itself() -> None:
    """Its names, its dict, its equality, and what is taken away."""
    page = SimpleNamespace(space=SimpleNamespace(x=1, y=[2]))

    def look(given: Any) -> None:
        seen = given.space
        assert seen == SimpleNamespace(x=1, y=[2])
        assert seen == seen
        assert vars(seen) == {"x": 1, "y": [2]}
        assert {"x", "y"} <= set(dir(seen))
        assert repr(seen) == "namespace(x=1, y=[2])"
        assert copy.deepcopy(seen) == pickle.loads(pickle.dumps(seen)) == seen
        del seen.x
        with pytest.raises(AttributeError):
            seen.x  # noqa: B018

    during(page, look)
    assert vars(page.space) == {"y": [2]}


def test_classes_with_customs_of_their_own_are_tracked_or_left() -> None:
    """A ``__reduce__`` that gives a name, a class that no metaclass lets another be made of."""

    class Named:
        total = 0

        def __reduce__(self) -> str:
            return "NAMED"

    def look(page: Any) -> None:
        assert copy.copy(page) is page

    during(Named(), look)
    page = Data(inner=Named())
    assert races_of(page, *[lambda page: setattr(page.inner, "total", 1)] * 2) == [
        "page.inner.total"
    ]

    class Final(type):
        def __init_subclass__(cls, **options: Any) -> None:
            raise TypeError

    class Sealed(metaclass=Final):
        __slots__ = ("__dict__", "total")

    sealed = Sealed()
    assert races_of(sealed, *[lambda page: setattr(page, "total", 1)] * 2) == ["page.total"]
    assert type(sealed) is Sealed


def test_a_descriptor_that_keeps_its_value_in_the_object_is_data() -> None:
    """As fields of many libraries do; a method put in place of another is data, too."""

    class Field:
        def __set_name__(self, owner: type, name: str) -> None:
            self.name = name

        def __get__(self, thing: Any, owner: type | None = None) -> Any:
            return thing.__dict__.get(self.name, 0)

        def __set__(self, thing: Any, value: Any) -> None:
            thing.__dict__[self.name] = value

    class Form:
        total = Field()

        def send(self) -> None: ...

    def add(form: Any) -> None:
        form.total += 1

    def replace(form: Any) -> None:
        form.send = len

    assert races_of(Form(), add, add) == ["page.total"]
    assert races_of(Form(), replace, replace) == ["page.send"]
    assert races_of(Form(), *[lambda form: form.send()] * 2) == []


def test_what_is_put_into_a_slot_is_read_by_a_pickle() -> None:
    """As from a ``__dict__``."""
    assert races_of(Slots(), pickle.dumps, lambda page: setattr(page, "total", 1)) == ["page.total"]


def test_who_goes_on_when_the_run_has_ended_notes_nothing_and_breaks_nothing() -> None:
    """An abandoned job may still have the param in hand."""
    go, ended = threading.Event(), threading.Event()

    @job(timeout=0.01, abandon=True, fallback=None)
    def late(ctx: Any, page: Any) -> None:
        assert go.wait(60)
        page.inner = Plain()
        page.rows.append(page.inner)
        page.inner.total += 1
        ended.set()

    page = Data()
    detector = RaceDetector(JobManager([late]))
    detector.execute(param=page)
    go.set()
    assert ended.wait(60)
    assert (type(page), type(page.inner), page.inner.total) == (Data, Plain, 1)
    assert detector.lost_writes() == []
