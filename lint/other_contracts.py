"""GL415 to GL417: calls and messages from one contract to another, or to itself (spec sdk/01 §3.3, executor/03)."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Sequence

from pygenvm.lint.calls import GENLAYER_INTERFACES, Calls, Unit, interfaces, is_proxy, proxy_call
from pygenvm.lint.methods import RULES
from pygenvm.lint.model import Fault, fault
from pygenvm.lint.names import HOOKS, PLAIN_BASES
from pygenvm.lint.publicity import Publicity, of_method
from pygenvm.lint.source import ClassInfo, Contract, Method, Module

VIEW_SENDS = RULES.error("GL415", "a view sends a message", "Make it `@gl.public.write`.")
OWN_PRIVATE = RULES.error(
    "GL416",
    "the contract calls itself from outside by a method that is not public",
    "Call `self.METHOD(…)`, or make the method public.",
)
CALLED_BY_ADDRESS = RULES.warning(
    "GL417",
    "a view call of an address that the caller chooses: what is called there can send messages and value in this"
    " contract's name",
    "Compare the address with those that the contract trusts, before the call.",
)

_SENDS = frozenset({"emit", "emit_transfer"})
_OWN_ADDRESS = "gl.message.contract_address"
_CALLERS = frozenset({"gl.message.sender_address", "gl.message.origin_address"})
_DEPTH_MAX = 32


def check(contract: Contract) -> Iterator[tuple[Module, Fault]]:
    """Everything about calls and messages between contracts."""
    calls = Calls(contract)
    known = {module: interfaces(module) for module in contract.modules}
    here = {module: interfaces(module, GENLAYER_INTERFACES) for module in contract.modules}
    done: set[ast.AST] = set()
    for info in contract.contract_classes:
        for unit in calls.methods(info).values():
            if unit is None or unit.node in done or not isinstance(unit.node, Method):
                continue
            done.add(unit.node)
            module, method = unit.module, unit.node
            mark = of_method(module, method)
            if mark is Publicity.VIEW:
                for found in _sends(module, method, known[module]):
                    yield module, found
            if mark in (Publicity.VIEW, Publicity.WRITE):
                for found in _called_by_address(module, method, here[module]):
                    yield module, found
            for found in _own_private(calls, info, unit, here[module]):
                yield module, found


def _sends(module: Module, method: Method, known: set[str]) -> Iterator[Fault]:
    for call in module.scope(method).calls:
        what = ""
        if module.dotted(call.func) == "gl.deploy_contract":
            what = "deploys a contract"
        elif isinstance(call.func, ast.Attribute) and call.func.attr in _SENDS:
            what = "sends a message" if is_proxy(module, call.func.value, known) else ""
        if what:
            message = f"the view `{method.name}` {what}, which the VM refuses (`6: forbidden`)"
            yield fault(VIEW_SENDS, call.func, message)


def _own_private(calls: Calls, info: ClassInfo, unit: Unit, known: set[str]) -> Iterator[Fault]:
    """``gl.get_contract_at(self.address).emit().method()`` of a method that is none, or not public."""
    if calls.contract.unknown_bases(info, PLAIN_BASES):
        return
    module, every = unit.module, calls.methods(info)
    for call in module.scope(unit.node).calls:
        match call.func:
            case ast.Attribute(value=ast.Call(func=ast.Attribute(value=owner, attr="view" | "emit")), attr=name) if (
                name != "lazy"
            ):
                made = proxy_call(module, owner, known)
            case _:
                continue
        if made is None or not made.args or not _is_own_address(calls, module, made.args[0]):
            continue
        if name not in every and "__handle_undefined_method__" not in every:
            yield fault(OWN_PRIVATE, call.func, f"the contract has no method `{name}`", "Correct the name.")
        elif (called := every.get(name)) and name not in HOOKS and _is_private(called):
            yield fault(OWN_PRIVATE, call.func, f"`{name}` is not public: the call fails (`call to private method`)")


def _is_private(unit: Unit) -> bool:
    return isinstance(unit.node, Method) and of_method(unit.module, unit.node) is None


def _is_own_address(calls: Calls, module: Module, node: ast.expr) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id=name), attr="address"):
            return calls.owner_of_self(module, node, name) is not None
    return module.dotted(node) == _OWN_ADDRESS


# --- view calls of whatever address a caller gives ------------------------------------------------


def _called_by_address(module: Module, method: Method, known: set[str]) -> Iterator[Fault]:
    given = {item.arg for item in (*method.args.posonlyargs, *method.args.args, *method.args.kwonlyargs)[1:]}
    reported: set[str] = set()
    uses: dict[str, list[ast.AST]] | None = None
    for call in module.scope(method).calls:
        match call.func:
            case ast.Attribute(value=owner, attr="view") if made := proxy_call(module, owner, known):
                source = _source(module, made.args)
            case _:
                continue
        if source in reported or not (source in given or source in _CALLERS):
            continue
        uses = _uses(module, method) if uses is None else uses
        reported.add(source)
        if not any(_is_looked_at(module, use, known) for use in uses[source]):
            message = f"`{source}` comes from the caller, and what is called there can send messages and value in this"
            yield fault(CALLED_BY_ADDRESS, call.func, f"{message} contract's name, also from a view call")


def _source(module: Module, given: Sequence[ast.expr]) -> str:
    """The name of the address that a proxy is made of."""
    match given:
        case [ast.Call(func=func, args=[inner])] if module.dotted(func) == "Address":
            return _source(module, [inner]) if not isinstance(inner, ast.Call) else ""
        case [ast.Name(id=name)]:
            return name
        case [node]:
            return module.dotted(node)
    return ""


def _uses(module: Module, method: Method) -> dict[str, list[ast.AST]]:
    found: dict[str, list[ast.AST]] = defaultdict(list)
    for node in module.scope(method).nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Load):
            found[node.id].append(node)
        elif isinstance(node, ast.Attribute) and (name := module.dotted(node)) in _CALLERS:
            found[name].append(node)
    return found


def _is_looked_at(module: Module, node: ast.AST, known: set[str]) -> bool:
    """Whether this use of an address may be a check: in a comparison, as a key that is read, given to a function."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return True  # not what was given any more
    for _ in range(_DEPTH_MAX):
        parent = module.parents.get(node)
        match parent:
            case ast.Call(func=func) if node is not func:
                if module.dotted(func) != "Address":
                    return proxy_call(module, parent, known) is None
            case ast.Compare() | ast.Assert() | ast.comprehension() | ast.BoolOp() | ast.IfExp() | ast.NamedExpr():
                return True
            case ast.If() | ast.While() | ast.Match():
                return True
            case ast.Subscript(ctx=ast.Load()) if node is not parent.value:
                return True
            case ast.stmt() | None:
                return False
        assert parent is not None
        node = parent
    return True
