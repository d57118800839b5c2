"""Calls to other contracts: EthCall and CallContract (spec executor/04)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygenvm.executor.outcome import VMError, VMErrorRaised
from pygenvm.executor.primitives.abi import GlErrno, StorageType
from pygenvm.executor.subvm.genlayer_sdk.request import Refused, address, anything, blob, fields, invalid

if TYPE_CHECKING:
    from pygenvm.executor.subvm.genlayer_sdk.encoded import Encoded
    from pygenvm.executor.subvm.genlayer_sdk.guest import Guest


def _state(value: Encoded | None) -> StorageType:
    """0 is treated as 2, the latest non-final state."""
    state = None if value is None else value.natural(len(StorageType))
    if state is None:
        raise invalid()
    return StorageType(state or StorageType.LATEST_NON_FINAL)


_ETH_CALL = (("address", address), ("calldata", blob))
_CALL_CONTRACT = (("address", address), ("calldata", anything), ("state", _state))


def eth_call(vm: Guest, payload: Encoded) -> bytes:
    """The raw answer of an EVM contract to a read-only call. ``forbidden`` in a nondet VM or without permission."""
    receiver, data = fields(payload, _ETH_CALL)
    _require_may_call_others(vm)
    return vm.services.host.eth_call(receiver, data)


def call_contract(vm: Guest, payload: Encoded) -> bytes:
    """The result of another contract, run to its end in a VM of its own; its VM error ends the caller too.

    ``forbidden`` in a nondet VM or without permission.
    """
    callee, data, state = fields(payload, _CALL_CONTRACT)
    _require_may_call_others(vm)
    outcome = vm.services.spawn.call_contract(vm.spec, callee, data.encoding, state)
    if isinstance(outcome, VMError):
        raise VMErrorRaised(outcome.message, outcome.cause)
    return outcome.to_bytes()


def _require_may_call_others(vm: Guest) -> None:
    if not vm.deterministic or not vm.spec.permissions.call_others:
        raise Refused(GlErrno.FORBIDDEN)
