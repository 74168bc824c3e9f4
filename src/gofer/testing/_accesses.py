"""What jobs do to a param, noted: who, what, how, where in the code, and what it held meanwhile.

A job is known by a context variable that is set around its call, so what is noted belongs to a job
also in the threads of ``asyncio.to_thread``; what code outside of jobs does is not noted.
"""

from __future__ import annotations

import os
import re
import sys
from contextvars import ContextVar

import gofer
from gofer._limits import HELD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gofer.testing._tracking import Watch

WHOLE = ("", "")
"""The key of all items of a container together; no key of a single one is equal to it."""

_UNGUARDED: frozenset[Any] = frozenset()
_OURS, _LIBRARY, _USERS = range(3)


class Access:
    """One read or write of a part of a param, by a job.

    Attributes:
        job: The job's name.
        path: What was used, such as ``page.cart.items``.
        write: Whether it was changed.
        file: The file of the line that did it.
        line: Its number.
    """

    __slots__ = ("file", "job", "line", "path", "write")

    def __init__(self, job: str, path: str, write: bool, file: str, line: int) -> None:
        self.job, self.path, self.write, self.file, self.line = job, path, write, file, line

    @property
    def place(self) -> str:
        """The line of code, as ``file:line``; the file as seen from here, if it is below."""
        here = os.getcwd() + os.sep
        return f"{self.file.removeprefix(here)}:{self.line}"

    def __repr__(self) -> str:
        verb = "writes" if self.write else "reads"
        return f"<job {self.job!r} {verb} {self.path} at {self.place}>"


class Record:
    """All accesses of one run.

    Thread safety: accesses may be noted from any thread at the same time. It is made of single
    operations of dicts, which are atomic with a GIL and under the dict's own lock without one.

    Attributes:
        watch: Who tracks the objects of the run.
        names: Index of a job -> its name.
        away: The names of those that will run in processes of their own; now they run here.
        actors: Index of a job -> who notes what it does.
        caller: Who notes what is done before any job: nobody asks for that.
        is_open: Whether anything is noted still.
    """

    def __init__(self, names: list[str], watch: Watch, away: frozenset[str]) -> None:
        outer = ACTOR.get()
        self.names, self.watch, self.away = names, watch, away
        self.actors = [Actor(self, name, outer) for name in names]
        self.caller = Actor(self, "", None)
        self.is_open = True
        # Each object is kept until the run has ended, so no other can get its id meanwhile.
        self._paths: dict[int, tuple[object, str]] = {}

    def call(self, thing: object, path: str) -> str:
        """Give an object its path, if it has none; return the path that it has."""
        return self._paths.setdefault(id(thing), (thing, path))[1]

    def path_of(self, thing: object) -> str:
        """Return the path of an object, as it was first found."""
        found = self._paths.get(id(thing))
        return self.call(thing, f"<{type(thing).__name__}>") if found is None else found[1]

    def close(self) -> None:
        """Note nothing more, and let go of the objects."""
        self.is_open = False
        self._paths.clear()
        for each in self.actors:
            each.outer = None


class Actor:
    """A job of a run that is watched.

    Attributes:
        seen: What it did: ``(id, whether an item, key, write, guards)`` -> the first such access.
        outer: The job around its run, if that is watched by another detector.
        has_ended: Whether it has ended well.
    """

    __slots__ = ("_name", "_record", "has_ended", "outer", "seen")

    def __init__(self, record: Record, name: str, outer: Actor | None) -> None:
        self._record, self._name, self.outer = record, name, outer
        self.has_ended = False
        self.seen: dict[tuple[int, bool, Any, bool, frozenset[Any]], Access] = {}

    @property
    def watch(self) -> Watch:
        """Who tracks the objects of its run."""
        return self._record.watch

    def note(self, owner: object, key: Any, *, item: bool, write: bool) -> None:
        """Note an access to an attribute of an object, or to an item or all items of a container.

        Args:
            owner: The object itself, not what stands for it.
            key: The attribute's name, the item's key, or ``WHOLE``.
            item: Whether it is an item.
            write: Whether it is changed.
        """
        known = token(key) if item else key
        held = guards()
        place = (id(owner), item, known, write, held)
        whole = (id(owner), item, WHOLE, write, held)  # whoever uses all of it uses this, too
        record = self._record
        if place not in self.seen and whole not in self.seen and record.is_open:
            path = child_path(record.path_of(owner), key, item=item)
            file, line = _line_of_user()
            self.seen.setdefault(place, Access(self._name, path, write, file, line))

    def about_to_write(self, owner: object, name: str) -> None:
        """Be told before an attribute is written; ``note`` comes after it has been."""

    def find(self, owner: object, key: Any, value: object, *, item: bool) -> str:
        """Note that a value was found in, or put into, an object; return its path."""
        record = self._record
        path = child_path(record.path_of(owner), key, item=item)
        return record.call(value, path) if record.is_open else path


