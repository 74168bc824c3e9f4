"""Audit the Python environment that runs this: `python examples/environment.py [--json]`.

It says which installed files changed or vanished since they were installed, which requirements
are not met, what is installed twice, who imports whom, and under which licences. It only reads,
and needs nothing but Gofer and the standard library. The exit code is 1 when something is wrong.
`--jobs` shows the jobs, in one row those that may run at the same time, and runs none. With
`--processes`, files are hashed and parsed in worker processes: it takes all cores, and a file that
crashes Python's parser is a finding.

Two limits: who can change a file can also change the RECORD with the file's hash; and byte code
in `__pycache__` is not judged, because Python itself rewrites it.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import csv
import hashlib
import io
import json
import os
import platform
import re
import stat
import sys
import warnings
from base64 import urlsafe_b64encode
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from email.message import Message
from email.parser import HeaderParser
from functools import partial
from importlib import import_module
from importlib.machinery import all_suffixes
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

import gofer
from gofer import Context, JobManager, job

SUFFIXES = sorted(all_suffixes(), key=len, reverse=True)  # ".cpython-313-x86_64.so" before ".so"
ALWAYS_THERE = {*sys.stdlib_module_names, "__main__"}
MOST = 20  # findings of one kind that the summary lists


class Finding(NamedTuple):
    """Something to tell: a problem, or else a note."""

    kind: str
    text: str
    problem: bool = True


class Distribution(NamedTuple):
    """What is installed, as its `.dist-info` or `.egg-info` tells it."""

    name: str  # as names are compared: Foo_Bar is foo-bar
    version: str
    info: Path
    headers: Message
    record: dict[str, str] | None  # path -> hash, as in "sha256=..."; None without a RECORD

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def locate(self, path: str) -> str:
        """Return where a file of the RECORD is; `../../../bin/x` leads out of site-packages."""
        return os.path.normpath(os.path.join(self.info.parent, path))


class Imports(NamedTuple):
    """What the source files import."""

    graph: dict[str, set[str]]  # distribution -> the distributions that it imports
    unprovided: dict[str, set[str]]  # what nothing installed provides -> who imports it
    unparsed: list[str]  # files that are no Python of this version


class Audit:
    """The jobs' param: what the caller wants and, by setters, what the caller gets."""

    def __init__(self, *, as_json: bool = False, backend: str | None = None) -> None:
        self.as_json, self.backend = as_json, backend
        self.problems: list[Finding] = []
        self.text = ""

    def set_problems(self, problems: list[Finding]) -> None:
        """Say what is wrong with the environment."""
        self.problems = problems

    def set_text(self, text: str) -> None:
        """Hand in the report, ready to be printed."""
        self.text = text


# ---- Jobs without needs: they start at once.


@job
def interpreter() -> dict[str, str]:
    """Look at Python itself and at what it runs on."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "executable": sys.executable,
        "prefix": sys.prefix,
    }


@job
def distributions(ctx: Context) -> list[Distribution]:
    """Read the metadata of all that is installed, in the order of sys.path."""
    folders: dict[str, str] = {}
    for path in sys.path:  # where lib64 is a link to lib, both are here
        folders.setdefault(os.path.realpath(path), os.path.abspath(path))
    found = []
    for folder in map(Path, folders.values()):
        for info in sorted([*folder.glob("*.dist-info"), *folder.glob("*.egg-info")]):
            ctx.check()
            found.append(read_distribution(info))
    return found


@job
async def pip_check() -> list[Finding]:
    """Run `pip check` in a process of its own, which ends with the run."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "check"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == 0:
        return []
    last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
    if last.endswith("No module named pip"):
        return [Finding("no pip", "pip check was not run: this Python has no pip", False)]
    lines = output.decode(errors="replace").splitlines() or [f"does not work: {last}"]
    return [Finding("pip check", line) for line in lines]


# ---- Jobs that look at the distributions, all at the same time.


