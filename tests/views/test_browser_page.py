"""The page of a run in a real browser: it complains of nothing, asks for nothing, and works."""

from __future__ import annotations

import itertools
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gofer._core.plan import Plan
from gofer.views.html import page
from gofer.views.svg import graph_picture, run_picture

from .browser import browser, watching
from .plans import tangle
from .runs import HOSTILE_NAMES, FakeRun, busy_run, hostile_run, record

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["browser"]  # a fixture


def written(folder: Path, run: FakeRun, plan: Plan) -> Path:
    """Write the page of a run."""
    path = folder / "run.html"
    path.write_text(page(run, plan), encoding="utf-8")  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("jobs", [3, 40, 3000])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_loads_without_a_complaint_or_a_request(
    browser: Browser, tmp_path: Path, jobs: int, scheme: str
) -> None:
    """One request, for the file; an empty console; the colours of the scheme.

    With GOFER_SCREENSHOTS=folder the pictures stay there, to be looked at.
    """
    path = written(tmp_path, *busy_run(jobs))
    with watching(browser, path, color_scheme=scheme) as watched:
        light = watched.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert (light == "rgb(255, 255, 255)") == (scheme == "light")
        shots = Path(os.environ.get("GOFER_SCREENSHOTS", tmp_path))
        picture = watched.page.screenshot(full_page=True)
        (shots / f"{jobs}-{scheme}.png").write_bytes(picture)
        assert watched.requests == [path.as_uri()]
        assert watched.complaints == []


def test_hostile_names_stay_text(browser: Browser, tmp_path: Path) -> None:
    """Nothing of theirs runs, loads or becomes an element, also after everything was used."""
    run, plan = hostile_run()
    path = written(tmp_path, run, plan)
    with watching(browser, path) as watched:
        watched.page.get_by_label("Group by").select_option("kind")
        watched.page.get_by_label("Group by").select_option("nothing")
        for row in watched.page.locator("#jobs tbody tr").all():
            row.click()
        assert watched.texts("#jobs tbody th bdi")[0] == HOSTILE_NAMES[0]
        assert HOSTILE_NAMES[2] in watched.texts("#detail pre")[0]
        assert watched.page.locator("img, iframe, object, [onload], [onerror]").count() == 0
        assert watched.page.locator("script").count() == 2
        assert watched.requests == [path.as_uri()]
        assert watched.complaints == []


def test_the_policy_stops_what_would_slip_through(browser: Browser, tmp_path: Path) -> None:
    """The second wall, tried without the first: script, style and image of a stranger."""
    path = written(tmp_path, *busy_run(3))
    evil = (
        "<body><script>document.title = 'evil'</script><img src='http://127.0.0.1:9/x' "
        "onerror=\"document.title = 'evil'\"><p id=evil style='position: fixed'>"
    )
    text = path.read_text(encoding="utf-8").replace("<body>", evil)
    path.write_text(text, encoding="utf-8")
    with watching(browser, path) as watched:
        assert "evil" not in watched.page.title()
        style = "getComputedStyle(document.getElementById('evil')).position"
        assert watched.page.evaluate(style) == "static"
        assert len(watched.complaints) >= 3


def test_pictures_alone_load_without_a_complaint_or_a_request(
    browser: Browser, tmp_path: Path
) -> None:
    """An SVG, opened as a file, is a document that could run scripts; it has none."""
    run, plan = hostile_run()
    for name, text in (
        ("graph", graph_picture(plan)),
        ("run", run_picture(run)),  # type: ignore[arg-type]
        ("tangle", graph_picture(tangle(3000))),
    ):
        path = tmp_path / f"{name}.svg"
        path.write_text(text, encoding="utf-8")
        with watching(browser, path) as watched:
            assert watched.page.evaluate("document.documentElement.tagName") == "svg"
            assert watched.requests == [path.as_uri()]
            assert watched.complaints == []


def small_run() -> tuple[FakeRun, Plan]:
    """Make a run whose orders differ by each column."""
    records = [
        record("b", 0.0, 0.5),
        record("a10", 0.5, 0.6, waiting=0.25),
        record("a9", 0.7, 1.0, "failed", error=ValueError("no")),
        record("c"),
    ]
    plan = Plan(["b", "a10", "a9", "c"], [[], ["b"], ["b"], ["a9"]])
    return FakeRun(records, "failed", 1.0, records[2].error, ("b", "a9")), plan


