"""GL5xx: language models, the web and sandboxes: what may run where (spec sdk/01 §3.6, sdk/04 §1-§5)."""

from __future__ import annotations

import ast
import difflib
from collections import deque
from collections.abc import Iterator

from pygenvm.lint.annotations import self_name
from pygenvm.lint.calls import Calls, Role, Unit, calls_in, interfaces, is_proxy
from pygenvm.lint.model import Fault, Rules, fault
from pygenvm.lint.names import BLOCKS, HOOKS, PROMPT, PROMPT_PARAMETERS, SANDBOX
from pygenvm.lint.publicity import Publicity, of_method
from pygenvm.lint.source import ClassInfo, Contract, FunctionNode, Method, Module, shown

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
    "what is random elsewhere is the same for every validator here",
    "Know that anybody can foresee it.",
)

IGNORED_PARAMETER = RULES.warning(
    "GL508",
    "`gl.nondet.exec_prompt` ignores parameters that it does not know",
    f"It takes {', '.join(f'`{name}`' for name in PROMPT_PARAMETERS)}.",
)

PARSED_TWICE = RULES.error(
    "GL509",
    'the answer to a prompt with `response_format="json"` is parsed, which it is already',
    "Use the answer as it is: it is a `dict`.",
)

_NONDET = frozenset({PROMPT}) | {
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

# What a function gives, and what to do if that is not what one wants.
_SEEDED = (
    "gives the same numbers in every run, so that anybody can foresee them (but in non-deterministic blocks)",
    "Let nothing of value depend on them.",
)
_OS = (
    "gives the same bytes in every run, so that anybody can foresee them (but in non-deterministic blocks)",
    "Keep no secrets in a contract: everything in it can be read.",
)
_FROM_OS = frozenset(
    f"secrets.{name}"
    for name in ("choice", "randbelow", "randbits", "token_bytes", "token_hex", "token_urlsafe", "SystemRandom")
) | {"os.urandom", "uuid.uuid1", "uuid.uuid4", "random.SystemRandom"}
_SEEDED_MODULES = ("random.", "numpy.random.")
#: With an argument these are meant to give the same numbers again.
_SEEDS = frozenset({"Random", "seed", "default_rng", "RandomState", "SeedSequence", "setstate", "set_state"})
_NO_BOOL_CALLS = frozenset(f"builtins.{name}" for name in ("str", "int", "float", "len", "list", "dict", "repr", "abs"))


def check(contract: Contract) -> Iterator[tuple[Module, Fault]]:
    """Everything about where code runs."""
    calls = Calls(contract)
    yield from _outside(contract, calls)
    yield from _handed_over(contract, calls)
    for module in contract.modules:
        for found in (*_same_everywhere(module), *_ignored_parameters(calls, module), *_parsed_twice(module)):
            yield module, found


# --- where the web and language models may be used ------------------------------------------------


def _outside(contract: Contract, calls: Calls) -> Iterator[tuple[Module, Fault]]:
    """Follows the calls from everything that certainly runs in a deterministic VM."""
    for module in contract.modules:
        for call in module.scope(module.tree).certain_calls:
            if calls.called(module, call) in _NONDET:
                yield module, _used_outside(call, " when the contract is loaded")
    entries = {start.node: start for info in contract.contract_classes for start in _entries(calls, info)}
    seen: set[FunctionNode] = set()
    for start in entries.values():
        waiting = deque([start])
        while waiting:
            unit = waiting.popleft()
            if unit.node in seen or (unit is not start and unit.node in entries):
                continue
            seen.add(unit.node)
            for call in calls_in(unit, first=unit is start):
                name = calls.called(unit.module, call)
                if name in _NONDET:
                    where = "" if unit.node is start.node else f", in the deterministic part of `{start.name}`"
                    yield unit.module, _used_outside(call, where)
                if name == SANDBOX:
                    # As deterministic as what starts it.
                    waiting += [one.unit for one in calls.handed_over_by(unit.module, call)]
                elif name not in BLOCKS and (found := calls.target(unit.module, call.func)):
                    waiting.append(found)


def _used_outside(call: ast.Call, where: str) -> Fault:
    called = f"`{shown(call.func)}` is called outside of a non-deterministic block"
    return fault(OUTSIDE_BLOCK, call.func, f"{called}{where}: the VM refuses it (`6: forbidden`)")


def _entries(calls: Calls, info: ClassInfo) -> Iterator[Unit]:
    for name, unit in calls.methods(info).items():
        if unit and isinstance(unit.node, Method):
            public = of_method(unit.module, unit.node) in (Publicity.VIEW, Publicity.WRITE)
            if public or name == "__init__" or name in HOOKS:
                yield unit


# --- functions that run in VMs of their own -------------------------------------------------------


def _handed_over(contract: Contract, calls: Calls) -> Iterator[tuple[Module, Fault]]:
    known = {module: interfaces(module) for module in contract.modules}
    done: set[tuple[FunctionNode, Role]] = set()
    # What has been looked at already, in sandboxes and in blocks; as the first function of one and further on.
    seen: set[tuple[FunctionNode, bool, bool]] = set()
    for one in calls.handed_over():
        if (one.unit.node, one.role) in done:
            continue
        done.add((one.unit.node, one.role))
        yield from _captured(calls, one.unit, one.role)
        if one.role is Role.VALIDATOR and (found := _verdict(one.unit)):
            yield one.unit.module, found
        sandboxed = one.role is Role.SANDBOX
        what = "a sandbox" if sandboxed else "a non-deterministic block"
        waiting = deque([one.unit])
        while waiting:
            unit = waiting.popleft()
            first = unit is one.unit
            if (unit.node, sandboxed, first) in seen:
                continue
            seen.add((unit.node, sandboxed, first))
            for call in calls_in(unit, first=first):
                name = calls.called(unit.module, call)
                if name in BLOCKS:
                    yield unit.module, fault(NESTED_BLOCK, call.func, f"`{shown(call.func)}` inside of {what}")
                elif not sandboxed and (effect := _effect(contract, unit, call, known[unit.module])):
                    message = f"{effect} in a non-deterministic block: the VM refuses it (`6: forbidden`)"
                    yield unit.module, fault(EFFECT_IN_BLOCK, call.func, message)
                if called := calls.target(unit.module, call.func):
                    waiting.append(called)


def _captured(calls: Calls, unit: Unit, role: Role) -> Iterator[tuple[Module, Fault]]:
    """Uses of ``self``, and of views of storage, in the function."""
    where = "a sandbox" if role is Role.SANDBOX else "a non-deterministic block"
    if unit.owner is not None and isinstance(unit.node, Method):
        # A method: given as `self.method`, it takes the contract along.
        name = self_name(unit.module, unit.node)
        yield from _self_uses(calls, unit, unit.owner, name, where, role)
        return
    for node in _free_names(unit):
        owner = calls.owner_of_self(unit.module, node, node.id)
        if owner is not None:
            yield from _self_uses(calls, unit, owner, node.id, where, role)
            break
    yield from _views(calls, unit, where)


def _self_uses(
    calls: Calls, unit: Unit, owner: ClassInfo, name: str, where: str, role: Role
) -> Iterator[tuple[Module, Fault]]:
    types = calls.types(owner)
    found_any = False
    reported: set[str] = set()
    first: ast.AST | None = None
    module = unit.module
    home = unit.node if name in module.scope(unit.node).bound else module.binder(unit.node, name)
    names = [node for node in _names_in(unit.node) if node.id == name and module.binder(node, name) is home]
    for node in names:
        parent = unit.module.parents.get(node)
        attr = parent.attr if isinstance(parent, ast.Attribute) and parent.value is node else ""
        first = first or (parent if attr else node)
        if attr in reported:
            continue
        reported.add(attr)
        place = parent if attr and parent is not None else node
        if attr in types.fields or (attr == "balance" and role is not Role.SANDBOX):
            stored = isinstance(parent, ast.Attribute) and isinstance(parent.ctx, ast.Store)
            found_any = True
            if stored and role is Role.SANDBOX:
                continue  # a sandbox may write, if it is allowed to
            message = f"`{name}.{attr}` is {'written' if stored else 'read'} in {where}, which has no access to storage"
            fix = None
            if stored:
                fix = "Return the value from the function, and assign it afterwards."
            elif not types.is_view(place, name):
                fix = f"Write `{attr} = {name}.{attr}` before the function, and use `{attr}` in it."
            yield unit.module, fault(STORAGE_IN_BLOCK, place, message, fix)
        elif method := calls.method(owner, attr):
            field = calls.used_field(method, or_written=True)
            found_any |= bool(field)
            if field and (role is not Role.SANDBOX or calls.used_field(method, or_written=False)):
                message = f"`{name}.{attr}()` uses the field `{field}`, and {where} has no access to storage"
                yield unit.module, fault(STORAGE_IN_BLOCK, place, message)
    if first is not None and not found_any and any(_takes_contract_along(unit, node, role) for node in names):
        message = f"`{name}` is taken into {where}, where its storage cannot be read"
        yield unit.module, fault(SELF_IN_BLOCK, first, message)


def _takes_contract_along(unit: Unit, node: ast.Name, role: Role) -> bool:
    """Whether the use is more than that of ``self.address`` or ``self.balance``, which are no storage."""
    parent = unit.module.parents.get(node)
    harmless = ("address", "balance") if role is Role.SANDBOX else ("address",)
    return not (isinstance(parent, ast.Attribute) and parent.attr in harmless)


def _views(calls: Calls, unit: Unit, where: str) -> Iterator[tuple[Module, Fault]]:
    """Local variables of the enclosing functions that hold views of storage."""
    module = unit.module
    for node in {node.id: node for node in reversed(_free_names(unit))}.values():
        outer = module.binder(unit.node, node.id)
        value = module.scope(outer).only_value(node.id) if outer else None
        if value is not None and (source := _view_source(calls, module, value)):
            message = f"`{node.id}` is a view of the field `{source}`, and {where} has no access to storage"
            fix = f"Copy it before: `gl.storage.copy_to_memory({node.id})` for a record, `list({node.id})`, …"
            yield module, fault(STORAGE_IN_BLOCK, node, message, fix)


def _view_source(calls: Calls, module: Module, value: ast.AST) -> str:
    """Field that the expression is a view of; empty if it is not certainly one."""
    inner = value
    field = ""
    while isinstance(inner, ast.Attribute | ast.Subscript | ast.Call):
        field = inner.attr if isinstance(inner, ast.Attribute) else field
        inner = inner.func if isinstance(inner, ast.Call) else inner.value
    if not isinstance(inner, ast.Name):
        return ""
    owner = calls.owner_of_self(module, inner, inner.id)
    return field if owner and calls.types(owner).is_view(value, inner.id) else ""


def _free_names(unit: Unit) -> list[ast.Name]:
    """Names that the function takes from around it, in the order of the file."""
    local = unit.module.scope(unit.node).bound
    found = [node for node in _names_in(unit.node) if isinstance(node.ctx, ast.Load) and node.id not in local]
    return sorted(found, key=lambda node: (node.lineno, node.col_offset))


def _names_in(function: FunctionNode) -> Iterator[ast.Name]:
    body = [function.body] if isinstance(function, ast.Lambda) else function.body
    return (node for part in body for node in ast.walk(part) if isinstance(node, ast.Name))


# --- what they do ---------------------------------------------------------------------------------


def _effect(contract: Contract, unit: Unit, call: ast.Call, known: set[str]) -> str:
    """What the call does that a non-deterministic VM may not, in words."""
    module = unit.module
    name = module.dotted(call.func)
    if name in _EFFECTS and name != "gl.get_contract_at":
        return _EFFECTS[name]
    match call.func:
        case ast.Attribute(value=ast.Call(func=made) as owner, attr=attr):
            if is_proxy(module, owner, known):
                return _OF_PROXY.get(attr, "")
            event = contract.resolve_class(module, made)
            if attr == "emit" and event and contract.derives_from(event, "gl.Event"):
                return "an event"
    return ""


def _verdict(unit: Unit) -> Fault | None:
    if isinstance(unit.node, ast.Lambda):
        values: list[ast.expr | None] = [unit.node.body]
    else:
        nodes = unit.module.scope(unit.node).nodes
        returns = [node for node in nodes if isinstance(node, ast.Return)]
        values = [node.value for node in returns]
        if not values and not any(isinstance(node, ast.Raise | ast.While) for node in nodes):
            if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes) or _is_stub(unit.node):
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
    nodes = [node for node in module.nodes if isinstance(node, ast.Call)]
    for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset)):
        name = module.dotted(node.func)
        gives = _OS if name in _FROM_OS else None
        if gives is None and name.startswith(_SEEDED_MODULES) and not _is_seeded(name, node):
            gives = _SEEDED
        if gives and name not in reported:
            reported.add(name)
            yield fault(DETERMINISTIC, node.func, f"`{name}` {gives[0]}", gives[1])


