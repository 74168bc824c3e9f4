"""What the backends of clusters have in common: who is served how, and ``with`` blocks."""

from __future__ import annotations

from gofer.backends._calls_away import Calls
from gofer.backends._cluster import Whole
from gofer.errors import BackendError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self


class Clustered:
    """A backend of many machines: whole graphs of managers, and single calls of all others.

    Attributes:
        name: What people call the engine.
    """

    name: str
    whole = True

    def port(self, execution: Any) -> Any:
        """Serve a run or a group."""
        if getattr(getattr(execution, "program", None), "whole", False):
            return Whole(self, execution)  # type: ignore[arg-type]  # those below it are engines
        return Calls(self, execution)  # type: ignore[arg-type]

    def away(self, name: str, fn: Any) -> Any:
        """Refuse to take a single job with policies.

        Raises:
            BackendError: Always.
        """
        raise BackendError(
            f"job {name!r} has policies or `when`, which {self.name} takes with a whole graph "
            f"only; write: execute(backend={type(self).__name__}(...))"
        )

    def close(self) -> None:
        """Let go of the cluster."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
