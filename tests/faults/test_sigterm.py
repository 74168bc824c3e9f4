"""Row 17: SIGTERM stops the runs as Ctrl-C does, and then ends the program as ever."""

from __future__ import annotations

import os
import signal

import pytest

from .programs import ends, says

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")

WORK = """
def me(): os.kill(os.getpid(), signal.SIGTERM)

begun = threading.Barrier(2)  # a job on the loop comes to it by a helper

def cleans(ctx):
    try:
        begun.wait()
        ctx.sleep(60)
    finally:
        time.sleep(0.05)
        say("cleaned")

async def cleans_on_loop():
    try:
        await asyncio.to_thread(begun.wait)
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.05)
        say("cleaned")

def kills(ctx):
    try:
        begun.wait()
        me()
        ctx.sleep(60)
    finally:
        say("cleaned")

async def kills_on_loop():
    try:
        await asyncio.to_thread(begun.wait)
        me()
        await asyncio.sleep(60)
    finally:
        say("cleaned")

def deaf():
    try:
        begun.wait()
    except KeyboardInterrupt:
        pass
    while True:
        try:
            time.sleep(0.01)
        except KeyboardInterrupt:
            pass

never = job(lambda: say("must not start"), name="never", after=["kills"])
sync_jobs = [job(cleans), job(kills, name="kills"), never]
async_jobs = [job(cleans_on_loop), job(kills_on_loop, name="kills"), never]
both = [job(cleans), job(kills_on_loop, name="kills"), never]
"""


@pytest.mark.parametrize("jobs", ["sync_jobs", "async_jobs", "both"])
def test_sigterm_ended_the_program_with_its_jobs_half_done(jobs: str) -> None:
    """No job starts, those that run end, ``finally`` blocks included, then the program does."""
    done = ends(f"{WORK}\nJobManager({jobs}).execute()\nsay('went on')")

    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")
    assert done.stdout == "cleaned\n" * 2


BLOCKS = {
    "group": """
with Group() as group:
    group.go(cleans, group.context)
    begun.wait()
    me()
    time.sleep(60)
""",
    "map": """
for _ in gofer.map(lambda n: cleans(gofer.current_context()) if n else 1, range(2), limit=2):
    begun.wait()
    me()
    time.sleep(60)
""",
    "run in a run": """
inner = JobManager([job(cleans), job(kills)], name="inner")
JobManager([inner]).execute()
""",
}


@pytest.mark.parametrize("block", BLOCKS)
def test_sigterm_stops_groups_maps_and_runs_in_runs(block: str) -> None:
    """The signal is raised again when the outermost has ended."""
    done = ends(f"{WORK}\n{BLOCKS[block]}")

    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")
    assert set(done.stdout.splitlines()) == {"cleaned"}
    assert len(done.stdout.splitlines()) == (1 if block in ("group", "map") else 2)


@pytest.mark.parametrize("first", ["SIGTERM", "SIGINT"])
def test_a_sigterm_after_a_first_signal_does_not_wait(first: str) -> None:
    """A job deaf to everything keeps the program no longer than the second signal."""
    done = ends(f"""{WORK}
signal.signal(signal.SIGINT, signal.default_int_handler)
def kills(ctx):
    ctx.on_cancel(heard.set)
    begun.wait()
    os.kill(os.getpid(), signal.{first})
    while not heard.is_set():
        try:
            heard.wait()
        except KeyboardInterrupt:
            pass
    say("heard the first")
    me()
heard = threading.Event()
JobManager([job(deaf), job(kills)]).execute()
""")

    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "heard the first\n")


def test_a_program_that_takes_sigterm_itself_has_it() -> None:
    """Whoever has a handler, or ignores it, is left alone."""
    lines = says(f"""{WORK}
def mine(*_): say("mine")
def kills():
    me()
class On(gofer.Observer):
    def run_ended(self, run): say(run.state)
for handler in (mine, signal.SIG_IGN):
    signal.signal(signal.SIGTERM, handler)
    JobManager([job(kills)], observers=[On()]).execute()
    say(signal.getsignal(signal.SIGTERM) is handler)
""")

    assert lines == ["mine", "succeeded", "True", "succeeded", "True"]


