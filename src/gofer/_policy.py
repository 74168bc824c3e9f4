"""The policies of one job: as they were given, and checked and compiled for a manager's runs."""

from __future__ import annotations

from gofer._core.plan import did_you_mean
from gofer._limits import Limit
from gofer._signature import is_async
from gofer.errors import LimitError, PolicyError
from gofer.policies import NOTHING, Breaker, Durations, Hedge, Retry, seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

NAMES = ("timeout", "abandon", "retry", "fallback", "limit", "hedge", "breaker")
_UNSAID = {"abandon": False, "fallback": NOTHING}


class Policy:
    """What ``job`` was given, unchecked.

    Attributes:
        given: Name -> value, of those that say something.
    """

    __slots__ = ("given",)

    def __init__(self, options: Mapping[str, Any]) -> None:
        for name in options:
            if name not in NAMES:
                hint = did_you_mean(name, (*NAMES, *Place.__slots__))
                raise TypeError(f"job() got an unexpected keyword argument {name!r}{hint}")
        self.given = {
            name: value for name, value in options.items() if value is not _UNSAID.get(name)
        }

    def __getattr__(self, name: str) -> Any:
        if name not in NAMES:
            raise AttributeError(name)
        return self.given.get(name, _UNSAID.get(name))


def policy_of(options: Mapping[str, Any]) -> Policy | None:
    """Return what is said by some options, or None if they say nothing."""
    if not options:
        return None
    policy = Policy(options)
    return policy if policy.given else None


class Place:
    """What a job says to a cluster; on one machine it means nothing.

    Attributes:
        resources: What it takes of a worker's resources while it runs.
        priority: Of jobs that are ready, those with the greatest go first.
        idempotent: Whether it may be run again where a worker was lost that may have run it.
    """

    __slots__ = ("idempotent", "priority", "resources")

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        """Check.

        Raises:
            PolicyError: A value cannot be.
        """
        self.resources: dict[str, float] = dict(options.get("resources") or {})
        self.priority: int = options.get("priority") or 0
        self.idempotent: bool = options.get("idempotent") or False
        for what, amount in self.resources.items():
            fits = isinstance(amount, (int, float)) and type(amount) is not bool and amount > 0
            if not isinstance(what, str) or not fits:
                raise PolicyError(
                    name, f'resources must be like {{"GPU": 1}}; got {self.resources!r}'
                )
        if type(self.priority) is not int:
            raise PolicyError(name, f"priority must be a whole number, got {self.priority!r}")
        if type(self.idempotent) is not bool:
            raise PolicyError(name, f"idempotent must be True or False, got {self.idempotent!r}")

    @property
    def given(self) -> dict[str, Any]:
        """As ``job`` takes it."""
        return {name: getattr(self, name) for name in self.__slots__}


def place_of(name: str, options: dict[str, Any]) -> Place | None:
    """Take what is said to a cluster out of a job's options; None if that is nothing.

    Raises:
        PolicyError: A value cannot be.
    """
    said = {each: options.pop(each) for each in Place.__slots__ if each in options}
    return Place(name, said) if any(said.values()) else None


class Compiled:
    """One job's policies as its runs use them; see ``gofer.job`` for what they mean.

    Attributes:
        fallback: ``NOTHING`` if there is none.
        limit: A named limit, or None.
        foreign: Makes the context manager that is a limit, or None.
        durations: Of recent attempts, where the hedge learns from them.
        beside: Whether calls must run beside whoever waits for them, so that it can leave.
    """

    __slots__ = (
        "abandon",
        "beside",
        "breaker",
        "durations",
        "fallback",
        "foreign",
        "guard",
        "hedge",
        "is_async",
        "limit",
        "most",
        "retry",
        "timeout",
    )

    def __init__(
        self, name: str, fn: Callable[..., Any], policy: Policy, limits: Mapping[str, Limit]
    ) -> None:
        """Check and compile.

        Raises:
            PolicyError: A value cannot be, or two don't fit together.
        """
        self.is_async = is_async(fn)
        self.abandon = policy.abandon
        self.fallback = policy.fallback
        self.timeout = _checked_timeout(name, policy)
        self.retry = _checked_retry(name, policy.retry)
        self.limit, self.foreign = _checked_limit(name, policy.limit, limits)
        hedge = _checked_hedge(name, policy, self.timeout)
        self.hedge = hedge
        self.most = 1 if hedge is None else hedge.most
        learns = hedge is not None and hedge.quantile is not None
        self.durations = Durations() if learns else None
        self.breaker, self.guard = _checked_breaker(name, policy.breaker)
        self._check_abandon(name, policy)
        self._check_fallback(name)
        if hedge is not None and self.foreign is not None:
            raise PolicyError(
                name,
                "hedge needs a named limit, which can tell whether a place is free; "
                "write: limit='x', and JobManager(limits={'x': 4})",
            )
        self.beside = self.timeout is not None or self.abandon or hedge is not None

    def _check_abandon(self, name: str, policy: Policy) -> None:
        if type(policy.abandon) is not bool:
            raise PolicyError(name, f"abandon must be True or False, got {policy.abandon!r}")
        if self.abandon and self.is_async:
            raise PolicyError(name, "abandon is for plain functions; an async job is cancelled")

    def _check_fallback(self, name: str) -> None:
        fallback: Any = self.fallback
        if not callable(fallback):
            return
        if is_async(fallback) and not self.is_async:
            raise PolicyError(name, "fallback is async, but the job is not; write a plain function")
        if not _takes_one(fallback):
            raise PolicyError(
                name, "fallback must take the exception; write: fallback=lambda error: ..."
            )


