"""A contract as the rules see it: header, version, and the syntax trees of its modules. Nothing of it is ever run."""

from __future__ import annotations

import ast
import builtins
import re
import typing
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from pathlib import Path

from pygenvm.executor.runner.version import Version
from pygenvm.lint import old_sdk
from pygenvm.lint.model import Place
from pygenvm.lint.names import EXPORTED, MEMBERS, MODULES, PLAIN_BASES, STAR

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Method = ast.FunctionDef | ast.AsyncFunctionDef
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_GENLAYER = "genlayer"
_GL = "gl"
_CONTRACT = "gl.Contract"
_TYPING = frozenset({"typing", "typing_extensions"})
#: Names that mean the same whatever is imported with a star.
_BUILTINS = frozenset(dir(builtins))
_SHOWN_CHARACTERS = 60
#: Exceptions by which contracts find out what is there.
_ABSENT = frozenset(
    f"builtins.{name}" for name in ("AttributeError", "ImportError", "ModuleNotFoundError", "NameError")
)
#: What gives attributes by names that are known at run time only.
_BY_NAME = frozenset({"builtins.getattr", "operator.attrgetter", "operator.methodcaller"})
_ALL_NAMES = frozenset({"builtins.vars", "builtins.dir", "builtins.globals", "builtins.locals", "inspect.getmembers"})


class Runs(IntEnum):
    """Whether a piece of the code runs when what is around it does."""

    NEVER = 0
    #: A condition decides on it, or its exceptions are caught.
    MAYBE = 1
    CERTAINLY = 2


