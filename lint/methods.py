"""GL4xx: public methods, and the types by which callers know them (spec sdk/01 §3.1, sdk/03 §4)."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from pygenvm.lint.annotations import (
    CONTAINERS,
    StorageTypes,
    arguments,
    decorators,
    fields,
    is_dataclass,
    is_enum,
    own_fields,
    self_name,
    unquoted,
)
from pygenvm.lint.calls import is_plain
from pygenvm.lint.model import Fault, Rules, fault
from pygenvm.lint.names import HOOKS, PLAIN_BASES
from pygenvm.lint.publicity import Publicity, of_method, publicity
from pygenvm.lint.source import ClassInfo, Contract, Method, Module, methods, parameters, shown

RULES = Rules("Public methods")

NO_PARAMETER_TYPE = RULES.warning(
    "GL401", "a parameter of a public method has no type, so callers see `any`", "Annotate it."
)
NO_RETURN_TYPE = RULES.warning(
    "GL402", "a public method does not say what it returns, so callers see `any`", "Annotate it; `-> None` for nothing."
)
NO_SCHEMA_TYPE = RULES.error(
    "GL403",
    "a type that callers cannot be told, so the contract has no schema",
    "Use bool, int, str, bytes, Address, None, list, dict[str, …], tuple, a dataclass, or `typing.Any`.",
)
DICT_KEY = RULES.error("GL404", "a map of calldata has other keys than strings", "Write `dict[str, …]`.")
FLOAT = RULES.error("GL405", "calldata has no fractions", "Use an integer of a small unit, such as cents, or a `str`.")
VARIADIC = RULES.error(
    "GL406", "a public method takes `*args` or `**kwargs`, so the contract has no schema", "Take a `list` or a `dict`."
)
NO_SELF = RULES.error("GL407", "the first parameter of a method is not `self`", "Call it `self`.")
VIEW_WRITES = RULES.error("GL408", "a view changes storage", "Make it `@gl.public.write`.")
WRONG_DECORATOR = RULES.error(
    "GL409",
    "there is no such decorator",
    "There are `@gl.public.view`, `@gl.public.write`, `@gl.public.write.payable` and `@gl.public.write.min_gas(…)`.",
)
PROPERTY = RULES.error("GL410", "a property cannot be public", "Make it a method.")
BARE_PUBLIC = RULES.error(
    "GL411", "`@gl.public` alone is no decorator", "Write `@gl.public.view` or `@gl.public.write`."
)
ASYNC = RULES.error("GL412", "a public method is `async`: its result would be a coroutine", "Take `async` away.")
HIDDEN_TYPE = RULES.error(
    "GL413",
    "a method has the name of a type that annotations below it use",
    "Move the method to the end of the class, or give it another name.",
)
NOT_CALLABLE = RULES.warning(
    "GL414",
    "a method is not public, and nothing in the contract calls it",
    "Put `@gl.public.view` or `@gl.public.write` above it, or begin its name with `_`.",
)

_MUTATORS = frozenset(
    {"append", "append_new_get", "clear", "compute_if_absent", "extend", "get_or_insert_default", "insert", "pop"}
) | {"popitem", "remove", "reverse", "setdefault", "truncate", "update", "set"}
#: Those that change nothing where the key is there.
_IF_ABSENT = frozenset({"compute_if_absent", "get_or_insert_default", "setdefault"})
_KNOWN = frozenset({"builtins.bool", "builtins.int", "builtins.str", "builtins.bytes", "Address", "typing.Any"})
_MAPS = frozenset({"builtins.dict", "typing.Dict", "typing.Mapping", "typing.MutableMapping", "TreeMap"})
_LISTS = frozenset({"builtins.list", "typing.List", "typing.Sequence", "typing.MutableSequence", "DynArray"})
_TUPLES = frozenset({"builtins.tuple", "typing.Tuple"})
_UNIONS = frozenset({"typing.Union", "typing.Optional"})
_NEVER = {
    "builtins.set": "a list",
    "builtins.frozenset": "a list",
    "typing.Set": "a list",
    "typing.FrozenSet": "a list",
    "typing.Iterable": "a list",
    "typing.Iterator": "a list",
    "typing.Generator": "a list",
    "builtins.object": "`typing.Any`",
    "builtins.complex": "two integers",
    "builtins.type": "its name as a `str`",
    "typing.Callable": "the name of a method as a `str`",
    "datetime.datetime": "its `isoformat()` as a `str`",
    "datetime.date": "its `isoformat()` as a `str`",
    "datetime.time": "its `isoformat()` as a `str`",
    "datetime.timedelta": "its seconds as an `int`",
    "decimal.Decimal": "its text as a `str`",
    "fractions.Fraction": "its text as a `str`",
    "uuid.UUID": "its `hex` as a `str`",
    "typing.Annotated": "the type alone",
    "Array": "a list",
}


def check(contract: Contract) -> Iterator[tuple[Module, Fault]]:
    """Everything about single public methods, and the constructor."""
    seen: set[ast.ClassDef] = set()
    for info in contract.contract_classes:
        types = StorageTypes(contract, info)
        for one in (info, *contract.bases(info)):
            if one.node not in seen:
                seen.add(one.node)
                for method in methods(one.node):
                    for found in _method(contract, one.module, method, types):
                        yield one.module, found
                    if found_ := _not_callable(contract, one.module, method, types):
                        yield one.module, found_
    for module in contract.modules:
        for found in _hidden_types(module, seen):
            yield module, found


def _method(
    contract: Contract, module: Module, method: ast.FunctionDef | ast.AsyncFunctionDef, types: StorageTypes
) -> Iterator[Fault]:
    mark = of_method(module, method)
    yield from _decorators(module, method)
    names = decorators(module, method)
    if "builtins.staticmethod" in names or "builtins.classmethod" in names or "builtins.property" in names:
        return
    is_init = method.name == "__init__"
    if mark not in (Publicity.VIEW, Publicity.WRITE) and not is_init:
        return
    if isinstance(method, ast.AsyncFunctionDef):
        yield fault(ASYNC, method, f"`{method.name}` is `async`: callers would get a coroutine")
    positional = [*method.args.posonlyargs, *method.args.args]
    if not positional or positional[0].arg != "self":
        where: ast.AST = positional[0] if positional else method
        yield fault(NO_SELF, where, f"the first parameter of `{method.name}` must be called `self`")
        return
    if mark is Publicity.VIEW:
        yield from _writes(module, method, types, "self")
    if method.name in HOOKS:
        return
    yield from _signature(contract, module, method, is_init=is_init)


def _decorators(module: Module, method: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Fault]:
    names = decorators(module, method)
    for item in method.decorator_list:
        mark = publicity(module, item)
        if mark is Publicity.BARE:
            yield fault(BARE_PUBLIC, item, "`@gl.public` alone makes nothing public")
        elif mark is Publicity.WRONG:
            name = shown(item)
            fix = None
            if name == "gl.public.view.payable":
                fix = "A view is no transaction and gets no value: write `@gl.public.write.payable`."
            elif module.dotted(item.func if isinstance(item, ast.Call) else item) in (
                "gl.public.view",
                "gl.public.write",
                "gl.public.write.payable",
            ):
                fix = "Take the parentheses away."
            yield fault(WRONG_DECORATOR, item, f"`@{name}` is no decorator of methods", fix)
        elif mark and ("builtins.property" in names or "functools.cached_property" in names):
            yield fault(PROPERTY, item, f"`{method.name}` is a property, which cannot be public")


def _signature(
    contract: Contract, module: Module, method: ast.FunctionDef | ast.AsyncFunctionDef, *, is_init: bool
) -> Iterator[Fault]:
    for star, extra in (("*", method.args.vararg), ("**", method.args.kwarg)):
        if extra:
            yield fault(VARIADIC, extra, f"`{method.name}` takes `{star}{extra.arg}`, which has no place in a schema")
    checker = _Types(contract, module)
    for parameter in parameters(method)[1:]:
        if parameter.annotation is None:
            message = f"parameter `{parameter.arg}` of `{method.name}` has no type, so callers see `any`"
            yield fault(NO_PARAMETER_TYPE, parameter, message, f"Write `{parameter.arg}: TYPE`.")
        else:
            yield from checker.faults(parameter.annotation)
    if is_init:
        return
    if method.returns is None:
        message = f"`{method.name}` does not say what it returns, so callers see `any`"
        fix = None if _returned(module, method) else "It returns nothing: write `-> None`."
        yield fault(NO_RETURN_TYPE, method, message, fix)
    else:
        yield from checker.faults(method.returns)
    for value in _returned(module, method):
        yield from _floats(module, value)


def _returned(module: Module, method: Method) -> list[ast.expr]:
    nodes = module.scope(method).nodes
    return [node.value for node in nodes if isinstance(node, ast.Return) and node.value is not None]


def _floats(module: Module, node: ast.expr) -> Iterator[Fault]:
    """Floats in a returned value, as far as one sees them."""
    match node:
        case ast.Constant(value=float()):
            yield fault(FLOAT, node, f"`{shown(node)}` is a float, which cannot be returned")
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            yield from _floats(module, operand)
        case ast.Call(func=func) if module.dotted(func) == "builtins.float":
            yield fault(FLOAT, node, "a float cannot be returned")
        case ast.List(elts=items) | ast.Tuple(elts=items):
            for item in items:
                yield from _floats(module, item)
        case ast.Dict(values=items):
            for item in items:
                yield from _floats(module, item)
        case ast.IfExp(body=one, orelse=other):
            yield from _floats(module, one)
            yield from _floats(module, other)


def _writes(module: Module, method: Method, types: StorageTypes, self_name: str) -> Iterator[Fault]:
    reported: set[str] = set()
    for node in module.scope(method).nodes:
        rule = VIEW_WRITES
        match node:
            case ast.Assign(targets=targets) | ast.Delete(targets=targets):
                pass
            case ast.AugAssign(target=changed) | ast.AnnAssign(target=changed):
                targets = [changed]
            case ast.Call(func=ast.Attribute(value=owner, attr=name)) if name in _MUTATORS and _is_container(
                owner, types, self_name
            ):
                targets = [node.func]
                rule = VIEW_WRITES.as_warning if name in _IF_ABSENT else VIEW_WRITES
            case _:
                continue
        for target in targets:
            name = _field_of(target, self_name)
            if name in types.fields and name not in reported:
                reported.add(name)
                message = f"the view `{method.name}` changes the field `{name}`, which the VM refuses (`6: forbidden`)"
                if rule is not VIEW_WRITES:
                    message = f"the view `{method.name}` changes the field `{name}` if the key is not there, which"
                    message += " the VM refuses (`6: forbidden`)"
                yield fault(rule, target, message)


def _not_callable(contract: Contract, module: Module, method: Method, types: StorageTypes) -> Fault | None:
    """A method that looks public and is not."""
    if method.name.startswith("_") or not contract.is_uncalled(module, method):
        return None
    if contract.unknown_bases(types.info, PLAIN_BASES):
        return None
    writes = next(_writes(module, method, types, self_name(module, method)), None)
    fix = f"Put `@gl.public.{'write' if writes else 'view'}` above it, or begin its name with `_`."
    message = f"`{method.name}` has no decorator that makes it public, so nobody can call it"
    return fault(NOT_CALLABLE, method, message, fix)


def _hidden_types(module: Module, contracts: set[ast.ClassDef]) -> Iterator[Fault]:
    """Types in annotations that are methods at that place; ``contracts`` are contract classes and their mix-ins."""
    names = {
        node: {method.name for method in methods(node) if _is_no_type(module, method)}
        for node in module.nodes
        if isinstance(node, ast.ClassDef)
    }
    if module.annotations_are_texts:
        yield from _hidden_in_texts(module, {node: names[node] for node in names if node in contracts})
        return
    for node in module.nodes:
        if not isinstance(node, ast.Name) or not (around := module.hidden_by(node)) or not module.meaning(node.id):
            continue
        if node.id not in names[around]:
            continue
        parent = module.parents[node]
        if isinstance(parent, ast.Subscript) and parent.value is node:
            says = f"`{node.id}` is the method above here, so `{shown(parent)}` fails when the contract is loaded"
        elif around in contracts and _is_read(module, node):
            says = f"`{node.id}` is the method above here, which is no type"
        else:
            continue
        yield fault(HIDDEN_TYPE, node, says)


def _is_no_type(module: Module, method: Method) -> bool:
    """Whether what the method is in its class can certainly not stand for a type."""
    return is_plain(module, method) or "builtins.property" in decorators(module, method)


def _hidden_in_texts(module: Module, contracts: Mapping[ast.ClassDef, set[str]]) -> Iterator[Fault]:
    """Types of fields that are evaluated when the class is there, its methods included, which come before built-ins."""
    for info, names in ((ClassInfo(node, module), names) for node, names in contracts.items()):
        for field in own_fields(info):
            for part in ast.walk(field.annotation):
                if isinstance(part, ast.Name) and part.id in names and module.meaning(part.id).startswith("builtins."):
                    message = f"`{part.id}` is a method of `{info.node.name}`, which is no type"
                    yield fault(HIDDEN_TYPE, part, message, "Give the method another name.")


def _is_read(module: Module, node: ast.AST) -> bool:
    """Whether the annotation that the node is a part of is looked at: a field's, or a public method's."""
    inner: ast.AST = node
    while isinstance(parent := module.parents[inner], ast.Subscript | ast.Tuple | ast.BinOp):
        inner = parent
    if isinstance(parent, ast.AnnAssign):
        return inner is parent.annotation
    method = parent
    if isinstance(parent, ast.arg) and inner is parent.annotation:
        method = module.parents[module.parents[parent]]
    elif not isinstance(parent, Method) or inner is not parent.returns:
        return False
    return isinstance(method, Method) and of_method(module, method) in (Publicity.VIEW, Publicity.WRITE)


def _is_container(node: ast.expr, types: StorageTypes, self_name: str) -> bool:
    found = types.type_of(node, self_name)
    if found is None:
        return False
    outer = found[0].value if isinstance(found[0], ast.Subscript) else found[0]
    return found[1].dotted(outer) in CONTAINERS


def _field_of(node: ast.AST, self_name: str) -> str:
    """``a`` of ``self.a``, ``self.a[…].b``, ``self.a.get(…).b``."""
    while True:
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if name == self_name:
                return attr
            case ast.Attribute(value=inner) | ast.Subscript(value=inner) | ast.Call(func=inner):
                node = inner
            case _:
                return ""


class _Types:
    """Checks the type of a parameter or result."""

    def __init__(self, contract: Contract, module: Module) -> None:
        self.contract = contract
        self.module = module
        self._inside: list[ast.ClassDef] = []

    def faults(self, node: ast.expr) -> Iterator[Fault]:
        node = unquoted(node)
        match node:
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                yield from self.faults(left)
                yield from self.faults(right)
            case ast.Subscript(value=value):
                yield from self._generic(node, self.module.dotted(value), arguments(node))
            case ast.Name() | ast.Attribute():
                yield from self._plain(node, self.module.dotted(node))

    def _generic(self, node: ast.Subscript, name: str, given: list[ast.expr]) -> Iterator[Fault]:
        if name in _MAPS and len(given) == 2:
            if self.module.dotted(given[0]) not in ("builtins.str", ""):
                message = f"keys of calldata are strings, not `{shown(given[0])}`"
                yield fault(DICT_KEY, given[0], message, f"Write `dict[str, {shown(given[1])}]`.")
            yield from self.faults(given[1])
        elif name in _LISTS | _TUPLES | _UNIONS:
            for item in given:
                yield from self.faults(item)
        elif name in _NEVER:
            yield self._unsupported(node, name)
        elif (record := self.contract.resolve_class(self.module, node.value)) and is_dataclass(record):
            message = f"`{shown(node)}` is a generic dataclass, which callers cannot be told"
            yield fault(NO_SCHEMA_TYPE, node, message, "Write a dataclass without type parameters.")

    def _plain(self, node: ast.expr, name: str) -> Iterator[Fault]:
        if name == "builtins.float":
            yield fault(FLOAT, node, "a `float` can neither be passed nor returned")
        elif name in _NEVER:
            yield self._unsupported(node, name)
        elif name not in _KNOWN and (record := self.contract.resolve_class(self.module, node)):
            yield from self._record(node, record)

    def _record(self, node: ast.expr, record: ClassInfo) -> Iterator[Fault]:
        name = record.node.name
        if is_enum(self.contract, record):
            message = f"the enumeration `{name}` can neither be passed nor returned"
            yield fault(NO_SCHEMA_TYPE, node, message, f"Take and return `{name}.value` with its type, `int` or `str`.")
        elif is_dataclass(record):
            if record.node in self._inside:
                return
            inner = _Types(self.contract, record.module)
            inner._inside = [*self._inside, record.node]
            for field in fields(self.contract, record).values():
                for rule, _, message, fix in inner.faults(field.annotation):
                    yield fault(rule, node, f"field `{field.name}` of `{name}`: {message}", fix)
        elif not (record.node.bases or record.node.keywords or record.node.decorator_list):
            message = f"the class `{name}` is no dataclass, so it can neither be passed nor returned"
            yield fault(NO_SCHEMA_TYPE, node, message, f"Put `@dataclass` above `{name}`, or return a `dict[str, …]`.")

    def _unsupported(self, node: ast.expr, name: str) -> Fault:
        fix = f"Use {_NEVER[name]} instead."
        return fault(NO_SCHEMA_TYPE, node, f"`{shown(node)}` can neither be passed nor returned", fix)
