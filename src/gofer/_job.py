"""Job and job(): a name, a callable, and what it needs.

The signature rule lives here. Positional parameters without a default are the run's: none,
``(ctx)`` or ``(ctx, param)``. Keyword-only parameters are other jobs' results, by job name; one
with a default is wired only where the manager has a job of that name.

``inspect`` and ``typing`` are slow to import, so plain functions are read from their code object
and the generic classes are generic for type checkers only.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping

from gofer.errors import JobDefinitionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

    from gofer._context import Context

    P = ParamSpec("P")
    R = TypeVar("R")
    R_co = TypeVar("R_co", covariant=True)
    C_co = TypeVar("C_co", covariant=True)

    class Job(Protocol):
        """Anything with a name and ``do(ctx, param)``, sync or async.

        It may also have ``after``, ``needs``, ``when`` and ``is_async``, which mean what they mean
        to ``job``.
        """

        @property
        def name(self) -> str:
            """The name, unique in its manager."""

        def do(self, ctx: Context, param: Any, /) -> Any:
            """Do the work; the returned value is the job's result."""

else:

    class Job:
        """Anything with a name and ``do(ctx, param)``, sync or async; there is no need to inherit.

        It may also have ``after``, ``needs``, ``when`` and ``is_async``, which mean what they mean
        to ``job``.
        """

    class Generic:
        __slots__ = ()

        def __class_getitem__(cls, _):
            return cls

    def overload(fn):
        return fn

    P = R_co = C_co = None

_VARIADIC, _VARIADIC_KEYWORDS, _GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 4, 8, 32, 128, 512