class Module:
    """One file of Python, read but not run.

    Names are known by what they stand for, however they were imported: ``gl.vm.UserError``, ``u256`` for what comes
    from the SDK, ``typing.Optional``, ``datetime.datetime.now`` for the rest. A name that is also bound to anything
    else in the file stands for nothing. With ``of_old_sdk`` those of the SDK v0.1.0 stand for those of today.
    """

    def __init__(self, name: str, path: Path, text: str, tree: ast.Module, *, of_old_sdk: bool = False) -> None:
        self.name = name
        self.path = path
        self.tree = tree
        self.of_old_sdk = of_old_sdk
        self.lines = split_lines(text)
        self.nodes = list(ast.walk(tree))
        self.parents: dict[ast.AST, ast.AST] = {}
        self._function_around: dict[ast.AST, FunctionNode] = {}
        self._class_around: dict[ast.AST, ast.ClassDef] = {}
        self._find_scopes()
        self._scopes: dict[ast.AST, Scope] = {}
        self._star = self._typing_star = self._other_star = False
        self._imported: dict[str, str] = {}
        self._import_all()
        #: How often names are bound outside of class bodies, and where the first binding in each class body ends.
        self._bound: Counter[str] = Counter()
        self._bound_in_class: dict[str, dict[ast.ClassDef, int]] = {}
        self._find_bindings()
        self.classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}

    # --- names ------------------------------------------------------------------------------------

    def makes_contract(self, node: ast.ClassDef) -> bool:
        """Whether the decorator of the old SDK makes the class derive from ``gl.Contract``."""
        return self.of_old_sdk and any(self.written(item) == old_sdk.CONTRACT for item in node.decorator_list)

    def binds_in_class(self, node: ast.ClassDef, name: str) -> bool:
        """Whether the body of the class gives the name a value, not only a type."""
        return node in self._bound_in_class.get(name, {})

    def is_bound(self, name: str) -> bool:
        """Whether the file itself gives the name a meaning, by an import or otherwise."""
        bound = name in self._bound or name in self._bound_in_class
        return bound or name in self._imported or (self._star and bool(self._exported(name)))

    def bindings(self, name: str) -> int:
        """How often the file binds the name, imports and what is in class bodies not counted."""
        return self._bound[name]

    def hidden_by(self, node: ast.Name) -> ast.ClassDef | None:
        """The class whose body gives the name another meaning at this place, which must be in the body itself."""
        around = self._class_around.get(node)
        end = self._bound_in_class.get(node.id, {}).get(around) if around else None
        return around if end is not None and end < node.lineno else None

    def meaning(self, name: str) -> str:
        """What a bare name stands for; empty where that is not certain."""
        if name in self._bound:
            return ""
        if name in self._imported:
            return self._imported[name]
        if self._star and (exported := self._exported(name)):
            return exported
        if self._typing_star and name in typing.__all__:
            return f"typing.{name}"
        return "" if self._other_star and name not in _BUILTINS else f"builtins.{name}"

    def _exported(self, name: str) -> str:
        """What a name stands for that the star import of the SDK brings; empty if it brings none."""
        if name in EXPORTED:
            return name
        return f"{_GENLAYER}.{name}" if self.of_old_sdk and name in old_sdk.STAR else ""

    def dotted(self, node: ast.AST | None) -> str:
        """What ``a.b.c`` stands for; empty for anything else."""
        name = self.written(node)
        return old_sdk.todays(name) if self.of_old_sdk else name

    def written(self, node: ast.AST | None) -> str:
        """The same, but that a name of the old SDK stands for itself."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or self.hidden_by(node):
            return ""
        if node.id in self._bound_in_class and node not in self.parents:
            return ""  # taken out of quotes: where it is evaluated is not known
        start = self.meaning(node.id)
        return _canonical(".".join([start, *reversed(parts)])) if start else ""

    def module_of_import(self, name: str) -> tuple[str, str]:
        """Module and name there of what ``from .module import name`` bound; empty if it is no such thing."""
        start, _, end = self._imported.get(name, "").rpartition(".")
        return start, end

    def _find_scopes(self) -> None:
        for parent in self.nodes:
            function, inside = self._function_around.get(parent), self._class_around.get(parent)
            for child in ast.iter_child_nodes(parent):
                self.parents[child] = parent
                if isinstance(parent, ast.Lambda):
                    own = child is parent.body
                else:
                    own = isinstance(parent, Method | ast.ClassDef) and isinstance(child, ast.stmt)
                if not own:
                    around, class_around = function, inside
                elif isinstance(parent, ast.ClassDef):
                    around, class_around = function, parent
                else:
                    assert isinstance(parent, FunctionNode)
                    around, class_around = parent, None
                if around is not None:
                    self._function_around[child] = around
                if class_around is not None:
                    self._class_around[child] = class_around

    def _find_bindings(self) -> None:
        for node in self.nodes:
            around = self._class_around.get(node)
            if around is None or isinstance(node, ast.arg):
                self._bound.update(_bindings(node))
                continue
            if _is_declaration(self.parents[node]):
                continue  # in a class `x: T` binds nothing
            for name in _binding(node):
                ends = self._bound_in_class.setdefault(name, {})
                end = getattr(self._statement(node), "end_lineno", None) or 0
                ends[around] = min(end, ends.get(around, end))

    def _statement(self, node: ast.AST) -> ast.AST:
        while not isinstance(node, ast.stmt) and node in self.parents:
            node = self.parents[node]
        return node

    def _import_all(self) -> None:
        package = self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]
        for node in self.nodes:
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
                            self._typing_star |= source in _TYPING
                            self._other_star |= source not in {_GENLAYER, *_TYPING}
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

    def scope(self, function: FunctionNode | ast.Module) -> Scope:
        """What the function itself does."""
        if function not in self._scopes:
            self._scopes[function] = Scope(function, self._bound_from_elsewhere)
        return self._scopes[function]

    @cached_property
    def _bound_from_elsewhere(self) -> frozenset[str]:
        """Names that some function binds for another one, or for the module."""
        return frozenset(
            name for node in self.nodes if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names
        )

    def function_around(self, node: ast.AST) -> FunctionNode | None:
        """The innermost function whose body the node is in."""
        return self._function_around.get(node)

    def binder(self, node: ast.AST, name: str) -> FunctionNode | None:
        """The innermost function around the node that the name is local to."""
        outer = self._function_around.get(node)
        while outer is not None and name not in self.scope(outer).bound:
            outer = self._function_around.get(outer)
        return outer

    def runs(self, node: ast.AST) -> Runs:
        """Whether the node runs when the function that it is in does, and every function around that one."""
        return self._doubtful.get(node, Runs.CERTAINLY)

    @cached_property
    def _doubtful(self) -> dict[ast.AST, Runs]:
        found: dict[ast.AST, Runs] = {}
        for parent in self.nodes:  # parents come before their children
            inherited = found.get(parent)
            if inherited is not None:
                for child in ast.iter_child_nodes(parent):
                    found[child] = min(inherited, found.get(child, Runs.MAYBE))
            for child, runs in self._doubted(parent):
                found[child] = min(runs, found.get(child, runs))
        return found

    def _doubted(self, node: ast.AST) -> Iterator[tuple[ast.AST, Runs]]:
        """Children that do not run whenever the node does."""
        match node:
            case ast.If(test=test, body=body) if self._is_never(test):
                yield from ((part, Runs.NEVER) for part in body)
            case ast.Try(body=body, handlers=[_, *_], orelse=orelse) | ast.TryStar(body=body, orelse=orelse):
                yield from ((part, Runs.MAYBE) for part in (*body, *orelse))
            case ast.With(items=items, body=body) if any(self._suppresses(item.context_expr) for item in items):
                yield from ((part, Runs.MAYBE) for part in body)
            case _:
                yield from ((part, Runs.MAYBE) for part in _parts(node)[1])

    def _is_never(self, test: ast.expr) -> bool:
        """``TYPE_CHECKING``, or ``__name__ == "__main__"``, which the name of a contract's module never is."""
        match test:
            case ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant("__main__")]):
                return True
        return self.dotted(test) == "typing.TYPE_CHECKING"

    def _suppresses(self, manager: ast.expr) -> bool:
        return isinstance(manager, ast.Call) and self.dotted(manager.func) == "contextlib.suppress"

    @cached_property
    def expected_absent(self) -> set[ast.AST | str]:
        """What the contract knows may be missing: names it asks ``hasattr`` for, and all in a ``try`` for missing
        names."""
        found: set[ast.AST | str] = set()
        for node in self.nodes:
            match node:
                case ast.Call(func=ast.Name(id="hasattr"), args=[_, ast.Constant(value=str(name))]):
                    found.add(name)
                case ast.Try(body=body, handlers=handlers) if any(self._is_for_absent(item.type) for item in handlers):
                    waiting: list[ast.AST] = list(body)
                    while waiting:
                        inner = waiting.pop()
                        if inner not in found:  # a `try` around it was there before
                            found.add(inner)
                            waiting += ast.iter_child_nodes(inner)
        return found

    def _is_for_absent(self, caught: ast.expr | None) -> bool:
        every = caught.elts if isinstance(caught, ast.Tuple) else [caught]
        return any(self.dotted(item) in _ABSENT for item in every)

    @cached_property
    def never_evaluated(self) -> set[ast.AST]:
        """Annotations that Python reads and forgets: of local variables; of plain functions where all are texts."""
        forgotten: list[ast.expr | None] = []
        for node in self.nodes:
            match node:
                case ast.AnnAssign(target=ast.Name(), annotation=annotation):
                    if node in self._function_around and node not in self._class_around:
                        forgotten.append(annotation)
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    if self.annotations_are_texts and not node.decorator_list:
                        every = (*parameters(node), node.args.vararg, node.args.kwarg)
                        forgotten += [node.returns, *(item.annotation for item in every if item)]
        return {part for annotation in forgotten if annotation for part in ast.walk(annotation)}

    @cached_property
    def annotations_are_texts(self) -> bool:
        """Whether ``from __future__ import annotations`` is there."""
        return self._imported.get("annotations") == "__future__.annotations"

    @cached_property
    def given_to(self) -> dict[str, set[str]]:
        """For names that calls take as they are, the meaning of what is called."""
        found: dict[str, set[str]] = {}
        for node in self.nodes:
            if isinstance(node, ast.Call):
                for item in node.args:
                    if isinstance(item, ast.Name):
                        found.setdefault(item.id, set()).add(self.dotted(node.func))
        return found


