"""A request's context: real servers, and clients that hang up.

What a request waits for never comes, so no deadline is too short, and a hang-up is never too late.
"""

from __future__ import annotations

import asyncio
import queue
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("starlette", reason="pip install 'gofer[starlette]'")
pytest.importorskip("uvicorn", reason="pip install uvicorn")
pytest.importorskip("httpx", reason="pip install httpx")

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gofer import Cancelled, Context, JobManager, Observer, Run, job
from gofer.contrib.starlette import HUNG_UP, context_dependency, request_context

pytestmark = pytest.mark.filterwarnings("error")
FAR = 60.0


class Heard(Observer):
    """Puts what happens into queues, for the test's thread."""

    def __init__(self) -> None:
        self.started: queue.Queue[str] = queue.Queue()
        self.runs: queue.Queue[Run] = queue.Queue()

    def job_started(self, run: Run, name: str) -> None:
        self.started.put(name)

    def run_ended(self, run: Run) -> None:
        self.runs.put(run)


def endless(heard: Heard) -> JobManager:
    """Make a manager whose jobs, one of each kind, end only when they are cancelled."""

    @job
    async def on_the_loop() -> None:
        await asyncio.Event().wait()

    @job
    def in_a_thread(ctx: Context) -> None:
        ctx.sleep(3600)

    return JobManager([on_the_loop, in_a_thread], observers=[heard])


@contextmanager
def serving(app: Any) -> Iterator[int]:
    """Serve an app from a thread; gives the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, ws="none", log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listener],), name="uvicorn")
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextmanager
def client(app: Any) -> Iterator[Any]:
    """Serve an app; gives a client for it."""
    with (
        serving(app) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=FAR, trust_env=False) as made,
    ):
        yield made


def starlette_app(manager: JobManager, *, middleware: bool = False, **options: Any) -> Starlette:
    """Make an app with one handler, which runs the manager."""

    async def show(request: Request) -> Response:
        async with request_context(request, **options) as ctx:
            await manager.aexecute(ctx)
        return JSONResponse("done")

    async def pass_on(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    between = [Middleware(BaseHTTPMiddleware, dispatch=pass_on)] if middleware else []
    return Starlette(routes=[Route("/", show, methods=["GET", "POST"])], middleware=between)


def fastapi_app(manager: JobManager, *, plain: bool = False, **options: Any) -> Any:
    """Make the same with FastAPI."""
    fastapi = pytest.importorskip("fastapi", reason="pip install fastapi")
    app = fastapi.FastAPI()
    given = fastapi.Depends(context_dependency(**options))

    def show_in_a_thread(ctx: Context = given) -> str:
        manager.execute(ctx)
        return "done"

    async def show(ctx: Context = given) -> str:
        await manager.aexecute(ctx)
        return "done"

    app.api_route("/", methods=["GET", "POST"])(show_in_a_thread if plain else show)
    return app


KINDS = {
    "starlette": starlette_app,
    "starlette behind a middleware": lambda *a, **k: starlette_app(*a, middleware=True, **k),
    "fastapi": fastapi_app,
    "fastapi in a thread": lambda *a, **k: fastapi_app(*a, plain=True, **k),
}
GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\nhello"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("request_", [GET, POST], ids=["get", "post"])
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_client_that_hangs_up_cancels_the_jobs(
    kind: str, request_: bytes, reset: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Both kinds of jobs end as cancelled, the cause says why, and nobody logs a crash."""
    heard = Heard()
    with serving(KINDS[kind](endless(heard))) as port:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(request_)
        assert {heard.started.get(timeout=FAR) for _ in range(2)} == {"on_the_loop", "in_a_thread"}
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        run = heard.runs.get(timeout=FAR)

    assert {record.state for record in run.records} == {"cancelled"}
    assert isinstance(run.error, Cancelled)
    assert run.error.cause == HUNG_UP
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == []


