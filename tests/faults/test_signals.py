"""Rows 17 and 21: a signal at any moment of a run, and at each place in which a job may wait."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import gofer

from .programs import START, TIMEOUT, ends, says

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")

MOMENTS = """
import random
HOW, SEED, COUNT = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(SEED)

def sync(ctx):
    ctx.sleep(chance.choice([0, 0, 0.0005]))
async def on_loop():
    await asyncio.sleep(chance.choice([0, 0, 0.0005]))
sync_jobs = [job(sync, name=f"s{i}") for i in range(4)]
both = [*sync_jobs, *[job(on_loop, name=f"a{i}", after=["s0"]) for i in range(4)]]
policied = [job(sync, name="p", retry=2, timeout=60, limit="db"), job(sync, name="q", limit="db")]
managers = [JobManager(sync_jobs), JobManager(both), JobManager(both, limit=2),
            JobManager(policied, limits={"db": 1})]

def a_run():
    chance.choice(managers).execute(context)
def a_group():
    with Group(context, limit=2) as group:
        for _ in range(6):
            group.go(sync, group.context)
def a_map():
    for _ in gofer.map(abs, range(8), limit=3):
        pass
def a_loop():
    asyncio.run(chance.choice(managers).aexecute(context))

class Rings(Exception):
    pass

came = []
def handler(signum, frame):
    came.append(signum)
    if HOW == "raises":
        raise Rings
    context.cancel("rung")

signum = signal.SIGINT if HOW == "interrupts" else signal.SIGALRM
if HOW == "interrupts":
    signal.signal(signal.SIGINT, signal.default_int_handler)
else:
    signal.signal(signal.SIGALRM, handler)
EXPECTED = {"interrupts": KeyboardInterrupt, "raises": Rings, "cancels": gofer.Cancelled}[HOW]

def rest():
    '''Wait for the signal, if it has not come yet.'''
    until = time.monotonic() + 30
    while time.monotonic() < until and not came:
        time.sleep(0.0001)
    assert HOW != "interrupts", "the interrupt was lost"

def ring(delay):
    armed.acquire()
    time.sleep(delay)
    os.kill(os.getpid(), signum)

for manager in managers:
    manager.execute()  # a signal while a loop is made leaves half of it, and asyncio says so
# Of a signal on a running loop asyncio decides: what is raised in a callback is logged, and an
# interrupt after the main task's last line is dropped.
CALLS = [a_run, a_group, a_map, *[a_loop] * (HOW == "cancels")]
context, begun = Context(), time.perf_counter()
for n in range(100):
    CALLS[n % len(CALLS)]()
typical = (time.perf_counter() - begun) / 100  # that the moments fall inside on any machine
met = cut = 0
for n in range(COUNT):
    context = Context()
    armed = threading.Lock()
    armed.acquire()
    thread = threading.Thread(target=ring, args=(chance.uniform(0, typical),))
    thread.start()  # whose own lines are not to be hit
    inside = True
    try:
        armed.release()
        chance.choice(CALLS)()
        inside = False
        rest()
        if HOW == "cancels":
            context.check()
    except EXPECTED:
        met += 1
        cut += inside
    thread.join()
    came.clear()
barrier = threading.Barrier(8)
JobManager([job(lambda: barrier.wait(30), name=f"b{i}") for i in range(8)]).execute()
async def alive(): return 1
assert JobManager([job(alive)]).execute()["alive"] == 1
left = [t.name for t in threading.enumerate()
        if t.name not in ("MainThread", "gofer:loop", "gofer:idle", "gofer:timer")
        and not t.name.startswith("gofer:b")]
