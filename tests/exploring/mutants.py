"""Changes of one line, or of a few, each of which loses a wake-up, a job or a thread.

What a search of the right code finds is worth as much as what it finds of these.
"""

from __future__ import annotations

from typing import Any

from gofer._core.schedule import Schedule
from gofer.backends import _workers, threads
from gofer.backends._execution import Execution

Mutant = tuple[Any, str, str]

_LOOK = """\
            if core.finished and not execution.out:
                return
"""
_PARK = "            execution.parked.append(gate)\n"

MUTANTS: dict[str, tuple[Mutant, list[str], dict[str, Any]]] = {
    "what ended elsewhere is not looked for after the desk is given back": (
        (
            threads.work,
            "if ended_elsewhere:\n                _clear_desk(execution)\n            if outcome",
            "if outcome",
        ),
        ["a b"],
        {},
    ),
    "whoever leaves an end with another does not ask once more": (
        (
            threads.work,
            "                i = NOTHING\n                _clear_desk(execution)\n",
            "                i = NOTHING\n",
        ),
        ["a b"],
        {},
    ),
    "a thread that arrives does not say so": (
        (threads.work, "core.waking = False", "pass"),
        ["a b c"],
        {},
    ),
    "a woken thread does not wake the next": (
        (threads.work, "wake = i >= 0 and core.wants()", "wake = False"),
        ["a b"],
        {},
    ),
    "whoever books a job wakes nobody for what that makes ready": (
        (threads.work, "wake = not core.waking and core.wants()", "wake = False"),
        ["a B:a C:a"],
        {},
    ),
    "whoever books ends of others wakes nobody": (
        (
            threads._clear_desk,
            "wake, finished = core.wants(), core.finished",
            "wake, finished = False, core.finished",
        ),
        ["a b C:a D:b"],
        {},
    ),
    "the end of the run is not told by who books ends of others": (
        (
            threads._clear_desk,
            "        if finished:\n            execution.finish()\n        elif post",
            "        if post",
        ),
        ["a b"],
        {},
    ),
    "a caller parks without looking": ((threads._work_and_wait, _LOOK, ""), ["a"], {}),
    "a caller looks before it parks, and misses a stop": (
        (threads._work_and_wait, _PARK + _LOOK, _LOOK + _PARK),
        ["a b C:a"],
        {"in_time": 2, "stopped": True},
    ),
    "a caller parks without the lock": (
        (threads._work_and_wait, _PARK + _LOOK, _LOOK + _PARK[4:]),
        ["a b"],
        {},
    ),
    "a thread that comes serves one run, and sends for nobody": (
        (_workers.Workers._next, "self._coming = False", "pass"),
        ["a b"],
        {"with_gil": False},
    ),
    "a run that finds somebody on the way is not put in line": (
        (
            _workers.Workers.summon,
            "            self._wanting[execution] = None\n",
            """\
            if not self._coming:
                self._wanting[execution] = None
""",
        ),
        ["a b", "c d"],
        {"with_gil": False},
    ),
    "a worker parks without looking": (
        (
            _workers.Workers._next,
            "next(iter(self._wanting), None)",
            "next(iter(self._wanting), None) if arrived else None",
        ),
        ["a b", "c d"],
        {"with_gil": False, "most": 1},
    ),
    "an idle worker leaves though it has been sent for": (
        (_workers.Workers._serve, "if gate in self._parked:", "if True:"),
        ["a b", "c d"],
        {"idle": True, "with_gil": False, "most": 1},
    ),
    "a job that is taken is not counted": (
        (Schedule.take, "            self.running = running + 1\n", ""),
        ["a b"],
        {"limit": 1},
    ),
    "who wakes all goes on while anybody is parked": (
        (
            Execution.unpark_all,
            "for _ in range(len(self.parked)):",
            "while self.parked:",
        ),
        ["a b"],
        {"stopped": True},
    ),
    "a caller leaves a job to a thread that is refused": (
        (threads._work_and_wait, "(not left or execution.refused)", "not left"),
        ["a b c"],
        {"most": 1},
    ),
    "who is refused lets the caller wait": (
        (_workers._refused, "    execution.unpark()\n", ""),
        ["a b c"],
        {"most": 1},
    ),
    "who is refused lets jobs fail that the caller could run": (
        (_workers._refused, " or execution.caller is not None", ""),
        ["a b c:a"],
        {"most": 1},
    ),
}
"""What is wrong -> the function, what to change in its source, and into what; and the world in
which that is found: its runs and options."""
