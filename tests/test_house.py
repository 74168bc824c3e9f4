"""The facts of the house that need no linter: imports, who touches the world, the files."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "gofer"
PARTS = SOURCE / "_parts.py"
MODULES = sorted(SOURCE.rglob("*.py"))

HEAVY = {
    "asyncio",
    "concurrent.futures",
    "dask",
    "dataclasses",
    "inspect",
    "logging",
    "multiprocessing",
    "rich",
}

WORLD = (
    # clocks
    "time.*",
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "os.times",
    # randomness
    "random.*",
    "secrets.*",
    "uuid.*",
    "os.getrandom",
    "os.urandom",
    # threads and processes
    "_thread.start_*",
    "asyncio.create_subprocess_*",
    "asyncio.to_thread",
    "concurrent.futures.*PoolExecutor",
    "multiprocessing.Pool",
    "multiprocessing.pool.*",
    "os.fork*",
    "os.popen",
    "os.posix_spawn*",
    "os.spawn*",
    "os.system",
    "subprocess.*",
    # a part that is imported by its name cannot be replaced any more
    "gofer._parts.*",
)
"""What only ``_parts`` may touch; anything else in those modules is free (``threading.Lock``)."""

WORLD_METHODS = {"run_in_executor", "start", "time"}
"""Methods that nobody else may call, on any object: ``thread.start()``, ``loop.time()``."""

LONG = {
    "src/gofer/errors.py": "every error that there is, so that one look finds it",
    "examples/environment.py": "one file, so that it can be copied into what it is to judge",
}
"""Files that may have more than ``MOST_LINES``, and why."""

MOST_LINES = 400

LOCK_FILES = (
    "*.lock",
    "*.lockb",
    "npm-shrinkwrap.json",
    "package-lock.json",
    "pnpm-lock.yaml",
    "pylock*.toml",
)

HOSTS = tuple(
    f"{name}.{end}"
    for name, end in [
        ("crates", "io"),
        ("npmjs", "com"),
        ("npmjs", "org"),
        ("pypi", "org"),
        ("pypi.python", "org"),
        ("pythonhosted", "org"),
        ("yarnpkg", "com"),
        ("anaconda", "org"),
        ("deb.debian", "org"),
        ("proxy.golang", "org"),
    ]
)
"""Put together here, so that this file does not name them either."""


def touches_of_the_world(source: str) -> Iterator[tuple[int, str]]:
    """Find where a module reads a clock, draws a number, or starts a thread or a process.

    It sees what is imported and what is called by a plain name, not what is hidden on purpose.
    """
    tree = ast.parse(source)
    known = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                known[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                if _is_world(f"{node.module}.{alias.name}"):
                    yield node.lineno, f"from {node.module} import {alias.name}"
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        name = ast.unparse(node)
        start, _, rest = name.partition(".")
        full = f"{known[start]}.{rest}" if start in known else ""
        if full.startswith("gofer._parts."):
            continue  # asking the part for it is the right way
        if _is_world(full) or (node.attr in WORLD_METHODS and node in called):
            yield node.lineno, name


def _is_world(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in WORLD)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_the_parts_read_clocks_draw_numbers_and_start_threads(path: Path) -> None:
    """Clock, chance and the starting of threads stand in one place, so runs can be simulated."""
    touches = list(touches_of_the_world(path.read_text(encoding="utf-8")))
    if path == PARTS:
        assert touches  # the search finds what is there
    else:
        assert not touches, f"{path} has its own; it belongs in {PARTS}"


@pytest.mark.parametrize(
    "line",
    [
        "import time; time.time()",
        "import time as t; at = t.monotonic",
        "from time import perf_counter",
        "import datetime; datetime.datetime.now()",
        "from datetime import datetime; datetime.utcnow()",
        "asyncio.get_running_loop().time()",
        "import random; random.random()",
        "from random import Random",
        "import os; os.urandom(8)",
        "import threading; threading.Thread(target=print).start()",
        "import _thread; _thread.start_new_thread(print, ())",
        "def f(thread): thread.start()",
        "import os; os.fork()",
        "import subprocess; subprocess.run([])",
        "from concurrent.futures import ThreadPoolExecutor",
        "import concurrent.futures; concurrent.futures.ProcessPoolExecutor()",
        "import asyncio; asyncio.to_thread(print)",
        "loop.run_in_executor(None, print)",
        "from gofer._parts import clock",
    ],
)
def test_the_search_finds_every_way_to_touch_the_world(line: str) -> None:
    """A rule that finds nothing must not be one that cannot find anything."""
    assert len(list(touches_of_the_world(line))) == 1


def test_the_search_lets_through_what_the_house_is_built_of() -> None:
    """Locks, the parts themselves and waits with a timeout are free."""
    source = dedent(
        """
        import os, threading
        from datetime import timedelta
        from gofer import _parts
        gate = threading.Lock()
        gate.acquire(timeout=1)
        now = _parts.clock()
        _parts.start_thread(threading.Thread(target=print))
        threading.current_thread().name
        record.start
        os.register_at_fork()
        timedelta(seconds=1)
        """
    )
    assert list(touches_of_the_world(source)) == []


def test_importing_gofer_loads_nothing_heavy() -> None:
    """`import gofer` in a fresh interpreter loads neither asyncio nor anything else so slow."""
    code = (
        f"import sys; sys.path.insert(0, {str(SOURCE.parent)!r}); before = list(sys.modules)\n"
        "import gofer; import json; print(json.dumps([before, list(sys.modules)]))"
    )
    # -S: what site-packages load at start (coverage does) would hide what gofer loads.
    command = [sys.executable, "-I", "-S", "-c", code]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    before, after = map(set, json.loads(ran.stdout))
    assert "gofer" in after
    assert not before & HEAVY
    assert not after & HEAVY


@cache
def files() -> tuple[Path, ...]:
    """Return every file of the repository: what git has, or would take."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so which files belong to it is not known")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    ran = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
    names = sorted(set(ran.stdout.split("\0")) - {""})
    return tuple(path for path in (ROOT / name for name in names) if path.is_file())


def test_no_file_is_a_lock_file() -> None:
    """A library leaves versions to its users, and a lock file names the host it was made with."""
    assert [f for f in files() if any(fnmatch(f.name, pattern) for pattern in LOCK_FILES)] == []


def test_no_file_names_the_host_of_a_registry() -> None:
    """Where packages come from is the business of each machine."""
    named = {
        str(path.relative_to(ROOT)): host
        for path in files()
        for text in [path.read_bytes().lower()]
        for host in HOSTS
        if host.encode() in text
    }
    assert named == {}


def test_no_file_of_python_is_too_long() -> None:
    """A file is one room; one that has grown too large is divided, or says in LONG why not."""
    long = {
        str(path.relative_to(ROOT))
        for path in files()
        if path.suffix == ".py" and len(path.read_bytes().splitlines()) > MOST_LINES
    }
    assert long == set(LONG)


def test_each_test_says_in_its_docstring_what_holds() -> None:
    """A test's name is a sentence, its docstring the property."""
    silent = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in sorted(Path(__file__).parent.rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []


def test_what_policies_need_is_loaded_when_a_manager_is_built() -> None:
    """Not in the first run, which would start late; and not at all without policies."""
    program = """
import sys
from gofer import JobManager, job
JobManager([job(print, name="plain")])
assert "gofer.backends._policied" not in sys.modules
JobManager([job(print, name="again", retry=2)])
assert "gofer.backends._policied" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
