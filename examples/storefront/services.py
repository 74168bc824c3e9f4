"""The two services that the storefront asks, each a tiny app that can be slow, flaky or busy."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_NAMES = {1: "Ada", 2: "Eve <eve@example.org>"}
_GOES_WITH = {"tent": "sleeping mat", "stove": "gas cartridge"}


def accounts(*, delay: float = 0.0, status: int = 200, every: int = 1) -> Starlette:
    """Make the service that knows the users' names.

    Args:
        delay: Seconds before each answer; it ends early when the caller hangs up.
        status: Anything but 200 makes answers an error of that status; a 429 says in its header
            `Retry-After` that the caller should come back in a second.
        every: Only each so-manyth answer is slow or an error, beginning with the first.
    """

    def answer(request: Request) -> Response:
        name = _NAMES.get(request.path_params["user_id"])
        return JSONResponse({"name": name}, 404 if name is None else 200)

    return _service("/accounts/{user_id:int}", answer, delay, status, every)


def recommendations(*, delay: float = 0.0, status: int = 200, every: int = 1) -> Starlette:
    """Make the service that knows what goes with a product; its arguments are as above."""

    def answer(request: Request) -> Response:
        bought = request.query_params.getlist("bought")
        return JSONResponse({"tips": [_GOES_WITH.get(each, "gift card") for each in bought]})

    return _service("/tips", answer, delay, status, every)


def _service(
    path: str, answer: Callable[[Request], Response], delay: float, status: int, every: int
) -> Starlette:
    numbers = count()

    async def endpoint(request: Request) -> Response:
        if next(numbers) % every:
            return answer(request)
        if delay:
            await _pause(request, delay)
        if status == 200:
            return answer(request)
        return JSONResponse({}, status, {"retry-after": "1"} if status == 429 else None)

    return Starlette(routes=[Route(path, endpoint)])


async def _pause(request: Request, delay: float) -> None:
    try:
        async with asyncio.timeout(delay):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        pass  # the caller is still there after the delay: it gets its answer


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an ASGI app from a thread for the time of a `with` block; gives its URL.

    Leaving the block stops the server, after it has answered all who wait, and ends the thread.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, ws="none", log_level="warning"))
    thread = threading.Thread(target=server.run, args=([listener],), name="uvicorn")
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start")
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
