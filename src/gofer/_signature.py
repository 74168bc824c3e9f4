"""The signature rule: what a callable takes of a run, read once when a manager is built.

Positional parameters without a default are the run's: none, ``(ctx)`` or ``(ctx, param)``.
Keyword-only parameters are other jobs' results, by job name; one with a default is wired only where
the manager has a job of that name.

``inspect`` is slow to import, so plain functions are read from their code object.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from gofer.errors import JobDefinitionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_VARIADIC, _VARIADIC_KEYWORDS, _GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 4, 8, 32, 128, 512


def is_async(fn: Any) -> bool:
    """Return whether calling ``fn`` gives something to await, as far as one can see."""
    if type(fn) is not _Function:
        owner = getattr(fn, "__self__", None)
        said = getattr(owner, "is_async", None)
        if isinstance(said, bool) and getattr(fn, "__name__", "") == "do":
            return said  # a nested manager knows
        fn = _function_of(fn)
    code = getattr(fn, "__code__", None)
    return bool(code is not None and code.co_flags & _COROUTINE) or hasattr(
        fn,
        "_is_coroutine_marker",  # inspect.markcoroutinefunction, Python 3.12
    )


def flags_of(fn: Any) -> int:
    """Return 0 where one look shows that calling ``fn`` gives neither a generator nor an awaitable.

    So it is for most; the others want a second look, by ``refuse_generator`` and ``is_async``.
    """
    kind = type(fn)
    if kind is _Function:
        if hasattr(fn, "_is_coroutine_marker"):
            return _COROUTINE
        flags: int = fn.__code__.co_flags & (_GENERATOR | _COROUTINE | _ASYNC_GENERATOR)
        return flags
    return 0 if kind is _Builtin else _COROUTINE


def refuse_generator(fn: Any, name: str) -> None:
    """Do nothing unless calling ``fn`` would only make a generator.

    Raises:
        JobDefinitionError: It would.
    """
    code = getattr(_function_of(fn), "__code__", None)
    if code is not None and code.co_flags & (_GENERATOR | _ASYNC_GENERATOR):
        raise JobDefinitionError(
            name, "is a generator function; it would not run. Return a list instead"
        )


def check_predicate(when: Any, name: str) -> None:
    """Do nothing if ``when(ctx, param)`` can be asked, as far as one look shows.

    Raises:
        JobDefinitionError: It cannot; or it is async, and a coroutine would always mean yes.
    """
    fine = callable(when) and not is_async(when)
    if fine and type(when) is _Function and not hasattr(when, "__wrapped__"):
        required, defaulted, _, keywords, optional, flags = _read_code(when)
        most = len(required) + len(defaulted) + (2 if flags & _VARIADIC else 0)
        fine = len(required) <= 2 <= most and len(keywords) == len(optional)
    if not fine:
        raise JobDefinitionError(
            name, "when must be a plain function of two: when=lambda ctx, param: ..."
        )


def _function_of(fn: Any) -> Any:
    """Look through partials, bound methods and callable objects, to what runs in the end."""
    for _ in range(20):
        if hasattr(fn, "__code__"):
            break
        if hasattr(fn, "func") and hasattr(fn, "keywords"):  # functools.partial
            fn = fn.func
        elif hasattr(fn, "fn") and hasattr(fn, "do"):  # a job made of a function
            fn = fn.fn
        elif hasattr(fn, "__func__"):
            fn = fn.__func__
        else:
            call = getattr(type(fn), "__call__", None)
            if not hasattr(call, "__code__"):
                break
            fn = call
    return fn


class Signature:
    """What a job's callable takes.

    Attributes:
        nargs: How many of ``(ctx, param)`` it takes: 0, 1 or 2.
        wires: Parameter -> name of the job whose result it gets.
        optional: The parameters among them that are left out where there is no such job.
    """

    __slots__ = ("nargs", "optional", "wires")

    def __init__(self, fn: Any, name: str, needs: Mapping[str, str]) -> None:
        """Read it.

        Args:
            fn: The callable.
            name: The job's name, for messages.
            needs: Parameter -> name of the job whose result it gets, as far as said explicitly.

        Raises:
            JobDefinitionError: It breaks the signature rule.
        """
        refuse_generator(fn, name)
        if type(fn) is _Function and not hasattr(fn, "__wrapped__"):
            required, defaulted, unwirable, keywords, optional, flags = _read_code(fn)
        else:
            required, defaulted, unwirable, keywords, optional, flags = _read_signature(fn, name)
        wires = {arg: arg for arg in keywords}
        kept = [arg for arg in required if arg not in needs]
        if kept != required[: len(kept)]:
            raise JobDefinitionError(
                name, f"wires a positional parameter that stands before {kept[-1]!r}; wire both"
            )
        known = {*wires, *required, *defaulted}
        for arg, need in needs.items():
            if arg in unwirable or (arg not in known and not flags & _VARIADIC_KEYWORDS):
                _refuse_wire(name, arg, known)
            wires[arg] = need
        if len(kept) > 2:
            _refuse_positionals(name, kept)
        self.wires = wires
        self.optional = [arg for arg in optional if arg not in needs]
        self.nargs = len(kept)
        if flags & _VARIADIC and kept == required and not defaulted:
            self.nargs = 2  # nothing stands between what the run gives and *args


_Function = type(is_async)
_Builtin = type(len)
_Read = tuple[list[str], list[str], list[str], list[str], list[str], int]


def _read_code(fn: Any) -> _Read:
    """Return required positionals, defaulted ones, those that have no keyword; flags come last.

    Before the flags, the keyword-only ones, and the optional ones among them.
    """
    code = fn.__code__
    count = code.co_argcount
    names = code.co_varnames
    given = len(fn.__defaults__ or ())
    keywords = list(names[count : count + code.co_kwonlyargcount])
    optional = list(fn.__kwdefaults__ or ())
    return (
        list(names[: count - given]),
        list(names[count - given : count]),
        list(names[: code.co_posonlyargcount]),
        keywords,
        optional,
        code.co_flags,
    )


def _read_signature(fn: Any, name: str) -> _Read:
    import inspect

    try:
        parameters = inspect.signature(fn).parameters.values()
    except (ValueError, TypeError):
        raise JobDefinitionError(
            name, "its signature cannot be read; wrap it: job(lambda: fn(...), name='...')"
        ) from None
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    keyword = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    kinds = {p.kind for p in parameters}
    flags = _VARIADIC if inspect.Parameter.VAR_POSITIONAL in kinds else 0
    if inspect.Parameter.VAR_KEYWORD in kinds:
        flags |= _VARIADIC_KEYWORDS
    return (
        [p.name for p in positional if p.default is p.empty],
        [p.name for p in positional if p.default is not p.empty],
        [p.name for p in positional if p.kind is p.POSITIONAL_ONLY],
        [p.name for p in keyword],
        [p.name for p in keyword if p.default is not p.empty],
        flags,
    )


def named(thing: Any) -> Any:
    """Return what stands where a function or a job says that it is defined, or None."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    found: Any = sys.modules.get(module) if isinstance(module, str) else None
    for part in name.split(".") if isinstance(name, str) else [""]:
        found = getattr(found, part, None)
    return found


def _refuse_wire(name: str, arg: str, known: set[str]) -> None:
    from gofer._core.plan import did_you_mean

    if arg in known:
        raise JobDefinitionError(
            name,
            f"parameter {arg!r} is positional-only, so it cannot be wired; wrap it in a lambda",
        )
    hint = did_you_mean(arg, known)
    raise JobDefinitionError(name, f"has no parameter {arg!r} to wire{hint}")


def _refuse_positionals(name: str, required: list[str]) -> None:
    run, rest = required[:2], required[2:]
    raise JobDefinitionError(
        name,
        f"has {len(required)} positional parameters, and a run gives two, (ctx, param); results "
        f"of other jobs are keyword-only: def {name}({', '.join(run)}, *, {', '.join(rest)})",
    )
