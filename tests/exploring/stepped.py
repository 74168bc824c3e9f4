"""Functions of Gofer as small steps over a frame that can be copied, compared and put back.

A function's own source becomes a list of instructions. Each call, each use of a list that threads
share, and each use of a flag (see ``FLAGS``) is an instruction of its own; what lies between is
plain Python over the frame's variables. ``machine`` runs them. What the protocol does not use is
refused here, so that nothing is left out in silence.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from copy import deepcopy as _copy
from textwrap import dedent
from typing import Any

from .codes import (
    FLAGS,
    JUMP,
    PUT,
    RAISE,
    RETURN,
    STORE,
    Code,
)
from .expressions import Expressions, Variables, call_of, name_of


class _Lowering(Expressions):
    """What turns a function's syntax tree into instructions."""

    def __init__(self, code: Code, tree: Any) -> None:
        super().__init__(code, tree)
        self.block(tree.body)
        self.emit(RETURN, self.fn(ast.Constant(None)))
        code.complete(len(self.slots))

    # -- statements

    def block(self, body: list[Any]) -> None:
        for node in body:
            special = getattr(self, f"st_{type(node).__name__}", None)
            if special is None:
                raise NotImplementedError(ast.unparse(node))
            special(node)

    def st_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.ex(node.value)

    def st_Pass(self, node: ast.Pass) -> None:
        return

    def st_Assign(self, node: ast.Assign) -> None:
        value = self.ex(node.value)
        if len(node.targets) > 1:
            name = self.temp()
            self.set(name, value)
            value = name_of(name)
        for target in node.targets:
            self.assign(target, value)

    def st_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.assign(node.target, self.ex(node.value))

    def assign(self, target: Any, value: Any) -> None:
        if isinstance(target, ast.Name):
            self.set(target.id, value)
        elif isinstance(target, ast.Attribute) and target.attr in FLAGS:
            self.emit(STORE, self.fn(self.ex(target.value), value), target.attr)
        elif isinstance(target, ast.Tuple) and all(
            isinstance(each, ast.Name) for each in target.elts
        ):
            name = self.temp()
            self.set(name, value)
            for at, each in enumerate(target.elts):
                self.set(each.id, ast.Subscript(name_of(name), ast.Constant(at), ast.Load()))
        else:
            self.put(ast.Assign([target], value))

    def put(self, statement: Any) -> None:
        """Add a statement that changes what one strand alone looks at."""
        for node in ast.walk(statement):
            if isinstance(node, ast.Attribute) and node.attr in FLAGS:
                raise NotImplementedError(ast.unparse(statement))
        variables = Variables(self.slots)
        body = variables.visit(_copy(statement))
        made: Any = ast.parse("def put(frame): pass")
        made.body[0].body = [body]
        space: dict[str, Any] = {}
        exec(
            compile(ast.fix_missing_locations(made), f"<{self.code.name}>", "exec"),
            self.code.globals,
            space,
        )
        self.emit(PUT, (space["put"], variables.reads))

    def st_AugAssign(self, node: ast.AugAssign) -> None:
        target: Any = _copy(node.target)
        target.ctx = ast.Load()
        if isinstance(target, ast.Name) or getattr(target, "attr", "") in FLAGS:
            self.assign(node.target, ast.BinOp(self.ex(target), node.op, self.ex(node.value)))
        else:
            self.put(ast.AugAssign(node.target, node.op, self.ex(node.value)))

    def st_Delete(self, node: ast.Delete) -> None:
        self.put(node)

    def st_If(self, node: ast.If) -> None:
        no = self.branch(self.cond(node.test))
        self.block(node.body)
        if node.orelse:
            end = self.jump()
            self.land(no)
            self.block(node.orelse)
            self.land(end)
        else:
            self.land(no)

    def st_While(self, node: ast.While) -> None:
        again = self.here()
        no = self.branch(self.cond(node.test))
        self.loop(node.body, again)
        self.land(no, *self.loops.pop()[0])

    def loop(self, body: list[Any], again: int) -> None:
        self.loops.append(([], [], len(self.cleanups)))
        self.block(body)
        self.code.ins[self.jump()] = (JUMP, again)
        for at in self.loops[-1][1]:
            self.code.ins[at] = (JUMP, again)

    def st_For(self, node: ast.For) -> None:
        items, at = self.temp(), self.temp()
        self.set(items, ast.Call(name_of("tuple"), [self.ex(node.iter)], []))
        self.set(at, ast.Constant(0))
        again = self.here()
        size = ast.Call(name_of("len"), [name_of(items)], [])
        no = self.branch(ast.Compare(name_of(at), [ast.Lt()], [size]))
        self.assign(node.target, ast.Subscript(name_of(items), name_of(at), ast.Load()))
        self.set(at, ast.BinOp(name_of(at), ast.Add(), ast.Constant(1)))
        self.loop(node.body, again)
        self.land(no, *self.loops.pop()[0])

    def st_Break(self, node: ast.Break) -> None:
        self.clean_up(self.loops[-1][2])
        self.loops[-1][0].append(self.jump())

    def st_Continue(self, node: ast.Continue) -> None:
        self.clean_up(self.loops[-1][2])
        self.loops[-1][1].append(self.jump())

    def st_Return(self, node: ast.Return) -> None:
        name = self.temp()
        self.set(name, ast.Constant(None) if node.value is None else self.ex(node.value))
        self.clean_up(0)
        self.emit(RETURN, self.fn(name_of(name)))

    def clean_up(self, down_to: int) -> None:
        """Do what has to be done on leaving blocks, the innermost first."""
        kept = self.cleanups, self.handler
        for at in reversed(range(down_to, len(kept[0]))):
            self.cleanups = kept[0][:at]
            kept[0][at]()
        self.cleanups, self.handler = kept

    def st_Raise(self, node: ast.Raise) -> None:
        what = name_of(self.caught[-1]) if node.exc is None else self.ex(node.exc)
        self.emit(RAISE, self.fn(what))

    def st_With(self, node: ast.With) -> None:
        (item,) = node.items
        lock = self.temp()
        self.set(lock, self.ex(item.context_expr))
        self.ex(call_of(lock, "acquire"))
        self.guarded(lambda: self.block(node.body), lambda: self.ex(call_of(lock, "release")))

    def guarded(self, body: Callable[[], object], at_last: Callable[[], object]) -> None:
        """Do something, and at last something else."""
        outer, slot = self.handler, self.temp()
        marker = [None, self.slots[slot]]
        self.handler = marker

        def clean() -> None:
            inner, self.handler = self.handler, outer
            at_last()
            self.handler = inner

        self.cleanups.append(clean)
        body()
        self.cleanups.pop()
        self.handler = outer
        at_last()
        end = self.jump()
        marker[0] = self.here()
        at_last()
        self.emit(RAISE, self.fn(name_of(slot)))
        self.land(end)

    def st_Try(self, node: ast.Try) -> None:
        if node.orelse:
            raise NotImplementedError(ast.unparse(node))
        if not node.finalbody:
            self.attempt(node)
        else:
            self.guarded(lambda: self.attempt(node), lambda: self.block(node.finalbody))

    def attempt(self, node: ast.Try) -> None:
        """Do a body, and what its handlers say."""
        if not node.handlers:
            self.block(node.body)
            return
        outer, slot = self.handler, self.temp()
        marker = [None, self.slots[slot]]
        self.handler = marker
        self.block(node.body)
        self.handler = outer
        ends = [self.jump()]
        marker[0] = self.here()
        self.caught.append(slot)
        for each in node.handlers:
            assert each.type is not None
            no = self.branch(ast.Call(name_of("isinstance"), [name_of(slot), each.type], []))
            if each.name:
                self.set(each.name, name_of(slot))
            self.block(each.body)
            ends.append(self.jump())
            self.land(no)
        self.caught.pop()
        self.emit(RAISE, self.fn(name_of(slot)))
        self.land(*ends)


def stepped(
    functions: list[Any], names: dict[str, Any], change: tuple[Any, str, str] | None = None
) -> dict[Any, Code]:
    """Return functions in steps.

    Args:
        functions: The real ones.
        names: What some of their globals are here.
        change: One of them, what to change in its source, and into what.
    """
    made = {}
    for function in functions:
        text = inspect.getsource(function)
        if change is not None and change[0] is function:
            _, old, new = change
            assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {function}"
            text = text.replace(old, new)
        tree: Any = ast.parse(dedent(text)).body[0]
        made[function] = Code(function, tree, names)
        _Lowering(made[function], tree)
    return made
