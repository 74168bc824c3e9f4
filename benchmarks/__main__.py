"""`python -m benchmarks`: take all figures, print one table, keep the results.

`--quick` takes only the cases, in less than a minute, and writes nothing. `--only graphs` takes one
part, and writes nothing either.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable

from benchmarks import blocking, graphs, groups, imports, loops, processes, replay, report, scale
from benchmarks.measure import Case, Row, measured, say

CASES: dict[str, Callable[[], list[Case]]] = {
    "blocking": blocking.cases,
    "loops": loops.cases,
    "graphs": graphs.cases,
    "groups": groups.cases,
    "processes": processes.cases,
}
PARTS: dict[str, Callable[[], Iterable[Row | str]]] = {
    "imports": imports.rows,
    "replay": replay.rows,
    "scale": scale.rows,
}


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the cases only, in short rounds")
    parser.add_argument("--only", choices=[*CASES, *PARTS], help="one part only")
    parser.add_argument("--rounds", type=int, help="how often each side is measured")
    options = parser.parse_args()

    facts = report.machine()
    if facts["load_before"] > report.BUSY:
        say(f"The load is {facts['load_before']}: something else is running, so these figures are")
        say("provisional.")
    report.show_head()
    wanted = [name for name in CASES if options.only in (None, name)]
    cases = [case for name in wanted for case in CASES[name]() if case.quick or not options.quick]
    rounds = options.rounds or (7 if options.quick else 11)
    least = 0.01 if options.quick else 0.05
    sections = {
        "cases": _shown(row for case in cases for row in measured(case, rounds=rounds, least=least))
    }
    for name, rows in PARTS.items():
        if options.only == name or (options.only is None and not options.quick):
            sections[name] = _together(rows()) if name == "replay" else _shown(rows())
    _summary([row for rows in sections.values() for row in rows if isinstance(row, Row)])
    if not options.quick and options.only is None:
        report.write(facts, sections)


def _shown(rows: Iterable[Row | str]) -> list[Row | str]:
    """Print rows as they come."""
    kept = []
    for row in rows:
        report.show(row)
        kept.append(row)
    return kept


def _together(rows: Iterable[Row | str]) -> list[Row | str]:
    """Print what the real graphs are together; each one alone is in the results."""
    kept = list(rows)
    _shown(row for row in kept if isinstance(row, str))
    _shown(replay.together(row for row in kept if isinstance(row, Row)))
    return kept


def _summary(rows: list[Row]) -> None:
    missed = [row for row in rows if row.missed]
    aimed = sum(row.target is not None for row in rows)
    say()
    say(f"{aimed - len(missed)} of {aimed} targets reached; missed:" if missed else "All reached.")
    for row in missed:
        say(f"  {row.what} | {row.against}: {row.ratio:.3f}, target {row.target:.3f}")


if __name__ == "__main__":
    main()
