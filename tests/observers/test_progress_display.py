"""Live progress: what a display says and when it ends, without a real terminal."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from gofer import AsyncGroup, JobManager, job
from gofer.observers import progress
from gofer.observers.progress import Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal, and notes when something was drawn."""

    encoding = "utf-8"  # type: ignore[assignment]

    def __init__(self, *, broken: bool = False) -> None:
        super().__init__()
        self.broken = broken
        self.drew = threading.Event()
        self._news = threading.Condition()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.drew.set()
        if self.broken:
            raise OSError("the terminal is gone")
        with self._news:
            self._news.notify_all()
            return super().write(text)

    def until(self, text: str) -> None:
        """Wait until this has been drawn."""
        with self._news:
            assert self._news.wait_for(lambda: text in self.getvalue(), 30)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Standard error as a terminal, drawn on at once, without rich."""
    made = Terminal()
    # Not the real one's: pytest puts its own there when the test begins.
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=made))
    monkeypatch.setattr(progress, "AFTER", 0.0)
    monkeypatch.setitem(sys.modules, "gofer.observers._rich", None)
    return made


def test_a_display_ends_before_the_run_does(terminal: Terminal) -> None:
    """What was drawn is gone when ``execute`` returns, also when a job fails."""

    def fails() -> None:
        terminal.until("0/1 jobs, 1 running: fails ")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        JobManager([job(fails)]).execute(progress=True)

    drawn = terminal.getvalue()
    assert drawn.endswith("\r")
    assert drawn.split("\r")[-2].strip() == ""


def test_one_display_draws_at_a_time(terminal: Terminal) -> None:
    """A run inside a run, or beside it, goes on without one."""

    def inner() -> Any:
        assert terminal.drew.wait(30)
        return JobManager([job(lambda: 1, name="deep")], name="inner").execute(progress=True).ok

    run = JobManager([job(inner)], name="outer").execute(progress=True)

    assert run["inner"] is True
    assert "outer: " in terminal.getvalue()
    assert "inner: " not in terminal.getvalue()


def test_a_terminal_that_is_gone_harms_nobody(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error goes to ``sys.unraisablehook``, and the next run may draw again."""
    caught: list[BaseException] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda facts: caught.append(facts.exc_value))
    terminal.broken = True
    run = JobManager([job(lambda: terminal.drew.wait(30), name="a")]).execute(progress=True)

    assert run["a"] is True
    assert [str(each) for each in caught] == ["the terminal is gone"]
    terminal.broken = False
    terminal.drew.clear()
    JobManager([job(lambda: terminal.drew.wait(30), name="a")]).execute(progress=True)
    assert "0/1 jobs" in terminal.getvalue()


