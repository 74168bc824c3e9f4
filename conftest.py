"""What pytest must not import: files that need a package which is not installed here."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
BACKENDS = "src/gofer/backends"

NEEDS = {
    "distributed": [f"{BACKENDS}/dask.py", f"{BACKENDS}/_dask_*.py"],
    "pydantic": ["tests/processes/support/pydantic_pages.py"],
    "starlette": ["src/gofer/contrib/starlette.py"],
    "ray": [f"{BACKENDS}/ray.py", f"{BACKENDS}/_ray_*.py", "tests/cluster/ray_*.py"],
}
"""Package -> the files that import it."""

collect_ignore = [
    str(found.relative_to(HERE))
    for package, patterns in NEEDS.items()
    if find_spec(package) is None
    for pattern in patterns
    for found in HERE.glob(pattern)
]