def test_sorting_works_by_keyboard_and_says_so(browser: Browser, tmp_path: Path) -> None:
    """Enter sorts, again turns around, again as before; jobs without a number stay last."""
    with watching(browser, written(tmp_path, *small_run())) as watched:
        names = "#jobs tbody th bdi"
        assert watched.texts(names) == ["b", "a10", "a9", "c"]
        title = watched.page.get_by_role("button", name="Duration")
        title.focus()
        watched.page.keyboard.press("Enter")
        assert watched.texts(names) == ["b", "a9", "a10", "c"]
        assert watched.texts("th[aria-sort='descending']") == ["Duration"]
        assert watched.focused() == "Duration"
        watched.page.keyboard.press("Enter")
        assert watched.texts(names) == ["a10", "a9", "b", "c"]
        assert watched.texts("th[aria-sort='ascending']") == ["Duration"]
        watched.page.keyboard.press("Enter")
        assert watched.texts(names) == ["b", "a10", "a9", "c"]
        assert watched.texts("th[aria-sort='ascending']") == ["Start"]
        watched.page.get_by_role("button", name="Job", exact=True).press("Enter")
        assert watched.texts(names) == ["a9", "a10", "b", "c"]
        watched.page.get_by_role("button", name="State").press("Enter")
        assert watched.texts(names) == ["a9", "b", "a10", "c"]
        watched.page.get_by_role("button", name="Error").press("Enter")
        assert watched.texts(names) == ["a9", "b", "a10", "c"]


def test_a_screen_reader_finds_a_table_with_heads(browser: Browser, tmp_path: Path) -> None:
    """What it looks like has not taken away what it is."""
    with watching(browser, written(tmp_path, *small_run())) as watched:
        table = watched.page.get_by_role("table")
        assert table.get_by_role("row").count() == 5
        assert table.get_by_role("columnheader").count() == 8
        assert table.get_by_role("rowheader").all_text_contents() == ["b*", "a10", "a9*", "c"]
        assert table.get_by_role("rowheader").get_by_role("button").count() == 4
        told = watched.page.locator("main").aria_snapshot()
        assert '- row "a10 500 ms 250 ms 100 ms 11.1 % 1 succeeded"' in told
        assert 'img "Most jobs at once: 1"' in told
        assert watched.page.get_by_role("region").count() >= 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("jobs", [3, 3000])
def test_a_checker_of_accessibility_finds_nothing(
    browser: Browser, tmp_path: Path, jobs: int, scheme: str
) -> None:
    """axe-core, with a job chosen: contrast of colours, roles, names, landmarks, the keyboard."""
    spec = find_spec("axe_playwright_python")
    if spec is None or spec.origin is None:
        pytest.skip("no axe-core; pip install 'gofer[browser]' to have this checked")
    (axe,) = Path(spec.origin).parent.rglob("axe.min.js")
    path = written(tmp_path, *busy_run(jobs))
    with watching(browser, path, color_scheme=scheme, bypass_csp=True) as watched:
        watched.page.locator("#jobs tbody tr").nth(1).click()
        watched.page.evaluate(axe.read_text(encoding="utf-8"))
        found = watched.page.evaluate("axe.run()")
        assert len(found["passes"]) > 30
        assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []


def test_focus_goes_from_row_to_row_and_opens_a_job(browser: Browser, tmp_path: Path) -> None:
    """One stop for Tab, arrows in the table, Enter for the details, Escape closes them."""
    with watching(browser, written(tmp_path, *small_run())) as watched:
        keys = watched.page.keyboard
        watched.page.get_by_role("button", name="Error").focus()
        keys.press("Tab")
        assert watched.focused() == "b"
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert watched.page.evaluate(outline) == "solid"
        for key, name in (("ArrowDown", "a10"), ("End", "c"), ("ArrowUp", "a9"), ("Home", "b")):
            keys.press(key)
            assert watched.focused() == name
        keys.press("End")
        keys.press("ArrowUp")
        assert watched.page.locator("#lines path.before").count() == 1
        assert watched.texts("tr.needed th bdi") == ["b"]
        keys.press("Enter")
        detail = watched.page.get_by_role("complementary", name="The chosen job")
        assert detail.get_by_role("heading").text_content() == "a9"
        assert detail.locator("pre").text_content() == "ValueError: no"
        detail.get_by_role("button", name="b", exact=True).press("Enter")
        assert detail.get_by_role("heading").text_content() == "b"
        assert watched.focused() == "b"
        keys.press("Escape")
        assert not detail.is_visible()
        assert watched.focused() == "b"
        assert watched.complaints == []


def test_pointing_at_a_job_draws_its_needs(browser: Browser, tmp_path: Path) -> None:
    """A line to each need and from each dependent; away with the pointer, away with the lines."""
    with watching(browser, written(tmp_path, *small_run())) as watched:
        watched.page.locator("#j0").hover()
        assert watched.page.locator("#lines path.after").count() == 2
        watched.page.locator("#j2").hover()
        assert watched.page.locator("#lines path.before").count() == 1
        box = watched.page.locator("#j0 .bar rect").bounding_box()
        dot = watched.page.locator("#lines circle").first.bounding_box()
        assert box is not None
        assert dot is not None
        assert abs(box["x"] + box["width"] - dot["x"] - dot["width"] / 2) < 2
        watched.page.locator("h1").hover()
        assert watched.page.locator("#lines path").count() == 0


