"""What is pickled for other machines, where this program's main module is another one."""

from __future__ import annotations

import pickle
from contextlib import suppress
from itertools import count

from gofer import _parts
from gofer.backends._pack import Pack
from gofer.backends._parcels import Parcel, pack_for, pack_function
from gofer.backends._variables import travelling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gofer.backends._execution import Execution

_runs = count()


def pack_run(execution: Execution, param: Any, *, quiet: bool = False) -> Pack:
    """Return what a run says to each worker.

    Raises:
        NotPicklable: The param does not pickle.
    """
    variables = travelling(execution.ctx, execution.snapshot)
    packed = None if param is None else pack_for(execution.name_of(0), "the param", param)
    left, now = execution.ctx.remaining(), _parts.wall_clock()
    carried = execution.snapshot.run(execution.carried)
    return Pack(f"{now:x}{next(_runs):x}", now, left, {}, variables, packed, quiet, carried)


def far_pickle(job: str, what: str, thing: Any) -> bytes:
    """Return a pickle for other machines: what stands in ``__main__`` goes by value.

    Raises:
        NotPicklable: It does not pickle.
    """
    try:
        data = pickle.dumps(thing, 5)
        if b"__main__" not in data:
            return data
    except Exception:  # cloudpickle may do it
        data = b""
    import cloudpickle

    with suppress(Exception):
        return cloudpickle.dumps(thing, protocol=5)  # type: ignore[no-any-return]
    # It raises, and says which part it is; not in a handler, whose error may show data.
    return pack_for(job, what, thing).data


def far_function(job: str, fn: Any) -> bytes:
    """Return a pickle of what a job calls.

    Raises:
        NotPicklable: It does not pickle.
    """
    try:
        parcel = pack_function(job, fn)
    except Exception:
        parcel = Parcel(b"__main__")
    if b"__main__" in parcel.data or parcel.buffers:
        return far_pickle(job, "its function", fn)
    return bytes(parcel.data)
