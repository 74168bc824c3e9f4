"""Promise 13: Ctrl-C at the moment when the main thread is about to wait."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from .test_interrupt import Program, start  # noqa: F401 - a fixture

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a console's Ctrl-C cannot be sent")


def test_an_interrupt_just_before_a_wait_is_noticed_too(
    start: Callable[[str], Program],  # noqa: F811
) -> None:
    """Promise 13: CPython itself would notice it when the wait is over."""
    program = start("""
        import random

        def kill(delay):
            until = time.perf_counter() + delay
            while time.perf_counter() < until:
                pass
            os.kill(os.getpid(), signal.SIGINT)

        def one(ctx):
            threading.Thread(target=kill, args=(random.uniform(0, 0.0005),)).start()
            ctx.sleep(3600)

        def other(ctx):
            ctx.sleep(3600)

        def quick():
            pass

        for n in range(60):
            try:
                JobManager([quick, one, other] if n % 2 else [other, one]).execute()
            except KeyboardInterrupt:
                continue
            say(f"run {n} was not interrupted")
        say("all")
    """)
    program.waits_for("all")
