"""Return, Rollback and Trace (spec executor/04)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NoReturn

from pygenvm.executor.primitives import calldata
from pygenvm.executor.subvm.genlayer_sdk.request import invalid, only_entry, text
from pygenvm.executor.subvm.unwind import ContractReturn, ContractRollback

if TYPE_CHECKING:
    from pygenvm.executor.subvm.genlayer_sdk.encoded import Encoded
    from pygenvm.executor.subvm.genlayer_sdk.guest import Guest

#: Contracts below this version do not know the message.
TRACE_SINCE = (0, 1, 10)


def contract_return(vm: Guest, payload: Encoded) -> NoReturn:
    """End the VM with the canonical encoding of ``payload``, which may be any value, as its result."""
    raise ContractReturn(payload.to_bytes())


def rollback(vm: Guest, payload: Encoded) -> NoReturn:
    """End the VM with a user error whose message is the text ``payload``."""
    raise ContractRollback(text(payload))


def trace(vm: Guest, payload: Encoded) -> bytes | None:
    """``{Message: str}`` logs a line; ``{RuntimeMicroSec: null}`` gives the VM's age in microseconds.

    ``inval`` for contracts that declare a version before v0.1.10.
    """
    if vm.version is None or vm.version < TRACE_SINCE:
        raise invalid()
    kind, value = only_entry(payload) if payload.is_map else (text(payload), None)
    now = time.monotonic_ns()
    if kind == "Message":
        vm.services.console.trace(text(value), (now - vm.created_ns) // 1000, (now - vm.traced_ns) // 1000)
        vm.traced_ns = now
        return None
    if kind != "RuntimeMicroSec" or not (value is None or value.is_null):
        raise invalid()
    # Time is not deterministic, so contracts of real runs see none.
    visible = vm.services.debug_mode or not vm.deterministic
    return calldata.encode(vm.services.entropy.runtime((now - vm.created_ns) // 1000) if visible else 0)
