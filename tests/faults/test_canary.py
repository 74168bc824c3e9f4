"""Row 40: what jobs are given and return, and what they hold, is on no channel of Gofer's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gofer import Context, Group, JobManager, Retry

from .channels import command_line, pictures, watching
from .far import CANARY, Secret, login, page
from .modes import Mode


def test_a_canary_is_on_no_channel(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Param, values, results, locals, environment: in no text, picture, log, metric or span."""
    monkeypatch.setenv("TOKEN", CANARY)
    observers, said = watching()
    secret = Secret(password=CANARY)
    retry = Retry(2, on=ConnectionError, wait_initial=0)
    jobs = [mode.job(login), mode.job(page, retry=retry), mode.job(login, name="b", after=["page"])]
    manager = JobManager(jobs, name="shop", observers=observers, limits={})
    with Context(values={"token": CANARY}) as ctx:
        run = mode.execute(manager, ctx, secret, check=False)
    shown = pictures(run, manager) | {name: tell() for name, tell in said.items()}
    spans = shown.pop("spans", "")

    assert run["login"] is secret
    assert {channel for channel, text in shown.items() if CANARY in text} == set()
    assert CANARY not in spans
    assert all("page" in shown[channel] for channel in ("print", "html", "log", "trace", "notes"))


def test_exception_text_is_shown_as_the_job_wrote_it(mode: Mode) -> None:
    """The one thing that a job says itself; the docs tell it."""

    def says() -> None:
        raise ValueError(CANARY)

    manager = JobManager([mode.job(says)])
    run = mode.execute(manager, check=False)

    assert CANARY in str(run)


def test_a_canary_is_in_no_handle_of_a_group_or_a_map() -> None:
    """A handle's text names function and number, not arguments."""

    def fails(_: Any) -> None:
        raise ConnectionError("refused")

    with pytest.raises(ConnectionError) as caught, Group() as group:
        handle = group.go(fails, Secret())

    assert CANARY not in repr(handle) + repr(group) + "".join(caught.value.__notes__)


def test_a_canary_is_in_nothing_that_the_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the param of ``--param`` nor results or the environment; in no file either."""
    monkeypatch.setenv("TOKEN", CANARY)
    text = """
from gofer import JobManager, job
@job
def login(ctx, param): return param["password"]
@job
def page(ctx, param, *, login):
    local = login * 2
    raise ConnectionError("refused")
manager = JobManager([login, page])
"""
    (tmp_path / "jobs.py").write_text(text, encoding="utf-8")
    param = f'{{"password": "{CANARY}"}}'
    for options in (("--html", "p.html", "--trace", "t.json"), ("--json", "-"), ("--json", "r")):
        said = command_line(tmp_path, "run", "jobs.py:manager", "--param", param, *options)

        assert "refused" in "".join(said.values())
        assert {channel for channel, each in said.items() if CANARY in each} == set()
    said = command_line(tmp_path, "run", "jobs.py:manager", "--param", param + CANARY)
    assert CANARY not in "".join(said.values())
