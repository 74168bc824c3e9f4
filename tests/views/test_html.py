"""The page of a run, read as a browser reads it: what it says, and that nothing else can run."""

from __future__ import annotations

import itertools
import json
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from gofer import JobManager, job
from gofer._core.plan import Plan
from gofer._run import Attempt, Story
from gofer.views import html
from gofer.views.html import page
from gofer.views.svg import sheet
from gofer.views.text import waterfall

from .markup_reader import Element, read
from .plans import plan_of
from .runs import HOSTILE_NAMES, FakeRun, busy_run, hostile_run, record, tried


def page_of(run: FakeRun, plan: Plan) -> Element:
    """Return the page, read."""
    return read(page(run, plan))  # type: ignore[arg-type]


def shop() -> tuple[FakeRun, Plan]:
    """Make the run of the design's example, with one retry."""
    tips = record("tips", 0.5, 1.25, waiting=0.05)
    tried(
        tips,
        Attempt(0.5, 0.75, TimeoutError("no answer")),
        Attempt(1.0, 1.25, None),
    )
    records = [
        record("user", 0.0, 0.75),
        record("orders", 0.0, 0.45),
        tips,
        record("page", 1.25, 1.3),
    ]
    run = FakeRun(records, duration=1.3, critical_path=("orders", "tips", "page"), name="shop")
    return run, plan_of(user=[], orders=[], tips=["orders"], page=["user", "tips"])


def test_the_headline_says_all_in_one_sentence() -> None:
    """Time, work, how much at once, the critical path, what was tried again."""
    found = page_of(*shop())

    assert found.all("title")[0].text == "shop: succeeded in 1.30 s, 2.00 s of work, 1.5 at once"
    (headline,) = found.all("div", class_="headline")
    assert headline.text == (
        "1.30 s, 2.00 s of work, 1.5 at once, critical path orders tips page, 1 retried"
    )
    assert [each.text for each in found.all("h1")] == ["shop succeeded"]


def test_a_fallback_is_called_so_in_headline_table_and_graph_alike() -> None:
    """The graph and the counts used to say ``succeeded`` where the table said ``fell back``."""
    run, plan = shop()
    run.records[0]._story = Story()
    run.records[0]._story.fell_back = True
    found = page_of(run, plan)

    (headline,) = found.all("div", class_="headline")
    assert headline.text.endswith(", 1 retried, 3 succeeded, 1 fell back")
    assert found.all("tr")[1].text.endswith("fell back")
    titles = [each.text for each in found.all("title")]
    assert "user: fell back, 750 ms" in titles
    assert "orders: succeeded, 450 ms" in titles
    assert "jobs: 3 succeeded, 1 fell back" in waterfall(run)  # type: ignore[arg-type]


def test_each_job_is_a_row_with_its_bar_and_its_numbers() -> None:
    """By start; a dash where there is nothing would be noise, so there is nothing."""
    run, plan = shop()
    found = page_of(FakeRun([*run.records, record("never")], **rest_of(run)), with_never(plan))

    rows = [
        [cell.text for cell in row.children if isinstance(cell, Element)]
        for row in found.all("tr")[1:]
    ]
    assert rows == [
        ["user", "", "0 s", "0 s", "750 ms", "37.5 %", "1", "succeeded"],
        ["orders*", "", "0 s", "0 s", "450 ms", "22.5 %", "1", "succeeded"],
        ["tips*", "", "500 ms", "50.0 ms", "750 ms", "37.5 %", "2", "succeeded"],
        ["page*", "", "1.25 s", "0 s", "50.0 ms", "2.5 %", "1", "succeeded"],
        ["never", "", "", "", "", "", "", "not started"],
    ]
    heads = [cell.text for cell in found.all("th", scope="col")]
    assert heads == ["Job", "Start", "Waiting", "Duration", "Share", "Attempts", "State"]
    assert [cell.text for cell in found.all("th", **{"aria-sort": "ascending"})] == ["Start"]
    assert len(found.all("rect", class_="failed")) == 1
    assert len(found.all("svg", class_="critical")) == 3


def rest_of(run: FakeRun) -> dict[str, Any]:
    """Return what else a run has."""
    return {"duration": run.duration, "critical_path": run.critical_path, "name": run.name}


def with_never(plan: Plan) -> Plan:
    """Return the plan with one more job."""
    names = [*plan.names, "never"]
    return Plan(names, [*[[plan.names[j] for j in each] for each in plan.needs], []])


