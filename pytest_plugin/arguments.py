"""Accounts of a test as arguments: each becomes what the contract's schema asks for (spec sdk/03 §4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pygenvm.executor.primitives import calldata
from pygenvm.pytest_plugin.addresses import DirectAddress

#: pytest shows the line of the test, not those in here.
__tracebackhide__ = True


def prepare(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], signature: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call whose ``params`` and ``kwparams`` are in ``signature``.

    :raises TypeError, ValueError: calldata cannot hold them.
    """
    params = [of for _, of in signature.get("params", ())]
    by_name = {**dict(signature.get("params", ())), **signature.get("kwparams", {})}
    positional = [_fitting(value, params[index] if index < len(params) else "any") for index, value in enumerate(args)]
    named = {name: _fitting(value, by_name.get(name, "any")) for name, value in kwargs.items()}
    calldata.encode([positional, named])
    return positional, named


def holds_account(value: Any) -> bool:
    """Whether there is an account in it, and the schema matters."""
    if isinstance(value, dict):
        return any(map(holds_account, value.values()))
    return any(map(holds_account, value)) if isinstance(value, list | tuple) else type(value) is DirectAddress


def _fitting(value: Any, of: Any) -> Any:
    if type(value) is DirectAddress:
        return _account(value, of["$or"] if isinstance(of, dict) and "$or" in of else [of])
    if isinstance(value, list | tuple):
        options = of["$or"] if isinstance(of, dict) and "$or" in of else [of]
        types = next((option for option in options if isinstance(option, list)), [])
        return [_fitting(item, _element(types, index)) for index, item in enumerate(value)]
    if type(value) is dict:
        inner = of.get("$dict") if isinstance(of, dict) else None
        fields = of if isinstance(of, dict) and inner is None else {}
        return {key: _fitting(item, inner or fields.get(key, "any")) for key, item in value.items()}
    return value


def _account(value: DirectAddress, types: list[Any]) -> Any:
    if "address" in types or "any" in types:
        return value
    # A contract that takes anything else makes the address itself, from its bytes or its text.
    if "bytes" in types:
        return value.as_bytes
    return value.as_hex if "string" in types else value


def _element(types: list[Any], index: int) -> Any:
    """Type of one element of ``[T, …, {"$rep": T}]``."""
    if types and isinstance(types[-1], dict) and "$rep" in types[-1] and index >= len(types) - 1:
        return types[-1]["$rep"]
    return types[index] if index < len(types) else "any"
