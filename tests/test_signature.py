"""The signature rule: what a job gets, and what is refused before anything runs."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable
from typing import Any

import pytest

from gofer import Context, JobManager, Run, job
from gofer.errors import DuplicateNameError, JobDefinitionError, PlanError, UnknownNeedError


def run(*jobs: Any, param: Any = "param") -> Run:
    """Execute some jobs."""
    return JobManager(jobs).execute(Context(), param)


@job
def one() -> int:
    return 1


class Called:
    """An object that is called like a function."""

    def __call__(self, ctx: Context, param: Any) -> tuple[Any, ...]:
        return (ctx, param)

    def method(self, ctx: Context, *, one: int) -> tuple[Any, ...]:
        return (ctx, one)


def decorated(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return call


@pytest.mark.parametrize(
    ("fn", "needs", "taken"),
    [
        (lambda: (), {}, ()),
        (lambda ctx: (ctx,), {}, ("ctx",)),
        (lambda ctx, param: (ctx, param), {}, ("ctx", "param")),
        (lambda a, b, /: (a, b), {}, ("ctx", "param")),
        (lambda *args: args, {}, ("ctx", "param")),
        (lambda ctx, *rest: (ctx, *rest), {}, ("ctx", "param")),
        (lambda **kwargs: tuple(kwargs), {}, ()),
        # What has a default is not the run's.
        (lambda a=5: (a,), {}, (5,)),
        (lambda ctx, a=5: (ctx, a), {}, ("ctx", 5)),
        (lambda ctx, param, a=5: (ctx, param, a), {}, ("ctx", "param", 5)),
        (lambda ctx, a=5, *rest: (ctx, a, rest), {}, ("ctx", 5, ())),
        # Keyword-only parameters are results, by name; with a default, where there is such a job.
        (lambda *, one: (one,), {}, (1,)),
        (lambda ctx, param, *, one: (ctx, param, one), {}, ("ctx", "param", 1)),
        (lambda *, one=5, other=6: (one, other), {}, (1, 6)),
        (lambda *args, one: (*args, one), {}, ("ctx", "param", 1)),
        # needs= wires whatever has a name.
        (lambda *, a: (a,), {"a": "one"}, (1,)),
        (lambda *, a=5: (a,), {"a": "one"}, (1,)),
        (lambda a: (a,), {"a": "one"}, (1,)),
        (lambda a, b: (a, b), {"a": "one", "b": "one"}, (1, 1)),
        (lambda ctx, a: (ctx, a), {"a": "one"}, ("ctx", 1)),
        (lambda ctx, a, *, b: (ctx, a, b), {"a": "one", "b": "one"}, ("ctx", 1, 1)),
        (lambda ctx, param, a: (ctx, param, a), {"a": "one"}, ("ctx", "param", 1)),
        (lambda ctx, a=5: (ctx, a), {"a": "one"}, ("ctx", 1)),
        (lambda **kwargs: tuple(kwargs.items()), {"a": "one"}, (("a", 1),)),
        (lambda a, *rest: (a, rest), {"a": "one"}, (1, ())),
        (lambda ctx, a=5, *rest: (ctx, a, rest), {"a": "one"}, ("ctx", 1, ())),
        # What is not a plain function is looked through.
        (Called(), {}, ("ctx", "param")),
        (Called().method, {}, ("ctx", 1)),
        (functools.partial(lambda a, ctx: (a, ctx), 7), {}, (7, "ctx")),
        (functools.partial(lambda ctx, *, one, b: (one, b), b=8), {}, (1, 8)),
        (functools.partial(functools.partial(Called()), param=9), {}, ("ctx", 9)),
        (functools.partial(lambda **kwargs: tuple(kwargs), b=2), {"a": "one"}, ("b", "a")),
        (decorated(lambda ctx, *, one: (ctx, one)), {}, ("ctx", 1)),
        (decorated(Called().method), {}, ("ctx", 1)),
    ],
)  # fmt: skip
def test_a_job_gets_what_its_signature_asks_for(
    fn: Callable[..., Any], needs: dict[str, str], taken: tuple[Any, ...]
) -> None:
    """Positional parameters are the run's, keyword-only ones other jobs' results."""
    result = run(one, job(fn, name="x", needs=needs))["x"]
    assert tuple("ctx" if isinstance(each, Context) else each for each in result) == taken


def test_functions_that_are_not_ours_can_be_wired() -> None:
    """There is no need to write one around them, where they can be called by keyword."""
    items = job(lambda: {"b": 1, "a": 2}, name="items")
    done = run(
        items,
        job(json.dumps, name="text", needs={"obj": items, "indent": "depth"}),
        job(lambda: None, name="depth"),
        job(lambda: True, name="sort_keys"),  # its optional parameters are wired by name, as ours
    )
    assert done["text"] == '{"a": 2, "b": 1}'


async def _function(ctx: Context, *, one: int) -> int:
    return one


class _AsyncCall:
    async def __call__(self, ctx: Context, *, one: int) -> int:
        return one

    do = method = __call__
    name = "x"


def _marked(ctx: Context, *, one: int) -> Any:
    return _function(ctx, one=one)


if hasattr(inspect, "markcoroutinefunction"):
    _marked = inspect.markcoroutinefunction(_marked)
else:
    _marked = _function


@pytest.mark.parametrize(
    "fn",
    [
        _function,
        _AsyncCall().method,
        _AsyncCall().__call__,
        functools.partial(_function),
        functools.partial(functools.partial(_AsyncCall())),
        job(_function),
        _marked,
    ],
)
def test_what_is_async_is_seen_before_it_is_called(fn: Any) -> None:
    """However it is wrapped; its result is what it returns in the end."""
    made = job(fn, name="x")
    assert made.is_async
    assert run(one, made)["x"] == 1
    assert run(one, _AsyncCall())["x"] == 1


# -- what is refused


def refused(*jobs: Any) -> JobDefinitionError:
    """Return the error of a manager that is refused at once, for a reason that it says."""
    with pytest.raises(JobDefinitionError) as caught:
        JobManager(jobs)
    assert isinstance(caught.value, PlanError)
    assert str(caught.value) == f"job {caught.value.job!r}: {caught.value.reason}"
    return caught.value


def test_three_positional_parameters_are_refused_with_the_line_to_write() -> None:
    """A run has two things to give; results are asked for by keyword."""

    def page(ctx: Any, param: Any, user: Any, tips: Any) -> None: ...

    error = refused(page)
    assert error.job == "page"
    assert "has 4 positional parameters, and a run gives two, (ctx, param)" in error.reason
    assert error.reason.endswith("def page(ctx, param, *, user, tips)")
    assert refused(job(page, needs={"tips": "one"}), one).reason.endswith(
        "def page(ctx, param, *, user)"
    )


def _generator() -> Any:
    yield 1


async def _async_generator() -> Any:
    yield 1


class _Generators:
    name = "generators"

    def do(self, ctx: Context, param: Any, /) -> Any:
        yield 1

    async def stream(self) -> Any:
        yield 1

    def __call__(self) -> Any:
        yield 1


@pytest.mark.parametrize(
    "given",
    [
        _generator,
        _async_generator,
        _Generators(),
        _Generators().stream,
        job(_Generators().__call__, name="x"),
        job(functools.partial(_generator), name="x"),
        job(functools.partial(_async_generator), name="x"),
        job(staticmethod(_generator), name="x"),
    ],
)
def test_a_generator_function_is_refused(given: Any) -> None:
    """Calling it would run nothing; what to write instead is said."""
    error = refused(given)
    assert error.job in ("_generator", "_async_generator", "generators", "stream", "x")
    assert "is a generator function; it would not run. Return a list instead" in error.reason


@pytest.mark.parametrize(
    ("fn", "needs", "words"),
    [
        (lambda *, order: 0, {"orders": "one"}, "'orders' to wire; did you mean 'order'?"),
        (lambda: 0, {"a": "one"}, "has no parameter 'a' to wire"),
        (lambda a, b: 0, {"a": "one"}, "a positional parameter that stands before 'b'; wire both"),
        (lambda a, /: 0, {"a": "one"}, "'a' is positional-only"),
        (lambda ctx, a=5, /: 0, {"a": "one"}, "'a' is positional-only"),
        (lambda ctx, /, **kwargs: 0, {"ctx": "one"}, "'ctx' is positional-only"),
        (len, {"obj": "one"}, "'obj' is positional-only"),
    ],
)  # fmt: skip
def test_a_wire_that_leads_nowhere_is_refused(
    fn: Callable[..., Any], needs: dict[str, str], words: str
) -> None:
    """Before anything runs, with the parameter that was meant."""
    error = refused(one, job(fn, name="x", needs=needs))
    assert error.job == "x"
    assert words in error.reason


def test_a_signature_that_cannot_be_read_is_refused() -> None:
    """Some built-in functions have none; they want a lambda around them."""

    class Unreadable(Called):
        __signature__ = 7

    with pytest.raises(TypeError):
        inspect.signature(Unreadable())
    error = refused(job(Unreadable(), name="x"))
    assert error.reason == "its signature cannot be read; wrap it: job(lambda: fn(...), name='...')"


class Nameless:
    def __call__(self) -> int:
        return 1


class NumberedJob:
    name = 7

    def do(self, ctx: Context, param: Any, /) -> None: ...


class Undoable:
    name = "undoable"
    do = "nothing"


@pytest.mark.parametrize(
    ("given", "name", "words"),
    [
        (lambda: 1, "<lambda>", "a lambda has no name; write: job(lambda: ..., name='...')"),
        (Nameless(), "Nameless", "has no name; write: job(fn, name='...')"),
        (functools.partial(len, []), "partial", "has no name; write: job(fn, name='...')"),
        (NumberedJob(), "NumberedJob", "has no name; write: job(fn, name='...')"),
        (NumberedJob, "NumberedJob", "is a class, not a job; write: NumberedJob()"),
        (Undoable(), "undoable", "a Undoable is not a job; it has no do(ctx, param)"),
        (7, "int", "is not a job; it has no do(ctx, param)"),
        ("one", "str", "is not a job; it has no do(ctx, param)"),
        (None, "NoneType", "is not a job; it has no do(ctx, param)"),
        (job(lambda: 1, name=""), "", "a name must be a string that is not empty"),
        (job(lambda: 1, name=7), "7", "a name must be a string that is not empty"),  # type: ignore[call-overload]
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_job_is_refused(given: Any, name: str, words: str) -> None:
    """With what to write instead, where that can be known."""
    error = refused(given)
    assert (error.job, error.reason) == (name, words)


WHEN = "when must be a plain function of two: when=lambda ctx, param: ..."


@pytest.mark.parametrize(
    "when",
    [
        lambda ctx, param: False,
        lambda *both: False,
        lambda ctx, param=None, *, strict=True: False,
        {(None, None): False}.get,  # not a function: nobody can look into it
        functools.partial(lambda number, ctx, param: False, 1),
    ],
)
def test_whatever_can_be_asked_with_two_is_a_predicate(when: Any) -> None:
    """Defaults and stars count; what cannot be looked into is believed."""
    assert job(lambda: 1, name="x", when=when).when is when


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"after": "one"}, "after must be a list of jobs: after=['one']"),
        ({"after": b"one"}, "after must be a list of jobs: after=[b'one']"),
        ({"after": one}, "after must be a list of jobs: after=[<job 'one'>]"),
        ({"after": [7]}, "needs 7, which is neither a job nor a name"),
        ({"after": [None]}, "needs None, which is neither a job nor a name"),
        ({"needs": ["one"]}, 'needs must be a dict: needs={"parameter": "job"}'),
        ({"needs": "one"}, 'needs must be a dict: needs={"parameter": "job"}'),
        ({"needs": {"a": 7}}, "needs 7, which is neither a job nor a name"),
        ({"when": True}, WHEN),
        ({"when": lambda: False}, WHEN),
        ({"when": lambda ctx: False}, WHEN),
        ({"when": lambda ctx, param, more: False}, WHEN),
        ({"when": lambda ctx, param, *, one: False}, WHEN),
        ({"when": _function}, WHEN),  # async: a coroutine is true, whatever it would answer
    ],
    ids=str,
)
def test_an_option_of_the_wrong_kind_is_refused_where_it_is_given(
    options: dict[str, Any], words: str
) -> None:
    """By ``job`` itself, so the traceback shows the line."""
    with pytest.raises(JobDefinitionError) as caught:
        job(lambda a: a, name="x", **options)
    assert (caught.value.job, caught.value.reason) == ("x", words)


def test_what_jobs_say_of_each_other_is_checked_by_the_manager() -> None:
    """Names that nobody has, names that two have."""
    with pytest.raises(UnknownNeedError, match=r"'x' needs 'ones', .*; did you mean 'one'?"):
        JobManager([one, job(lambda *, ones: 0, name="x")])
    with pytest.raises(UnknownNeedError, match="'x' needs 'ones'"):
        JobManager([one, job(lambda: 0, name="x", after=["ones"])])
    with pytest.raises(DuplicateNameError, match="two jobs are named 'one'"):
        JobManager([one, job(lambda: 0, name="one")])


@pytest.mark.parametrize("fn", [_function, lambda: 1], ids=["async", "sync"])
def test_a_manager_that_is_a_job_says_itself_whether_it_is_async(fn: Any) -> None:
    """Its ``do`` is a plain method, but what it returns must be awaited if any of its jobs is."""
    inner = JobManager([one, job(fn, name="x")], name="inner")
    made = JobManager([inner]).jobs[0]
    assert made.is_async == inner.is_async == (fn is _function)
    assert run(inner)["inner"]["x"] == 1
