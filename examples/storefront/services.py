"""The two services that the storefront asks, each a tiny app that can be slow, flaky or busy.

`python -m examples.storefront.services accounts` serves one until its standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import subprocess
import sys
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
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    # Else each answer on a connection that is kept waits 40 ms, for Nagle's algorithm and a delayed
    # ACK: asyncio sees to that only where a socket was made with its protocol.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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


SERVICES = {"accounts": accounts, "recommendations": recommendations}


@contextmanager
def serving_apart(name: str, **options: float) -> Iterator[str]:
    """Serve one of the services from a process of its own; the rest is as in `serving`.

    Ctrl-C does not reach it: it ends with the block, or with the process that started it.

    Args:
        name: Which one.
        options: What it is made with.
    """
    command = [sys.executable, "-m", f"{__package__}.services", name]
    command += [f"--{key}={value}" for key, value in options.items()]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError(f"the service {name!r} did not start")
            yield url
        finally:
            process.stdin.close()


def main() -> None:
    """Serve one, say where, and go on until nobody holds the other end of the standard input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=SERVICES)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--status", type=int, default=200)
    parser.add_argument("--every", type=int, default=1)
    args = parser.parse_args()
    app = SERVICES[args.name](delay=args.delay, status=args.status, every=args.every)
    with serving(app) as url:
        print(url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
