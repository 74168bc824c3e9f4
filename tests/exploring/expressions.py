"""Expressions of Gofer's functions as instructions: calls, flags, lists that threads share."""

from __future__ import annotations

import ast
from collections.abc import Callable
from copy import deepcopy as _copy
from typing import Any

from .codes import CALL, FLAGS, GET, IF, ITEM, JUMP, LISTS, SET, TRUTH, Code


class Variables(ast.NodeTransformer):
    """Turn variables into places of the frame."""

    def __init__(self, slots: dict[str, int]) -> None:
        self.slots = slots
        self.reads: set[int] = set()

    def visit_Name(self, node: ast.Name) -> Any:
        if node.id not in self.slots:
            return node
        self.reads.add(self.slots[node.id])
        place = ast.Constant(self.slots[node.id])
        return ast.Subscript(ast.Name("frame", ast.Load()), place, node.ctx)


def _pure(node: ast.AST) -> bool:
    """Return whether an expression needs no instruction of its own."""
    if isinstance(node, (ast.Call, ast.NamedExpr)) or _may_be_list(node):
        return False
    if isinstance(node, ast.Attribute) and node.attr in FLAGS:
        return False
    return all(_pure(each) for each in ast.iter_child_nodes(node))


def _may_be_list(node: ast.AST) -> bool:
    if isinstance(node, ast.Subscript):
        return _may_be_list(node.value) or getattr(node.value, "attr", "") in ("_first", "_later")
    return getattr(node, "id", getattr(node, "attr", "")) in LISTS


