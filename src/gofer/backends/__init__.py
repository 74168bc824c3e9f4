"""Where jobs run: each module is one world. None decides anything; they ask the core."""

from __future__ import annotations

from gofer.errors import BackendError, hint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from gofer.backends._execution import Execution

    class Port(Protocol):
        """Where one run hands over the jobs that go away, and gets them back.

        It takes ready jobs of the lane AWAY from the run's core, when it has room for them, and
        books in the core how they ended.
        """

        loop: None
        port: Port  # itself

        def close(self) -> None:
            """Note that the run is over, or that nobody waits for it any more."""

        def post(self, *, force: bool = False) -> None:
            """Look at the run: jobs are ready, or it was stopped. From any thread; never blocks."""

        def frame_of(self, i: int) -> None:
            """Return None: nothing of a job that went away can be seen here."""

    class Backend(Protocol):
        """A world that is not this process.

        Attributes:
            name: What messages call it.
            whole: Whether it gets the graph of a run at once, with all that says how jobs run;
                otherwise it gets job after job, and policies are driven here.
        """

        name: str
        whole: bool

        def port(self, execution: Execution) -> Port:
            """Serve a run."""

else:

    class Backend:
        """A world that is not this process."""


_HERE = ("thread", "threads")
_PROCESSES = ("process", "processes")

_READY = {"DaskBackend": "dask", "ProcessBackend": "processes", "RayBackend": "ray"}

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


def __getattr__(name: str) -> Any:
    """Load a backend when it is asked for: ``from gofer.backends import DaskBackend``."""
    module = _READY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{module}"), name)


def chosen(given: Any) -> Any:
    """Return the backend that somebody means; None for threads and loops of this process.

    Raises:
        BackendError: It is none.
    """
    if given is None or given in _HERE:
        return None
    if isinstance(given, str):
        if given in _PROCESSES:
            from gofer.backends.processes import default

            return default()
        known = (*_HERE, *_PROCESSES)
        from gofer._core.plan import nearest

        raise BackendError(
            f"there is no backend {given!r}{hint(nearest(given, known))}; write 'processes', "
            f"'threads', or a backend such as DaskBackend(...)"
        )
    if hasattr(given, "port") and not isinstance(given, type):
        return given
    kind = given.__name__ if isinstance(given, type) else None
    instead = f"write: backend={kind}()" if kind else f"got {given!r}"
    raise BackendError(f"a backend is 'processes', 'threads' or a backend object; {instead}")
