"""The errors: facts as attributes, words for people, and all of them through a pickle."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import gofer
from gofer import errors
from gofer.errors import describe

EXAMPLES: list[tuple[BaseException, dict[str, Any], str]] = [
    (errors.GoferError("something"), {}, "something"),
    (errors.PlanError("something"), {}, "something"),
    (
        errors.CycleError(("a", "b", "a")),
        {"cycle": ("a", "b", "a")},
        "jobs need each other in a circle: a -> b -> a",
    ),
    (
        errors.UnknownNeedError("tips", "order", "orders"),
        {"job": "tips", "need": "order", "suggestion": "orders"},
        "job 'tips' needs 'order', which no job provides; did you mean 'orders'?",
    ),
    (
        errors.UnknownNeedError("tips", "weather"),
        {"job": "tips", "need": "weather", "suggestion": None},
        "job 'tips' needs 'weather', which no job provides",
    ),
    (
        errors.UnknownJobError("order", "orders"),
        {"job": "order", "suggestion": "orders"},
        "the manager has no job 'order'; did you mean 'orders'?",
    ),
    (
        errors.UnknownJobError("weather"),
        {"job": "weather", "suggestion": None},
        "the manager has no job 'weather'",
    ),
    (
        errors.DuplicateNameError("user"),
        {"job": "user"},
        "two jobs are named 'user'; give one another name: job(fn, name=...)",
    ),
    (
        errors.JobDefinitionError("user", "is a class, not a job; write: user()"),
        {"job": "user", "reason": "is a class, not a job; write: user()"},
        "job 'user': is a class, not a job; write: user()",
    ),
    (
        errors.PolicyError("tips", "retry: on=() retries nothing"),
        {"job": "tips", "reason": "retry: on=() retries nothing"},
        "job 'tips': retry: on=() retries nothing",
    ),
    (
        errors.JobTimeout("tips", 0.3),
        {"job": "tips", "timeout": 0.3},
        "job 'tips' took longer than its timeout of 0.3 s",
    ),
    (
        errors.BreakerOpen("tips", 2.5),
        {"job": "tips", "retry_after": 2.5},
        "job 'tips' was not tried: its breaker is open, and lets calls through in 2.5 s",
    ),
    (
        errors.BreakerOpen("tips", 0.0),
        {"job": "tips", "retry_after": 0.0},
        (
            "job 'tips' was not tried: its breaker is open, and lets calls through after the "
            "call that tries"
        ),
    ),
    (
        errors.LimitDeadlock("tips", "db", 1, "page"),
        {"job": "tips", "limit": "db", "most": 1, "holder": "page"},
        (
            "job 'tips' would wait for ever: it runs inside job 'page', which holds a place of "
            "the limit 'db' (of 1) while it waits for this one; take the limit off one of them"
        ),
    ),
    (
        errors.JobSkipped("tips"),
        {"job": "tips"},
        "job 'tips' was skipped: its `when` said no",
    ),
    (
        errors.LimitError("manager 'page'", 0),
        {"owner": "manager 'page'", "limit": 0},
        "manager 'page': limit must be a whole number of at least 1, or None for no limit; got 0",
    ),
    (
        errors.BackendError("there is no backend 'proces'"),
        {"args": ("there is no backend 'proces'",)},
        "there is no backend 'proces'",
    ),
    (
        errors.JobCrashed("tips", "process 47", None, "SIGSEGV", "Stack\n  in tips\n"),
        {"job": "tips", "worker": "process 47", "exitcode": None, "signal": "SIGSEGV"},
        "job 'tips' crashed: its worker, process 47, was killed by SIGSEGV\nStack\n  in tips",
    ),
    (
        errors.NotPicklable("tips", "its argument 'client'.lock", "lock", "TypeError: cannot"),
        {"job": "tips", "what": "its argument 'client'.lock", "kind": "lock"},
        (
            "job 'tips' runs in another process, and its argument 'client'.lock does not travel: "
            "lock does not pickle (TypeError: cannot)"
        ),
    ),
    (
        errors.ParamIsCopy("tips", "param.rows"),
        {"job": "tips", "path": "param.rows"},
        (
            "job 'tips' wrote to param.rows, but it runs in another process, where the param is a "
            "copy; return the value instead: a job that needs 'tips', or the caller, can write it"
        ),
    ),
    (
        errors.RemoteError("Odd", "Odd: text"),
        {"kind": "Odd", "text": "Odd: text"},
        "Odd: text",
    ),
    (
        errors.WorkerFailed("no worker process could be started"),
        {"reason": "no worker process could be started"},
        "no worker process could be started",
    ),
    (
        errors.TypeHintError(("a gives int, b takes str", "c gives int, d takes str")),
        {"contradictions": ("a gives int, b takes str", "c gives int, d takes str")},
        "a gives int, b takes str\nc gives int, d takes str",
    ),
    (
        errors.LockDeadlock("cart"),
        {"lock": "cart"},
        (
            "ctx.lock('cart') would wait for ever: this job holds it already, or a job that it "
            "runs in does"
        ),
    ),
    (errors.RacesFound(("one", "two")), {"races": ("one", "two")}, "one\ntwo"),
    (errors.FrozenError("too late"), {}, "too late"),
    (errors.GroupClosed("too late"), {}, "too late"),
    (errors.RunningLoopError("write: await"), {}, "write: await"),
    (errors.InvalidTransition("no"), {}, "no"),
    (
        errors.JobPanic("user", "SystemExit: 3"),
        {"job": "user", "reason": "SystemExit: 3"},
        "job 'user' panicked: SystemExit: 3",
    ),
    (
        errors.NotAwaitedError("user", "coroutine"),
        {"job": "user", "kind": "coroutine"},
        "job 'user' returned a coroutine: is it async? Write `async def` and `return await ...`",
    ),
    (
        errors.NoResult("user", "it failed: OSError"),
        {"job": "user", "reason": "it failed: OSError"},
        "job 'user' has no result: it failed: OSError",
    ),
    (errors.DeadlineExceeded(), {}, "the deadline has passed"),
    (errors.DeadlineExceeded("too late"), {}, "too late"),
    (errors.Cancelled(), {"cause": None}, "the context was cancelled"),
    (errors.Cancelled("enough"), {"cause": "enough"}, "the context was cancelled: enough"),
    (errors.Cancelled(0), {"cause": 0}, "the context was cancelled: 0"),
]

each_error = pytest.mark.parametrize(
    ("error", "facts", "words"), EXAMPLES, ids=[f"{type(each[0]).__name__}" for each in EXAMPLES]
)


def public_errors() -> set[type]:
    found = {getattr(gofer, name) for name in gofer.__all__}
    found |= {each for each in vars(errors).values() if isinstance(each, type)}
    return {each for each in found if isinstance(each, type) and issubclass(each, BaseException)}


def test_no_error_is_missing_from_these_tests() -> None:
    """Whoever adds an error adds an example of it here."""
    assert {type(error) for error, _, _ in EXAMPLES} == public_errors()


@each_error
def test_an_error_says_what_it_knows(
    error: BaseException, facts: dict[str, Any], words: str
) -> None:
    """Facts are attributes, and the message is made of them."""
    assert str(error) == words
    assert {name: getattr(error, name) for name in facts} == facts
    assert type(error).__name__ in repr(error)


@each_error
@pytest.mark.parametrize(
    "carry",
    [
        *(
            lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol))
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
        ),
        copy.copy,
        copy.deepcopy,
    ],
    ids=[*(f"pickle{i}" for i in range(pickle.HIGHEST_PROTOCOL + 1)), "copy", "deepcopy"],
)
def test_an_error_survives_its_way_to_another_process(
    error: BaseException,
    facts: dict[str, Any],
    words: str,
    carry: Callable[[BaseException], BaseException],
) -> None:
    """Type, facts, words and notes are there again."""
    error = type(error)(*error.args)  # not a copy: others change how errors are copied (tblib)
    error.add_note("job 'user' failed")
    there = carry(error)
    assert there is not error
    assert type(there) is type(error)
    assert {name: getattr(there, name) for name in facts} == facts
    assert str(there) == words
    assert there.args == error.args
    assert there.__notes__ == ["job 'user' failed"]


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.PlanError, ValueError),
        (errors.JobDefinitionError, TypeError),
        (errors.TypeHintError, TypeError),
        (errors.NotAwaitedError, TypeError),
        (errors.UnknownJobError, KeyError),
        (errors.NoResult, KeyError),
        (errors.FrozenError, RuntimeError),
        (errors.GroupClosed, RuntimeError),
        (errors.RunningLoopError, RuntimeError),
        (errors.InvalidTransition, RuntimeError),
        (errors.DeadlineExceeded, TimeoutError),
    ],
)
def test_an_error_is_what_plain_code_would_have_raised(error: type, builtin: type) -> None:
    """So code that knows nothing of Gofer catches it."""
    assert issubclass(error, builtin)
    assert issubclass(error, errors.GoferError)


def test_all_that_refuses_a_manager_is_a_plan_error() -> None:
    """One `except` is enough for what is wrong before anything runs."""
    refusals = {
        errors.BackendError,
        errors.CycleError,
        errors.DuplicateNameError,
        errors.JobDefinitionError,
        errors.LimitError,
        errors.PolicyError,
        errors.TypeHintError,
        errors.UnknownJobError,
        errors.UnknownNeedError,
    }
    assert {each for each in public_errors() if issubclass(each, errors.PlanError)} == {
        errors.PlanError,
        *refusals,
    }


def test_a_cancellation_passes_by_an_except_exception() -> None:
    """As asyncio's does, of which it is none: each is for its own kind of code."""
    assert not issubclass(errors.Cancelled, Exception)
    assert not issubclass(errors.Cancelled, asyncio.CancelledError)
    assert not issubclass(errors.Cancelled, errors.DeadlineExceeded)
    assert not issubclass(errors.DeadlineExceeded, errors.Cancelled)


