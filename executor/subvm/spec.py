"""What distinguishes one sub-VM of a run from another (spec executor/03)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygenvm.executor.frozen import Frozen, replaced

if TYPE_CHECKING:
    from pygenvm.executor.message import ExtendedMessage
    from pygenvm.executor.primitives.abi import EntryKind, StorageType


class Permissions(metaclass=Frozen):
    """What a VM may do (spec executor/03)."""

    read_storage: bool = False
    write_storage: bool = False
    send_messages: bool = False
    call_others: bool = False
    spawn_nondet: bool = False
    emit_events: bool = False
    """No letter stands for it."""
    strict_views: bool = False
    """What is called may neither send nor emit events. Ours; by the specification it does that for the caller."""

    @classmethod
    def parse(cls, text: str) -> Permissions:
        """Any subset of ``rwscn``, each letter at most once. In place of ``s``, ``S`` is sending with strict views.

        :raises ValueError: another letter, or one given twice.
        """
        if len(set(text.lower())) != len(text) or set(text) - set("rwsScn"):
            raise ValueError(f"Invalid permissions {text}")
        read, write, call, nondet = (letter in text for letter in "rwcn")
        send, strict = "s" in text.lower(), "S" in text
        return cls(read, write, send, call, nondet, emit_events=True, strict_views=strict)

    def of_callee(self) -> Permissions:
        """Those of a contract that is called (spec executor/03 "Permissions")."""
        if self.strict_views:
            return replaced(self, write_storage=False, send_messages=False, emit_events=False)
        return replaced(self, write_storage=False)

    def of_sandbox(self, allow_write_ops: bool) -> Permissions:
        """Those of a sandbox (spec executor/03 "Permissions")."""
        return Permissions(
            write_storage=self.write_storage and allow_write_ops,
            send_messages=self.send_messages and allow_write_ops,
            emit_events=self.emit_events,
        )


class VmSpec(metaclass=Frozen):
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
