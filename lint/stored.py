"""Which classes have fields in storage, and which methods change them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from pygenvm.lint.annotations import Field, StorageTypes, arguments, is_enum, own_fields, self_name
from pygenvm.lint.names import PLAIN_BASES
from pygenvm.lint.source import ClassInfo, Contract, Method, Module, Scope, methods


def storage_classes(contract: Contract) -> Iterator[tuple[ClassInfo, bool]]:
    """Classes with fields in storage, and whether they certainly get a layout: contracts with their mix-ins, records
    that are part of them, marked records that may be part of something."""
    found: dict[ast.ClassDef, ClassInfo] = {}
    for info in contract.contract_classes:
        found.update({one.node: one for one in (info, *contract.bases(info))})
    waiting = list(found.values())
    while waiting:
        info = waiting.pop()
        parts = [record for field in own_fields(info) for record in records_in(contract, field)]
        parts = [record for record in parts if _is_record(contract, record)]
        for base in info.node.bases:
            if inherited := contract.resolve_class(info.module, base):
                parts.append(inherited)
        for part in parts:
            if part.node not in found:
                found[part.node] = part
                waiting.append(part)
    yield from ((info, True) for info in found.values())
    for module in contract.modules:
        for node in module.classes.values():
            info = ClassInfo(node, module)
            if node not in found and (marks := contract.storage_marks.of(info)):
                yield info, any(name.endswith("generate_storage") for name in marks)


@dataclass(frozen=True)
class StoredMethod:
    """A method with a ``self`` whose fields are in storage. ``own`` is what it calls its ``self``."""

    module: Module
    method: Method
    own: str
    types: StorageTypes

    @property
    def scope(self) -> Scope:
        return self.module.scope(self.method)

    def type_of(self, node: ast.AST) -> tuple[ast.expr, Module] | None:
        """See :meth:`StorageTypes.type_of`; local names are followed."""
        return self.types.type_of(node, self.own, self.scope)

    def is_container(self, node: ast.AST, kind: str) -> bool:
        """Whether the expression certainly gives a ``TreeMap``, ``DynArray``, … in storage."""
        found = self.type_of(node)
        return found is not None and isinstance(found[0], ast.Subscript) and found[1].dotted(found[0].value) == kind


def stored_methods(contract: Contract) -> Iterator[StoredMethod]:
    """Those of contracts with their mix-ins, and of records in storage."""
    classes = [(one, info) for info in contract.contract_classes for one in (info, *contract.bases(info))]
    classes += [(info, info) for info, built in storage_classes(contract) if built]
    types: dict[ast.ClassDef, StorageTypes] = {}
    seen: set[ast.ClassDef] = set()
    for one, info in classes:
        if one.node not in seen:
            seen.add(one.node)
            if info.node not in types:
                types[info.node] = StorageTypes(contract, info)
            for method in methods(one.node):
                if own := self_name(one.module, method):
                    yield StoredMethod(one.module, method, own, types[info.node])


def _is_record(contract: Contract, info: ClassInfo) -> bool:
    """Whether the class is a record, or becomes one when it is marked."""
    unmarked = is_enum(contract, info) or contract.unknown_bases(info, PLAIN_BASES)
    return bool(contract.storage_marks.of(info)) or not unmarked


def records_in(contract: Contract, field: Field) -> Iterator[ClassInfo]:
    """Classes of the contract that the field's type names."""
    waiting = [field.annotation]
    while waiting:
        node = waiting.pop()
        if record := contract.resolve_class(field.module, node):
            yield record
        if isinstance(node, ast.Subscript):
            waiting += arguments(node)
