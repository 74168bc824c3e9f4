"""SVG of graphs and runs: well-formed, safe, readable, the same in light and dark."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from gofer import JobManager, job
from gofer._core.plan import Plan
from gofer._run import Attempt
from gofer.views.facts import Facts
from gofer.views.svg import bar, graph_picture, run_picture, sheet

from .plans import chains, plan_of, plans, tangle
from .runs import HOSTILE_NAMES, FakeRun, busy_run, hedged_run, hostile_run, record, tried

from hypothesis import given  # isort: skip

SVG = "{http://www.w3.org/2000/svg}"
KNOWN = {"svg", "style", "rect", "text", "g", "path", "title", "circle", "line"}


def texts(picture: ET.Element) -> list[str]:
    """Return all texts of a picture, in order."""
    return [each.text or "" for each in picture.iter(f"{SVG}text")]


def test_a_graph_has_a_box_for_each_job_and_a_line_for_each_need() -> None:
    """What it shows is what the manager is."""

    def run() -> None: ...

    manager = JobManager([job(run, name="a"), job(run, name="b", after=["a"])], name="pair")

    picture = ET.fromstring(manager.to_svg())

    assert picture.get("aria-label") == "pair: 2 jobs"
    assert texts(picture) == ["pair: 2 jobs", "a", "b"]
    needs = [each.get("data-needs") for each in picture.iter(f"{SVG}path")]
    assert [each for each in needs if each] == ["0 1"]


@pytest.mark.parametrize(
    ("plan", "notes"),
    [
        (chains(1000), ["3,000 jobs, drawn as 3 boxes"]),
        (tangle(3000), ["3,000 jobs, drawn as "]),
        (chains(3), []),
    ],
    ids=["chains", "tangle", "small"],
)
def test_a_picture_says_what_it_has_simplified(plan: Plan, notes: list[str]) -> None:
    """Three thousand jobs are a picture of some boxes, with a note; nine are just drawn."""
    found = [t for t in texts(ET.fromstring(graph_picture(plan))) if "drawn as" in t]

    assert [note[: len(notes[0])] for note in found] == notes if notes else not found


@given(plans(30))
def test_any_graph_is_well_formed(plan: Plan) -> None:
    """Also one without jobs, or with jobs and no needs."""
    ET.fromstring(graph_picture(plan))


def test_hostile_names_are_text_in_a_graph() -> None:
    """Only elements of ours, no event handler, no link; each name is shown, escaped."""
    picture = ET.fromstring(graph_picture(plan_of(**{n: [] for n in HOSTILE_NAMES}), "<b>"))
    check_safe(picture)
    shown = texts(picture)
    assert "<script>alert(1)</script>" in shown
    assert "nul\\x00" in shown
    assert "\\u202eevil" in shown
    assert max(map(len, shown)) < 60


def test_hostile_names_and_errors_are_text_in_a_run() -> None:
    """As in a graph."""
    run, _ = hostile_run()
    check_safe(ET.fromstring(run_picture(run)))  # type: ignore[arg-type]


def check_safe(picture: ET.Element) -> None:
    """Assert that a picture has nothing but what Gofer draws."""
    for each in picture.iter():
        assert each.tag.removeprefix(SVG) in KNOWN
        assert not [key for key in each.attrib if key.startswith("on") or "href" in key]
    assert "url(" not in sheet("picture.css")


def test_a_run_shows_those_jobs_that_matter() -> None:
    """Of three thousand jobs forty, and how many more there are."""
    run, _ = busy_run(3000)
    picture = ET.fromstring(run_picture(run))  # type: ignore[arg-type]

    assert texts(picture)[0].startswith("nightly: failed after ")
    assert texts(picture)[-1] == "and 2,960 more jobs"
    kinds = [each.get("class") or "" for each in picture.iter(f"{SVG}svg")]
    assert sum("bar" in each for each in kinds) == 40
    assert 0 < kinds.count("bar critical") < 40  # the path in the accent colour, and no others


def test_a_run_without_jobs_is_a_picture_too() -> None:
    """One sentence."""
    picture = ET.fromstring(run_picture(FakeRun([], name=None)))  # type: ignore[arg-type]

    assert texts(picture) == ["run: succeeded in 1.00 s; it has no jobs"]


def parts(run: FakeRun, name: str) -> list[tuple[str, str, str]]:
    """Return the class, start and width of each part of a job's bar."""
    facts = Facts(run)  # type: ignore[arg-type]
    drawn = bar(facts, next(each for each in run.records if each.name == name))
    return re.findall(r'<rect class="([^"]*)" x="([^"]*)%" y="\d+" width="([^"]*)%"', drawn)


