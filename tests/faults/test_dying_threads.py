"""Row 20: a new thread dies before its first line, for want of memory (python/cpython#140746).

Python's own ``Thread.start`` waits for such a thread for ever.
"""

from __future__ import annotations

import inspect
import textwrap
import threading
import time

import pytest

from gofer._parts import LISTEN, Thread, start_thread

from .programs import ends

DIES = """
from gofer.errors import describe

bootstrap = threading.Thread._bootstrap
left = {}  # a thread's name -> how many of them die

def dies(thread):
    if left.get(thread.name, 0) > 0:
        left[thread.name] -= 1
        raise MemoryError
    bootstrap(thread)

threading.Thread._bootstrap = dies

def outcome(call):
    try:
        return call()
    except Exception as error:
        return describe(error)
"""
DIED = "RuntimeError: can't start new thread: it died before its first line"


def says(program: str) -> list[str]:
    """Run a program, until all have died that are to; Python says so on stderr, and nobody else."""
    done = ends(DIES + textwrap.dedent(program) + "\nwhile any(left.values()): time.sleep(0.001)")
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if not line.startswith(" ")]
    assert {line.partition("thread started by")[0] for line in told} <= {
        "Exception ignored in ",
        "Traceback (most recent call last):",
        "MemoryError",
        "MemoryError: ",
    }, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("dead", [1, 3])
def test_no_run_got_a_thread_any_more_after_one_had_died(dead: int) -> None:
    """The caller does the work alone; who wants a thread a second later sends another."""
    assert says(f"""
        from gofer.backends._workers import OVERDUE
        left["gofer:idle"] = {dead}
        alone = JobManager([job(lambda: n, name=f"n{{n}}") for n in range(3)])
        for _ in range({dead}):
            say(outcome(lambda: len(alone.execute().results)))
            time.sleep(OVERDUE)

        meet = threading.Barrier(2)  # two jobs that need two threads
        both = JobManager([job(lambda: meet.wait(30), name=name) for name in "ab"])
        say(outcome(lambda: sorted(both.execute().results.values())))
    """) == ["3"] * dead + ["[0, 1]"]


def test_a_deadline_hung_whose_thread_had_died() -> None:
    """Whoever asks still sees it; the next deadline is rung again."""
    assert (
        says("""
        left["gofer:timer"] = 1
        def waits(ctx):
            while not ctx.cancelled:
                time.sleep(0.01)
        def sleeps(ctx):
            ctx.sleep(30)
        for fn in waits, sleeps:
            with Context(timeout=0.05) as ctx:
                say(outcome(lambda: JobManager([job(fn)]).execute(ctx)))
    """)
        == ["DeadlineExceeded: the deadline has passed"] * 2
    )


def test_the_background_loop_hung_whose_thread_had_died() -> None:
    """The run says why it can't be; the next one has a loop."""
    assert says("""
        async def one():
            return 1

        left["gofer:loop"] = 1
        for _ in range(2):
            say(outcome(lambda: JobManager([job(one)]).execute()["one"]))
    """) == [DIED, "1"]


def test_worker_processes_hung_whose_thread_had_died() -> None:
    """Likewise for what speaks with the worker processes."""
    assert says("""
        left["gofer:processes"] = 1
        for _ in range(2):
            manager = JobManager([job(os.getpid)])
            say(outcome(lambda: manager.execute(backend="processes")["getpid"] == os.getpid()))
    """) == [DIED, "False"]


def test_a_call_with_a_timeout_hung_whose_thread_had_died() -> None:
    """Likewise for the thread in which a job is called that its run may leave behind."""
    assert says("""
        left["gofer:idle"] = 1
        for _ in range(2):
            made = job(lambda: 1, name="one", timeout=30)
            say(outcome(lambda: JobManager([made]).execute()["one"]))
    """) == [DIED, "1"]


def test_whoever_looks_at_a_thread_does_not_make_it_count_as_dead() -> None:
    """A debugger reads each attribute, before it has started and while it begins."""
    begins, ran = threading.Event(), []
    thread = Thread(lambda: ran.append(1), name="looked at")

    def slowly(of: object) -> None:
        begins.wait(30)
        bootstrap(of)

    def look() -> None:
        for _ in range(3):
            time.sleep(LISTEN)
            inspect.getmembers(thread)
        begins.set()

    bootstrap = threading.Thread._bootstrap  # type: ignore[attr-defined]
    inspect.getmembers(thread)
    looks = threading.Thread(target=look)
    looks.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "_bootstrap", slowly)
        start_thread(thread)
    thread.join()
    looks.join()
    assert ran == [1]
