"""A VM that sees nothing but the files that it is given: no host, no modules, time zero, the same randomness always.

What a program makes in such a VM depends on the program and those files only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

from pygenvm.executor import limits
from pygenvm.executor.message import ExtendedMessage, Message
from pygenvm.executor.observer import NOBODY
from pygenvm.executor.outcome import InstallationFault
from pygenvm.executor.primitives.abi import EntryKind, StorageType
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.runner.actions import DerivedFiles, PathAndContent
from pygenvm.executor.subvm.artefacts import ArtefactStore
from pygenvm.executor.subvm.budget import RamPool
from pygenvm.executor.subvm.linking import host_linker
from pygenvm.executor.subvm.spec import Permissions, VmSpec
from pygenvm.executor.subvm.types import Slot
from pygenvm.executor.subvm.vm import SubVM
from pygenvm.executor.subvm.wasmtime_c import Linker

_NOBODY = Address(bytes(20))
NO_PERMISSIONS = Permissions()


def _nothing() -> None:
    """Nobody interrupts it."""


class ClosedWorld:
    """The services of one such VM. Its output is kept, as far as it is the end of it."""

    locked_slots: frozenset[Slot] = frozenset()
    debug_mode = False
    observer = NOBODY

    def __init__(
        self,
        artefacts: ArtefactStore,
        check_interrupted: Callable[[], None] = _nothing,
        host_functions: Linker | None = None,
        derive: Callable[[str, Sequence[PathAndContent]], DerivedFiles] | None = None,
    ) -> None:
        """``derive`` is what the VM's builder may ask for (:meth:`executor.subvm.services.Spawner.derive`)."""
        self.artefacts = artefacts
        self.check_interrupted = check_interrupted
        self.host_functions = host_functions or host_linker()
        self.host = self.modules = self.entropy = _Nobody()
        self.spawn = _Nobody() if derive is None else _Deriver(derive)
        self.console = _LastOutput()
        self._pool = RamPool(limits.CLOSED_RAM_BYTES)

    def vm(self, entry_data: bytes) -> SubVM:
        """The VM, whose message holds ``entry_data`` and is otherwise empty."""
        return SubVM(self.spec(entry_data), self)

    @staticmethod
    def spec(entry_data: bytes, permissions: Permissions = NO_PERMISSIONS) -> VmSpec:
        """That of the VM."""
        message = ExtendedMessage.main(Message(_NOBODY, _NOBODY, _NOBODY, 0, 0, False, 0, 0))
        content = message.encode(EntryKind.MAIN, entry_data)
        return VmSpec(message, EntryKind.MAIN, content, True, permissions, StorageType.DEFAULT, False)

    @property
    def output(self) -> bytes:
        """The end of what the VM has written."""
        return self.console.kept

    def pool(self, _deterministic: bool) -> RamPool:
        return self._pool

    def balance(self, address: Address) -> NoReturn:
        raise _asked_for("balance")


class _LastOutput:
    """Console that keeps the end of both streams."""

    def __init__(self) -> None:
        self.kept = b""

    def write(self, _fd: int, data: bytes) -> None:
        self.kept = (self.kept + data)[-limits.CLOSED_OUTPUT_BYTES :]

    def trace(self, text: str, since_start: int, since_last: int) -> None:
        """Times would differ."""


class _Nobody:
    """Host, modules, chance and other VMs of a VM that has none: whatever it asks for, it is refused.

    The VM has no permission and is deterministic, so it asks for little of it.
    """

    def storage_read(self, *_: object, **__: object) -> NoReturn:
        raise _asked_for("storage_read")

    def storage_write(self, *_: object, **__: object) -> NoReturn:
        raise _asked_for("storage_write")

    def eth_call(self, *_: object, **__: object) -> NoReturn:
        raise _asked_for("eth_call")

    def eth_send(self, *_: object, **__: object) -> NoReturn:
        raise _asked_for("eth_send")

    def post_message(self, *_: object, **__: object) -> NoReturn:
        raise _asked_for("post_message")

    def deploy_contract(self, *_: object, **__: object) -> NoReturn:
        raise _asked_for("deploy_contract")

    def post_event(self, *_: object, **__: object) -> NoReturn:
        raise _asked_for("post_event")

    def ask(self, *_: object, **__: object) -> NoReturn:
        raise _asked_for("ask")

    def random(self) -> NoReturn:
        raise _asked_for("random")

    def runtime(self, *_: object, **__: object) -> NoReturn:
        raise _asked_for("runtime")

    def call_contract(self, *_: object, **__: object) -> NoReturn:
        raise _asked_for("call_contract")

    def sandbox(self, *_: object, **__: object) -> NoReturn:
        raise _asked_for("sandbox")

    def run_nondet(self, *_: object, **__: object) -> NoReturn:
        raise _asked_for("run_nondet")

    def derive(self, *_: object, **__: object) -> DerivedFiles:
        raise _asked_for("derive")

    def image(self, *_: object, **__: object) -> None:
        """It has none."""


class _Deriver(_Nobody):
    def __init__(self, derive: Callable[[str, Sequence[PathAndContent]], DerivedFiles]) -> None:
        self.derive = derive  # type: ignore[assignment]


def _asked_for(what: str) -> InstallationFault:
    return InstallationFault(f"a program that sees only its files asked for `{what}`")
