"""Jobs whose behaviour a test lays down, and which it watches."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from gofer import _parts
from gofer._job import job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gofer._context import Context
    from gofer._job import FunctionJob

    Errors = BaseException | type[BaseException] | Mapping[int, BaseException | type[BaseException]]

MUST, MAY, MUST_NOT = "must run", "may run", "must not run"


class ScriptedJob:
    """What a test knows of a job that it has laid down, and can do with it.

    Attributes:
        name: The job's name.
        attempts: How often it was begun, over all runs.
        ended: How often it ended well.

    Thread safety: all methods may be called from any thread.
    """

    def __init__(
        self,
        name: str,
        duty: str,
        *,
        returns: Any,
        fails: Errors | None,
        takes: float,
        blocks: bool,
    ) -> None:
        self.name = name
        self.attempts = self.ended = 0
        self._duty, self._returns, self._fails, self._takes = duty, returns, fails, takes
        self._blocks = blocks
        self._lock = threading.Lock()
        self._begun = threading.Event()
        self._waiting: list[Callable[[], object]] = []

    def release(self) -> None:
        """Let it go on if it blocks, and never block again."""
        with self._lock:
            self._blocks = False
            waiting, self._waiting = self._waiting, []
        for wake in waiting:
            wake()

    def wait_begun(self, timeout: float = 30.0) -> None:
        """Wait until it has been begun once, in real time.

        Raises:
            TimeoutError: It was not, in so many seconds.
        """
        if not self._begun.wait(timeout):
            raise TimeoutError(f"job {self.name!r} has not begun in {timeout:g} s")

    def problem(self) -> str | None:
        """Return what has become of it against the script, or None."""
        if self._duty == MUST and not self.attempts:
            return f"job {self.name!r} must run, and did not"
        if self._duty == MUST_NOT and self.attempts:
            return f"job {self.name!r} must not run, and was begun {self.attempts} time(s)"
        return None

    def _begin(self) -> BaseException | type[BaseException] | None:
        """Count an attempt; return what it is to fail with."""
        with self._lock:
            self.attempts += 1
            number = self.attempts
        self._begun.set()
        return self._fails.get(number) if isinstance(self._fails, Mapping) else self._fails

    def _end(self, error: BaseException | type[BaseException] | None) -> Any:
        if error is not None:
            raise error
        with self._lock:
            self.ended += 1
        return self._returns

    def _wait(self, wake: Callable[[], object]) -> bool:
        """Have something called when it is released; return whether that is still to come."""
        with self._lock:
            if self._blocks:
                self._waiting.append(wake)
            return self._blocks

    def play(self, ctx: Context) -> Any:
        """Be the job, in a thread."""
        error = self._begin()
        if self._takes > 0:
            ctx.sleep(self._takes)
        gate = threading.Lock()
        gate.acquire()

        def wake() -> None:
            try:
                gate.release()
            except RuntimeError:  # it is open already
                return

        forget = ctx.on_cancel(wake)
        try:
            while self._wait(wake) and not ctx.cancelled:
                _parts.wait(gate, ctx.remaining())
        finally:
            forget()
        ctx.check()
        return self._end(error)

    async def aplay(self) -> Any:
        """Be the job, on an event loop."""
        error = self._begin()
        loop = _parts.running_loop()
        future = loop.create_future()

        def look() -> None:
            if not future.done():
                future.set_result(None)

        if self._takes > 0:
            timer = _parts.call_later(loop, self._takes, look)
            try:
                await future
            finally:
                timer.cancel()
            future = loop.create_future()
        if self._wait(lambda: loop.call_soon_threadsafe(look)):
            await future
        return self._end(error)


class Script:
    """The jobs of a test, by name: ``script["tips"].attempts``; see ``scripted``.

    Each of the three methods makes a job for a manager:

    Args:
        name: The job's name.
        returns: Its result.
        fails: What it raises: an error for every attempt, or by number, from 1.
        takes: Seconds on Gofer's clock; none in a ``virtual_clock`` or under ``explore``.
        blocks: Whether it waits until ``script[name].release()``, or until its run is stopped.
        is_async: Whether it is an async job.
        options: The rest of what ``gofer.job`` takes: ``after``, ``needs``, policies.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, ScriptedJob] = {}

    def must_run(self, name: str, **options: Any) -> FunctionJob[..., Any, Any]:
        """Make a job that is to be begun at least once."""
        return self._made(name, MUST, **options)

    def may_run(self, name: str, **options: Any) -> FunctionJob[..., Any, Any]:
        """Make a job of which nothing is expected."""
        return self._made(name, MAY, **options)

    def must_not_run(self, name: str, **options: Any) -> FunctionJob[..., Any, Any]:
        """Make a job that is never to be begun."""
        return self._made(name, MUST_NOT, **options)

    def _made(
        self,
        name: str,
        duty: str,
        *,
        returns: Any = None,
        fails: Errors | None = None,
        takes: float = 0.0,
        blocks: bool = False,
        is_async: bool = False,
        **options: Any,
    ) -> FunctionJob[..., Any, Any]:
        if name in self._jobs:
            raise ValueError(f"the script has a job {name!r} already")
        played = self._jobs[name] = ScriptedJob(
            name, duty, returns=returns, fails=fails, takes=takes, blocks=blocks
        )

        def plain(ctx: Context) -> Any:
            return played.play(ctx)

        async def on_loop() -> Any:
            return await played.aplay()

        made: Any = job(on_loop if is_async else plain, name=name, **options)
        return made  # type: ignore[no-any-return]

    def __getitem__(self, name: str) -> ScriptedJob:
        return self._jobs[name]

    def check(self) -> None:
        """Do nothing if all went by the script.

        Raises:
            AssertionError: Something did not; all of it is in the message.
        """
        problems = [each.problem() for each in self._jobs.values()]
        found = [each for each in problems if each is not None]
        if found:
            raise AssertionError("; ".join(found))

    def release(self, names: Iterable[str] | None = None) -> None:
        """Let jobs go on that block; None means all."""
        for name in self._jobs if names is None else names:
            self._jobs[name].release()


@contextmanager
def scripted() -> Iterator[Script]:
    """Lay down what jobs do and whether they may run, for a test of what is around them.

    At the end of the block it is checked which jobs have run, unless the block raised; jobs that
    still block are let go in any case.

    Raises:
        AssertionError: At the end: a job ran that must not, or one did not that must.

    Thread safety: jobs may be made, released and asked from any thread.

    Example:
        >>> from gofer import JobManager
        >>> from gofer.testing import virtual_clock
        >>> with virtual_clock(), scripted() as script:
        ...     flaky = script.must_run("flaky", fails={1: ConnectionError("no")}, retry=2)
        ...     broken = script.must_run("broken", fails=ValueError, after=["flaky"])
        ...     never = script.must_not_run("never", after=["broken"])
        ...     run = JobManager([flaky, broken, never]).execute(check=False)
        >>> run.error, script["flaky"].attempts, script["flaky"].ended
        (ValueError(), 2, 1)
    """
    script = Script()
    try:
        yield script
    finally:
        script.release()
    script.check()
