"""What runs functions in steps: the strands of a world, one visible operation at a time.

Visible is what another strand could tell from its not having happened yet: the use of a lock, or of
a list or a flag that threads share. All that a strand does between two of those is one step with
the first of them.

Two kinds of operations make no step of their own (Lipton, "Reduction", 1975):
- To take a lock that everybody waits for commutes with what others do next, and to give it back
  with what they did before. So the first goes together with what follows it, the second with what
  went before. The desk is different: who does not get it does not wait, and so can tell.
- What only those use who have such a lock is seen by nobody else meanwhile. What only those change
  may be read by them unseen, too; not so what is read without the lock (``ALONE``), or changed.
"""

from __future__ import annotations

from typing import Any, ClassVar

from .codes import CALL, GET, ITEM, RETURN, STORE, TRUTH, Code

LOCAL, VISIBLE, MOVER, LAST = range(4)


class Thing:
    """What threads share. A method is visible if it says so here.

    Attributes:
        visible: Method -> VISIBLE; MOVER: visible, and one step with what follows; or LAST: one
            step with what went before, and not with what follows.
    """

    visible: ClassVar[dict[str, int]] = {}

    def sight(self, method: str) -> int:
        """Return how visible a method is now."""
        return self.visible.get(method, LOCAL)

    def ready(self, method: str, args: tuple[Any, ...], named: dict[str, Any]) -> bool:
        """Return whether it can be done now."""
        return True


class SharedList(list[Any], Thing):
    """A list that is used without a lock.

    Attributes:
        shared: Whether anybody could tell.
        unseen: Returns whether who has the lock of the run can use it, and nobody else sees it.
    """

    visible = dict.fromkeys(["append", "pop", "popleft", "clear", "remove"], VISIBLE)
    shared = True
    __hash__ = object.__hash__  # it stays the same one in all states
    __eq__ = object.__eq__

    def sight(self, method: str) -> int:
        return Thing.sight(self, method) if self.shared else LOCAL

    def unseen(self) -> bool:
        """See above."""
        return False


class Lock(Thing):
    """A lock that everybody waits for."""

    visible: ClassVar = {"acquire": MOVER, "release": LAST}

    def __init__(self) -> None:
        self.locked = False

    def ready(self, method: str, args: tuple[Any, ...], named: dict[str, Any]) -> bool:
        return not self.locked

    def acquire(self) -> bool:
        """Take it."""
        assert not self.locked
        self.locked = True
        return True

    def release(self) -> None:
        """Give it back."""
        assert self.locked
        self.locked = False


class Desk(Lock):
    """A lock that some only try to get.

    Attributes:
        stopped: Returns whether a wait for it may end in vain, as after a stop.
        missed: Called when somebody has not got it.
    """

    visible: ClassVar = {"acquire": VISIBLE, "release": VISIBLE}
    stopped: Any = None
    missed: Any = None

    def ready(self, method: str, args: tuple[Any, ...], named: dict[str, Any]) -> bool:
        if method == "release" or args == (False,):
            return True
        return not self.locked or self.stopped()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # type: ignore[override]
        """Take it, or not."""
        if self.locked:
            self.missed()
            return False
        self.locked = True
        return True


