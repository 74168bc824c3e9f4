"""What a worker of Ray's does when it is told to stop at a bad moment; without Ray's processes."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray", reason="needs Ray: pip install 'gofer[ray]'")


class Gate:
    """A lock that is interrupted just when it has been taken."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.interrupted = False

    def acquire(self, timeout: float | None = None) -> bool:
        """Take it."""
        if timeout is None:
            return self.lock.acquire()
        taken = self.lock.acquire(timeout=timeout)
        if taken and not self.interrupted:
            self.interrupted = True
            raise KeyboardInterrupt
        return taken

    def release(self) -> None:
        """Give it back."""
        self.lock.release()


def test_a_cancelled_call_that_had_just_ended_kept_its_worker_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ray's interrupt came when the main thread had heard of the end; it waited once more."""
    from gofer.backends import _ray_worker

    gates: list[Gate] = []

    def make() -> Gate:
        gates.append(Gate())
        return gates[-1]

    stopped: list[int] = []
    site: Any = SimpleNamespace(standing=lambda: stopped.append(1))
    monkeypatch.setattr(_ray_worker, "threading", SimpleNamespace(Lock=make))
    assert _ray_worker._beside(site, False, lambda: None, lambda site, n: n + 1, 1) == 2
    assert len(stopped) == gates[0].interrupted == 1


def test_what_cannot_be_done_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread or on the loop; the worker is free again."""
    from gofer.backends import _ray_worker

    def broken(site: Any) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        _ray_worker._beside(SimpleNamespace(), False, lambda: None, broken)  # type: ignore[arg-type]
