"""GL316: changes of what lies in memory only, and is thought to lie in storage (spec sdk/02 §3.4, §6.3)."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from pygenvm.lint.model import Fault, fault
from pygenvm.lint.source import Contract, Module, Runs, shown
from pygenvm.lint.storage import RULES
from pygenvm.lint.stored import StoredMethod, stored_methods

TEMPORARY = RULES.error(
    "GL316",
    "what is changed lies in memory only, so the change is lost",
    "Change what is stored: `self.MAP.get_or_insert_default(KEY)`.",
)

_MAKE_CONTAINERS = frozenset({"builtins.list", "builtins.dict", "builtins.set", "TreeMap", "gl.storage.inmem_allocate"})
_COPY = frozenset({"builtins.list", "builtins.dict", "builtins.sorted"})
#: Methods that change containers, in storage or in memory.
_CHANGES = frozenset(
    ("append", "append_new_get", "extend", "insert", "remove", "pop", "clear", "sort", "reverse", "update", "popitem")
) | {"setdefault", "add", "discard", "get_or_insert_default", "compute_if_absent"}
#: Those that put an entry into a map, and give it where it is stored.
_FILL = frozenset({"get_or_insert_default", "compute_if_absent"})
#: Functions that only look at what they are given.
_LOOK = frozenset(
    f"builtins.{name}" for name in ("len", "bool", "print", "isinstance", "all", "any", "sum", "min", "max")
)


def check(contract: Contract) -> Iterator[tuple[Module, Fault]]:
    """Every change that certainly does not reach storage."""
    filled = _filled_maps(contract)
    for stored in stored_methods(contract):
        for found in _Temporaries(contract, stored, filled).faults():
            yield stored.module, found


def _filled_maps(contract: Contract) -> dict[str, set[ast.AST | None]]:
    """For names of maps, the functions that put entries into them."""
    found: dict[str, set[ast.AST | None]] = defaultdict(set)
    for module in contract.modules:
        for node in module.nodes:
            match node:
                case ast.Subscript(value=owner, ctx=ast.Store()):
                    pass
                case ast.Call(func=ast.Attribute(value=owner, attr=attr)) if attr in _FILL or attr == "update":
                    pass
                case ast.Expr(value=ast.Call(func=ast.Attribute(value=owner, attr="setdefault"))):
                    pass
                case _:
                    continue
            for name in _names_of(module, owner):
                found[name].add(module.function_around(node))
    return found


def _names_of(module: Module, node: ast.AST) -> set[str]:
    """What a map is called: the field's name, and that of a local variable that stands for it."""
    found = set()
    if isinstance(node, ast.Name):
        found.add(node.id)
        outer = module.binder(node, node.id)
        node = (module.scope(outer).only_value(node.id) if outer else None) or node
    while True:
        match node:
            case ast.Attribute(attr=name):
                return found | {name}
            case ast.Subscript(value=inner) | ast.Call(func=ast.Attribute(value=inner, attr="get"), args=[_]):
                node = inner
            case ast.Call(func=ast.Attribute(value=inner, attr=attr)) if attr in _FILL:
                node = inner
            case _:
                return found


@dataclass(frozen=True)
class _Given:
    """``node`` gives the stored value of a map, or a default where there is none."""

    node: ast.expr
    map: ast.expr
    key: ast.expr
    default: ast.expr


