"""The site is complete: every promise names tests that exist, every public name is explained."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gofer
from gofer import observers

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "explanation" / "promises.md"
ROW = re.compile(r"^\| (\d+) \| .* \| (.*) \|$", re.MULTILINE)
TEST = re.compile(r"\[([\w ]+)\]\(([\w/.]+)\)")


def lost(row: str, page: Path = PAGE) -> list[str]:
    """Return the tests that a row names and that are not where it says."""
    named = TEST.findall(row)
    assert named
    return [
        text
        for text, link in named
        if f"def test_{text.replace(' ', '_')}(" not in (page.parent / link).read_text("utf-8")
    ]


def test_each_promise_names_tests_that_exist() -> None:
    """The promises are numbered without a gap, and every test that holds one is there."""
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))

    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    assert {number: found for number, row in rows if (found := lost(row))} == {}


def test_a_test_that_is_lost_is_found() -> None:
    """Neither a wrong name nor a row without tests passes."""
    running = "../../tests/promises/test_running.py"

    assert lost(f"[no such test]({running})") == ["no such test"]
    with pytest.raises(AssertionError):
        lost("nothing")


@pytest.mark.parametrize("name", ["reliability.md", "conformance.md"])
def test_each_row_of_a_table_of_tests_names_tests_that_exist(name: str) -> None:
    """Of faults and of conformance; a table of other things has no link to a test."""
    page = DOCS / name
    every = re.findall(r"^\| .* \|$", page.read_text("utf-8"), re.MULTILINE)
    rows = [row for row in every if "/test_" in row]

    assert len(rows) > 30
    assert {row: found for row in rows if (found := lost(row, page))} == {}


def test_every_test_of_conformance_is_in_its_table() -> None:
    """What is compared is told, and nothing is compared in silence."""
    told = {text for text, _ in TEST.findall((DOCS / "conformance.md").read_text("utf-8"))}
    files = Path(__file__).parent.glob("conformance/test_*.py")
    ours = {
        name for path in files for name in re.findall(r"def test_(\w+)\(", path.read_text("utf-8"))
    }

    assert {name.replace("_", " ") for name in ours} == told


def test_every_row_of_faults_that_applies_is_in_the_table() -> None:
    """The numbers are those of the list of faults; 37 and 38 are about a journal."""
    page = (DOCS / "reliability.md").read_text("utf-8")
    rows = {int(number) for number in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}

    assert rows == {*range(1, 41)} - {37, 38}


def test_every_public_name_is_in_the_reference() -> None:
    """What `gofer` and its rooms offer has an entry; whole modules bring all that they have."""
    pages = "".join(path.read_text("utf-8") for path in DOCS.glob("reference/*.rst"))
    entries = set(re.findall(r"^\.\. auto(?:class|function):: (\w+)$", pages, re.MULTILINE))
    for whole in ("gofer.errors", "gofer.testing", "gofer.contrib.starlette"):
        assert f".. automodule:: {whole}\n   :members:\n" in pages

    public = {name for name in gofer.__all__ if not hasattr(gofer.errors, name)}
    # Ray is too large to be installed for its one entry, which the page writes by hand.
    assert entries == public | set(observers.__all__) | {"DaskBackend", "ProcessBackend"}
