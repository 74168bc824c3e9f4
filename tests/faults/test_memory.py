"""Row 9: no memory is left, really: the system refuses it, and what the job holds stays held."""

from __future__ import annotations

import sys

import pytest

from gofer import JobManager, job
from gofer._parts import HAS_GIL

from . import far
from .modes import MODES
from .programs import ends, says

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux holds a process to the memory that it may map"
)

PROGRAM = """
import resource
HOW, PIECE, LEFT = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

def asks():
    return bytearray(1 << 40)
def fills():
    held = []
    while True:  # the traceback holds the frame, which holds all this, while the failure is booked
        held.append(bytes(PIECE))
def one():
    return 1
def made(fn, name, after=()):
    async def awaited():
        return fn()
    is_async = HOW in ("loop", "background") or (HOW == "mixed" and name == "beside")
    return job(awaited if is_async else fn, name=name, after=after)

def execute(manager):
    if HOW in ("loop", "mixed"):
        return asyncio.run(manager.aexecute(check=False))
    return manager.execute(check=False)

threading.stack_size(1 << 19)  # so that there is room for a few threads
fn = fills if PIECE else asks
jobs = [made(one, "beside"), made(fn, "fails"), made(one, "later", ["fails"])]
manager, works = JobManager(jobs), JobManager(jobs[:1])
execute(works)
mapped = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (mapped + LEFT, resource.RLIM_INFINITY))
for _ in range(3):
    try:
        run = execute(manager)
        told = type(run.error).__name__, run.record("fails").state, run.record("later").state
    except MemoryError:
        told = "raised"
    run = None
    say(told)
    say(execute(works).results)
"""
FAILED = "('MemoryError', 'failed', 'not started')"


# Without a GIL each new thread takes some 100 MB of addresses for its first objects. Where CPython
# 3.13 can't have them it spins for ever, in C: a MemoryError is an object, too.
PIECE, LEFT = (40 << 20, 100 << 20) if HAS_GIL else (2 << 30, 3 << 30)


@pytest.mark.parametrize("piece", [0, PIECE], ids=["one piece", "piece by piece"])
@pytest.mark.parametrize("how", MODES)
def test_a_job_that_the_system_gives_no_memory_fails_alone(how: str, piece: int) -> None:
    """At once, or when most is used up: it is that job's failure, and the next run works."""
    assert says(PROGRAM, how, str(piece), str(LEFT)) == [FAILED, "{'beside': 1}"] * 3


@pytest.mark.parametrize("how", ["threads", "background"])
def test_a_run_hung_where_not_even_its_own_lines_had_memory(how: str) -> None:
    """Row 20: all is used up to the last bytes, so the failure may be one that cannot be booked.

    The lines of the program fail as well, at times, and asyncio's on a loop of its own.
    """
    done = ends(PROGRAM, how, "16", str(LEFT))
    lines = done.stdout.splitlines()

    assert done.returncode in (0, 1), done.stderr
    assert set(lines[::2]) <= {FAILED, "('Cancelled', 'cancelled', 'not started')", "raised"}
    assert set(lines[1::2]) <= {"{'beside': 1}"}


@pytest.mark.parametrize("start", ["forkserver", "spawn"])
def test_a_worker_that_the_system_gives_no_memory_fails_its_job_alone(start: str) -> None:
    """With ``memory_limit``: a MemoryError of that job, not a crash, whichever way it comes."""
    from gofer.backends import ProcessBackend

    backend = ProcessBackend(1, start=start, memory_limit=3 << 30)
    try:
        for fn in (far.asks_for_much, far.fills_memory):
            jobs = [job(far.one, name="beside"), job(fn, name="fails")]
            run = JobManager(jobs, fail_fast=False).execute(backend=backend, check=False)

            assert run["beside"] == 1
            assert type(run.record("fails").error) is MemoryError
            assert JobManager([job(far.one)]).execute(backend=backend)["one"] == 1
    finally:
        backend.close()
