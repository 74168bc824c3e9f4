"""What `gofer check` prints: the jobs, what they need, their policies, what can run at once."""

from __future__ import annotations

from gofer.views.text import measure, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gofer import FunctionJob, JobManager

_MOST = 8  # names in one line
_WIDEST = 50  # columns of a cell


def table(manager: JobManager) -> str:
    """Return the table of a manager that is in order."""
    plan = manager._program().plan
    needs = [[plan.names[j] for j in each] for each in plan.needs]
    rows = [["job", "kind", "needs", "policies"]]
    for job, names in zip(manager.jobs, needs, strict=True):
        kind = "async" if job.is_async else "sync"
        rows.append([_cell(job.name), kind, _cell(_names(names)), _cell(_policies(job))])
    widths = [max(map(measure, column)) for column in zip(*rows, strict=True)]
    lines = [f"{printable(manager.name) or 'the manager'} is fine: {_count(plan.size, 'job')}"]
    for row in rows:
        cells = [
            cell + " " * (width - measure(cell)) for cell, width in zip(row, widths, strict=True)
        ]
        lines.append(f"  {'  '.join(cells)}".rstrip())
    layers = manager.layers()
    if not layers:
        return lines[0]
    lines.append("what can run at once, in turn:")
    lines += [f"  {i}. {printable(_names(layer))}" for i, layer in enumerate(layers, 1)]
    limit = manager._options["limit"]
    lines.append(f"at most {_count(limit or max(map(len, layers)), 'job')} at once")
    return "\n".join(lines)


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def _names(names: list[str]) -> str:
    more = f" and {len(names) - _MOST:,} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more


def _policies(job: FunctionJob[..., object, object]) -> str:
    said = [] if job.when is None else ["when"]
    if job.policy is not None:
        for name, value in job.policy.given.items():
            shown = value if name in ("timeout", "retry", "limit") else None
            plain = isinstance(shown, (int, float, str)) and not isinstance(shown, bool)
            said.append(f"{name}={shown}" if plain else name)
    return ", ".join(said)


def _cell(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."
