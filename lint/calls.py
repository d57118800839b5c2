"""Which function a call reaches, and which functions run in VMs of their own, as far as that is certain."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

from pygenvm.lint.annotations import StorageTypes, decorators, self_name
from pygenvm.lint.names import BLOCKS, SANDBOX
from pygenvm.lint.publicity import publicity
from pygenvm.lint.source import ClassInfo, Contract, FunctionNode, Method, Module, methods

#: Decorators that leave a function what it is; those of `gl.public` do as well.
_HARMLESS = frozenset(f"functools.{name}" for name in ("wraps", "cache", "lru_cache")) | {
    "builtins.staticmethod",
    "builtins.classmethod",
    "gl.private",
    "typing.final",
    "typing.override",
}
#: What makes interfaces of other contracts of this network, and of EVM contracts too.
GENLAYER_INTERFACES = frozenset({"gl.contract_interface"})
_INTERFACES = GENLAYER_INTERFACES | {"gl.evm.contract_interface"}


class Role(StrEnum):
    """What a function that is handed over is for."""

    LEADER = "leader"
    VALIDATOR = "validator"
    SANDBOX = "sandbox"


@dataclass(frozen=True, slots=True)
class Unit:
    """A function or lambda. ``owner`` is the class if it is a method with a ``self``."""

    node: FunctionNode
    module: Module
    owner: ClassInfo | None = None

    @property
    def name(self) -> str:
        return self.node.name if not isinstance(self.node, ast.Lambda) else "a lambda"


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A function that is given to something that runs it in another VM."""

    unit: Unit
    role: Role


