"""GL5xx: language models, the web and sandboxes: what may run where (spec sdk/01 §3.6, sdk/04 §1-§5)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from localnet.lint.annotations import StorageTypes
from localnet.lint.calls import Calls, HandedOver, Role, Unit
from localnet.lint.model import Fault, Rules, fault
from localnet.lint.names import BLOCKS, HOOKS, SANDBOX
from localnet.lint.publicity import Publicity, of_method
from localnet.lint.source import (
    ClassInfo,
    Contract,
    FunctionNode,
    Module,
    bound_in,
    methods,
    own_nodes,
    parameters,
    shown,
)

RULES = Rules("Non-determinism")

OUTSIDE_BLOCK = RULES.error(
    "GL501",
    "a language model or the web is used outside of a non-deterministic block",
    "Put it into a function that you give to `gl.eq_principle.strict_eq(…)`, or another one, or `gl.vm.run_nondet(…)`.",
)
STORAGE_IN_BLOCK = RULES.error(
    "GL502",
    "storage is used in a function that runs in a VM of its own",
    "Read it before, into a local variable; a record or container with `gl.storage.copy_to_memory(…)` or `list(…)`.",
)
SELF_IN_BLOCK = RULES.warning(
    "GL503",
    "`self` is used in a function that runs in a VM of its own, where its storage cannot be read",
    "Make what it calls a function of the module, and give it the values that it needs.",
)
EFFECT_IN_BLOCK = RULES.error(
    "GL504",
    "a message, event or call of another contract in a non-deterministic block",
    "Let the block return what it found, and do this afterwards.",
)
NESTED_BLOCK = RULES.error(
    "GL505",
    "a non-deterministic block inside of another one or of a sandbox",
    "Start it in the method itself; inside of a block `gl.nondet` can be used directly.",
)
NO_VERDICT = RULES.error(
    "GL506", "a validator does not return a bool, so every validator disagrees", "Return True to agree, else False."
)
DETERMINISTIC = RULES.info(
    "GL507",
    "what is random or depends on the clock elsewhere is the same for every validator here",
    "Know that anybody can foresee it.",
)

_NONDET = frozenset({"gl.nondet.exec_prompt"}) | {
    f"gl.nondet.web.{name}" for name in ("delete", "get", "head", "patch", "post", "render", "request")
}
_EFFECTS = {
    "gl.deploy_contract": "a deployment",
    "gl.advanced.emit_raw_event": "an event",
    "gl.get_contract_at": "a call of another contract",
}
_OF_PROXY = {
    "view": "a call of another contract",
    "emit": "a message",
    "emit_transfer": "a transfer",
}
_INTERFACES = frozenset({"gl.contract_interface", "gl.evm.contract_interface"})

# What a function gives, and what to do if that is not what one wants.
_CLOCK = (
    "gives the time of the transaction, wherever and however often it is asked",
    "That is right for deadlines. `gl.message_raw['datetime']` has the same time as text.",
)
_SEEDED = (
    "gives the same numbers in every run, so that anybody can foresee them (but in non-deterministic blocks)",
    "Let nothing of value depend on them.",
)
_OS = (
    "gives the same bytes in every run, so that anybody can foresee them (but in non-deterministic blocks)",
    "Keep no secrets in a contract: everything in it can be read.",
)
_SAME_EVERYWHERE = {
    "time.time": _CLOCK,
    "time.time_ns": _CLOCK,
    "time.monotonic": _CLOCK,
    "time.perf_counter": _CLOCK,
    "datetime.datetime.now": _CLOCK,
    "datetime.datetime.utcnow": _CLOCK,
    "datetime.datetime.today": _CLOCK,
    "datetime.date.today": _CLOCK,
    "os.urandom": _OS,
    "uuid.uuid1": _OS,
    "uuid.uuid4": _OS,
}
_OS_MODULES = ("secrets.",)
_SEEDED_MODULES = ("random.", "numpy.random.")
_NO_BOOL_CALLS = frozenset(f"builtins.{name}" for name in ("str", "int", "float", "len", "list", "dict", "repr", "abs"))


def check(contract: Contract) -> Iterator[tuple[Module, Fault]]:
    """Everything about where code runs."""
    calls = Calls(contract)
    yield from _outside(contract, calls)
    yield from _handed_over(contract, calls)
    for module in contract.modules:
        for found in _same_everywhere(module):
            yield module, found


# --- where the web and language models may be used ------------------------------------------------


def _outside(contract: Contract, calls: Calls) -> Iterator[tuple[Module, Fault]]:
    """Follows the calls from everything that certainly runs in a deterministic VM."""
    for module in contract.modules:
        for node in own_nodes(module.tree):
            if isinstance(node, ast.Call) and calls.called(module, node) in _NONDET:
                yield module, _used_outside(node, " when the contract is loaded")
    seen: set[FunctionNode] = set()
    for info in contract.contract_classes:
        for start in _entries(contract, info):
            waiting = [start]
            while waiting:
                unit = waiting.pop(0)
                if unit.node in seen:
                    continue
                seen.add(unit.node)
                for call in calls.calls_in(unit):
                    name = calls.called(unit.module, call)
                    if name in _NONDET:
                        where = "" if unit.node is start.node else f", in the deterministic part of `{start.name}`"
                        yield unit.module, _used_outside(call, where)
                    if name == SANDBOX:
                        # As deterministic as what starts it.
                        waiting += [one.unit for one in calls.handed_over_by(unit.module, call) if one.unit]
                    elif name not in BLOCKS and (found := calls.target(unit.module, call.func)):
                        waiting.append(found)


def _used_outside(call: ast.Call, where: str) -> Fault:
    called = f"`{shown(call.func)}` is called outside of a non-deterministic block"
    return fault(OUTSIDE_BLOCK, call.func, f"{called}{where}: the VM refuses it (`6: forbidden`)")


def _entries(contract: Contract, info: ClassInfo) -> Iterator[Unit]:
    for one in (info, *contract.bases(info)):
        for method in methods(one.node):
            public = of_method(one.module, method) in (Publicity.VIEW, Publicity.WRITE)
            if public or method.name == "__init__" or method.name in HOOKS:
                yield Unit(method, one.module, info)


# --- functions that run in VMs of their own -------------------------------------------------------


def _handed_over(contract: Contract, calls: Calls) -> Iterator[tuple[Module, Fault]]:
    proxies = _proxies(contract)
    for one in calls.handed_over():
        if one.unit is None:
            continue
        yield from _captured(calls, contract, one)
        if one.role is Role.VALIDATOR and (found := _verdict(one.unit)):
            yield one.unit.module, found
        for unit in calls.reached(one.unit):
            for call in calls.calls_in(unit):
                name = calls.called(unit.module, call)
                if name in BLOCKS:
                    what = "a sandbox" if one.role is Role.SANDBOX else "a non-deterministic block"
                    yield unit.module, fault(NESTED_BLOCK, call.func, f"`{shown(call.func)}` inside of {what}")
                elif one.role is not Role.SANDBOX and (effect := _effect(contract, unit, call, proxies)):
                    message = f"{effect} in a non-deterministic block: the VM refuses it (`6: forbidden`)"
                    yield unit.module, fault(EFFECT_IN_BLOCK, call.func, message)


def _captured(calls: Calls, contract: Contract, one: HandedOver) -> Iterator[tuple[Module, Fault]]:
    """Uses of ``self``, and of views of storage, in the function."""
    unit = one.unit
    assert unit is not None
    where = "a sandbox" if one.role is Role.SANDBOX else "a non-deterministic block"
    if unit.owner is not None:
        # A method: given as `self.method`, it takes the contract along.
        if not parameters(unit.node):
            return
        yield from _self_uses(calls, contract, unit, unit.owner, parameters(unit.node)[0].arg, where, one)
        return
    for node in _free_names(unit.node):
        owner = calls.owner_of_self(unit.module, node, node.id)
        if owner is not None:
            yield from _self_uses(calls, contract, unit, owner, node.id, where, one)
            break
    yield from _views(calls, contract, unit, where)


def _self_uses(
    calls: Calls, contract: Contract, unit: Unit, owner: ClassInfo, self_name: str, where: str, one: HandedOver
) -> Iterator[tuple[Module, Fault]]:
    types = StorageTypes(contract, owner)
    found_any = False
    reported: set[str] = set()
    first: ast.AST | None = None
    names = [node for node in _names_in(unit.node) if node.id == self_name and _sees(unit, node)]
    for node in names:
        parent = unit.module.parents.get(node)
        attr = parent.attr if isinstance(parent, ast.Attribute) and parent.value is node else ""
        first = first or (parent if attr else node)
        if attr in reported:
            continue
        reported.add(attr)
        place = parent if attr and parent is not None else node
        if attr in types.fields or attr == "balance":
            stored = isinstance(parent, ast.Attribute) and isinstance(parent.ctx, ast.Store)
            found_any = True
            if stored and one.role is Role.SANDBOX:
                continue  # a sandbox may write, if it is allowed to
            message = (
                f"`{self_name}.{attr}` is {'written' if stored else 'read'} in {where}, which has no access to storage"
            )
            fix = None
            if stored:
                fix = "Return the value from the function, and assign it afterwards."
            elif not types.is_view(place, self_name):
                fix = f"Write `{attr} = {self_name}.{attr}` before the function, and use `{attr}` in it."
            yield unit.module, fault(STORAGE_IN_BLOCK, place, message, fix)
        elif method := calls.method(owner, attr):
            field = _used_field(calls, types, method, or_written=True)
            found_any |= bool(field)
            if field and (one.role is not Role.SANDBOX or _used_field(calls, types, method, or_written=False)):
                message = f"`{self_name}.{attr}()` uses the field `{field}`, and {where} has no access to storage"
                yield unit.module, fault(STORAGE_IN_BLOCK, place, message)
    if first is not None and not found_any and any(_takes_contract_along(unit, node) for node in names):
        message = f"`{self_name}` is taken into {where}, where its storage cannot be read"
        yield unit.module, fault(SELF_IN_BLOCK, first, message)


def _takes_contract_along(unit: Unit, node: ast.Name) -> bool:
    """Whether the use is more than that of ``self.address``, which is no storage."""
    parent = unit.module.parents.get(node)
    return not (isinstance(parent, ast.Attribute) and parent.attr == "address")


def _used_field(calls: Calls, types: StorageTypes, method: Unit, *, or_written: bool) -> str:
    """Name of a field that the method, or a method it calls, certainly reads (or writes)."""
    for unit in calls.reached(method):
        given = parameters(unit.node)
        if unit.owner is None or not given:
            continue
        for node in own_nodes(unit.node):
            match node:
                case ast.Attribute(value=ast.Name(id=name), attr=attr, ctx=ctx) if name == given[0].arg:
                    if attr in types.fields and (or_written or isinstance(ctx, ast.Load)):
                        return attr
    return ""


def _views(calls: Calls, contract: Contract, unit: Unit, where: str) -> Iterator[tuple[Module, Fault]]:
    """Local variables of the enclosing functions that hold views of storage."""
    reported: set[str] = set()
    for node in _free_names(unit.node):
        if node.id in reported:
            continue
        for outer in unit.module.enclosing(unit.node):
            if isinstance(outer, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef) and node.id in bound_in(outer):
                value = _only_value(outer, node.id)
                if value is not None and (source := _view_source(calls, contract, unit.module, value)):
                    reported.add(node.id)
                    message = f"`{node.id}` is a view of the field `{source}`, and {where} has no access to storage"
                    fix = f"Copy it before: `gl.storage.copy_to_memory({node.id})` for a record, `list({node.id})`, …"
                    yield unit.module, fault(STORAGE_IN_BLOCK, node, message, fix)
                break


def _view_source(calls: Calls, contract: Contract, module: Module, value: ast.expr) -> str:
    """Field that the expression is a view of; empty if it is not certainly one."""
    inner: ast.AST = value
    field = ""
    while isinstance(inner, ast.Attribute | ast.Subscript | ast.Call):
        field = inner.attr if isinstance(inner, ast.Attribute) else field
        inner = inner.func if isinstance(inner, ast.Call) else inner.value
    if not isinstance(inner, ast.Name):
        return ""
    owner = calls.owner_of_self(module, inner, inner.id)
    return field if owner and StorageTypes(contract, owner).is_view(value, inner.id) else ""


def _only_value(function: FunctionNode, name: str) -> ast.expr | None:
    """The one expression that is assigned to a local variable."""
    values: list[ast.expr] = []
    stores = 0
    for node in own_nodes(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=given)], value=value) if given == name:
                values.append(value)
            case ast.AnnAssign(target=ast.Name(id=given), value=ast.expr() as value) if given == name:
                values.append(value)
        stores += isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store | ast.Del)
    return values[0] if len(values) == 1 and stores == 1 else None


def _free_names(function: FunctionNode) -> list[ast.Name]:
    """Names that the function takes from around it."""
    local = bound_in(function)
    return [node for node in _names_in(function) if isinstance(node.ctx, ast.Load) and node.id not in local]


def _names_in(function: FunctionNode) -> Iterator[ast.Name]:
    body = [function.body] if isinstance(function, ast.Lambda) else function.body
    return (node for part in body for node in ast.walk(part) if isinstance(node, ast.Name))


def _sees(unit: Unit, node: ast.Name) -> bool:
    """Whether no function between gives the name another meaning."""
    for outer in unit.module.enclosing(node):
        if outer is unit.node:
            return True
        if isinstance(outer, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef) and node.id in bound_in(outer):
            return False
    return True


# --- what they do ---------------------------------------------------------------------------------


def _proxies(contract: Contract) -> dict[Module, set[str]]:
    """Names of interfaces of other contracts, by module."""
    found: dict[Module, set[str]] = {module: set() for module in contract.modules}
    for module in contract.modules:
        for node in module.tree.body:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=func)):
                    if module.dotted(func) in _INTERFACES:
                        found[module].add(name)
                case ast.ClassDef(name=name, decorator_list=given):
                    if any(module.dotted(item) in _INTERFACES for item in given):
                        found[module].add(name)
    return found


def _effect(contract: Contract, unit: Unit, call: ast.Call, proxies: dict[Module, set[str]]) -> str:
    """What the call does that a non-deterministic VM may not, in words."""
    module = unit.module
    name = module.dotted(call.func)
    if name in _EFFECTS and name != "gl.get_contract_at":
        return _EFFECTS[name]
    match call.func:
        case ast.Attribute(value=ast.Call(func=made), attr=attr):
            if module.dotted(made) == "gl.get_contract_at" or (
                isinstance(made, ast.Name) and made.id in proxies[module]
            ):
                return _OF_PROXY.get(attr, "")
            event = contract.resolve_class(module, made)
            if attr == "emit" and event and contract.derives_from(event, "gl.Event"):
                return "an event"
    return ""


def _verdict(unit: Unit) -> Fault | None:
    if isinstance(unit.node, ast.Lambda):
        values: list[ast.expr | None] = [unit.node.body]
    else:
        returns = [node for node in own_nodes(unit.node) if isinstance(node, ast.Return)]
        values = [node.value for node in returns]
        if not values and not any(isinstance(node, ast.Raise | ast.While) for node in own_nodes(unit.node)):
            if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own_nodes(unit.node)) or _is_stub(unit.node):
                return None
            return fault(NO_VERDICT, unit.node, f"the validator `{unit.name}` returns nothing")
        for node in returns:
            if node.value is None:
                return fault(NO_VERDICT, node, f"the validator `{unit.name}` returns nothing here")
    for value in values:
        if value is not None and _is_no_bool(unit.module, value):
            return fault(NO_VERDICT, value, f"the validator returns `{shown(value)}`, which is no bool")
    return None


def _is_stub(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return all(isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant) for item in node.body) and any(
        isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant) and item.value.value is ...
        for item in node.body
    )


def _is_no_bool(module: Module, node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=value):
            return not isinstance(value, bool)
        case ast.JoinedStr() | ast.List() | ast.Dict() | ast.Set() | ast.Tuple() | ast.Lambda():
            return True
        case ast.ListComp() | ast.DictComp() | ast.SetComp() | ast.GeneratorExp():
            return True
        case ast.Call(func=func):
            return module.dotted(func) in _NO_BOOL_CALLS
    return False


# --- what is the same for every validator ---------------------------------------------------------


def _same_everywhere(module: Module) -> Iterator[Fault]:
    reported: set[str] = set()
    nodes = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset)):
        name = module.dotted(node.func)
        gives = _SAME_EVERYWHERE.get(name)
        if name.startswith(_SEEDED_MODULES):
            gives = _SEEDED
        elif name.startswith(_OS_MODULES):
            gives = _OS
        if gives and name not in reported:
            reported.add(name)
            yield fault(DETERMINISTIC, node.func, f"`{name}` {gives[0]}", gives[1])