@job
def sizes(ctx: Context, *, distributions: list[Distribution]) -> list[int]:
    """Add up the bytes of each distribution's files."""
    return [sum(map(os.path.getsize, present(ctx, each))) for each in distributions]


@job
def integrity(
    ctx: Context, audit: Audit | None, *, distributions: list[Distribution]
) -> list[Finding]:
    """Compare every file with its RECORD, eight distributions at a time: hashing frees the GIL."""
    judge, backend = partial(judge_files, ctx), (audit or Audit()).backend
    parts = gofer.map(judge, distributions, limit=8, ctx=ctx, backend=backend)
    found = [each for part in parts for each in part]
    bare = [str(each) for each in distributions if not os.path.exists(each.info / "RECORD")]
    if bare:
        text = f"some installers leave it out; files that nobody can judge: {', '.join(bare)}"
        found.append(Finding("no RECORD", text, False))
    return found


@job
def duplicates(*, distributions: list[Distribution]) -> list[Finding]:
    """Find what is installed twice: into one folder, or behind another on sys.path."""
    found, first = [], by_name(distributions)
    for each in distributions:
        other = first[each.name]
        if each.info.parent != other.info.parent:
            found.append(Finding("hidden", f"{each.info} by {other.info}", False))
        elif each is not other:
            text = f"{other.info.name} and {each.info.name} in {each.info.parent}"
            found.append(Finding("duplicate", text))
    return found


@job
def requirements(ctx: Context, *, distributions: list[Distribution]) -> list[Finding]:
    """Judge what each Requires-Dist asks for; what an old `.egg-info` does, only pip knows."""
    parse = requirement_parser()
    if parse is None:
        text = "requirements were not judged: neither packaging nor pip can be imported"
        return [Finding("no packaging", text, False)]
    found, installed = [], by_name(distributions)
    for each in installed.values():
        ctx.check()
        for text in each.headers.get_all("Requires-Dist", []):
            try:
                wrong = judge_requirement(parse(str(text)), installed)
            except ValueError:  # packaging's errors: not a requirement, or not a version
                found.append(Finding("not judged", f"{each} requires {text}", False))
            else:
                found += [Finding("unmet requirement", f"{each} {wrong}")] if wrong else []
    return found


@job
def licences(*, distributions: list[Distribution]) -> list[str]:
    """Read under which licence each distribution is."""
    return [licence(each.headers) for each in distributions]


@job
def modules(*, distributions: list[Distribution]) -> dict[str, str]:
    """Map each installed module, by its dotted name, to the distribution that brought it."""
    owners: dict[str, str] = {}
    for each in distributions:
        for name in provided(each):
            owners.setdefault(name, each.name)
    return owners


# After `requirements`, whose parser calls `ast.literal_eval`: CPython 3.11 counts the depth of a
# tree for all threads together, so two that parse at the same time can fail with a SystemError.
@job(after=["requirements"])
def imports(
    ctx: Context,
    audit: Audit | None,
    *,
    distributions: list[Distribution],
    modules: dict[str, str],
) -> Imports:
    """Parse every source file for what it imports: the long job.

    The parser never lets go of the GIL, so more than one thread would not help; processes do.
    """
    backend = (audit or Audit()).backend
    limit = 1 if backend is None else 32
    parse = partial(parse_files, ctx)
    found = Imports(defaultdict(set), defaultdict(set), [])
    parts = gofer.map(parse, distributions, limit=limit, ctx=ctx, backend=backend, check=False)
    for each, part in zip(distributions, parts, strict=True):
        if isinstance(part.error, gofer.JobCrashed):
            found.unparsed.append(f"{each}: its files crash the parser")
            continue
        names, unparsed = part.result()
        found.unparsed.extend(unparsed)
        for name in names:
            if owner := owner_of(name, modules):
                found.graph[each.name].add(owner)
            else:
                found.unprovided[name.partition(".")[0]].add(each.name)
    return found


# ---- Jobs that put together what the others found.