class FunctionJob(Generic[P, C_co, R_co]):
    """A callable as a job; still an ordinary callable, so that tests call it as it is.

    Attributes:
        name: The name, unique in its manager.
        fn: The callable itself.
        after: Names of the jobs that must have ended well before this one starts.
        needs: Parameter -> name of the job whose result it gets, as given to ``job``.
        when: A predicate of ``(ctx, param)``, or None.
    """

    def __init__(
        self,
        fn: Callable[P, C_co],
        name: str,
        after: tuple[str, ...] = (),
        needs: Mapping[str, str] | None = None,
        when: Callable[..., object] | None = None,
    ) -> None:
        self.fn = self.__wrapped__ = fn
        self.name, self.after, self.needs, self.when = name, after, needs or {}, when
        self.__name__ = name
        self.__qualname__ = getattr(fn, "__qualname__", name)
        self.__module__ = getattr(fn, "__module__", __name__)
        self.__doc__ = getattr(fn, "__doc__", None)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> C_co:
        return self.fn(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> FunctionJob[..., C_co, R_co]:
        """Bind to an instance, as a method does."""
        bind = getattr(self.fn, "__get__", None)
        if instance is None or bind is None:
            return self
        return FunctionJob(bind(instance, owner), self.name, self.after, self.needs, self.when)

    def do(self, ctx: Context, param: Any, /) -> C_co:
        """Call the function with what it takes of ``ctx`` and ``param``."""
        args = (ctx, param)[: Signature(self).nargs]
        return self.fn(*args)  # type: ignore[call-arg]

    @property
    def is_async(self) -> bool:
        """Whether the result must be awaited."""
        return is_async(self.fn)

    def __repr__(self) -> str:
        return f"<job {self.name!r}>"


if TYPE_CHECKING:

    class JobDecorator(Protocol):
        """What ``job(...)`` without a function returns."""

        @overload
        def __call__(
            self, fn: Callable[P, Coroutine[Any, Any, R]], /
        ) -> FunctionJob[P, Coroutine[Any, Any, R], R]: ...
        @overload
        def __call__(self, fn: Callable[P, R], /) -> FunctionJob[P, R, R]: ...


@overload
def job(
    fn: Callable[P, Coroutine[Any, Any, R]],
    /,
    *,
    name: str | None = None,
    after: Iterable[str | Job] = (),
    needs: Mapping[str, str | Job] | None = None,
    when: Callable[[Context, Any], object] | None = None,
) -> FunctionJob[P, Coroutine[Any, Any, R], R]: ...
@overload
def job(
    fn: Callable[P, R],
    /,
    *,
    name: str | None = None,
    after: Iterable[str | Job] = (),
    needs: Mapping[str, str | Job] | None = None,
    when: Callable[[Context, Any], object] | None = None,
) -> FunctionJob[P, R, R]: ...
@overload
def job(
    fn: Job,
    /,
    *,
    name: str | None = None,
    after: Iterable[str | Job] = (),
    needs: Mapping[str, str | Job] | None = None,
    when: Callable[[Context, Any], object] | None = None,
) -> FunctionJob[..., Any, Any]: ...
@overload
def job(
    fn: None = None,
    /,
    *,
    name: str | None = None,
    after: Iterable[str | Job] = (),
    needs: Mapping[str, str | Job] | None = None,
    when: Callable[[Context, Any], object] | None = None,
) -> JobDecorator: ...
def job(fn=None, /, *, name=None, after=(), needs=None, when=None):  # type: ignore[no-untyped-def]
    """Make a job of a function: ``@job``, ``@job(after=["user"])`` or ``job(fn, name="x")``.

    Args:
        fn: A function, sync or async, any other callable, or an object with ``do``. Its positional
            parameters are the run's: none, ``(ctx)`` or ``(ctx, param)``. Its keyword-only
            parameters are other jobs' results, by job name; one with a default gets a result only
            if the manager has a job of that name.
        name: The job's name; None means the function's.
        after: Jobs, or their names, that must have ended well first; no data is passed.
        needs: ``{"parameter": "job"}`` where a parameter is not called like the job. Wires a
            function that you don't own, positional parameters included.
        when: A predicate of ``(ctx, param)``; if it answers false, the job is skipped, and what
            needs it gets None. It runs where the job would run.

    Returns:
        A ``FunctionJob``, or a decorator if ``fn`` is left out.

    Raises:
        JobDefinitionError: There is no name to be had, or an argument is of the wrong type. What
            is wrong with the signature is said by the manager.

    Example:
        >>> @job
        ... def twice(*, number):
        ...     return 2 * number
        >>> twice.name, twice(number=4)
        ('twice', 8)
    """
    if fn is None:
        return lambda fn: job(fn, name=name, after=after, needs=needs, when=when)
    if name is None:
        name = _name_of(fn)
    if isinstance(after, (str, bytes)) or not isinstance(after, Iterable):
        raise JobDefinitionError(name, f"after must be a list of jobs: after=[{after!r}]")
    if needs is not None and not isinstance(needs, Mapping):
        raise JobDefinitionError(name, 'needs must be a dict: needs={"parameter": "job"}')
    if when is not None and not callable(when):
        raise JobDefinitionError(name, "when must be a function: when=lambda ctx, param: ...")
    wired = {arg: need_name(name, need) for arg, need in needs.items()} if needs else None
    if not callable(fn):
        fn = _do_of(fn, name)
    return FunctionJob(fn, name, tuple([need_name(name, each) for each in after]), wired, when)


def _name_of(fn: Any) -> str:
    found = getattr(fn, "name", None) if hasattr(fn, "do") else getattr(fn, "__name__", None)
    if not isinstance(found, str):
        raise JobDefinitionError(type(fn).__name__, "has no name; write: job(fn, name='...')")
    if found == "<lambda>":
        raise JobDefinitionError(found, "a lambda has no name; write: job(lambda: ..., name='...')")
    return found


def _do_of(found: Any, name: str) -> Callable[..., Any]:
    do = getattr(found, "do", None)
    if not callable(do):
        raise JobDefinitionError(
            name, f"a {type(found).__name__} is not a job; it has no do(ctx, param)"
        )
    return do


def need_name(owner: str, need: Any) -> str:
    """Return the name of a need that was given as a name or as a job."""
    found = need if isinstance(need, str) else getattr(need, "name", None)
    if not isinstance(found, str):
        raise JobDefinitionError(owner, f"needs {need!r}, which is neither a job nor a name")
    return found


def as_job(given: Any) -> FunctionJob[..., Any, Any]:
    """Return a job for whatever a manager was given: a job, a Go-shaped object, a function.

    Raises:
        JobDefinitionError: It is none of these.
    """
    if type(given) is FunctionJob:
        return given
    if isinstance(given, type):
        name = given.__name__
        raise JobDefinitionError(name, f"is a class, not a job; write: {name}()")
    if hasattr(given, "do"):
        made = job(
            given,
            after=getattr(given, "after", ()),
            needs=getattr(given, "needs", None),
            when=getattr(given, "when", None),
        )
        made.fn = _do_of(given, made.name)
        return made  # type: ignore[no-any-return]
    if callable(given):
        return job(given)  # type: ignore[no-any-return]
    raise JobDefinitionError(str(type(given).__name__), "is not a job; it has no do(ctx, param)")


def is_async(fn: Any) -> bool:
    """Return whether calling ``fn`` gives something to await, as far as can be seen from outside."""
    if type(fn) is not _Function:
        if type(fn) is FunctionJob:
            return is_async(fn.fn)
        owner = getattr(fn, "__self__", None)
        said = getattr(owner, "is_async", None)
        if isinstance(said, bool) and getattr(fn, "__name__", "") == "do":
            return said  # a nested manager knows
        fn = _function_of(fn)
    code = getattr(fn, "__code__", None)
    return bool(code is not None and code.co_flags & _COROUTINE) or hasattr(
        fn, "_is_coroutine_mark"  # inspect.markcoroutinefunction, Python 3.12
    )


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


def _function_of(fn: Any) -> Any:
    """Look through partials, bound methods and callable objects, to what runs in the end."""
    for _ in range(20):
        if hasattr(fn, "__code__"):
            break
        if hasattr(fn, "func") and hasattr(fn, "keywords"):  # functools.partial
            fn = fn.func
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

    def __init__(self, source: FunctionJob[..., Any, Any]) -> None:
        fn, name = source.fn, source.name
        refuse_generator(fn, name)
        if type(fn) is _Function and not hasattr(fn, "__wrapped__"):
            required, defaulted, keywords, optional, flags = _read_code(fn)
        else:
            required, defaulted, keywords, optional, flags = _read_signature(fn, name)
        wires = {arg: arg for arg in keywords}
        kept = [arg for arg in required if arg not in source.needs]
        if kept != required[: len(kept)]:
            raise JobDefinitionError(
                name, f"wires a positional parameter that stands before {kept[-1]!r}; wire both"
            )
        known = {*wires, *required, *defaulted}
        for arg, need in source.needs.items():
            if arg not in known and not flags & _VARIADIC_KEYWORDS:
                _refuse_wire(name, arg, known)
            wires[arg] = need
        required = kept
        if len(required) > 2:
            _refuse_positionals(name, required)
        self.wires = wires
        self.optional = [arg for arg in optional if arg not in source.needs]
        self.nargs = 2 if flags & _VARIADIC else len(required)


_Function = type(as_job)
_Read = tuple[list[str], list[str], list[str], list[str], int]


def _read_code(fn: Any) -> _Read:
    """Return required positionals, defaulted ones, keyword-only ones, optional ones, flags."""
    code = fn.__code__
    count = code.co_argcount
    names = code.co_varnames
    given = len(fn.__defaults__ or ())
    keywords = list(names[count : count + code.co_kwonlyargcount])
    optional = list(fn.__kwdefaults__ or ())
    return (
        list(names[: count - given]),
        list(names[count - given : count]),
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
    kinds = inspect.Parameter
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    keyword = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    flags = 0
    for p in parameters:
        flags |= {kinds.VAR_POSITIONAL: _VARIADIC, kinds.VAR_KEYWORD: _VARIADIC_KEYWORDS}.get(
            p.kind, 0
        )
    return (
        [p.name for p in positional if p.default is p.empty],
        [p.name for p in positional if p.default is not p.empty],
        [p.name for p in keyword],
        [p.name for p in keyword if p.default is not p.empty],
        flags,
    )


def _refuse_wire(name: str, arg: str, known: set[str]) -> None:
    from gofer._core.plan import nearest

    near = nearest(arg, known)
    hint = f"; did you mean {near!r}?" if near else ""
    raise JobDefinitionError(name, f"has no parameter {arg!r} to wire{hint}")


def _refuse_positionals(name: str, required: list[str]) -> None:
    run, rest = required[:2], required[2:]
    raise JobDefinitionError(
        name,
        f"has {len(required)} positional parameters, and a run gives two, (ctx, param); results "
        f"of other jobs are keyword-only: def {name}({', '.join(run)}, *, {', '.join(rest)})",
    )
