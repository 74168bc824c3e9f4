"""What a worker of Ray's does when it is told to stop at a bad moment; without Ray's processes."""

from __future__ import annotations

import gc
import signal
import threading
import time
import weakref
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray", reason="needs Ray: pip install 'gofer[ray]'")


@pytest.mark.parametrize("waits", [False, True])
def test_a_call_that_was_cancelled_as_it_began_went_on_unheard_of(waits: bool) -> None:
    """Ray's interrupt came while the main thread was busy starting it, and ended the call alone."""
    from gofer.backends import _ray_worker

    stopped = threading.Event()
    site: Any = SimpleNamespace(standing=stopped.set)

    def do(site: Any) -> str:
        signal.raise_signal(signal.SIGINT)
        assert stopped.wait(60)
        return "well"

    async def ado(site: Any) -> str:
        return do(site)

    assert _ray_worker._beside(site, waits, lambda: None, ado if waits else do) == "well"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    for loop in _ray_worker._loops:
        loop.call_soon_threadsafe(loop.stop)
        while loop.is_running():
            time.sleep(0.001)
        loop.close()
    _ray_worker._loops.clear()


def test_what_cannot_be_done_is_raised() -> None:
    """The worker is free again."""
    from gofer.backends import _ray_worker

    def broken(site: Any) -> None:
        raise RuntimeError("broken")

    site: Any = SimpleNamespace()
    with pytest.raises(RuntimeError, match="broken"):
        _ray_worker._beside(site, False, lambda: None, broken)


def test_a_worker_was_not_ended_as_it_owned_results_of_a_run_inside_a_job() -> None:
    """They are garbage in circles, and Ray ends no worker that owns any object."""
    from gofer.backends import _ray_inside

    class Result:
        pass

    result = Result()
    result.run = result  # type: ignore[attr-defined]
    seen = weakref.ref(result)
    gc.disable()
    try:
        del result
        assert seen() is not None
        _ray_inside.leave()
        assert seen() is None
    finally:
        gc.enable()
