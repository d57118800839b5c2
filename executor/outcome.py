"""Outcomes of a sub-VM and the exceptions that lead to them (spec executor/05).

Three kinds of failure exist and never mix: the contract's (:class:`UserError`, :class:`VMError`),
the host's or our own (:class:`InternalError`). Code below the supervisor signals them with
:class:`VMErrorRaised` and :class:`InternalErrorRaised`; any other exception is a bug of ours and is
reported as an internal error.
"""

from __future__ import annotations

from typing import TypeAlias

from pygenvm.executor.frozen import frozen, uncompared
from pygenvm.executor.primitives.abi import ResultCode, VmError


@frozen
class Return:
    """The contract returned; ``calldata`` is the canonical encoding of the value."""

    calldata: bytes

    def to_bytes(self) -> bytes:
        """Code byte and payload, the form of sub-VM results and leader results."""
        return bytes([ResultCode.RETURN]) + self.calldata


@frozen
class UserError:
    """The contract gave up with a text of its own choice."""

    message: str

    def to_bytes(self) -> bytes:
        return bytes([ResultCode.USER_ERROR]) + self.message.encode()


@frozen
class VMError:
    """The VM stopped the contract; ``message`` is one of the strings of spec executor/05.

    ``cause`` is text for people only; it never reaches the host or a contract.
    """

    message: str
    cause: str = uncompared(default="")

    def to_bytes(self) -> bytes:
        return bytes([ResultCode.VM_ERROR]) + self.message.encode()


@frozen
class InternalError:
    """The host misbehaved or we did; the contract is not to blame."""

    message: str


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