class _Temporaries:
    """What one method changes."""

    def __init__(self, contract: Contract, stored: StoredMethod, filled: dict[str, set[ast.AST | None]]) -> None:
        self.contract = contract
        self.module = stored.module
        self.scope = stored.scope
        self.stored = stored
        self.filled = filled
        self._loads: dict[str, list[ast.Name]] | None = None
        self._asked: set[str] | None = None

    def faults(self) -> Iterator[Fault]:
        for node in self.scope.nodes:
            if isinstance(node, ast.Expr) and (copy := self._changed_copy(node.value)):
                message = f"`{shown(copy[0])}` is a copy in memory, so the change is lost"
                yield fault(TEMPORARY, copy[0], message, f"Change `{shown(copy[1])}` itself.")
            if isinstance(node, ast.expr) and (given := self._with_default(node)):
                yield from self._changed_default(given)

    def _changed_copy(self, node: ast.expr) -> tuple[ast.expr, ast.expr] | None:
        """``list(self.a)`` or ``self.a[:]`` of a statement that changes it, and what it is a copy of."""
        match node:
            case ast.Call(func=ast.Attribute(value=copy, attr=attr)) if attr in _CHANGES:
                pass
            case _:
                return None
        match copy:
            case ast.Call(func=func, args=[source], keywords=[]) if self.module.dotted(func) in _COPY:
                if self.stored.types.is_viewed(self.stored.type_of(source)):
                    return copy, source
            case ast.Subscript(value=source, slice=ast.Slice()) if self.stored.is_container(source, "DynArray"):
                return copy, source
        return None

    def _with_default(self, node: ast.expr) -> _Given | None:
        """``self.m.get(k, [])``, ``self.m.setdefault(k, [])``, ``self.m.get(k) or []``, ``self.m[k] if … else []``."""
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr="get" | "setdefault"), args=[key, default], keywords=[]):
                pass
            case ast.BoolOp(
                op=ast.Or(), values=[ast.Call(func=ast.Attribute(value=owner, attr="get"), args=[key, *_]), default]
            ):
                pass
            case ast.IfExp(body=ast.Subscript(value=owner, slice=key), orelse=default):
                pass
            case _:
                return None
        if not self._is_made_here(default) or not self.stored.is_container(owner, "TreeMap"):
            return None
        item = self.stored.types.item_of(self.stored.type_of(owner))
        return _Given(node, owner, key, default) if self.stored.types.is_viewed(item) else None

    def _is_made_here(self, node: ast.expr) -> bool:
        """Whether the expression makes a new container or record."""
        match node:
            case ast.List() | ast.Dict() | ast.Set() | ast.ListComp() | ast.DictComp() | ast.SetComp():
                return True
            case ast.Call(func=func):
                outer = func.value if isinstance(func, ast.Subscript) else func
                made = self.contract.resolve_class(self.module, outer)
                return made is not None or self.module.dotted(outer) in _MAKE_CONTAINERS
        return False

    def _changed_default(self, given: _Given) -> Iterator[Fault]:
        changes = self._changes(given.node)
        names = _names_of(self.module, given.map)
        filling = [self.filled[name] for name in names if name in self.filled]
        if not changes or any(self.stored.method in functions for functions in filling) or names & self._asked_for():
            return  # the key is there, or the value is stored afterwards
        # Where another method fills the map the key may always be there.
        certain = not filling and any(self.module.runs(change) is Runs.CERTAINLY for change in changes)
        what, key, default = shown(given.map), shown(given.key), shown(given.default)
        message = f"`{shown(given.node)}` gives the default where the key is new, so what is changed is not stored"
        fix = f"Write `{what}.get_or_insert_default({key})`."
        if not _is_empty(given.default):
            fix = f"Store it first: `if {key} not in {what}: {what}[{key}] = {default}`; then change `{what}[{key}]`."
        yield fault(TEMPORARY if certain else TEMPORARY.as_warning, given.node, message, fix)

    def _changes(self, node: ast.expr) -> list[ast.AST]:
        """Where what the expression gives is changed, if nothing is done with it that may store it."""
        if change := self._change(node):
            return [change]
        match self.module.parents.get(node):
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                pass
            case _:
                return []
        if self.scope.only_value(name) is not node:
            return []
        found: list[ast.AST] = []
        for use in self._loads_of(name):
            if change := self._change(use):
                found.append(change)
            elif not self._only_looks(use):
                return []
        return found

    def _change(self, node: ast.expr) -> ast.AST | None:
        """What changes the value that the node gives, in place."""
        parent = self.module.parents.get(node)
        match parent:
            case ast.Attribute(ctx=ast.Load(), attr=attr):
                above = self.module.parents.get(parent)
                return parent if isinstance(above, ast.Call) and above.func is parent and attr in _CHANGES else None
            case ast.Attribute():
                return parent
            case ast.Subscript(value=value, ctx=ast.Store() | ast.Del()) if value is node:
                return parent
        return None

    def _only_looks(self, node: ast.expr) -> bool:
        match self.module.parents.get(node):
            case ast.Attribute() | ast.Compare() | ast.If() | ast.While() | ast.Assert() | ast.UnaryOp(op=ast.Not()):
                return True
            case ast.Subscript(value=value):
                return value is node
            case ast.Call(func=func):
                return self.module.dotted(func) in _LOOK
        return False

    def _loads_of(self, name: str) -> list[ast.Name]:
        if self._loads is None:
            self._loads = defaultdict(list)
            for node in ast.walk(self.stored.method):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                    self._loads[node.id].append(node)
        return self._loads[name]

    def _asked_for(self) -> set[str]:
        """Names of the maps that the method looks for keys in."""
        if self._asked is None:
            self._asked = set()
            for node in self.scope.nodes:
                match node:
                    case ast.Compare(ops=ops, comparators=others):
                        if any(isinstance(op, ast.In | ast.NotIn) for op in ops):
                            self._asked.update(name for item in others for name in _names_of(self.module, item))
                    case ast.For(iter=walked) | ast.comprehension(iter=walked):
                        if isinstance(walked, ast.Call) and isinstance(walked.func, ast.Attribute):
                            walked = walked.func.value  # `.items()`
                        self._asked |= _names_of(self.module, walked)
        return self._asked


def _is_empty(node: ast.expr) -> bool:
    match node:
        case ast.List(elts=items) | ast.Set(elts=items) | ast.Dict(values=items):
            return not items
        case ast.Call(func=ast.Name(id="list" | "dict" | "set" | "TreeMap"), args=items):
            return not items
    return False
