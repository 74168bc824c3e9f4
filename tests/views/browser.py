"""A real, headless Chromium for the tests of pages; they skip where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ARGUMENTS = [
    "--no-sandbox",  # CI is root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the browser, once for the tests of a file."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip("no playwright; pip install 'gofer[browser]' to have this checked")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no Chromium; install it (apt-get install chromium) to have this checked")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield started
        started.close()


class Watched:
    """A page, what it asked for, and what it complained about.

    Attributes:
        page: The page.
        requests: The addresses of all requests.
        complaints: Errors of scripts, and all that was written to the console.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all elements that match, in order."""
        return self.page.locator(selector).all_text_contents()

    def focused(self) -> str:
        """Return the text of what has the focus."""
        text: str = self.page.evaluate("document.activeElement.textContent")
        return text


@contextmanager
def watching(browser: Browser, path: Path | None = None, **options: Any) -> Iterator[Watched]:
    """Open a file in a fresh context, and close it."""
    context = browser.new_context(**options)
    try:
        watched = Watched(context.new_page())
        if path is not None:
            watched.page.goto(path.as_uri())
        yield watched
    finally:
        context.close()
