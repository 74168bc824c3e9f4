"""A graph of jobs as text for other programs to draw: Mermaid and Graphviz's DOT.

Names come from outside, so in Mermaid all but plain letters, digits and a few harmless signs are
written as character codes, and boxes bear numbers instead of names.
"""

from __future__ import annotations

from string import ascii_letters, digits

from gofer.views.fold import drawable
from gofer.views.text import Pen, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gofer._core.plan import Plan

MOST_NEEDS = 500
"""Mermaid refuses to draw more lines unless it is configured otherwise.

Source: ``maxEdges`` in Mermaid's configuration; ``maxTextSize``, 50,000 characters, is far.
"""

_LONGEST = 40  # columns of a label
_HARMLESS = frozenset(f"{ascii_letters}{digits} .,_-*")


def mermaid(plan: Plan) -> str:
    """Return a Mermaid flowchart, left to right; large graphs are simplified, and say so.

    Args:
        plan: The compiled graph.

    Returns:
        Lines, each with a newline at the end.
    """
    graph = drawable(plan, MOST_NEEDS)
    pen = Pen("utf-8")
    lines = ["---", f"title: {graph.caption}", "---"] if graph.caption else []
    lines.append("flowchart LR")
    for b, label in enumerate(graph.labels):
        lines.append(f'    j{b}["{_coded(pen.clip(label, _LONGEST))}"]')
    for b, needs in enumerate(graph.needs):
        lines += [f"    j{a} --> j{b}" for a in needs]
    return "\n".join([*lines, ""])


def _coded(text: str) -> str:
    """Return a text with nothing in it that Mermaid, or the HTML it makes, could understand.

    A ``#`` and a number is Mermaid's way to write a character. Directives in double percent signs
    count for it wherever they stand, in quotation marks too.
    """
    return "".join([c if c in _HARMLESS else f"#{ord(c)};" for c in text])


def dot(plan: Plan, name: str = "") -> str:
    """Return the graph in Graphviz's language: every job and every need, whatever the size.

    Args:
        plan: The compiled graph.
        name: What the whole is called.

    Returns:
        Lines, each with a newline at the end.
    """
    lines = [f"digraph {_quoted(name or 'jobs')} {{", "    rankdir=LR;", "    node [shape=box];"]
    lines += [f"    j{i} [label={_quoted(each)}];" for i, each in enumerate(plan.names)]
    for i, needs in enumerate(plan.needs):
        lines += [f"    j{j} -> j{i};" for j in needs]
    return "\n".join([*lines, "}", ""])


def _quoted(text: str) -> str:
    r"""Return a string of DOT. Labels know ``\n`` and ``&lt;``, so both signs are written out."""
    text = printable(text).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