class Machine:
    """What all strands have in common: the functions in steps, and which flags are visible."""

    guarded = frozenset({"waking", "running"})
    """Flags that are changed only by who has the lock of the run."""

    def __init__(self, codes: dict[Any, Code], flags: set[str], kind: tuple[type, ...]) -> None:
        """Begin.

        Args:
            codes: The functions in steps.
            flags: Which flags are visible; of the others nobody can tell.
            kind: The classes of what has those flags.
        """
        self.codes, self.flags, self.kind = codes, flags, kind
        self.guards: list[Lock] = []  # the locks of the runs
        self.is_read: Any = None  # whether a flag may be read now by who has not such a lock

    def call(self, function: Any, *args: Any) -> tuple[Any, ...] | None:
        """Return a strand that stands before the first visible operation of a call."""
        code = self.codes[function]
        return self.go([(code, 0, code.start(args, {}))], first=False)

    def stand(self, frames: tuple[Any, ...]) -> tuple[Any, Any, tuple[Any, ...], dict[str, Any]]:
        """Return what a strand does next: on what, which method, with which arguments."""
        code, pc, frame = frames[-1]
        ins = code.ins[pc]
        if ins[0] == CALL:
            target, args, named = ins[1](frame)
            return target, ins[2], args, named
        return None, None, (), {}

    def enabled(self, frames: tuple[Any, ...]) -> bool:
        """Return whether a strand can go on."""
        target, method, args, named = self.stand(frames)
        return not isinstance(target, Thing) or target.ready(method, args, named)

    def step(self, frames: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Return where a strand stands after its next visible operation; None at its end."""
        return self.go([*frames[:-1], (*frames[-1][:2], list(frames[-1][2]))], first=True)

    def go(self, frames: list[Any], *, first: bool) -> tuple[Any, ...] | None:
        """Go on up to the next visible operation.

        Args:
            frames: The strand.
            first: Whether the one that it stands before is to be done.
        """
        code, pc, frame = frames.pop()
        while True:
            try:
                while (plain := code.plain[pc]) is not None:
                    pc = plain(frame)
                ins = code.ins[pc]
                if ins[0] == RETURN:
                    value = ins[1](frame)
                    if not frames:
                        return None
                    code, pc, frame = _back(frames, value)
                    continue
                sight = self._sight(code, ins, frame)
                if isinstance(sight, tuple):
                    code, pc, frame = self._enter(frames, (code, pc, frame), *sight)
                    continue
                if sight == LAST:
                    first = False
                elif sight != LOCAL:
                    if not first or not self._can(ins, frame):
                        break
                    first = sight == MOVER
                self._do(ins, frame)
                pc += 1
            except Exception as error:
                code, pc, frame = _caught(frames, (code, pc, frame), error)
        for slot in code.dead[pc]:
            frame[slot] = None
        frames.append((code, pc, tuple(frame)))
        return tuple(frames)

    def _enter(
        self, frames: list[Any], here: Any, function: Any, args: Any, named: Any
    ) -> tuple[Code, int, list[Any]]:
        """Call a function in steps: return its frame."""
        code, pc, frame = here
        for slot in code.dead_after[pc]:
            frame[slot] = None
        frames.append((code, pc, tuple(frame)))
        code = self.codes[function]
        return code, 0, code.start(args, named)

    def _can(self, ins: Any, frame: list[Any]) -> bool:
        if ins[0] != CALL:
            return True
        target, args, named = ins[1](frame)
        return not isinstance(target, Thing) or target.ready(ins[2], args, named)

    def _sight(self, code: Code, ins: Any, frame: list[Any]) -> Any:
        """Return whether an instruction is visible, or which function in steps it calls."""
        kind = ins[0]
        if kind == CALL:
            target, args, named = ins[1](frame)
            method = ins[2]
            if method is None:
                function = target
            elif isinstance(target, Thing):
                return target.sight(method) if _is_shared(target, code) else LOCAL
            else:
                function = getattr(target, method)
            plain = getattr(function, "__func__", function)
            if plain in self.codes:
                return plain, (args if plain is function else (function.__self__, *args)), named
            return VISIBLE if any(_is_shared(each, code) for each in args) else LOCAL
        if kind == GET or kind == STORE:
            owner = ins[1](frame)
            owner = owner[0] if kind == STORE else owner
            computed = getattr(getattr(type(owner), ins[2], None), "fget", None)
            if computed in self.codes:
                return computed, (owner,), {}
            if ins[2] not in self.flags or not isinstance(owner, self.kind):
                return LOCAL
            if ins[2] in self.guarded and not (kind == GET and code.is_alone):
                assert any(each.locked for each in self.guards), f"{ins[2]} without the lock"
                return VISIBLE if kind == STORE and self.is_read(ins[2]) else LOCAL
            return VISIBLE
        value = ins[1](frame) if kind == TRUTH else ins[1](frame)[0]
        return VISIBLE if isinstance(value, SharedList) and _is_shared(value, code) else LOCAL

    def _do(self, ins: Any, frame: list[Any]) -> None:
        kind = ins[0]
        if kind == CALL:
            target, args, named = ins[1](frame)
            if ins[2] is not None:
                target = getattr(target, ins[2])
            frame[ins[3]] = target(*args, **named)
        elif kind == GET:
            frame[ins[3]] = getattr(ins[1](frame), ins[2])
        elif kind == STORE:
            owner, value = ins[1](frame)
            setattr(owner, ins[2], value)
        elif kind == TRUTH:
            frame[ins[2]] = bool(ins[1](frame))
        elif kind == ITEM:
            value, place = ins[1](frame)
            frame[ins[2]] = value[place]


def _is_shared(value: Any, code: Code) -> bool:
    """Return whether somebody else could tell that a function has used a thing."""
    if isinstance(value, SharedList):
        return value.shared and (code.is_alone or not value.unseen())
    if type(value) is tuple:
        return any(isinstance(each, SharedList) and _is_shared(each, code) for each in value)
    return isinstance(value, Thing)


def _back(frames: list[Any], value: Any) -> tuple[Code, int, list[Any]]:
    """Return to the caller: return its frame."""
    code, pc, kept = frames.pop()
    frame = list(kept)
    frame[code.ins[pc][-1]] = value
    return code, pc + 1, frame


def _caught(frames: list[Any], here: Any, error: Exception) -> tuple[Code, int, list[Any]]:
    """Return the frame of whoever catches an exception; raise it where nobody does."""
    code, pc, frame = here
    while code.handlers[pc] is None:
        if not frames:
            raise error
        code, pc, frame = frames.pop()
        frame = list(frame)
    to, slot = code.handlers[pc]
    frame[slot] = error
    return code, to, frame
