"""``get_balance`` and ``get_self_balance`` (spec executor/04)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygenvm.executor.primitives.abi import GlErrno, StorageType
from pygenvm.executor.primitives.address import Address

if TYPE_CHECKING:
    from pygenvm.executor.subvm.vm import SubVM


def get_balance(vm: SubVM, address: int, result: int) -> int:
    """Balance of any address, 32 bytes little-endian; no permission is asked for."""
    memory = vm.memory
    memory.view(result, 32)
    balance = vm.services.balance(Address(memory.read(address, 20)))
    memory.write(result, balance.to_bytes(32, "little"))
    return GlErrno.SUCCESS


def get_self_balance(vm: SubVM, result: int) -> int:
    """Own balance; where the state is the running one, less what this VM has sent."""
    memory = vm.memory
    if not vm.spec.deterministic:
        return GlErrno.FORBIDDEN
    memory.view(result, 32)
    balance = vm.services.balance(vm.spec.message.contract_address)
    if vm.spec.storage_type == StorageType.DEFAULT:
        balance -= vm.value_sent
    memory.write(result, balance.to_bytes(32, "little"))
    return GlErrno.SUCCESS
