"""Every picture of a run, from runs of any shape, with names and errors out of anything."""

from __future__ import annotations

import json
from unicodedata import normalize
from xml.etree import ElementTree as ET

from hypothesis import assume, given

from gofer._core.plan import Plan
from gofer.views.html import page
from gofer.views.svg import run_picture
from gofer.views.trace import trace

from .markup_reader import read
from .runs import FakeRun
from .test_text_untrusted import any_run


@given(any_run())
def test_whatever_a_run_holds_its_pictures_are_well_formed(run: FakeRun) -> None:
    """None fails, each can be written as UTF-8, and each is read again."""
    names = [each.name for each in run.records]
    assume(len({normalize("NFKC", name) for name in names}) == len(names))
    plan = Plan(names, [names[:i][-2:] for i in range(len(names))])

    found = read(page(run, plan))  # type: ignore[arg-type]
    assert len(found.all("tr")) == 1 + len(names)
    page(run, plan).encode()  # type: ignore[arg-type]
    ET.fromstring(run_picture(run).encode())  # type: ignore[arg-type]
    json.loads(trace(run, plan).encode("ascii"))  # type: ignore[arg-type]
