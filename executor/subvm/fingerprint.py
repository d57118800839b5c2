"""Fingerprint of a failed VM: where it stopped and what its memories held (spec executor/05)."""

from __future__ import annotations

from typing import Any

from blake3 import blake3

from pygenvm.executor.frozen import frozen
from pygenvm.executor.subvm.memory import GuestMemory


@frozen
class Fingerprint:
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
    return blake3(memory.whole()).digest()
