"""Live progress, on a real pseudo-terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .terminal import PRELUDE, Screen, program

RUN = """
jobs = [job(lambda: 1, name="user"), job(wait, name="orders", after=["user"])]
run = JobManager(jobs, name="page").execute(progress=True)
print("done", run.ok)
"""


def test_a_run_shows_what_runs_and_how_much_is_done() -> None:
    """In one line that carriage returns write over, without any escape; and taken away at last."""
    screen = program(RUN)
    screen.until("page: 1/2 jobs, 1 running, about ")
    screen.until(" left: orders ")

    assert screen.end() == (0, "done True\n")
    assert "\x1b" not in screen.drawn
    assert screen.drawn.endswith("\r")
    assert screen.drawn.split("\r")[-2].strip() == ""


def test_with_rich_there_is_a_bar_and_a_line_for_each_running_job() -> None:
    """In colours."""
    pytest.importorskip("rich", reason="install gofer[test] to test rich")
    screen = program(RUN, rich=True)
    screen.until("page: 1/2 jobs, 1 running, about ")
    screen.until("orders")

    assert screen.end() == (0, "done True\n")
    assert "\x1b[36m" in screen.drawn  # cyan
    assert "\x1b[2K" in screen.drawn[screen.drawn.rindex("orders") :]  # and nothing is left


def test_no_color_is_honoured() -> None:
    """The cursor may move, but nothing has a colour."""
    pytest.importorskip("rich", reason="install gofer[test] to test rich")
    screen = program(RUN, rich=True, NO_COLOR="1")
    screen.until("page: 1/2 jobs")
    screen.end()

    assert "\x1b[36m" not in screen.drawn
    assert "\x1b[31m" not in screen.drawn


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        (
            (
                "import asyncio\n"
                "async def main():\n"
                "    jobs = [job(wait, name='a'), job(lambda: 1, name='b')]\n"
                "    await JobManager(jobs).aexecute(progress=True)\n"
                "asyncio.run(main())"
            ),
            "1/2 jobs, 1 running",
        ),
        (
            (
                "with Group(progress=True, name='crawl') as group:\n"
                "    group.go(abs, 1)\n"
                "    group.go(wait)"
            ),
            "crawl: 1/2 jobs, 1 running",
        ),
        (
            "with Group(progress=True) as group:\n    group.go(wait)\n    wait()",
            "0/1 jobs so far, 1 running: wait[0] ",
        ),
        (
            (
                "import asyncio\n"
                "async def main():\n"
                "    async with AsyncGroup(progress=True) as group:\n"
                "        await group.go(wait)\n"
                "asyncio.run(main())"
            ),
            "0/1 jobs, 1 running: wait[0] ",
        ),
        (
            "list(map(lambda n: n and wait(), range(3), limit=1, progress=True, name='urls'))",
            "urls: 1/3 jobs, 1 running, about ",
        ),
        (
            "list(map(lambda n: n and wait(), iter(range(3)), limit=1, progress=True))",
            "1/3 jobs so far, 1 running: <lambda>[1] ",
        ),
        (
            "list(map(lambda n: wait() if n else int('x'), [0, 1], progress=True, check=False))",
            "1/2 jobs, 1 failed, 1 running",
        ),
        (
            (
                "import asyncio\n"
                "async def main():\n"
                "    return [n async for n in amap(lambda n: wait(), [1], progress=True)]\n"
                "asyncio.run(main())"
            ),
            "0/1 jobs, 1 running",
        ),
    ],
)
def test_everything_that_runs_jobs_can_show_them(code: str, shown: str) -> None:
    """Runs that are awaited, groups, maps; a total where one is known."""
    screen = program(code)
    screen.until(shown)

    assert screen.end() == (0, "")


def test_names_from_outside_move_no_cursor() -> None:
    """A job's name is shown as text, with rich or without."""
    code = 'JobManager([job(wait, name="\\x1b[2J[red]")]).execute(progress=True)'
    for rich in (False, True):
        screen = program(code, rich=rich)
        screen.until("\\x1b[2J[red]")
        assert screen.end() == (0, "")
        assert "\x1b[2J" not in screen.drawn


@pytest.mark.parametrize("asked", ["True", "False"])
def test_nothing_is_drawn_where_it_is_no_terminal_or_nobody_asked(asked: str) -> None:
    """A pipe gets nothing, and a terminal only what was asked for; nothing gets ready to draw."""
    code = RUN.replace("progress=True", f"progress={asked}").replace("lambda: 1", "undrawn")
    piped = subprocess.run(
        [sys.executable, "-c", PRELUDE + code],
        check=True,
        capture_output=True,
        text=True,
        input="\n",
        timeout=60,
    )
    assert piped.stderr == ""
    if asked == "False":
        screen = program(code)
        assert screen.end() == (0, "done True\n")
        assert screen.drawn == ""


def test_the_command_line_shows_progress_and_colours_on_a_terminal(tmp_path: Path) -> None:
    """By default; with `--quiet` nothing draws."""
    pytest.importorskip("rich", reason="install gofer[test] to test rich")
    code = PRELUDE + (
        'manager = JobManager([job(wait, name="orders")], name="page")\n'
        "silent = JobManager([job(undrawn)])\n"
    )
    (tmp_path / "shop.py").write_text(code, encoding="utf-8")
    target = f"{tmp_path}/shop.py:manager"

    screen = Screen(["-m", "gofer", "run", target], stdout=True)
    screen.until("page: 0/1 jobs, 1 running")
    assert screen.end() == (0, "")
    shown = screen.drawn
    assert "run 'page': \x1b[0m\x1b[1;32msucceeded" in shown
    assert "\x1b[34m" in shown or "\x1b[1;34m" in shown  # the critical path

    silent = target.replace(":manager", ":silent")
    quiet = Screen(["-m", "gofer", "run", silent, "--quiet"], stdout=True)
    assert quiet.end() == (0, "")
    assert quiet.drawn == ""
