"""The storefront's web app: a request in, a run of the page's manager, an answer out."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypedDict

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from gofer import Context, DeadlineExceeded, Run

from .page import AT_ONCE, Page, Sources, UnknownUserError, create_manager

log = logging.getLogger("storefront")


class _State(TypedDict):
    sources: Sources


def create_app(
    *, accounts_url: str, recommendations_url: str, database_path: Path, timeout: float = 0.5
) -> Starlette:
    """Make the app.

    Args:
        accounts_url: Where the accounts service listens, without a slash at the end.
        recommendations_url: The same of the recommendations service.
        database_path: The SQLite file, as `database.create` makes it.
        timeout: Seconds that one page may take.
    """
    manager = create_manager(timeout)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[_State]:
        # One client for the app, so that connections are reused from page to page. It has no
        # timeouts of its own: the page's deadline is the only one. No proxy: all is local.
        # Its pool looks at every connection for every request, which is dear where there are many.
        # So the jobs have limits, and what waits for its turn waits there.
        kept = httpx.Limits(max_connections=None, max_keepalive_connections=2 * AT_ONCE)
        async with httpx.AsyncClient(timeout=None, trust_env=False, limits=kept) as client:
            yield {"sources": Sources(client, accounts_url, recommendations_url, database_path)}

    async def show(request: Request) -> Response:
        page = Page(request.state.sources, request.path_params["user_id"])
        with Context(timeout=timeout) as ctx:
            run = await manager.aexecute(ctx, page, check=False)
        try:
            run.check()  # each job's own error: `except` works as in plain code
        except DeadlineExceeded:
            log.warning("a page missed its deadline\n%s", run)  # a waterfall: what took so long
            text = f"the deadline of {timeout} s has passed; unfinished: {_unfinished(run)}"
            return PlainTextResponse(text, 504)
        except UnknownUserError:
            return PlainTextResponse("there is no such user", 404)
        except httpx.HTTPError as error:
            text = f"job '{_failed(run, error)}' failed: {type(error).__name__}"
            return PlainTextResponse(text, 502)
        return HTMLResponse(page.html)

    async def health(request: Request) -> Response:
        return PlainTextResponse("ok")

    routes = [Route("/users/{user_id:int}", show), Route("/health", health)]
    return Starlette(routes=routes, lifespan=lifespan)


def _unfinished(run: Run) -> str:
    return ", ".join(record.name for record in run.records if record.state != "succeeded")


def _failed(run: Run, error: Exception) -> str:
    return next(record.name for record in run.records if record.error is error)
