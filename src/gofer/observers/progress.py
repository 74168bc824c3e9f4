"""Live progress on a terminal: what runs, how much is done, and about how long it takes still.

A thread looks at the run some times a second and draws; the run itself is not told anything, so
it is as fast as without. Drawn is on standard error, if that is a terminal, and nothing is left
behind. With ``rich`` (``pip install 'gofer[rich]'``) there is a bar and a line for each running
job, else one line that is written over by carriage returns.
"""

from __future__ import annotations

import sys
import threading

from gofer import _parts
from gofer.views.facts import amount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TextIO

AFTER = 0.3
"""Seconds until something is drawn: what is over before flickers on nobody's screen."""

EVERY = 0.1
"""Seconds from one drawing to the next."""

MOST = 8
"""Running jobs that are named."""

_one = threading.Lock()  # one display at a time: two would draw over each other


class Progress:
    """How far a run, a group or a map is.

    Attributes:
        name: What it is called, or None.
        done: How many jobs have ended.
        total: How many there are, as far as one knows.
        growing: Whether more may come.
        failed: How many have failed.
        running: Name and seconds of each running job, the longest first.
        elapsed: Seconds since its start.
        latest: Seconds from its start to when a job was last seen to end.
    """

    def __init__(
        self,
        name: str | None,
        done: int,
        total: int,
        failed: int,
        running: list[tuple[str, float]],
        elapsed: float,
        *,
        growing: bool = False,
    ) -> None:
        self.name, self.done, self.total, self.failed = name, done, total, failed
        self.running = sorted(running, key=lambda each: -each[1])
        self.elapsed, self.growing = elapsed, growing
        self.latest = elapsed

    @property
    def left(self) -> float | None:
        """Seconds that it takes still if it goes on as so far; None where nobody can know.

        It is what was left at the last end of a job, less the time since then, so it falls while
        jobs run. Where those take longer than others did, nobody knows.
        """
        if self.growing or not self.done:
            return None
        left = self.latest / self.done * (self.total - self.done) - (self.elapsed - self.latest)
        return left if left > 0 else None

    @property
    def named(self) -> list[tuple[str, str]]:
        """Name and time of the jobs that run longest; a name is untrusted."""
        return [(name, amount(took)) for name, took in self.running[:MOST]]

    @property
    def more(self) -> int:
        """How many others run."""
        return max(0, len(self.running) - MOST)

    def sentence(self) -> str:
        """Return how far it is, in words; the name is still untrusted."""
        begin = f"{self.name}: " if self.name else ""
        so_far = " so far" if self.growing else ""
        parts = [f"{begin}{self.done:,}/{self.total:,} jobs{so_far}"]
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        parts.append(f"{len(self.running):,} running")
        if self.left is not None:
            parts.append(f"about {amount(self.left)} left")
        return ", ".join(parts)


class Display:
    """What draws while something goes on.

    Thread safety: ``close`` may be called from any thread, and more than once.
    """

    def __init__(self, look: Callable[[], Progress | None], stream: TextIO) -> None:
        self._look, self._stream = look, stream
        self._gate = threading.Lock()
        self._gate.acquire()
        self._thread = _parts.Thread(self._draw, name="gofer:progress")
        _parts.start_thread(self._thread)

    def _draw(self) -> None:
        painter = before = None
        try:
            try:
                while not _parts.wait(self._gate, AFTER if painter is None else EVERY):
                    progress = self._look()
                    if progress is None:
                        break
                    if before is not None and before.done == progress.done:
                        progress.latest = before.latest
                    before = progress
                    painter = painter or _painter(self._stream)
                    painter.paint(progress)
            finally:  # also of an error: rich has put something in the place of sys.stderr
                if painter is not None:
                    painter.clear()
        except Exception as error:  # the terminal is gone, perhaps
            _parts.report_unraisable(error, "the progress cannot be shown", self._stream)
        finally:
            _one.release()

    def close(self) -> None:
        """Stop drawing, and take away what was drawn."""
        try:
            self._gate.release()
        except RuntimeError:  # it has been closed before
            return
        self._thread.join()


def watch(execution: Any) -> None:
    """Show a run or a group until it ends; do nothing where that could not be seen.

    It could not on what is no terminal, and while another display is at work.
    """
    stream = sys.stderr
    if stream is None or not stream.isatty() or not _one.acquire(blocking=False):
        return

    def look() -> Progress | None:  # a second Ctrl-C: nobody waits for the end
        return None if execution.hurried else execution.progress()

    try:
        execution.display = Display(look, stream)
    except BaseException as error:
        _one.release()
        if not isinstance(error, RuntimeError):  # no thread to be had: the run does without
            raise


def _painter(stream: TextIO) -> Any:
    """Return what draws; made when there is something to draw, as ``rich`` is slow to load."""
    try:
        from gofer.observers._rich import Rich
    except ImportError:
        from gofer.observers._plain import Plain

        return Plain(stream)
    return Rich(stream)