class Scope:
    """What runs when a function, or a module, itself runs: not the functions that it defines."""

    def __init__(self, function: FunctionNode | ast.Module, bound_from_elsewhere: frozenset[str]) -> None:
        #: All nodes in the order of the file.
        self.nodes: list[ast.AST] = []
        self.calls: list[ast.Call] = []
        #: Those that happen in every run that does not raise.
        self.certain_calls: list[ast.Call] = []
        #: Names that are local.
        self.bound: set[str] = set()
        #: Names that `isinstance` or `type` is asked about.
        self.type_asked: set[str] = set()
        self._values: dict[str, ast.expr | Method] = {}
        self._count: Counter[str] = Counter()
        self._bound_from_elsewhere = bound_from_elsewhere
        if not isinstance(function, ast.Module):
            given = function.args
            every = (*parameters(function), given.vararg, given.kwarg)
            self._count.update(item.arg for item in every if item)
        self._walk(function)

    def only_value(self, name: str) -> ast.expr | Method | None:
        """The one thing that the local name is bound to: a function, or an expression that is assigned."""
        certain = self._count[name] == 1 and name not in self._bound_from_elsewhere
        return self._values.get(name) if certain else None

    def _walk(self, function: FunctionNode | ast.Module) -> None:
        outside: set[str] = set()
        may_have_returned = False
        for node, certain in own_nodes(function):
            self.nodes.append(node)
            self._count.update(_binding(node))
            match node:
                case ast.Global(names=given) | ast.Nonlocal(names=given):
                    outside.update(given)
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    self._values[name] = node
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=value)
                    | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                ):
                    self._values[name] = value
                case ast.Return():
                    may_have_returned |= not certain
                case ast.Call(func=func, args=given_to):
                    if isinstance(func, ast.Name) and func.id in ("isinstance", "type"):
                        self.type_asked.update(item.id for item in given_to if isinstance(item, ast.Name))
                    self.calls.append(node)
                    if certain and not may_have_returned:
                        self.certain_calls.append(node)
        self.bound = set(self._count) - outside


