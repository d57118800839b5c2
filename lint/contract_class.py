"""GL2xx: imports, the contract class, its constructor and the methods that the VM calls (spec sdk/01 §2, §3.1)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pygenvm.lint.model import Fault, Place, Rules, fault
from pygenvm.lint.names import EXPORTED, HOOKS, PLAIN_BASES
from pygenvm.lint.publicity import publicity
from pygenvm.lint.source import ClassInfo, Contract, Module, methods

RULES = Rules("Contract class")

NO_CONTRACT = RULES.error("GL201", "there is no contract class", "Write `class MyContract(gl.Contract):`.")
SECOND_CONTRACT = RULES.error(
    "GL202", "there is a second contract class", "Keep one, and make the other a plain class to mix in."
)
INDIRECT_CONTRACT = RULES.error(
    "GL203",
    "the contract class derives from another contract class",
    "Take `gl.Contract` from the bases of the base, and write `class MyContract(Base, gl.Contract):`.",
)
PUBLIC_INIT = RULES.error("GL204", "`__init__` is public", "Take the decorator off: deploying calls it anyway.")
NO_INIT = RULES.info(
    "GL205", "the contract has no `__init__`", "Write `def __init__(self) -> None:` to say that it takes no arguments."
)
PUBLIC_DUNDER = RULES.error(
    "GL206", "a public method's name starts with `__`", "Choose another name: such methods cannot be called."
)
NOT_IMPORTED = RULES.error(
    "GL207", "a name of the SDK is used but not imported", "Write `from genlayer import *` below the header."
)
WRONG_IMPORT = RULES.error(
    "GL208", "`import genlayer as gl` imports something else than `gl`", "Write `from genlayer import *`."
)
PRIVATE_HOOK = RULES.warning(
    "GL209",
    "a method that the VM calls is not public, so it is never called",
    "Put `@gl.public.write.payable` above it.",
)


def check(contract: Contract) -> Iterator[tuple[Module, Fault]]:
    """Everything about the contract class as a whole."""
    for module in contract.modules:
        for found in _imports(module):
            yield module, found
    found_any = contract.contract_classes
    if not found_any:
        if not any(_may_hide_contract(contract, module) for module in contract.modules):
            start = contract.modules[0]
            yield start, fault(NO_CONTRACT, Place(1, 0, len(start.line(1))), "no class derives from `gl.Contract`")
        return
    first = next((info for info in found_any if _is_certain(info)), None)
    for info in found_any:
        direct = any(info.module.dotted(base) == "gl.Contract" for base in info.node.bases)
        bases = [base.node.name for base in contract.bases(info) if base.node in {other.node for other in found_any}]
        if bases and _is_certain(info):
            message = f"`{info.node.name}` derives from `{bases[-1]}`, which is a contract itself; only one is allowed"
            yield info.module, fault(INDIRECT_CONTRACT, info.node, message)
        elif direct and first and info.node is not first.node and _is_certain(info):
            message = f"`{info.node.name}` is a second contract class, after `{first.node.name}`"
            yield info.module, fault(SECOND_CONTRACT, info.node, message)
        yield from _members(contract, info)


def _is_certain(info: ClassInfo) -> bool:
    """Whether the class is made whenever its module is loaded: no condition decides on it."""
    return info.module.parents[info.node] is info.module.tree


def _may_hide_contract(contract: Contract, module: Module) -> bool:
    """Whether some class has a base that may be ``gl.Contract`` under another name, or is made by a function, or
    ``gl.Contract`` is given to anything else."""
    for node in module.nodes:
        match node:
            case ast.ClassDef(bases=bases):
                if any(
                    module.dotted(base) in ("", "gl.Contract") and contract.resolve_class(module, base) is None
                    for base in bases
                ):
                    return True
            case ast.Name() | ast.Attribute() if isinstance(
                module.parents.get(node), ast.Call | ast.Assign | ast.Tuple | ast.keyword | ast.Return
            ):
                if module.dotted(node) == "gl.Contract":
                    return True
    return False


def _imports(module: Module) -> Iterator[Fault]:
    wrong = [
        node
        for node in module.nodes
        if isinstance(node, ast.Import)
        and any((alias.name, alias.asname) == ("genlayer", "gl") for alias in node.names)
    ]
    if wrong and _is_imported_later(module, wrong[-1]):
        wrong = []
    for wrong_import in wrong:
        message = "`import genlayer as gl` gives the package, which has no `Contract`, `public` and so on"
        yield fault(WRONG_IMPORT, wrong_import, message)
    others = any(
        isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names) for node in module.nodes
    )
    if wrong or others:
        # After a star import of anything any name may be there.
        return
    reported: set[str] = set()
    for node in module.nodes:
        if (
            isinstance(node, ast.Name)
            and node.id in EXPORTED
            and not module.is_bound(node.id)
            and node.id not in reported
            and node not in module.never_evaluated
        ):
            reported.add(node.id)
            yield fault(NOT_IMPORTED, node, f"`{node.id}` is not imported")


def _is_imported_later(module: Module, wrong: ast.Import) -> bool:
    """Whether a later import gives ``gl`` the right meaning, or it is known what the wrong one gives."""
    for node in module.nodes:
        match node:
            case ast.ImportFrom(module="genlayer", level=0, names=names, lineno=line) if line > wrong.lineno:
                if any(alias.name in ("*", "gl") for alias in names):
                    return True
            case ast.Import(names=names, lineno=line) if line > wrong.lineno:
                if any(alias.name == "genlayer.gl" and alias.asname == "gl" for alias in names):
                    return True
            case ast.Attribute(value=ast.Name(id="gl"), attr="gl"):
                return True
    return False


def _members(contract: Contract, info: ClassInfo) -> Iterator[tuple[Module, Fault]]:
    has_init = False
    for one in (info, *contract.bases(info)):
        for method in methods(one.node):
            has_init |= method.name == "__init__"
            for found in _special_method(one.module, method):
                yield one.module, found
    if not has_init and not contract.unknown_bases(info, PLAIN_BASES):
        yield info.module, fault(NO_INIT, info.node, f"`{info.node.name}` has no `__init__`")


def _special_method(module: Module, method: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Fault]:
    name = method.name
    if not (name.startswith("__") and name.endswith("__")):
        return
    public = next((item for item in method.decorator_list if publicity(module, item)), None)
    if name == "__init__":
        if public is not None:
            message = "`__init__` must not be public: the contract could not be deployed"
            yield fault(PUBLIC_INIT, public, message)
    elif name not in HOOKS:
        if public is not None:
            yield fault(PUBLIC_DUNDER, method, f"`{name}` is public, but no call reaches names with `__`")
    elif not method.decorator_list and name != "__on_errored_message__":
        fix = None if name == "__receive__" else "Put `@gl.public.write` above it, or `.payable` to take value."
        yield fault(PRIVATE_HOOK, method, f"`{name}` is not public, so the VM never calls it", fix)
