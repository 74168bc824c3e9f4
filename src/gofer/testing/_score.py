"""What has happened in a run under a conductor, and what everything in it is called."""

from __future__ import annotations

import sys
from typing import Any

from gofer.testing._strands import Step, line_of


class Score:
    """The choices and the events of one run.

    Attributes:
        steps: The choices.
        events: What happened: label, verb, what, place.
        tell: Whether the lines of code are noted.
        running: The strand that runs.
        jobs: Label -> the execution, and which job of it.
        told: Jobs that have been told of a cancellation.
        hidden: Names of those that ended well nevertheless.
        closing: Whether all that was to be explored is over.
        dead: Why the run was given up, if it was.
    """

    fine = False
    """Whether Gofer's own code is explored as well, at each use of a lock."""

    def __init__(self, *, tell: bool) -> None:
        self.steps: list[Step] = []
        self.events: list[tuple[str, str, str, str]] = []
        self.tell = tell
        self.running: Any = None
        self.jobs: dict[str, tuple[Any, int]] = {}
        self.told: set[tuple[Any, int]] = set()
        self.hidden: list[str] = []
        self.closing = False
        self.dead: str | None = None
        self._step: Step | None = None  # the last that somebody went on in
        self._known: dict[Any, str] = {}
        self._names: dict[str, int] = {}

    @property
    def label(self) -> str:
        """The job that runs."""
        labels = self.running.labels
        return labels[-1] if labels else ""

    def unique(self, name: str) -> str:
        """Return a name that no other job has in this run: the second call of one is ``name#2``."""
        count = self._names[name] = self._names.get(name, 0) + 1
        return name if count == 1 else f"{name}#{count}"

    def numbered(self, kind: str) -> str:
        """Return a name for a thing of the job that runs, the same in each run."""
        return self.unique(f"{kind} of {self.label if self.running else ''}")

    def label_of(self, thing: Any, name: str) -> str:
        """Return the label of an async job."""
        label = self._known.get(thing)
        if label is None:
            label = self._known[thing] = self.unique(name)
        return label

    def note(self, verb: str, what: str = "", place: str | None = None) -> None:
        """Note that something happens, for the story and for comparing runs."""
        if not self.closing and self.dead is None:
            if place is None:
                place = line_of(sys._getframe(1)) if self.tell else ""
            self.events.append((self.label, verb, what, place))

    def touch(self, key: Any, *, write: bool) -> None:
        """Note that a part of the param, a lock or the like is used."""
        if self._step is not None:
            touches = self._step.touches
            touches[key] = touches.get(key, False) or write