@dataclass(frozen=True, slots=True)
class ClassInfo:
    """A class of the contract and the module that it is in."""

    node: ast.ClassDef
    module: Module


class Inherited:
    """Something that classes have of their own and from their known bases, found out once for each."""

    def __init__(self, contract: Contract, own: Callable[[ClassInfo], Iterable[str]]) -> None:
        self._contract = contract
        self._own = own
        self._found: dict[ast.ClassDef, frozenset[str]] = {}

    def of(self, info: ClassInfo) -> frozenset[str]:
        """All that the class has."""
        waiting, entered = [info] if info.node not in self._found else [], set[ast.ClassDef]()
        while waiting:
            one = waiting[-1]
            known = (self._contract.resolve_class(one.module, base) for base in one.node.bases)
            bases = [base for base in known if base]
            missing = [base for base in bases if base.node not in self._found and base.node not in entered]
            entered.add(one.node)
            if missing:
                waiting += missing  # bases first; a class that derives from itself is left out
                continue
            waiting.pop()
            if one.node not in self._found:
                inherited = (self._found.get(base.node, frozenset()) for base in bases)
                self._found[one.node] = frozenset(self._own(one)).union(*inherited)
        return self._found[info.node]


@dataclass(frozen=True)
class Sandbox:
    """What the contract finds around it. ``runners`` are those that it depends on; None where there may be more than
    they bring. ``left_out`` are modules of the standard library that are not there, as in ``xml/dom``."""

    runners: frozenset[str] | None = None
    left_out: frozenset[str] = frozenset()


