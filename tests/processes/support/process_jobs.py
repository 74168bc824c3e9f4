"""Jobs for worker processes: in a module that workers can import, unlike the tests themselves."""

from __future__ import annotations

import asyncio
import contextvars
import faulthandler
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

import gofer

COLOR: contextvars.ContextVar[Any] = contextvars.ContextVar("COLOR", default="none")


# Dying


def die(how: str) -> NoReturn:
    """End this process, and leave no core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if how == "segfault":
        faulthandler._sigsegv()
    elif how == "abort":
        os.abort()
    elif how == "SIGKILL":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(int(how.removeprefix("exit ")))


class DiesWhenLoaded:
    """Ends the process that unpickles it."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __reduce__(self) -> Any:
        return die, (self.how,)


class DiesWhenPickled:
    """Ends the process that pickles it."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __reduce__(self) -> Any:
        die(self.how)


def give_dying(how: str) -> Any:
    """Return what ends this process when it is pickled."""
    return DiesWhenPickled(how)


def die_while_sending(how: str) -> bytes:
    """Return so much that it does not fit into the pipe, and die in the midst of it."""
    main = threading.main_thread().ident

    def watch() -> None:
        while True:
            frame = sys._current_frames()[main]  # type: ignore[index]
            while frame is not None:
                if frame.f_code.co_name == "send" and frame.f_code.co_filename.endswith(
                    "_far_worker.py"
                ):
                    die(how)
                frame = frame.f_back  # type: ignore[assignment]

    threading.Thread(target=watch, daemon=True).start()
    return bytes(1 << 27)


def take(thing: Any) -> Any:
    """Return what it was given."""
    return thing


# Counting


def note(folder: str, name: object) -> None:
    """Note that a job has run: one line in a file of its own."""
    with open(Path(folder) / str(name), "a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")


def mark(folder: str, name: str, text: str) -> None:
    """Write a file, which is whole as soon as it is there."""
    path = Path(folder, f".{name}")
    path.write_text(text, encoding="utf-8")
    path.rename(Path(folder, name))


def wait_for(folder: str, name: str, seconds: float = 30.0) -> bool:
    """Wait until a file is there."""
    until = time.monotonic() + seconds
    while not Path(folder, name).exists():
        if time.monotonic() > until:
            return False
        time.sleep(0.002)
    return True


def meet(folder: str, number: int, of: int) -> int:
    """Wait until as many run at the same time."""
    mark(folder, f"here {number}", "")
    for i in range(of):
        wait_for(folder, f"here {i}")
    return os.getpid()


def work(folder: str, number: int) -> int:
    """Note that it has run, and return its number."""
    note(folder, number)
    return number


class Small:
    """A function that notes its number, in a file of its worker's, and takes a millisecond."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, number: int) -> int:
        """Return the number."""
        fd = os.open(f"{self.folder}/{os.getpid()}", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        os.write(fd, b"%d\n" % number)
        os.close(fd)
        time.sleep(0.001)
        return number


def runs_of(folder: object, name: object) -> int:
    """Return how often a job has run."""
    path = Path(str(folder)) / str(name)
    return len(path.read_text(encoding="utf-8").split()) if path.exists() else 0


# Who and what


def sleeps(seconds: float) -> int:
    """Take that long."""
    time.sleep(seconds)
    return os.getpid()


def pid() -> int:
    """Return which process this is."""
    return os.getpid()


async def apid() -> int:
    """Return which process this is."""
    await asyncio.sleep(0)
    return os.getpid()


def square(number: int) -> int:
    """Return its square."""
    return number * number


@gofer.job
def decorated() -> int:
    """Be a job of a module."""
    return 1


async def asquare(number: int) -> int:
    """Return its square."""
    await asyncio.sleep(0)
    return number * number


def total_of(**numbers: int) -> int:
    """Return their sum."""
    return sum(numbers.values())


def alone_in(*, folder: str) -> bool:
    """Return whether nobody else was in this folder at the same time."""
    try:
        Path(folder, "in").mkdir()
    except FileExistsError:
        return False
    time.sleep(0.02)
    Path(folder, "in").rmdir()
    return True


def fail_if(item: Any) -> Any:
    """Do what the item says."""
    if isinstance(item, BaseException):
        raise item
    if isinstance(item, str):
        die(item)
    return item


class Step:
    """A job of a random graph.

    Attributes:
        number: Which one.
        fails: Whether it raises.
    """

    def __init__(self, number: int, *, fails: bool) -> None:
        self.number, self.fails = number, fails

    def run(self, *, a0: int = 0, a1: int = 0, a2: int = 0) -> int:
        """Return a number that depends on all that it was given."""
        if self.fails:
            raise LookupError(self.number)
        return (a0 * 31 + a1 * 7 + a2 * 3 + self.number) % 1_000_003

    async def arun(self, *, a0: int = 0, a1: int = 0, a2: int = 0) -> int:
        """Do the same, on a loop."""
        await asyncio.sleep(0)
        return self.run(a0=a0, a1=a1, a2=a2)


def color() -> Any:
    """Return the context variable."""
    return COLOR.get()


def paint(color: str) -> Any:
    """Set the context variable, and return what it was."""
    before = COLOR.get()
    COLOR.set(color)
    return before


def look(ctx: gofer.Context) -> dict[str, Any]:
    """Return what a job sees of its context."""
    return {
        "current": gofer.current_context() is ctx,
        "value": ctx.value("user"),
        "remaining": ctx.remaining(),
        "cancelled": ctx.cancelled,
    }


def nested(start: str) -> list[int]:
    """Run a pool of worker processes in this one."""
    from gofer.backends.processes import ProcessBackend

    backend = ProcessBackend(1, start=start)
    try:
        return [os.getpid(), *gofer.map(take_pid, range(2), backend=backend)]
    finally:
        backend.close()


def take_pid(_: object) -> int:
    """Return which process this is."""
    return os.getpid()


def run_inside() -> Any:
    """Run a manager in this process, in threads."""
    return gofer.JobManager([gofer.job(lambda: 2, name="two")]).execute().results


def kind_of(thing: Any) -> tuple[str, int]:
    """Return its type and its length."""
    return type(thing).__name__, len(thing)


def double_bytes(data: bytes) -> bytes:
    """Return twice as much."""
    return data + data


def write_into(data: bytearray) -> bytearray:
    """Write to it, and return it."""
    data[0] = 9
    return data


class Buffer:
    """What an array is to pickle: bytes that travel beside it."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> Any:
        import pickle

        return Buffer, (pickle.PickleBuffer(self.data),)


def add_one(buffer: Buffer) -> Buffer:
    """Return another, changed."""
    return Buffer(
        bytearray([(each + 1) % 256 for each in memoryview(buffer.data)[:8]]) + bytearray(1 << 17)
    )


def first_byte(ctx: gofer.Context, param: Any) -> int:
    """Return the first byte of a buffer in a dict."""
    return int(memoryview(param["buffer"].data)[0])


def say(text: str) -> None:
    """Print."""
    print(text)  # noqa: T201


def leave_thread() -> int:
    """Leave a thread behind that never ends."""
    threading.Thread(target=time.sleep, args=(3600,)).start()
    return os.getpid()


def allocate(size: int) -> int:
    """Want that much memory."""
    return len(bytearray(size))


def close_all_and_go_on(folder: str) -> str:
    """Close all descriptors, as a daemon does; end when somebody has noticed."""
    os.closerange(3, 256)
    assert wait_for(folder, "noticed")
    return "done"
