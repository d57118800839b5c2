"""RunNondet: a block that a leader executes and validators judge (spec executor/04)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygenvm.executor.outcome import VMError, VMErrorRaised
from pygenvm.executor.primitives.abi import GlErrno
from pygenvm.executor.subvm.genlayer_sdk.request import Refused, big_blob, fields

if TYPE_CHECKING:
    from pygenvm.executor.subvm.genlayer_sdk.encoded import Encoded
    from pygenvm.executor.subvm.genlayer_sdk.guest import Guest

_RUN_NONDET = (("data_leader", big_blob), ("data_validator", big_blob))


def run_nondet(vm: Guest, payload: Encoded) -> bytes:
    """The leader's result, in every mode; its VM error ends the calling VM. ``forbidden`` without permission."""
    data_leader, data_validator = fields(payload, _RUN_NONDET)
    if not vm.spec.permissions.spawn_nondet:
        raise Refused(GlErrno.FORBIDDEN)
    outcome = vm.services.spawn.run_nondet(vm.spec, data_leader, data_validator)
    if isinstance(outcome, VMError):
        raise VMErrorRaised(outcome.message, outcome.cause)
    return outcome.to_bytes()
