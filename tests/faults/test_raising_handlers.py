"""Row 21, for other signals: what a handler of the program's own raises while a run is executed."""

from __future__ import annotations

import os

import pytest

from .programs import ends, says

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")

RINGS = """
class Rings(Exception):
    pass

def handler(signum, frame):
    say("rings")
    raise Rings

signal.signal(signal.SIGALRM, handler)

def ring():
    os.kill(os.getpid(), signal.SIGALRM)

def works(ctx):
    '''In a thread, beside a job of the main thread: it is stopped, and has its time to end.'''
    main.acquire()
    try:
        ctx.sleep(60)
    finally:
        time.sleep(0.05)
        say("ended")

main = threading.Lock()
main.acquire()

def sends(workers, real=gofer.backends._workers.Workers._send, times=[]):
    '''The main thread sends for another, which counts as on its way already.'''
    if threading.current_thread() is threading.main_thread() and not times:
        times.append(1)
        ring()
    real(workers)
"""

INSIDE = """
gofer.backends._workers.Workers._send = sends
main.release()
jobs = [job(works), job(lambda: time.sleep(0.05), name="beside")]
try:
    {how}
except Rings as error:
    say("Rings")
say(JobManager([job(lambda: barrier.wait(30), name=f"b{{i}}") for i in range(2)]).execute().ok)
say(signal.getsignal(signal.SIGALRM) is handler)
"""

HOW = {
    "run": "JobManager(jobs).execute()",
    "report": "JobManager(jobs).execute(check=False)",
    "group": """
    with Group() as group:
        for each in jobs:
            group.go(each, *[group.context] * (each.name == "works"))""",
    "map": "list(gofer.map(lambda i: i, range(3), limit=2))",
}


@pytest.mark.parametrize("how", HOW)
def test_what_a_handler_raised_in_a_line_of_gofers_left_a_thread_on_its_way_for_ever(
    how: str,
) -> None:
    """It cancels what runs, comes out when that has ended, and the next run has its threads."""
    done = says(RINGS + "\nbarrier = threading.Barrier(2)\n" + INSIDE.format(how=HOW[how]))

    assert done[0] == "rings"
    assert done[-3:] == ["Rings", "True", "True"]
    assert set(done[1:-3]) <= {"ended"}, "each that had begun"


def test_what_a_handler_raises_in_a_job_is_the_jobs_failure() -> None:
    """Of the main thread's job: an alarm may be a job's own timeout, and a retry may follow."""
    lines = says(
        RINGS
        + """
def rings_once(times=[]):
    times.append(1)
    if len(times) == 1:
        ring()
        say("not here")
    return len(times)

say(JobManager([job(rings_once, retry=gofer.Retry(2, on=Rings))]).execute()["rings_once"])
try:
    JobManager([job(ring, name="one")]).execute()
except Rings as error:
    say(error.__notes__[0][:16])
def sleeps(ctx):
    threading.Timer(0.05, ring).start()
    ctx.sleep(60)
run = JobManager([job(sleeps)]).execute(check=False)
say(repr(run.error))
"""
    )

    assert lines == ["rings", "2", "rings", "job 'one' failed", "rings", "Rings()"]


def test_what_a_handler_raises_in_a_groups_block_is_the_blocks_error() -> None:
    """Also where the block sleeps, in a context that is not the group's."""
    lines = says(
        RINGS
        + """
main.release()
try:
    with Group() as group:
        group.go(works, group.context)
        while main.acquire(False):
            main.release()
            time.sleep(0.001)
        threading.Timer(0.05, ring).start()
        Context().sleep(60)
except Rings:
    say("Rings")
"""
    )

    assert lines == ["rings", "ended", "Rings"]


def test_a_handler_that_exits_ends_the_jobs_first() -> None:
    """As for SIGTERM in a container: ``sys.exit`` while the main thread waits for the run."""
    done = ends(
        RINGS
        + """
main.release()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
async def kills():
    while main.acquire(False):
        main.release()
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(60)
JobManager([job(kills), job(works)]).execute(check=False)
"""
    )

    assert (done.returncode, done.stdout, done.stderr) == (3, "ended\n", "")


def test_a_map_that_is_left_tells_of_what_a_handler_raised() -> None:
    """What closes a generator can raise nothing to anybody: Python's own hook is told."""
    lines = says(
        RINGS
        + """
sys.unraisablehook = lambda facts: say(f"{facts.err_msg}: {facts.exc_value!r}")
def rings_late(n):
    if n:
        begun.set()
        while not leaving.is_set():
            time.sleep(0.001)
        time.sleep(0.05)
        ring()
        time.sleep(0.05)
    return n
leaving, begun = threading.Event(), threading.Event()
for n in gofer.map(rings_late, range(2), limit=2):
    begun.wait()
    leaving.set()
    break
say("left")
"""
    )

    assert lines == ["rings", "a signal's handler failed: Rings()", "left"]