def test_what_was_drawn_is_taken_away_after_an_error(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A painter that fails puts back what it has changed."""
    cleared = threading.Event()

    class Fails:
        def paint(self, progress: Any) -> None:
            raise OSError("no space left")

        def clear(self) -> None:
            cleared.set()

    caught: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", caught.append)
    monkeypatch.setattr(progress, "_painter", lambda stream: Fails())
    run = JobManager([job(lambda: cleared.wait(30), name="a")]).execute(progress=True)

    assert run["a"] is True
    assert [str(each.exc_value) for each in caught] == ["no space left"]


def test_without_a_thread_to_be_had_the_run_does_without(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Progress is nothing to fail for."""
    from gofer import _parts

    def refuse(thread: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_parts, "start_thread", refuse)
    assert JobManager([job(lambda: 1, name="a")]).execute(progress=True)["a"] == 1
    assert terminal.getvalue() == ""


def test_a_run_that_is_left_behind_is_shown_no_more(terminal: Terminal) -> None:
    """After a second Ctrl-C nobody waits for the end; the display ends by itself."""

    class Hurried:
        hurried = True
        display: Any = None

    execution = Hurried()
    progress.watch(execution)
    execution.display._thread.join(30)

    assert not execution.display._thread.is_alive()
    assert terminal.getvalue() == ""
    execution.display.close()
    execution.display.close()  # twice is once


def test_the_sentence_says_what_is_known() -> None:
    """Time that is left only where the total is known and something has ended."""
    running = [("b", 0.5), ("a", 2.0)]
    assert Progress(None, 0, 4, 0, [], 1.0).sentence() == "0/4 jobs, 0 running"
    one = Progress("page", 1, 4, 0, running, 2.0)
    assert one.sentence() == "page: 1/4 jobs, 2 running, about 6.00 s left"
    assert one.named == [("a", "2.00 s"), ("b", "500 ms")]
    one.elapsed = 4.5  # and nothing has ended meanwhile
    assert one.sentence() == "page: 1/4 jobs, 2 running, about 3.50 s left"
    one.elapsed = 8.5  # they take longer than the first did
    assert one.sentence() == "page: 1/4 jobs, 2 running"
    assert Progress(None, 4, 4, 2, [], 2.0).sentence() == "4/4 jobs, 2 failed, 0 running"
    assert Progress(None, 1, 4, 0, [], 2.0, growing=True).sentence() == "1/4 jobs so far, 0 running"


def test_the_time_that_is_left_does_not_grow_while_jobs_run(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The display remembers when a job last ended: what it says falls from look to look."""
    looks = [Progress(None, 2, 4, 0, [], elapsed) for elapsed in (10.0, 12.0, 19.0, 21.0)]
    monkeypatch.setattr(progress, "EVERY", 0.0)

    with progress._one:
        display = progress.Display(lambda: looks.pop(0) if looks else None, terminal)
        display._thread.join()
        progress._one.acquire()

    drawn = [line.rstrip() for line in terminal.getvalue().split("\r") if line.strip()]
    assert drawn == [
        "2/4 jobs, 0 running, about 10.0 s left",
        "2/4 jobs, 0 running, about 8.00 s left",
        "2/4 jobs, 0 running, about 1.00 s left",
        "2/4 jobs, 0 running",
    ]


def test_only_some_running_jobs_are_named(terminal: Terminal) -> None:
    """The longest; the others are counted, and the line is no wider than the terminal."""
    running = [(f"job-{i:02}", float(i)) for i in range(20)]
    state = Progress(None, 1, 40, 0, running, 2.0)
    assert (len(state.named), state.named[0][0], state.more) == (8, "job-19", 12)

    from gofer.observers._plain import Plain

    painter = Plain(terminal)
    painter.paint(state)
    painter.paint(Progress(None, 40, 40, 0, [], 2.0))
    painter.clear()
    first, second, _ = [line for line in terminal.getvalue().split("\r") if line]
    assert len(first) == 79
    assert second.rstrip() == "40/40 jobs, 0 running"
    assert len(second) == 79


def test_rich_draws_the_same_facts() -> None:
    """A bar, the sentence, a line for each named job, and how many more."""
    console = pytest.importorskip("rich.console", reason="install gofer[test] to test rich")
    from gofer.observers._rich import _picture

    running = [(f"job-{i:02}", float(i)) for i in range(20)]
    out = console.Console(file=io.StringIO(), width=100)
    out.print(_picture(Progress("page", 1, 40, 1, running, 2.0)))
    out.print(_picture(Progress(None, 1, 2, 0, [], 2.0, growing=True)))
    text = out.file.getvalue()

    assert "page: 1/40 jobs, 1 failed, 20 running, about 78.0 s left" in text
    assert "job-19  19.0 s" in text
    assert "and 12 more" in text
    assert "1/2 jobs so far" in text


async def leave_run(done: asyncio.Event) -> None:
    """Await a run, until this is closed."""
    await JobManager([job(done.wait, name="waits")]).aexecute(progress=True)


async def leave_group(done: asyncio.Event) -> None:
    """Wait at the end of a group's block, likewise."""
    async with AsyncGroup(progress=True) as group:
        await group.go(done.wait)


@pytest.mark.parametrize("leave", [leave_run, leave_group])
def test_a_coroutine_that_is_closed_leaves_no_display(terminal: Terminal, leave: Any) -> None:
    """Nobody waits for the jobs any more, and nobody is shown them."""

    async def main() -> None:
        done = asyncio.Event()
        coroutine = leave(done)
        coroutine.send(None)
        await asyncio.to_thread(terminal.until, "waits" if leave is leave_run else "0/1 jobs")
        coroutine.close()
        assert "gofer:progress" not in [each.name for each in threading.enumerate()]
        done.set()
        await asyncio.sleep(0)

    asyncio.run(main())
