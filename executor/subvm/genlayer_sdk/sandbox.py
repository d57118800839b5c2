"""Sandbox: the same contract again, cut off from storage reads (spec executor/04)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygenvm.executor.subvm.genlayer_sdk.request import big_blob, boolean, fields

if TYPE_CHECKING:
    from pygenvm.executor.subvm.genlayer_sdk.encoded import Encoded
    from pygenvm.executor.subvm.genlayer_sdk.guest import Guest

_SANDBOX = (("data", big_blob), ("allow_write_ops", boolean))


def sandbox(vm: Guest, payload: Encoded) -> bytes:
    """The result of the same contract, run with ``data``; VM errors of the inside are data for the outside."""
    data, allow_write_ops = fields(payload, _SANDBOX)
    return vm.services.spawn.sandbox(vm.spec, data, allow_write_ops).to_bytes()
