"""JobHandle: the name, the arguments and the end of one job of a group."""

from __future__ import annotations

import functools
import inspect
import sys
from typing import Any

import pytest

import gofer
from gofer import Cancelled, JobHandle, NoResult, current_context, job

from .groups import Crew, must_not_start, nothing


async def fetch(url: str, *, retries: int = 0) -> str:
    """Return what was given."""
    return f"{url}, {retries}"


async def test_a_handle_names_its_job_by_function_and_number(backend: Any) -> None:
    """The number is the place in the group, over all functions, from 0."""
    async with Crew(backend, limit=3) as crew:
        handles = [await crew.go(fetch, f"/{i}") for i in range(18)]
        other = await crew.go(nothing)

    assert [handle.name for handle in handles] == [f"fetch[{i}]" for i in range(18)]
    assert other.name == "nothing[18]"


async def test_a_handle_has_what_the_job_was_given_and_what_it_returned(backend: Any) -> None:
    """``args`` are the positional ones; ``error`` is None, and ``result()`` may be asked twice."""
    async with Crew(backend) as crew:
        handle = await crew.go(fetch, "/", retries=3)

    assert isinstance(handle, JobHandle)
    assert handle.args == ("/",)
    assert (handle.state, handle.done, handle.ok, handle.error) == ("succeeded", True, True, None)
    assert handle.result() == handle.result() == "/, 3"
    assert repr(handle) == "<JobHandle 'fetch[0]' succeeded>"


@pytest.mark.parametrize("value", [None, False, 0, (), {}, NotImplemented, ValueError("a value")])
async def test_any_value_is_a_result(backend: Any, value: object) -> None:
    """Neither what is false nor an exception that was returned is taken for something else."""

    async def give() -> object:
        return value

    async with Crew(backend) as crew:
        handle = await crew.go(give)

    assert handle.ok
    assert handle.result() is value


async def test_the_handle_of_a_failed_job_raises_its_own_error(backend: Any) -> None:
    """The same object, as often as it is asked; it collects no notes by that."""

    async def fails() -> None:
        raise ConnectionError("refused")

    handles = []
    with pytest.raises(ConnectionError) as caught:
        async with Crew(backend) as crew:
            handles.append(await crew.go(fails))
    (handle,) = handles
    assert (handle.state, handle.done, handle.ok) == ("failed", True, False)
    assert handle.error is caught.value

    before = list(caught.value.__notes__)
    for _ in range(5):
        with pytest.raises(ConnectionError) as again:
            handle.result()
        assert again.value is caught.value
    assert caught.value.__notes__ == before


def test_a_handle_that_is_asked_again_and_again_does_not_lengthen_the_traceback() -> None:
    """It says where the job failed, not how often somebody looked."""

    def fails(item: int) -> None:
        raise ConnectionError("refused")

    (handle,) = gofer.map(fails, [0], check=False)
    lengths = set()
    for _ in range(5):
        with pytest.raises(ConnectionError) as caught:
            handle.result()
        lengths.add(len(caught.traceback))
    assert len(lengths) == 1


async def test_the_handle_of_a_job_that_has_not_ended_has_no_result(backend: Any) -> None:
    """``result()`` never blocks: it raises NoResult, which names the job and its state."""
    started, release = backend.Event(), backend.Event()

    async def hold() -> str:
        started.set()
        await release.wait()
        return "held"

    async def adds() -> Any:
        handle = await crew.go(nothing)
        told.append((handle.state, handle.done, handle.ok, handle.error))
        with pytest.raises(NoResult, match=r"'nothing\[1\]'.*ready"):
            handle.result()
        return handle

    told: list[object] = []
    async with Crew(backend) as crew:
        running = await crew.go(hold)
        await started.wait()
        with pytest.raises(NoResult, match=r"'hold\[0\]'.*running"):
            running.result()
        assert (running.state, running.done, running.ok) == ("running", False, False)
        release.set()
    async with Crew(backend, limit=1) as crew:
        waiting = await crew.go(adds)

    assert running.result() == "held"
    assert told == [("ready", False, False, None)]
    assert waiting.result().ok


async def test_the_handles_of_a_cancelled_group_say_what_became_of_each(backend: Any) -> None:
    """Who was running is cancelled, who waited is not started; neither has a result or an error."""

    async def hold() -> None:
        waiting.append(await crew.go(must_not_start))
        added.set()
        await backend.until_cancelled(current_context())

    waiting: list[Any] = []
    added = backend.Event()
    with pytest.raises(Cancelled):
        async with Crew(backend, limit=1) as crew:
            running = await crew.go(hold)
            await added.wait()
            crew.context.cancel()

    assert (running.state, running.done, running.ok, running.error) == (
        "cancelled",
        True,
        False,
        None,
    )
    assert [(each.state, each.done, each.ok) for each in waiting] == [("not started", True, False)]
    for handle, state in ((running, "cancelled"), (waiting[0], "not started")):
        with pytest.raises(NoResult, match=state):
            handle.result()


