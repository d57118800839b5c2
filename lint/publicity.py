"""Which decorators make a method public, and how (spec sdk/01 §3.1)."""

from __future__ import annotations

import ast
from enum import Enum, auto

from pygenvm.lint.source import Module


class Publicity(Enum):
    """What a decorator of ``gl.public`` makes of a method."""

    VIEW = auto()
    WRITE = auto()
    #: Something below ``gl.public`` that makes a method public in no way.
    WRONG = auto()
    #: ``gl.public`` alone.
    BARE = auto()


_PLAIN = {
    "gl.public.view": Publicity.VIEW,
    "gl.public.write": Publicity.WRITE,
    "gl.public.write.payable": Publicity.WRITE,
}
_MIN_GAS = "gl.public.write.min_gas"


def publicity(module: Module, decorator: ast.expr) -> Publicity | None:
    """None for a decorator that has nothing to do with ``gl.public``."""
    name = module.dotted(decorator)
    if name in _PLAIN:
        return _PLAIN[name]
    if name == "gl.public":
        return Publicity.BARE
    if name.startswith("gl.public."):
        return Publicity.WRONG
    match decorator:
        case ast.Call(func=func) | ast.Attribute(value=ast.Call(func=func), attr="payable") if (
            module.dotted(func) == _MIN_GAS
        ):
            return Publicity.WRITE
        case ast.Call(func=func) | ast.Attribute(value=ast.Call(func=func)):
            called = module.dotted(func)
            return Publicity.WRONG if called == "gl.public" or called.startswith("gl.public.") else None
    return None


def of_method(module: Module, method: ast.FunctionDef | ast.AsyncFunctionDef) -> Publicity | None:
    """How the method is public, if it is."""
    found = [mark for item in method.decorator_list if (mark := publicity(module, item))]
    return next((mark for mark in found if mark in (Publicity.VIEW, Publicity.WRITE)), found[0] if found else None)
