"""Live progress with ``rich``: a bar, and a line for each running job."""

from __future__ import annotations

import sys
from contextlib import ExitStack

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gofer.views.text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

    from gofer.observers.progress import Progress


class Rich:
    """Draws with ``rich``, which knows terminals, and what NO_COLOR asks for."""

    def __init__(self, stream: TextIO) -> None:
        self._drawing = ExitStack()
        self._live = Live(
            console=Console(file=stream),
            auto_refresh=False,
            transient=True,
            # What jobs print goes above the display; but never to another place than before.
            redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
        )

    def paint(self, progress: Progress) -> None:
        """Draw over what was drawn before."""
        if not self._live.is_started:
            self._drawing.enter_context(self._live)
        self._live.update(_picture(progress), refresh=True)

    def clear(self) -> None:
        """Take it away."""
        self._drawing.close()


def _picture(progress: Progress) -> Any:
    top = Table.grid(padding=(0, 1))
    style = "red" if progress.failed else "bold"
    total = None if progress.growing else progress.total
    bar = ProgressBar(total=total, completed=progress.done, width=24)
    top.add_row(bar, _line(progress.sentence(), style))
    running = Table.grid(padding=(0, 2))
    for name, took in progress.named:
        running.add_row(_line(f"  {name}", "cyan"), _line(took, "dim"))
    rest = [_line(f"  and {progress.more:,} more", "dim")] if progress.more else []
    return Group(top, running, *rest)


def _line(text: str, style: str) -> Text:
    """Return text from outside: never markup, never a control character, on one line."""
    return Text(printable(text), style, no_wrap=True, overflow="ellipsis")
