"""What annotations say: parts of types, fields of classes, and which expressions are views of storage."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from pygenvm.lint.names import INTEGERS
from pygenvm.lint.source import ClassInfo, Contract, Method, Module, Scope, methods

ENUMS = frozenset({"enum.Enum", "enum.IntEnum", "enum.StrEnum", "enum.Flag", "enum.IntFlag"})
DATACLASS = "dataclasses.dataclass"
CONTAINERS = frozenset({"DynArray", "TreeMap", "Array"})
#: Storage types that are copied when they are read.
SCALARS = INTEGERS | {
    "Address",
    "builtins.bool",
    "builtins.str",
    "builtins.bytes",
    "builtins.float",
    "datetime.datetime",
}
#: Methods that have no ``self``: by their decorators, and by their names.
_NO_SELF = frozenset({"builtins.staticmethod", "builtins.classmethod"})
_CLASS_METHODS = frozenset({"__new__", "__init_subclass__", "__class_getitem__"})
#: How many local names are followed to what they stand for.
_FOLLOWED_MAX = 8
#: Methods of containers that give the stored item. `get` with a default and `setdefault` may give the default, which
#: lies elsewhere.
_GIVE_ITEM = frozenset({"append_new_get", "get_or_insert_default", "compute_if_absent"})


@dataclass(frozen=True, slots=True)
class Field:
    """An annotated field, and the module that knows the names in its annotation."""

    name: str
    annotation: ast.expr
    value: ast.expr | None
    node: ast.AnnAssign
    module: Module


def unquoted(node: ast.expr) -> ast.expr:
    """An annotation without the quotes around it, at the place of the quoted one."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return node
    try:
        inner = ast.parse(node.value.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return node
    for part in ast.walk(inner):
        if isinstance(part, ast.expr):
            ast.copy_location(part, node)
    return inner


def arguments(node: ast.Subscript) -> list[ast.expr]:
    """``A, B`` of ``X[A, B]``."""
    items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    return [unquoted(item) for item in items]


def decorators(contract_module: Module, node: ast.ClassDef | Method) -> list[str]:
    """What the decorators stand for, calls without their arguments."""
    return [contract_module.dotted(item.func if isinstance(item, ast.Call) else item) for item in node.decorator_list]


def self_name(module: Module, method: Method) -> str:
    """What the method calls its object; empty if it gets none."""
    given = [*method.args.posonlyargs, *method.args.args]
    if not given or method.name in _CLASS_METHODS or _NO_SELF.intersection(decorators(module, method)):
        return ""
    return given[0].arg


def is_dataclass(info: ClassInfo) -> bool:
    return DATACLASS in decorators(info.module, info.node)


def is_enum(contract: Contract, info: ClassInfo) -> bool:
    return any(contract.derives_from(info, base) for base in ENUMS)


def own_fields(info: ClassInfo) -> Iterator[Field]:
    """Annotated names in the body of the class, class variables left out."""
    for node in info.node.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            annotation = unquoted(node.annotation)
            if not _is_class_variable(info.module, annotation):
                yield Field(node.target.id, annotation, node.value, node, info.module)


def _is_class_variable(module: Module, annotation: ast.expr) -> bool:
    outer = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    meaning = module.dotted(outer)
    # A name that some star import brought is what it is called.
    written = outer.id if isinstance(outer, ast.Name) and not meaning else meaning.rpartition(".")[2]
    return written == "ClassVar"


def fields(contract: Contract, info: ClassInfo) -> dict[str, Field]:
    """All fields of a class by name, those of its known bases included."""
    found: dict[str, Field] = {}
    for one in reversed([info, *contract.bases(info)]):
        found.update({field.name: field for field in own_fields(one)})
    return found


def class_names(contract: Contract, info: ClassInfo) -> set[str]:
    """Names that the class and its known bases give a meaning to, other than fields."""
    names = set()
    for one in (info, *contract.bases(info)):
        names |= {method.name for method in methods(one.node)}
        for node in ast.walk(one.node):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
    return names


class StorageTypes:
    """Types of expressions in the methods of a class, as far as the annotations of its fields tell them."""

    def __init__(self, contract: Contract, info: ClassInfo) -> None:
        self.contract = contract
        self.info = info
        self.fields = fields(contract, info)
        self._records: dict[ast.ClassDef, dict[str, Field]] = {}

    def type_of(self, node: ast.AST, self_name: str, scope: Scope | None = None) -> tuple[ast.expr, Module] | None:
        """Annotation of what ``self.a[…].b`` gives, and the module that knows its names.

        With the ``scope`` of a method, local names that stand for one such expression are followed.
        """
        return self._type_of(node, self_name, scope, 0)

    def _type_of(
        self, node: ast.AST, self_name: str, scope: Scope | None, followed: int
    ) -> tuple[ast.expr, Module] | None:
        match node:
            case ast.Name(id=name) if scope and followed < _FOLLOWED_MAX:
                value = scope.only_value(name)
                return self._type_of(value, self_name, scope, followed + 1) if isinstance(value, ast.expr) else None
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if name == self_name:
                field = self.fields.get(attr)
                return (field.annotation, field.module) if field else None
            case ast.Attribute(value=value, attr=attr):
                owner = self._type_of(value, self_name, scope, followed)
                record = self.contract.resolve_class(owner[1], owner[0]) if owner else None
                if record and record.node not in self._records:
                    self._records[record.node] = fields(self.contract, record)
                field = self._records[record.node].get(attr) if record else None
                return (field.annotation, field.module) if field else None
            case ast.Subscript(value=value, slice=index) if not isinstance(index, ast.Slice):
                return self.item_of(self._type_of(value, self_name, scope, followed))
            case ast.Call(func=ast.Attribute(value=value, attr="get"), args=[_], keywords=[]):
                return self.item_of(self._type_of(value, self_name, scope, followed))
            case ast.Call(func=ast.Attribute(value=value, attr=attr)) if attr in _GIVE_ITEM:
                return self.item_of(self._type_of(value, self_name, scope, followed))
        return None

    def is_view(self, node: ast.AST, self_name: str) -> bool:
        """Whether the expression certainly gives a container or record that still lies in storage."""
        return self.is_viewed(self.type_of(node, self_name))

    def is_viewed(self, found: tuple[ast.expr, Module] | None) -> bool:
        """Whether values of the type are containers or records, which are not copied when they are read."""
        if found is None:
            return False
        annotation, module = found
        outer = annotation.value if isinstance(annotation, ast.Subscript) else annotation
        return module.dotted(outer) in CONTAINERS or self.contract.resolve_class(module, annotation) is not None

    def item_of(self, owner: tuple[ast.expr, Module] | None) -> tuple[ast.expr, Module] | None:
        """Type of what a container of that type holds."""
        if owner is None or not isinstance(owner[0], ast.Subscript):
            return None
        given = arguments(owner[0])
        match owner[1].dotted(owner[0].value):
            case "DynArray" | "Array" if given:
                return given[0], owner[1]
            case "TreeMap" if len(given) == 2:
                return given[1], owner[1]
        return None
