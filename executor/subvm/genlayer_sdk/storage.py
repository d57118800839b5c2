"""``storage_read`` and ``storage_write``: one host request per call, never cached (spec executor/03, 04)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygenvm.executor import limits
from pygenvm.executor.outcome import VMErrorRaised
from pygenvm.executor.primitives.abi import GlErrno, HostErrorCode

if TYPE_CHECKING:
    from pygenvm.executor.subvm.genlayer_sdk.guest import Guest

_U32_MAX = 0xFFFF_FFFF


def storage_read(vm: Guest, slot: int, index: int, buffer: int, length: int) -> int:
    """Read ``length`` bytes at ``index`` of the slot (32 bytes at ``slot``) into ``buffer``.

    ``forbidden``: nondet VM or no read permission. ``inval``: the range does not fit u32.
    """
    # First of all: without a memory no call of a module has an errno.
    memory = vm.memory
    spec = vm.spec
    if not spec.deterministic or not spec.permissions.read_storage:
        return GlErrno.FORBIDDEN
    if index + length > _U32_MAX:
        return GlErrno.INVAL
    memory.view(buffer, length)
    data = vm.services.host.storage_read(
        spec.storage_type, spec.message.contract_address, memory.read_slot(slot), index, length
    )
    memory.write(buffer, data)
    return GlErrno.SUCCESS


def storage_write(vm: Guest, slot: int, index: int, buffer: int, length: int) -> int:
    """Write ``length`` bytes from ``buffer`` at ``index`` of the slot (32 bytes at ``slot``).

    ``forbidden``: nondet VM, no write permission, or the slot is locked. ``inval``: the range does not fit u32.

    :raises VMErrorRaised: ``out_of_storage_gas`` for more than any host takes at once, or whatever the host answers.
    """
    memory = vm.memory
    spec = vm.spec
    if not spec.deterministic or not spec.permissions.write_storage:
        return GlErrno.FORBIDDEN
    if index + length > _U32_MAX:
        return GlErrno.INVAL
    slot_id = memory.read_slot(slot)
    if slot_id in vm.services.locked_slots:
        return GlErrno.FORBIDDEN
    data = memory.view(buffer, length)
    if length > limits.STORAGE_WRITE_BYTES:
        cause = f"a write of {length} bytes, at most {limits.STORAGE_WRITE_BYTES} are sent at once"
        raise VMErrorRaised(HostErrorCode.OUT_OF_STORAGE_GAS.name.lower(), cause)
    vm.services.host.storage_write(slot_id, index, data)
    return GlErrno.SUCCESS
