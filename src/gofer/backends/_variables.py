"""What of a run's context travels: its values, and the context variables of its caller.

A context variable has no address. It travels if it is a variable of a module, as most are, and if
its value pickles; the others stay where they are.
"""

from __future__ import annotations

import sys

from gofer.backends._main_module import NAME
from gofer.backends._parcels import Parcel, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextvars import Context as Variables
    from contextvars import ContextVar
    from typing import Any

    from gofer._context import Context

_NOTHING = Parcel(b"")


def travelling(ctx: Context, variables: Variables) -> Parcel:
    """Return a pickle of ``(values, [(module, name, value), ...])``; empty if there are none."""
    values = {key: value for key, value in ctx._values.items() if _travels((key, value))}
    found = []
    for variable, value in variables.items():
        place = _place(variable)
        if place is not None and _travels(value):
            found.append((*place, value))
    if not values and not found:
        return _NOTHING
    return pack((values, found))


def _travels(thing: Any) -> bool:
    try:
        pack(thing)
    except Exception:
        return False
    return True


_places: dict[ContextVar[Any], tuple[str, str] | None] = {}


def _place(variable: ContextVar[Any]) -> tuple[str, str] | None:
    """Return the module and the name of a context variable; None for one that has none.

    Gofer's own stay here: a worker has its own.
    """
    if variable not in _places:
        _places[variable] = None
        for module, each in tuple(sys.modules.items()):
            for name, value in tuple(getattr(each, "__dict__", {}).items()):
                if value is variable and not module.startswith("gofer."):
                    _places[variable] = NAME if module == "__main__" else module, name
    return _places[variable]
