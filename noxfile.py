"""The tests on every supported Python that this machine has: `make test-all`.

The others are skipped, and nox says so. A Python off the PATH is found if its folder is put there,
behind the others, as it may have a `python3` too: `PATH=$PATH:/opt/py313t/bin make test-all`.
"""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False  # in CI nox would fail instead of skipping
nox.options.reuse_existing_virtualenvs = True

# pyenv hides each Python that its settings do not name, so all that it has are named here.
if "PYENV_VERSION" not in os.environ:
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = sorted(path.name for path in root.glob("versions/3.*") if path.is_dir())
    if found:
        os.environ["PYENV_VERSION"] = ":".join(found)


PURE = [
    "attrs",
    "cloudpickle",
    "httpx",
    "hypothesis<6.131",  # later ones are compiled
    "interlock-cb",
    "opentelemetry-api",
    "opentelemetry-sdk",
    "prometheus-client",
    "pytest>=9",
    "pytest-timeout",
    "rich",
    "stamina",
    "starlette",
    "tenacity",
    "uvicorn",
]
"""What the tests need, as far as it is pure Python: few wheels exist for a Python without GIL."""


@nox.session(python=["3.11", "3.12", "3.13", "3.14", "3.13t"])
def tests(session: nox.Session) -> None:
    """Run the tests; what stands behind `--` goes to pytest."""
    free_threaded = str(session.python).endswith("t")
    session.install("-e", *([".", *PURE] if free_threaded else [".[test]"]))
    session.run("python", "-m", "pytest", *session.posargs)  # `-m` for the path of workers
