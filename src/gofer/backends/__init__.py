"""Where jobs run: each module is one world. None decides anything; they ask the core."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_loaded: list[Any] = []


def loop_backend() -> Any:
    """Return the module of the event loop's backend, which imports asyncio: only when needed.

    It is looked for here, not in ``sys.modules``, where another thread may see it half imported;
    and not by an import statement each time, which costs half a microsecond.
    """
    if not _loaded:
        from gofer.backends import loop

        _loaded.append(loop)
    return _loaded[0]
