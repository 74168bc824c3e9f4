"""One manager on threads, on Dask and on Ray: `python examples/everywhere.py [folder]`.

It reads the Python files of a folder, by default those at the top of the standard library, in four
parts, and says what they import most. The jobs know nothing of where they run, and the result is
the same everywhere. An engine that is not installed is left out.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from gofer import Context, JobManager, backends, job
from gofer.errors import BackendError

PARTS = 4
IMPORT = re.compile(r"^\s*(?:from|import)\s+(\w+)", re.MULTILINE)


@job
def files(ctx: Context, folder: str) -> list[str]:
    """List the files."""
    return sorted(str(path) for path in Path(folder).glob("*.py") if path.is_file())


def counting(part: int) -> Callable[..., Counter[str]]:
    """Return what counts the imports in every fourth file."""

    def count(ctx: Context, *, files: list[str]) -> Counter[str]:
        found: Counter[str] = Counter()
        for path in files[part::PARTS]:
            ctx.check()
            found.update(imported(path))
        return found

    return count


def imported(path: str) -> list[str]:
    """Return the modules that a file imports, each as often as it does."""
    return IMPORT.findall(Path(path).read_text(encoding="utf-8", errors="replace"))


parts = [job(counting(part), name=f"part{part}") for part in range(PARTS)]


@job
def report(
    *, part0: Counter[str], part1: Counter[str], part2: Counter[str], part3: Counter[str]
) -> list[tuple[str, int]]:
    """Add up."""
    total = part0 + part1 + part2 + part3
    return sorted(total.items(), key=lambda each: (-each[1], each[0]))


manager = JobManager([files, *parts, report])


def main() -> int:
    """Run the jobs everywhere; return 1 where the result is another."""
    folder = sys.argv[1] if len(sys.argv) > 1 else sysconfig.get_path("stdlib")
    here = manager.execute(param=folder)
    print("imported most:", *[f"{name} {count}" for name, count in here["report"][:3]])
    differ = False
    for name in ("DaskBackend", "RayBackend"):
        try:
            backend = getattr(backends, name)()
        except BackendError as error:  # it says what to install
            print(error)
            continue
        with backend:
            there = manager.execute(param=folder, only=["report"], backend=backend)["report"]
        differ |= there != here["report"]
        print(f"{backend.name}: {'the same' if there == here['report'] else 'ANOTHER RESULT'}")
    return int(differ)


if __name__ == "__main__":
    sys.exit(main())
