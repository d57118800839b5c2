"""Calls to other contracts: EthCall and CallContract (spec executor/04)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pygenvm.executor.outcome import VMError, VMErrorRaised
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import GlErrno, StorageType
from pygenvm.executor.subvm.genlayer_sdk.request import Refused, address, anything, blob, fields, invalid

if TYPE_CHECKING:
    from pygenvm.executor.subvm.vm import SubVM


def _state(value: Any) -> StorageType:
    """0 is treated as 2, the latest non-final state."""
    if type(value) is not int or not 0 <= value <= 2:
        raise invalid()
    return StorageType(value or StorageType.LATEST_NON_FINAL)


_ETH_CALL = {"address": address, "calldata": blob}
_CALL_CONTRACT = {"address": address, "calldata": anything, "state": _state}


def eth_call(vm: SubVM, payload: Any) -> bytes:
    receiver, data = fields(payload, _ETH_CALL)
    _check(vm)
    return vm.services.host.eth_call(receiver, data)


def call_contract(vm: SubVM, payload: Any) -> bytes:
    """Run the callee to its end; its VM error ends the caller too."""
    callee, data, state = fields(payload, _CALL_CONTRACT)
    _check(vm)
    outcome = vm.services.call_contract(vm, callee, calldata.encode(data), state)
    if isinstance(outcome, VMError):
        raise VMErrorRaised(outcome.message, outcome.cause)
    return outcome.to_bytes()


def _check(vm: SubVM) -> None:
    if not vm.deterministic or not vm.spec.permissions.call_others:
        raise Refused(GlErrno.FORBIDDEN)