def test_a_bar_shows_the_wait_each_attempt_and_the_delay_between() -> None:
    """The failed attempt is marked by its colour and by a stroke at its end."""
    again = record("a", 2.0, 10.0, waiting=1.0)
    tried(
        again,
        Attempt(2.0, 5.0, ValueError()),
        Attempt(6.0, 10.0, None),
    )
    run = FakeRun([again, record("b", 0.0, None, "running"), record("c")], duration=10.0)

    assert parts(run, "a") == [
        ("waiting", "10.000", "10.000"),
        ("failed", "20.000", "30.000"),
        ("between", "50.000", "10.000"),
        ("succeeded", "60.000", "40.000"),
    ]
    assert bar(Facts(run), again).count("<line ") == 1  # type: ignore[arg-type]
    assert parts(run, "b") == [("running", "0.000", "100.000")]
    assert parts(run, "c") == []


def test_a_hedge_lies_on_the_lower_half_of_what_it_overlaps() -> None:
    """Both attempts can be seen."""
    run, _ = hedged_run()
    drawn = bar(Facts(run), run.records[0])  # type: ignore[arg-type]

    assert re.findall(r'class="(\w+)" x="([\d.]+)%" y="(\d+)"', drawn) == [
        ("failed", "0.000", "3"),
        ("succeeded", "50.000", "8"),
    ]


def test_a_bar_is_never_too_short_to_be_seen() -> None:
    """A job of no length in a run of no length has one, too; the stroke adds a pixel."""
    moment = FakeRun([record("a", 0.0, 0.0)], duration=0.0)
    assert parts(moment, "a") == [("succeeded", "0.000", "0.010")]


def test_a_notebook_shows_a_run_and_a_manager() -> None:
    """A picture, and the text for where there are none."""

    def run() -> None: ...

    manager = JobManager([job(run, name="<b>")], name="it")
    for shown in (manager, manager.execute()):
        bundle = shown._repr_mimebundle_()
        ET.fromstring(bundle["image/svg+xml"])
        assert "<b>" not in bundle["image/svg+xml"]
    assert manager._repr_mimebundle_()["text/plain"] == "<JobManager 'it', 1 jobs>"
    assert bundle["text/plain"].startswith("run 'it': succeeded in ")


def test_a_manager_that_is_not_complete_yet_shows_itself_as_text() -> None:
    """Looking at it is no reason to raise."""
    manager = JobManager()

    @manager.job
    def late(*, early: object) -> None: ...

    assert manager._repr_mimebundle_() == {
        "text/plain": "<JobManager, 1 jobs>: job 'late' needs 'early', which no job provides"
    }


def colours() -> dict[str, list[tuple[float, float, float]]]:
    """Return each colour of the style sheet, for light and for dark."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for name, digits in re.findall(r"--(\w+): #([0-9a-f]{6});", sheet("picture.css")):
        rgb = tuple(int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
        found.setdefault(name, []).append(rgb)
    return found


def contrast(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """Return the contrast ratio of WCAG 2.2."""

    def light(rgb: tuple[float, float, float]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("front", "back", "least"),
    [
        *[
            (text, back, 4.5)
            for text in ("ink", "muted", "accent", "bad")
            for back in ("paper", "soft")
        ],
        ("ink", "tint", 4.5),
        ("muted", "tint", 4.5),
        ("accent", "tint", 4.5),
        ("bad", "tint", 4.5),
        ("edge", "paper", 3.0),
        ("bar", "paper", 3.0),
        ("edge", "soft", 3.0),
        ("bar", "soft", 3.0),
    ],
)
def test_colours_keep_the_contrast_of_wcag_aa(front: str, back: str, least: float) -> None:
    """4.5 for text, 3 for what is drawn; in light and in dark."""
    pairs = list(zip(colours()[front], colours()[back], strict=True))
    assert len(pairs) == 2
    for pair in pairs:
        assert contrast(*pair) >= least
