"""Every way to break a module in one place: an operator, a comparison, a constant, a word. Pure.

What is skipped cannot change what the code computes: annotations, docstrings and other text, `__slots__`; and what only
guards against a mistake, `raise`, zip's `strict` and a struct's `frozen`.
"""

import ast
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from types import CodeType
from typing import Any, Final

_OPERATORS: Final[dict[type[ast.AST], tuple[type[ast.AST], ...]]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
}
_SIGNS: Final[dict[type[ast.AST], str]] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.LShift: "<<", ast.RShift: ">>", ast.BitAnd: "&", ast.BitOr: "|", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">",
    ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.Is: "is", ast.IsNot: "is not", ast.In: "in",
    ast.NotIn: "not in", ast.And: "and", ast.Or: "or",
}  # fmt: skip
_CALLS: Final = {"min": "max", "max": "min", "any": "all", "all": "any", "bisect_left": "bisect_right"}
_CALLS_BACK: Final = {after: before for before, after in _CALLS.items()} | _CALLS


@dataclass(frozen=True)
class Mutant:
    """One change; `path` leads from the root of the tree to the node."""

    line: int
    column: int
    change: str  # such as `< -> <=`
    path: tuple[tuple[str, int | None], ...]
    field: str
    index: int | None
    value: Any  # what stands there instead

    def compile(self, tree: ast.Module, filename: str) -> CodeType:
        """The code of the module with this change."""
        broken = deepcopy(tree)
        node: Any = broken
        for field, index in self.path:
            node = getattr(node, field) if index is None else getattr(node, field)[index]
        if self.field == "":
            parent: Any = broken
            for field, index in self.path[:-1]:
                parent = getattr(parent, field) if index is None else getattr(parent, field)[index]
            field, index = self.path[-1]
            _put(parent, field, index, getattr(node, self.value))
        else:
            _put(node, self.field, self.index, self.value)
        return compile(ast.fix_missing_locations(broken), filename, "exec")


def _put(node: Any, field: str, index: int | None, value: Any) -> None:
    if index is None:
        setattr(node, field, value)
    else:
        getattr(node, field)[index] = value


def mutants(tree: ast.Module) -> list[Mutant]:
    """All of them, in the order of the source."""
    return sorted(_walk(tree, ()), key=lambda mutant: (mutant.line, mutant.column, mutant.change))


def _walk(node: ast.AST, path: tuple[tuple[str, int | None], ...]) -> Iterator[Mutant]:
    if _is_skipped(node):
        return
    yield from _of(node, path)
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list"):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST):
                yield from _walk(child, (*path, (field, index)))


def _is_skipped(node: ast.AST) -> bool:
    if isinstance(node, ast.keyword):
        return node.arg in ("strict", "frozen")
    if isinstance(node, ast.JoinedStr | ast.Raise):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    named = {target.id for target in targets if isinstance(target, ast.Name)}
    alias = isinstance(node, ast.AnnAssign) and "TypeAlias" in ast.dump(node.annotation)
    return "__slots__" in named or alias


def _of(node: ast.AST, path: tuple[tuple[str, int | None], ...]) -> Iterator[Mutant]:
    """The mutants of one node."""

    def mutant(change: str, field: str, index: int | None, value: Any) -> Mutant:
        return Mutant(getattr(node, "lineno", 0), getattr(node, "col_offset", 0), change, path, field, index, value)

    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp):
        for after in _OPERATORS.get(type(node.op), ()):
            yield mutant(f"{_SIGNS[type(node.op)]} -> {_SIGNS[after]}", "op", None, after())
    elif isinstance(node, ast.Compare):
        for index, op in enumerate(node.ops):
            for after in _OPERATORS[type(op)]:
                yield mutant(f"{_SIGNS[type(op)]} -> {_SIGNS[after]}", "ops", index, after())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        sign = "not" if isinstance(node.op, ast.Not) else "-"
        yield mutant(f"{sign} -> nothing", "", None, "operand")
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield mutant(f"{node.value} -> {not node.value}", "value", None, not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        for step in (1, -1):
            yield mutant(f"{node.value} -> {node.value + step}", "value", None, node.value + step)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in _CALLS_BACK:
        yield mutant(f"{node.id} -> {_CALLS_BACK[node.id]}", "id", None, _CALLS_BACK[node.id])
