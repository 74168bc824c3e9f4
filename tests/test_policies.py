"""The values of policies: what is refused, with the job's name, and the arithmetic of waits."""

from __future__ import annotations

import asyncio
import threading
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gofer import (
    Breaker,
    FunctionJob,
    Group,
    Hedge,
    JobDefinitionError,
    JobManager,
    LimitError,
    PlanError,
    PolicyError,
    Retry,
    job,
)

NAN, INFINITY = float("nan"), float("inf")


def plain() -> None:
    """Be a job."""


async def awaited() -> None:
    """Be an async job."""


BAD: list[tuple[dict[str, Any], str]] = [
    *(
        ({"timeout": bad}, "timeout must be a number of seconds above 0")
        for bad in (0, -1, NAN, INFINITY, True, "1", timedelta(0))
    ),
    ({"abandon": 1}, "abandon must be True or False, got 1"),
    *(
        ({"retry": bad}, f"retry: must be a whole number of attempts, .* got {bad!r}")
        for bad in (0, -1, 1.5, True)
    ),
    ({"retry": Retry(0)}, "retry: attempts must be a whole number of at least 1, got 0"),
    ({"retry": Retry(on=())}, r"retry: on=\(\) retries nothing"),
    ({"retry": Retry(on=("x",))}, "on must be types of exceptions"),  # type: ignore[arg-type]
    ({"retry": Retry(on=KeyboardInterrupt)}, "on must be types of"),  # type: ignore[arg-type]
    ({"retry": Retry(on=7)}, "on must be types of exceptions"),  # type: ignore[arg-type]
    ({"retry": Retry(wait_initial=-1)}, "wait_initial must be a number of seconds, 0 or more"),
    ({"retry": Retry(wait_max=NAN)}, "wait_max must be a number"),
    ({"retry": Retry(wait_jitter=-1)}, "wait_jitter must be a number"),
    ({"retry": Retry(wait_exp_base=0.5)}, "wait_exp_base must be a number of at least 1"),
    ({"retry": Retry(wait_initial=6)}, r"wait_initial \(6\) is more than wait_max \(5.0\)"),
    ({"limit": "db"}, r"limit 'db' is none of its manager's limits; did you mean 'dbs'\?"),
    ({"limit": "api"}, r"limit 'api' is none of its manager's limits; write: limits="),
    ({"limit": 4}, "limit must be a limit's name, or a context manager; got 4"),
    *(
        ({"hedge": bad}, "hedge: after must be a number of seconds above 0, or like 'p95'")
        for bad in (0, -1, NAN, "95", "p0", "p100", "px")
    ),
    ({"hedge": Hedge(1, most=1)}, "hedge: most must be a whole number of at least 2, got 1"),
    ({"hedge": 2, "timeout": 1}, "hedge after 2 s comes too late for a timeout of 1 s"),
    ({"hedge": 1, "limit": nullcontext}, "hedge needs a named limit"),
    ({"breaker": Breaker(0)}, "breaker: failures must be a whole number of at least 1, got 0"),
    ({"breaker": Breaker(reset_after=NAN)}, "breaker: reset_after must be a number"),
    ({"breaker": Breaker(on=SystemExit)}, "on must be types of"),  # type: ignore[arg-type]
    ({"breaker": 7}, "breaker must be a Breaker, or guard a `with` block; got 7"),
    ({"fallback": lambda: None}, "fallback must take the exception; write: fallback=lambda"),
    ({"fallback": awaited}, "fallback is async, but the job is not"),
]


@pytest.mark.parametrize(("options", "words"), BAD, ids=[str(each[0])[:60] for each in BAD])
def test_a_bad_policy_is_refused_with_the_jobs_name(options: dict[str, Any], words: str) -> None:
    """When the manager is built, not when the job is made, nor when it runs."""
    made = job(plain, name="tips", **options)
    with pytest.raises(PolicyError, match=words) as caught:
        JobManager([made], limits={"dbs": 1})
    assert caught.value.job == "tips"
    assert str(caught.value).startswith("job 'tips': ")
    assert isinstance(caught.value, PlanError)


