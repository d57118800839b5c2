"""GL317 to GL319: what fields are given (spec sdk/02 §2, §3.4, §5)."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pygenvm.lint.annotations import DATACLASS, Field, fields, is_dataclass, own_fields
from pygenvm.lint.kinds import kind_of, number_of
from pygenvm.lint.model import Fault, fault
from pygenvm.lint.names import INTEGERS, PLAIN_BASES
from pygenvm.lint.source import ClassInfo, Contract, Module, methods, shown
from pygenvm.lint.storage import RULES
from pygenvm.lint.stored import StoredMethod, storage_classes, stored_methods

WRONG_TYPE = RULES.error("GL317", "a field is given a value of a type that it does not take", "Convert the value.")
OUT_OF_RANGE = RULES.error(
    "GL318", "a number does not fit the integer type of its field", "Give the field a larger type, or `bigint`."
)
DATACLASS_ORDER = RULES.error(
    "GL319",
    "a field of a dataclass has no default and stands behind one that has",
    "Move it up, give it a default, or write `@dataclass(kw_only=True)`.",
)

#: Kinds of values that fields of a type take; a `bool` takes all, and another rule speaks of dicts, lists and sets for
#: containers.
_TAKES = {
    **dict.fromkeys(INTEGERS, frozenset({"int", "bool"})),
    "builtins.str": frozenset({"str"}),
    "builtins.bytes": frozenset({"bytes"}),
    "builtins.float": frozenset({"float", "int", "bool"}),
    "Address": frozenset({"Address"}),
    "datetime.datetime": frozenset({"datetime"}),
    "Array": frozenset({"list"}),
    "DynArray": frozenset({"list", "tuple", "str", "bytes", "dict", "set"}),
    "TreeMap": frozenset({"list", "dict", "set"}),
}
_RECORD_TAKES = frozenset({"dict"})
#: How to make a value of the field's type out of one of another kind.
_CONVERSIONS = {
    ("Address", "str"): "Write `Address({0})`.",
    ("Address", "bytes"): "Write `Address({0})`.",
    ("builtins.str", "Address"): "Write `{0}.as_hex`, or make the field an `Address`.",
    ("builtins.str", "bytes"): "Write `{0}.decode()`.",
    ("builtins.str", "int"): "Write `str({0})`.",
    ("builtins.str", "float"): "Write `str({0})`.",
    ("builtins.bytes", "str"): "Write `{0}.encode()`.",
    ("builtins.bytes", "Address"): "Write `{0}.as_bytes`.",
    ("datetime.datetime", "str"): "Write `datetime.datetime.fromisoformat({0})`.",
    ("Array", "tuple"): "Write a list.",
    ("TreeMap", "tuple"): "Change the field in place: `clear()`, `update(…)`.",
    **{(integer, "str"): "Write `int({0})`." for integer in INTEGERS},
    **{(integer, "float"): "Use an integer of a small unit, such as cents." for integer in INTEGERS},
}
_USUAL_BITS = (8, 16, 32, 64, 128, 256)


def check(contract: Contract) -> Iterator[tuple[Module, Fault]]:
    """Everything about values on their way into storage."""
    records = {
        info.node: fields(contract, info) if _has_usual_constructor(contract, info) else {}
        for info, built in storage_classes(contract)
        if built
    }
    for stored in stored_methods(contract):
        for found in _Values(contract, stored, records).faults():
            yield stored.module, found
    for module in contract.modules:
        for node in module.nodes:
            if isinstance(node, ast.ClassDef) and (found_ := _wrong_order(contract, ClassInfo(node, module))):
                yield module, found_


@dataclass(frozen=True)
class _Place:
    """Something that is given a value: its type, the module that knows the names in that, and what it is called."""

    annotation: ast.expr
    module: Module
    name: ast.expr | str

    @property
    def type(self) -> str:
        outer = self.annotation.value if isinstance(self.annotation, ast.Subscript) else self.annotation
        return self.module.dotted(outer)

    def __str__(self) -> str:
        return self.name if isinstance(self.name, str) else shown(self.name)


class _Values:
    """What one method gives to fields, items, and parameters of records."""

    def __init__(
        self, contract: Contract, stored: StoredMethod, records: Mapping[ast.ClassDef, Mapping[str, Field]]
    ) -> None:
        """:param records: the classes in storage, and the parameters of their constructors as far as they are known."""
        self.contract = contract
        self.module = stored.module
        self.scope = stored.scope
        self.stored = stored
        self.records = records

    def faults(self) -> Iterator[Fault]:
        for node in self.scope.nodes:
            match node:
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        yield from self._put(self._place(target), value)
                case ast.AnnAssign(target=target, value=ast.expr() as value):
                    yield from self._put(self._place(target), value)
                case ast.AugAssign(target=target, op=op, value=value):
                    yield from self._change(self._place(target), op, value)
                case ast.Call(func=ast.Attribute(value=owner, attr="append"), args=[value], keywords=[]):
                    yield from self._put(self._item(owner, "DynArray"), value)
                case ast.Call(func=ast.Attribute(value=owner, attr="insert"), args=[_, value], keywords=[]):
                    yield from self._put(self._item(owner, "DynArray"), value)
                case ast.Call(func=ast.Attribute(value=owner, attr="setdefault"), args=[_, value], keywords=[]):
                    yield from self._put(self._item(owner, "TreeMap"), value)
                case ast.Call(func=ast.Name()):
                    yield from self._construct(node)

    def _place(self, target: ast.expr) -> _Place | None:
        if not isinstance(target, ast.Attribute | ast.Subscript):
            return None
        found = self.stored.type_of(target)
        return _Place(*found, target) if found else None

    def _item(self, owner: ast.expr, kind: str) -> _Place | None:
        """What an item of that kind of container is."""
        found = self.stored.type_of(owner)
        if found is None or _Place(*found, owner).type != kind:
            return None
        item = self.stored.types.item_of(found)
        return _Place(*item, ast.Subscript(owner, ast.Constant(...), ast.Load())) if item else None

    def _construct(self, call: ast.Call) -> Iterator[Fault]:
        """Arguments of ``Record(…)``, which lies in memory as it would in storage."""
        info = self.contract.resolve_class(self.module, call.func)
        if info is None or info.node not in self.records:
            return
        known = self.records[info.node]
        given = dict(zip(known, call.args, strict=False))
        if any(isinstance(item, ast.Starred) for item in call.args):
            given = {}
        given |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg and keyword.arg in known}
        for name, value in given.items():
            field = known[name]
            yield from self._put(_Place(field.annotation, field.module, f"{info.node.name}.{name}"), value)

    def _put(self, place: _Place | None, value: ast.expr) -> Iterator[Fault]:
        takes = self._takes(place) if place else None
        if place is None or takes is None:
            return
        kind = kind_of(self.module, self.scope, value)
        if kind and kind not in takes:
            yield _wrong_type(place, value, kind)
        elif place.type in INTEGERS and place.type != "bigint":
            number = number_of(self.module, self.scope, value)
            if number is not None and not _fits(number, place.type):
                message = f"`{shown(value)}` does not fit `{place}`, which is a `{place.type}`"
                fix = f"Give the field the type `{_type_for(number)}`, or another value."
                yield fault(OUT_OF_RANGE, value, message, fix)

    def _change(self, place: _Place | None, op: ast.operator, value: ast.expr) -> Iterator[Fault]:
        """``self.total /= 2``: an integer becomes a float."""
        if place and place.type in INTEGERS:
            kind = kind_of(self.module, self.scope, value)
            if isinstance(op, ast.Div) and kind in ("int", "float", "bool", ""):
                yield _wrong_type(place, value, "float", "Write `//=`, which rounds down.")
            elif kind == "float":
                yield _wrong_type(place, value, "float")

    def _takes(self, place: _Place) -> frozenset[str] | None:
        """Kinds of values that certainly fit; None if nothing is known of the type."""
        if place.type in _TAKES:
            return _TAKES[place.type]
        info = self.contract.resolve_class(place.module, place.annotation)
        return _RECORD_TAKES if info and info.node in self.records else None


def _wrong_type(place: _Place, value: ast.expr, kind: str, fix: str | None = None) -> Fault:
    given = "None" if kind == "None" else _a(kind)
    message = f"`{place}` is {_a(shown(place.annotation))} and is given {given}"
    if fix is None and kind == "None":
        fix = "Leave it out in `__init__`: it reads as zero, or empty, from the start. Let that mean `none`."
    elif fix is None and place.type in INTEGERS and _is_division(value):
        fix = "Write `//`, which rounds down."
    elif fix is None and (place.type, kind) in _CONVERSIONS:
        fix = _CONVERSIONS[place.type, kind].replace("{0}", shown(value))
    elif fix is None and place.type not in _TAKES:
        fix = f"Assign a `{shown(place.annotation)}(…)`."
    return fault(WRONG_TYPE, value, message, fix)


def _a(name: str) -> str:
    return f"{'an' if name[0] in 'Ai' else 'a'} `{name}`"


def _is_division(node: ast.expr) -> bool:
    while isinstance(node, ast.Call) and len(node.args) == 1:
        node = node.args[0]
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)


def _fits(number: int, integer: str) -> bool:
    bits = int(integer[1:])
    low, high = (0, 1 << bits) if integer[0] == "u" else (-(1 << bits - 1), 1 << bits - 1)
    return low <= number < high


def _type_for(number: int) -> str:
    """The smallest usual type that the number fits."""
    usual = [f"{'i' if number < 0 else 'u'}{bits}" for bits in _USUAL_BITS]
    return next((integer for integer in usual if _fits(number, integer)), "bigint")


# --- dataclasses ----------------------------------------------------------------------------------


def _wrong_order(contract: Contract, info: ClassInfo) -> Fault | None:
    if not _has_usual_constructor(contract, info):
        return None
    ordered: dict[str, Field] = {}
    for one in reversed([info, *contract.bases(info)]):
        if is_dataclass(one):
            ordered.update({field.name: field for field in own_fields(one)})
    behind = ""
    for field in ordered.values():
        if _has_default(info, contract.bases(info), field):
            behind = field.name
        elif behind:
            if field.module is not info.module or field.node not in info.node.body:
                return None
            message = f"`{field.name}` has no default and stands behind `{behind}`, which has one (`TypeError`)"
            fix = f"Move it above `{behind}`, give it a default, or write `@dataclass(kw_only=True)`."
            return fault(DATACLASS_ORDER, field.node, message, fix)
    return None


def _has_usual_constructor(contract: Contract, info: ClassInfo) -> bool:
    """Whether it is a dataclass whose fields, in their order, certainly are the parameters of its constructor."""
    if not is_dataclass(info) or contract.unknown_bases(info, PLAIN_BASES):
        return False
    for one in (info, *contract.bases(info)):
        given = [item for item in one.node.decorator_list if isinstance(item, ast.Call)]
        made = [item for item in given if one.module.dotted(item.func) == DATACLASS]
        if any(keyword.arg in ("kw_only", "init", None) for item in made for keyword in item.keywords):
            return False
        if any(method.name == "__init__" for method in methods(one.node)):
            return False
        if not all(_is_parameter(field) for field in own_fields(one)):
            return False
    return True


def _is_parameter(field: Field) -> bool:
    if field.module.dotted(field.annotation) == "dataclasses.KW_ONLY":
        return False
    given = _field_arguments(field)
    return given is None or not given & {"init", "kw_only", None}


def _has_default(info: ClassInfo, bases: Sequence[ClassInfo], field: Field) -> bool:
    given = _field_arguments(field)
    if any(one.module.binds_in_class(one.node, field.name) for one in (info, *bases)) and field.value is None:
        return True  # given apart from its type
    return field.value is not None if given is None else bool(given & {"default", "default_factory"})


def _field_arguments(field: Field) -> set[str | None] | None:
    """What ``dataclasses.field(…)`` is given, if it is called."""
    if isinstance(field.value, ast.Call) and field.module.dotted(field.value.func) == "dataclasses.field":
        return {keyword.arg for keyword in field.value.keywords}
    return None
