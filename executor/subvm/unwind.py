"""Exceptions by which a host function ends its VM; no wasm code can catch them."""

from __future__ import annotations


class ContractReturn(Exception):
    """gl_call Return: ends the VM with ``calldata`` (canonical bytes) as its result."""

    def __init__(self, calldata: bytes) -> None:
        self.calldata = calldata


class ContractRollback(Exception):
    """gl_call Rollback: ends the VM with a user error."""

    def __init__(self, message: str) -> None:
        self.message = message
