"""The audit of an environment, run for real: mostly in throw-away venvs that the tests fill.

The venvs have no pip, so that they are made fast; a test that is about pip brings a fake one.
"""

from __future__ import annotations

import asyncio
import base64
import csv
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("packaging")
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

import environment
import packaging

import gofer
from gofer import Cancelled, Context

pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.timeout(120)]
posix = pytest.mark.skipif(sys.platform == "win32", reason="the file system has no such files")

EXAMPLE = environment.__file__

LONG = 100.0
"""Seconds that nothing here comes near, unless it hangs."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

PIP_THAT_HANGS = """
import os, socket
connection = socket.create_connection(("127.0.0.1", int(os.environ["PORT"])))
connection.recv(1)
"""


class Answer(NamedTuple):
    """What an audit said."""

    code: int
    report: dict[str, Any]

    def findings(self, *, problem: bool) -> list[tuple[str, str]]:
        """Return kind and text of the problems, or of the notes."""
        found = self.report["findings"]
        return [(each["kind"], each["text"]) for each in found if each["problem"] is problem]

    @property
    def problems(self) -> list[tuple[str, str]]:
        """What is wrong."""
        return self.findings(problem=True)

    @property
    def notes(self) -> list[tuple[str, str]]:
        """What is to be known."""
        return self.findings(problem=False)


class Place:
    """A venv without pip, and ways to install into it as pip would."""

    def __init__(self, folder: Path, libraries: Path) -> None:
        venv.create(folder, symlinks=sys.platform != "win32")
        scheme = sysconfig.get_paths("venv", {"base": str(folder), "platbase": str(folder)})
        self.site, self.scripts = Path(scheme["purelib"]), Path(scheme["scripts"])
        self.python = self.scripts / Path(sys.executable).name.replace("pythonw", "python")
        self.path = [libraries]

    def install(
        self,
        name: str,
        version: str = "1.0",
        files: Mapping[str, str] = {},
        *,
        requires: Iterable[str] = (),
        headers: Iterable[str] = (),
        unhashed: Iterable[str] = ("RECORD",),
        into: Path | None = None,
    ) -> Path:
        """Write a distribution's files, its `.dist-info` and a correct RECORD.

        Args:
            name: As METADATA has it.
            version: As METADATA has it.
            files: Path, relative to site-packages -> content.
            requires: Requirements.
            headers: More lines of METADATA.
            unhashed: Files of the `.dist-info` that stand in the RECORD without a hash.
            into: A folder in place of site-packages.

        Returns:
            The `.dist-info`.
        """
        site = into or self.site
        info = site / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *headers]
        lines += [f"Requires-Dist: {each}" for each in requires]
        whole = {**files, f"{info.name}/METADATA": "\n".join([*lines, "", "Describes itself."])}
        rows: list[tuple[str, str, object]] = []
        for path, content in whole.items():
            file = Path(os.path.normpath(site / path))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8", newline="")
            rows.append((path, recorded(content.encode()), len(content.encode())))
        rows += [(f"{info.name}/{each}", "", "") for each in unhashed]
        write_record(info, rows)
        return info

    def run(
        self, *arguments: str, env: Mapping[str, str] = {}, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the venv's Python with arguments; any warning in it is an error."""
        return subprocess.run(
            [self.python, "-W", "error", *arguments],
            capture_output=True,
            check=False,
            cwd=cwd,
            encoding="utf-8",
            env={**self.env, **env},
            timeout=LONG,
        )

    @property
    def env(self) -> dict[str, str]:
        """The environment variables for the venv's Python."""
        path = os.pathsep.join(map(str, self.path))
        return os.environ | {"PYTHONPATH": path, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    def audit(self) -> Answer:
        """Run the example with `--json`."""
        done = self.run(EXAMPLE, "--json")
        assert "succeeded" in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
        return Answer(done.returncode, json.loads(done.stdout))


def recorded(content: bytes, algorithm: str = "sha256") -> str:
    """Return a hash as a RECORD has it: URL-safe base64 without padding."""
    digest = hashlib.new(algorithm, content).digest()
    return f"{algorithm}={base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def write_record(info: Path, rows: Iterable[Iterable[object]], *, mode: str = "w") -> None:
    """Write a RECORD, or add to it with the mode "a"."""
    record = info / "RECORD"
    with open(record, mode, encoding="utf-8", errors="surrogateescape", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Gofer and packaging and no metadata, for the PYTHONPATH of the venvs."""
    folder = tmp_path_factory.mktemp("libraries")
    for package in (gofer, packaging):
        (source,) = map(Path, package.__path__)
        shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("*.pyc"))
    return folder


@pytest.fixture
def place(tmp_path: Path, libraries: Path) -> Place:
    """A new venv with nothing in it."""
    return Place(tmp_path / "venv", libraries)


@pytest.fixture
def tool(place: Place) -> Path:
    """An installed package with a script outside of site-packages; gives its `.dist-info`."""
    script = os.path.relpath(place.scripts / "tool", place.site).replace(os.sep, "/")
    files = {"tool/__init__.py": "answer = 42\n", "tool/data.txt": "", script: "#!python\n"}
    return place.install("tool", files=files)


def test_an_intact_environment_is_clean(place: Place, tool: Path) -> None:
    """Nothing is wrong, the exit code is 0, and the report knows what is there."""
    code, report = answer = place.audit()
    assert (code, answer.problems) == (0, [])
    (entry,) = report["distributions"]
    assert (entry["name"], entry["version"], entry["files"]) == ("tool", "1.0", 5)
    sizes = [each.stat().st_size for each in [*tool.iterdir(), *(place.site / "tool").iterdir()]]
    assert entry["bytes"] == sum(sizes) + len("#!python\n")
    assert Path(report["interpreter"]["prefix"]).samefile(place.scripts.parent)


def test_the_summary_has_the_findings_first_and_the_waterfall_last(
    place: Place, tool: Path
) -> None:
    """What a person reads: the verdict, facts, and how the run went."""
    done = place.run(EXAMPLE)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("no problems in ")
    assert "1 distributions, 5 files" in done.stdout
    names = [each.name for each in environment.manager.jobs]
    waterfall = done.stdout.partition("\nrun 'environment': succeeded")[2]
    assert [name for name in names if name not in waterfall] == []


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


def test_requirements_that_are_not_met_are_reported(place: Place) -> None:
    """Both kinds, in pip's words; what a marker or an extra rules out is not required."""
    place.install("base", "1.5")
    requires = [
        "absent>=1",
        "base<1.5",
        "base>=1",
        "Base==1.*",
        "never; python_version<'3'",
        "optional; extra == 'more'",
    ]
    place.install("Tool", requires=requires)
    answer = place.audit()
    assert answer.code == 1
    assert answer.problems == [
        ("unmet requirement", "tool 1.0 requires absent, which is not installed."),
        ("unmet requirement", "tool 1.0 has requirement base<1.5, but you have base 1.5."),
    ]


def test_a_prerelease_meets_a_requirement(place: Place) -> None:
    """Who installed a prerelease meant it."""
    place.install("base", "2.0rc1")
    place.install("tool", requires=["base>=1"])
    assert place.audit().problems == []


def test_a_requirement_that_makes_no_sense_is_noted(place: Place) -> None:
    """It does not stop the others from being judged."""
    place.install("tool", requires=["???", "absent"])
    answer = place.audit()
    assert ("not judged", "tool 1.0 requires ???") in answer.notes
    assert [kind for kind, _ in answer.problems] == ["unmet requirement"]


def test_a_version_that_makes_no_sense_is_told(place: Place) -> None:
    """As not judged, or as not good enough: that depends on the version of packaging."""
    place.install("base", "no-version!")
    place.install("tool", requires=["base>=1"])
    answer = place.audit()
    told = [text for _, text in [*answer.problems, *answer.notes] if "base" in text]
    assert len(told) == 1


def test_without_packaging_it_is_said_that_requirements_were_not_judged(place: Place) -> None:
    """There is no silent skipping."""
    shutil.copytree(place.path[0] / "gofer", place.site / "gofer")
    place.path = []
    place.install("tool", requires=["absent"])
    answer = place.audit()
    assert (answer.code, answer.problems) == (0, [])
    assert dict(answer.notes)["no packaging"].startswith("requirements were not judged")


def test_a_broken_packaging_does_not_end_the_audit(place: Place) -> None:
    """The very tool that the audit would use may be what was tampered with."""
    shutil.copytree(place.path[0] / "gofer", place.site / "gofer")
    place.path = []
    place.install("packaging", files={"packaging/__init__.py": "intact = True\n"})
    changed = place.site / "packaging" / "__init__.py"
    changed.write_text("this is not Python at all\n", newline="")
    answer = place.audit()
    assert answer.problems == [("changed file", f"{changed} of packaging 1.0")]
    assert {"no packaging", "not parsed"} <= dict(answer.notes).keys()


def test_without_pip_it_is_said_that_pip_did_not_check(place: Place) -> None:
    """A finding of its own: no problem, and no crash."""
    answer = place.audit()
    assert (answer.code, answer.problems) == (0, [])
    assert dict(answer.notes)["no pip"] == "pip check was not run: this Python has no pip"


def fake_pip(place: Place, code: str) -> None:
    """Install a pip that runs the code."""
    place.install("pip", files={"pip/__init__.py": "", "pip/__main__.py": code})


def test_what_pip_complains_about_is_reported_once(place: Place) -> None:
    """What the audit found too is not repeated; what only pip sees is there."""
    told = "tool 1.0 requires absent, which is not installed."
    more = "tool 1.0 is not supported on this platform"
    fake_pip(place, f"print({told!r}); print({more!r}); raise SystemExit(1)")
    place.install("tool", requires=["absent"])
    answer = place.audit()
    assert answer.problems == [("unmet requirement", told), ("pip check", more)]


def test_a_broken_pip_is_reported_with_its_last_words(place: Place) -> None:
    """A pip that is there and does not work is a problem."""
    fake_pip(place, "import no_such_module")
    ((kind, text),) = place.audit().problems
    assert kind == "pip check"
    assert text == "does not work: ModuleNotFoundError: No module named 'no_such_module'"


def test_a_pip_in_the_current_folder_is_not_run(place: Place, tmp_path: Path) -> None:
    """An audit runs what is installed, not what lies around."""
    (tmp_path / "pip.py").write_text("raise SystemExit('this should not run')")
    done = place.run(EXAMPLE, cwd=tmp_path)
    assert "no pip: " in done.stdout
    assert done.returncode == 0


def test_the_import_graph_says_who_imports_whom(place: Place) -> None:
    """By dotted names, so that two distributions may share a namespace; wherever the import is."""
    place.install("shared-a", files={"shared/a/__init__.py": "", "shared/a/deep.py": ""})
    place.install("shared-b", files={"shared/b.py": ""})
    source = """
        import os, importlib.metadata, tool.helper
        from . import sibling
        from shared import b
        def later():
            try:
                from shared.a.deep import something
            except ImportError:
                import spare.part as spare
    """
    lines = "\n".join(line.removeprefix(" " * 8) for line in source.splitlines())
    place.install("tool", files={"tool/__init__.py": lines, "tool/helper.py": "import shared.a"})
    report = place.audit().report
    imports = {each["name"]: each["imports"] for each in report["distributions"]}
    assert imports == {"shared-a": [], "shared-b": [], "tool": ["shared-a", "shared-b"]}
    assert report["unprovided"] == {"spare": ["tool"]}


def test_sources_that_do_not_parse_are_noted(place: Place) -> None:
    """Templates and old Python are no problem, and no crash; warnings about them stay silent."""
    bad = {"print.py": "print 'hello'", "nul.py": "\0", "deep.py": "-" * 1_000_000 + "1"}
    files = {f"tool/{name}": text for name, text in bad.items()} | {"tool/odd.py": r"'\d'"}
    place.install("tool", files=files)
    answer = place.audit()
    assert (answer.code, answer.problems) == (0, [])
    unparsed = {Path(text).name for kind, text in answer.notes if kind == "not parsed"}
    assert unparsed == set(bad)


def test_licences_are_read_in_the_order_of_the_standards(place: Place) -> None:
    """The expression, then a short text, then classifiers; a whole licence text is not shown."""
    classifier = "Classifier: License :: OSI Approved :: MIT License"
    place.install("a", headers=["License-Expression: MIT OR Apache-2.0", "License: x", classifier])
    place.install("b", headers=["License: BSD", classifier])
    place.install("c", headers=["License: UNKNOWN", classifier])
    place.install("d", headers=[f"License: {'Permission is granted. ' * 9}"])
    place.install("e")
    found = [each["licence"] for each in place.audit().report["distributions"]]
    assert found == ["MIT OR Apache-2.0", "BSD", "MIT License", "in its own words", "not said"]


@posix
def test_weird_names_neither_crash_nor_reach_the_terminal(place: Place) -> None:
    """Whatever a file is called, JSON has it exactly, and the summary shows it in visible signs."""
    names = ['a,"b', "line\nfeed", "\x1b[31mred", "\u202etxt.exe", "\udcff"]
    info = place.install("tool", headers=["License: \x1b[2J"])
    rows = [(f"tool/{name}", recorded(b"x"), 1) for name in names]
    write_record(info, rows, mode="a")
    problems = place.audit().problems
    assert problems == [
        ("missing file", f"{place.site / 'tool' / name} of tool 1.0") for name in names
    ]
    done = place.run(EXAMPLE, env={"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (1, "")
    assert all(line.isprintable() for line in done.stdout.splitlines())
    assert done.stdout.startswith("5 problems in ")
    assert r"line\nfeed" in done.stdout
    assert r"\x1b[31mred" in done.stdout


def test_many_findings_of_one_kind_stay_readable(place: Place, tool: Path) -> None:
    """The summary stops after some and says how many more there are."""
    write_record(tool, [(f"tool/{i}", recorded(b""), 0) for i in range(500)], mode="a")
    done = place.run(EXAMPLE)
    assert done.stdout.startswith("500 problems in ")
    assert done.stdout.count("missing file: ") == environment.MOST + 1
    assert f"missing file: {500 - environment.MOST} more, see --json" in done.stdout


def test_the_jobs_are_shown_by_layers(place: Place) -> None:
    """`--jobs` runs nothing, and has one line for those that may run at the same time."""
    done = place.run(EXAMPLE, "--jobs")
    layers = [line.split(", ") for line in done.stdout.splitlines()]
    assert (done.returncode, layers) == (0, environment.manager.layers())
    assert "pip_check" in layers[0]
    assert layers[-1] == ["summary"]


def test_the_manager_runs_from_the_command_line_without_a_param(place: Place, tool: Path) -> None:
    """`gofer run` prints the summary too."""
    done = place.run("-m", "gofer", "run", f"{EXAMPLE}:manager")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("no problems in ")


def test_the_wiring_agrees_with_the_type_hints() -> None:
    """What a job returns is what the jobs that need it say they take; sync and async are mixed."""
    environment.manager.check()
    assert {each.is_async for each in environment.manager.jobs} == {True, False}


def test_the_environment_of_these_tests_can_be_audited() -> None:
    """A real one, with all that people install: the caller's param gets what was found."""
    audit = environment.Audit(as_json=True)
    run = environment.manager.execute(param=audit)
    report = json.loads(audit.text)
    assert [tuple(each.values()) for each in report["findings"] if each["problem"]] == [
        tuple(each) for each in audit.problems
    ]
    entries = {each["name"]: each for each in report["distributions"]}
    assert "pluggy" in entries["pytest"]["imports"]
    assert "packaging" in entries["pytest"]["imports"]
    assert entries["pytest"]["bytes"] > 0
    assert entries["pluggy"]["licence"] == "MIT"
    assert run.ok


@pytest.mark.parametrize("name", ["sizes", "integrity", "requirements", "imports"])
def test_a_job_that_loops_ends_with_its_context(
    place: Place, tool: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Each job is still a function, and asks the context on its way."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(place.site)])
    with Context() as ctx:
        found = environment.distributions(ctx)
        assert "tool 1.0" in map(str, found)
        needs: dict[str, object] = {"distributions": found} | (
            {"modules": {}} if name == "imports" else {}
        )
        ctx.cancel()
        with pytest.raises(Cancelled):
            getattr(environment, name)(ctx, **needs)


def test_a_huge_file_does_not_outlast_the_context(tmp_path: Path) -> None:
    """Hashing asks the context at every block."""
    huge = tmp_path / "huge"
    huge.write_bytes(b"x")
    with Context() as ctx:
        ctx.cancel()
        with pytest.raises(Cancelled):
            environment.judge_file(ctx, str(huge), recorded(b"x"))


def test_cancelling_the_run_ends_pip(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is left: pip's connection to the test ends with it."""
    fake_pip(place, PIP_THAT_HANGS)
    monkeypatch.setattr(sys, "executable", str(place.python))

    async def check() -> None:
        connected: asyncio.Future[Streams] = asyncio.Future()
        server = await asyncio.start_server(
            lambda *streams: connected.set_result(streams), "127.0.0.1", 0
        )
        monkeypatch.setenv("PORT", str(server.sockets[0].getsockname()[1]))
        async with server:
            job = asyncio.create_task(environment.pip_check())
            reader, writer = await connected
            job.cancel()
            with pytest.raises(asyncio.CancelledError):
                await job
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    asyncio.run(asyncio.wait_for(check(), LONG))


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process")
def test_ctrl_c_ends_it_without_a_traceback(place: Place) -> None:
    """Even while it waits for pip, which ends too."""
    fake_pip(place, PIP_THAT_HANGS)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(LONG)
        port = {"PORT": str(server.getsockname()[1])}
        pipe = subprocess.PIPE
        program = subprocess.Popen(
            [place.python, EXAMPLE], env=place.env | port, stdout=pipe, stderr=pipe, text=True
        )
        with program:
            try:
                connection, _ = server.accept()
                program.send_signal(signal.SIGINT)
                output, complaints = program.communicate(timeout=LONG)
            finally:
                program.kill()
        with connection:
            connection.settimeout(LONG)
            assert connection.recv(1) == b""
    assert (program.returncode, output, complaints) == (130, "", "")