def test_a_loop_may_cancel_its_runs_at_sigterm() -> None:
    """What the docs say for ``aexecute``: asyncio wakes its loop, whatever it waits for."""
    lines = says(f"""{WORK}
async def main():
    ctx = Context()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ctx.cancel, "SIGTERM")
    try:
        await JobManager(both).aexecute(ctx)
    except gofer.Cancelled as error:
        say(error)
asyncio.run(main())
""")

    assert lines == ["cleaned", "cleaned", "the context was cancelled: SIGTERM"]


def test_sigterm_ends_a_program_that_awaits_a_run_as_it_always_does() -> None:
    """Of a loop's signals its program decides: a handler on it costs more than the jobs may."""
    done = ends(f"{WORK}\nasyncio.run(JobManager(both).aexecute())")

    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGTERM, "", "")


def test_sigterm_is_the_systems_again_after_each_run() -> None:
    """However the run ended, and while none goes on, nothing of Gofer's is in its way."""
    lines = says(f"""{WORK}
def default(): return signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
async def waits():
    await asyncio.sleep(0)
    return default()
def fails(): raise OSError("down")
say = lambda *texts, say=say: say(" ".join(map(str, texts)))
say(JobManager([job(default)]).execute()["default"], default())
say(JobManager([job(waits)]).execute()["waits"], default())
try:
    JobManager([job(fails)]).execute()
except OSError:
    say(default())
with Group() as group:
    group.go(default)
say(default(), list(gofer.map(lambda _: default(), range(1))), default())
""")

    assert lines == [
        "False True",
        "False True",
        "True",
        "True [False] True",
    ]


def test_a_process_that_a_job_forked_was_not_ended_by_sigterm() -> None:
    """The handler is the parent's: ``multiprocessing`` and others end their children by SIGTERM."""
    lines = says(f"""{WORK}
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # that it forks where threads run is the point
def forks():
    said, says = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(says, b"!")
            while True:
                time.sleep(60)
        except BaseException:
            os._exit(1)
    os.read(said, 1)
    os.kill(child, signal.SIGTERM)
    return os.waitpid(child, 0)[1]
say(JobManager([job(forks)]).execute()["forks"])
begun = threading.Barrier(1)
jobs = [job(forks), job(lambda: begun.wait(), name="beside")]
say(JobManager(jobs).execute()["forks"])
""")

    assert lines == [str(int(signal.SIGTERM))] * 2


MOMENTS = """
import random
SEED, COUNT = int(sys.argv[1]), int(sys.argv[2])
chance = random.Random(SEED)

class Tells(gofer.Observer):
    def job_started(self, run, name): os.write(says, b"+")
    def job_ended(self, run, record): os.write(says, b"-")
def sync(ctx):
    ctx.sleep(0.0005)
async def on_loop():
    await asyncio.sleep(0.0005)
jobs = [*[job(sync, name=f"s{i}") for i in range(4)],
        *[job(on_loop, name=f"a{i}", after=["s0"]) for i in range(4)]]

def dropped(facts):  # by CPython, just before its handler was given back: see decision 0003
    assert "ignored due to race condition" in str(facts.exc_value)
    os.kill(os.getpid(), signal.SIGTERM)

sys.unraisablehook = dropped
inside = 0
for n in range(COUNT):
    said, says = os.pipe()
    ready, go = os.pipe()
    child = os.fork()  # nothing has been executed here, so there is one thread
    if not child:
        manager = JobManager(jobs, observers=[Tells()])
        os.write(go, b"!")
        manager.execute()
        while True:
            time.sleep(60)
    os.close(says)
    os.read(ready, 1)
    heard = os.read(said, 1) if n % 2 else b""  # where all is slow, the others come too early
    time.sleep(chance.uniform(0, 0.003 if heard else 0.01))
    os.kill(child, signal.SIGTERM)
    status = os.waitpid(child, 0)[1]
    heard += os.read(said, 100)
    assert status == signal.SIGTERM, status
    assert heard.count(b"+") == heard.count(b"-"), heard
    inside += 0 < heard.count(b"+") < 8
    for each in (said, ready, go):
        os.close(each)
say(f"seed {SEED}: {COUNT} ended")
os.write(2, f"{inside} inside".encode())
"""


def test_sigterm_at_any_of_200_moments_ends_the_program_and_first_its_jobs() -> None:
    """Each ends by the signal, and whatever had begun in it has ended before."""
    done = ends(MOMENTS, "7", "200")

    assert (done.returncode, done.stdout) == (0, "seed 7: 200 ended\n"), done.stderr
    assert int(done.stderr.split()[0]) > 0, "none came inside"
