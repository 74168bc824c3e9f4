"""Job and job(): a name, a callable, and what it needs; the signature rule is next door.

``typing`` is slow to import, so the generic classes are generic for type checkers only.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping

from gofer._policy import Place, Policy, place_of, policy_of
from gofer._signature import Signature, check_predicate, is_async, named
from gofer.errors import JobDefinitionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Generic, ParamSpec, Protocol, TypeVar, Unpack, overload

    from gofer._context import Context
    from gofer.backends import Backend
    from gofer.policies import PolicyOptions

    P = ParamSpec("P")
    R = TypeVar("R")
    R_co = TypeVar("R_co", covariant=True)
    C_co = TypeVar("C_co", covariant=True)

    class Job(Protocol):
        """Anything with a name and ``do(ctx, param)``, sync or async.

        It may also have ``after``, ``needs``, ``when``, ``backend`` and ``is_async``, which mean
        what they mean to ``job``.
        """

        @property
        def name(self) -> str:
            """The name, unique in its manager."""

        def do(self, ctx: Context, param: Any, /) -> Any:
            """Do the work; the returned value is the job's result."""

else:

    class Job:
        """Anything with a name and ``do(ctx, param)``, sync or async; there is no need to inherit.

        It may also have ``after``, ``needs``, ``when``, ``backend`` and ``is_async``, which mean
        what they mean to ``job``.
        """

    class Generic:
        __slots__ = ()

        def __class_getitem__(cls, _):
            return cls

    def overload(fn):
        return fn

    P = R_co = C_co = None


