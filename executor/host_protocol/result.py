"""Reading the results that travel between executor and node (spec executor/05)."""

from __future__ import annotations

from typing import Any

from pygenvm.executor.frozen import Frozen
from pygenvm.executor.host_protocol.codec import ProtocolViolation
from pygenvm.executor.outcome import ContractOutcome, InternalError, Outcome, Return, UserError, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import ResultCode

#: How our own executor begins the text of an internal error.
INTERNAL_ERROR_PREFIX = "internal error: "


class ConsumedResult(metaclass=Frozen):
    """How a run ended, as consume_result tells a node."""

    outcome: Outcome
    fingerprint: Any = None
    """Decoded calldata, ``{"frames": [...], "module_instances": {...}}`` or None; only errors of a contract have it."""


def decode_result(result: bytes) -> ConsumedResult:
    """Reads the content of a consume_result slice.

    A VM error whose payload is not the map is an internal error with the payload as text. Raises
    :class:`ProtocolViolation` for an empty result, an unknown code, or a user error without its map.
    """
    if not result:
        raise ProtocolViolation("empty result")
    code, payload = result[0], result[1:]
    if code == ResultCode.RETURN:
        return ConsumedResult(Return(payload))
    if code not in (ResultCode.USER_ERROR, ResultCode.VM_ERROR):
        raise ProtocolViolation(f"result of unknown kind {code}")
    try:
        details = calldata.decode(payload)
    except ValueError:
        details = None
    if isinstance(details, dict) and isinstance(details.get("message"), str):
        kind = UserError if code == ResultCode.USER_ERROR else VMError
        return ConsumedResult(kind(details["message"]), details.get("fingerprint"))
    if code == ResultCode.USER_ERROR:
        raise ProtocolViolation("user error without fingerprint and message")
    return ConsumedResult(InternalError(payload.decode("utf-8", "replace").removeprefix(INTERNAL_ERROR_PREFIX)))


def decode_leader_result(result: bytes) -> ContractOutcome:
    """Outcome of the leader's block from result code byte and payload.

    Raises :class:`ProtocolViolation` for an empty result, an unknown code or an error text that is not UTF-8. The
    calldata of a Return is not looked at.
    """
    if not result:
        raise ProtocolViolation("empty leader result")
    code, payload = result[0], result[1:]
    if code == ResultCode.RETURN:
        return Return(payload)
    if code not in (ResultCode.USER_ERROR, ResultCode.VM_ERROR):
        raise ProtocolViolation(f"leader result of unknown kind {code}")
    try:
        message = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProtocolViolation(f"leader result is not UTF-8: {error}") from None
    return UserError(message) if code == ResultCode.USER_ERROR else VMError(message)
