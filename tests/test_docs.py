"""What the documents say is so: examples run and print what is shown, targets and links exist.

How a page is read: the Python blocks of one page are one program, in order, as if saved in one
file with an empty line between them. A `text` block right under a Python block is what that block
prints, its traceback included if it raises. A Python block that begins with `# name.py` is also
saved under that name, for the `$ gofer` lines of the page; on a page with a `# test_name.py` such
blocks are only saved, and pytest runs that one. A block is fenced by three backticks at the start
of a line and the language, nothing more; other fences would escape and are refused. A page that
needs what Gofer does not says so: `<!-- needs: django -->`.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/README.md")],
    key=lambda path: path.relative_to(ROOT),
)
LINKING = sorted({*PAGES, *ROOT.glob("*.md")})

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STRAY_FENCE = re.compile(r"^[ \t>*+-]*(?:```|~~~).*", re.MULTILINE)
NOT_PYTHON = {"ipython", "py", "py3", "pycon", "python3"}
"""Other names for Python; nothing would run a block that bears one."""
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
NEEDS = re.compile(r"^<!-- needs: (\w+) -->$", re.MULTILINE)
BENCHMARKS = re.compile(r"<!-- benchmarks -->\n(.*?)<!-- /benchmarks -->", re.DOTALL)


class Block(NamedTuple):
    """One fenced block of a page."""

    language: str
    text: str
    line: int
    follows: bool
    """Whether nothing but empty lines stands between it and the block before it."""


def blocks(page: str) -> Iterator[Block]:
    """Find the fenced blocks of a page; refuse a fence that is not read."""
    stray = STRAY_FENCE.findall(FENCE.sub("", page))
    assert stray == [], "write ``` and the language at the start of the line"
    end = 0
    for found in FENCE.finditer(page):
        line = page.count("\n", 0, found.start()) + 2
        follows = not page[end : found.start()].strip()
        assert found[1] not in NOT_PYTHON, f"line {line}: write ```python, so that it is run"
        yield Block(found[1], found[2], line, follows)
        end = found.end()


def run_python(block: Block, namespace: dict[str, Any], program: Path) -> tuple[str, bool]:
    """Add a block to the page's program and execute it.

    Returns:
        What it printed, its traceback included, and whether it raised.
    """
    # A deadline that reads well is short, and a machine that is busy enough passes it.
    source = re.sub(r"Context\(timeout=[\d.]+\)", "Context(timeout=60)", block.text)
    before = program.read_text(encoding="utf-8") + "\n" if program.exists() else ""
    program.write_text(before + source, encoding="utf-8")  # tracebacks quote it
    source = "\n" * before.count("\n") + source
    printed = io.StringIO()
    raised = False
    with redirect_stdout(printed):
        try:
            exec(compile(source, str(program), "exec", dont_inherit=True), namespace)
        except BaseException as error:
            raised = True
            below = error.__traceback__ and error.__traceback__.tb_next  # not this function
            printed.write("".join(traceback.format_exception(type(error), error, below)))
    return printed.getvalue(), raised


def normalised(output: str) -> list[str]:
    """Reduce an output to what is the same on every machine, each time.

    Left out: amounts of time, bars, the order of jobs that start at once, signs that only a busy
    machine draws, where files lie, and in a traceback the marks and the frames of Gofer itself.
    """
    text = re.sub(r"^ +[~^]+ *\n", "", output, flags=re.MULTILINE)
    text = re.sub(
        r'^  File "[^"\n]*gofer/(?:\w+/)?_\w+\.py".*\n(?:    .*\n)*', "", text, flags=re.MULTILINE
    )
    text = re.sub(r'File "[^"\n]*", line', "File, line", text)
    text = re.sub(r"\b\d+(?:\.\d+)? (?:us|ms|s)\b|\b\d+m \d\ds\b", "TIME", text)
    text = re.sub(r", TIME of work(?:, [\d.]+ at once)?", "", text)
    text = text.replace("\ncritical path", "; critical path")
    text = text.replace("; . ready, but kept waiting", "")
    lines, rows = [], []
    for line in text.splitlines():
        line, bars = re.subn(r" +\|.*\|", " |", line)  # noqa: PLW2901
        line = re.sub(r"(?<=\S) +", " ", line).rstrip()  # noqa: PLW2901
        if bars:
            rows.append(line)
        elif line:
            lines += [*sorted(rows), line]
            rows = []
    return lines + sorted(rows)


def run_page(path: Path, folder: Path) -> list[str]:
    """Execute the examples of a page; return the languages of the blocks that were judged."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    printed, raised, before = "", False, None
    judged = []
    page = path.read_text(encoding="utf-8")
    by_pytest = "```python\n# test_" in page
    for block in blocks(page):
        where = f"{path.name}, line {block.line}"
        is_output = block.language == "text" and before == "python" and block.follows
        assert not raised or is_output, f"before {where}:\n{printed}"
        if is_output:
            assert normalised(printed) == normalised(block.text), f"{where}; real:\n{printed}"
            judged.append("text")
        printed, raised = "", False
        if block.language == "python":
            name = re.match(r"# ([\w.]+\.py)\n", block.text)
            if name:
                (folder / name[1]).write_text(block.text, encoding="utf-8")
            if name and name[1].startswith("test_"):
                ran = run_module("pytest", ["-q", "-p", "no:cacheprovider", name[1]], folder)
                assert ran.returncode == 0, f"{where}:\n{ran.stdout}{ran.stderr}"
            elif not (name and by_pytest):
                printed, raised = run_python(block, namespace, folder / "the_page.py")
            judged.append("python")
        elif block.language == "console":
            for command in re.findall(r"^\$ gofer (.*)$", block.text, re.MULTILINE):
                ran = run_module("gofer", shlex.split(command, comments=True), folder)
                assert ran.returncode == 0, f"{where}: {command}\n{ran.stdout}{ran.stderr}"
                judged.append("console")
        before = block.language
    assert not raised, f"the last example of {path.name}:\n{printed}"
    return judged


