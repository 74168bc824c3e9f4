"""Jobs for other processes: functions of a module, so that any start method finds them."""

from __future__ import annotations

import builtins
import os
import signal
import subprocess
import sys
import time
from contextvars import ContextVar
from typing import Any

from gofer import Context, JobManager, current_context, job


class BadStr(Exception):
    """Cannot be printed."""

    def __str__(self) -> str:
        raise SystemExit("hostile")

    __repr__ = __str__


class BadReduce(Exception):
    """Cannot be pickled."""

    def __reduce__(self) -> Any:
        raise RuntimeError("hostile")


class NotRebuilt(Exception):
    """Is pickled, and cannot be made again: its ``__init__`` wants more."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("text of it")


class BadState(Exception):
    """Holds what cannot be pickled."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.held = (each for each in ())


class Unpickles:
    """A result whose unpickling fails."""

    def __reduce__(self) -> Any:
        return refuse, ()


class Kills:
    """A result whose pickling kills the process."""

    def __reduce__(self) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


def refuse() -> None:
    """Fail."""
    raise RuntimeError("not to be rebuilt")


def deep() -> list[Any]:
    """Return what is nested too deeply to be pickled."""
    made: list[Any] = []
    for _ in range(100_000):
        made = [made]
    return made


def one() -> int:
    """Work."""
    return 1


def raises(ctx: Context, param: tuple[str, tuple[Any, ...]]) -> None:
    """Raise an error of a built-in or one of this module's kinds, named by the param."""
    name, arguments = param
    raise globals().get(name, getattr(builtins, name, None))(*arguments)


def recurses() -> int:
    """Call itself until Python has enough."""
    return 1 + recurses()


def asks_for_much() -> bytearray:
    """Ask for more than is allowed, at once."""
    return bytearray(1 << 40)


def fills_memory() -> None:
    """Use up all that is allowed, and hold it."""
    held = []
    while True:
        held.append(bytes(1 << 24))  # of which the system gives no page yet


def overflows_the_stack() -> None:
    """Call itself by way of C until its stack is full, which older Pythons do not look after.

    Where Python does, the error comes up in the midst of C, which cannot raise it.
    """
    import ctypes

    sys.setrecursionlimit(2**31 - 1)
    again = ctypes.CFUNCTYPE(None)(lambda: again())
    again()
    raise RecursionError("it has come to an end")


def cleans_badly(ctx: Context, *, path: str) -> None:
    """Say that it runs, wait to be stopped, and fail while cleaning up."""
    try:
        with open(f"{path}/{os.getpid()}", "w"):
            ctx.sleep(3600)
    finally:
        raise KeyError("in finally")


def fails_beside(*, path: str) -> None:
    """Fail as soon as another job runs."""
    while not os.listdir(path):
        time.sleep(0.001)
    raise ConnectionError("first")


def fails_once(*, path: str) -> int:
    """Fail at the first attempt, leaving its process's number; the second works."""
    if os.path.exists(f"{path}/failed"):
        return os.getpid()
    with open(f"{path}/failed.new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(f"{path}/failed.new", f"{path}/failed")
    raise OSError("at first")


def dies_at_its_end() -> None:
    """Have this process killed when it leaves, however it does."""
    import atexit
    import threading

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    atexit.register(die)
    threading._register_atexit(die)  # type: ignore[attr-defined]
    os._exit = lambda code: die()  # type: ignore[assignment,return-value]


def holds_a_lock() -> dict[str, Any]:
    """Return what has a lock somewhere inside."""
    import threading

    return {"settings": [threading.Lock()]}


def clocks_jump(ctx: Context) -> float | None:
    """Look at the deadline while the wall clock goes back and forth."""
    time.time = lambda: 4e9  # type: ignore[method-assign]
    return ctx.remaining()


VARIABLE: ContextVar[str] = ContextVar("VARIABLE", default="none")


def variable() -> str:
    """Return what the caller has set."""
    return VARIABLE.get()


def says_ready(ctx: Context) -> None:
    """Say so, and wait for a minute."""
    os.write(1, b"ready\n")
    ctx.sleep(60)


def fails_aloud() -> None:
    """Say so, and fail."""
    os.write(1, b"ready\n")
    raise OSError("down")


def cleans(ctx: Context, *, path: str) -> None:
    """Wait until it is stopped, and leave a file when it has cleaned up."""
    try:
        with open(f"{path}/begun", "w"):
            ctx.sleep(3600)
    finally:
        time.sleep(0.05)
        with open(f"{path}/ended", "w"):
            pass


def first_or_waits(item: tuple[str, bool]) -> int:
    """Be done as soon as the other has begun, if it is the first, or be ``cleans``."""
    path, is_first = item
    if not is_first:
        cleans(current_context(), path=path)
    while not os.path.exists(f"{path}/begun"):
        time.sleep(0.001)
    return 1


def nests(depth: int) -> int:
    """Execute in a worker, and in that run, and so on: plain jobs and jobs on a loop in turn."""

    def deeper() -> int:
        return nests(depth - 1)

    async def beside() -> int:
        return 1

    if not depth:
        return 0
    jobs = [job(deeper), job(beside)]
    return 1 + int(JobManager(jobs, limit=1).execute()["deeper"])


CANARY = "canary-7f3a"


class Secret(dict[str, str]):
    """A param that shows itself wherever somebody prints it."""

    def __repr__(self) -> str:
        return CANARY

    __str__ = __repr__


def login(ctx: Context, param: Secret) -> Secret:
    """Return a secret."""
    return param


def page(ctx: Context, param: Secret, *, login: Secret) -> None:
    """Fail, with secrets in all places but the error's text."""
    local = f"{CANARY} {login} {ctx.value('token')}"
    raise ConnectionError("refused") if local else ValueError


def crash(ctx: Context, param: Secret) -> None:
    """Die with a secret in hand."""
    local = f"{CANARY} {param}"
    os.kill(os.getpid(), signal.SIGSEGV if local else 0)


def lock_under_secret(ctx: Context, param: Secret) -> Any:
    """Return what does not travel, under a key and beside a value that are nobody's business."""
    import threading

    return {CANARY: CANARY, CANARY * 2: [threading.Lock()]}


def writes(ctx: Context, param: Secret) -> None:
    """Write into the param, which is a copy."""
    param[CANARY] = CANARY


def segfaults() -> None:
    """Read what is nowhere."""
    import ctypes

    ctypes.string_at(0)


def exits_well() -> None:
    """Leave with 0: the trap, as that looks like success."""
    os._exit(0)


def exits_badly() -> None:
    """Leave with 1."""
    os._exit(1)


def killed() -> None:
    """Get what the out-of-memory killer sends."""
    os.kill(os.getpid(), signal.SIGKILL)


def aborts() -> None:
    """Abort, as C code does."""
    os.abort()


def result_unpickles() -> Unpickles:
    """Return what the parent cannot read."""
    return Unpickles()


def result_kills() -> Kills:
    """Return what dies while it is sent."""
    return Kills()


def leaves_a_grandchild() -> None:
    """Die, and leave a process that holds all that was inherited."""
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(20)"], close_fds=False)
    os._exit(3)


def pid() -> int:
    """Return which process this is."""
    return os.getpid()


def deaf() -> None:
    """Never end, and hear nothing."""
    while True:
        try:
            time.sleep(0.05)
        except BaseException:
            continue


def sleeps(ctx: Context) -> None:
    """Sleep until somebody stops it."""
    ctx.sleep(3600)
