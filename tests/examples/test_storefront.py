"""The storefront example, run for real: three servers, an SQLite file, and a browser's requests.

Where a test is about the deadline, what it waits for never comes, so no deadline is too short.
Elsewhere the deadline is so far away that no machine is too slow.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

import httpx
from starlette.applications import Starlette
from storefront import database, load, page, services
from storefront.app import create_app

from gofer import Context, DeadlineExceeded

pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.timeout(120)]

FAR = 60.0
"""A deadline, in seconds, that no good page comes near."""

FOR_EVER = 3600.0

Shop = Callable[..., httpx.Client]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A new file of orders."""
    made = tmp_path / "orders.sqlite"
    database.create(made)
    return made


@pytest.fixture
def shop(path: Path) -> Iterator[Shop]:
    """Start the storefront and the services that it is given; return a client for it."""
    with ExitStack() as stack:

        def start(
            *,
            accounts: Starlette | None = None,
            recommendations: Starlette | None = None,
            accounts_url: str | None = None,
            timeout: float = FAR,
        ) -> httpx.Client:
            served = services.serving(accounts or services.accounts())
            served_too = services.serving(recommendations or services.recommendations())
            app = create_app(
                accounts_url=accounts_url or stack.enter_context(served),
                recommendations_url=stack.enter_context(served_too),
                database_path=path,
                timeout=timeout,
            )
            url = stack.enter_context(services.serving(app))
            return stack.enter_context(httpx.Client(base_url=url, timeout=2 * FAR, trust_env=False))

        yield start
    assert not [each for each in threading.enumerate() if each.name == "uvicorn"]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock the file, so that whoever reads it blocks until the block is left."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


def test_the_page_shows_the_user_the_orders_and_the_tips(shop: Shop) -> None:
    """One answer has what two services and the database know."""
    response = shop().get("/users/1")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "Hello, Ada" in response.text
    assert "<li>1 x tent</li><li>2 x stove</li>" in response.text
    assert "<li>sleeping mat</li><li>gas cartridge</li>" in response.text


def test_what_comes_from_outside_is_escaped(shop: Shop) -> None:
    """Neither a name nor a product can put markup into the page."""
    text = shop().get("/users/2").text
    assert "Hello, Eve &lt;eve@example.org&gt;" in text
    assert "salt &amp; pepper mill" in text


def test_the_page_waits_for_a_user_who_comes_last(shop: Shop) -> None:
    """`assemble` gets no result of `user`, but starts after it all the same."""
    client = shop(accounts=services.accounts(delay=0.3))
    assert "Hello, Ada" in client.get("/users/1").text


def test_pages_made_at_the_same_time_do_not_mix(shop: Shop) -> None:
    """One manager serves all requests; each run has its own param and results."""
    client = shop()
    users = [1, 2] * 10
    with ThreadPoolExecutor(len(users)) as threads:
        texts = list(threads.map(lambda user: client.get(f"/users/{user}").text, users))
    for user, text in zip(users, texts, strict=True):
        assert ("Ada" in text, "tent" in text) == (user == 1, user == 1)
        assert ("Eve" in text, "mill" in text) == (user == 2, user == 2)


