"""`gofer check`: every check without a run, and a table of what there is."""

from __future__ import annotations

from pathlib import Path

from .helpers import Gofer, command

__all__ = ["command"]  # a fixture

SHOP = """
from gofer import JobManager, Retry, job

def work():
    raise AssertionError("nothing runs")

async def tips(*, orders):
    raise AssertionError("nothing runs")

shop = JobManager(
    [
        job(work, name="orders", timeout=2, retry=3),
        job(tips, fallback=[], when=lambda ctx, param: True),
        job(work, name="page", after=["orders", "tips"]),
        job(work, name="user", retry=Retry(2)),
    ],
    name="shop",
    limit=3,
)
alone = JobManager([job(work)])
empty = JobManager(name="empty")
many = JobManager([job(work, name=f"w{i:02}{'x' * 60}") for i in range(20)])

def number() -> int:
    return 1

def text(*, number: str) -> str:
    return number

wrong = JobManager([number, text])
"""


def test_check_lists_jobs_needs_policies_and_what_can_run_at_once(
    command: Gofer, tmp_path: Path
) -> None:
    """Exit 0; no job is run."""
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")

    done = command("check", "shop:shop")

    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout.splitlines() == [
        "shop is fine: 4 jobs",
        "  job     kind   needs         policies",
        "  orders  sync                 timeout=2, retry=3",
        "  tips    async  orders        when, fallback",
        "  page    sync   orders, tips",
        "  user    sync                 retry",
        "what can run at once, in turn:",
        "  1. orders, user",
        "  2. tips",
        "  3. page",
        "at most 3 jobs at once",
    ]


def test_check_finds_what_only_a_check_finds(command: Gofer, tmp_path: Path) -> None:
    """Type hints that contradict each other: exit 2, one line, both ends named."""
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")

    done = command("check", "shop:wrong")

    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr.startswith("gofer: shop:wrong is refused: ")
    assert "'number'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_check_refuses_what_cannot_be_a_graph(command: Gofer) -> None:
    """An unknown need, with the nearest name."""
    done = command("check", "jobs:unwired")

    assert done.returncode == 2, done
    assert "did you mean 'orders'" in done.stderr


def test_check_of_small_and_great_managers(command: Gofer, tmp_path: Path) -> None:
    """One job, none, and more than fit in a line."""
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")

    alone = command("check", "shop.py:alone").stdout
    assert alone.startswith("the manager is fine: 1 job\n")
    assert alone.endswith("at most 1 job at once\n")
    assert command("check", "shop:empty").stdout == "empty is fine: 0 jobs\n"
    many = command("check", "shop:many").stdout
    assert " and 12 more\n" in many
    assert "xxx..." in many
