"""Sandbox: the same contract again, cut off from storage reads (spec executor/04)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pygenvm.executor.subvm.genlayer_sdk.request import blob, boolean, fields

if TYPE_CHECKING:
    from pygenvm.executor.subvm.vm import SubVM

_SANDBOX = {"data": blob, "allow_write_ops": boolean}


def sandbox(vm: SubVM, payload: Any) -> bytes:
    """VM errors of the inside are data for the outside."""
    data, allow_write_ops = fields(payload, _SANDBOX)
    return vm.services.sandbox(vm, data, allow_write_ops).to_bytes()
