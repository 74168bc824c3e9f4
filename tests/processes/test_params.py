"""The param of a job in a process is a copy: it can be read, and a write to it is an error."""

from __future__ import annotations

from typing import Any

import pages
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
        (pages.set_total, pages.Page, "param.total"),
        (pages.swallow_refusal, pages.Page, "param.total"),
        (pages.delete_total, pages.Page, "param.total"),
        (pages.append_row, pages.Page, "param.rows"),
        (pages.set_key, lambda: {"a": 1, "b": 2}, "param['a']"),
        (pages.set_key, dict, "param['a']"),
        (pages.set_total, pages.Slots, "param.total"),
        (pages.append_row, pages.Slots, "param.rows"),
        (pages.set_total, pages.DataPage, "param.total"),
        (pages.append_row, pages.DataPage, "param.rows"),
        (pages.append_row, pages.FrozenPage, "param.rows"),
        (pages.set_total, pages.SlotsPage, "param.total"),
        (pages.append_row, pages.SlotsPage, "param.rows"),
        (pages.append_to_list, lambda: [1], "param"),
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
    model = pages.pydantic_page()
    assert execute(one, pages.read, model)[1:] == (1, [1])
    for fn, path in ((pages.set_total, "param.total"), (pages.append_row, "param.rows")):
        with pytest.raises(ParamIsCopy) as caught:
            execute(one, fn, model)
        assert caught.value.path == path


def test_after_a_write_the_next_job_gets_the_param_as_it_was(one: Any) -> None:
    """The copy that was written to is thrown away, also where the job failed for another reason."""
    page = pages.Page()
    writes = [job(pages.append_and_fail, name="fails"), job(pages.append_row, name="writes")]
    run = JobManager([*writes, job(pages.read, after=["fails"])], fail_fast=False).execute(
        None, page, backend=one, check=False
    )
    run_2 = JobManager([job(pages.read)]).execute(None, page, backend=one)

    assert isinstance(run.record("fails").error, ValueError)  # its own error, not ours
    assert isinstance(run.record("writes").error, ParamIsCopy)
    assert run_2["read"] == (7, 1, [1])


def test_reading_the_param_is_no_write_to_it(one: Any) -> None:
    """A ``cached_property`` may be computed, as often as jobs like."""
    manager = JobManager([job(pages.read, name=str(i)) for i in range(5)])
    run = manager.execute(None, pages.Page(), backend=one)

    assert [run[str(i)] for i in range(5)] == [(7, 1, [1])] * 5


def test_copies_that_a_job_makes_of_the_param_are_its_own(one: Any) -> None:
    """``copy``, ``deepcopy``, ``dataclasses.replace``, and new objects of its class are written."""
    assert execute(one, pages.copy_and_write, pages.Page()) == (5, [1, 6], 5, 1)
    assert execute(one, pages.replace_total, pages.DataPage()) == (5, 1)
    assert execute(one, pages.replace_total, pages.FrozenPage()) == (5, 1)


def test_the_param_can_be_pickled_and_returned_by_a_job(one: Any) -> None:
    """It is of its own class for pickle, so it may travel on from a worker, or back."""
    assert execute(one, pages.send_on, pages.Page()) == 1
    came = execute(one, pages.give_param, pages.DataPage())
    assert came == pages.DataPage()
    assert type(came) is pages.DataPage
    came.total = 3  # it can be written here


def test_a_job_sees_what_others_wrote_to_the_param_before_it_started(one: Any) -> None:
    """Jobs in threads write to the param itself; a later job in a process gets it as it is then."""

    def write(ctx: Any, param: Any) -> None:
        param.total += 1
        param.rows.append(param.total)

    chain = [job(pages.read, name="read0")]
    for i in range(1, 4):
        chain.append(job(write, name=f"write{i}", after=[f"read{i - 1}"], backend="threads"))
        chain.append(job(pages.read, name=f"read{i}", after=[f"write{i}"]))
    page = pages.Page()
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
        execute(one, pages.set_total, pages.Final())
    assert caught.value.path == "param.total"


def test_none_and_plain_values_travel_as_params(one: Any) -> None:
    """They cannot be written to."""
    for param in (None, 7, "text", b"bytes", (1, 2), 1.5, frozenset({1})):
        assert execute(one, pages.give_param, param) == param
