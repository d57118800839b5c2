"""What kind of value an expression certainly gives: ``float``, ``str``, ``Address``, …, or which number."""

from __future__ import annotations

import ast

from pygenvm.lint.names import INTEGERS
from pygenvm.lint.source import Module, Scope

_CALLS = {
    **{f"math.{name}": "float" for name in ("sqrt", "log", "log2", "log10", "exp", "sin", "cos", "tan", "pow", "fsum")},
    **{f"time.{name}": "float" for name in ("time", "monotonic", "perf_counter", "process_time")},
    **{f"random.{name}": "float" for name in ("random", "uniform", "gauss")},
    **{f"builtins.{name}": "str" for name in ("str", "repr", "chr", "hex", "oct", "bin", "ascii", "format")},
    **{f"builtins.{name}": "int" for name in ("int", "len", "ord", "hash", "id")},
    **{f"builtins.{name}": name for name in ("float", "bytes", "list", "dict", "tuple", "set", "bool")},
    **{f"datetime.datetime{name}": "datetime" for name in ("", ".now", ".utcnow", ".fromisoformat", ".strptime")},
    "builtins.sorted": "list",
    "datetime.datetime.fromtimestamp": "datetime",
    "json.dumps": "str",
    "Address": "Address",
}
_NAMES = {
    "gl.message.contract_address": "Address",
    "gl.message.sender_address": "Address",
    "gl.message.origin_address": "Address",
    "gl.message.value": "int",
    "gl.message.chain_id": "int",
}
_CONSTANTS = {bool: "bool", int: "int", float: "float", str: "str", bytes: "bytes", type(None): "None"}
_DISPLAYS: dict[type[ast.AST], str] = {
    **dict.fromkeys((ast.List, ast.ListComp), "list"),
    **dict.fromkeys((ast.Dict, ast.DictComp), "dict"),
    **dict.fromkeys((ast.Set, ast.SetComp), "set"),
    ast.Tuple: "tuple",
    ast.JoinedStr: "str",
    ast.Compare: "bool",
}
_NUMBERS = frozenset({"int", "float", "bool"})
_ARITHMETIC = ast.Add | ast.Sub | ast.Mult | ast.FloorDiv | ast.Mod
#: How deep an expression is looked into, local names that stand for others included.
_DEPTH_MAX = 8
_BITS_MAX = 4096


def kind_of(module: Module, scope: Scope, node: ast.expr) -> str:
    """The kind of value that an expression in the function of that scope gives; empty if that is not certain."""
    return _kind(module, scope, node, 0)


def number_of(module: Module, scope: Scope, node: ast.expr) -> int | None:
    """The integer that the expression gives; None if that is not certain, or it is huge."""
    return _number(module, scope, node, 0)


def _kind(module: Module, scope: Scope, node: ast.expr, depth: int) -> str:
    if depth > _DEPTH_MAX:
        return ""
    match node:
        case ast.Constant():
            return _CONSTANTS.get(type(node.value), "")
        case ast.UnaryOp(op=ast.Not()):
            return "bool"
        case ast.UnaryOp(operand=operand):
            kind = _kind(module, scope, operand, depth + 1)
            return "int" if kind == "bool" else kind if kind in _NUMBERS else ""
        case ast.BinOp(left=left, op=op, right=right):
            return _combined(_kind(module, scope, left, depth + 1), op, _kind(module, scope, right, depth + 1))
        case ast.IfExp(body=one, orelse=other):
            kind = _kind(module, scope, one, depth + 1)
            return kind if kind and kind == _kind(module, scope, other, depth + 1) else ""
        case ast.Call(func=func, args=[inner], keywords=[]) if module.dotted(func) in INTEGERS:
            return _kind(module, scope, inner, depth + 1)  # `u256(x)` is x
        case ast.Call(func=func, args=given):
            name = module.dotted(func)
            return "int" if name == "builtins.round" and len(given) == 1 else _CALLS.get(name, "")
        case ast.Name(id=name):
            value = scope.only_value(name)
            return _kind(module, scope, value, depth + 1) if isinstance(value, ast.expr) else ""
        case ast.Attribute():
            return _NAMES.get(module.dotted(node), "")
    return _DISPLAYS.get(type(node), "")


def _combined(one: str, op: ast.operator, other: str) -> str:
    """Kind of ``one op other``. An operand of an unknown kind may be a number."""
    if "str" in (one, other):
        return "str" if isinstance(op, ast.Add) or (one == "str" and isinstance(op, ast.Mod)) else ""
    if not {one, other} <= {*_NUMBERS, ""}:
        return ""
    if isinstance(op, ast.Div):
        return "float" if one or other else ""
    if not isinstance(op, _ARITHMETIC):
        return ""
    if "float" in (one, other):
        return "float"
    return "int" if one and other else ""


def _number(module: Module, scope: Scope, node: ast.expr, depth: int) -> int | None:
    if depth > _DEPTH_MAX:
        return None
    match node:
        case ast.Constant():
            return node.value if type(node.value) is int else None
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            number = _number(module, scope, operand, depth + 1)
            return None if number is None else -number
        case ast.BinOp(left=left, op=op, right=right):
            one, other = _number(module, scope, left, depth + 1), _number(module, scope, right, depth + 1)
            return None if one is None or other is None else _computed(one, op, other)
        case ast.Call(func=func, args=[inner], keywords=[]) if module.dotted(func) in INTEGERS:
            return _number(module, scope, inner, depth + 1)
        case ast.Name(id=name):
            value = scope.only_value(name)
            return _number(module, scope, value, depth + 1) if isinstance(value, ast.expr) else None
    return None


def _computed(one: int, op: ast.operator, other: int) -> int | None:
    if max(one.bit_length(), other.bit_length()) > _BITS_MAX:
        return None
    match op:
        case ast.Add():
            return one + other
        case ast.Sub():
            return one - other
        case ast.Mult():
            return one * other
        case ast.Pow() if 0 <= other <= _BITS_MAX and one.bit_length() * other <= _BITS_MAX:
            return int(one**other)
        case ast.LShift() if 0 <= other <= _BITS_MAX:
            return one << other
    return None
