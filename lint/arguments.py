"""GL603: arguments that functions of the SDK do not take (spec sdk/01 §3)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from pygenvm.lint.calls import GENLAYER_INTERFACES, interfaces, proxy_call
from pygenvm.lint.model import Fault, fault
from pygenvm.lint.names import EVM_PROXY_METHODS, PROXY_METHODS, SIGNATURES
from pygenvm.lint.old_names import OLD_EMIT, RULES
from pygenvm.lint.source import Contract, Module, shown

ARGUMENTS = RULES.error(
    "GL603", "a function of the SDK is given arguments that it does not take", "Give it what it takes."
)


@dataclass(frozen=True)
class Signature:
    """Names of parameters by how they are given; ``needed`` are those without a default."""

    text: str
    by_position: tuple[str, ...]
    by_both: tuple[str, ...]
    by_name: tuple[str, ...]
    needed: frozenset[str]
    any_position: bool
    any_name: bool


@cache
def signature(text: str) -> Signature:
    """What is written between the parentheses, without types."""
    function = ast.parse(f"def f({text}): ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    needed = {item.arg for item in positional[: len(positional) - len(given.defaults)]}
    needed |= {item.arg for item, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if value is None}
    return Signature(
        text,
        tuple(item.arg for item in given.posonlyargs),
        tuple(item.arg for item in given.args),
        tuple(item.arg for item in given.kwonlyargs),
        frozenset(needed),
        given.vararg is not None,
        given.kwarg is not None,
    )


def check(contract: Contract) -> Iterator[tuple[Module, Fault]]:
    """Every call of the SDK that Python refuses."""
    for module in contract.modules:
        every, here = interfaces(module), interfaces(module, GENLAYER_INTERFACES)
        for node in module.nodes:
            if isinstance(node, ast.Call) and node not in module.expected_absent:
                text = _signature_of(module, node, every, here)
                if text is not None and (found := _bind(node, signature(text))):
                    yield module, found


def _signature_of(module: Module, call: ast.Call, every: set[str], here: set[str]) -> str | None:
    name = module.dotted(call.func).removesuffix(".lazy")
    # What functions of the old SDK took is not known here, whatever they are called today.
    if name in SIGNATURES and name == module.written(call.func).removesuffix(".lazy"):
        return SIGNATURES[name]
    match call.func:
        case ast.Attribute(value=owner, attr=attr) if attr in PROXY_METHODS:
            if proxy_call(module, owner, here):
                return PROXY_METHODS[attr]
            if proxy_call(module, owner, every):
                return EVM_PROXY_METHODS[attr]
    return None


def _bind(call: ast.Call, takes: Signature) -> Fault | None:
    """The first argument that cannot be bound, or the call if something is missing."""
    name = f"`{shown(call.func)}`"
    fix = f"It takes `({takes.text})`."
    positional = (*takes.by_position, *takes.by_both)
    starred = any(isinstance(item, ast.Starred) for item in call.args)
    given = [item for item in call.args if not isinstance(item, ast.Starred)]
    if len(given) > len(positional) and not takes.any_position:
        surplus = given[len(positional)]
        if takes.by_name:
            fix = f"Write `{takes.by_name[0]}={shown(surplus)}`. {fix}"
        many = str(len(positional) or "no")
        return fault(ARGUMENTS, surplus, f"{name} takes {many} argument{'s' * (many != '1')} by position", fix)
    for keyword in call.keywords:
        if keyword.arg is None or takes.any_name or keyword.arg in OLD_EMIT:
            continue
        if keyword.arg in takes.by_position:
            return fault(ARGUMENTS, keyword, f"{name} takes `{keyword.arg}` by position only", "Leave its name out.")
        if keyword.arg not in (*takes.by_both, *takes.by_name):
            return fault(ARGUMENTS, keyword, f"{name} takes no `{keyword.arg}`", fix)
        if not starred and keyword.arg in positional[: len(given)]:
            return fault(ARGUMENTS, keyword, f"{name} is given `{keyword.arg}` twice", fix)
    if starred or any(keyword.arg is None for keyword in call.keywords):
        return None
    bound = {*positional[: len(given)], *(keyword.arg for keyword in call.keywords)}
    missing = [item for item in (*positional, *takes.by_name) if item in takes.needed and item not in bound]
    if missing:
        return fault(ARGUMENTS, call, f"{name} is called without `{missing[0]}`", fix)
    return None