def test_the_graph_has_the_critical_path_and_leads_to_the_rows() -> None:
    """Boxes link to the rows of their jobs."""
    found = page_of(*shop())

    assert [a.attributes["href"] for a in found.all("a")] == ["#j0", "#j1", "#j2", "#j3"]
    assert {row.attributes["id"] for row in found.all("tr")[1:]} == {"j0", "j1", "j2", "j3"}
    critical = [each.attributes["data-needs"] for each in found.all("path", class_="critical")]
    assert critical == ["1 2", "2 3"]
    (tips,) = [each for each in found.all("title") if each.text.startswith("tips")]
    assert tips.text == "tips: succeeded, 750 ms"


def test_failures_have_their_error_in_the_head_and_in_a_column() -> None:
    """The first error in full; the column only where there is any."""
    error = ConnectionError("no route\nto <host>")
    records = [record("a", 0.0, 1.0, "failed", error=error), record("b", 0.0, 1.0, "cancelled")]
    run = FakeRun(records, state="failed", error=error)

    found = page_of(run, plan_of(a=[], b=[]))

    (cause,) = found.all("div", class_="cause")
    assert cause.text == "a ConnectionError: no route\nto <host>"
    assert found.all("tr", id="j0")[0].attributes["class"] == "failed"
    assert found.all("tr", id="j1")[0].attributes["class"] == "idle"
    assert [cell.text for cell in found.all("td", class_="c8")] == ["ConnectionError: no route", ""]
    assert found.all("span", class_="mood")[0].text == "failed"


def test_a_cancelled_run_says_why_without_naming_a_job() -> None:
    """Its error is the context's, not a job's."""
    run = FakeRun([record("a")], state="cancelled", error=TimeoutError("late"))
    (cause,) = page_of(run, plan_of(a=[])).all("div", class_="cause")

    assert cause.text == "TimeoutError: late"


