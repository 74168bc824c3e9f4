"""The states of a job in a run, and the table of what moves it from one to the next.

A job waits for its needs, is ready, runs, and ends; an ended job never moves again. A job
that never started has no end state of its own while the run goes on: a run that has
stopped simply starts nothing any more, and ``NOT_STARTED`` is what WAITING and READY are
called once it is over. So stopping a run of a million jobs costs nothing.
"""

from __future__ import annotations

WAITING, READY, RUNNING, SUCCEEDED, FAILED, CANCELLED, SKIPPED, NOT_STARTED = range(8)

NAMES = (
    "waiting",
    "ready",
    "running",
    "succeeded",
    "failed",
    "cancelled",
    "skipped",
    "not started",
)

TRANSITIONS: dict[int, frozenset[int]] = {
    WAITING: frozenset({READY, NOT_STARTED}),
    READY: frozenset({RUNNING, NOT_STARTED}),
    # NOT_STARTED: the event loop had been given the job, but a cancellation came before its
    # first line, so it is taken back.
    RUNNING: frozenset({SUCCEEDED, FAILED, CANCELLED, SKIPPED, NOT_STARTED}),
    SUCCEEDED: frozenset(),
    FAILED: frozenset(),
    CANCELLED: frozenset(),
    SKIPPED: frozenset(),
    NOT_STARTED: frozenset(),
}

OUTCOMES = TRANSITIONS[RUNNING]
"""How a job that was taken can end."""

LETS_DEPENDENTS_START = frozenset({SUCCEEDED, SKIPPED})
"""A skipped job counts as done: what needs it gets None."""


def named(state: int) -> str:
    """Return what a state is called, also one that does not exist, for the text of an error."""
    return NAMES[state] if state in TRANSITIONS else f"{state!r}, which is no state"