# Names, and what counts as a job


class Fetcher:
    """Callable objects and methods, sync and async."""

    def __call__(self, url: str) -> str:
        return f"called {url}"

    def method(self, url: str) -> str:
        return f"method {url}"

    @classmethod
    def of_class(cls, url: str) -> str:
        return f"{cls.__name__} {url}"

    async def amethod(self, url: str) -> str:
        return f"amethod {url}"

    @job
    async def as_job(self, url: str) -> str:
        """Be a job, and a method."""
        return f"as_job {url}"


class AsyncFetcher:
    """An object that is called with ``await``."""

    async def __call__(self, url: str) -> str:
        return f"awaited {url}"


@job
def tips(url: str) -> str:
    """Be a plain job."""
    return f"tips {url}"


@job(name="advice")
async def atips(url: str) -> str:
    """Be an async job with a name of its own."""
    return f"advice {url}"


async def afetch(url: str) -> str:
    """Be a plain async function."""
    return f"afetch {url}"


CALLABLES: dict[str, tuple[Any, str, str]] = {
    "lambda": (lambda url: f"lambda {url}", "<lambda>[0]", "lambda /"),
    "builtin": (str.upper, "upper[0]", "/"),
    "class": (str, "str[0]", "/"),
    "async function": (afetch, "afetch[0]", "afetch /"),
    "bound method": (Fetcher().method, "method[0]", "method /"),
    "class method": (Fetcher.of_class, "of_class[0]", "Fetcher /"),
    "async bound method": (Fetcher().amethod, "amethod[0]", "amethod /"),
    "callable object": (Fetcher(), "Fetcher[0]", "called /"),
    "async callable object": (AsyncFetcher(), "AsyncFetcher[0]", "awaited /"),
    "partial": (functools.partial(Fetcher().method), "method[0]", "method /"),
    "partial of a partial": (functools.partial(functools.partial(str)), "str[0]", "/"),
    "partial of an async function": (functools.partial(afetch), "afetch[0]", "afetch /"),
    "partial of an async object": (
        functools.partial(AsyncFetcher()),
        "AsyncFetcher[0]",
        "awaited /",
    ),
    "job": (tips, "tips[0]", "tips /"),
    "async job": (atips, "advice[0]", "advice /"),
    "method that is a job": (Fetcher().as_job, "as_job[0]", "as_job /"),
    "partial of a job": (functools.partial(tips), "tips[0]", "tips /"),
    "partial of an async job": (functools.partial(atips), "advice[0]", "advice /"),
    "job of an async partial": (
        job(functools.partial(afetch), name="made"),
        "made[0]",
        "afetch /",
    ),
    "job of an async object": (job(AsyncFetcher(), name="made"), "made[0]", "awaited /"),
}


@pytest.mark.parametrize("backend", ["threads", "loop"], indirect=True)
@pytest.mark.parametrize("what", CALLABLES)
async def test_whatever_can_be_called_is_a_job_and_has_a_name(backend: Any, what: str) -> None:
    """Whether it is awaited is found out, and so is a name that people understand."""
    fn, name, result = CALLABLES[what]
    async with Crew(backend) as crew:
        handle = await crew.go_as_it_is(fn, "/")

    assert handle.name == name
    assert handle.result() == result


@pytest.mark.skipif(sys.version_info < (3, 12), reason="functions cannot be marked as async")
@pytest.mark.parametrize("backend", ["threads", "loop"], indirect=True)
async def test_what_is_only_marked_as_async_fails_and_does_not_hang(backend: Any) -> None:
    """A function may promise something to await, and return something else."""

    def breaks_its_promise() -> int:
        return 7

    marked = inspect.markcoroutinefunction(breaks_its_promise)
    with pytest.raises(TypeError, match="int"):
        async with Crew(backend) as crew:
            await crew.go_as_it_is(marked)


async def test_options_of_the_callable_never_collide_with_the_groups(backend: Any) -> None:
    """``fn`` and ``self`` are positional-only, so the callable may have such keywords itself."""

    def keywords(**given: int) -> dict[str, int]:
        return given

    given = {"fn": 1, "self": 2, "limit": 3, "name": 4, "ctx": 5, "args": 6, "kwargs": 7}
    async with Crew(backend) as crew:
        handle = await crew.go_as_it_is(keywords, **given)
        tried = crew.group.try_go(keywords, **given)

    assert handle.result() == given
    assert tried is not None
    assert tried.result() == given
