"""The audit of an environment: what it says of files, of RECORDs and of what they belong to."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from .environment_place import Place, libraries, place, posix, recorded, tool, write_record

__all__ = ["libraries", "place", "tool"]  # fixtures

pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.timeout(120)]


def test_a_changed_byte_is_reported_with_the_path(place: Place, tool: Path) -> None:
    """One byte is enough, the size being the same."""
    changed = place.site / "tool" / "__init__.py"
    changed.write_text("answer = 43\n", newline="")
    answer = place.audit()
    assert answer.code == 1
    assert answer.problems == [("changed file", f"{changed} of tool 1.0")]


def test_a_changed_file_outside_of_site_packages_is_reported(place: Place, tool: Path) -> None:
    """A script is part of its distribution, wherever it is."""
    (place.scripts / "tool").write_text("#!elsewhere\n", newline="")
    assert place.audit().problems == [("changed file", f"{place.scripts / 'tool'} of tool 1.0")]


@pytest.mark.parametrize("path", ["tool/__init__.py", "tool-1.0.dist-info/METADATA"])
def test_a_missing_file_is_reported_with_the_path(place: Place, tool: Path, path: str) -> None:
    """A file that stands in the RECORD must be there."""
    (place.site / path).unlink()
    answer = place.audit()
    assert answer.code == 1
    assert answer.problems == [("missing file", f"{place.site / path} of tool 1.0")]


def test_a_missing_file_without_a_hash_is_reported(place: Place) -> None:
    """An entry without a hash still says that there is a file."""
    info = place.install("tool", unhashed=["RECORD", "INSTALLER"])
    assert place.audit().problems == [("missing file", f"{info / 'INSTALLER'} of tool 1.0")]


def test_what_python_generates_is_not_judged(place: Place, tool: Path) -> None:
    """Byte code may be missing, and in __pycache__ it may even differ from the RECORD."""
    cached = place.site / "tool" / "__pycache__" / "__init__.cpython-311.pyc"
    cached.parent.mkdir()
    cached.write_bytes(b"new")
    rows = [
        ("tool/__pycache__/__init__.cpython-311.pyc", recorded(b"old"), 3),
        ("tool/__pycache__/gone.cpython-311.pyc", "", ""),
        ("tool/gone.pyc", "", ""),
    ]
    write_record(tool, rows, mode="a")
    assert place.audit().problems == []


def test_byte_code_in_place_of_source_is_judged(place: Place, tool: Path) -> None:
    """A module that came as byte code only has a hash, and must still match it."""
    (place.site / "tool" / "closed.pyc").write_bytes(b"new")
    write_record(tool, [("tool/closed.pyc", recorded(b"old"), 3)], mode="a")
    changed = place.site / "tool" / "closed.pyc"
    assert place.audit().problems == [("changed file", f"{changed} of tool 1.0")]


@pytest.mark.parametrize("kind", ["sha384", "sha512", "hex", "padded"])
def test_other_ways_to_write_a_hash_are_understood(place: Place, tool: Path, kind: str) -> None:
    """The other strong hashes, and two spellings that installers have used."""
    text = {
        "hex": f"sha256={hashlib.sha256(b'x').hexdigest()}",
        "padded": f"{recorded(b'x')}=",
    }.get(kind) or recorded(b"x", kind)
    (place.site / "tool" / "x").write_bytes(b"x")
    write_record(tool, [("tool/x", text, 1)], mode="a")
    answer = place.audit()
    assert (answer.problems, answer.code) == ([], 0)
    (place.site / "tool" / "x").write_bytes(b"y")
    assert [kind for kind, _ in place.audit().problems] == ["changed file"]


def test_a_hash_of_an_unknown_kind_is_noted(place: Place, tool: Path) -> None:
    """What cannot be judged is said, and is no problem."""
    write_record(tool, [("tool/data.txt", "md5=0", 0)], mode="a")
    answer = place.audit()
    assert (answer.code, answer.problems) == (0, [])
    assert ("unknown hash", f"{place.site / 'tool' / 'data.txt'} of tool 1.0") in answer.notes


def test_a_path_that_leaves_everything_is_judged_like_any_other(place: Place, tool: Path) -> None:
    """Absolute paths are allowed in a RECORD, and a NUL in one is no crash."""
    outside = place.site.parent / "outside.txt"
    outside.write_text("new")
    write_record(tool, [(outside, recorded(b"old"), 3), ("a\0b", recorded(b""), 0)], mode="a")
    kinds = dict(place.audit().problems)
    assert kinds["changed file"] == f"{outside} of tool 1.0"
    assert "unreadable file" in kinds


@posix
def test_a_pipe_in_place_of_a_file_does_not_block(place: Place, tool: Path) -> None:
    """Only regular files are opened."""
    (place.site / "tool" / "__init__.py").unlink()
    os.mkfifo(place.site / "tool" / "__init__.py")
    assert [kind for kind, _ in place.audit().problems] == ["not a file"]


def test_a_record_that_cannot_be_read_is_a_problem(place: Place, tool: Path) -> None:
    """A RECORD that is no CSV must not hide its distribution from the audit."""
    (tool / "RECORD").write_text("x" * 200_000)  # longer than a CSV field may be
    answer = place.audit()
    assert (answer.code, answer.problems) == (1, [("unreadable file", str(tool / "RECORD"))])


def test_distributions_without_a_record_are_noted(place: Place, tool: Path) -> None:
    """Debian and conda leave the RECORD out: nobody can judge that, and nothing is wrong."""
    (tool / "RECORD").unlink()
    (place.site / "old-2.0.egg-info").write_text("Name: Old\nVersion: 2.0\n")
    folder = place.site / "older.egg-info"
    folder.mkdir()
    (folder / "PKG-INFO").write_text("Name: older\nVersion: 3.0\n")
    answer = place.audit()
    assert (answer.code, answer.problems) == (0, [])
    assert dict(answer.notes)["no RECORD"].endswith(": old 2.0, older 3.0, tool 1.0")


@pytest.mark.parametrize("state", ["there", "gone"])
def test_an_editable_installation_is_noted(place: Place, tmp_path: Path, state: str) -> None:
    """Its sources are outside of its RECORD, and may have been deleted."""
    sources = tmp_path / "my sources"
    info = place.install("tool", files={"tool.pth": f"{sources}\n"})
    origin = {"url": sources.as_uri(), "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(origin))
    if state == "there":
        sources.mkdir()
    answer = place.audit()
    assert (answer.code, answer.problems) == (0, [])
    says = "is outside its RECORD" if state == "there" else "is gone"
    assert dict(answer.notes)["editable"] == f"tool 1.0: its source {sources} {says}"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"dir_info": 1, "url": 2}', "[" * 100_000])
def test_an_origin_of_any_shape_is_no_crash(place: Place, tool: Path, text: str) -> None:
    """A file that anybody may have written is read with care."""
    (tool / "direct_url.json").write_text(text)
    assert place.audit().code == 0


def test_two_versions_in_one_folder_are_a_problem(place: Place) -> None:
    """Names are compared as pip does: Old_Name is old-name."""
    place.install("old-name", "1.0")
    place.install("Old_Name", "1.1")
    answer = place.audit()
    assert answer.code == 1
    ((kind, text),) = answer.problems
    assert kind == "duplicate"
    assert "old-name-1.0.dist-info" in text
    assert "Old_Name-1.1.dist-info" in text
    assert text.endswith(f" in {place.site}")


def test_one_that_hides_another_is_noted(place: Place, tool: Path, tmp_path: Path) -> None:
    """In two folders of sys.path the first one counts; that is how overlays work."""
    place.path.append(tmp_path / "overlay")
    first = place.install("tool", "2.0", into=tmp_path / "overlay")
    answer = place.audit()
    assert (answer.code, answer.problems) == (0, [])
    assert dict(answer.notes)["hidden"] == f"{tool} by {first}"