@job
def report(
    ctx: Context,
    audit: Audit | None,
    *,
    interpreter: dict[str, str],
    distributions: list[Distribution],
    sizes: list[int],
    integrity: list[Finding],
    duplicates: list[Finding],
    requirements: list[Finding],
    pip_check: list[Finding],
    licences: list[str],
    imports: Imports,
) -> dict[str, Any]:
    """Assemble the whole, which is what `--json` prints."""
    told = {each.text for each in requirements}  # in pip's words, so that each is told only once
    found = [*integrity, *duplicates, *requirements]
    found += [each for each in pip_check if each.text not in told]
    found += [Finding("not parsed", path, False) for path in imports.unparsed]
    (audit or Audit()).set_problems([each for each in found if each.problem])
    return {
        "interpreter": interpreter,
        "findings": [each._asdict() for each in found],
        "distributions": [
            {
                "name": each.name,
                "version": each.version,
                "info": str(each.info),
                "files": len(each.record or ()),
                "bytes": size,
                "licence": licence,
                "imports": sorted(imports.graph.get(each.name, set()) - {each.name}),
            }
            for each, size, licence in zip(distributions, sizes, licences, strict=True)
        ],
        "unprovided": {name: sorted(by) for name, by in sorted(imports.unprovided.items())},
    }


@job
def summary(ctx: Context, audit: Audit | None, *, report: dict[str, Any]) -> None:
    """Print the report."""
    audit = audit or Audit()  # `gofer run` has none to give
    audit.set_text(json.dumps(report, indent=1) if audit.as_json else readable(report))
    print(audit.text)


manager = JobManager(
    [
        *(interpreter, distributions, pip_check),
        *(sizes, integrity, duplicates, requirements, licences, modules, imports),
        *(report, summary),
    ],
    name="environment",
)


# ---- What the jobs are made of.


def read_distribution(info: Path) -> Distribution:
    """Read a `.dist-info`, or an `.egg-info`, which may itself be the file of metadata."""
    texts = [read(info / "METADATA"), read(info / "PKG-INFO"), read(info)]
    headers = HeaderParser().parsestr(next(filter(None, texts), ""))
    name, _, version = info.stem.partition("-")  # in case there is no metadata
    name = normal(str(headers.get("Name", name)))
    text = read(info / "RECORD")
    try:
        rows = [[*row, ""] for row in csv.reader(io.StringIO(text or "", newline="")) if row]
    except csv.Error:
        text = None
    record = None if text is None else {row[0]: row[1] for row in rows}
    return Distribution(name, str(headers.get("Version", version)), info, headers, record)


