"""Rows 18 and 31: a process that forks while Gofer's threads run, and what its child may do."""

from __future__ import annotations

import os

import pytest

from gofer import _parts

from .programs import says

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

FORKING = """
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # that threads run here is the point

    def child(check):
        pid = os.fork()
        if not pid:
            signal.alarm(20)  # a hang ends by this
            try:
                check()
            except BaseException as error:
                os.write(2, f"{error!r}\\n".encode())
                os._exit(1)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


@pytest.mark.skipif(
    not _parts.HAS_GIL, reason="without a GIL CPython's own locks may be held at a fork; use 3.11"
)
def test_forked_processes_run_jobs_while_the_parents_threads_do() -> None:
    """Fifty forks at any moment of eight threads' runs, groups and maps: each child works."""
    lines = says(
        FORKING
        + """
    async def on_loop(): return 1
    manager = JobManager([
        job(on_loop), job(lambda: 2, name="sync", limit="db"), job(lambda: 3, name="again",
        limit="db", retry=2, breaker=Breaker()),
    ], limits={"db": 1})
    over = threading.Event()
    manager.execute()  # CPython itself may hang in a child of a process that was importing

    def churn():
        while not over.is_set():
            manager.execute()
            with Context(timeout=60) as ctx, Group(ctx, limit=2) as group:
                for _ in range(5):
                    group.go(time.sleep, 0)
            list(gofer.map(abs, range(10), limit=3))

    def check():
        expected = {"on_loop": 1, "sync": 2, "again": 3}
        assert manager.execute().results == expected
        assert asyncio.run(manager.aexecute()).results == expected
        with Group() as group:
            barrier = threading.Barrier(4)
            for _ in range(4):
                group.go(barrier.wait)
        try:
            with Context(timeout=0.01) as ctx:
                ctx.sleep(60)
        except gofer.DeadlineExceeded:
            return
        raise AssertionError("the deadline did not ring")

    threads = [threading.Thread(target=churn) for _ in range(8)]
    for thread in threads:
        thread.start()
    codes = [child(check) for _ in range(50)]
    over.set()
    for thread in threads:
        thread.join()
    say(f"{len(codes)} children, bad: {[code for code in codes if code]}")
    """
    )

    assert lines == ["50 children, bad: []"]


def test_a_forked_process_waited_for_places_that_its_parent_held() -> None:
    """Limits and breakers of a manager are free in the child: who holds them stayed behind."""
    lines = says(
        FORKING
        + """
    holds, release, breaker = threading.Event(), threading.Event(), Breaker(1, reset_after=0)

    def first(ctx, param):
        if param == "fails":
            raise ConnectionError
        if param == "holds":
            holds.set()
            release.wait()
        return 1

    manager = JobManager([job(first, limit="db", breaker=breaker)], limits={"db": 1})
    assert not manager.execute(None, "fails", check=False).ok  # the breaker opens
    trial = threading.Thread(target=manager.execute, args=(None, "holds"))
    trial.start()
    holds.wait()
    assert breaker.state == "half open"
    code = child(lambda: manager.execute(None, None))
    release.set()
    trial.join()
    say(f"{code} {breaker.state}")
    """
    )

    assert lines == ["0 closed"]


def test_a_job_may_fork() -> None:
    """The child of a job, sync or async, executes managers of its own, and leaves by itself."""
    lines = says(
        FORKING
        + """
    inner = JobManager([job(lambda: 1, name="one")])

    def forks():
        return child(inner.execute)

    async def forks_too():
        # In the child asyncio knows of no running loop; what runs there is a copy of the thread.
        return child(lambda: asyncio.run(inner.aexecute()))

    say(JobManager([job(forks), job(forks_too)], limit=1).execute().results)
    """
    )

    assert lines == ["{'forks': 0, 'forks_too': 0}"]
