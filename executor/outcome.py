"""Outcomes of a sub-VM and the exceptions that lead to them (spec executor/05).

Three kinds of failure exist and never mix: what the contract decided (:class:`UserError`), what the VM stopped it for
(:class:`VMError`), and what is no verdict on the contract at all (:class:`InternalError`). Code below the supervisor
signals the last two with :class:`VMErrorRaised` and :class:`InternalErrorRaised`.

An internal error has somebody to blame (:class:`Blame`), so that an operator knows where to look. It is raised as one
of the ``…Fault`` classes below; any other exception is a bug of ours, or the machine's refusal (:func:`blame_of`).
The blame is for people: it stands in the log and in the metrics, and never reaches the host or a contract.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from types import TracebackType
from typing import TypeAlias

from pygenvm.executor.frozen import Frozen, uncompared
from pygenvm.executor.primitives.abi import ResultCode, VmError


class Return(metaclass=Frozen):
    """The contract returned; ``calldata`` is the canonical encoding of the value."""

    calldata: bytes

    def to_bytes(self) -> bytes:
        """Code byte and payload, the form of sub-VM results and leader results."""
        return bytes([ResultCode.RETURN]) + self.calldata


class UserError(metaclass=Frozen):
    """The contract gave up with a text of its own choice."""

    message: str

    def to_bytes(self) -> bytes:
        return bytes([ResultCode.USER_ERROR]) + self.message.encode()


class VMError(metaclass=Frozen):
    """The VM stopped the contract; ``message`` is one of the strings of spec executor/05.

    ``cause`` is text for people only; it never reaches the host or a contract.
    """

    message: str
    cause: str = uncompared(default="")

    def to_bytes(self) -> bytes:
        return bytes([ResultCode.VM_ERROR]) + self.message.encode()


class Blame(StrEnum):
    """Whose fault an internal error is; the values stand in the log and in the metrics."""

    #: The host closed the connection, answered what the protocol does not have, or did not do its part.
    HOST = "host"
    #: The LLM or the web module could not be reached, was too slow or answered nonsense.
    MODULE = "module"
    #: The contract broke an interface where the specification makes that an internal error (spec executor/05).
    GUEST = "guest"
    #: The machine or what is installed on it: disk, memory, the compiler's limits, the files of runners.
    INSTALLATION = "installation"
    #: Ourselves: a bug, or a request that we refuse to send because the run is over.
    EXECUTOR = "executor"
    #: The error was read from a result: the wire does not tell.
    UNKNOWN = "unknown"


class InternalError(metaclass=Frozen):
    """The run failed, and nothing follows from it for the contract, not even if its code is to blame.

    ``cause`` is what was caught, if anything was, for the log.
    """

    message: str
    blame: Blame = uncompared(default=Blame.UNKNOWN)
    cause: BaseException | None = uncompared(default=None)

    @classmethod
    def of(cls, error: BaseException, message: str | None = None) -> InternalError:
        """What it means that ``error`` ended the run; ``message`` instead of its own text."""
        if message is None:
            expected = isinstance(error, InternalErrorRaised)
            message = str(error) if expected else f"{type(error).__name__}: {error}"
        return cls(message, blame_of(error), error)


ContractOutcome: TypeAlias = Return | UserError | VMError
Outcome: TypeAlias = ContractOutcome | InternalError


class VMErrorRaised(Exception):
    """Ends the current sub-VM with a :class:`VMError`."""

    def __init__(self, message: str, cause: str = "") -> None:
        super().__init__(f"{message}: {cause}" if cause else message)
        self.error = VMError(message, cause)


class InvalidContract(VMErrorRaised):
    """The contract cannot be set up: ``invalid_contract``, or ``invalid_contract <detail>``."""

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(f"{VmError.INVALID_CONTRACT} {detail}".rstrip(), cause)


class OutOfMemory(VMErrorRaised):
    """The RAM budget of the mode refused a charge (spec executor/08)."""

    def __init__(self, cause: str = "") -> None:
        super().__init__(str(VmError.OOM), cause)


class InternalErrorRaised(Exception):
    """Ends the whole run with an :class:`InternalError`."""

    def __init__(self, message: str, blame: Blame) -> None:
        super().__init__(message)
        self.blame = blame


class HostFault(InternalErrorRaised):
    """The host is to blame (:attr:`Blame.HOST`)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Blame.HOST)


class ModuleFault(InternalErrorRaised):
    """A module is to blame (:attr:`Blame.MODULE`)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Blame.MODULE)


class GuestFault(InternalErrorRaised):
    """The contract is to blame after all (:attr:`Blame.GUEST`)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Blame.GUEST)


class InstallationFault(InternalErrorRaised):
    """The machine or the installation is to blame (:attr:`Blame.INSTALLATION`)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Blame.INSTALLATION)


class ExecutorFault(InternalErrorRaised):
    """We are to blame (:attr:`Blame.EXECUTOR`)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Blame.EXECUTOR)


def blame_of(error: BaseException) -> Blame:
    """Whose fault an exception is that ends a run, also one that nobody expected."""
    match error:
        case InternalErrorRaised(blame=blame):
            return blame
        case MemoryError() | OSError():
            return Blame.INSTALLATION
    return Blame.EXECUTOR


def steps_of(error: BaseException) -> Iterator[TracebackType]:
    """The functions that an exception came through, innermost last.

    Not by the standard library's `traceback`: it would have to be loaded, maybe when memory or descriptors ran out.
    """
    step = error.__traceback__
    while step is not None:
        yield step
        step = step.tb_next
