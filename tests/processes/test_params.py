"""The param of a job in a process is a copy: it can be read, and a write to it is an error."""

from __future__ import annotations

from typing import Any

import process_jobs as jobs
import pytest

from gofer import JobManager, job
from gofer.errors import ParamIsCopy


def execute(backend: Any, fn: Any, param: Any) -> Any:
    """Run one job with a param; return its result."""
    return JobManager([job(fn, name="writes")]).execute(None, param, backend=backend)["writes"]


@pytest.mark.parametrize(
    ("fn", "make", "path"),
    [
        (jobs.set_total, jobs.Page, "param.total"),
        (jobs.swallow_refusal, jobs.Page, "param.total"),
        (jobs.delete_total, jobs.Page, "param.total"),
        (jobs.append_row, jobs.Page, "param.rows"),
        (jobs.set_key, lambda: {"a": 1, "b": 2}, "param['a']"),
        (jobs.set_key, dict, "param['a']"),
        (jobs.set_total, jobs.Slots, "param.total"),
        (jobs.append_row, jobs.Slots, "param.rows"),
        (jobs.set_total, jobs.DataPage, "param.total"),
        (jobs.append_row, jobs.DataPage, "param.rows"),
        (jobs.append_row, jobs.FrozenPage, "param.rows"),
        (jobs.set_total, jobs.SlotsPage, "param.total"),
        (jobs.append_row, jobs.SlotsPage, "param.rows"),
        (jobs.append_to_list, lambda: [1], "param"),
    ],
)
def test_a_write_to_the_param_is_an_error(one: Any, fn: Any, make: Any, path: str) -> None:
    """Whatever the param is and however it is written: the error says what, and what to do."""
    param = make()
    for _ in range(2):
        with pytest.raises(ParamIsCopy, match="return the value instead") as caught:
            execute(one, fn, param)
        assert (caught.value.job, caught.value.path) == ("writes", path)


def test_a_write_to_a_pydantic_model_is_an_error(one: Any) -> None:
    """Attributes and what is in them."""
    pytest.importorskip("pydantic", reason="pip install pydantic")
    model = jobs.pydantic_page()
    assert execute(one, jobs.read, model)[1:] == (1, [1])
    for fn, path in ((jobs.set_total, "param.total"), (jobs.append_row, "param.rows")):
        with pytest.raises(ParamIsCopy) as caught:
            execute(one, fn, model)
        assert caught.value.path == path


def test_after_a_write_the_next_job_gets_the_param_as_it_was(one: Any) -> None:
    """The copy that was written to is thrown away, also where the job failed for another reason."""
    page = jobs.Page()
    writes = [job(jobs.append_and_fail, name="fails"), job(jobs.append_row, name="writes")]
    run = JobManager([*writes, job(jobs.read, after=["fails"])], fail_fast=False).execute(
        None, page, backend=one, check=False
    )
    run_2 = JobManager([job(jobs.read)]).execute(None, page, backend=one)

    assert isinstance(run.record("fails").error, ValueError)  # its own error, not ours
    assert isinstance(run.record("writes").error, ParamIsCopy)
    assert run_2["read"] == (7, 1, [1])


def test_reading_the_param_is_no_write_to_it(one: Any) -> None:
    """A ``cached_property`` may be computed, as often as jobs like."""
    manager = JobManager([job(jobs.read, name=str(i)) for i in range(5)])
    run = manager.execute(None, jobs.Page(), backend=one)

    assert [run[str(i)] for i in range(5)] == [(7, 1, [1])] * 5


def test_copies_that_a_job_makes_of_the_param_are_its_own(one: Any) -> None:
    """``copy``, ``deepcopy``, ``dataclasses.replace``, and new objects of its class are written."""
    assert execute(one, jobs.copy_and_write, jobs.Page()) == (5, [1, 6], 5, 1)
    assert execute(one, jobs.replace_total, jobs.DataPage()) == (5, 1)
    assert execute(one, jobs.replace_total, jobs.FrozenPage()) == (5, 1)


def test_the_param_can_be_pickled_and_returned_by_a_job(one: Any) -> None:
    """It is of its own class for pickle, so it may travel on from a worker, or back."""
    assert execute(one, jobs.send_on, jobs.Page()) == 1
    came = execute(one, jobs.give_param, jobs.DataPage())
    assert came == jobs.DataPage()
    assert type(came) is jobs.DataPage
    came.total = 3  # it can be written here


def test_a_job_sees_what_others_wrote_to_the_param_before_it_started(one: Any) -> None:
    """Jobs in threads write to the param itself; a later job in a process gets it as it is then."""

    def write(ctx: Any, param: Any) -> None:
        param.total += 1
        param.rows.append(param.total)

    chain = [job(jobs.read, name="read0")]
    for i in range(1, 4):
        chain.append(job(write, name=f"write{i}", after=[f"read{i - 1}"], backend="threads"))
        chain.append(job(jobs.read, name=f"read{i}", after=[f"write{i}"]))
    page = jobs.Page()
    run = JobManager(chain).execute(None, page, backend=one)

    assert [run[f"read{i}"][1:] for i in range(4)] == [
        (1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (4, [1, 2, 3, 4]),
    ]  # fmt: skip


def test_a_large_buffer_in_the_param_is_not_stale(one: Any) -> None:
    """What travels beside the pickle is sent again when it has changed, and the pickle has not."""
    param = {"buffer": jobs.Buffer(bytearray(1 << 20))}

    def write(ctx: Any, param: Any) -> None:
        param["buffer"].data[0] += 1

    chain = [job(jobs.first_byte, name="read0")]
    for i in range(1, 4):
        chain.append(job(write, name=f"write{i}", after=[f"read{i - 1}"], backend="threads"))
        chain.append(job(jobs.first_byte, name=f"read{i}", after=[f"write{i}"]))
    run = JobManager(chain).execute(None, param, backend=one)

    assert [run[f"read{i}"] for i in range(4)] == [0, 1, 2, 3]


def test_a_param_that_cannot_be_guarded_is_compared(one: Any) -> None:
    """A class that refuses subclasses still has its writes found, when the job has ended."""
    with pytest.raises(ParamIsCopy) as caught:
        execute(one, jobs.set_total, jobs.Final())
    assert caught.value.path == "param.total"


def test_none_and_plain_values_travel_as_params(one: Any) -> None:
    """They cannot be written to."""
    for param in (None, 7, "text", b"bytes", (1, 2), 1.5, frozenset({1})):
        assert execute(one, jobs.give_param, param) == param
