"""An executor in this process, whose contracts are small Python functions that talk to the host directly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pygenvm.executor.host_protocol.codec import deploy_contract_data, eth_send_data, post_message_data
from pygenvm.executor.host_protocol.host import Host, HostErrorReply
from pygenvm.executor.outcome import Outcome, Return, UserError, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import CODE_SLOT, StorageType
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.spawn.output import Captured
from pygenvm.localnet.executors.base import RunReport, RunRequest

DATA_SLOT = bytes(32)


class Rollback(Exception):
    """Ends a fake contract with a user error."""


class Trap(Exception):
    """Ends a fake contract with a VM error."""


@dataclass
class Run:
    """What a fake contract sees."""

    host: Host
    address: Address
    sender: Address
    origin: Address
    value: int
    method: str | None
    args: list[Any]
    is_init: bool
    node_address: str
    node: str

    async def read(self, index: int, length: int, kind: StorageType = StorageType.DEFAULT) -> bytes:
        return await self.host.storage_read(kind, self.address, DATA_SLOT, index, length)

    async def write(self, index: int, data: bytes) -> None:
        await self.host.storage_write(DATA_SLOT, index, data)

    async def post(self, to: Address, method: str | None, *args: Any, value: int = 0, on: str = "finalized") -> None:
        call = {} if method is None else {"method": method, "args": list(args)}
        await self.host.post_message(to, calldata.encode(call), post_message_data(on, value))

    async def deploy(self, code: bytes, *, salt: int = 0, value: int = 0) -> None:
        await self.host.deploy_contract(calldata.encode({}), code, deploy_contract_data("finalized", salt, value))

    async def eth_send(self, to: Address, value: int) -> None:
        await self.host.eth_send(to, b"", eth_send_data(value))


def encode_result(outcome: Outcome) -> bytes:
    """Content of consume_result (spec executor/05)."""
    if isinstance(outcome, UserError | VMError):
        details = {"fingerprint": None, "message": outcome.message}
        return outcome.to_bytes()[:1] + calldata.encode(details)
    assert isinstance(outcome, Return)
    return outcome.to_bytes()


Contract = Callable[[Run], Awaitable[Any]]


@dataclass
class FakeExecutor:
    """``contracts`` maps code to behaviour; ``order`` lists (contract, method) of every run."""

    contracts: Mapping[bytes, Contract]
    order: list[tuple[Address, str | None]] = field(default_factory=list)
    requests: list[RunRequest] = field(default_factory=list)

    async def __call__(self, host: Host, request: RunRequest) -> RunReport:
        self.requests.append(request)
        message: Any = request.message
        call: dict[str, Any] = calldata.decode(await host.get_calldata())
        run = Run(
            host,
            Address(message["contract_address"]),
            Address(message["sender_address"]),
            Address(message["origin_address"]),
            message["value"],
            call.get("method"),
            call.get("args", []),
            message["is_init"],
            request.node_address,
            request.node,
        )
        self.order.append((run.address, run.method))
        outcome: Outcome
        try:
            size = await host.storage_read(StorageType.DEFAULT, run.address, CODE_SLOT, 0, 4)
            length = int.from_bytes(size, "little")
            code = await host.storage_read(StorageType.DEFAULT, run.address, CODE_SLOT, 4, length)
            if code not in self.contracts:
                raise Trap("invalid_contract")
            outcome = Return(calldata.encode(await self.contracts[code](run)))
        except Rollback as error:
            outcome = UserError(str(error))
        except Trap as error:
            outcome = VMError(str(error))
        except HostErrorReply as error:
            outcome = VMError(error.code.name.lower())
        await host.consume_result(encode_result(outcome))
        return RunReport(0, None, False, Captured(), Captured(), Captured(), 0.0)
