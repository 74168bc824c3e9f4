"""Two machines, as far as Ray can tell: what moves between them, and what is lost with one."""

from __future__ import annotations

import sys
import time

from ray.cluster_utils import Cluster
from ray.experimental import get_object_locations

from gofer import JobManager, Observer, job
from gofer.backends import RayBackend
from gofer.errors import JobCrashed


def make() -> bytes:
    """Make 20 MB."""
    return bytes(20 << 20)


def number() -> int:
    """Do little."""
    return 20


def size(*, make: bytes) -> int:
    """Take 20 MB."""
    return len(make)


def stand() -> None:
    """Take long."""
    time.sleep(600)


class OnStart(Observer):
    """Removes a machine when a job has started there."""

    def job_started(self, run: object, name: str) -> None:
        """Remove it."""
        cluster.remove_node(second, allow_graceful=False)


if __name__ == "__main__":
    options = {"num_cpus": 1, "object_store_memory": 100 << 20}
    cluster = Cluster(initialize_head=True, head_node_args={**options, "include_dashboard": False})
    second = cluster.add_node(**options, resources={"second": 10})
    with RayBackend(cluster.address) as backend:
        first = job(make, resources={"second": 1})

        run = JobManager([first, job(number, after=["make"])]).execute(backend=backend)
        found = get_object_locations(run._far.held.values[:1])
        assert [len(each["node_ids"]) for each in found.values()] == [1]
        sys.stdout.write("after= moved nothing\n")

        later = JobManager([first]).execute(backend=backend)
        manager = JobManager([job(stand, resources={"second": 1})], observers=[OnStart()])
        failed = manager.execute(backend=backend, check=False)
        assert isinstance(failed.error, JobCrashed), failed.error
        assert " at " in failed.error.worker, failed.error
        sys.stdout.write("a job was lost with its machine\n")

        try:
            later["make"]
        except JobCrashed:
            sys.stdout.write("so was a result\n")
        assert JobManager([number]).execute(backend=backend)["number"] == 20
    cluster.shutdown()
