"""What pytest must not import: rooms of engines that are not installed here."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent

ROOMS = {
    "distributed": ["dask.py", "_dask_plugin.py"],
    "ray": ["ray.py", "_ray_*.py"],
}
"""Package -> the modules of ``gofer.backends`` that import it."""

collect_ignore = [
    str(found.relative_to(HERE))
    for package, patterns in ROOMS.items()
    if find_spec(package) is None
    for pattern in patterns
    for found in (HERE / "src" / "gofer" / "backends").glob(pattern)
]
