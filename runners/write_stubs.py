"""Run by the Python that is built for the sandbox: turns the SDK's sources into stubs that type checkers on any Python
can read (see :mod:`runners.stubs`). Arguments: a JSON file with the sources by name, and the file for the stubs.
"""

from __future__ import annotations

import ast
import copy
import json
import re
import sys
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path

HEADER = "# Generated from the SDK by `python -m pygenvm.runners.stubs`.\n"

# Nodes of newer Pythons than the one that checks the types of this file.
_PARAM_SPEC, _TYPE_ALIAS = "ParamSpec", "TypeAlias"
# What collections.abc has since Python 3.12.
_NEWER = ("Buffer",)
# Decorator of functions that also have a method `lazy`, and the type that they are written with.
_LAZY_API, _LAZY = "lazy_api", "Lazy"
_OVERLOAD = "typing.overload"
# Classes that annotations also name without their type parameters, which are Any then. (Defaults in the brackets would
# need Python 3.13, and tools of other projects import the SDK's sources into 3.12.)
_OFTEN_BARE = ("ContractProxy",)
# Private by their names, and imported by contracts all the same (spec sdk/01 §1).
_USED_BY_CONTRACTS = frozenset(("_decode_nondet", "_decode_sub_vm_result"))
# Generic bases that only give out what they are generic in.
_READ_ONLY = ("Collection", "Iterable", "Iterator", "Protocol", "Sequence")


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
        self.lazy: dict[str, list[ast.FunctionDef]] = {
            node.name: []
            for node in self.tree.body
            if isinstance(node, ast.FunctionDef) and _decorated(node, _LAZY_API)
        }

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
        overloaded = {node.name for node in body if isinstance(node, ast.FunctionDef) and _decorated(node, _OVERLOAD)}
        # Stubs have no implementations of overloads.
        body = [
            node
            for node in body
            if not isinstance(node, ast.FunctionDef)
            or node.name not in overloaded
            or _decorated(node, _OVERLOAD)
            or _decorated(node, _LAZY_API)
        ]
        return [*text, *(kept for node in body for kept in self._statement(node, variables, private))]

    def _statement(self, node: ast.stmt, variables: dict[str, str], private: bool) -> Iterator[ast.stmt]:
        match node:
            case ast.FunctionDef(name=name) if private and name in self.lazy:
                yield from self._lazy_function(node, variables)
            case ast.FunctionDef(name=name):
                if (private or not _is_private(name)) and not (private and name in ("__getattr__", "__dir__")):
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
            case ast.ImportFrom(module="collections.abc", names=names):
                older = [alias for alias in names if alias.name not in _NEWER]
                if older:
                    yield ast.ImportFrom("collections.abc", older, 0)
                if len(older) < len(names):
                    yield ast.ImportFrom("typing_extensions", [alias for alias in names if alias.name in _NEWER], 0)
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
        variables = outer | self._variables(parameters, node)
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

    def _lazy_function(self, node: ast.FunctionDef, variables: dict[str, str]) -> Iterator[ast.stmt]:
        """A variable whose class has the calls: type checkers lose the types of a function that a decorator changed."""
        declared = self.lazy[node.name]
        implements = _decorated(node, _LAZY_API)
        if not (implements and declared):
            declared.append(node)
        if not implements:
            return
        # What is said of the function is said of each of its overloads.
        text: list[ast.stmt] = [ast.Expr(ast.Constant(ast.get_docstring(node, clean=False) or ...))]
        body: list[ast.stmt] = []
        for name in ("__call__", "lazy"):
            for overload in declared:
                method = self._method(overload, name, variables)
                method.body = text
                if name == "__call__":
                    assert isinstance(method.returns, ast.Subscript)
                    assert ast.unparse(method.returns.value) == _LAZY
                    method.returns = method.returns.slice
                body.append(method)
        name = f"_{node.name.title().replace('_', '')}"
        [variable] = ast.parse(f"{node.name}: {name}").body
        yield _definition(ast.ClassDef, ast.ClassDef(name, [], [], [], []), body=body)
        yield variable

    def _method(self, node: ast.FunctionDef, name: str, variables: dict[str, str]) -> ast.FunctionDef:
        """The function as a method of another name."""
        made = copy.deepcopy(node)
        made.name = name
        made.decorator_list = [item for item in made.decorator_list if ast.unparse(item) != _LAZY_API]
        arguments = made.args.posonlyargs or made.args.args
        arguments.insert(0, ast.arg("self"))
        method = self._function(made, variables)
        assert isinstance(method, ast.FunctionDef)
        return method

    def _type(self, node: ast.expr, variables: dict[str, str]) -> ast.expr:
        return _Annotations(variables).visit(node)  # type: ignore[no-any-return]

    def _variables(self, parameters: Iterable[ast.AST], owner: ast.ClassDef | None) -> dict[str, str]:
        """Variables for the type parameters of ``owner``, or of a function or alias."""
        names = {}
        for parameter in parameters:
            name: str = getattr(parameter, "name")  # noqa: B009
            bound: ast.expr | None = getattr(parameter, "bound", None)
            default: ast.expr | None = getattr(parameter, "default_value", None)
            if owner and owner.name in _OFTEN_BARE and default is None:
                default = _parse("typing.Any")
            kind = _PARAM_SPEC if _kind(parameter) == _PARAM_SPEC else "TypeVar"
            key = (
                kind,
                name,
                f"bound={ast.unparse(bound)}" if bound is not None else "",
                f"default={ast.unparse(default)}" if default is not None else "",
                "covariant=True" if owner and kind == "TypeVar" and _only_gives(owner, name) else "",
            )
            if key not in self.definitions:
                same = sum(other[1] == name for other in self.definitions)
                self.definitions[key] = f"_{name}{same + 1 if same else ''}"
            names[name] = self.definitions[key]
        return names


def _only_gives(owner: ast.ClassDef, name: str) -> bool:
    """Whether no method and no attribute of the class takes what it is generic in: then it is covariant."""

    def names(node: ast.AST | None) -> bool:
        return node is not None and bool(re.search(rf"\b{name}\b", ast.unparse(node)))

    for base in owner.bases:
        if names(base) and not ast.unparse(base).split("[")[0].endswith(_READ_ONLY):
            return False
    for node in owner.body:
        match node:
            case ast.FunctionDef(name="__init__"):
                pass
            case ast.FunctionDef(args=arguments, returns=returns):
                if names(arguments) or (names(returns) and "Callable" in ast.unparse(node.returns or node)):
                    return False
            case ast.AnnAssign(target=ast.Name(id=attribute), annotation=annotation):
                if not _is_private(attribute) and names(annotation):
                    return False
    return True


def _decorated(node: ast.FunctionDef, decorator: str) -> bool:
    return any(ast.unparse(item) == decorator for item in node.decorator_list)


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
    imported = imported | _USED_BY_CONTRACTS
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
