"""Run by the Python that is built for the sandbox: turns the SDK's sources into stubs that type checkers on any Python
can read (see :mod:`runners.stubs`). Arguments: a JSON file with the sources by name, and the file for the stubs.
"""

from __future__ import annotations

import ast
import json
import sys
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path

HEADER = "# Generated from the SDK by `python -m runners.stubs`.\n"

# Nodes of newer Pythons than the one that checks the types of this file.
_PARAM_SPEC, _TYPE_ALIAS = "ParamSpec", "TypeAlias"


def _kind(node: ast.AST) -> str:
    return type(node).__name__


def _is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def _parse(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


class _Annotations(ast.NodeTransformer):
    """In types: type parameters get the names of their variables, and quotes are taken away."""

    def __init__(self, variables: dict[str, str]) -> None:
        self.variables = variables

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Name(self.variables.get(node.id, node.id), node.ctx)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if ast.unparse(node.value).endswith("Literal"):
            return node
        self.generic_visit(node)
        return node

    def visit_Constant(self, node: ast.Constant) -> typing.Any:
        return self.visit(_parse(node.value)) if isinstance(node.value, str) else node


class _Module:
    """Stub of one module."""

    def __init__(self, text: str) -> None:
        self.tree = ast.parse(text)
        self.definitions: dict[tuple[str, ...], str] = {}

    def lines(self) -> list[ast.stmt]:
        body = self._body(self.tree.body, {}, private=True)
        head = 0
        while head < len(body) and (
            isinstance(body[head], ast.Import | ast.ImportFrom) or self._is_text_or_all(body[head])
        ):
            head += 1
        variables = []
        for (kind, _, *options), name in self.definitions.items():
            given = "".join(f", {option}" for option in options if option)
            variables += ast.parse(f'{name} = typing_extensions.{kind}("{name}"{given})').body
        body[head:head] = variables
        own = [name for name in ("typing", "typing_extensions") if name in _used(body) and not _imports(body, name)]
        body[head:head] = [ast.Import([ast.alias(name)]) for name in own]
        return body

    @staticmethod
    def _is_text_or_all(node: ast.stmt) -> bool:
        return (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) or (
            isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        )

    def _body(self, body: list[ast.stmt], variables: dict[str, str], *, private: bool) -> list[ast.stmt]:
        text = [node for node in body[:1] if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
        return [*text, *(kept for node in body for kept in self._statement(node, variables, private))]

    def _statement(self, node: ast.stmt, variables: dict[str, str], private: bool) -> Iterator[ast.stmt]:
        match node:
            case ast.FunctionDef(name=name):
                if (private or not _is_private(name)) and not (private and name == "__getattr__"):
                    yield self._function(node, variables)
            case ast.ClassDef():
                yield self._class(node, variables)
            case ast.AnnAssign(target=ast.Name(id=name)):
                if private or not _is_private(name):
                    kept = node.value if ast.unparse(node.annotation).endswith(("TypeAlias", "Final")) else None
                    annotation = self._type(node.annotation, variables)
                    yield ast.AnnAssign(node.target, annotation, kept, node.simple)
            case ast.Assign(targets=[ast.Name(id=name)]):
                if name != "__slots__" and (private or not _is_private(name)):
                    yield node
            case ast.If():
                yield from self._if(node, variables, private)
            case ast.Import() | ast.ImportFrom():
                yield node
            case _ if _kind(node) == _TYPE_ALIAS:
                inner = variables | self._variables(getattr(node, "type_params", []), None)
                value = self._type(getattr(node, "value"), inner)  # noqa: B009  not there on older Pythons
                name = ast.unparse(getattr(node, "name"))  # noqa: B009
                yield from ast.parse(f"{name}: typing_extensions.TypeAlias = {ast.unparse(value)}").body
            case _:
                pass  # what runs at import

    def _if(self, node: ast.If, variables: dict[str, str], private: bool) -> Iterator[ast.stmt]:
        if ast.unparse(node.test) == "typing.TYPE_CHECKING":
            yield from self._body(node.body, variables, private=private)

    def _class(self, node: ast.ClassDef, outer: dict[str, str]) -> ast.stmt:
        parameters = getattr(node, "type_params", [])
        variables = outer | self._variables(parameters, node.name)
        bases = [self._type(base, variables) for base in node.bases]
        if parameters:
            names = ", ".join(variables[parameter.name] for parameter in parameters)
            protocol = next((base for base in bases if ast.unparse(base) == "typing.Protocol"), None)
            if protocol is not None:
                bases.remove(protocol)
            bases.append(_parse(f"typing.{'Protocol' if protocol else 'Generic'}[{names}]"))
        body = self._body(node.body, variables, private=False) or [ast.Expr(ast.Constant(...))]
        return _definition(ast.ClassDef, node, bases=bases, keywords=node.keywords, body=body)

    def _function(self, node: ast.FunctionDef, outer: dict[str, str]) -> ast.stmt:
        variables = outer | self._variables(getattr(node, "type_params", []), None)
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        for argument in every:
            if argument is not None and argument.annotation is not None:
                argument.annotation = self._type(argument.annotation, variables)
        arguments.defaults = [ast.Constant(...) for _ in arguments.defaults]
        arguments.kw_defaults = [default and ast.Constant(...) for default in arguments.kw_defaults]
        returns = self._type(node.returns, variables) if node.returns is not None else None
        text = ast.get_docstring(node, clean=False)
        body: list[ast.stmt] = [ast.Expr(ast.Constant(... if text is None else text))]
        return _definition(ast.FunctionDef, node, args=arguments, returns=returns, body=body)

    def _type(self, node: ast.expr, variables: dict[str, str]) -> ast.expr:
        return _Annotations(variables).visit(node)  # type: ignore[no-any-return]

    def _variables(self, parameters: Iterable[ast.AST], owner: str | None) -> dict[str, str]:
        """Variables for type parameters; the variance of those of a class is what its use of them says."""
        names = {}
        for parameter in parameters:
            name: str = getattr(parameter, "name")  # noqa: B009
            bound: ast.expr | None = getattr(parameter, "bound", None)
            kind = _PARAM_SPEC if _kind(parameter) == _PARAM_SPEC else "TypeVar"
            variance = "infer_variance=True" if owner and kind == "TypeVar" else ""
            key = (kind, name, f"bound={ast.unparse(bound)}" if bound is not None else "", variance)
            if key not in self.definitions:
                same = sum(other[1] == name for other in self.definitions)
                self.definitions[key] = f"_{name}{same + 1 if same else ''}"
            names[name] = self.definitions[key]
        return names


def _definition(kind: type[ast.stmt], node: ast.ClassDef | ast.FunctionDef, **changes: object) -> ast.stmt:
    """A class or function without type parameters."""
    fields = {name: getattr(node, name) for name in node._fields if name != "type_params"} | changes
    made: typing.Any = kind(**fields)
    made.type_params = []  # newer Pythons read it
    return typing.cast(ast.stmt, made)


def _used(nodes: Iterable[ast.AST]) -> set[str]:
    return {
        name
        for node in nodes
        for part in ast.walk(node)
        for name in (getattr(part, "id", None), getattr(part, "attr", None), getattr(part, "value", None))
        if isinstance(name, str)
    }


def _without_unused(body: list[ast.stmt], imported: set[str]) -> list[ast.stmt]:
    """Leaves out private definitions that nothing of the stubs names."""
    while True:
        kept = [
            node
            for node in body
            if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign)
            or not _is_private(_name(node))
            or _name(node) in imported | _used(other for other in body if other is not node)
        ]
        if len(kept) == len(body):
            return body
        body = kept


def _imports(body: list[ast.stmt], module: str) -> bool:
    return any(isinstance(node, ast.Import) and node.names[0].name == module for node in body)


def _name(node: ast.stmt) -> str:
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
    return ""


def stubs(sources: dict[str, str]) -> dict[str, str]:
    """Text of each module's stub by the module's file name."""
    bodies = {name: _Module(text).lines() for name, text in sources.items()}
    imported = {
        alias.name
        for body in bodies.values()
        for node in body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    texts = {}
    for name, body in bodies.items():
        tree = ast.Module(_without_unused(body, imported), [])
        texts[name] = f"{HEADER}{ast.unparse(ast.fix_missing_locations(tree))}\n"
    return texts


if __name__ == "__main__":
    given, out = map(Path, sys.argv[1:])
    made = stubs(json.loads(given.read_text(encoding="utf-8")))
    out.write_text(json.dumps(made), encoding="utf-8")
