"""What distinguishes one sub-VM of a run from another (spec executor/03)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygenvm.executor.frozen import frozen

if TYPE_CHECKING:
    from pygenvm.executor.message import ExtendedMessage
    from pygenvm.executor.primitives.abi import EntryKind, StorageType


@frozen
class Permissions:
    """What a VM may do (spec executor/03)."""

    read_storage: bool = False
    write_storage: bool = False
    send_messages: bool = False
    call_others: bool = False
    spawn_nondet: bool = False

    @classmethod
    def parse(cls, text: str) -> Permissions:
        """Any subset of ``rwscn``, each letter at most once.

        :raises ValueError: another letter, or one given twice.
        """
        if len(set(text)) != len(text) or set(text) - set("rwscn"):
            raise ValueError(f"Invalid permissions {text}")
        return cls("r" in text, "w" in text, "s" in text, "c" in text, "n" in text)


@frozen
class VmSpec:
    """Everything that distinguishes one VM of a run from another."""

    message: ExtendedMessage
    entry: EntryKind
    input: bytes
    """Content of fd 0: the message, encoded with what this VM is to do."""
    deterministic: bool
    permissions: Permissions
    storage_type: StorageType
    wants_fingerprint: bool
    depth: int = 0
    """How many VMs it runs inside of."""
