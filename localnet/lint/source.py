"""A contract as the rules see it: header, version, and the syntax trees of its modules. Nothing of it is ever run."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from executor.version import Version
from localnet.lint.model import Place
from localnet.lint.names import EXPORTED, STAR

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_GENLAYER = "genlayer"
_GL = "gl"
_SHOWN_CHARACTERS = 60


class Module:
    """One file of Python, read but not run.

    Names are known by what they stand for, however they were imported: ``gl.vm.UserError``, ``u256`` for what comes
    from the SDK, ``typing.Optional``, ``datetime.datetime.now`` for the rest. A name that is also bound to anything
    else in the file stands for nothing.
    """

    def __init__(self, name: str, path: Path, text: str, tree: ast.Module) -> None:
        self.name = name
        self.path = path
        self.tree = tree
        self.lines = split_lines(text)
        self.parents: dict[ast.AST, ast.AST] = {}
        for parent in ast.walk(tree):
            for child in ast.iter_child_nodes(parent):
                self.parents[child] = parent
        self._star = False
        self._imported: dict[str, str] = {}
        self._import_all()
        self._bound = Counter(_bindings(tree))
        self.classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}

    # --- names ------------------------------------------------------------------------------------

    @property
    def has_star_import(self) -> bool:
        """Whether everything of the SDK is imported."""
        return self._star

    def is_bound(self, name: str) -> bool:
        """Whether the file itself gives the name a meaning, by an import or otherwise."""
        return name in self._imported or name in self._bound or (self._star and name in EXPORTED)

    def bindings(self, name: str) -> int:
        """How often the file binds the name, imports not counted."""
        return self._bound[name]

    def meaning(self, name: str) -> str:
        """What a bare name stands for; empty where that is not certain."""
        if name in self._bound:
            return ""
        if name in self._imported:
            return self._imported[name]
        if self._star and name in EXPORTED:
            return name
        return f"builtins.{name}"

    def dotted(self, node: ast.AST | None) -> str:
        """What ``a.b.c`` stands for; empty for anything else."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        start = self.meaning(node.id)
        return _canonical(".".join([start, *reversed(parts)])) if start else ""

    def module_of_import(self, name: str) -> tuple[str, str]:
        """Module and name there of what ``from .module import name`` bound; empty if it is no such thing."""
        start, _, end = self._imported.get(name, "").rpartition(".")
        return start, end

    def _import_all(self) -> None:
        package = self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]
        for node in ast.walk(self.tree):
            match node:
                case ast.Import(names=aliases):
                    for alias in aliases:
                        # `import a.b` binds a, `import a.b as c` binds c to a.b.
                        target = alias.name if alias.asname else alias.name.split(".")[0]
                        # `import genlayer as gl` is meant to give `gl`; a rule says that it does not.
                        meant = _GL if (target, alias.asname) == (_GENLAYER, _GL) else target
                        self._imported[alias.asname or target] = _canonical(meant)
                case ast.ImportFrom(module=module, names=aliases, level=level):
                    base = ".".join(package.split(".")[: len(package.split(".")) - level + 1]) if level else ""
                    source = ".".join(part for part in (base, module or "") if part)
                    for alias in aliases:
                        if alias.name == "*":
                            # A module of the contract hands on what it imported itself.
                            self._star |= source == _GENLAYER or bool(level)
                        else:
                            self._imported[alias.asname or alias.name] = _canonical(f"{source}.{alias.name}")

    # --- places -----------------------------------------------------------------------------------

    def place(self, where: ast.AST | Place) -> Place:
        """Place of a node, cut at the end of its first line; columns in characters, which the tree has in bytes."""
        if isinstance(where, Place):
            return where
        line = getattr(where, "lineno", 1)
        text = self.line(line)
        start = _characters(text, getattr(where, "col_offset", 0))
        if isinstance(where, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            # The name says more than the whole body.
            found = re.compile(rf"\b{re.escape(where.name)}\b").search(text, start)
            if found:
                return Place(line, found.start(), found.end())
        end = _characters(text, getattr(where, "end_col_offset", 0) or 0)
        return Place(line, start, end if getattr(where, "end_lineno", 0) == line else len(text))

    def line(self, number: int) -> str:
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    # --- structure --------------------------------------------------------------------------------

    def enclosing(self, node: ast.AST) -> Iterator[ast.AST]:
        """What the node is in, the innermost first."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def function_of(self, node: ast.AST) -> FunctionNode | None:
        """The innermost function that the node is a part of (its decorators and defaults belong to the outer one)."""
        inner: ast.AST = node
        for outer in self.enclosing(node):
            if isinstance(outer, _FUNCTIONS) and in_body(outer, inner):
                return outer
            inner = outer
        return None


@dataclass(frozen=True, slots=True)
class ClassInfo:
    """A class of the contract and the module that it is in."""

    node: ast.ClassDef
    module: Module


@dataclass
class Contract:
    """Everything that belongs to one contract. ``version`` is None where the header has none that can be read."""

    path: Path
    modules: Sequence[Module]
    version: Version | None = None
    _by_name: dict[str, Module] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._by_name = {module.name: module for module in self.modules}

    def module(self, name: str) -> Module | None:
        """The module of that name, with dots."""
        return self._by_name.get(name)

    def resolve_class(self, module: Module, node: ast.AST | None) -> ClassInfo | None:
        """The class of this contract that an expression names."""
        match node:
            case ast.Name(id=name):
                if name in module.classes:
                    # One that is defined twice, or replaced, is not known.
                    return ClassInfo(module.classes[name], module) if module.bindings(name) == 1 else None
                source, there = module.module_of_import(name)
                other = self._by_name.get(source)
                if other and there in other.classes:
                    return ClassInfo(other.classes[there], other)
            case ast.Subscript(value=value):
                return self.resolve_class(module, value)
        return None

    def bases(self, info: ClassInfo) -> Iterator[ClassInfo]:
        """Known bases, the nearest first; without the class itself."""
        waiting, seen = [info], {info.node}
        while waiting:
            current = waiting.pop(0)
            for base in current.node.bases:
                found = self.resolve_class(current.module, base)
                if found and found.node not in seen:
                    seen.add(found.node)
                    waiting.append(found)
                    yield found

    def derives_from(self, info: ClassInfo, name: str) -> bool:
        """Whether one of the bases, of whatever depth, is the one of that meaning."""
        every = (info, *self.bases(info))
        return any(one.module.dotted(_unsubscripted(base)) == name for one in every for base in one.node.bases)

    def unknown_bases(self, info: ClassInfo, known: frozenset[str]) -> bool:
        """Whether the class may have members that are written nowhere here."""
        return any(
            self.resolve_class(one.module, base) is None and one.module.dotted(_unsubscripted(base)) not in known
            for one in (info, *self.bases(info))
            for base in one.node.bases
        )

    @cached_property
    def contract_classes(self) -> list[ClassInfo]:
        """Direct and indirect subclasses of ``gl.Contract`` outside of functions, in the order of the files."""
        return [
            info
            for module in self.modules
            for node in ast.walk(module.tree)
            if isinstance(node, ast.ClassDef)
            and (info := ClassInfo(node, module))
            and self.derives_from(info, "gl.Contract")
        ]


def methods(node: ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions in the body of a class."""
    return (item for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef))