def _takes_one(fn: Any) -> bool:
    """Return whether a callable can be called with one argument, as far as one can know."""
    from inspect import signature  # slow to import, and only needed where a fallback is callable

    if any(fn is each for each in (list, tuple, set, frozenset, dict)):
        return False  # they do, but an exception has no items
    try:
        signature(fn).bind(None)
    except TypeError:
        return False
    except ValueError:  # a built-in one that does not say
        return True
    return True


def _checked_timeout(name: str, policy: Policy) -> float | None:
    if policy.timeout is None:
        return None
    timeout = seconds(policy.timeout)
    if timeout is None:
        raise PolicyError(
            name, f"timeout must be a number of seconds above 0, or None; got {policy.timeout!r}"
        )
    return timeout


def _checked_retry(name: str, given: Any) -> Retry | None:
    if given is None:
        return None
    retry = given if isinstance(given, Retry) else Retry(given)
    problem = retry.problem()
    if problem is None:
        return retry
    if retry is not given:
        problem = f"must be a whole number of attempts, at least 1, or Retry(...); got {given!r}"
    raise PolicyError(name, f"retry: {problem}")


def _checked_hedge(name: str, policy: Policy, timeout: float | None) -> Hedge | None:
    given = policy.hedge
    if given is None:
        return None
    hedge = given if isinstance(given, Hedge) else Hedge(given)
    problem = hedge.problem()
    if problem is not None:
        raise PolicyError(name, f"hedge: {problem}")
    after = None if hedge.quantile is not None else seconds(hedge.after)
    if after is not None and timeout is not None and after >= timeout:
        raise PolicyError(
            name, f"hedge after {after:g} s comes too late for a timeout of {timeout:g} s"
        )
    return Hedge(hedge.after if after is None else after, most=hedge.most)


def _checked_limit(name: str, given: Any, limits: Mapping[str, Limit]) -> tuple[Any, Any]:
    """Return a named limit or None, and the maker of a foreign one or None."""
    if given is None:
        return None, None
    if isinstance(given, str):
        limit = limits.get(given)
        if limit is not None:
            return limit, None
        hint = did_you_mean(given, limits) or f"; write: limits={{{given!r}: 4}}"
        raise PolicyError(name, f"limit {given!r} is none of its manager's limits{hint}")
    kind = type(given)
    if hasattr(kind, "__enter__") or hasattr(kind, "__aenter__"):
        return None, lambda: given
    if callable(given):
        return None, given
    raise PolicyError(name, f"limit must be a limit's name, or a context manager; got {given!r}")


def _checked_breaker(name: str, given: Any) -> tuple[Breaker | None, Any]:
    """Return a breaker or None, and a foreign one or None."""
    if given is None:
        return None, None
    if isinstance(given, Breaker):
        problem = given.problem()
        if problem is not None:
            raise PolicyError(name, f"breaker: {problem}")
        return given, None
    if hasattr(type(given), "__enter__"):
        return None, given
    raise PolicyError(name, f"breaker must be a Breaker, or guard a `with` block; got {given!r}")


def checked_limits(owner: str, given: Mapping[str, int] | None) -> dict[str, Limit]:
    """Return a manager's named limits.

    Raises:
        LimitError: One is not a whole number of at least 1.
        TypeError: They are no mapping of names.
    """
    made = {}
    for name, most in dict(given or {}).items():
        if not isinstance(name, str) or not name:
            raise TypeError(f"{owner}: a limit's name must be text, got {name!r}")
        if type(most) is not int or most < 1:
            raise LimitError(f"{owner}, limits[{name!r}]", most)
        made[name] = Limit(name, most)
    return made
