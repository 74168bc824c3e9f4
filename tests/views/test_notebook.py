"""Gofer in a notebook: a real IPython kernel, asked as Jupyter asks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest

Ask = Callable[[str], list[dict[str, Any]]]

SETUP = """
import asyncio
from gofer import JobManager, job

async def user():
    await asyncio.sleep(0)
    return "Ada"

def fail():
    raise ConnectionError("no route to host")

good = JobManager([job(user)], name="good")
bad = JobManager([job(fail)], name="bad")
"""


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Start a kernel; yield what runs a cell and returns what the notebook would be sent."""
    pytest.importorskip("ipykernel", reason="pip install 'gofer[browser]' to have this checked")
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3")

    def run(code: str) -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []
        client.execute_interactive(
            code,
            timeout=60,
            output_hook=lambda message: sent.append(
                {"type": message["msg_type"], **message["content"]}
            ),
        )
        return [each for each in sent if each["type"] in ("error", "execute_result", "stream")]

    assert run(SETUP) == []
    yield run
    client.stop_channels()
    manager.shutdown_kernel()
    manager.cleanup_resources()


def test_a_run_is_awaited_and_shows_itself(ask: Ask) -> None:
    """The kernel's loop runs, so a cell awaits; what it gives is a picture and a text."""
    (shown,) = ask("await good.aexecute()")

    assert shown["type"] == "execute_result"
    assert shown["data"]["text/plain"].startswith("run 'good': succeeded in ")
    ET.fromstring(shown["data"]["image/svg+xml"])


def test_a_manager_shows_its_graph(ask: Ask) -> None:
    """Its last line is enough."""
    (shown,) = ask("bad")

    assert shown["data"]["text/plain"] == "<JobManager 'bad', 1 jobs>"
    assert ">fail</text>" in shown["data"]["image/svg+xml"]


def test_execute_in_a_cell_says_what_to_write_instead(ask: Ask) -> None:
    """A loop runs there, so it is refused at once, and nothing hangs."""
    (error,) = ask("good.execute()")

    assert error["ename"] == "RunningLoopError"
    assert "run = await manager.aexecute(ctx, param)" in error["evalue"]


def test_the_error_of_a_job_is_the_cell_s(ask: Ask) -> None:
    """Its own exception, with the line of the cell where it was raised."""
    (error,) = [each for each in ask("await bad.aexecute()") if each["type"] == "error"]

    assert (error["ename"], error["evalue"]) == ("ConnectionError", "no route to host")
    assert "fail()" in "".join(error["traceback"])