def test_a_client_that_hangs_up_within_its_body_starts_nothing() -> None:
    """The block is never entered, and the server goes on."""
    heard = Heard()
    answered: queue.Queue[int] = queue.Queue()
    inner = starlette_app(endless(heard))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def note(message: Any) -> None:
            if message["type"] == "http.response.start":
                answered.put(message["status"])
            await send(message)

        await inner(scope, receive, note)

    with serving(app) as port:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(POST[:-1])
        connection.close()
        assert answered.get(timeout=FAR) == 499
    assert heard.runs.empty()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("options", "headers"),
    [
        ({"timeout": 0.05}, {}),
        ({"timeout": 0.05, "header": "x-request-timeout"}, {"x-request-timeout": "3600"}),
        ({"timeout": 3600, "header": "x-request-timeout"}, {"x-request-timeout": "0.05"}),
        ({"header": "x-request-timeout"}, {"x-request-timeout": "-1"}),
    ],
)
def test_the_earlier_of_both_deadlines_is_a_504(
    kind: str, options: dict[str, Any], headers: dict[str, str]
) -> None:
    """The setting counts, and a header may shorten it, not prolong it."""
    heard = Heard()
    with client(KINDS[kind](endless(heard), **options)) as asking:
        answer = asking.get("/", headers=headers)

    assert (answer.status_code, "deadline" in answer.text) == (504, True)
    assert heard.runs.get(timeout=FAR).state == "cancelled"


@pytest.mark.parametrize("said", ["soon", "nan", ""])
def test_a_header_that_is_no_number_is_a_400(said: str) -> None:
    """The client is told which header it is, and nothing runs."""
    heard = Heard()
    with client(starlette_app(endless(heard), header="x-request-timeout")) as asking:
        answer = asking.get("/", headers={"x-request-timeout": said})

    assert answer.status_code == 400
    assert "x-request-timeout" in answer.text
    assert heard.runs.empty()


def test_a_request_without_that_header_has_no_deadline_of_its_own() -> None:
    """Neither the setting nor the header is needed; values are the context's."""

    async def show(request: Request) -> Response:
        async with request_context(request, header="x-wait", values={"user": 7}) as ctx:
            return JSONResponse([ctx.deadline, ctx.value("user")])

    with client(Starlette(routes=[Route("/", show)])) as asking:
        assert asking.get("/").json() == [None, 7]


def test_the_handler_still_has_the_body() -> None:
    """It may be read inside the block, or streamed before it; large ones are whole."""
    large = "x" * 1_000_000

    async def inside(request: Request) -> Response:
        async with request_context(request) as ctx:
            return JSONResponse([len(await request.json()), ctx.cancelled])

    async def before(request: Request) -> Response:
        size = sum([len(chunk) async for chunk in request.stream()])
        async with request_context(request) as ctx:
            return JSONResponse([size, ctx.cancelled])

    routes = [Route("/inside", inside, methods=["POST"]), Route("/", before, methods=["POST"])]
    with client(Starlette(routes=routes)) as asking:
        assert asking.post("/inside", json=large).json() == [1_000_000, False]
        assert asking.post("/", content=large).json() == [1_000_000, False]


@pytest.mark.parametrize("error", [Cancelled("enough"), TimeoutError("of a client")])
def test_what_is_not_of_the_request_s_context_stays_what_it_is(error: BaseException) -> None:
    """Another cancellation is no hang-up, and another timeout is not the deadline."""

    async def receive() -> dict[str, Any]:
        return await asyncio.Future() if asked else asked.append(1) or {"type": "http.request"}

    asked: list[int] = []

    async def handle() -> None:
        request = Request({"type": "http", "headers": []}, receive)
        with pytest.raises(type(error)) as caught:
            async with request_context(request):
                raise error
        assert caught.value is error
        assert asyncio.all_tasks() == {asyncio.current_task()}  # none that still waits

    asyncio.run(handle())


def test_without_starlette_the_error_says_what_to_install() -> None:
    """The line to type stands in the message."""
    code = "import sys; sys.modules['starlette'] = None; import gofer.contrib.starlette"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )

    assert ran.returncode == 1
    assert "ImportError: this needs Starlette: pip install 'gofer[starlette]'" in ran.stderr


def test_a_streaming_response_of_fastapi_keeps_its_context(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A dependency ends after the response, so a hang-up in the middle of it cancels the jobs."""
    fastapi = pytest.importorskip("fastapi", reason="pip install fastapi")
    app, heard = fastapi.FastAPI(), Heard()
    given = fastapi.Depends(context_dependency())

    @app.get("/")
    async def show(ctx: Context = given) -> Any:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"first"
            await endless(heard).aexecute(ctx)

        return StreamingResponse(pieces())

    with serving(app) as port:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(GET)
        assert {heard.started.get(timeout=FAR) for _ in range(2)} == {"on_the_loop", "in_a_thread"}
        connection.close()
        run = heard.runs.get(timeout=FAR)

    assert {record.state for record in run.records} == {"cancelled"}
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == []
