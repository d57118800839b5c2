"""A VM that sees nothing but the files that it is given: no host, no modules, time zero, the same randomness always.

What a program makes in such a VM depends on the program and those files only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pygenvm.executor import limits
from pygenvm.executor.message import ExtendedMessage, Message
from pygenvm.executor.outcome import InstallationFault
from pygenvm.executor.primitives.abi import StorageType
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.subvm.artefacts import ArtefactStore
from pygenvm.executor.subvm.budget import RamPool
from pygenvm.executor.subvm.outside import Outside
from pygenvm.executor.subvm.vm import Permissions, SubVM, VmSpec

_NOBODY = Address(bytes(20))


def _nothing() -> None:
    """Nobody interrupts it."""


class ClosedWorld:
    """The services of one such VM. Its output is kept, as far as it is the end of it."""

    def __init__(self, artefacts: ArtefactStore, check_interrupted: Callable[[], None] = _nothing) -> None:
        self.artefacts = artefacts
        self.check_interrupted = check_interrupted
        self.locked_slots: frozenset[bytes] = frozenset()
        self.debug_mode = False
        self.outside = Outside()
        self.output = b""
        self._pool = RamPool(limits.CLOSED_RAM_BYTES)

    def vm(self, entry_data: bytes) -> SubVM:
        """The VM, whose message holds ``entry_data`` and is otherwise empty."""
        message = ExtendedMessage.main(Message(_NOBODY, _NOBODY, _NOBODY, 0, 0, False, 0, 0), entry_data)
        return SubVM(VmSpec(message, True, Permissions(), StorageType.DEFAULT, False), self)

    def pool(self, _deterministic: bool) -> RamPool:
        return self._pool

    def write_stream(self, _fd: int, data: bytes) -> None:
        self.output = (self.output + data)[-limits.CLOSED_OUTPUT_BYTES :]

    def __getattr__(self, name: str) -> Any:
        raise InstallationFault(f"a program that sees only its files asked for `{name}`")
