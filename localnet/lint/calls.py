"""Which function a call reaches, and which functions run in VMs of their own, as far as that is certain."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from localnet.lint.names import BLOCKS, SANDBOX
from localnet.lint.source import ClassInfo, Contract, FunctionNode, Module, bound_in, methods, own_nodes, parameters


class Role(StrEnum):
    """What a function that is handed over is for."""

    LEADER = "leader"
    VALIDATOR = "validator"
    SANDBOX = "sandbox"


@dataclass(frozen=True, slots=True)
class Unit:
    """A function or lambda. ``owner`` is the class if it is a method."""

    node: FunctionNode
    module: Module
    owner: ClassInfo | None = None

    @property
    def name(self) -> str:
        return self.node.name if not isinstance(self.node, ast.Lambda) else "a lambda"


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A function given to ``call``, which runs it in another VM; ``unit`` is None if it is not known which it is."""

    unit: Unit | None
    role: Role
    argument: ast.expr
    call: ast.Call
    module: Module


class Calls:
    """Looks up functions of one contract."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self._classes = {info.node: info for info in contract.contract_classes}
        for info in contract.contract_classes:
            for base in contract.bases(info):
                # A method of a mix-in calls what the contract class makes of it.
                self._classes.setdefault(base.node, info)

    def called(self, module: Module, call: ast.Call) -> str:
        """What is called, by its meaning; ``f.lazy(…)`` is as good as ``f(…)``."""
        return module.dotted(call.func).removesuffix(".lazy")

    def calls_in(self, unit: Unit) -> Iterator[ast.Call]:
        """Calls that the function itself makes."""
        return (node for node in own_nodes(unit.node) if isinstance(node, ast.Call))

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
        """The method of that name in a contract class or the nearest base."""
        for one in (info, *self.contract.bases(info)):
            for method in methods(one.node):
                if method.name == name:
                    return Unit(method, one.module, info)
        return None

    def owner_of_self(self, module: Module, node: ast.AST, name: str) -> ClassInfo | None:
        """The contract class, if ``name`` at this place is the ``self`` of one of its methods."""
        for outer in module.enclosing(node):
            if isinstance(outer, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef) and name in bound_in(outer):
                parent = module.parents.get(outer)
                given = parameters(outer)
                is_self = isinstance(parent, ast.ClassDef) and bool(given) and given[0].arg == name
                return self._classes.get(parent) if is_self and isinstance(parent, ast.ClassDef) else None
        return None

    def handed_over(self) -> Iterator[HandedOver]:
        """Every function that is given to an equivalence principle, ``run_nondet`` or ``spawn_sandbox``."""
        for module in self.contract.modules:
            for node in ast.walk(module.tree):
                if isinstance(node, ast.Call):
                    yield from self.handed_over_by(module, node)

    def handed_over_by(self, module: Module, call: ast.Call) -> Iterator[HandedOver]:
        name = self.called(module, call)
        roles = [Role.SANDBOX] if name == SANDBOX else [Role.LEADER, Role.VALIDATOR][: BLOCKS.get(name, 0)]
        given = [item for item in call.args[: len(roles)] if not isinstance(item, ast.Starred)]
        for role, argument in zip(roles, given, strict=False):
            yield HandedOver(self.target(module, argument), role, argument, call, module)
        for keyword in call.keywords:
            if roles and keyword.arg == "fn":
                yield HandedOver(self.target(module, keyword.value), roles[0], keyword.value, call, module)

    def reached(self, unit: Unit) -> Iterator[Unit]:
        """The function itself and all that it certainly calls in the same VM, however deep."""
        waiting, seen = [unit], {unit.node}
        while waiting:
            current = waiting.pop(0)
            yield current
            for call in self.calls_in(current):
                found = self.target(current.module, call.func)
                if found and found.node not in seen:
                    seen.add(found.node)
                    waiting.append(found)

    def _named(self, module: Module, node: ast.AST, name: str) -> Unit | None:
        for outer in module.enclosing(node):
            if isinstance(outer, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef) and name in bound_in(outer):
                return self._local(module, outer, name)
        if module.bindings(name) == 1:
            for item in module.tree.body:
                if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and item.name == name:
                    return Unit(item, module)
            return None
        source, there = module.module_of_import(name)
        other = self.contract.module(source)
        if other and not module.bindings(name) and other.bindings(there) == 1:
            for item in other.tree.body:
                if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and item.name == there:
                    return Unit(item, other)
        return None

    @staticmethod
    def _local(module: Module, outer: FunctionNode, name: str) -> Unit | None:
        """A function that is defined in ``outer`` and nothing else there has its name."""
        found: list[ast.expr | FunctionNode | None] = []
        for item in own_nodes(outer):
            match item:
                case ast.FunctionDef(name=given) | ast.AsyncFunctionDef(name=given) if given == name:
                    found.append(item)
                case ast.Assign(targets=[ast.Name(id=given)], value=ast.Lambda() as value) if given == name:
                    found.append(value)
                case ast.Name(id=given, ctx=ast.Store()) if given == name:
                    found.append(None)
        lambdas = sum(isinstance(item, ast.Lambda) for item in found)
        # The name that a lambda is assigned to was counted as well.
        certain = [item for item in found if item is not None]
        if len(certain) != 1 or found.count(None) != lambdas:
            return None
        [node] = certain
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        return Unit(node, module)