class FunctionJob(Generic[P, C_co, R_co]):
    """A callable as a job; still an ordinary callable, so that tests call it as it is.

    Attributes:
        name: The name, unique in its manager.
        fn: The callable itself.
        after: Names of the jobs that must have ended well before this one starts.
        needs: Parameter -> name of the job whose result it gets, as given to ``job``.
        when: A predicate of ``(ctx, param)``, or None.
        policy: Its policies, as given to ``job``, or None if there are none.
        backend: Where it runs, as given to ``job``, or None: where its run says.
        place: What it says to a cluster, or None.
    """

    def __init__(
        self,
        fn: Callable[P, C_co],
        name: str,
        after: tuple[str, ...] = (),
        needs: Mapping[str, str] | None = None,
        when: Callable[..., object] | None = None,
        policy: Policy | None = None,
        backend: Any = None,
        place: Place | None = None,
    ) -> None:
        self.fn = self.__wrapped__ = fn
        self.policy, self.backend, self.place = policy, backend, place
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
        bound = bind(instance, owner)
        return FunctionJob(
            bound,
            self.name,
            self.after,
            self.needs,
            self.when,
            self.policy,
            self.backend,
            self.place,
        )

    def do(self, ctx: Context, param: Any, /) -> C_co:
        """Call the function with what it takes of ``ctx`` and ``param``."""
        args = (ctx, param)[: Signature(self.fn, self.name, self.needs).nargs]
        return self.fn(*args)  # type: ignore[call-arg, arg-type]

    @property
    def is_async(self) -> bool:
        """Whether the result must be awaited."""
        return is_async(self.fn)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle by name where it can be found by it, as functions do."""
        return self.__qualname__ if named(self) is self else super().__reduce_ex__(protocol)

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
    backend: str | Backend | None = None,
    **policies: Unpack[PolicyOptions],
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
    backend: str | Backend | None = None,
    **policies: Unpack[PolicyOptions],
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
    backend: str | Backend | None = None,
    **policies: Unpack[PolicyOptions],
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
    backend: str | Backend | None = None,
    **policies: Unpack[PolicyOptions],
) -> JobDecorator: ...
def job(  # type: ignore[no-untyped-def]
    fn=None, /, *, name=None, after=(), needs=None, when=None, backend=None, **policies
):
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
            needs it gets its ``fallback``, or None. It runs where the job would run.
        backend: Where it runs: ``"process"`` for a process of its own kind, in which a crash harms
            no other job; ``"thread"`` for the calling process, whatever the run's backend is; or a
            backend, such as ``ProcessBackend(workers=2)``. None means where the run says.
        **policies: What follows; docs/policies.md says how they go together.

    Policies:
        timeout: Seconds (or a ``timedelta``) from the job's start, over all attempts and waits.
            Then it has failed with ``JobTimeout``, and what follows goes on at once; the run
            still waits at its end for a plain function that goes on.
        abandon: Whether the run may end while this plain function goes on, after its timeout or
            when the run was stopped. The record says where it was left behind.
        retry: How often it is tried in all, for ``ConnectionError`` and ``TimeoutError``; or a
            ``Retry``.
        fallback: What it gives instead of failing: a value, or a function of the exception.
        limit: The name of one of its manager's ``limits``; or a context manager, or a function
            that makes one, to be entered for each attempt.
        hedge: Seconds after which a second call starts, where a call has not ended; or a ``Hedge``.
            Only for jobs that may safely be done twice.
        breaker: A ``Breaker``; or any context manager that guards a call and never waits.
        resources: What it takes of a cluster worker's resources while it runs: ``{"GPU": 1}``.
        priority: Among the ready jobs of a cluster the greatest go first; 0 if not said.
        idempotent: Whether a cluster may run it again after losing a worker that may have run it.
            One with ``retry`` or ``hedge`` says so anyway; of others ``JobCrashed`` is the error.

    Returns:
        A ``FunctionJob``, or a decorator if ``fn`` is left out.

    Raises:
        JobDefinitionError: There is no name to be had, or an argument is of the wrong type. What
            is wrong with the signature or a policy is said by the manager.

    Example:
        >>> @job
        ... def twice(*, number):
        ...     return 2 * number
        >>> twice.name, twice(number=4)
        ('twice', 8)
    """
    if fn is None:
        return lambda fn: job(
            fn, name=name, after=after, needs=needs, when=when, backend=backend, **policies
        )
    if type(fn) is FunctionJob:  # a job of a job: what is not said anew stays
        return job(
            fn.fn,
            name=fn.name if name is None else name,
            after=after or fn.after,
            needs=fn.needs if needs is None else needs,
            when=fn.when if when is None else when,
            backend=fn.backend if backend is None else backend,
            **(fn.policy.given if fn.policy is not None else {})
            | (fn.place.given if fn.place is not None else {})
            | policies,
        )
    if name is None:
        name = _name_of(fn)
    if isinstance(after, (str, bytes)) or not isinstance(after, Iterable):
        raise JobDefinitionError(name, f"after must be a list of jobs: after=[{after!r}]")
    if needs is not None and not isinstance(needs, Mapping):
        raise JobDefinitionError(name, 'needs must be a dict: needs={"parameter": "job"}')
    if when is not None:
        check_predicate(when, name)
    wired = {arg: need_name(name, need) for arg, need in needs.items()} if needs else None
    if not callable(fn):
        fn = _do_of(fn, name)
    names = tuple([need_name(name, each) for each in after])
    place = place_of(name, policies)
    return FunctionJob(fn, name, names, wired, when, policy_of(policies), backend, place)


def _name_of(fn: Any) -> str:
    found = getattr(fn, "name", None) if hasattr(fn, "do") else getattr(fn, "__name__", None)
    if not isinstance(found, str) or not found:
        raise JobDefinitionError(type(fn).__name__, "has no name; write: job(fn, name='...')")
    if found == "<lambda>":
        raise JobDefinitionError(found, "a lambda has no name; write: job(lambda: ..., name='...')")
    return found


def _do_of(found: Any, name: str) -> Callable[..., Any]:
    do: Any = getattr(found, "do", None)
    if not callable(do):
        raise JobDefinitionError(
            name, f"a {type(found).__name__} is not a job; it has no do(ctx, param)"
        )
    return do  # type: ignore[no-any-return]


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
            backend=getattr(given, "backend", None),
        )
        made.fn = _do_of(given, made.name)
        return made  # type: ignore[no-any-return]
    if callable(given):
        return job(given)  # type: ignore[no-any-return]
    raise JobDefinitionError(str(type(given).__name__), "is not a job; it has no do(ctx, param)")