def test_an_async_job_cannot_be_abandoned() -> None:
    """It is cancelled instead."""
    with pytest.raises(PolicyError, match="abandon is for plain functions"):
        JobManager([job(awaited, abandon=True)])


@pytest.mark.parametrize("most", [0, -1, 1.5, True, None, "4"])
def test_a_bad_limit_of_a_manager_is_refused(most: Any) -> None:
    """With its name, and what it must be."""
    with pytest.raises(LimitError, match=r"manager 'page', limits\['db'\]: limit must be a whole"):
        JobManager(name="page", limits={"db": most})
    with pytest.raises(TypeError, match="name must be text"):
        JobManager(limits={7: 1})  # type: ignore[dict-item]


def test_good_policies_are_taken() -> None:
    """Seconds as numbers or timedeltas; a policy that says nothing is none."""
    manager = JobManager(
        [
            job(plain, name="a", timeout=timedelta(seconds=2), hedge=timedelta(seconds=1)),
            job(plain, name="b", retry=1, fallback=print, breaker=Breaker(), limit="db"),
            job(plain, name="c", hedge="p99.5"),
            job(plain, name="d", limit=threading.Lock()),
            job(awaited, name="e", fallback=awaited_fallback, limit=asyncio.Lock),
        ],
        limits={"db": 2},
    )
    policy = manager._program().policies[0]
    assert (policy.timeout, policy.hedge.after) == (2.0, 1.0)  # type: ignore[union-attr]
    assert Hedge("p99.5").quantile == pytest.approx(0.995)
    assert Hedge("p99.5").problem() is None
    assert job(plain, timeout=None, abandon=False, retry=None).policy is None
    assert job(plain, fallback=None).policy is not None
    assert repr(Retry(2)) == f"Retry(attempts=2, on={Retry().on!r})"
    assert repr(Hedge("p95")) == "Hedge(after='p95', most=2)"


async def awaited_fallback(error: Exception) -> None:
    """Be an async fallback."""


def test_a_policy_that_there_is_not_is_refused_with_the_nearest_name() -> None:
    """As Python does with any wrong keyword."""
    with pytest.raises(TypeError, match="argument 'retries'; did you mean 'retry'"):
        job(plain, retries=2)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"argument 'x'$"):
        job(plain, x=2)  # type: ignore[call-overload]
    with pytest.raises(AttributeError):
        job(plain, retry=2).policy.x  # type: ignore[union-attr]  # noqa: B018


def test_a_group_refuses_a_job_with_policies() -> None:
    """It would leave them out without a word."""
    made: FunctionJob[..., None, None] = job(plain, retry=2)
    with Group() as group:
        with pytest.raises(JobDefinitionError, match=r"write: group.go\(job.fn, url\)"):
            group.go(made)
        group.go(job(plain))


waits = st.floats(0, 100)


@given(waits, waits, st.one_of(st.none(), waits), st.floats(1, 10), st.floats(0, 1))
def test_no_wait_is_longer_than_wait_max(
    initial: float, most: float, jitter: float | None, base: float, chance: float
) -> None:
    """And none is negative, whatever the attempt's number."""
    retry = Retry(
        wait_initial=min(initial, most), wait_max=most, wait_jitter=jitter, wait_exp_base=base
    )
    for failed in (1, 2, 10, 5000):
        assert 0 <= retry.wait_after(failed, chance) <= most


def test_with_a_number_as_jitter_waits_are_staminas() -> None:
    """The least of wait_max and wait_initial * wait_exp_base**(n - 1) + random(0, wait_jitter)."""
    retry = Retry(wait_initial=0.1, wait_max=5.0, wait_jitter=1.0, wait_exp_base=2)
    assert [retry.wait_after(n, 0.5) for n in (1, 2, 3, 9)] == [0.6, 0.7, 0.9, 5.0]


def test_chance_is_between_0_and_1() -> None:
    """The real one, of which all waits are made."""
    from gofer import _parts

    assert all(0 <= _parts.chance() <= 1 for _ in range(100))
