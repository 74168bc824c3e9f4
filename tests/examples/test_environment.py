"""The audit of an environment, run for real: mostly in throw-away venvs that the tests fill."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gofer import Cancelled, Context

from .environment_place import (
    EXAMPLE,
    LONG,
    Place,
    environment,
    libraries,
    place,
    posix,
    recorded,
    tool,
    write_record,
)

__all__ = ["libraries", "place", "tool"]  # fixtures

pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.timeout(120)]

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

PIP_THAT_HANGS = """
import os, socket
connection = socket.create_connection(("127.0.0.1", int(os.environ["PORT"])))
connection.recv(1)
"""


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


def test_in_processes_it_finds_the_same(place: Place, tool: Path) -> None:
    """Hashing and parsing may go to worker processes: nothing else changes."""
    (place.site / "tool" / "broken.py").write_text("def (")
    (place.site / "tool" / "__init__.py").write_text("changed = 1")
    code, report = place.audit()
    assert code == 1
    found = place.run(EXAMPLE, "--json", "--processes")
    assert json.loads(found.stdout) == report


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
        audit = [None] if name in ("integrity", "imports") else []
        with pytest.raises(Cancelled):
            getattr(environment, name)(ctx, *audit, **needs)


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
