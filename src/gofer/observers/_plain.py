"""Live progress without ``rich``: one line."""

from __future__ import annotations

import os

from gofer.views.text import Pen, measure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from gofer.observers.progress import Progress


_UNKNOWN = 80  # columns of a terminal that does not say how many it has


class Plain:
    """Draws one line, with nothing but carriage returns and spaces."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._pen = Pen(getattr(stream, "encoding", None) or "utf-8")
        self._drawn = 0

    def paint(self, progress: Progress) -> None:
        """Draw over what was drawn before."""
        names = [f"{name} {took}" for name, took in progress.named]
        text = progress.sentence() + (": " + ", ".join(names) if names else "")
        more = f" and {progress.more:,} more" if progress.more else ""
        text = self._pen.clip(text + more, self._columns() - 1)
        self._write(text)
        self._drawn = measure(text)

    def clear(self) -> None:
        """Take it away."""
        if self._drawn:
            self._write("")

    def _write(self, text: str) -> None:
        # The cursor stays at the start, so that whatever a job prints begins there.
        rest = " " * (self._drawn - measure(text))
        self._stream.write(f"\r{text}{rest}\r")
        self._stream.flush()

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or _UNKNOWN
        except OSError:
            return _UNKNOWN
