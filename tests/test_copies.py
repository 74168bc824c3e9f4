"""The copy of a param in another process: what may be done with it, and what may not."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import pytest

from gofer.backends._copies import Copy
from gofer.errors import ParamIsCopy


@dataclasses.dataclass
class Page:
    title: str = ""


def test_a_path_is_a_param_that_was_refused_for_what_reading_it_writes() -> None:
    """It keeps its parts and its hash in itself; that is no write by the job."""
    copy = Copy(Path("/tmp"))
    param = copy.lend()
    assert (param / "file", param.name, hash(param)) == (Path("/tmp/file"), "tmp", hash(param))
    assert copy.take_back() is None


def test_an_object_that_a_job_makes_of_its_params_type_is_its_own() -> None:
    """``dataclasses.replace(param)`` can be written, pickled and returned; the param cannot."""
    copy = Copy(Page("a"))
    copy.job = "job"
    param = copy.lend()
    made = dataclasses.replace(param, title="b")
    made.title += "c"
    assert pickle.loads(pickle.dumps(made)) == Page("bc")
    assert type(pickle.loads(pickle.dumps(made))) is Page
    del made.title
    assert made.title == ""
    with pytest.raises(ParamIsCopy, match=r"job 'job' wrote to param\.title"):
        param.title = "d"
    with pytest.raises(ParamIsCopy):
        del param.title
    assert copy.take_back() == "param.title"
    assert type(param) is Page
