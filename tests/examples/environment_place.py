"""Throw-away venvs that the tests of the audit fill, and what an audit of one says.

The venvs have no pip, so that they are made fast; a test that is about pip brings a fake one.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import shutil
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

posix = pytest.mark.skipif(sys.platform == "win32", reason="the file system has no such files")

EXAMPLE = environment.__file__

LONG = 100.0
"""Seconds that nothing here comes near, unless it hangs."""


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
