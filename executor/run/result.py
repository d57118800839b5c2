"""How a run ended, and what the host is told of it (spec executor/05 "Payload of consume_result")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygenvm.executor import limits
from pygenvm.executor.frozen import Frozen
from pygenvm.executor.host_protocol.result import INTERNAL_ERROR_PREFIX
from pygenvm.executor.outcome import InternalError, Outcome, Return, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import ResultCode, VmError

if TYPE_CHECKING:
    from pygenvm.executor.subvm.fingerprint import Fingerprint


class RunResult(metaclass=Frozen):
    """How the main VM ended. ``disagreement``: lowest call number of a disagreeing nondet block."""

    outcome: Outcome
    fingerprint: Fingerprint | None
    disagreement: int | None = None

    def payload(self) -> bytes:
        """Content of consume_result."""
        match self.outcome:
            case Return():
                return self.outcome.to_bytes()
            case InternalError(message=message):
                # Its 'i' announces an integer, so a host can never mistake the text for the map below.
                text = INTERNAL_ERROR_PREFIX + message[: limits.INTERNAL_ERROR_CHARS]
                return bytes([ResultCode.VM_ERROR]) + text.encode("utf-8", "replace")
        fingerprint = None if self.fingerprint is None else self.fingerprint.to_value()
        message = self.outcome.message
        return self.outcome.to_bytes()[:1] + calldata.encode({"fingerprint": fingerprint, "message": message})

    def interrupted(self) -> RunResult:
        """The same run when a termination signal arrived before its result was sent (spec executor/05)."""
        match self.outcome:
            case VMError():
                return RunResult(TIMEOUT.outcome, self.fingerprint, self.disagreement)
            case InternalError():
                return TIMEOUT
        return self


#: Ended by a signal before anything was known.
TIMEOUT = RunResult(VMError(str(VmError.TIMEOUT)), None)
