"""GL3xx: fields of contracts and of records in storage (spec sdk/02)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pygenvm.lint.annotations import (
    CONTAINERS,
    DATACLASS,
    SCALARS,
    Field,
    arguments,
    class_names,
    decorators,
    fields,
    is_dataclass,
    is_enum,
    own_fields,
    self_name,
    unquoted,
)
from pygenvm.lint.model import Fault, Rules, fault
from pygenvm.lint.names import PLAIN_BASES
from pygenvm.lint.source import ClassInfo, Contract, Module, methods, shown

RULES = Rules("Storage")

PLAIN_INT = RULES.error(
    "GL301", "`int` has no size in storage", "Write `bigint`, or a sized type such as `u256` or `i64`."
)
FLOAT = RULES.info(
    "GL302",
    "a `float` can be stored, but neither taken nor returned by a public method",
    "Integers of a small unit are safer.",
)
CONTAINER = RULES.error(
    "GL303", "a container of Python cannot be stored", "Write `DynArray[T]`, `TreeMap[K, V]`, or a record."
)
OPTIONAL = RULES.error(
    "GL304",
    "`Optional` and unions cannot be stored",
    "Store a `bool` beside the value, or a `TreeMap` whose entry may be absent, or let one of the values mean `none`.",
)
NO_LAYOUT = RULES.error("GL305", "a type that cannot be stored", "Store something simpler and convert it.")
BARE = RULES.error("GL306", "a storage container without the types of its items", "Write them in brackets.")
ARRAY_SIZE = RULES.error("GL307", "the length of an `Array` is not a literal", "Write `Array[T, typing.Literal[n]]`.")
NOT_ALLOWED = RULES.error(
    "GL308", "a record whose class is not marked for storage", "Put `@allow_storage` above the class."
)
DECORATOR_ORDER = RULES.info("GL309", "`@allow_storage` usually stands above `@dataclass`", "Exchange the two lines.")
LOST_DEFAULT = RULES.error(
    "GL310", "a default of a storage field is lost: the field reads as zero", "Assign it in `__init__`."
)
WRONG_VALUE = RULES.error(
    "GL311",
    "a Python container is assigned to a field that takes none",
    "Change the field in place: `clear()`, `update(…)`, `extend(…)`.",
)
CONSTRUCTED = RULES.error(
    "GL312",
    "a storage container cannot be constructed",
    "Leave it out: fields are there, and empty, from the start. In memory: `gl.storage.inmem_allocate(TYPE)`.",
)
UNDECLARED = RULES.warning(
    "GL313",
    "an attribute that is no field is forgotten when the call ends",
    "Declare it in the class body with its type.",
)
NUMPY_LATE = RULES.warning(
    "GL314", "numpy is imported after genlayer, which may not know its types then", "Import numpy first."
)
RECURSIVE = RULES.error(
    "GL315", "a record that contains itself has no layout", "Keep the records in one container and store their keys."
)

_CONTAINERS = {
    "builtins.list": ("list", "DynArray"),
    "typing.List": ("list", "DynArray"),
    "typing.Sequence": ("Sequence", "DynArray"),
    "typing.MutableSequence": ("MutableSequence", "DynArray"),
    "collections.deque": ("deque", "DynArray"),
    "builtins.dict": ("dict", "TreeMap"),
    "typing.Dict": ("dict", "TreeMap"),
    "typing.Mapping": ("Mapping", "TreeMap"),
    "typing.MutableMapping": ("MutableMapping", "TreeMap"),
    "collections.defaultdict": ("defaultdict", "TreeMap"),
    "collections.OrderedDict": ("OrderedDict", "TreeMap"),
    "builtins.set": ("set", "a set"),
    "typing.Set": ("set", "a set"),
    "builtins.frozenset": ("frozenset", "a set"),
    "typing.FrozenSet": ("frozenset", "a set"),
    "builtins.tuple": ("tuple", "a record"),
    "typing.Tuple": ("tuple", "a record"),
}
_NO_LAYOUT = {
    "typing.Any": "name the type, or store JSON in a `str`",
    "builtins.object": "name the type, or store JSON in a `str`",
    "builtins.bytearray": "write `bytes`",
    "builtins.memoryview": "write `bytes`",
    "builtins.complex": "store the two parts",
    "datetime.date": "store a `datetime.datetime`, or its `isoformat()` in a `str`",
    "datetime.time": "store a `datetime.datetime`, or its `isoformat()` in a `str`",
    "datetime.timedelta": "store its seconds in a sized integer",
    "decimal.Decimal": "store an integer of a small unit, or its text in a `str`",
    "fractions.Fraction": "store numerator and denominator",
    "uuid.UUID": "store its bytes in `bytes`",
    "numpy.bool_": "write `bool`",
    "numpy.float16": "write `numpy.float32`",
    "typing.Callable": "store what it computes, or the name of a method",
    "typing.Literal": "write the type of the values",
}
_ALLOW = "allow_storage"
_MUTABLE_LITERALS = {
    ast.Dict: "dict",
    ast.DictComp: "dict",
    ast.List: "list",
    ast.ListComp: "list",
    ast.Set: "set",
    ast.SetComp: "set",
    ast.Tuple: "tuple",
}


def check(contract: Contract) -> Iterator[tuple[Module, Fault]]:
    """Everything about what is stored."""
    holders = list(_holders(contract))
    for info in holders:
        for field in own_fields(info):
            for found in _Types(contract, info).faults(field.annotation):
                yield info.module, found
        for found in (*_defaults(info), *_recursion(contract, info), *_order(info)):
            yield info.module, found
        for found in _assignments(contract, info):
            yield info.module, found
    for info in contract.contract_classes:
        yield from _undeclared(contract, info)
    for module in contract.modules:
        for found in _constructions(module):
            yield module, found
        for found in _numpy(module, [info for info in holders if info.module is module]):
            yield module, found


def _holders(contract: Contract) -> Iterator[ClassInfo]:
    """Classes with fields in storage: contracts with their mix-ins, and marked records."""
    seen: set[ast.ClassDef] = set()
    for info in contract.contract_classes:
        for one in (info, *contract.bases(info)):
            if one.node not in seen:
                seen.add(one.node)
                yield one
    for module in contract.modules:
        for node in module.classes.values():
            info = ClassInfo(node, module)
            if node not in seen and _is_allowed(contract, info):
                seen.add(node)
                yield info


def _is_allowed(contract: Contract, info: ClassInfo) -> bool:
    """Whether the class, or one it derives from, is marked with ``allow_storage`` or ``generate_storage``."""
    for one in (info, *contract.bases(info)):
        given_to = one.module.given_to.get(one.node.name, ())
        if any(
            name == _ALLOW or name.endswith("generate_storage")
            for name in (*decorators(one.module, one.node), *given_to)
        ):
            return True
    return False


class _Types:
    """Checks the annotation of one field."""

    def __init__(self, contract: Contract, info: ClassInfo) -> None:
        self.contract = contract
        self.module = info.module

    def faults(self, node: ast.expr) -> Iterator[Fault]:
        node = unquoted(node)
        match node:
            case ast.BinOp(op=ast.BitOr()):
                yield self._optional(node)
            case ast.Subscript(value=value):
                yield from self._generic(node, self.module.dotted(value), arguments(node))
            case ast.Name() | ast.Attribute():
                yield from self._plain(node, self.module.dotted(node))

    def _optional(self, node: ast.expr) -> Fault:
        return fault(
            OPTIONAL,
            node,
            f"`{shown(node)}` cannot be stored: there is no layout for a value that may be of several types",
        )

    def _generic(self, node: ast.Subscript, name: str, given: list[ast.expr]) -> Iterator[Fault]:
        if name in ("typing.Optional", "typing.Union"):
            yield self._optional(node)
        elif name in _CONTAINERS:
            yield self._container(node, name, given)
        elif name == "typing.Annotated" and given:
            yield from self.faults(given[0])
        elif name in _NO_LAYOUT:
            yield self._no_layout(node, name)
        elif name == "Array":
            yield from self._array(node, given)
        elif name in ("DynArray", "TreeMap"):
            wanted = 1 if name == "DynArray" else 2
            if len(given) != wanted:
                yield fault(BARE, node, f"`{name}` takes {wanted} type{'s' * (wanted > 1)}", _brackets(name))
            for item in given:
                yield from self.faults(item)
        elif name in ("gl.storage.Indirection", "gl.storage.VLA"):
            for item in given:
                yield from self.faults(item)
        else:
            record = self.contract.resolve_class(self.module, node.value)
            if record:
                yield from self._record(node, record)
                for item in given:
                    yield from self.faults(item) if not self._is_literal(item) else ()

    def _plain(self, node: ast.expr, name: str) -> Iterator[Fault]:
        if name == "builtins.int":
            yield fault(PLAIN_INT, node, "`int` has no size in storage")
        elif name == "builtins.float":
            yield fault(FLOAT, node, "a `float` is stored in 8 bytes, but calldata has no fractions")
        elif name in CONTAINERS:
            yield fault(BARE, node, f"`{name}` needs the types of what it holds", _brackets(name))
        elif name in _CONTAINERS:
            yield self._container(node, name, [])
        elif name in ("typing.Optional", "typing.Union"):
            yield self._optional(node)
        elif name in _NO_LAYOUT:
            yield self._no_layout(node, name)
        elif name not in SCALARS:
            record = self.contract.resolve_class(self.module, node)
            if record:
                yield from self._record(node, record)

    def _container(self, node: ast.expr, name: str, given: list[ast.expr]) -> Fault:
        python, kind = _CONTAINERS[name]
        items = [shown(item) for item in given if not (isinstance(item, ast.Constant) and item.value is ...)]
        # What stands inside is shown as it should be written.
        items = ["bigint" if item == "int" else item for item in items]
        if kind == "DynArray":
            fix = f"Write `DynArray[{items[0] if items else 'T'}]`."
        elif kind == "TreeMap":
            fix = f"Write `TreeMap[{', '.join(items) if len(items) == 2 else 'K, V'}]`."
        elif kind == "a set":
            fix = f"Write `TreeMap[{items[0] if items else 'T'}, None]`: a map without values is a set."
        elif len(given) == 2 and len(items) == 1:
            fix = f"Write `DynArray[{items[0]}]`."
        else:
            fix = (
                "Write a class for it, with `@allow_storage` and `@dataclass` above, or `Array[T, typing.Literal[n]]`."
            )
        return fault(CONTAINER, node, f"a `{python}` cannot be stored", fix)

    def _no_layout(self, node: ast.expr, name: str) -> Fault:
        advice = _NO_LAYOUT[name]
        return fault(NO_LAYOUT, node, f"`{shown(node)}` cannot be stored", f"{advice[0].upper()}{advice[1:]}.")

    def _array(self, node: ast.Subscript, given: list[ast.expr]) -> Iterator[Fault]:
        if len(given) != 2:
            yield fault(BARE, node, "`Array` takes the type of its items and their number", _brackets("Array"))
        elif isinstance(given[1], ast.Constant):
            fix = f"Write `Array[{shown(given[0])}, typing.Literal[{shown(given[1])}]]`, and `import typing` above."
            yield fault(ARRAY_SIZE, given[1], "the number of items must be a `typing.Literal`", fix)
        for item in given[:1]:
            yield from self.faults(item)

    def _record(self, node: ast.expr, record: ClassInfo) -> Iterator[Fault]:
        name = record.node.name
        if is_enum(self.contract, record):
            fix = f"Store `{name}.value` in a sized integer or a `str`, and make it `{name}(…)` again when you read it."
            yield fault(NO_LAYOUT, node, f"the enumeration `{name}` cannot be stored", fix)
        elif not _is_allowed(self.contract, record) and not self.contract.unknown_bases(record, PLAIN_BASES):
            fix = f"Put `@allow_storage` above the class `{name}`" + (
                ", above `@dataclass`." if is_dataclass(record) else "."
            )
            yield fault(NOT_ALLOWED, node, f"the class `{name}` is not marked for storage", fix)

    def _is_literal(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Subscript) and self.module.dotted(node.value) == "typing.Literal"


def _defaults(info: ClassInfo) -> Iterator[Fault]:
    if is_dataclass(info):
        # There the default lives in the generated constructor.
        return
    for field in own_fields(info):
        if field.value is not None and not _is_zero(info.module, field.value):
            message = f"the default of `{field.name}` is lost: the field reads as zero until it is assigned"
            yield fault(
                LOST_DEFAULT, field.value, message, f"Write `self.{field.name} = {shown(field.value)}` in `__init__`."
            )


def _is_zero(module: Module, node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=value):
            return not value
        case ast.List(elts=[]) | ast.Dict(keys=[]) | ast.Tuple(elts=[]):
            return True
        case ast.Call(func=func, args=given, keywords=[]):
            name = module.dotted(func)
            if name in CONTAINERS or (isinstance(func, ast.Subscript) and module.dotted(func.value) in CONTAINERS):
                return True  # another rule's matter
            return name in SCALARS and all(_is_zero(module, item) for item in given)
    return False


def _order(info: ClassInfo) -> Iterator[Fault]:
    names = decorators(info.module, info.node)
    if _ALLOW in names and DATACLASS in names and names.index(_ALLOW) > names.index(DATACLASS):
        where = info.node.decorator_list[names.index(_ALLOW)]
        yield fault(DECORATOR_ORDER, where, "`@allow_storage` stands below `@dataclass`")


def _recursion(contract: Contract, info: ClassInfo) -> Iterator[Fault]:
    for field in own_fields(info):
        waiting, seen = list(_records_in(contract, field)), set[ast.ClassDef]()
        while waiting:
            record = waiting.pop()
            if record.node is info.node:
                yield fault(RECURSIVE, field.annotation, f"`{info.node.name}` contains itself, so its size is endless")
                break
            if record.node not in seen:
                seen.add(record.node)
                waiting += [inner for one in fields(contract, record).values() for inner in _records_in(contract, one)]


def _records_in(contract: Contract, field: Field) -> Iterator[ClassInfo]:
    waiting = [field.annotation]
    while waiting:
        node = waiting.pop()
        if record := contract.resolve_class(field.module, node):
            yield record
        if isinstance(node, ast.Subscript):
            waiting += arguments(node)


def _assignments(contract: Contract, info: ClassInfo) -> Iterator[Fault]:
    """``self.field = {…}`` where the field takes no such thing."""
    known = fields(contract, info)
    for name, target, value in _self_assignments(info):
        field = known.get(name)
        given = _literal_kind(info.module, value)
        if field is None or given is None:
            continue
        outer = field.annotation.value if isinstance(field.annotation, ast.Subscript) else field.annotation
        kind = field.module.dotted(outer)
        if kind == "TreeMap" and given != "tuple":
            empty = isinstance(value, ast.Call | ast.Dict | ast.List) and not _has_items(value)
            fix = f"Leave it out in `__init__`, elsewhere write `self.{name}.clear()`."
            if not empty:
                fix = f"Write `self.{name}.update(…)`, after `self.{name}.clear()` if there may be something in it."
            yield fault(WRONG_VALUE, target, f"a `{given}` cannot be assigned to the `TreeMap` field `{name}`", fix)
        elif kind == "DynArray" and given in ("dict", "set"):
            yield fault(
                WRONG_VALUE,
                target,
                f"a `{given}` cannot be assigned to the `DynArray` field `{name}`",
                "Assign a list.",
            )
        elif not kind and given == "dict" and (record := contract.resolve_class(field.module, field.annotation)):
            yield fault(
                WRONG_VALUE,
                target,
                f"a `dict` cannot be assigned to the field `{name}`, which is a `{record.node.name}`",
                f"Assign a `{record.node.name}(…)`, or assign its fields one by one.",
            )


def _literal_kind(module: Module, node: ast.expr) -> str | None:
    kind = _MUTABLE_LITERALS.get(type(node))
    if kind is None and isinstance(node, ast.Call):
        name = module.dotted(node.func)
        kind = name.removeprefix("builtins.") if name in ("builtins.dict", "builtins.list", "builtins.set") else None
    return kind


def _has_items(node: ast.Call | ast.Dict | ast.List) -> bool:
    match node:
        case ast.Call(args=given, keywords=named):
            return bool(given or named)
        case ast.Dict(values=items) | ast.List(elts=items):
            return bool(items)


def _undeclared(contract: Contract, info: ClassInfo) -> Iterator[tuple[Module, Fault]]:
    if contract.unknown_bases(info, PLAIN_BASES):
        return
    known = {*fields(contract, info), *class_names(contract, info)}
    if known & {"__setattr__", "__getattr__", "__getattribute__", "__slots__"}:
        return
    for one in (info, *contract.bases(info)):
        for name, target, _ in _self_assignments(one):
            if name not in known and not name.startswith("__"):
                known.add(name)
                message = (
                    f"`{name}` is no field of the contract, so what is assigned to it is forgotten when the call ends"
                )
                yield one.module, fault(UNDECLARED, target, message, f"Write `{name}: TYPE` in the body of the class.")


def _self_assignments(info: ClassInfo) -> Iterator[tuple[str, ast.Attribute, ast.expr]]:
    """Name, target and value of every ``self.name = value`` in the methods of a class."""
    module = info.module
    for method in methods(info.node):
        own = self_name(module, method)
        for part in ast.walk(method):
            match part:
                case ast.Assign(targets=targets, value=value):
                    pass
                case ast.AnnAssign(target=annotated, value=ast.expr() as value):
                    targets = [annotated]
                case _:
                    continue
            for target in targets:
                match target:
                    case ast.Attribute(value=ast.Name(id=owner) as named, attr=name) if owner == own:
                        if module.binder(named, own) is method:  # not the `self` of a class in the method
                            yield name, target, value


def _constructions(module: Module) -> Iterator[Fault]:
    for node in module.nodes:
        if isinstance(node, ast.Call):
            func = node.func.value if isinstance(node.func, ast.Subscript) else node.func
            name = module.dotted(func)
            if name in CONTAINERS | {"gl.storage.Indirection", "gl.storage.VLA"}:
                yield fault(CONSTRUCTED, node, f"a `{name.split('.')[-1]}` cannot be constructed")


def _numpy(module: Module, holders: list[ClassInfo]) -> Iterator[Fault]:
    uses = any(
        module.dotted(part).startswith("numpy.")
        for info in holders
        for field in own_fields(info)
        for part in ast.walk(field.annotation)
    )
    imports = [node for node in module.tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    genlayer = next((node for node in imports if _imports(node, "genlayer")), None)
    numpy = next((node for node in imports if _imports(node, "numpy")), None)
    if uses and genlayer and numpy and numpy.lineno > genlayer.lineno:
        yield fault(
            NUMPY_LATE, numpy, "numpy is imported after genlayer", "Move this line above the import of genlayer."
        )


def _imports(node: ast.Import | ast.ImportFrom, package: str) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name.split(".")[0] == package for alias in node.names)
    return not node.level and (node.module or "").split(".")[0] == package


def _brackets(name: str) -> str:
    return {
        "DynArray": "Write `DynArray[T]`.",
        "TreeMap": "Write `TreeMap[K, V]`.",
        "Array": "Write `Array[T, typing.Literal[n]]`.",
    }[name]
