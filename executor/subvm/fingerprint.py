"""Fingerprint of a failed VM: where it stopped and what its memories held (spec executor/05)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from blake3 import blake3

from pygenvm.executor import limits
from pygenvm.executor.frozen import Frozen
from pygenvm.executor.subvm.memory import GuestMemory

#: Of zeros at the beginning of a memory, whole pieces of this size are not read.
_STEP_BYTES = 1 << 20
_ZEROS = bytes(_STEP_BYTES)


class Fingerprint(metaclass=Frozen):
    """``frames``: (module name, function index), innermost first; ``instances``: module name to memory hashes."""

    frames: list[tuple[str, int]]
    instances: dict[str, list[bytes]]

    def to_value(self) -> dict[str, Any]:
        """The calldata value that is sent to the host."""
        return {
            "frames": [{"module_name": name, "func": func} for name, func in self.frames],
            "module_instances": {name: {"memories": hashes} for name, hashes in self.instances.items()},
        }


#: Sent when the VM failed before its entry function ran.
EMPTY = Fingerprint([], {})


def hash_memory(memory: GuestMemory) -> bytes:
    """BLAKE3 (32 bytes) of the entire current content."""
    # Loaded by runs that fail.
    from pygenvm.executor.subvm.untouched import untouched_bytes

    whole = memory.whole()
    zeros = untouched_bytes(memory.address, len(whole)) // _STEP_BYTES * _STEP_BYTES
    hasher = _after_zeros(zeros).copy()
    hasher.update(whole[zeros:])
    return hasher.digest()


@lru_cache(limits.HASHES_OF_ZEROS)
def _after_zeros(size: int) -> blake3:
    """The state of the hash after so many zeros."""
    hasher = blake3()
    for _ in range(size // _STEP_BYTES):
        hasher.update(_ZEROS)
    return hasher
