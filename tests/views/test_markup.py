"""Graphs as text for Mermaid and Graphviz, exactly, and from hostile names."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from gofer import JobManager, job
from gofer.views.markup import MOST_NEEDS, dot, mermaid

from .plans import chains, plan_of, tangle
from .runs import HOSTILE_NAMES


def manager() -> JobManager:
    """Make a small manager."""

    def run() -> None: ...

    jobs = [
        job(run, name="user"),
        job(run, name="orders"),
        job(run, name="tips", after=["orders"]),
        job(run, name="page", after=["user", "tips"]),
    ]
    return JobManager(jobs, name="shop")


def test_mermaid_has_a_box_for_each_job_and_an_arrow_for_each_need() -> None:
    """The whole text, as it is pasted into a page."""
    assert manager().to_mermaid().splitlines() == [
        "flowchart LR",
        '    j0["user"]',
        '    j1["orders"]',
        '    j2["tips"]',
        '    j3["page"]',
        "    j1 --> j2",
        "    j0 --> j3",
        "    j2 --> j3",
    ]


def test_dot_has_a_box_for_each_job_and_an_arrow_for_each_need() -> None:
    """The whole text, as Graphviz reads it."""
    assert manager().to_dot().splitlines() == [
        'digraph "shop" {',
        "    rankdir=LR;",
        "    node [shape=box];",
        '    j0 [label="user"];',
        '    j1 [label="orders"];',
        '    j2 [label="tips"];',
        '    j3 [label="page"];',
        "    j1 -> j2;",
        "    j0 -> j3;",
        "    j2 -> j3;",
        "}",
    ]


def test_a_large_mermaid_graph_is_folded_and_says_so() -> None:
    """It stays within what Mermaid draws; DOT, which is for programs, has everything."""
    text = mermaid(chains(1000))
    assert text.splitlines()[:3] == ["---", "title: 3,000 jobs, drawn as 3 boxes", "---"]
    assert text.count("-->") == 2
    assert dot(chains(1000)).count("->") == 2000
    for plan in (tangle(3000), tangle(120, 100)):
        assert mermaid(plan).count("-->") <= MOST_NEEDS
        assert len(mermaid(plan)) < 50_000


def test_hostile_names_are_only_text_for_mermaid() -> None:
    """Each line is one of ours; of a name only harmless signs and character codes are left."""
    names = [*HOSTILE_NAMES, '%%{init: {"securityLevel": "loose"}}%%', "`md`", "#lt;b#gt;", "end"]
    plan = plan_of(**{name: [] for name in names})

    lines = mermaid(plan).splitlines()

    assert len(lines) == 1 + len(names)
    for i, line in enumerate(lines[1:]):
        assert re.fullmatch(rf'    j{i}\["(?:[\w .,*-]|#\d+;)*"\]', line), line


def test_hostile_names_are_only_text_for_graphviz() -> None:
    """A label ends where it should: each line but the frame is one box."""
    plan = plan_of(**{name: [] for name in HOSTILE_NAMES})

    lines = dot(plan, '"; evil').splitlines()

    assert lines[0] == r'digraph "\"; evil" {'
    assert len(lines) == 4 + len(HOSTILE_NAMES)
    for i, line in enumerate(lines[3:-1]):
        assert re.fullmatch(rf'    j{i} \[label="(?:[^"\\]|\\\\|\\")*"\];', line), line


def test_graphviz_reads_what_it_is_given() -> None:
    """The real program finds every box, and shows each name letter by letter."""
    program = shutil.which("dot")
    if program is None:
        pytest.skip("no Graphviz; install it (apt-get install graphviz) to have this checked")
    plan = plan_of(**{name: [] for name in ["a\\nb", "&lt;b&gt;", "\\N", *HOSTILE_NAMES]})
    ran = subprocess.run(
        [program, "-Tsvg"],
        input=dot(plan),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
        timeout=60,
    )
    assert ran.stdout.count('class="node"') == plan.size
    for name in ("a\\nb", "&amp;lt;b&amp;gt;", "\\N", "&lt;script&gt;alert(1)&lt;/script&gt;"):
        assert f">{name}</text>" in ran.stdout.replace("&#45;", "-")
