"""A board where workers write news of jobs that take long, so that their run is seen live.

It is an actor, and starting one costs a process. So there is none until a run has gone on for a
second, and a job that ends soon is told of by its report alone.
"""

from __future__ import annotations

import asyncio

import ray

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_NAMESPACE = "gofer"


class _Board:
    def __init__(self) -> None:
        self._news: list[Any] = []
        self._written = asyncio.Event()

    async def write(self, run: str, messages: list[dict[str, Any]]) -> None:
        self._news += [(run, message) for message in messages]
        self._written.set()

    async def read(self) -> list[Any]:
        await self._written.wait()
        self._written.clear()
        news, self._news = self._news, []
        return news


class Reader:
    """Reads a board, in the caller's process, and tells the runs."""

    def __init__(self, name: str, runs: dict[str, Callable[[dict[str, Any]], object]]) -> None:
        """Make the board.

        Args:
            name: Its name, on the whole cluster.
            runs: Run -> what is called with each message; runs come and go.
        """
        self._runs = runs
        make = ray.remote(num_cpus=0)(_Board).options(name=name, namespace=_NAMESPACE)
        self._board = make.remote()
        self._read()

    def _read(self) -> None:
        self._board.read.remote().future().add_done_callback(self._came)

    def _came(self, future: Any) -> None:
        if future.exception() is not None:  # it is gone, and with it what is live
            return
        for run, message in future.result():
            tell = self._runs.get(run)
            if tell is not None:
                tell(message)
        self._read()


_boards: dict[str, Any] = {}  # on a worker


def write(name: str, run: str, messages: list[dict[str, Any]]) -> bool:
    """Write on a board; return whether there is one."""
    try:
        if name not in _boards:
            _boards[name] = ray.get_actor(name, namespace=_NAMESPACE)
        _boards[name].write.remote(run, messages)
    except Exception:
        return False
    return True
