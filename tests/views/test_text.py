"""The waterfall in text, from made-up runs, so that every time in it is known."""

from __future__ import annotations

from typing import Any

import pytest

from gofer import Context, JobManager, Observer, job
from gofer.views import text
from gofer.views.facts import amount
from gofer.views.text import MOST, waterfall

from .runs import FakeRun, draw, record


def test_a_good_run_is_one_sentence_and_a_line_for_each_job() -> None:
    """The whole picture, as a person sees it: by start, with waits and the critical path."""
    run = FakeRun(
        [
            record("assemble", 0.9, 1.0),
            record("user", 0.0, 0.3),
            record("orders", 0.0, 0.9),
            record("avatar", 0.5, 0.75, waiting=0.25),
        ],
        critical_path=("orders", "assemble"),
    )

    assert draw(run, width=80) == [
        "run 'page': succeeded in 1.00 s, 1.55 s of work, 1.6 at once",
        "critical path orders -> assemble",
        "  job        start    took  |0                                           1.00 s|",
        "  user         0 s  300 ms  |===============                                   |",
        "* orders       0 s  900 ms  |#############################################     |",
        "  avatar    500 ms  250 ms  |            .............=============            |",
        "* assemble  900 ms  100 ms  |                                             #####|",
        "  * and # on the critical path; . ready, but kept waiting",
    ]
    assert draw(run)[0].endswith("1.6 at once; critical path orders -> assemble")


def test_a_failed_run_shows_each_job_state_and_the_error_under_the_job() -> None:
    """The failure, what it cancelled and what never started can all be read off."""
    error = ConnectionError("no route to host\nsecond line")
    run = FakeRun(
        [
            record("user", 0.0, 0.3),
            record("orders", 0.0, 0.5, "failed", error=error),
            record("tips", 0.1, 1.0, "cancelled"),
            record("news", 0.3, 0.3, "skipped"),
            record("assemble"),
        ],
        state="failed",
        error=error,
    )

    lines = draw(run)

    assert lines[0] == "run 'page': failed after 1.00 s, 1.70 s of work, 1.7 at once"
    assert lines[1] == "jobs: 1 succeeded, 1 failed, 1 cancelled, 1 skipped, 1 not started"
    at = next(i for i, line in enumerate(lines) if line.startswith("  orders "))
    assert lines[at].endswith("|  failed")
    assert lines[at + 1] == "    ConnectionError: no route to host"
    assert [line.split("|")[-1].strip() for line in lines[at + 2 : at + 5]] == [
        "cancelled",
        "skipped",
        "not started",
    ]
    assert "assemble" in lines[at + 4]


def test_of_several_failures_the_first_is_named() -> None:
    """With fail_fast=False the headline says which job failed first, not which stands first."""
    first, second = ValueError("early"), ValueError("late")
    run = FakeRun(
        [
            record("a", 0.0, 0.9, "failed", error=second),
            record("b", 0.0, 0.1, "failed", error=first),
        ],
        state="failed",
        error=first,
    )

    assert "jobs: 2 failed; the first to fail was b" in draw(run)


def test_how_many_jobs_there_are_is_not_cut_short_by_who_failed_first() -> None:
    """What does not fit beside the counts is a line of its own; no count loses its word."""
    error = ValueError()
    records = [record("first-to-fail-of-all-of-them", 0.0, 0.1, "failed", error=error)]
    for state in ("succeeded", "failed", "cancelled", "skipped"):
        records += [record(f"{state}-{i}", 0.0, 0.5, state) for i in range(1000)]
    records += [record(f"never-{i}") for i in range(1000)]
    lines = draw(FakeRun(records, "failed", error=error), width=100)

    counts = "1,000 succeeded, 1,001 failed, 1,000 cancelled, 1,000 skipped, 1,000 not started"
    assert lines[1:3] == [
        f"jobs: {counts}",
        "the first to fail was first-to-fail-of-all-of-them",
    ]


def test_a_run_without_jobs_is_one_line() -> None:
    """An empty run is a success, and says that it was empty."""
    assert draw(FakeRun([], duration=0.0)) == ["run 'page': succeeded in 0 s; it has no jobs"]


def test_a_run_without_a_name_says_just_run() -> None:
    """No 'None' anywhere."""
    assert draw(FakeRun([], name=None)) == ["run: succeeded in 1.00 s; it has no jobs"]


