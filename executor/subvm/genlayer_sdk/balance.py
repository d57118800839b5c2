"""``get_balance`` and ``get_self_balance`` (spec executor/04)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygenvm.executor.primitives.abi import GlErrno, StorageType
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.subvm.types import U256

if TYPE_CHECKING:
    from pygenvm.executor.subvm.genlayer_sdk.guest import Guest


def get_balance(vm: Guest, address: int, result: int) -> int:
    """Balance of any address, 32 bytes little-endian; no permission is asked for."""
    memory = vm.memory
    memory.view(result, 32)
    balance = vm.services.balance(Address(memory.read(address, 20)))
    memory.write_u256(result, balance)
    return GlErrno.SUCCESS


def get_self_balance(vm: Guest, result: int) -> int:
    """Own balance; where the state is the running one, less what this VM has sent. ``forbidden`` in a nondet VM."""
    memory = vm.memory
    spec = vm.spec
    if not spec.deterministic:
        return GlErrno.FORBIDDEN
    memory.view(result, 32)
    balance = vm.services.balance(spec.message.contract_address)
    if spec.storage_type == StorageType.DEFAULT:
        balance = U256(balance - vm.value_sent)
    memory.write_u256(result, balance)
    return GlErrno.SUCCESS
