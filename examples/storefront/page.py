"""The page's jobs: what each one asks, and of whom. Nothing here knows about a web framework."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import httpx

from gofer import Breaker, Context, Hedge, JobManager, Retry, job

from . import database


class UnknownUserError(LookupError):
    """The accounts service has no such user."""


@dataclass(frozen=True)
class Sources:
    """Where pages get their data from; made once for an app, shared by all its pages."""

    client: httpx.AsyncClient
    accounts_url: str
    recommendations_url: str
    database_path: Path


@dataclass
class Page:
    """One page in the making, the jobs' param. Each part is set by one job, so there is no lock."""

    sources: Sources
    user_id: int
    user: str = ""
    html: str = ""

    def set_user(self, user: str) -> None:
        """Say whom the page greets."""
        self.user = user

    def set_html(self, html: str) -> None:
        """Hand in the page itself."""
        self.html = html


def worth_a_retry(error: Exception) -> bool | float:
    """Say whether to ask a service again, or after how many seconds it wants to be asked."""
    if isinstance(error, httpx.HTTPStatusError):
        response = error.response
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            return float(response.headers.get("retry-after", 1))
        return response.is_server_error
    return isinstance(error, httpx.TransportError)


@job(limit="accounts", retry=Retry(attempts=3, on=worth_a_retry))
async def user(ctx: Context, page: Page) -> None:
    """Ask the accounts service for the user's name: async, so it runs on the event loop."""
    sources = page.sources
    response = await sources.client.get(f"{sources.accounts_url}/accounts/{page.user_id}")
    if response.status_code == httpx.codes.NOT_FOUND:
        raise UnknownUserError(page.user_id)
    page.set_user(response.raise_for_status().json()["name"])


@job(limit="db")
def orders(ctx: Context, page: Page) -> list[database.Order]:
    """Read the orders from SQLite: a plain function, so it runs in a thread."""
    return database.orders(ctx, page.sources.database_path, page.user_id)


@job(
    limit="recommendations",
    fallback=[],
    retry=Retry(attempts=2, on=worth_a_retry),
    hedge=Hedge("p98"),
)
async def tips(ctx: Context, page: Page, *, orders: list[database.Order]) -> list[str]:
    """Ask the recommendations service what goes with the orders, once they are known.

    A page without tips is a good page: they may be late, wrong or missing, and are asked for twice.
    """
    response = await page.sources.client.get(
        f"{page.sources.recommendations_url}/tips",
        params={"bought": [order.product for order in orders]},
    )
    found: list[str] = response.raise_for_status().json()["tips"]
    return found


@job(after=[user])
def assemble(ctx: Context, page: Page, *, orders: list[database.Order], tips: list[str]) -> None:
    """Write the HTML out of what the other jobs found."""
    page.set_html(render(page.user, orders, tips))


AT_ONCE = 4
"""How many requests a service gets at once: as many as the client keeps connections."""

LIMITS = {"db": 8, "accounts": AT_ONCE, "recommendations": AT_ONCE}

RESET_AFTER = 1.0
"""Seconds that the recommendations are left alone after ten failures in a row."""


def create_manager(timeout: float) -> JobManager:
    """Make the manager of an app, with what its pages share: a limit and a breaker.

    Args:
        timeout: Seconds that a page may take; the tips get most of it, so that a page without
            them is still in time.
    """
    breaker = Breaker(failures=10, reset_after=RESET_AFTER, on=httpx.HTTPError)
    shared = job(tips, timeout=0.6 * timeout, breaker=breaker)
    return JobManager([user, orders, shared, assemble], name="page", limits=LIMITS)


def render(user: str, orders: Sequence[database.Order], tips: Sequence[str]) -> str:
    """Return the page as HTML; whatever came from outside is escaped."""
    bought = [f"{order.pieces} x {order.product}" for order in orders]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Storefront</title>"
        f"<h1>Hello, {escape(user)}</h1>"
        f"<h2>Your orders</h2><ul>{_items(bought)}</ul>"
        f"<h2>You may like</h2><ul>{_items(tips)}</ul></html>"
    )


def _items(texts: Sequence[str]) -> str:
    return "".join(f"<li>{escape(text)}</li>" for text in texts)
