"""Whatever is given to what parses: never a traceback, never a hang, and what is valid is taken."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from . import targets

texts = st.text(st.characters(codec=None), max_size=30)
words = st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=20)
values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda each: st.lists(each, max_size=3) | st.dictionaries(texts, each, max_size=3),
    max_leaves=8,
)
here = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
"""The folder is the same for all examples, and none of them leaves anything in it that matters."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Stand in a folder with files of jobs."""
    with targets.folder() as made:
        yield made


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[str]) -> str:
    """Draw a text that is nearly right: some of it is missing, twice, or replaced."""
    text = draw(whole)
    for _ in range(draw(st.integers(0, 2))):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        put = draw(st.sampled_from(["", '"', "[", "}", ":", ",", "NaN", "\0", text[start:end] * 2]))
        text = text[:start] + put + text[end:]
    return text


jsons = values.map(json.dumps)


@given(damaged(jsons) | texts)
@example("[" * 100_000)
@example("9" * 10_000)
@example("\ufeff{}")
@example('{"secret": tru}')
def test_a_param_is_what_json_makes_of_it_or_refused_in_one_line(text: str) -> None:
    """The line says where it is wrong, and nothing of what stands there."""
    targets.check_param(text)


@given(values.filter(lambda value: "NaN" not in repr(value) and value == value))
def test_a_valid_param_parses_to_itself(value: Any) -> None:
    """All that JSON has, but NaN and infinity, which it has not."""
    text = json.dumps(value)
    if any(each in text for each in ("NaN", "Infinity")):
        targets.check_param(text)
    else:
        assert targets._json(text) == value


@here
@given(st.lists(st.sampled_from(targets.WORDS) | words, max_size=7))
@example(["run", "jobs:fine", "--limit", "9" * 5000])
@example(["run", "jobs:fine", "a\nb\x1b[31m"])
def test_any_command_line_ends_with_an_exit_code_and_a_line_that_says_why(
    folder: Path, given: list[str]
) -> None:
    """0 or 1 when something ran, and 2 with one line when it could not."""
    targets.check_arguments(given)


@here
@given(
    words
    | st.tuples(st.sampled_from(["jobs", "jobs.py", "./jobs.py", "no.such", "no/such.py"]), words)
    .map(":".join)
    .filter(lambda target: not target.startswith("-"))
)
@example("\0./:x")
@example("jobs:fine.a")
@example("..:x")
def test_a_target_is_a_manager_or_refused_in_one_line(folder: Path, given: str) -> None:
    """Modules, files, names in them, and what is none of these."""
    targets.check_target(given)


@pytest.mark.parametrize("target", ["jobs:fine", "jobs.py:bad", "./jobs.py:fine"])
def test_valid_targets_are_taken(folder: Path, target: str) -> None:
    """The same from a module and from a file."""
    told = targets.said_by(["check", target])
    assert (told.code, told.err) == (0, "")


@here
@given(st.lists(st.sampled_from(targets.WORDS) | words, max_size=4))
def test_tab_never_says_an_error(folder: Path, given: list[str]) -> None:
    """Words to choose from, or none."""
    targets.check_completion(given)


def test_a_file_whose_name_is_no_text_took_all_others_from_tab(folder: Path) -> None:
    """They are offered beside it, and it is offered, too."""
    told = targets.said_by(["--complete", "run", ""])
    assert told.out.splitlines() == ["jobs.py:", "no\udcfftext.py:"]


@here
@given(
    st.binary(max_size=60)
    | damaged(st.sampled_from(targets.SEEDS["source"])).map(lambda text: text.encode())
)
@example(b"x = " + b"(" * 5000)
@example(b"x = JobManager(" + b"-" * 20_000 + b"1)")
@example(b"x = " + b"a." * 30_000 + b"JobManager()")
@example(b"m = 1if 2else 3")
def test_tab_reads_any_file_and_runs_none(folder: Path, source: bytes) -> None:
    """Neither its nesting nor its warnings come out."""
    targets.check_source(source)


workloads = st.fixed_dictionaries(
    {
        "name": texts,
        "jobs": st.lists(
            st.fixed_dictionaries(
                {
                    "name": st.sampled_from("abcdef"),
                    "after": st.lists(st.sampled_from("abcdef"), max_size=2),
                    "seconds": st.floats(0, 100) | st.integers() | st.floats() | texts,
                }
            ),
            max_size=5,
        ),
    }
).map(json.dumps)


@given(damaged(workloads) | damaged(jsons) | texts)
@example('{"name": "w", "jobs": [{"name": "a", "after": ["a"], "seconds": 1}]}')
@example("[" * 100_000)
def test_a_workload_is_a_graph_or_refused_in_one_line(text: str) -> None:
    """No graph: a need that nobody has, a circle, a name twice, seconds that cannot be."""
    pytest.importorskip(
        "benchmarks.replay", reason="the benchmarks are in the repository only, not in the archive"
    )
    targets.check_workload(text)


@given(st.lists(st.tuples(st.sets(st.integers(0, 5), max_size=3), st.floats(0, 1e6)), min_size=1))
def test_a_valid_workload_is_read_as_it_is(jobs: list[tuple[set[int], float]]) -> None:
    """Names become indices, and nothing else changes."""
    replay = pytest.importorskip(
        "benchmarks.replay", reason="the benchmarks are in the repository only, not in the archive"
    )
    needs = [sorted(j for j in each if j < i) for i, (each, _) in enumerate(jobs)]
    told = [
        {"name": f"j{i}", "after": [f"j{j}" for j in needs[i]], "seconds": seconds}
        for i, (_, seconds) in enumerate(jobs)
    ]
    work = replay.Work.read(json.dumps({"name": "w", "jobs": told}))
    assert (work.name, work.needs) == ("w", needs)
    assert all(map(math.isclose, work.seconds, (seconds for _, seconds in jobs)))