def read(path: Path) -> str | None:
    """Return a file's text or None; bytes that are no UTF-8 are kept as surrogates."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except OSError:
        return None


def normal(name: str) -> str:
    """Return a name as names are compared: Foo_Bar is foo-bar."""
    return re.sub(r"[-_.]+", "-", name).lower()


def by_name(distributions: list[Distribution]) -> dict[str, Distribution]:
    """Return the first of each name: the one that Python imports."""
    return {each.name: each for each in reversed(distributions)}


def present(ctx: Context, distribution: Distribution, *, ends: str = "") -> Iterator[str]:
    """Yield the files that are there; end with the context."""
    for path in map(distribution.locate, distribution.record or ()):
        ctx.check()
        if path.endswith(ends) and os.path.isfile(path):
            yield path


def judge_files(ctx: Context, distribution: Distribution) -> list[Finding]:
    """Find what differs from a RECORD."""
    found = []
    if distribution.record is None and os.path.exists(distribution.info / "RECORD"):
        found.append(Finding("unreadable file", f"{distribution.info / 'RECORD'}"))
    for row, recorded in (distribution.record or {}).items():
        ctx.check()
        path = distribution.locate(row)
        if kind := judge_file(ctx, path, recorded):
            found.append(Finding(kind, f"{path} of {distribution}", kind != "unknown hash"))
    if source := editable_source(distribution.info):
        text = "is outside its RECORD" if os.path.exists(source) else "is gone"
        found.append(Finding("editable", f"{distribution}: its source {source} {text}", False))
    return found


def judge_file(ctx: Context, path: str, recorded: str) -> str:
    """Say in two words what is wrong with a file; nothing if all is well.

    Source: the specification of RECORD in PEP 376 and PEP 427, and on packaging.python.org.
    """
    if "__pycache__" in path or (path.endswith(".pyc") and not recorded):
        return ""  # generated; rewritten or removed at will
    algorithm, _, expected = recorded.rstrip("=").partition("=")
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return "not a file" if recorded else ""  # a pipe, say: opening it would block
        if not recorded:
            return ""  # the RECORD itself, and what an installer adds without a hash
        if algorithm not in ("sha256", "sha384", "sha512"):
            return "unknown hash"  # nothing weaker is allowed in a RECORD
        found = digest(ctx, path, algorithm)  # in base64, but old installers wrote it in hex
        same = expected in (found.hex(), urlsafe_b64encode(found).rstrip(b"=").decode())
        return "" if same else "changed file"
    except (FileNotFoundError, NotADirectoryError):
        return "missing file"
    except (OSError, ValueError):
        return "unreadable file"  # no right to read it, or a NUL in its name


def digest(ctx: Context, path: str, algorithm: str) -> bytes:
    """Hash a file, block by block so that a huge one does not outlast its context."""
    found = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb", buffering=0) as file:
        while block := file.read(1 << 18):
            found.update(block)
            ctx.check()
    return found.digest()


def editable_source(info: Path) -> str:
    """Return the folder that an editable installation points to, or nothing."""
    try:
        origin = json.loads(read(info / "direct_url.json") or "{}")
        return url2pathname(urlsplit(origin["url"]).path) if origin["dir_info"]["editable"] else ""
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return ""  # no such thing, the usual case, or not to be understood


def requirement_parser() -> Callable[[str], Any] | None:
    """Return packaging's Requirement, from wherever it can be had."""
    for name in ("packaging.requirements", "pip._vendor.packaging.requirements"):
        with suppress(Exception):  # it may be the very thing that is broken here
            parse: Callable[[str], Any] = import_module(name).Requirement
            return parse
    return None


def judge_requirement(requirement: Any, installed: dict[str, Distribution]) -> str:
    """Say what is wrong with a requirement, in the words of `pip check`; nothing if it is met."""
    if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
        return ""
    name = normal(requirement.name)
    found = installed.get(name)
    if found is None:
        return f"requires {name}, which is not installed."
    if requirement.specifier.contains(found.version, prereleases=True):
        return ""
    return f"has requirement {requirement}, but you have {found}."


def licence(headers: Message) -> str:
    """Return the licence as the distribution calls it."""
    named = [headers.get("License-Expression"), headers.get("License")]
    classifiers = [str(each).split(" :: ") for each in headers.get_all("Classifier", [])]
    named.append(", ".join(each[-1] for each in classifiers if each[0] == "License"))
    short = [str(each) for each in named if each and len(str(each)) < 50 and each != "UNKNOWN"]
    return short[0] if short else "in its own words" if any(named) else "not said"


def provided(distribution: Distribution) -> Iterator[str]:
    """Yield the dotted names of the modules in a RECORD, or the top ones that .egg-info knows."""
    yield from (read(distribution.info / "top_level.txt") or "").split()
    for path in distribution.record or ():
        for suffix in SUFFIXES:
            if path.endswith(suffix):
                yield path.removesuffix(suffix).replace("/", ".").removesuffix(".__init__")
                break


