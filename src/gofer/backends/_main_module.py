"""The parent's ``__main__`` in a worker: it is loaded when a pickle names it, and not before.

A script that executes a manager without an ``if __name__ == "__main__":`` would execute it once
more in each worker. So the script is run under another name, and only as far as its first use of
processes: what it has defined by then is there. It runs in a thread of its own, which waits there
for ever, so that neither its ``except`` nor its ``finally`` blocks do anything.
"""

from __future__ import annotations

import os
import sys
import threading
from types import FunctionType

from gofer import _parts
from gofer._job import FunctionJob
from gofer.errors import WorkerFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gofer.backends._parcels import Parcel

NAME = "__mp_main__"
"""What the script is called in a worker; multiprocessing calls it so, too."""

known: tuple[str | None, str | None] | None = None
"""(module name, path) of the parent's main module, in a worker; None in a parent."""

_loading: list[Any] = []
"""The thread that runs the script, and what it sets when it has come far enough."""


def described() -> tuple[str | None, str | None]:
    """Return a module name or a path, from which a worker can load this process's main module.

    Both are None for a notebook, an interactive session, and what is piped into Python.
    """
    main = sys.modules.get("__main__")
    name = getattr(getattr(main, "__spec__", None), "name", None)
    path = getattr(main, "__file__", None)
    if path is not None and not os.path.isfile(path):
        path = None
    sys.modules.setdefault(NAME, main)  # type: ignore[arg-type]  # results name it like this
    return name, path


def stop_here() -> None:
    """Go no further in a worker that loads the script; elsewhere remember how far it has come."""
    if _loading and _loading[0] is threading.current_thread():
        _loading[1].set()
        while True:
            threading.Event().wait()
    if not _first and known is None:
        found = dict(vars(sys.modules["__main__"]))  # a copy: another thread may define more
        _first.update((name, each) for name, each in found.items() if isinstance(each, _KINDS))
        _first[""] = None


_KINDS = (FunctionType, type, FunctionJob)
_first: dict[str, Any] = {}
"""The functions, classes and jobs that the script had defined by its first use of processes: those
that workers know."""


def is_another(fn: Any) -> bool:
    """Return whether a function of the script is not the one that workers know by its name."""
    module, name = getattr(fn, "__module__", None), getattr(fn, "__qualname__", None)
    if module != "__main__" or not isinstance(name, str):
        return False
    name = name.partition(".")[0]
    before = _first.get(name)
    if before is None or getattr(sys.modules["__main__"], name, None) is before:
        return False
    return any(described())  # what a notebook defines travels by value in any case


def opened(parcel: Parcel) -> Any:
    """Open a parcel in a worker; load the parent's main module first if the pickle names it.

    Raises:
        WorkerFailed: The parent's main module cannot be loaded, or not far enough.
    """
    if b"__main__" not in parcel.data or parcel.is_by_value or known is None:
        return parcel.open()
    if not _loading:  # not the name: whoever imports multiprocessing sets that, too
        _load(*known)
    try:
        return parcel.open()
    except AttributeError as error:
        raise WorkerFailed(
            f"{error}: a worker process runs the script as far as its first use of processes; "
            f"define it above that, or put what executes jobs under "
            f"`if __name__ == '__main__':`"
        ) from error


def _load(name: str | None, path: str | None) -> None:
    from types import ModuleType

    main = ModuleType(NAME)
    code: Any
    if name is not None:
        from importlib.util import find_spec

        spec: Any = find_spec(name)
        code, main.__file__ = spec.loader.get_code(spec.name), spec.origin
        main.__package__ = spec.parent
    elif path is not None:
        with open(path, "rb") as file:
            code = compile(file.read(), path, "exec", dont_inherit=True)
        main.__file__ = path
    else:
        raise WorkerFailed(
            "what a notebook or an interactive session defines travels by cloudpickle alone: "
            "pip install 'gofer[process]'"
        )
    before = {each: sys.modules.get(each) for each in (NAME, "__main__")}
    sys.modules[NAME] = sys.modules["__main__"] = main
    reached = threading.Event()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            exec(code, main.__dict__)
        except BaseException as error:
            errors.append(error)
        reached.set()

    _loading[:] = [_parts.Thread(run, name="gofer:script"), reached]
    _parts.start_thread(_loading[0])
    reached.wait()
    if errors:
        _loading.clear()
        sys.modules.pop(NAME)
        sys.modules.update({name: module for name, module in before.items() if module is not None})
        raise errors[0]