@dataclass
class Contract:
    """Everything that belongs to one contract. ``version`` is None where the header has none that can be read."""

    path: Path
    modules: Sequence[Module]
    version: Version | None = None
    sandbox: Sandbox = Sandbox()
    _by_name: dict[str, Module] = field(init=False, repr=False)
    _bases: dict[ast.ClassDef, list[ClassInfo]] = field(init=False, repr=False, default_factory=dict)

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

    def bases(self, info: ClassInfo) -> Sequence[ClassInfo]:
        """Known bases, the nearest first; without the class itself."""
        if info.node not in self._bases:
            found, seen = [info], {info.node}
            for current in found:
                for base in current.node.bases:
                    one = self.resolve_class(current.module, base)
                    if one and one.node not in seen:
                        seen.add(one.node)
                        found.append(one)
            self._bases[info.node] = found[1:]
        return self._bases[info.node]

    def derives_from(self, info: ClassInfo, name: str) -> bool:
        """Whether one of the bases, of whatever depth, is the one of that meaning."""
        return name in self._outer_bases.of(info)

    def unknown_bases(self, info: ClassInfo, known: frozenset[str]) -> bool:
        """Whether the class may have members that are written nowhere here."""
        return not self._outer_bases.of(info) <= known

    @cached_property
    def _outer_bases(self) -> Inherited:
        """What bases stand for that are no classes of the contract."""

        def own(info: ClassInfo) -> Iterator[str]:
            for base in info.node.bases:
                if self.resolve_class(info.module, base) is None:
                    yield info.module.dotted(_unsubscripted(base))
            if info.module.makes_contract(info.node):
                yield _CONTRACT

        return Inherited(self, own)

    @cached_property
    def storage_marks(self) -> Inherited:
        """``allow_storage`` and ``generate_storage`` of classes that are marked with them."""

        def own(info: ClassInfo) -> Iterator[str]:
            given = [item.func if isinstance(item, ast.Call) else item for item in info.node.decorator_list]
            for name in (*map(info.module.dotted, given), *info.module.given_to.get(info.node.name, ())):
                if name == "allow_storage" or name.endswith("generate_storage"):
                    yield name

        return Inherited(self, own)

    def is_uncalled(self, module: Module, function: FunctionNode) -> bool:
        """Whether certainly nothing calls the function: nobody outside may, and nothing here mentions its name."""
        if not isinstance(function, Method) or function.decorator_list or function.name in self.mentioned:
            return False
        if self._names_at_run_time or (function.name.startswith("__") and function.name.endswith("__")):
            return False
        around = module.parents.get(function)
        while isinstance(around, ast.If | ast.Try | ast.With):
            around = module.parents.get(around)
        return not isinstance(around, ast.ClassDef) or not self.unknown_bases(ClassInfo(around, module), PLAIN_BASES)

    def runs(self, module: Module, node: ast.AST) -> Runs:
        """Whether the node runs when the contract is used as it is meant to be."""
        found = module.runs(node)
        function = module.function_around(node)
        while function is not None and found is Runs.CERTAINLY:
            if self.is_uncalled(module, function):
                found = Runs.MAYBE
            function = module.function_around(function)
        return found

    @cached_property
    def mentioned(self) -> frozenset[str]:
        """All names that are used anywhere: as such, as attributes, as what is imported, or in a text."""
        found: set[str] = set()
        for module in self.modules:
            for node in module.nodes:
                match node:
                    case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name) | ast.alias(name=name):
                        found.add(name)
                    case ast.Constant(value=str(text)) if text.isidentifier():
                        found.add(text)
        return frozenset(found)

    @cached_property
    def _names_at_run_time(self) -> bool:
        for module in self.modules:
            for node in module.nodes:
                if isinstance(node, ast.Call):
                    name = module.dotted(node.func)
                    given = [item for item in node.args if not isinstance(item, ast.Constant)]
                    if name in _ALL_NAMES or (name in _BY_NAME and given[name == "builtins.getattr" :]):
                        return True
                elif isinstance(node, ast.Attribute) and node.attr == "__dict__":
                    return True
        return False

    @cached_property
    def contract_classes(self) -> list[ClassInfo]:
        """Direct and indirect subclasses of ``gl.Contract`` outside of functions, in the order of the files."""
        return [
            info
            for module in self.modules
            for node in module.scope(module.tree).nodes
            if isinstance(node, ast.ClassDef)
            and (info := ClassInfo(node, module))
            and self.derives_from(info, _CONTRACT)
        ]


