"""GL7xx: events, traces, and the version of the header that they need (spec sdk/01 §8, sdk/04 §9)."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from pygenvm.executor.primitives.abi import EVENT_MAX_TOPICS
from pygenvm.executor.runner.version import Version
from pygenvm.lint.annotations import own_fields
from pygenvm.lint.header import USUAL_VERSION
from pygenvm.lint.model import Fault, Rules, fault
from pygenvm.lint.source import ClassInfo, Contract, Module, methods, parameters, shown

RULES = Rules("Events and versions")

_EVENTS, _TRACE = Version(0, 1, 5), Version(0, 1, 10)
#: The first topic is the signature.
_INDEXED_MAX = EVENT_MAX_TOPICS - 1

EVENT_VERSION = RULES.error(
    "GL701", f"the header's version is too low for events: {_EVENTS} is needed", "Raise it in the first line."
)
TRACE_VERSION = RULES.error(
    "GL702", f"the header's version is too low for `gl.trace`: {_TRACE} is needed", "Raise it in the first line."
)
EVENT_SIGNATURE = RULES.error(
    "GL703",
    "an event's `__init__` is none that declares fields",
    "Write `def __init__(self, a: A, b: B, /, **blob: gl.calldata.Encodable): ...`.",
)
EVENT_ORDER = RULES.warning(
    "GL704",
    "the indexed fields of an event are not sorted: values go to the sorted names, not to those in the same place",
    "Sort the parameters before `/`, and the values with them.",
)
EVENT_INDEXED = RULES.error(
    "GL705",
    f"an event has more than {_INDEXED_MAX} indexed fields, so the VM refuses it",
    "Move some behind `/`, into the blob.",
)

_TRACES = frozenset({"gl.trace", "gl.trace_time_micro"})


def check(contract: Contract) -> Iterator[tuple[Module, Fault]]:
    """Everything about events, and what the version allows."""
    for module in contract.modules:
        for node in module.classes.values():
            info = ClassInfo(node, module)
            if contract.derives_from(info, "gl.Event"):
                for found in _declaration(contract, info):
                    yield module, found
        yield from _version(contract, module)


def _declaration(contract: Contract, info: ClassInfo) -> Iterator[Fault]:
    init = next((method for method in methods(info.node) if method.name == "__init__"), None)
    name = info.node.name
    if any(keyword.arg == "abstract" for keyword in info.node.keywords):
        return
    if init is None:
        declared = [field.name for field in own_fields(info)]
        yield fault(EVENT_SIGNATURE, info.node, f"the event `{name}` has no `__init__`", _write_init(info, declared))
        return
    given = init.args
    every = [*given.posonlyargs, *given.args]
    if not every or every[0].arg != "self":
        yield fault(EVENT_SIGNATURE, init, f"the first parameter of `{name}.__init__` must be `self`")
        return
    loose = given.args if given.posonlyargs else given.args[1:]
    fix = _write_init(info, [parameter.arg for parameter in (*every[1:], *given.kwonlyargs)])
    for parameter in loose[:1]:
        message = f"`{parameter.arg}` is neither indexed nor a part of the blob"
        yield fault(EVENT_SIGNATURE, parameter, message, fix)
    for extra in (given.vararg, *given.kwonlyargs):
        if extra:
            yield fault(EVENT_SIGNATURE, extra, f"`{extra.arg}` has no place in an event", fix)
    if loose:
        return
    indexed = given.posonlyargs[1:]
    names = [parameter.arg for parameter in indexed]
    if len(names) > _INDEXED_MAX:
        rule = EVENT_INDEXED if name in contract.mentioned else EVENT_INDEXED.as_warning
        yield fault(rule, indexed[_INDEXED_MAX], f"`{name}` has {len(names)} indexed fields")
    if names != sorted(names):
        wrong = next(item for item, right in zip(indexed, sorted(names), strict=True) if item.arg != right)
        message = f"`{name}(…)` gives its values to the sorted names ({', '.join(sorted(names))}), not in this order"
        yield fault(EVENT_ORDER, wrong, message)


def _write_init(info: ClassInfo, names: Sequence[str]) -> str | None:
    """How to declare an event of those fields: as many indexed as may be, in the order in which they get their values,
    the rest in the blob."""
    if not names:
        return None
    types = {field.name: shown(field.annotation) for field in own_fields(info)}
    for method in methods(info.node):
        if method.name == "__init__":
            types.update({item.arg: shown(item.annotation) for item in parameters(method) if item.annotation})
    indexed = sorted(names[:_INDEXED_MAX])
    given = ", ".join(["self", *(f"{name}: {types.get(name, 'TYPE')}" for name in indexed)])
    fix = f"Write `def __init__({given}, /, **blob: gl.calldata.Encodable): ...`."
    if others := names[_INDEXED_MAX:]:
        by_name = ", ".join(f"`{name}=…`" for name in others)
        fix += f" At most {_INDEXED_MAX} fields are indexed; give {by_name} by name."
    return fix


def _version(contract: Contract, module: Module) -> Iterator[tuple[Module, Fault]]:
    version = contract.version
    if version is None or version >= max(_EVENTS, _TRACE):
        return
    fix = f"Write `# {USUAL_VERSION}` as the first line of the file."
    for node in module.nodes:
        if not isinstance(node, ast.Call):
            continue
        name = module.dotted(node.func)
        if name in _TRACES and version < _TRACE:
            message = f"`{name}` needs version {_TRACE}, and the header asks for {version}"
            yield module, fault(TRACE_VERSION, node.func, message, fix)
        if version < _EVENTS and (name == "gl.advanced.emit_raw_event" or _emits(contract, module, node)):
            message = f"events need version {_EVENTS}, and the header asks for {version}"
            yield module, fault(EVENT_VERSION, node.func, message, fix)


def _emits(contract: Contract, module: Module, call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(value=ast.Call(func=made), attr="emit"):
            event = contract.resolve_class(module, made)
            return event is not None and contract.derives_from(event, "gl.Event")
    return False
