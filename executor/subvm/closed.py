"""A VM that sees nothing but the files that it is given: no host, no modules, time zero, the same randomness always.

What a program makes in such a VM depends on the program and those files only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pygenvm.executor import limits
from pygenvm.executor.message import ExtendedMessage, Message
from pygenvm.executor.observer import NOBODY
from pygenvm.executor.outcome import InternalErrorRaised
from pygenvm.executor.primitives.abi import StorageType
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.subvm.artefacts import ArtefactStore
from pygenvm.executor.subvm.budget import RamPool
from pygenvm.executor.subvm.linking import host_linker
from pygenvm.executor.subvm.random import SystemEntropy
from pygenvm.executor.subvm.services import Entropy
from pygenvm.executor.subvm.vm import Permissions, SubVM, VmSpec
from pygenvm.executor.subvm.wasmtime_c import Linker

_NOBODY = Address(bytes(20))


def _nothing() -> None:
    """Nobody interrupts it."""


class ClosedWorld:
    """The services of one such VM. Its output is kept, as far as it is the end of it."""

    def __init__(
        self,
        artefacts: ArtefactStore,
        check_interrupted: Callable[[], None] = _nothing,
        host_functions: Linker | None = None,
    ) -> None:
        self.artefacts = artefacts
        self.check_interrupted = check_interrupted
        self.locked_slots: frozenset[bytes] = frozenset()
        self.debug_mode = False
        self.entropy: Entropy = SystemEntropy()
        self.observer = NOBODY
        self.host_functions = host_functions or host_linker()
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
        raise InternalErrorRaised(f"a program that sees only its files asked for `{name}`")
