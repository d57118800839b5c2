"""What a node provides to one run of an executor (spec executor/02 "Methods").

:mod:`executor.host_protocol.server` serves an implementation over a socket; the executor's side of the same
methods is :class:`executor.host_protocol.client.HostClient`.
"""

from __future__ import annotations

from typing import Protocol

from pygenvm.executor.primitives.abi import HostErrorCode, StorageType
from pygenvm.executor.primitives.address import Address


class HostErrorReply(Exception):
    """Raised by a :class:`Host` method to answer with an error byte instead of a value.

    The executor ends the VM that asked with a VM error of that name. Not possible for ``consume_result`` and
    the two requests that have no reply.
    """

    def __init__(self, code: HostErrorCode) -> None:
        if code is HostErrorCode.OK:
            raise ValueError("ok is not an error")
        super().__init__(code.name.lower())
        self.code = code


class Host(Protocol):
    """The node's side of one run. Every effect stays provisional until :meth:`consume_result` brings a Return."""

    async def get_calldata(self) -> bytes:
        """Calldata of the call; asked once, passed to the contract unchanged."""
        ...

    async def storage_read(
        self, storage_type: StorageType, address: Address, slot: bytes, index: int, length: int
    ) -> bytes:
        """Exactly ``length`` bytes from byte ``index`` of the 32-byte ``slot``; zeros where nothing was written."""
        ...

    async def storage_write(self, slot: bytes, index: int, data: bytes) -> None:
        """Writes at once, into the contract of the run. ``OUT_OF_STORAGE_GAS`` refuses."""
        ...

    async def consume_result(self, result: bytes) -> None:
        """The last request: :func:`executor.host_protocol.result.decode_result` reads ``result``."""
        ...

    async def get_leader_nondet_result(self, call_no: int) -> bytes:
        """Result code byte and payload of the leader's block ``call_no``; ``I_AM_LEADER`` when there is none yet."""
        ...

    async def post_nondet_result(self, call_no: int, result: bytes) -> None:
        """The leader's result of block ``call_no``: result code byte and payload."""
        ...

    async def post_message(self, receiver: Address, calldata: bytes, data: bytes) -> None:
        """``data`` is JSON text with ``on`` and ``value``."""
        ...

    async def post_event(self, topics: list[bytes], blob: bytes) -> None:
        """``topics`` are 32 bytes each, ``blob`` is the calldata encoding of a map."""
        ...

    async def consume_fuel(self, amount: int) -> None:
        """Has no reply. ``amount`` is below 2**64."""
        ...

    async def deploy_contract(self, calldata: bytes, code: bytes, data: bytes) -> None:
        """``data`` is JSON text with ``on``, ``salt_nonce`` and ``value``."""
        ...

    async def eth_call(self, address: Address, calldata: bytes) -> bytes:
        """Result of a read-only call of an EVM contract."""
        ...

    async def eth_send(self, address: Address, calldata: bytes, data: bytes) -> None:
        """``data`` is JSON text with ``value``."""
        ...

    async def get_balance(self, address: Address) -> int:
        """Balance below 2**256; asked once per address and run."""
        ...

    async def remaining_fuel_as_gen(self) -> int:
        """Fuel left, below 2**64 (should be at most 2**53 - 1)."""
        ...

    async def notify_nondet_disagreement(self, call_no: int) -> None:
        """Has no reply. The lowest block whose leader result this validator rejects."""
        ...
