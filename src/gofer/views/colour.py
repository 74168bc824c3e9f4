"""The waterfall in colours, for ``rich``: ``rich.print(run)``, and the command line."""

from __future__ import annotations

import re

from rich.text import Text

from gofer.views.text import waterfall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gofer._run import Run

_BAR = re.compile(r"\|([ .#=>]{20,})\|( .*)?$")
_SIGNS = {"#": "bold blue", "=": "cyan", ".": "dim", ">": "bold"}
_STATES = {
    "succeeded": "green",
    "fell back": "yellow",
    "failed": "red",
    "cancelled": "yellow",
    "skipped": "dim",
    "not started": "dim",
}


def coloured(run: Run, width: int, encoding: str) -> Text:
    """Return the text of ``waterfall`` with styles: the critical path in one accent colour."""
    whole = Text(no_wrap=True, overflow="ignore", end="")
    state = ""
    for i, line in enumerate(waterfall(run, width=width, encoding=encoding).splitlines()):
        text = Text(line)
        if i == 0:
            _style_words(text, run.state, "bold")
        elif (found := _BAR.search(line)) is not None:
            state = (found[2] or "").strip()
            _style_bar(text, found, state)
        elif line.startswith("    ") and state:
            text.stylize(_STATES.get(state, "dim"))
        whole.append_text(text if i == 0 else Text("\n").append_text(text))
    return whole


def _style_words(text: Text, state: str, style: str) -> None:
    at = text.plain.find(f": {state} ")
    text.stylize(style)
    if at >= 0:
        text.stylize(_STATES.get(state, ""), at + 2, at + 2 + len(state))


def _style_bar(text: Text, found: re.Match[str], state: str) -> None:
    for piece in re.finditer(r"#+|=+|\.+|>", found[1]):
        sign = piece[0][0]
        style = "red" if state == "failed" and sign != "." else _SIGNS[sign]
        start, (first, end) = found.span(1)[0], piece.span()
        text.stylize(style, start + first, start + end)
    if "#" in found[1]:
        text.stylize("bold blue", 0, 2)
    if state:
        text.stylize(_STATES.get(state, ""), *found.span(2))