def test_a_run_in_which_nothing_started_says_so_and_why() -> None:
    """A deadline that had passed before: no bars, no division by a duration of nothing."""
    run = FakeRun(
        [record("a"), record("b")], "cancelled", 0.0, TimeoutError("the deadline has passed")
    )

    lines = draw(run)

    assert lines[:3] == [
        "run 'page': cancelled after 0 s; no job started",
        "jobs: 2 not started",
        "cause: TimeoutError: the deadline has passed",
    ]
    assert sum("not started" in line for line in lines[3:]) == 2
    assert not any("=" in line or "#" in line for line in lines)


def test_jobs_of_no_duration_are_still_seen() -> None:
    """A job that took no time has a bar of one sign, also when the whole run took none."""
    for duration in (0.0, 1.0):
        records = [record("quick", 0.0, 0.0), record("next", 0.0, 0.0)]

        lines = draw(FakeRun(records, duration=duration, critical_path=("quick", "next")))

        assert lines[0].endswith("; critical path quick -> next")
        assert lines[2].startswith("* quick    0 s   0 s  |# ")


def test_a_running_run_is_drawn_up_to_what_happened_last() -> None:
    """Jobs that still run reach to the end and are marked; nothing is called over."""
    run = FakeRun(
        [
            record("user", 0.0, 0.3),
            record("orders", 0.15, None, "running"),
            record("tips", None, None, "waiting"),
        ],
        state="running",
        duration=None,
        critical_path=("user",),
    )

    lines = draw(run)

    assert lines[0] == "run 'page': running, 1 of 3 jobs ended, last news at 300 ms"
    assert lines[1] == "jobs: 1 waiting, 1 running, 1 succeeded"
    assert lines[4].startswith("  orders  150 ms          |")
    assert lines[4].endswith("=>|  running")
    assert lines[5].endswith("|  waiting")
    assert lines[6].endswith("; > still running")


@pytest.mark.parametrize(("duration", "waiting"), [(1.0, 0.02), (0.001, 0.0009)])
def test_a_wait_too_short_to_matter_is_not_drawn(duration: float, waiting: float) -> None:
    """Neither one column of a long run, nor what it takes to start a thread in a short one."""
    run = FakeRun([record("a", duration / 2, duration, waiting=waiting)], duration=duration)

    lines = draw(run)

    assert lines[2].partition("|")[2].lstrip(" ").startswith("=")
    assert len(lines) == 3


def test_of_many_jobs_those_that_matter_are_shown_and_the_others_counted() -> None:
    """With 3,000 jobs: the failures, the critical path and the longest; the sums are right."""
    error = ValueError("bad page")
    records = [record(f"fetch[{i}]", i / 1000, i / 1000 + 0.01) for i in range(2900)]
    records += [record(f"late[{i}]") for i in range(97)]
    records.append(record("slow", 1.0, 2.5))
    records.append(record("critical", 0.0, 0.001))
    records.append(record("bad", 0.0, 0.0005, "failed", error=error))
    run = FakeRun(
        records, state="failed", duration=3.0, error=error, critical_path=("critical", "slow")
    )

    lines = draw(run)

    shown = [line for line in lines if line.count("|") == 2][1:]
    assert len(shown) == MOST
    assert [sum(f" {name} " in line for line in shown) for name in ("slow", "critical", "bad")] == [
        1,
        1,
        1,
    ]
    assert "    ValueError: bad page" in lines
    assert lines[-1] == (
        "... and 2,940 more, none longer than 10.0 ms (run.records has all): "
        "2,843 succeeded, 97 not started"
    )


def test_many_failures_leave_room_for_the_critical_path_and_the_longest() -> None:
    """No kind of job crowds out the others."""
    records = [
        record(f"bad[{i}]", 0.0, 0.1, "failed", error=ValueError(str(i))) for i in range(1000)
    ]
    records += [record(f"path[{i}]", 0.2, 0.3) for i in range(1000)]
    records += [record(f"long[{i}]", 0.0, 0.9) for i in range(1000)]
    run = FakeRun(records, "failed", critical_path=tuple(f"path[{i}]" for i in range(1000)))

    lines = draw(run)

    for kind in ("bad", "path", "long"):
        assert sum(line[2:].startswith(f"{kind}[") for line in lines) == 20
    assert "... and 2,940 more, " in lines[-1]