class Expressions:
    """What turns expressions into instructions, as far as they need any; for ``stepped``."""

    def __init__(self, code: Code, tree: Any) -> None:
        self.code = code
        names = [*code.params]
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
                names.append(node.id)
            if isinstance(node, ast.ExceptHandler) and node.name:
                names.append(node.name)
        self.slots = {name: at for at, name in enumerate(dict.fromkeys(names))}
        self.handler: Any = None
        self.caught: list[str] = []
        self.cleanups: list[Callable[[], None]] = []
        self.loops: list[tuple[list[int], list[int], int]] = []

    # -- small parts

    def temp(self) -> str:
        name = f"${len(self.slots)}"
        self.slots[name] = len(self.slots)
        return name

    def fn(self, *nodes: ast.expr) -> Any:
        """Return a function of the frame, with what it reads; of several, a tuple."""
        variables = Variables(self.slots)
        parts = [variables.visit(_copy(node)) for node in nodes]
        body = parts[0] if len(parts) == 1 else ast.Tuple(parts, ast.Load())
        made = ast.Expression(_lambda(body))
        value = eval(
            compile(ast.fix_missing_locations(made), f"<{self.code.name}>", "eval"),
            self.code.globals,
        )
        return value, variables.reads

    def emit(self, kind: int, *parts: Any, to: str | None = None) -> int:
        """Add an instruction; a part made by ``fn`` tells what it reads."""
        reads: set[int] = set()
        rest: list[Any] = []
        for part in parts:
            if isinstance(part, tuple):
                reads |= part[1]
            rest.append(part[0] if isinstance(part, tuple) else part)
        sets = set()
        if to is not None:
            sets = {self.slots[to]}
            rest.append(self.slots[to])
        self.code.add(kind, *rest, reads=reads, sets=sets, handler=self.handler)
        return len(self.code.ins) - 1

    def here(self) -> int:
        return len(self.code.ins)

    def land(self, *jumps: int) -> None:
        """Let jumps go to the next instruction."""
        for at in jumps:
            ins = self.code.ins[at]
            place = 1 if ins[0] == JUMP else 2
            self.code.ins[at] = (*ins[:place], self.here(), *ins[place + 1 :])

    def jump(self) -> int:
        return self.emit(JUMP, -1)

    def branch(self, test: ast.expr) -> int:
        """Go on if so; return the jump for when not."""
        return self.emit(IF, self.fn(test), -1)

    def set(self, name: str, value: ast.expr) -> None:
        self.emit(SET, self.fn(value), to=name)

    # -- expressions: what comes back needs no instruction of its own

    def ex(self, node: Any) -> Any:
        if _pure(node) or isinstance(node, ast.Name):
            return node
        special = getattr(self, f"ex_{type(node).__name__}", None)
        if special is not None:
            return special(node)
        if not isinstance(
            node,
            (
                ast.Compare,
                ast.BinOp,
                ast.Tuple,
                ast.UnaryOp,
                ast.List,
                ast.JoinedStr,
                ast.FormattedValue,
            ),
        ):
            raise NotImplementedError(ast.unparse(node))
        node = _copy(node)
        for field, value in ast.iter_fields(node):
            if isinstance(value, list):
                setattr(
                    node,
                    field,
                    [self.ex(each) if isinstance(each, ast.expr) else each for each in value],
                )
            elif isinstance(value, ast.expr):
                setattr(node, field, self.ex(value))
        return node

    def ex_Attribute(self, node: ast.Attribute) -> ast.expr:
        value = self.ex(node.value)
        if node.attr not in FLAGS:
            return ast.Attribute(value, node.attr, ast.Load())
        name = self.temp()
        self.emit(GET, self.fn(value), node.attr, to=name)
        return name_of(name)

    def ex_Call(self, node: ast.Call) -> ast.expr:
        method = None
        if isinstance(node.func, ast.Attribute):
            target, method = self.ex(node.func.value), node.func.attr
        else:
            target = self.ex(node.func)
        args = ast.Tuple([self.ex(each) for each in node.args], ast.Load())
        named = ast.Dict(
            [ast.Constant(each.arg) for each in node.keywords],
            [self.ex(each.value) for each in node.keywords],
        )
        name = self.temp()
        self.emit(CALL, self.fn(target, args, named), method, to=name)
        return name_of(name)

    def ex_NamedExpr(self, node: ast.NamedExpr) -> ast.expr:
        self.set(node.target.id, self.ex(node.value))
        return name_of(node.target.id)

    def ex_Subscript(self, node: ast.Subscript) -> ast.expr:
        value, place = self.ex(node.value), self.ex(node.slice)
        if not _may_be_list(node.value):
            return ast.Subscript(value, place, ast.Load())
        name = self.temp()
        self.emit(ITEM, self.fn(value, place), to=name)
        return name_of(name)

    def ex_IfExp(self, node: ast.IfExp) -> ast.expr:
        name = self.temp()
        no = self.branch(self.cond(node.test))
        self.set(name, self.ex(node.body))
        end = self.jump()
        self.land(no)
        self.set(name, self.ex(node.orelse))
        self.land(end)
        return name_of(name)

    def ex_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        name, ends = self.temp(), []
        for each in node.values:
            self.set(name, self.cond(each))
            if each is not node.values[-1]:
                test: ast.expr = name_of(name)
                if isinstance(node.op, ast.Or):
                    test = ast.UnaryOp(ast.Not(), test)
                ends.append(self.branch(test))
        self.land(*ends)
        return name_of(name)

    def ex_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        if isinstance(node.op, ast.Not):
            return ast.UnaryOp(ast.Not(), self.cond(node.operand))
        return ast.UnaryOp(node.op, self.ex(node.operand))

    def cond(self, node: Any) -> Any:
        """Return whether an expression is true; to ask a list is an instruction."""
        if not _may_be_list(node):
            return self.ex(node)
        if isinstance(node, ast.Subscript):
            value: ast.expr = ast.Subscript(self.ex(node.value), self.ex(node.slice), ast.Load())
        else:
            value = (
                node
                if isinstance(node, ast.Name)
                else ast.Attribute(self.ex(node.value), node.attr, ast.Load())
            )
        name = self.temp()
        self.emit(TRUTH, self.fn(value), to=name)
        return name_of(name)


def name_of(name: str) -> Any:
    return ast.Name(name, ast.Load())


def call_of(name: str, method: str) -> ast.Call:
    return ast.Call(ast.Attribute(name_of(name), method, ast.Load()), [], [])


def _lambda(body: Any) -> Any:
    made: Any = ast.parse("lambda frame: 0", mode="eval").body
    made.body = body
    return made
