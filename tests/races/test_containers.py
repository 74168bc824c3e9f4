"""Containers: what is done to their items is seen, and they stay what they are."""

from __future__ import annotations

import copy
import json
import pickle
from collections import Counter, OrderedDict, UserDict, defaultdict, deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from gofer import JobManager, job
from gofer.testing import RaceDetector

from .shared import Data, during, races_of

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
    ({}, lambda d: d.__setitem__("x", 1), lambda d: {} == d, ["page"]),  # noqa: SIM300
    ({}, lambda d: d.__setitem__("x", 1), lambda d: json.dumps([d]), ["page"]),
    ({}, lambda d: d.__setitem__("x", 1), lambda d: str(d), ["page"]),
    ({}, lambda d: d.__setitem__("x", 1), lambda d: pickle.dumps(d), ["page"]),
    ({}, lambda d: d.__ior__({"x": 1}), lambda d: d | {}, ["page"]),
    ({"x": 1}, lambda d: d.clear(), lambda d: "x" in d and d["x"], ["page"]),
    ({"x": {"y": [1]}}, *[lambda d: d["x"]["y"].append(1)] * 2, ["page['x']['y']"]),
    (
        {"x": {"y": [1]}},
        *[lambda d: [e["y"].append(1) for e in d.values()]] * 2,
        ["page['x']['y']"],
    ),
    ({1: 0, (1, 2): 0}, *[lambda d: d.update({1: 1, (1, 2): 2})] * 2, ["page[...]", "page[1]"]),
    ({"x": [1]}, *[lambda d: d.copy()["x"].append(1)] * 2, ["page['x']"]),
    # and so are items of a list
    ([0, 1], lambda x: x.__setitem__(0, 5), lambda x: x.__setitem__(1, 5), []),
    ([0, 1], lambda x: x.__setitem__(-1, 5), lambda x: x[1], ["page[1]"]),
    ([0, 1], lambda x: x.__setitem__(0, 5), lambda x: x[:], ["page"]),
    ([0, 1], lambda x: x.append(5), lambda x: x[0], ["page"]),
    ([0, 1], lambda x: x.extend([5]), lambda x: sorted(x), ["page"]),
    (
        [0, 1],
        lambda x: x.sort(),
        lambda x: [3] + x,  # noqa: RUF005
        ["page"],
    ),
    ([0, 1], lambda x: x.__iadd__([1]), lambda x: list(reversed(x)), ["page"]),
    ([0, 1], lambda x: x.__delitem__(0), lambda x: sum(x), ["page"]),
    ([0, 1], lambda x: x.index(1), lambda x: x.count(1), []),
    ([[0]], *[lambda x: x[0].append(1)] * 2, ["page[0]"]),
    ([[0]], *[lambda x: [e.append(1) for e in x]] * 2, ["page[0]"]),
    ([[0]], *[lambda x: [e.append(1) for e in x[:]]] * 2, ["page[...]"]),
    ([], lambda x: x.append(1), lambda x: x[5:] or x.insert(0, 1), ["page"]),
    ({"x": [1], "y": [1]}, *[lambda d: d.popitem()[1].append(1)] * 2, ["page"]),
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
    """To ``isinstance``, ``==``, ``repr``, ``len``, ``match``, copies, pickles, and its class."""
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
    kept: list[Any] = []

    def move(given: Data) -> Any:
        given.inner["x"] = given.rows
        given.rows.append(given.rows[0])
        given.rows.insert(0, given.inner)
        given.inner.update(y=given.rows[1])
        given.inner.setdefault("z", given.rows)
        kept.append({"rows": (given.rows, [given.rows])})
        given.inner["made"] = kept[0]
        return given.rows

    manager = JobManager([job(lambda ctx, page: move(page), name="move")])
    run = RaceDetector(manager).execute(param=page)
    assert run["move"] is page.rows
    assert [type(each) for each in page.rows] == [dict, list, list]
    made = page.inner.pop("made")
    assert made is kept[0]
    assert made["rows"][0] is made["rows"][1][0] is page.rows
    assert page.inner == {"x": page.rows, "y": page.rows[1], "z": page.rows}
    assert {type(each) for each in page.inner.values()} == {list}