def test_a_box_of_the_graph_leads_to_its_row(browser: Browser, tmp_path: Path) -> None:
    """Also where a filter hides the row."""
    with watching(browser, written(tmp_path, *small_run())) as watched:
        watched.page.get_by_label("Find").fill("a9")
        assert watched.texts("#jobs tbody th bdi") == ["a9"]
        assert watched.texts("output") == ["1 of 4 jobs"]
        watched.page.locator("#graph a[href='#j1']").press("Enter")
        assert watched.texts("#jobs tbody th bdi") == ["b", "a10", "a9", "c"]
        assert watched.focused() == "a10"


def test_three_thousand_jobs_begin_grouped_and_are_found(browser: Browser, tmp_path: Path) -> None:
    """Groups open and close by keyboard; filters cut across them; no bar is too thin to see."""
    with watching(browser, written(tmp_path, *busy_run(3000))) as watched:
        rows = watched.page.locator("#jobs tbody tr")
        assert rows.count() == 7
        group = watched.page.get_by_role("button", name="fetch[*]")
        group.press("Enter")
        assert rows.count() == 7 + 499
        assert group.get_attribute("aria-expanded") == "true"
        assert watched.focused() == "fetch[*]"
        watched.page.keyboard.press("ArrowDown")
        assert watched.focused() == "fetch[1]"
        thin = "[...document.querySelectorAll('#jobs .bar rect:not(.waiting, .between)')].map("
        thin += "r => r.getBoundingClientRect().width + 1)"  # the box does not count the stroke
        assert min(watched.page.evaluate(thin)) >= 1
        group.press("Enter")
        assert rows.count() == 7
        watched.page.get_by_label("failed 61").check()
        watched.page.get_by_label("Group by").select_option("nothing")
        assert rows.count() == 61
        assert watched.texts("output") == ["61 of 3,000 jobs"]
        assert watched.complaints == []


def test_a_group_does_not_say_of_all_what_holds_for_some(browser: Browser, tmp_path: Path) -> None:
    """Its state is a count where its jobs differ: one of 100 that ran is not all that succeeded."""
    names = [f"{kind}[{i}]" for kind in ("all", "some", "bad") for i in range(100)]
    records = [record(each, 0.0, 1.0) for each in names[:101]] + [record(e) for e in names[101:200]]
    records += [record(each, 0.0, 1.0, "failed", error=ValueError("no")) for each in names[200:]]
    run = FakeRun(records, "failed", 1.0, records[200].error)
    with watching(browser, written(tmp_path, run, Plan(names, [[]] * 300))) as watched:
        assert watched.texts("#jobs tbody .c7") == ["succeeded", "1 succeeded", "100 failed"]


def test_names_are_readable_on_a_phone_and_whole_where_they_are_pointed_at(
    browser: Browser, tmp_path: Path
) -> None:
    """A group shows its name and not its size alone; heads fit; a long name is a title."""
    run, plan = busy_run(3000)
    with watching(browser, written(tmp_path, run, plan)) as watched:
        watched.page.set_viewport_size({"width": 390, "height": 800})
        watched.page.get_by_role("button", name="Duration").click()
        group = watched.page.get_by_role("button", name="fetch[*]")
        box = group.bounding_box()
        assert box is not None
        assert box["width"] > 50  # "fetch[" at the least
        assert group.get_attribute("title") == "fetch[*]"
        assert watched.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        cut = (
            "[...document.querySelectorAll('thead th')].filter(h => h.scrollWidth > h.clientWidth)"
        )
        assert watched.page.evaluate(f"{cut}.map(h => h.textContent)") == []
        group.press("Enter")
        watched.page.set_viewport_size({"width": 1280, "height": 800})
        row = watched.page.get_by_role("button", name="fetch[17]")
        assert row.get_attribute("title") == "fetch[17]"


def test_labels_never_collide(browser: Browser, tmp_path: Path) -> None:
    """Times of the axis, at each width of the window; boxes of the graph keep their texts in."""
    run, plan = busy_run(40)
    with watching(browser, written(tmp_path, run, plan)) as watched:
        for width in (320, 500, 700, 900, 1200, 1800):
            watched.page.set_viewport_size({"width": width, "height": 800})
            boxes = [
                box
                for each in watched.page.locator(".axis text:not(.most)").all()
                if (box := each.bounding_box())
            ]
            for left, right in itertools.pairwise(boxes):
                assert left["x"] + left["width"] < right["x"]
            wide = "document.documentElement.scrollWidth <= innerWidth"
            assert watched.page.evaluate(wide), width
        for each in watched.page.locator("#graph g.box").all():
            rect, text = (
                each.locator("rect").first.bounding_box(),
                each.locator("text").bounding_box(),
            )
            assert rect is not None
            assert text is not None
            assert rect["x"] < text["x"]
            assert text["x"] + text["width"] < rect["x"] + rect["width"]


def test_without_scripts_the_page_still_shows_all(browser: Browser, tmp_path: Path) -> None:
    """Some viewers run none: every bar, number and box is there."""
    path = written(tmp_path, *busy_run(40))
    with watching(browser, path, java_script_enabled=False) as watched:
        assert watched.page.locator("#jobs tbody tr").count() == 40
        assert watched.page.locator("#controls").is_hidden()
        assert watched.page.locator("#graph g.box").count() == 40