class Hostile(Exception):
    """An error that raises another when it is printed."""

    def __init__(self, answer: object) -> None:
        super().__init__("secret")
        self.answer = answer

    def __str__(self) -> str:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer  # type: ignore[return-value]

    __repr__ = __str__


class HostileText(str):
    """A text that does not let itself be taken apart."""

    __slots__ = ()

    def partition(self, _: str) -> Any:
        raise RuntimeError("no")

    __str__ = __format__ = __len__ = __bool__ = partition  # type: ignore[assignment]


@pytest.mark.parametrize(
    "answer",
    [
        ValueError("x"),
        SystemExit(3),
        GeneratorExit(),
        asyncio.CancelledError(),
        errors.Cancelled(),
        RecursionError(),
        None,
        7,
    ],
    ids=repr,
)
def test_an_error_that_cannot_be_printed_is_described_all_the_same(answer: object) -> None:
    """Whatever its ``__str__`` raises or returns, the description is there."""
    assert describe(Hostile(answer)) == "<unprintable Hostile>"
    assert str(errors.Cancelled(Hostile(answer))) == (
        "the context was cancelled: <unprintable Hostile>"
    )


def test_a_text_that_is_not_quite_a_text_is_no_way_to_break_a_description() -> None:
    """A ``__str__`` may return a subclass of str, and that may override anything."""
    assert describe(Hostile(HostileText("a\nb"))) == "<unprintable Hostile>"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (ValueError("no such user"), "ValueError: no such user"),
        (ValueError("first line\nsecond line"), "ValueError: first line"),
        (ValueError(), "ValueError"),
        (ValueError(""), "ValueError"),
        (ValueError("\nsecond line"), "ValueError"),
        (KeyError("user"), "KeyError: 'user'"),
        (errors.CycleError(("a", "a")), "CycleError: jobs need each other in a circle: a -> a"),
        (SystemExit(3), "SystemExit: 3"),
        (ExceptionGroup("two", [OSError(), OSError()]), "ExceptionGroup: two (2 sub-exceptions)"),
        ("enough\nand more", "enough"),
        (7, "7"),
        (None, "None"),
    ],
)
def test_a_description_is_the_type_and_the_first_line(given: object, text: str) -> None:
    """Of an error; of anything else it is the first line alone."""
    assert describe(given) == text