def methods(node: ast.ClassDef) -> Iterator[Method]:
    """The functions in the body of a class."""
    return (item for item in node.body if isinstance(item, Method))


def own_nodes(function: FunctionNode | ast.Module) -> Iterator[tuple[ast.AST, bool]]:
    """What runs when the function itself runs, in the order of the file, and whether no condition decides on it."""
    body = [function.body] if isinstance(function, ast.Lambda) else function.body
    waiting: list[tuple[ast.AST, bool]] = [(node, True) for node in reversed(body)]
    while waiting:
        node, certain = waiting.pop()
        yield node, certain
        always, sometimes = _parts(node)
        waiting += ((part, False) for part in reversed(sometimes))
        waiting += ((part, certain) for part in reversed(always))


def _parts(node: ast.AST) -> tuple[Sequence[ast.AST], Sequence[ast.AST]]:
    """Children that run whenever the node does, and the rest of those that run with it."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
            defaults = [*node.args.defaults, *(item for item in node.args.kw_defaults if item)]
            return [*getattr(node, "decorator_list", ()), *defaults], []
        case ast.ClassDef():
            return [*node.decorator_list, *node.bases, *node.keywords, *node.body], []
        case ast.If(test=test, body=body, orelse=orelse):
            return [test], [*body, *orelse]
        case ast.IfExp(test=test, body=one, orelse=other):
            return [test], [one, other]
        case ast.BoolOp(values=[first, *rest]):
            return [first], rest
        case ast.ExceptHandler() | ast.match_case():
            return [], list(ast.iter_child_nodes(node))
    return list(ast.iter_child_nodes(node)), []


def parameters(function: FunctionNode) -> list[ast.arg]:
    """All of them but ``*args`` and ``**kwargs``, in order."""
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


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
    if name.startswith(("gl.", "genlayer.")):
        name = _by_better_known_module(name)
        for prefix in ("genlayer.", "gl.storage.", "gl."):
            if name.startswith(prefix) and name.removeprefix(prefix) in STAR:
                return name.removeprefix(prefix)
    return name.replace("collections.abc.", "typing.", 1) if name.startswith("collections.abc.") else name


def _by_better_known_module(name: str) -> str:
    for inner, outer in MODULES.items():
        if name.startswith(f"{inner}."):
            rest = name.removeprefix(f"{inner}.")
            # What only the inner module has keeps its name.
            if outer not in MEMBERS or rest.split(".")[0] in MEMBERS[outer]:
                return f"{outer}.{rest}"
    outer = MODULES.get(name, "gl")
    return name if outer in MEMBERS else outer


def _bindings(node: ast.AST) -> Iterator[str]:
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


def _is_declaration(node: ast.AST) -> bool:
    return isinstance(node, ast.AnnAssign) and node.value is None


def _characters(text: str, offset: int) -> int:
    """Characters before a byte offset of the tree."""
    return len(text.encode("utf-8", "surrogatepass")[: max(offset, 0)].decode("utf-8", "ignore"))
