"""What Gofer does with Ray's insides, as there is no public way: each may fail, and nothing breaks.

Tried with Ray 2.50 and 2.60. Where a version has other insides, messages say less, and a function
that a timeout has left goes on in its worker.
"""

from __future__ import annotations

import gc

import ray

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CALLS = 1 << 30
"""After how many calls of a remote function Ray ends a worker."""

_SENT, _RUNNING = 5, 8  # of common.proto's TaskStatus; the second may not have been told


def be_quiet() -> None:
    """Print nothing of what Ray's other processes say: that a worker died, say errors of Gofer."""
    from ray._private import worker

    worker._worker_logs_enabled = False


def leave() -> None:
    """End this worker as soon as Ray has what the call in progress returns.

    Ray does so by itself after ``CALLS`` calls of a function, and gives the worker nothing more. It
    waits as long as the worker owns objects, such as results of runs that jobs have executed here.
    """
    gc.collect()  # a run is garbage in circles
    try:
        counts = ray._private.worker.global_worker.function_actor_manager._num_task_executions
        for function in tuple(counts):
            counts[function] = CALLS - 1
    except Exception:
        return


def whereabouts(ref: Any) -> tuple[str | None, int | None]:
    """Return which worker a call was sent to, and when it began there, as far as Ray knows.

    Returns:
        The worker as in ``named``, or None; and nanoseconds on its wall clock, or None.
    """
    try:
        from ray.core.generated import gcs_pb2

        task = ref.task_id().binary()
        accessor = ray._private.state.state._connect_and_get_accessor()
        nodes = {each["NodeID"]: each["NodeManagerAddress"] for each in ray.nodes()}
        found: tuple[str | None, int | None] = None, None
        for data in accessor.get_task_events():
            if task not in data:
                continue
            event = gcs_pb2.TaskEvents.FromString(data)
            update = event.state_updates
            if event.task_id == task and update.worker_id:
                node = update.node_id.hex()
                times = update.state_ts_ns
                began = times.get(_RUNNING) or times.get(_SENT)
                found = named(update.worker_id.hex(), nodes.get(node, node[:8])), began
        return found
    except Exception:
        return None, None


def named(worker: str, node: str) -> str:
    """Return what reports and errors call a worker.

    Args:
        worker: Its id, in hexadecimal digits.
        node: Its machine's address.
    """
    return f"{worker[:8]} at {node}"