def owner_of(name: str, modules: dict[str, str]) -> str | None:
    """Return who brought a module, or else the package that it is in."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return modules.get(name)


def parse_files(ctx: Context, distribution: Distribution) -> tuple[set[str], list[str]]:
    """Return what a distribution's files import, and those that are no Python."""
    found: set[str] = set()
    unparsed = []
    with warnings.catch_warnings(action="ignore"):  # about other people's backslashes
        for path in present(ctx, distribution, ends=".py"):
            try:
                found |= imported(path)
            except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
                unparsed.append(path)
    return found, unparsed


def imported(path: str) -> set[str]:
    """Return the full names of all that a source file imports and Python does not bring along."""
    found: set[str] = set()
    todo: list[Any] = ast.parse(Path(path).read_bytes()).body
    for statement in todo:  # grows meanwhile, by the statements inside of statements
        if isinstance(statement, ast.Import):
            found.update(each.name for each in statement.names)
        elif isinstance(statement, ast.ImportFrom) and not statement.level:
            found.update(f"{statement.module}.{each.name}" for each in statement.names)
        for block in ("body", "orelse", "handlers", "finalbody", "cases"):
            todo += getattr(statement, block, ())
    return {name for name in found if name.partition(".")[0] not in ALWAYS_THERE}


# ---- The look of it.


def readable(report: dict[str, Any]) -> str:
    """Write the summary, findings first; weird names play no tricks on the terminal."""
    python, entries = report["interpreter"], report["distributions"]
    findings = sorted(report["findings"], key=lambda each: (not each["problem"], each["kind"]))
    problems = sum(each["problem"] for each in findings)
    lines = [f"{problems or 'no'} problem{'s' * (problems != 1)} in {python['prefix']}"]
    for kind, group in groupby(findings, lambda each: each["kind"]):
        texts = [each["text"] for each in group]
        lines += [f"  {kind}: {text}" for text in texts[:MOST]]
        if len(texts) > MOST:
            lines.append(f"  {kind}: {len(texts) - MOST} more, see --json")
    largest = Counter({each["name"]: each["bytes"] for each in entries}).most_common()
    licences = Counter(each["licence"] for each in entries).most_common()
    imported = Counter(name for each in entries for name in each["imports"]).most_common()
    missing = Counter({name: len(by) for name, by in report["unprovided"].items()}).most_common()
    files, size = sum(each["files"] for each in entries), sum(each["bytes"] for each in entries)
    lines += [
        "",
        f"python      {python['python']}, {python['executable']}",
        f"platform    {python['platform']}",
        f"installed   {len(entries)} distributions, {files:,} files, {size / 1e6:,.1f} MB",
        f"largest     {few([f'{name} {size / 1e6:.1f} MB' for name, size in largest])}",
        f"licences    {few([f'{number} {name}' for name, number in licences])}",
        f"imports     {few([f'{name} by {number}' for name, number in imported])}",
        f"not there   {few([f'{name} by {number}' for name, number in missing])}; often optional",
    ]
    return "\n".join(map(printable, lines))


def few(texts: list[str], most: int = 6) -> str:
    """Join the first texts and say how many more there are."""
    more = [f"{len(texts) - most} more"] if len(texts) > most else []
    return ", ".join(texts[:most] + more) or "none"


def printable(text: str) -> str:
    """Escape what can't be seen: control codes, line feeds, marks that reverse the writing."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(description="Audit the Python environment that runs this.")
    parser.add_argument("--json", action="store_true", help="print the whole report as JSON")
    parser.add_argument("--jobs", action="store_true", help="show the jobs, and run none")
    parser.add_argument("--processes", action="store_true", help="hash and parse on all cores")
    args = parser.parse_args()
    if args.jobs:
        print("\n".join(", ".join(layer) for layer in manager.layers()))
        return 0
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for names that it cannot write
    audit = Audit(as_json=args.json, backend="processes" if args.processes else None)
    try:
        run = manager.execute(param=audit)
    except KeyboardInterrupt:  # by then every job has ended
        return 130
    print(f"\n{run}", file=sys.stderr if args.json else sys.stdout)
    return 1 if audit.problems else 0


if __name__ == "__main__":
    sys.exit(main())
