"""GL6xx: names of earlier SDKs, and names that no SDK has (spec sdk/01 §3, §8)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pygenvm.lint import old_sdk
from pygenvm.lint.calls import interfaces, is_proxy
from pygenvm.lint.model import Fault, Rules, fault
from pygenvm.lint.names import MEMBERS, MESSAGE_RAW, PROXY_MEMBERS, UNLISTED
from pygenvm.lint.source import Contract, Module, shown

RULES = Rules("Names")

OLD = RULES.error("GL601", "a name of an earlier SDK", "Write what has taken its place.")
UNKNOWN = RULES.error("GL602", "a name that the SDK does not have", "Look it up; editors complete the names.")
LATER = RULES.warning(
    "GL604",
    "a name that the SDK of the header did not have yet",
    "Name the current runner in the header, and write what has taken the place of old names.",
)

_RENAMED = {
    "gl.OtherContract": "gl.get_contract_at(address).view().METHOD(…)",
    "gl.ContractAt": "gl.get_contract_at(address)",
    "gl.contract_at": "gl.get_contract_at(address)",
    "gl.contract": "class MyContract(gl.Contract):",
    "gl.call_llm": "gl.nondet.exec_prompt(prompt)",
    "gl.exec_prompt": "gl.nondet.exec_prompt(prompt)",
    "gl.get_webpage": "gl.nondet.web.render(url, mode='text')",
    "gl.eq_principle_refl": "gl.eq_principle.strict_eq(fn)",
    "gl.eq_principle_strict_eq": "gl.eq_principle.strict_eq(fn)",
    "gl.eq_principle_prompt_comparative": "gl.eq_principle.prompt_comparative(fn, principle)",
    "gl.eq_principle_prompt_non_comparative": "gl.eq_principle.prompt_non_comparative(fn, task=…, criteria=…)",
    "gl.eq_principles": "gl.eq_principle",
    "gl.Rollback": "gl.vm.UserError(text), whose text is `.message`",
    "gl.rollback_immediate": "gl.advanced.user_error_immediate(text)",
    "gl.advanced.rollback_immediate": "gl.advanced.user_error_immediate(text)",
    "gl.sandbox": "gl.vm.spawn_sandbox(fn), which returns a Result; gl.vm.unpack_result(…) gives its value",
    "gl.advanced.sandbox": "gl.vm.spawn_sandbox(fn), which returns a Result; gl.vm.unpack_result(…) gives its value",
    "gl.advanced.run_nondet": "gl.vm.run_nondet(leader, validator), which returns the value; `.lazy(…)` returns a Lazy",
    "gl.advanced.ContractReturn": "gl.vm.Return, whose value is `.calldata`",
    "gl.advanced.ContractError": "gl.vm.VMError, whose text is `.message`",
    "gl.advanced.validator_handle_rollbacks_and_errors_default": "gl.vm.run_nondet(leader, validator), which does it",
    "gl.advanced.AlreadySerializedResult": "the value itself",
    "gl.AlreadySerializedResult": "the value itself",
    "gl.account_from_b64": "Address(text)",
    "gl.message.contract_account": "gl.message.contract_address",
    "gl.message.sender_account": "gl.message.sender_address",
    "gl.message.sender": "gl.message.sender_address",
    "gl.message.is_init": "gl.message_raw['is_init']",
    "gl.message.datetime": "gl.message_raw['datetime'], or datetime.datetime.now(datetime.UTC)",
    "gl.eth_contract": "gl.evm.contract_interface",
    "gl.eth": "gl.evm",
    "gl.storage_inmem_allocate": "gl.storage.inmem_allocate(TYPE)",
}
_RENAMED_BARE = {
    "builtins.Rollback": "gl.vm.UserError(text), whose text is `.message`",
    "builtins.VecDB": "genlayer_embeddings.VecDB, with the runner py-lib-genlayer-embeddings in the header",
    "builtins.Vec": "DynArray",
    "genlayer.Rollback": "gl.vm.UserError(text), whose text is `.message`",
    "genlayer.VecDB": "genlayer_embeddings.VecDB, with the runner py-lib-genlayer-embeddings in the header",
    "genlayer_embeddings.Model": "genlayer_embeddings.get_model(…)",
    "genlayer.py.storage.storage": "allow_storage",
    "gl.storage.storage": "allow_storage",
}
_RENAMED_MODULES = {
    "genlayer.std": "from genlayer import *",
    "genlayer.sdk": "from genlayer import *",
    "genlayer.asyn": "the functions themselves; `f.lazy(…)` gives a Lazy",
    "genlayer.py.eth": "genlayer.py.evm",
    "genlayer.gl.msg": "gl.message and gl.message_raw",
}
#: Parameters of `.emit(…)` in earlier SDKs.
OLD_EMIT = frozenset({"gas", "code"})
#: `gl.message` is a NamedTuple.
_OF_TUPLES = frozenset({*dir(tuple), "_asdict", "_field_defaults", "_fields", "_make", "_replace"})


def check(contract: Contract) -> Iterator[tuple[Module, Fault]]:
    """Every use of a name that is not there."""
    for module in contract.modules:
        known, expected = interfaces(module), module.expected_absent
        for node in module.nodes:
            if node in expected or (isinstance(node, ast.Attribute) and node.attr in expected):
                continue
            if node in module.never_evaluated:
                continue
            match node:
                case ast.Import() | ast.ImportFrom():
                    found = _import(module, node)
                case ast.Attribute(value=owner, attr=attr) if (
                    attr not in PROXY_MEMBERS and not attr.startswith("_") and is_proxy(module, owner, known)
                ):
                    every = ", ".join(sorted(PROXY_MEMBERS))
                    fix = f"It has: {every}. A message is `.emit().{attr}(…)`, a call `.view().{attr}(…)`."
                    found = fault(UNKNOWN, node, f"what gives access to another contract has no `{attr}`", fix)
                case ast.Attribute() if module.of_old_sdk and module.written(node) in old_sdk.LATER:
                    found = _later(node)
                case ast.Attribute():
                    found = _attribute(module, node)
                case ast.Name(ctx=ast.Load()):
                    found = _renamed(node, module.dotted(node), node.id)
                case ast.Subscript(value=value, slice=ast.Constant(value=str(key))) if (
                    module.dotted(value) == "gl.message_raw" and key not in MESSAGE_RAW
                ):
                    every = ", ".join(sorted(MESSAGE_RAW))
                    found = fault(UNKNOWN, node, f"`gl.message_raw` has no key `{key}`", f"It has: {every}.")
                case ast.Call(func=ast.Attribute(value=owner, attr="emit"), keywords=keywords) if (
                    not module.of_old_sdk and is_proxy(module, owner, known)
                ):
                    found = next((_emit(item) for item in keywords if item.arg in OLD_EMIT), None)
                case _:
                    continue
            if found:
                yield module, found


def _renamed(node: ast.AST, name: str, written: str) -> Fault | None:
    new = _RENAMED.get(name) or _RENAMED_BARE.get(name)
    return fault(OLD, node, f"`{written}` was a name of an earlier SDK", f"Write {_quoted(new)}.") if new else None


def _attribute(module: Module, node: ast.Attribute) -> Fault | None:
    name = module.dotted(node)
    if not name:
        return None
    found = _renamed(node, name, shown(node))
    if found:
        return found
    owner, _, attr = name.rpartition(".")
    members = MEMBERS.get(owner)
    if members is None or attr in members or attr.startswith("_") or attr in UNLISTED:
        return None
    if owner.startswith("gl.public"):
        return None  # the decorators have a rule of their own
    if owner == "gl.message" and attr in _OF_TUPLES:
        return None
    every = ", ".join(sorted(members)) if len(members) < 20 else ""
    fix = f"`{owner}` has: {every}." if every else None
    return fault(UNKNOWN, node, f"`{owner}` has no `{attr}`", fix)


def _later(node: ast.Attribute) -> Fault:
    message = f"`{shown(node)}` came after the SDK of the header; it is there here, and not on every node"
    return fault(LATER, node, message)


def _import(module: Module, node: ast.Import | ast.ImportFrom) -> Fault | None:
    if isinstance(node, ast.ImportFrom):
        if node.level:
            return None
        names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    else:
        names = [alias.name for alias in node.names]
    for name in names:
        if module.of_old_sdk and old_sdk.todays(name) != name:
            continue
        for old, new in _RENAMED_MODULES.items():
            if name == old or name.startswith(f"{old}."):
                return fault(OLD, node, f"`{old}` was a module of an earlier SDK", f"Write {_quoted(new)}.")
        if found := _RENAMED_BARE.get(name):
            return fault(OLD, node, f"`{name}` was a name of an earlier SDK", f"Write {_quoted(found)}.")
    return None


def _emit(keyword: ast.keyword) -> Fault:
    message = f"`.emit({keyword.arg}=…)` was a parameter of an earlier SDK"
    return fault(OLD, keyword, message, "Leave it out; there are `value` and `on`.")


def _quoted(code: str) -> str:
    """In backticks, unless it is a sentence that has some."""
    return code if "`" in code else f"`{code}`"