def _is_seeded(name: str, call: ast.Call) -> bool:
    return name.rpartition(".")[2] in _SEEDS and bool(call.args or call.keywords)


def _ignored_parameters(calls: Calls, module: Module) -> Iterator[Fault]:
    for node in module.nodes:
        if isinstance(node, ast.Call) and calls.called(module, node) == PROMPT:
            for keyword in node.keywords:
                if keyword.arg and keyword.arg not in PROMPT_PARAMETERS:
                    meant = difflib.get_close_matches(keyword.arg, PROMPT_PARAMETERS, 1)
                    fix = f"Write `{meant[0]}=…`." if meant else None
                    yield fault(IGNORED_PARAMETER, keyword, f"`{shown(node.func)}` ignores `{keyword.arg}`", fix)


def _parsed_twice(module: Module) -> Iterator[Fault]:
    """``json.loads`` of an answer that is a dict. Where a condition asks for the type first, all is well."""
    for node in module.nodes:
        match node:
            case ast.Call(func=func, args=[given, *_]) if module.dotted(func) == "json.loads":
                answer: ast.AST | None = given
                if isinstance(given, ast.Name):
                    outer = module.binder(given, given.id)
                    answer = module.scope(outer).only_value(given.id) if outer else None
                    if outer and given.id in module.scope(outer).type_asked:
                        continue
                if isinstance(answer, ast.Call) and _is_json_prompt(module, answer):
                    message = "this is a `dict` already, which `json.loads` does not take (`TypeError`)"
                    yield fault(PARSED_TWICE, given, message)


def _is_json_prompt(module: Module, call: ast.Call) -> bool:
    # `.lazy` gives no answer yet.
    return module.dotted(call.func) == PROMPT and any(
        keyword.arg == "response_format" and isinstance(keyword.value, ast.Constant) and keyword.value.value == "json"
        for keyword in call.keywords
    )
