"""A ``Context`` for each request of Starlette and FastAPI.

It has a deadline, from a setting or from a header, and is cancelled when the client hangs up, which
neither framework does to a handler by itself.

How a hang-up is heard. An ASGI server says it through ``receive``, the same channel that brings
the request's body, and whoever asks takes the next message from everybody else. So the body is
read first, as ``request.body()`` keeps it for the handler; after it, all that ``receive`` can bring
is the end of the connection, and one asyncio task waits for that. It would be tempting to ask
``request.is_disconnected()`` instead, but that loses what it takes of a body that nobody has read.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from gofer._context import Context
from gofer.errors import Cancelled, DeadlineExceeded

try:
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect, Request
except ImportError as error:
    raise ImportError("this needs Starlette: pip install 'gofer[starlette]'") from error

if TYPE_CHECKING:
    from datetime import timedelta

HUNG_UP = "the client hung up"
"""The cause of a context that was cancelled because its client is gone."""


@asynccontextmanager
async def request_context(
    request: Request,
    *,
    timeout: float | timedelta | None = None,  # noqa: ASYNC109  # it is the context's
    header: str | None = None,
    values: Mapping[Any, Any] | None = None,
) -> AsyncIterator[Context]:
    """Give a handler the context of its request, for the time of an ``async with`` block.

    The body is read into memory when the block is entered; ``request.body()``, ``json()`` and the
    like work as always. A handler that streams a large one does so before the block, to the end. A
    response that streams needs a block of its own, in what it streams: this one is over.

    What leaves the block because of this context is an answer, not a crash: its deadline is a 504
    (Gateway Timeout), a hang-up a 499 that nobody gets and that only the access log shows.

    Args:
        request: The request.
        timeout: Seconds (or a ``timedelta``) that the handler may take, from the beginning of the
            block; None means no limit.
        header: A header in which the client says how many seconds it will wait, such as
            ``"x-request-timeout"``. It can only shorten ``timeout``. None means that none counts.
        values: As in ``Context``.

    Raises:
        HTTPException: 400, the header is no number of seconds; 504 or 499, see above.

    Example:
        >>> async def show(request):
        ...     async with request_context(request, timeout=0.5) as ctx:
        ...         run = await manager.aexecute(ctx, request.path_params)
        ...     return JSONResponse(run.results)
    """
    patience = _patience(request, header)
    with Context(timeout, values=values) as outer, outer.child(patience) as ctx:
        try:
            await _read_body(request)
            watch = asyncio.create_task(_watch(request, ctx), name="gofer:hang-up")
            try:
                yield ctx
            finally:
                watch.cancel()
                await asyncio.wait([watch])
        except (Cancelled, DeadlineExceeded, ClientDisconnect) as error:
            answer = _answer(error, ctx)
            if answer is None:
                raise
            raise answer from error


def context_dependency(
    *,
    timeout: float | timedelta | None = None,
    header: str | None = None,
    values: Mapping[Any, Any] | None = None,
) -> Callable[[Request], AsyncIterator[Context]]:
    """Make a dependency for FastAPI: ``ctx: Annotated[Context, Depends(context_dependency())]``.

    Handlers may be ``async def`` or plain functions, which FastAPI runs in a thread. Arguments and
    errors are those of ``request_context``.
    """

    async def context(request: Request) -> AsyncIterator[Context]:
        async with request_context(request, timeout=timeout, header=header, values=values) as ctx:
            yield ctx

    return context


def _patience(request: Request, header: str | None) -> float | None:
    """Return the seconds that the client says it will wait, or None."""
    said = None if header is None else request.headers.get(header)
    if said is None:
        return None
    try:
        seconds = float(said)
    except ValueError:
        seconds = math.nan
    if math.isnan(seconds):
        raise HTTPException(400, f"the header {header} must be a number of seconds")
    return seconds


async def _read_body(request: Request) -> None:
    try:
        await request.body()
    except RuntimeError:  # somebody has read it to the end, as a form or a stream
        return


async def _watch(request: Request, ctx: Context) -> None:
    """Cancel a context when the client hangs up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    ctx.cancel(HUNG_UP)


def _answer(error: BaseException, ctx: Context) -> HTTPException | None:
    """Return what stands for an error that the request's own context made; None for others."""
    hung_up = isinstance(error, Cancelled) and ctx.cause is HUNG_UP
    if hung_up or isinstance(error, ClientDisconnect):
        return HTTPException(499, HUNG_UP)
    if isinstance(error, DeadlineExceeded) and isinstance(ctx.cause, DeadlineExceeded):
        return HTTPException(504, "the deadline has passed")
    return None