def test_a_slow_service_gives_504_that_names_the_deadline_and_the_job(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """At the deadline the caller gets an answer, the service is hung up on, the log a waterfall.

    The fixture's end shows the hanging up: a server stops only when nobody waits in it.
    """
    client = shop(accounts=services.accounts(delay=FOR_EVER), timeout=0.5)
    response = client.get("/users/1")
    assert response.status_code == 504
    assert response.text.startswith("the deadline of 0.5 s has passed; unfinished: user")
    (record,) = [each for each in caplog.records if each.name == "storefront"]
    assert "assemble" in record.getMessage()
    assert client.get("/health").text == "ok"


def test_a_failing_service_gives_502_that_names_the_job(shop: Shop) -> None:
    """After three attempts the error is the client library's own; the run knows whose it is."""
    response = shop(accounts=services.accounts(status=503)).get("/users/1")
    assert (response.status_code, response.text) == (502, "job 'user' failed: HTTPStatusError")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_page_without_tips_is_a_good_page(shop: Shop, status: int) -> None:
    """Where the recommendations are broken or too busy, the page comes without."""
    response = shop(recommendations=services.recommendations(status=status)).get("/users/1")
    assert response.status_code == 200
    assert "tent" in response.text
    assert response.text.endswith("<h2>You may like</h2><ul></ul></html>")


def test_tips_that_are_too_slow_are_left_out(shop: Shop) -> None:
    """They have most of the page's time, and no more."""
    client = shop(recommendations=services.recommendations(delay=FOR_EVER), timeout=5.0)
    response = client.get("/users/1")
    assert response.status_code == 200
    assert "sleeping mat" not in response.text


def test_a_flaky_service_is_asked_again(shop: Shop) -> None:
    """One failure out of two is nothing that a visitor sees."""
    client = shop(
        accounts=services.accounts(status=503, every=2),
        recommendations=services.recommendations(status=500, every=2),
    )
    for _ in range(4):
        response = client.get("/users/1")
        assert response.status_code == 200
        assert "Hello, Ada" in response.text
        assert "sleeping mat" in response.text


def test_a_busy_service_is_asked_again_when_it_says(shop: Shop) -> None:
    """A 429 with ``Retry-After: 1`` is obeyed: the second attempt comes a second later."""
    client = shop(accounts=services.accounts(status=429, every=2))
    start = time.monotonic()
    assert "Hello, Ada" in client.get("/users/1").text
    assert time.monotonic() - start >= 1.0


def test_a_service_that_is_down_is_not_asked_for_a_while(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After ten failures the breaker opens: the page has no tips, and nobody was asked for any."""
    asked = []
    real = httpx.AsyncClient.get

    def get(self: httpx.AsyncClient, url: str, **options: Any) -> Any:
        asked.append(url)
        return real(self, url, **options)

    monkeypatch.setattr(httpx.AsyncClient, "get", get)
    monkeypatch.setattr(page, "RESET_AFTER", FAR)
    client = shop(recommendations=services.recommendations(status=500))
    for _ in range(8):
        assert client.get("/users/1").status_code == 200
    assert len([url for url in asked if "tips" in url]) == 10
    assert len([url for url in asked if "accounts" in url]) == 8


@pytest.mark.parametrize(
    ("options", "deadline", "partial"),
    [
        pytest.param({}, FAR, 0, id="well"),
        pytest.param({"status": 503}, FAR, 200, id="down"),
        pytest.param({"status": 429}, FAR, 200, id="busy"),
        pytest.param({"delay": FOR_EVER}, 20.0, 200, id="slow", marks=pytest.mark.slow),
    ],
)
def test_of_200_requests_at_once_none_is_lost(
    shop: Shop, options: dict[str, Any], deadline: float, partial: int
) -> None:
    """Each is answered with a page, a partial one where a service is slow, down or busy.

    How long it takes is in the README. Here the deadline is one that a busy machine keeps,
    too; that no answer is later than it is what the load generator's report is for.
    """
    client = shop(recommendations=services.recommendations(**options), timeout=deadline)
    answers = asyncio.run(load.fire(str(client.base_url), "/users/1", 200, at_once=200))
    assert len(answers) == 200
    assert {answer.status for answer in answers} == {200}
    assert sum(answer.is_partial for answer in answers) == partial
    assert all("Hello, Ada" in answer.text for answer in answers)
    assert "200 requests: {200: 200}" in load.report(answers, deadline)


def test_an_unreachable_service_gives_502_that_names_the_job(shop: Shop) -> None:
    """A refused connection is told apart from a slow one, and from the other service."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # bound, but nobody listens
        response = shop(accounts_url=f"http://127.0.0.1:{deaf.getsockname()[1]}").get("/users/1")
    assert (response.status_code, response.text) == (502, "job 'user' failed: ConnectError")


def test_a_failure_does_not_wait_for_the_slow_service(shop: Shop) -> None:
    """The first failure cancels what still runs, so the answer is 502 and never 504."""
    client = shop(
        accounts=services.accounts(status=500),
        recommendations=services.recommendations(delay=FOR_EVER),
    )
    assert client.get("/users/1").status_code == 502


def test_an_unknown_user_gives_404(shop: Shop) -> None:
    """A job's own exception reaches the handler as the type that it is."""
    assert shop().get("/users/7").status_code == 404


def test_a_blocking_query_leaves_the_loop_free(
    shop: Shop, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While `orders` stands in SQLite, the same server answers others; then the page comes."""
    started, real = threading.Event(), database.orders

    def orders(ctx: Context, path: Path, user_id: int) -> list[database.Order]:
        started.set()
        return real(ctx, path, user_id)

    monkeypatch.setattr(database, "orders", orders)
    client = shop()
    with ThreadPoolExecutor(1) as threads:
        with locked(path):
            pending = threads.submit(client.get, "/users/1")
            assert started.wait(FAR)
            assert client.get("/health", timeout=FAR / 2).text == "ok"
            assert not pending.done()
        assert "tent" in pending.result().text


def test_a_locked_database_gives_504(shop: Shop, path: Path) -> None:
    """A blocking job that waits for a lock ends at the deadline too."""
    client = shop(timeout=0.5)
    with locked(path):
        response = client.get("/users/1")
    assert response.status_code == 504
    assert "orders" in response.text


def test_a_query_that_never_ends_ends_at_the_deadline(path: Path) -> None:
    """SQLite asks the context while it works, and the error is the deadline's."""
    counting = "SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000"
    endless = f"WITH RECURSIVE n(i) AS ({counting}) SELECT max(i) FROM n"
    with (
        Context(timeout=0.1) as ctx,
        pytest.raises(DeadlineExceeded),
        database.connect(ctx, path) as connection,
    ):
        connection.execute(endless).fetchone()


def test_a_database_without_the_table_is_no_deadline(tmp_path: Path) -> None:
    """An error of SQLite's own comes out as it is while the context is live."""
    with Context() as ctx, pytest.raises(sqlite3.OperationalError, match="no such table"):
        database.orders(ctx, tmp_path / "empty.sqlite", 1)


def test_a_job_can_be_called_without_a_manager() -> None:
    """A job is still a function, so one job is tested alone, with no server at all."""
    sources = page.Sources(httpx.AsyncClient(trust_env=False), "", "", Path())
    made = page.Page(sources, 1)
    made.set_user("Ada")
    with Context() as ctx:
        page.assemble(ctx, made, orders=[database.Order("tent", 1)], tips=["sleeping mat"])
    assert made.html == page.render("Ada", [database.Order("tent", 1)], ["sleeping mat"])


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process")
def test_one_command_starts_all_and_ctrl_c_ends_it() -> None:
    """The README's command serves a page, and the shell gets its prompt back."""
    program = subprocess.Popen(
        [sys.executable, "-m", "examples.storefront", "--port=0", f"--timeout={FAR}"],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with program:
        try:
            assert program.stderr is not None
            url = next(
                found[0]
                for line in program.stderr
                if (found := re.search(r"http://127\.0\.0\.1:\d+", line))
            )
            assert "Hello, Ada" in httpx.get(f"{url}/users/1", timeout=FAR, trust_env=False).text
            program.send_signal(signal.SIGINT)
            _, complaints = program.communicate(timeout=FAR)
        finally:
            program.kill()
    assert "Traceback" not in complaints
    assert program.returncode == 0
