"""GL3xx: fields of contracts and of records in storage (spec sdk/02)."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pygenvm.lint.annotations import (
    CONTAINERS,
    DATACLASS,
    SCALARS,
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
from pygenvm.lint.source import ClassInfo, Contract, Method, Module, Runs, methods, shown
from pygenvm.lint.stored import records_in, storage_classes

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
ARRAY_SIZE = RULES.error(
    "GL307", "the length of an `Array` is no literal number from 0 on", "Write `Array[T, typing.Literal[n]]`."
)
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
    "a `DynArray`, `Array`, `VLA` or `Indirection` cannot be constructed",
    "Leave it out: fields are there, and empty, from the start. In memory: `gl.storage.inmem_allocate(TYPE)`.",
)
UNDECLARED = RULES.warning(
    "GL313",
    "an attribute that is no field is forgotten when the call ends",
    "Declare it in the class body with its type.",
)
NUMPY_LATE = RULES.warning(
    "GL314",
    "numpy is imported after genlayer, which may not know its types then",
    "Import numpy above genlayer, below the header.",
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
#: What raises when it is called; `TreeMap()` gives an empty map in memory.
_NOT_CONSTRUCTED = frozenset({"DynArray", "Array", "gl.storage.Indirection", "gl.storage.VLA"})
_ALLOW = "allow_storage"
#: Stands for a class that is to be written.
_RECORD_NAME = "R"
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
    holders = list(storage_classes(contract))
    circles = _circles(contract, (info for info, _ in holders))
    parts = {one.node for info in contract.contract_classes for one in (info, *contract.bases(info))}
    at_first = _assigned_at_first(contract.contract_classes, contract)
    for info, built in holders:
        layout = (
            found for field in own_fields(info) for found in _Types(contract, info.module).faults(field.annotation)
        )
        for rule, where, message, fix in (*layout, *_recursion(contract, info, circles)):
            yield info.module, (rule if built else rule.as_warning, where, message, fix)
        assigned = at_first if info.node in parts else None
        for found in (*_defaults(contract, info, assigned), *_order(info), *_assignments(contract, info)):
            yield info.module, found
    for info in contract.contract_classes:
        yield from _undeclared(contract, info)
    for module in contract.modules:
        for found in _constructions(contract, module):
            yield module, found
        for found in _numpy(module, [info for info, _ in holders if info.module is module]):
            yield module, found


class _Types:
    """Checks types of what is stored."""

    def __init__(self, contract: Contract, module: Module) -> None:
        self.contract = contract
        self.module = module

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
            yield self._container(node)
            # What the container holds has to be storable too, but for what the fix has converted.
            for item in given:
                yield from (found for found in self.faults(item) if found[0] not in (CONTAINER, PLAIN_INT))
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
            yield self._container(node)
        elif name in ("typing.Optional", "typing.Union"):
            yield self._optional(node)
        elif name in _NO_LAYOUT:
            yield self._no_layout(node, name)
        elif name not in SCALARS:
            record = self.contract.resolve_class(self.module, node)
            if record:
                yield from self._record(node, record)

    def _container(self, node: ast.expr) -> Fault:
        python, _ = _CONTAINERS[self.module.dotted(node.value if isinstance(node, ast.Subscript) else node)]
        stored, classes = self._stored(node)
        fix = f"Write `{stored}`."
        if stored.startswith("TreeMap") and stored.endswith(", None]"):
            fix = f"Write `{stored}`: a map without values is a set."
        if stored == _RECORD_NAME:
            fix = "Write a class for it"
            fix += ", with `@allow_storage` and `@dataclass` above, or `Array[T, typing.Literal[n]]`."
        elif classes:
            fix += f" `{_RECORD_NAME}` is a class for `{classes[0]}`, with `@allow_storage` and `@dataclass` above."
        return fault(CONTAINER, node, f"a `{python}` cannot be stored", fix)

    def _stored(self, node: ast.expr) -> tuple[str, list[str]]:
        """How to write a type so that it can be stored, and tuples in it that need a class."""
        node = unquoted(node)
        name = self.module.dotted(node.value if isinstance(node, ast.Subscript) else node)
        given = arguments(node) if isinstance(node, ast.Subscript) else []
        kind = _CONTAINERS.get(name, ("", name if name in CONTAINERS else ""))[1]
        classes: list[str] = []

        def stored(item: ast.expr) -> str:
            text, more = self._stored(item)
            classes.extend(more)
            return text

        if name == "builtins.int":
            return "bigint", []
        if kind == "a record":
            if len(given) == 2 and isinstance(given[1], ast.Constant) and given[1].value is ...:
                return f"DynArray[{stored(given[0])}]", classes
            return _RECORD_NAME, [shown(node)]
        if kind == "DynArray":
            return f"DynArray[{stored(given[0]) if given else 'T'}]", classes
        if kind == "TreeMap":
            return f"TreeMap[{', '.join(map(stored, given)) if len(given) == 2 else 'K, V'}]", classes
        if kind == "a set":
            return f"TreeMap[{stored(given[0]) if given else 'T'}, None]", classes
        return shown(node), []

    def _no_layout(self, node: ast.expr, name: str) -> Fault:
        advice = _NO_LAYOUT[name]
        return fault(NO_LAYOUT, node, f"`{shown(node)}` cannot be stored", f"{advice[0].upper()}{advice[1:]}.")

    def _array(self, node: ast.Subscript, given: list[ast.expr]) -> Iterator[Fault]:
        if len(given) != 2:
            yield fault(BARE, node, "`Array` takes the type of its items and their number", _brackets("Array"))
        elif isinstance(given[1], ast.Constant):
            item = self._stored(given[0])[0]
            fix = f"Write `Array[{item}, typing.Literal[{shown(given[1])}]]`, and `import typing` above."
            yield fault(ARRAY_SIZE, given[1], "the number of items must be a `typing.Literal`", fix)
        elif self._is_literal(given[1]) and not self._is_number(given[1]):
            yield fault(ARRAY_SIZE, given[1], f"`{shown(given[1])}` is no number of items: one integer from 0 on")
        for item_type in given[:1]:
            yield from self.faults(item_type)

    def _record(self, node: ast.expr, record: ClassInfo) -> Iterator[Fault]:
        name = record.node.name
        if is_enum(self.contract, record):
            fix = f"Store `{name}.value` in a sized integer or a `str`, and make it `{name}(…)` again when you read it."
            yield fault(NO_LAYOUT, node, f"the enumeration `{name}` cannot be stored", fix)
        elif not self.contract.storage_marks.of(record) and not self.contract.unknown_bases(record, PLAIN_BASES):
            fix = f"Put `@allow_storage` above the class `{name}`" + (
                ", above `@dataclass`." if is_dataclass(record) else "."
            )
            yield fault(NOT_ALLOWED, node, f"the class `{name}` is not marked for storage", fix)

    def _is_literal(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Subscript) and self.module.dotted(node.value) == "typing.Literal"

    def _is_number(self, node: ast.expr) -> bool:
        """Whether that is what a literal holds, as far as one sees it."""
        match node:
            case ast.Subscript(slice=ast.Constant(value=value)):
                return isinstance(value, int) and not isinstance(value, bool)
            case ast.Subscript(slice=ast.UnaryOp() | ast.Tuple()):
                return False
        return True


def _defaults(contract: Contract, info: ClassInfo, assigned: frozenset[str] | None) -> Iterator[Fault]:
    """:param assigned: fields that constructors assign; None for a record, which has one of its own."""
    if is_dataclass(info):
        # There the default lives in the generated constructor.
        return
    lost = [field for field in own_fields(info) if field.value and not _is_zero(info.module, field.value)]
    if assigned is None:
        assigned = _assigned_at_first([info], contract) if lost else frozenset()
    for field in lost:
        if field.name in assigned:
            continue
        assert field.value is not None
        certain = isinstance(field.value, ast.Constant | ast.UnaryOp | ast.List | ast.Dict | ast.Tuple) or (
            isinstance(field.value, ast.Call) and info.module.dotted(field.value.func) in SCALARS
        )
        message = f"the default of `{field.name}` is lost: the field reads as zero until it is assigned"
        fix = f"Write `self.{field.name} = {shown(field.value)}` in `__init__`."
        if isinstance(field.value, ast.Dict):
            fix = f"Write `self.{field.name}.update({shown(field.value)})` in `__init__`."
        yield fault(LOST_DEFAULT if certain else LOST_DEFAULT.as_warning, field.value, message, fix)


def _assigned_at_first(classes: Sequence[ClassInfo], contract: Contract) -> frozenset[str]:
    """Fields that the constructors of the classes, and of their bases, certainly assign."""
    every = {one.node: one for info in classes for one in (info, *contract.bases(info))}
    return frozenset(
        name
        for one in every.values()
        for method, name, target, _ in _self_assignments(one)
        if method.name == "__init__" and one.module.runs(target) is Runs.CERTAINLY
    )


def _is_zero(module: Module, node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=value):
            return not value
        case ast.List(elts=[]) | ast.Dict(keys=[]) | ast.Tuple(elts=[]):
            return True
        case ast.Call(func=func, args=[given], keywords=[]) if module.dotted(func) == "Address":
            return _is_zero_address(module, given)
        case ast.Call(func=func, args=given, keywords=[]):
            name = module.dotted(func)
            if name in CONTAINERS or (isinstance(func, ast.Subscript) and module.dotted(func.value) in CONTAINERS):
                return True  # another rule's matter
            return name in SCALARS and all(_is_zero(module, item) for item in given)
    return False


def _is_zero_address(module: Module, given: ast.expr) -> bool:
    match given:
        case ast.Constant(value=str(text)):
            return not text.removeprefix("0x").strip("0")
        case ast.Constant(value=bytes(data)) | ast.BinOp(left=ast.Constant(value=bytes(data)), op=ast.Mult()):
            return not any(data)
        case ast.Call(func=func, args=[ast.Constant(value=int())], keywords=[]):
            return module.dotted(func) == "builtins.bytes"
    return False


def _order(info: ClassInfo) -> Iterator[Fault]:
    names = decorators(info.module, info.node)
    if _ALLOW in names and DATACLASS in names and names.index(_ALLOW) > names.index(DATACLASS):
        where = info.node.decorator_list[names.index(_ALLOW)]
        yield fault(DECORATOR_ORDER, where, "`@allow_storage` stands below `@dataclass`")


def _recursion(contract: Contract, info: ClassInfo, circles: Mapping[ast.ClassDef, int]) -> Iterator[Fault]:
    for field in own_fields(info):
        if any(circles.get(record.node) == circles[info.node] for record in records_in(contract, field)):
            yield fault(RECURSIVE, field.annotation, f"`{info.node.name}` contains itself, so its size is endless")


def _circles(contract: Contract, classes: Iterable[ClassInfo]) -> dict[ast.ClassDef, int]:
    """A number for each class, which it shares with those that contain it and that it contains (Tarjan)."""
    numbers: dict[ast.ClassDef, int] = {}
    lowest: dict[ast.ClassDef, int] = {}
    found: dict[ast.ClassDef, int] = {}
    open_: list[ast.ClassDef] = []
    for start in classes:
        waiting = [(start, iter(_contained(contract, start)))] if start.node not in numbers else []
        while waiting:
            info, inner = waiting[-1]
            if info.node not in numbers:
                numbers[info.node] = lowest[info.node] = len(numbers)
                open_.append(info.node)
            for record in inner:
                if record.node not in numbers:
                    waiting.append((record, iter(_contained(contract, record))))
                    break
                if record.node not in found:
                    lowest[info.node] = min(lowest[info.node], lowest[record.node])
            else:
                waiting.pop()
                if waiting:
                    outer = waiting[-1][0].node
                    lowest[outer] = min(lowest[outer], lowest[info.node])
                if lowest[info.node] == numbers[info.node]:
                    while info.node not in found:
                        found[open_.pop()] = numbers[info.node]
    return found


def _contained(contract: Contract, info: ClassInfo) -> Iterator[ClassInfo]:
    """Classes whose fields lie in those of this one, or are its own."""
    for base in info.node.bases:
        if inherited := contract.resolve_class(info.module, base):
            yield inherited
    for field in own_fields(info):
        yield from records_in(contract, field)


def _assignments(contract: Contract, info: ClassInfo) -> Iterator[Fault]:
    """``self.field = {…}`` where the field takes no such thing."""
    literal = [
        (target, name, given, value)
        for _, name, target, value in _self_assignments(info)
        if (given := _literal_kind(info.module, value))
    ]
    known = fields(contract, info) if literal else {}
    for target, name, given, value in literal:
        field = known.get(name)
        if field is None:
            continue
        outer = field.annotation.value if isinstance(field.annotation, ast.Subscript) else field.annotation
        kind = field.module.dotted(outer)
        if kind == "TreeMap" and given != "tuple":
            fix = f"Leave it out in `__init__`, elsewhere write `self.{name}.clear()`."
            if _has_items(value):
                fix = f"Write `self.{name}.update(…)`, after `self.{name}.clear()` if there may be something in it."
            yield fault(WRONG_VALUE, target, f"a `{given}` cannot be assigned to the `TreeMap` field `{name}`", fix)
        elif kind == "DynArray" and given in ("dict", "set") and _has_items(value):
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


def _has_items(node: ast.expr) -> bool:
    match node:
        case ast.Call(args=[], keywords=[]) | ast.Dict(values=[]) | ast.List(elts=[]):
            return False
    return True


def _undeclared(contract: Contract, info: ClassInfo) -> Iterator[tuple[Module, Fault]]:
    if contract.unknown_bases(info, PLAIN_BASES):
        return
    known = {*fields(contract, info), *class_names(contract, info)}
    if known & {"__setattr__", "__getattr__", "__getattribute__", "__slots__"}:
        return
    for one in (info, *contract.bases(info)):
        for _, name, target, _ in _self_assignments(one):
            if name not in known and not name.startswith("__"):
                known.add(name)
                message = (
                    f"`{name}` is no field of the contract, so what is assigned to it is forgotten when the call ends"
                )
                yield one.module, fault(UNDECLARED, target, message, f"Write `{name}: TYPE` in the body of the class.")


def _self_assignments(info: ClassInfo) -> Iterator[tuple[Method, str, ast.Attribute, ast.expr]]:
    """Method, name, target and value of every ``self.name = value`` in the methods of a class."""
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
                            yield method, name, target, value


def _constructions(contract: Contract, module: Module) -> Iterator[Fault]:
    for node in module.nodes:
        if isinstance(node, ast.Call):
            func = node.func.value if isinstance(node.func, ast.Subscript) else node.func
            name = module.dotted(func)
            if name in _NOT_CONSTRUCTED:
                yield fault(CONSTRUCTED, node, f"a `{name.split('.')[-1]}` cannot be constructed")
            elif name == "gl.storage.inmem_allocate" and node.args:
                yield from _Types(contract, module).faults(node.args[0])


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
            NUMPY_LATE,
            numpy,
            "numpy is imported after genlayer",
            "Move this line above the import of genlayer, and leave it below the header.",
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
