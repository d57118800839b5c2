"""A node that has nothing but one contract's code: for read-only runs where no host is named (spec modules/04 §6.7)."""

from __future__ import annotations

from typing import NoReturn

from pygenvm.executor.host_protocol.host import HostErrorReply
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import CODE_SLOT, HostErrorCode, SpecialMethod, StorageType
from pygenvm.executor.primitives.address import Address

#: How the folders begin that hold its socket.
SOCKET_FOLDER = "genvm-manager-"
_FUEL = (1 << 53) - 1


class SchemaHost:
    """A :class:`executor.host_protocol.host.Host` of a schema query. ``result`` is the content of consume_result."""

    def __init__(self, code: bytes) -> None:
        self._code_slot = len(code).to_bytes(4, "little") + code
        self.result: bytes | None = None

    async def get_calldata(self) -> bytes:
        return calldata.encode({"method": SpecialMethod.GET_SCHEMA.value})

    async def storage_read(
        self, storage_type: StorageType, address: Address, slot: bytes, index: int, length: int
    ) -> bytes:
        data = self._code_slot[index : index + length] if slot == CODE_SLOT else b""
        return data.ljust(length, b"\0")

    async def consume_result(self, result: bytes) -> None:
        self.result = result

    async def get_balance(self, address: Address) -> int:
        return 0

    async def remaining_fuel_as_gen(self) -> int:
        return _FUEL

    async def consume_fuel(self, amount: int) -> None:
        pass

    async def get_leader_nondet_result(self, call_no: int) -> bytes:
        _refuse()

    async def post_nondet_result(self, call_no: int, result: bytes) -> None:
        _refuse()

    async def notify_nondet_disagreement(self, call_no: int) -> None:
        pass

    async def storage_write(self, slot: bytes, index: int, data: bytes) -> None:
        _refuse()

    async def post_message(self, receiver: Address, calldata: bytes, data: bytes) -> None:
        _refuse()

    async def post_event(self, topics: list[bytes], blob: bytes) -> None:
        pass

    async def deploy_contract(self, calldata: bytes, code: bytes, data: bytes) -> None:
        _refuse()

    async def eth_call(self, address: Address, calldata: bytes) -> bytes:
        _refuse()

    async def eth_send(self, address: Address, calldata: bytes, data: bytes) -> None:
        _refuse()


def _refuse() -> NoReturn:
    raise HostErrorReply(HostErrorCode.FORBIDDEN)
