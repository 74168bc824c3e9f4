"""The pytest plugin, as this very run has loaded it, and in a project of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from importlib.metadata import entry_points
from pathlib import Path
from textwrap import dedent

import pytest

import gofer
from gofer import Context, DeadlineExceeded, JobManager, Retry, Run, _parts, job
from gofer.testing import VirtualClock, recorded_runs, virtual_clock

SOURCE = Path(gofer.__file__).parents[1]


def test_retries_are_instant(gofer_instant_retries: None) -> None:
    """Pauses of an hour do not happen; each attempt does."""

    @job(retry=Retry(3, on=KeyError, wait_initial=3600, wait_max=3600, wait_jitter=0), fallback=0)
    def flaky() -> None:
        raise KeyError

    assert len(JobManager([flaky]).execute().record("flaky").attempts) == 3


def test_the_clock_jumps_to_what_is_waited_for(gofer_clock: VirtualClock) -> None:
    """A sleep of a day is over at once, and in the report."""

    @job
    def day(ctx: Context) -> None:
        ctx.sleep(86_400)

    run = JobManager([day]).execute()

    assert gofer_clock.slept == [86_400]
    assert run.record("day").duration == 86_400


def test_the_clock_can_be_moved_past_a_deadline(gofer_clock: VirtualClock) -> None:
    """A job that moves it stands for a slow one, and the run is cancelled then."""
    seen = []

    @job
    def slow(ctx: Context) -> None:
        gofer_clock.advance(10)
        seen.append(ctx.cancelled)
        ctx.check()

    with Context(timeout=5) as ctx, pytest.raises(DeadlineExceeded):
        JobManager([slow]).execute(ctx)
    assert seen == [True]


def test_the_clock_stands_still_when_it_is_told_to(gofer_clock: VirtualClock) -> None:
    """A thread that sleeps goes on when the test has moved the time far enough, not before."""
    gofer_clock.jumps = False
    woke = threading.Event()

    def sleep() -> None:
        Context().sleep(60)
        woke.set()

    thread = threading.Thread(target=sleep)
    thread.start()
    while not gofer_clock.slept:
        pass
    gofer_clock.advance(59)
    assert not woke.is_set()
    gofer_clock.advance(1)
    thread.join()
    assert woke.is_set()


def test_a_virtual_clock_leaves_everything_as_it_was() -> None:
    """After the block, even one that raised, time is real again."""
    before = _parts.clock, _parts.wait, _parts.call_later, _parts.chance
    with pytest.raises(KeyError), virtual_clock():
        assert _parts.clock != before[0]
        raise KeyError

    assert (_parts.clock, _parts.wait, _parts.call_later, _parts.chance) == before


def test_runs_are_recorded_wherever_they_are_made(gofer_runs: list[Run]) -> None:
    """Good, failed and inner runs, sync and async, in the order in which they end."""

    @job
    def fails() -> None:
        raise KeyError("no")

    @job
    async def inner() -> Run:
        return await JobManager([job(lambda: 1, name="one")], name="inner").aexecute()

    with pytest.raises(KeyError):
        JobManager([fails], name="bad").execute()
    assert [(run.name, run.state) for run in gofer_runs] == [("bad", "failed")]
    asyncio.run(JobManager([inner], name="outer").aexecute())
    assert [run.name for run in gofer_runs] == ["bad", "inner", "outer"]


def test_nothing_is_recorded_after_the_block() -> None:
    """What runs later is not in the list, and inner blocks have lists of their own."""
    manager = JobManager([job(lambda: 1, name="one")])
    with recorded_runs() as outer:
        manager.execute()
        with recorded_runs() as inner:
            manager.execute()
    manager.execute()

    assert (len(outer), len(inner)) == (2, 1)


def test_loading_the_plugin_loads_nothing_but_gofer() -> None:
    """It is loaded in every project of an environment: no asyncio, no backend of its own."""
    code = f"""
        import sys, types
        sys.path.insert(0, {str(SOURCE)!r})
        sys.modules["pytest"] = types.SimpleNamespace(fixture=lambda fixture: fixture)
        import gofer
        before = set(sys.modules)
        import gofer.testing.plugin, json
        print(json.dumps([[*before], [*set(sys.modules) - before]]))
    """
    # -S: what site-packages load at start would hide what the plugin loads.
    command = [sys.executable, "-I", "-S", "-c", dedent(code)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    before, after = json.loads(ran.stdout)

    assert "gofer.testing.plugin" in after
    assert {"asyncio", "inspect", "logging"}.isdisjoint(before + after)
    ours = {each for each in after if each.startswith("gofer")}
    assert all(each.startswith("gofer.testing") for each in ours)


def test_a_project_has_the_fixtures_without_asking_for_them(tmp_path: Path) -> None:
    """The entry point is enough, with warnings as errors and no configuration."""
    if not [each for each in entry_points(group="pytest11") if each.name == "gofer"]:
        pytest.skip("Gofer is not installed with its entry point; pip install -e .")
    (tmp_path / "test_it.py").write_text(
        "def test_it(gofer_instant_retries, gofer_clock, gofer_runs):\n"
        "    assert (gofer_clock.slept, gofer_runs) == ([], [])\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100
    )

    assert (ran.returncode, "1 passed" in ran.stdout) == (0, True), ran.stdout + ran.stderr


RACING = """
import pytest
from types import SimpleNamespace
from gofer import JobManager, RacesFound, job

def add(ctx, cart):
    cart.total += 1

manager = JobManager([job(add, name="a"), job(add, name="b")])

def test_races(gofer_races):
    with gofer_races(manager):
        manager.execute(None, SimpleNamespace(total=0))

def test_waived(gofer_races):
    with gofer_races(manager, unordered=["total"]) as detector:
        manager.execute(None, SimpleNamespace(total=0))
    assert detector.runs == 1

def test_nothing_ran(gofer_races):
    with gofer_races(manager):
        pass

def test_own_error(gofer_races):
    with pytest.raises(KeyError), gofer_races(manager):
        manager.execute(None, SimpleNamespace(total=0))
        raise KeyError
"""


def test_a_test_fails_in_whose_block_jobs_race(tmp_path: Path) -> None:
    """It fails itself, with the report; so does one whose block watched no run."""
    (tmp_path / "test_racing.py").write_text(RACING, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "2 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    assert "FAILED test_racing.py::test_races - gofer.errors.RacesFound: cart.total" in done.stdout
    assert "job 'b' writes it at test_racing.py:7" in done.stdout
    assert "FAILED test_racing.py::test_nothing_ran - AssertionError: the manager" in done.stdout