@pytest.mark.parametrize("jobs", [3, 40, 3000])
def test_only_the_style_and_the_script_of_the_page_may_run(jobs: int) -> None:
    """The policy names their hashes; no style attribute, no handler, nothing to load."""
    found = page_of(*busy_run(jobs))

    (policy,) = [
        each.attributes["content"]
        for each in found.all("meta")
        if each.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    (style,) = found.all("style")
    data, script = found.all("script")
    assert policy == (
        f"default-src 'none'; style-src {hash_of(style.text)}; script-src {hash_of(script.text)}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )
    assert data.attributes["type"] == "application/json"
    json.loads(data.text)
    for each in found.all():
        bad = [key for key in each.attributes if key.startswith("on") or key in ("style", "src")]
        assert not bad
        assert (each.attributes.get("href") or "#").startswith("#")
    assert not re.search(r"url\(|@import|//", style.text)
    assert not re.search(r"transition|animation|scroll-behavior", style.text)  # nothing moves


def hash_of(text: str) -> str:
    """Return a hash as a policy names it."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def test_the_script_never_makes_markup_of_a_text() -> None:
    """It knows none of the ways to do that."""
    script = sheet("page.js")
    assert "textContent" in script
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval",
        "Function(",
    ):
        assert way not in script


def test_hostile_names_and_errors_stay_text() -> None:
    """The page has the same elements as one with tame names, and shows each name escaped."""
    run, plan = hostile_run()
    text = page(run, plan)  # type: ignore[arg-type]
    found = read(text)

    tame = [f"name{i}" for i in range(len(HOSTILE_NAMES))]
    records = [
        record(n, r.start, r.end, r.state, error=r.error)
        for n, r in zip(tame, run.records, strict=True)
    ]
    other = FakeRun(records, "failed", run.duration, run.error, tuple(tame), "run")
    expected = page_of(other, Plan(tame, [[], *[[name] for name in tame[:-1]]]))
    assert [each.tag for each in found.all()] == [each.tag for each in expected.all()]

    names = [cell.all("bdi")[0].text for cell in found.all("th", scope="row")]
    assert names[0] == "<script>alert(1)</script>"
    assert names[1] == '"onload=alert(1) x="'
    assert all(name.isprintable() for name in names)
    assert "\u2028" not in text
    assert "\x00" not in text
    raw = text.partition('<script type="application/json" id="data">')[2].partition("</script>")[0]
    assert not re.search("[<>&\u2028\u2029]", raw)
    told = json.loads(raw)["jobs"][f"j{len(names) - 1}"]["error"]
    assert told == f"ValueError: {names[0]}\n{names[2]}\\u2028\\x1b[2J"


def test_an_error_that_cannot_be_printed_is_named_and_a_long_one_cut() -> None:
    """No picture fails because of what it pictures."""

    class BadStr(Exception):
        def __str__(self) -> str:
            raise SystemExit(1)

    records = [
        record("a", 0.0, 1.0, "failed", error=BadStr()),
        record("b", 0.0, 1.0, "failed", error=ValueError("x" * 100_000)),
    ]
    text = page(FakeRun(records, state="failed", error=records[0].error), plan_of(a=[], b=[]))  # type: ignore[arg-type]

    assert "&lt;unprintable BadStr&gt;" in text
    assert len(text) < 100_000


def test_of_very_many_jobs_the_table_has_those_that_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says so; the graph has all, but leads only to rows that are there."""
    monkeypatch.setattr(html, "MOST_ROWS", 5)
    run, plan = busy_run(40)
    found = page_of(run, plan)

    rows = {row.attributes["id"] for row in found.all("tr")[1:]}
    assert len(rows) == 5
    (note,) = found.all("p", class_="note")
    assert note.text.startswith("Of 40 jobs the table has 5: ")
    links = {(a.attributes["href"] or "")[1:] for a in found.all("a")}
    assert links == rows
    assert len(found.all("g", class_="box")) == 40


def test_a_long_critical_path_is_cut_in_the_middle() -> None:
    """The first names and the last one."""
    names = [f"s{i}" for i in range(30)]
    records = [record(name, i, i + 1.0) for i, name in enumerate(names)]
    run = FakeRun(records, duration=30.0, critical_path=tuple(names))

    found = page_of(run, Plan(names, [[], *[[n] for n in names[:-1]]]))

    path = [each.text for each in found.all("ol")[0].all("li")]
    assert path == [*names[:10], "(19 more)", "s29"]


def test_a_run_that_goes_on_is_drawn_up_to_the_last_news() -> None:
    """It says that it goes on."""
    records = [
        record("a", 0.0, 1.0),
        record("b", 1.0, None, "running"),
        record("c", state="waiting"),
    ]
    found = page_of(FakeRun(records, "running", None), plan_of(a=[], b=["a"], c=["b"]))

    assert found.all("div", class_="headline")[0].text == (
        "running, 1 of 3 jobs ended, last news at 1.00 s, 1 waiting, 1 running, 1 succeeded"
    )


def test_a_run_without_jobs_or_without_length_is_a_page() -> None:
    """No division by nothing."""
    assert page_of(FakeRun([], duration=0.0), Plan([], [])).all("table")
    found = page_of(FakeRun([record("a", 0.0, 0.0)], duration=0.0, name=None), plan_of(a=[]))
    assert found.all("h1")[0].text == "run succeeded"


@pytest.mark.parametrize("end", [1.3, 1e-6, 0.00999, 59.9, 86_400.0, 1.0, 8.0])
def test_the_axis_has_some_round_times_with_room_between(end: float) -> None:
    """From nothing to the end; a text only where it has room."""
    found = page_of(FakeRun([record("a", 0.0, end)], duration=end), plan_of(a=[]))

    (axis,) = found.all("svg", class_="axis")
    marks = [float((each.attributes["x"] or "")[:-1]) for each in axis.all("text")[:-2]]
    assert 3 <= len(marks) <= 6
    assert marks[0] == 0
    assert max(marks) < 70
    assert all(y - x >= 12.4 for x, y in itertools.pairwise(marks))


def test_the_files_of_the_page_are_part_of_the_package() -> None:
    """They stand beside the code, so a wheel has them."""
    folder = Path(html.__file__).parent
    assert {path.name for path in folder.iterdir() if path.suffix in (".css", ".js")} == {
        "page.css",
        "page.js",
        "picture.css",
    }


def test_a_real_run_writes_its_page(tmp_path: Path) -> None:
    """In UTF-8, whatever the names are."""

    def fine() -> None: ...

    run = JobManager([job(fine, name="日本語")]).execute()
    run.to_html(tmp_path / "run.html")

    assert "日本語" in (tmp_path / "run.html").read_text(encoding="utf-8")
