"""How the results that a job needs get to its parameters: by place where that can be, else by name.

Results are keyword-only parameters, and a hundred keywords in a call are matched with a hundred
names, one by one. But a function's code lists its keyword-only parameters right behind the
positional ones, so the same code, with other counts, takes all of them by place: the same lines,
the same globals, the same closure, a third of the cost with 3 needs and a tenth with 100.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_VARIADIC = 4 | 8  # flags of code with *args, with **kwargs


class Wiring:
    """What a callable takes of other jobs; one for all jobs of the same callable and parameters.

    Attributes:
        fn: The callable.
        names: The parameters that get results; the order in which ``by_place`` takes them.
        code: The code from which ``by_place`` was made, or None where there is no such thing.
        by_place: The function that takes the results by place, behind what the run gives.
    """

    __slots__ = ("by_place", "code", "fn", "names")

    def __init__(self, fn: Any, names: Sequence[str], nargs: int) -> None:
        """Look for a way.

        Args:
            fn: The callable.
            names: The parameters that get results.
            nargs: How many of ``(ctx, param)`` it takes before them.
        """
        self.fn, self.names = fn, tuple(names)
        self.code: Any = None
        self.by_place: Any = None
        if type(fn) is not FunctionType or fn.__code__.co_flags & _VARIADIC:
            return
        code = fn.__code__
        count = code.co_argcount + code.co_kwonlyargcount
        order = code.co_varnames[nargs:count]
        if len(order) == len(names) and set(order) == set(names):
            self.names, self.code = order, code
            placed = code.replace(co_argcount=count, co_kwonlyargcount=0)
            self.by_place = FunctionType(placed, fn.__globals__, fn.__name__, None, fn.__closure__)
