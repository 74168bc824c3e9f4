"""The waterfall in colours, for `rich`."""

from __future__ import annotations

import io
from typing import Any

import pytest

from gofer import JobManager, job

console = pytest.importorskip("rich.console", reason="install gofer[test] to test rich")


def printed(run: Any, **options: Any) -> str:
    """Return what rich prints of a run."""
    out = console.Console(
        file=io.StringIO(), width=90, force_terminal=True, color_system="standard", **options
    )
    out.print(run)
    return str(out.file.getvalue())


def fail() -> None:
    """Fail with a text that rich would take for markup."""
    raise ConnectionError("[red]no route[/red]")


MANAGER = JobManager(
    [
        job(lambda: 1, name="[bold]|====================|"),
        job(fail, fallback=0, after=["[bold]|====================|"]),
        job(fail, name="last", after=["fail"]),
        job(lambda: 1, name="never", after=["last"]),
    ],
    name="page",
)


def test_the_text_is_that_of_print(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without colours it is the waterfall as it is; names and errors are never markup."""
    from gofer.views.text import waterfall

    run = MANAGER.execute(check=False)
    out = console.Console(file=io.StringIO(), width=90, color_system=None)
    out.print(run)

    shown = out.file.getvalue().rstrip("\n")
    assert shown == waterfall(run, width=90, encoding="utf-8")
    assert "[red]no route[/red]" in shown


def test_states_and_the_critical_path_have_colours() -> None:
    """Red for what failed, blue for the critical path; nothing depends on colour alone."""
    shown = printed(MANAGER.execute(check=False))

    assert "\x1b[1;31mfailed\x1b[0m" in shown  # in the headline
    assert "\x1b[31m  failed\x1b[0m" in shown  # at the job's line
    assert "\x1b[33m  fell back\x1b[0m" in shown
    assert "\x1b[1;34m#" in shown
    assert "\x1b[31m    ConnectionError" in shown


def test_no_color_leaves_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich honours it; bold may stay."""
    monkeypatch.setenv("NO_COLOR", "1")
    shown = printed(MANAGER.execute(check=False))

    assert "failed" in shown
    assert "31m" not in shown
    assert "34m" not in shown
