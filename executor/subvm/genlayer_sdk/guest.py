"""What the handlers of this package need of the VM that calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pygenvm.executor.runner.contract import Version
    from pygenvm.executor.subvm.memory import GuestMemory
    from pygenvm.executor.subvm.services import Services
    from pygenvm.executor.subvm.spec import VmSpec


class ResultFiles(Protocol):
    """Files that hold results of ``gl_call``."""

    def open_result(self, content: bytes) -> int:
        """The number of a new read-only file.

        :raises OutOfMemory: the RAM budget refuses its length, or the number.
        """
        ...


class Guest(Protocol):
    """The calling VM: :class:`executor.subvm.vm.SubVM`."""

    value_sent: int
    """Sent with messages by this VM; below 2**256, as no more than the balance can be sent (spec executor/03)."""
    traced_ns: int
    """When it last wrote a line of ``Trace``, by :func:`time.monotonic_ns`; when it was made, if it never did."""

    @property
    def spec(self) -> VmSpec: ...

    @property
    def deterministic(self) -> bool:
        """That of ``spec``."""
        ...

    @property
    def version(self) -> Version | None:
        """What the contract's header declares; None for a program that is no contract."""
        ...

    @property
    def created_ns(self) -> int:
        """When it was made, by :func:`time.monotonic_ns`."""
        ...

    @property
    def memory(self) -> GuestMemory:
        """The memory of the instance that makes the current call.

        :raises InternalErrorRaised: it exports none.
        """
        ...

    @property
    def wasi(self) -> ResultFiles: ...

    @property
    def services(self) -> Services: ...