def in_body(function: FunctionNode, child: ast.AST) -> bool:
    """Whether a direct child of a function belongs to what runs when it is called."""
    return child is function.body if isinstance(function, ast.Lambda) else child in function.body


def own_nodes(function: FunctionNode | ast.Module | ast.ClassDef) -> Iterator[ast.AST]:
    """What runs when the function itself runs: not the bodies of functions and classes that it defines."""
    waiting: list[ast.AST] = [function.body] if isinstance(function, ast.Lambda) else list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [*node.decorator_list, *node.args.defaults, *(item for item in node.args.kw_defaults if item)]
        elif isinstance(node, ast.Lambda):
            waiting += [*node.args.defaults, *(item for item in node.args.kw_defaults if item)]
        elif isinstance(node, ast.ClassDef):
            waiting += [*node.decorator_list, *node.bases, *node.keywords, *node.body]
        else:
            waiting += ast.iter_child_nodes(node)


def parameters(function: FunctionNode) -> list[ast.arg]:
    """All of them but ``*args`` and ``**kwargs``, in order."""
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def bound_in(function: FunctionNode) -> set[str]:
    """Names that are local to the function."""
    arguments = function.args
    names = {item.arg for item in (*parameters(function), arguments.vararg, arguments.kwarg) if item}
    outside: set[str] = set()
    for node in own_nodes(function):
        match node:
            case ast.Global(names=given) | ast.Nonlocal(names=given):
                outside.update(given)
            case _:
                names.update(_binding(node))
    return names - outside


def shown(node: ast.AST) -> str:
    """The code of a node for a message, cut if it is long."""
    try:
        text = ast.unparse(node)
    except (ValueError, RecursionError):  # integers of many thousand digits
        return "…"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


def split_lines(text: str) -> list[str]:
    """Lines as Python counts them."""
    return re.split(r"\r\n|\r|\n", text)


def _unsubscripted(node: ast.AST) -> ast.AST:
    return node.value if isinstance(node, ast.Subscript) else node


def _canonical(name: str) -> str:
    """One name for what has more: ``gl.vm`` for ``genlayer.gl.vm``, ``u256`` for ``genlayer.u256`` and ``gl.u256``."""
    if name.startswith("genlayer.gl"):
        rest = name.removeprefix("genlayer.gl")
        if not rest or rest.startswith("."):
            name = _GL + rest
    for prefix in ("genlayer.py.types.", "genlayer.py.storage.", "gl.storage.", "genlayer.", "gl."):
        if name.startswith(prefix) and name.removeprefix(prefix) in STAR:
            return name.removeprefix(prefix)
    return name.replace("collections.abc.", "typing.", 1) if name.startswith("collections.abc.") else name


def _bindings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        yield from _binding(node)
        if isinstance(node, ast.arg):
            yield node.arg


def _binding(node: ast.AST) -> Iterator[str]:
    """Names that the node itself binds, but for imports."""
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name
    for parameter in getattr(node, "type_params", ()):
        yield parameter.name


def _characters(text: str, offset: int) -> int:
    """Characters before a byte offset of the tree."""
    return len(text.encode("utf-8", "surrogatepass")[: max(offset, 0)].decode("utf-8", "ignore"))