say(f"seed {SEED}: {met} met, left {left}")
os.write(2, f"{cut} inside\\n".encode())
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["interrupts", "cancels", "raises"])
def test_a_signal_at_any_of_1000_moments_is_met_by_one_error(how: str) -> None:
    """Ctrl-C, or a handler that cancels or raises: each comes out once, and all works afterwards.

    The seed is fixed, the moments are not: what the clock and the system make of it differs.
    """
    done = ends(MOMENTS, how, "7", "1000")

    assert done.returncode == 0, done.stderr
    assert done.stdout == "seed 7: 1000 met, left []\n"
    assert int(done.stderr.split()[0]) > 100, "too few came inside"


PLACES = {
    "back-off": "job(fails, retry=gofer.Retry(9, wait_initial=60, wait_max=60, on=OSError))",
    "back-off of an async job": (
        "job(fails_on_loop, retry=gofer.Retry(9, wait_initial=60, wait_max=60, on=OSError))"
    ),
    "line for a limit": "job(idle, name='waits', limit='db')",
    "fallback": "job(fails, fallback=lambda error: idle())",
    "when": "job(fails, when=lambda ctx, param: idle())",
    "observer": "job(lambda: 1, name='watched')",
    "async finally": "job(cleans)",
    "timeout": "job(idle, name='slow', timeout=60)",
}
"""Where the job stands when Ctrl-C comes."""

INTERRUPTED = """
signal.signal(signal.SIGINT, signal.default_int_handler)

def idle():
    say("ready")
    gofer.current_context().sleep(60)
def fails():
    say("ready")
    raise OSError("down")
async def fails_on_loop():
    fails()
async def cleans():
    say("ready")
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0)
        say("cleaned")
class Watches(gofer.Observer):
    def job_started(self, run, name):
        if name == "watched":
            idle()
def holds(ctx):
    ctx.sleep(60)
jobs = [{job}]
if "waits" in [each.name for each in jobs]:
    jobs.insert(0, job(holds, limit="db"))
    threading.Timer(0.2, say, ["ready"]).start()
later = job(lambda: say("must not start"), name="later", after=[jobs[-1].name])
manager = JobManager([*jobs, later], limits={{"db": 1}}, observers=[Watches()])
try:
    {how}
except KeyboardInterrupt:
    say("interrupted")
"""


HOW = ["manager.execute()", "asyncio.run(manager.aexecute())"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", HOW)
def test_ctrl_c_ends_a_run_whatever_its_job_waits_for(place: str, how: str) -> None:
    """Row 21: no queued job starts, ``finally`` blocks run, KeyboardInterrupt comes out."""
    assert signalled(signal.SIGINT, place, how) == (
        0,
        ["cleaned"] * (place == "async finally") + ["interrupted"],
    )


@pytest.mark.parametrize("place", PLACES)
def test_sigterm_ends_a_run_whatever_its_job_waits_for(place: str) -> None:
    """Row 17: as Ctrl-C does, and then it ends the program."""
    assert signalled(signal.SIGTERM, place, HOW[0]) == (
        -signal.SIGTERM,
        ["cleaned"] * (place == "async finally"),
    )


def signalled(signum: int, place: str, how: str) -> tuple[int, list[str]]:
    """Send a signal to a program whose job waits; return how it ended, and what it said then."""
    process = subprocess.Popen(
        [sys.executable, "-c", START + INTERRUPTED.format(job=PLACES[place], how=how)],
        env={**os.environ, "PYTHONPATH": str(Path(gofer.__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signum)
    said, _ = process.communicate(timeout=TIMEOUT)
    return process.returncode, [line for line in said.splitlines() if line != "ready"]


def test_a_handler_of_sigterm_may_cancel_the_run() -> None:
    """Row 17: the jobs end, ``finally`` blocks included, and the program decides the rest."""
    lines = says("""
    ctx = Context()
    signal.signal(signal.SIGTERM, lambda *_: ctx.cancel("SIGTERM"))
    def kills(ctx):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            ctx.sleep(60)
        finally:
            say("cleaned")
    try:
        JobManager([job(kills)]).execute(ctx)
    except gofer.Cancelled as error:
        say(error)
    """)

    assert lines == ["cleaned", "the context was cancelled: SIGTERM"]