ACTOR: ContextVar[Actor | None] = ContextVar("gofer_actor", default=None)
"""Whose code this is."""


def note(owner: object, key: Any, *, item: bool, write: bool) -> None:
    """Note an access by whoever's code this is; see ``Actor.note``."""
    actor = ACTOR.get()
    while actor is not None:
        actor.note(owner, key, item=item, write=write)
        actor = actor.outer


def about_to_write(owner: object, name: str) -> None:
    """Say that an attribute is about to be written, which may yet be refused."""
    actor = ACTOR.get()
    if actor is not None:
        actor.about_to_write(owner, name)


def guards() -> frozenset[Any]:
    """Return what nobody else can hold meanwhile: locks by name, and limits of one place."""
    held = HELD.get()
    if not held:
        return _UNGUARDED
    return frozenset(each.limit for each in held if each.limit.most == 1 and each.is_held)


def token(key: Any) -> Any:
    """Return what is equal for equal keys of a dict, and calls nobody's ``__eq__``."""
    if key is WHOLE:
        return key
    if isinstance(key, str):
        return str.__str__(key)
    if isinstance(key, int):
        return int(key)
    return ("hash", hash(key))


def child_path(path: str, key: Any, *, item: bool) -> str:
    """Return the path of an attribute or an item.

    Only keys that are short text or whole numbers are shown; others might print at any length.
    """
    if not item:
        return f"{path}.{key}"
    if key is WHOLE:
        return path
    if type(key) is int or (type(key) is str and len(key) <= 40):
        return f"{path}[{key!r}]"
    return f"{path}[...]"


def spelt(path: str) -> str:
    """Return a path as those are written that users give: keys of dicts stand as attributes do."""
    return re.sub(r"\[(['\"])(.*?)\1\]", r".\2", path).lstrip(".")


def spellings(path: str) -> tuple[str, str]:
    """Return the ways to write a path: with the param's own name, and without."""
    whole = spelt(path)
    return whole, re.sub(r"^\w+\.?", "", whole)


# -- whose line it was

BOUNDARY: set[object] = set()
"""The code of what calls a job for a detector: below it is no more of the job."""

_FOLDER = os.path.dirname(gofer.__file__) + os.sep
_LIBRARIES = os.path.dirname(os.__file__) + os.sep
_kinds: dict[str, int] = {}


def _kind_of(file: str) -> int:
    if file.startswith(_FOLDER):
        return _OURS
    generated = file == "<string>" or file.startswith(("<attrs ", "<frozen "))
    installed = file.startswith(_LIBRARIES) or f"{os.sep}site-packages{os.sep}" in file
    return _LIBRARY if generated or installed else _USERS


def _line_of_user() -> tuple[str, int]:
    """Return the file and line of the user's code that did what is being noted.

    Frames of Gofer are skipped, and those of libraries that the user's code has called, unless the
    job itself is of a library.
    """
    frame = sys._getframe(2)
    found = None
    while frame is not None and frame.f_code not in BOUNDARY:
        file = frame.f_code.co_filename
        kind = _kinds.get(file)
        if kind is None:
            kind = _kinds[file] = _kind_of(file)
        if kind == _USERS:
            return file, frame.f_lineno
        if kind == _LIBRARY and found is None:
            found = file, frame.f_lineno
        frame = frame.f_back  # type: ignore[assignment]
    return found or ("<unknown>", 0)
