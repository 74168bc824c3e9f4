"""Rows 23 and 31: the interpreter ends while there are runs, parked threads or a loop."""

from __future__ import annotations

import os
import sys

import pytest

from .programs import ends, says

USED = """
    async def on_loop(): return 1
    def blocks(barrier=threading.Barrier(3)): barrier.wait()
    manager = JobManager([job(on_loop), *[job(blocks, name=f"b{i}") for i in range(3)]])
    with Context(timeout=3600) as ctx:
        manager.execute(ctx)
    assert any(thread.name == "gofer:loop" for thread in threading.enumerate())
    assert any(thread.name == "gofer:idle" for thread in threading.enumerate())
"""


def test_a_program_ends_with_parked_threads_a_loop_and_a_deadline() -> None:
    """Nothing of Gofer's keeps it, and nothing is printed."""
    assert says(USED + "    say('end')") == ["end"]


@pytest.mark.parametrize("fn", ["sleeps", "awaits"])
def test_a_program_ends_while_a_daemon_thread_executes_for_ever(fn: str) -> None:
    """Row 23: whoever runs jobs in a daemon thread has said that nobody waits for them."""
    lines = says(f"""
    begun = threading.Event()
    def sleeps():
        begun.set()
        time.sleep(3600)
    async def awaits():
        begun.set()
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass
    manager = JobManager([job({fn}), job({fn}, name="other")])
    threading.Thread(target=manager.execute, daemon=True).start()
    begun.wait()
    say("end")
    """)
    assert lines == ["end"]


def test_a_thread_that_never_returns_does_not_keep_the_program() -> None:
    """Row 23: with ``abandon=True`` the run ends at its deadline, and so does the program."""
    lines = says("""
    def for_ever():
        time.sleep(3600)
    run = JobManager([job(for_ever, timeout=0.05, abandon=True)]).execute(check=False)
    say(type(run.error).__name__)
    say("left behind" in str(run))
    """)
    assert lines == ["JobTimeout", "True"]


def test_a_run_in_a_plain_thread_is_waited_for_at_the_end() -> None:
    """As Python does with any thread that is no daemon; its async jobs still have their loop."""
    lines = says("""
    begun = threading.Event()
    async def late():
        begun.set()
        await asyncio.sleep(0.2)
        return "late"
    def execute():
        say(JobManager([job(late)]).execute()["late"])
    threading.Thread(target=execute).start()
    begun.wait()
    """)
    assert lines == ["late"]


def test_a_run_that_began_at_the_interpreters_end_hung() -> None:
    """Row 31: what needs a thread is refused in one line; no daemon thread runs any more."""
    done = ends(
        USED
        + """
    class Last:
        def __init__(self):
            self.manager, self.refusal = manager, RuntimeError
            self.alone = JobManager([job(lambda: 1, name="one")])
        def __del__(self):
            try:
                print(self.alone.execute()["one"])
                self.manager.execute()
            except self.refusal as error:
                print(error)
    sys.modules["last"] = Last()  # modules are cleared when nothing runs any more
    """
    )

    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines in (["1", "can't start new thread at interpreter shutdown"], [])
    if sys.version_info < (3, 13) and "COVERAGE_PROCESS_CONFIG" not in os.environ:
        assert lines  # else the names that it needs may have been taken


def test_a_run_at_exit_works_as_long_as_threads_do() -> None:
    """Row 31: functions of ``atexit`` may run jobs; 3.12 refuses new threads to them, in words."""
    lines = says("""
    async def on_loop(): return 1
    def late():
        try:
            say(manager.execute().results)
        except RuntimeError as error:
            say(error)
    atexit.register(late)  # before Gofer has registered anything, so it comes after all of that
    manager = JobManager([job(on_loop), job(lambda: 2, name="sync")])
    """)
    (line,) = lines
    if line != "{'on_loop': 1, 'sync': 2}":
        assert line.endswith("thread at interpreter shutdown")


SUBINTERPRETER = """
inner = '\\n'.join([
    "from gofer import Context, JobManager, job",
    "with Context(timeout=60) as ctx:",
    "    run = JobManager([job(lambda: 1, name=str(i)) for i in range(20)]).execute(ctx)",
    "print(sum(run.results.values()), flush=True)",
])
new = interpreters.create()
failed = interpreters.run_string(new, inner)
interpreters.destroy(new)
say(getattr(failed, "formatted", None))
"""


def test_a_subinterpreter_that_refuses_threads_was_told_so_by_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Row 31: where daemon threads are not allowed the caller does all sync jobs itself."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # it cannot begin in one
    monkeypatch.delenv("COVERAGE_PROCESS_START", raising=False)
    names = ("_interpreters", "_xxsubinterpreters")
    module = next((name for name in names if _has(name)), None)
    if module is None:
        pytest.skip("this Python has no module for subinterpreters; use CPython 3.11 or later")
    lines = says(f"import {module} as interpreters" + SUBINTERPRETER)
    assert lines == ["20", "None"]


def _has(module: str) -> bool:
    """Return whether a module can be imported."""
    try:
        __import__(module)
    except ImportError:
        return False
    return True
