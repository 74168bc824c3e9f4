"""Django under ASGI, in a process of its own: its settings are one set for the process."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

import pytest

pytest.importorskip("django", reason="pip install django")

SITE = """
    import asyncio

    import django
    from django.conf import settings

    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="not a secret")
    django.setup()

    from django.core.asgi import get_asgi_application
    from django.urls import path

    from gofer import JobManager, job

    started = asyncio.Event()

    @job
    async def endless(ctx):
        started.set()
        await asyncio.Event().wait()

    @job
    def deaf_but_for_its_context(ctx):
        ctx.sleep(3600)

    async def view(request):
        await JobManager([endless, deaf_but_for_its_context]).aexecute(check=False)

    async def hang_up():
        messages = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive():
            if messages:
                return messages.pop()
            await started.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            print(message)

        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
        await get_asgi_application()(scope, receive, send)

    urlpatterns = [path("", view)]
    asyncio.run(hang_up())
    print("over")
"""


def test_a_client_that_hangs_up_cancels_an_async_view_and_its_jobs() -> None:
    """Django cancels the view; jobs that would never end end, and nothing is sent."""
    ran = subprocess.run(
        [sys.executable, "-c", dedent(SITE)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert (ran.returncode, ran.stdout) == (0, "over\n"), ran.stdout + ran.stderr