def run_module(name: str, arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a module of Python's in a folder, with the Gofer that is under test."""
    import gofer

    places = [str(Path(gofer.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, "-m", name, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def name_of(path: Path) -> str:
    """Return how a page is called in the tests' names."""
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_the_examples_of_a_page_run_and_print_what_is_shown(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each Python block runs, each output under one is real, each `$ gofer` line succeeds."""
    for module in NEEDS.findall(path.read_text(encoding="utf-8")):
        pytest.importorskip(module, reason=f"pip install {module}, and this page is run")
    monkeypatch.chdir(tmp_path)
    judged = run_page(path, tmp_path)
    if path.name == "README.md" and path.parent == ROOT:
        assert {*judged} == {"python", "text", "console"}  # the search finds what is there


PRINTS = "```python\nprint('one')\n```\n\n"
DIVIDED = """\
Traceback (most recent call last):
  File "page.py", line {}, in <module>
    1 / 0
ZeroDivisionError: division by zero
"""


def test_a_traceback_counts_the_lines_as_a_reader_who_saves_the_blocks(tmp_path: Path) -> None:
    """Two blocks are one file with an empty line between: the second one begins at line 3."""
    path = tmp_path / "page.md"
    shown = "```text\n" + DIVIDED.format(3) + "```\n"
    path.write_text(f"{PRINTS}words\n\n```python\n1 / 0\n```\n\n{shown}", encoding="utf-8")

    assert run_page(path, tmp_path) == ["python", "python", "text"]


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("```python\nundefined\n```\n", "NameError"),
        ("```python\nundefined\n```\nwords\n\n```text\nwords\n```\n", "NameError"),
        (PRINTS + "```text\ntwo\n```\n", r"real:\s+one"),
        (PRINTS + "```text\none\none\n```\n", r"real:\s+one"),
        ("```python\n1 / 0\n```\n\n```text\n" + DIVIDED.format(2) + "```\n", r"real:\s+Traceback"),
        ("```console\n$ gofer run nowhere.py:manager\n```\n", "there is no file"),
        ("```python\n# test_x.py\ndef test_x(): assert 0\n```\n", "1 failed"),
        ("- a list\n\n  ```python\n  undefined\n  ```\n", "start of the line"),
        ("~~~python\nundefined\n~~~\n", "start of the line"),
        ("```python title=x\nundefined\n```\n\n" + PRINTS, "start of the line"),
        ("```pycon\n>>> undefined\n```\n", "write ```python"),
    ],
)
def test_an_example_that_is_wrong_is_found(page: str, complaint: str, tmp_path: Path) -> None:
    """A test of documents that cannot fail would hold nothing."""
    path = tmp_path / "page.md"
    path.write_text(page, encoding="utf-8")
    with pytest.raises(AssertionError, match=complaint):
        run_page(path, tmp_path)


def test_outputs_are_compared_without_what_differs_each_time() -> None:
    """Times, bars and marks may differ; names, states, errors and notes may not."""
    shown = "run: succeeded in 1.2 ms, 3 ms of work\n  a  1 us  2 s  |==  |\n  b  0 s  1 s  | =|\n"
    other = "run: succeeded in 9 s, 3 ms of work, 1.4 at once\n  b 1 s 2 s |=|\n  a 3 s 1 us |.|\n"
    assert normalised(shown) == normalised(other)
    for wrong in (other.replace("  b", "* b"), other.replace("succeeded", "failed")):
        assert normalised(shown) != normalised(wrong)
    frame = '  File "/there/page.py", line 4, in f\n    g(1)\n    ^^^^\nBoom: no\n'
    ours = '  File "/lib/gofer/_manager.py", line 1, in execute\n    raise failure\n'
    assert normalised(ours + frame) == ["  File, line 4, in f", "    g(1)", "Boom: no"]


def _minor_version(go: str) -> int:
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\bgo1\.(\d+)", said)
    return int(found[1]) if found else 0


def test_the_go_program_compiles(tmp_path: Path) -> None:
    """The Go program in README.md is formatted as gofmt does it, and `go vet` accepts it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    programs = [block.text for block in blocks(readme) if block.language == "go"]
    assert len(programs) == 1
    program = 'package jobs\n\nimport (\n\t"context"\n\t"fmt"\n\t"sync"\n)\n\n' + programs[0]
    go, gofmt = shutil.which("go"), shutil.which("gofmt")
    if go is None or gofmt is None or _minor_version(go) < 20:
        pytest.skip("no such Go compiler on PATH; install Go 1.20 or later to have this checked")
    (tmp_path / "go.mod").write_text("module example\n\ngo 1.20\n", encoding="utf-8")
    (tmp_path / "jobs.go").write_text(program, encoding="utf-8")
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0"}
    for command in ([gofmt, "-d", "jobs.go"], [go, "vet", "."]):
        ran = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert (ran.returncode, ran.stdout) == (0, ""), f"{command}\n{ran.stdout}{ran.stderr}"


def test_the_make_targets_that_the_readme_names_exist() -> None:
    """Whoever types what stands there is not told "no rule to make target"."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|\$ )make ([a-z-]+)", readme))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))

    assert {"demo", "test"} <= named
    assert named <= targets


def test_the_readme_has_one_place_for_the_benchmarks() -> None:
    """Whatever fills the table in finds both markers, once, with something between them."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (table,) = BENCHMARKS.findall(readme)

    assert table.strip()


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    page = FENCE.sub("", path.read_text(encoding="utf-8"))
    plain = (re.sub(r"[^\w\s-]", "", LINK.sub("]", title)) for title in HEADING.findall(page))
    return {title.strip().lower().replace(" ", "-") for title in plain}


def leads_nowhere(path: Path, link: str) -> bool:
    """Whether a page's link names no file or folder that is there, or no heading of its page."""
    name, _, anchor = link.partition("#")
    target = path.parent / name if name else path
    return not target.exists() or (bool(anchor) and anchor not in anchors(target))


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    """Neither a lost file nor a lost heading passes; what is there does."""
    path = tmp_path / "page.md"
    path.write_text("# What it is *not*, `here`\n", encoding="utf-8")
    links = ["page.md", "#what-it-is-not-here", "page.md#what-it-is-not-here"]
    lost = ["other.md", "#nowhere", "page.md#nowhere", "other.md#what-it-is-not-here"]

    assert [link for link in links + lost if leads_nowhere(path, link)] == lost


@pytest.mark.parametrize("path", LINKING, ids=name_of)
def test_relative_links_lead_somewhere(path: Path) -> None:
    """A link into the repository names a file, a folder or a heading that is there."""
    page = FENCE.sub("", path.read_text(encoding="utf-8"))
    links = [link for link in LINK.findall(page) if not re.match(r"[a-z]+:", link)]

    assert [link for link in links if leads_nowhere(path, link)] == []
    if path == ROOT / "README.md":
        assert links  # the search finds what is there