def test_of_many_jobs_none_of_which_started_none_is_listed() -> None:
    """A list of jobs that did nothing tells nothing; they are counted."""
    run = FakeRun([record(str(i)) for i in range(3000)], "cancelled", 0.0)

    assert draw(run) == [
        "run 'page': cancelled after 0 s; no job started",
        "jobs: 3,000 not started",
        "... and 3,000 more (run.records has all): 3,000 not started",
    ]


def test_a_long_critical_path_keeps_its_begin_and_its_end() -> None:
    """What is left out of the middle is counted, so that the number of names is right."""
    names = [f"number {i}" for i in range(50)]
    run = FakeRun([record(name, 0.0, 1.0) for name in names], critical_path=tuple(names))

    line = draw(run)[1]

    assert line.startswith("critical path number 0 -> number 1 -> ")
    head, _, end = line.partition(" more) -> ")
    assert end == "number 49"
    before, _, left_out = head.rpartition("(")
    assert before.count("number") + int(left_out) + 1 == 50


def test_a_long_name_loses_its_middle() -> None:
    """Begin and end are kept: the end tells one job of a group from another."""
    name = "a_very_long_name_of_a_job_that_fetches[17]"

    lines = draw(FakeRun([record(name, 0.0, 1.0)]))

    assert lines[2].startswith("  a_very_long_nam...hes[17] ")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (1e-9, "0 s"),
        (1.5e-8, "0.01 us"),
        (1.234e-6, "1.23 us"),
        (12.34e-6, "12.3 us"),
        (999.4e-6, "999 us"),
        (999.6e-6, "1.00 ms"),
        (0.0099951, "10.0 ms"),
        (0.9996, "1.00 s"),
        (12.345, "12.3 s"),
        (99.96, "1m 40s"),
        (3599.4, "59m 59s"),
        (3599.6, "1h 00m"),
        (90_000, "25h 00m"),
    ],
)
def test_a_time_has_three_digits_and_the_unit_that_suits_it(seconds: float, expected: str) -> None:
    """Never '1000 ms', never '60s'."""
    assert amount(seconds) == expected


def test_a_real_run_is_drawn_by_print(capsys: pytest.CaptureFixture[str]) -> None:
    """`print(run)` is the waterfall, with all jobs, and neither param nor results in it."""
    canary = "c4n4ry"

    @job
    def user(ctx: Context, param: object) -> str:
        return canary

    @job
    async def orders() -> str:
        return canary

    @job
    def page(*, user: str, orders: str) -> str:
        return user + orders

    run = JobManager([page, user, orders], name="page").execute(param=canary)

    print(run)  # noqa: T201

    shown = capsys.readouterr().out
    assert shown == waterfall(run) + "\n"
    assert shown.startswith("run 'page': succeeded in ")
    assert "-> page" in shown
    order = [line[2:].split()[0] for line in shown.splitlines() if line.count("|") == 2]
    assert order[0] == "job"
    assert sorted(order[1:3]) == ["orders", "user"]
    assert order[3] == "page"
    assert canary not in shown


def test_a_run_can_be_drawn_by_one_of_its_own_jobs() -> None:
    """Also while it goes on, with jobs in each state that only a running one has."""
    seen: list[str] = []

    class Watcher(Observer):
        def run_started(self, run: Any) -> None:
            self.run = run

    watcher = Watcher()

    @job
    def first() -> None: ...

    @job(after=["first"])
    def look() -> None:
        seen.append(str(watcher.run))

    @job(after=["look"])
    def last() -> None: ...

    JobManager([first, look, last], observers=[watcher]).execute()

    assert seen[0].startswith("run: running, 1 of 3 jobs ended, last news at ")
    assert "jobs: 1 waiting, 1 running, 1 succeeded" in seen[0]


def test_of_a_great_run_only_what_is_shown_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Escaping and measuring a name costs something, so it is done for the shown jobs alone."""
    written = []
    pad = text.Pen.pad

    def counted(pen: text.Pen, name: str, columns: int) -> str:
        written.append(name)
        return pad(pen, name, columns)

    monkeypatch.setattr(text.Pen, "pad", counted)

    lines = draw(FakeRun([record(str(i), 0.0, 0.001) for i in range(3000)]))

    assert len(lines) == MOST + 3
    assert len(written) == MOST + 1