class Calls:
    """Looks up functions of one contract."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self._classes = {info.node: info for info in contract.contract_classes}
        for info in contract.contract_classes:
            for base in contract.bases(info):
                # A method of a mix-in calls what the contract class makes of it.
                self._classes.setdefault(base.node, info)
        self._methods: dict[ast.ClassDef, dict[str, Unit | None]] = {}
        self._functions: dict[Module, dict[str, Unit]] = {}
        self._types: dict[ast.ClassDef, StorageTypes] = {}
        self._used: dict[tuple[FunctionNode, bool], str] = {}

    def called(self, module: Module, call: ast.Call) -> str:
        """What is called, by its meaning; ``f.lazy(…)`` is as good as ``f(…)``."""
        return module.dotted(call.func).removesuffix(".lazy")

    def types(self, info: ClassInfo) -> StorageTypes:
        """The types of the fields of a class."""
        if info.node not in self._types:
            self._types[info.node] = StorageTypes(self.contract, info)
        return self._types[info.node]

    def target(self, module: Module, node: ast.expr) -> Unit | None:
        """The function that an expression gives: a lambda, a name, ``self.method``, a ``partial`` of one of them."""
        match node:
            case ast.Lambda():
                return Unit(node, module)
            case ast.Name(id=name):
                return self._named(module, node, name)
            case ast.Attribute(value=ast.Name(id=name), attr=attr):
                owner = self.owner_of_self(module, node, name)
                return self.method(owner, attr) if owner else None
            case ast.Call(func=func, args=[first, *_]) if module.dotted(func) == "functools.partial":
                return self.target(module, first)
        return None

    def method(self, info: ClassInfo, name: str) -> Unit | None:
        """The method of that name in a contract class or the nearest base; None if a decorator may have replaced it."""
        return self.methods(info).get(name)

    def methods(self, info: ClassInfo) -> dict[str, Unit | None]:
        """Methods of a contract class and its bases by name, None for those that are not certain."""
        if info.node not in self._methods:
            found: dict[str, Unit | None] = {}
            for one in reversed([info, *self.contract.bases(info)]):
                own: dict[str, Unit | None] = {}
                for method in methods(one.node):
                    owner = info if self_name(one.module, method) else None
                    certain = method.name not in own and is_plain(one.module, method)
                    own[method.name] = Unit(method, one.module, owner) if certain else None
                found |= own
            self._methods[info.node] = found
        return self._methods[info.node]

    def owner_of_self(self, module: Module, node: ast.AST, name: str) -> ClassInfo | None:
        """The contract class, if ``name`` at this place is the ``self`` of one of its methods."""
        outer = module.binder(node, name)
        parent = module.parents[outer] if outer else None
        if isinstance(outer, Method) and isinstance(parent, ast.ClassDef) and self_name(module, outer) == name:
            return self._classes.get(parent)
        return None

    def handed_over(self) -> Iterator[HandedOver]:
        """Every function that is given to an equivalence principle, ``run_nondet`` or ``spawn_sandbox``."""
        for module in self.contract.modules:
            for node in module.nodes:
                if isinstance(node, ast.Call):
                    yield from self.handed_over_by(module, node)

    def handed_over_by(self, module: Module, call: ast.Call) -> Iterator[HandedOver]:
        name = self.called(module, call)
        roles = [Role.SANDBOX] if name == SANDBOX else [Role.LEADER, Role.VALIDATOR][: BLOCKS.get(name, 0)]
        given = [item for item in call.args[: len(roles)] if not isinstance(item, ast.Starred)]
        arguments: list[tuple[Role, ast.expr]] = list(zip(roles, given, strict=False))
        arguments += [(roles[0], keyword.value) for keyword in call.keywords if roles and keyword.arg == "fn"]
        for role, argument in arguments:
            if unit := self.target(module, argument):
                yield HandedOver(unit, role)

    def used_field(self, method: Unit, *, or_written: bool) -> str:
        """Name of a field that the method, or what it calls, certainly reads (or writes)."""
        key = method.node, or_written
        if key not in self._used:
            found = (self._field_used_by(unit, or_written=or_written) for unit in self._reached(method))
            self._used[key] = next(filter(None, found), "")
        return self._used[key]

    def _field_used_by(self, unit: Unit, *, or_written: bool) -> str:
        if unit.owner is None or not isinstance(unit.node, Method):
            return ""
        name, known = self_name(unit.module, unit.node), self.types(unit.owner).fields
        for node in unit.module.scope(unit.node).nodes:
            match node:
                case ast.Attribute(value=ast.Name(id=given), attr=attr, ctx=ctx) if given == name and attr in known:
                    if or_written or isinstance(ctx, ast.Load):
                        return attr
        return ""

    def _reached(self, unit: Unit) -> Iterator[Unit]:
        """The function itself and all that it certainly calls in the same VM, however deep."""
        waiting, seen = deque([unit]), {unit.node}
        while waiting:
            current = waiting.popleft()
            yield current
            for call in calls_in(current, first=current is unit):
                found = self.target(current.module, call.func)
                if found and found.node not in seen:
                    seen.add(found.node)
                    waiting.append(found)

    def _named(self, module: Module, node: ast.AST, name: str) -> Unit | None:
        if outer := module.binder(node, name):
            value = module.scope(outer).only_value(name)
            is_function = isinstance(value, ast.Lambda) or (isinstance(value, Method) and is_plain(module, value))
            return Unit(value, module) if is_function and isinstance(value, FunctionNode) else None
        if module.bindings(name):
            return self._function(module, name)
        source, there = module.module_of_import(name)
        other = self.contract.module(source)
        return self._function(other, there) if other else None

    def _function(self, module: Module, name: str) -> Unit | None:
        """The function of the module that nothing else there has the name of."""
        if module not in self._functions:
            self._functions[module] = {
                item.name: Unit(item, module)
                for item in module.tree.body
                if isinstance(item, Method) and module.bindings(item.name) == 1 and is_plain(module, item)
            }
        return self._functions[module].get(name)


def is_plain(module: Module, function: Method) -> bool:
    """Whether calling the function certainly runs its body, here and now: decorators may change that."""
    names = decorators(module, function)
    return all(
        name in _HARMLESS or publicity(module, item) for name, item in zip(names, function.decorator_list, strict=True)
    )


def calls_in(unit: Unit, *, first: bool) -> list[ast.Call]:
    """Calls that the function itself makes. Of the ``first`` one all count; what others do under a condition may be
    meant for other callers."""
    scope = unit.module.scope(unit.node)
    return scope.calls if first else scope.certain_calls


def interfaces(module: Module, kinds: Collection[str] = _INTERFACES) -> set[str]:
    """Names of the interfaces of other contracts that the module declares."""
    found: set[str] = set()
    for node in module.tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=func)) if module.dotted(func) in kinds:
                found.add(name)
            case ast.ClassDef(name=name, decorator_list=given) if any(module.dotted(item) in kinds for item in given):
                found.add(name)
    return {name for name in found if module.bindings(name) == 1}


def is_proxy(module: Module, node: ast.AST, known: set[str]) -> bool:
    """Whether the expression certainly is a proxy of another contract; ``known`` are the module's interfaces."""
    return proxy_call(module, node, known) is not None


def proxy_call(module: Module, node: ast.AST, known: set[str]) -> ast.Call | None:
    """The call that made the proxy that the expression certainly is: itself, or what a local name stands for."""
    if isinstance(node, ast.Name) and (outer := module.binder(node, node.id)):
        value = module.scope(outer).only_value(node.id)
        node = value if isinstance(value, ast.Call) else node
    match node:
        case ast.Call(func=ast.Name(id=name)) if name in known and not module.binder(node, name):
            return node
        case ast.Call(func=made) if module.dotted(made) == "gl.get_contract_at":
            return node
    return None
