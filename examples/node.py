"""A node in miniature: deploys a contract through a manager, calls it, and shows what it says.

genvm-modules manager --port 3999 &
python examples/node.py
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pygenvm.executor.host_protocol.result import decode_result
from pygenvm.executor.host_protocol.server import Listener, listen
from pygenvm.executor.outcome import Outcome, Return
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import StorageType
from pygenvm.executor.primitives.address import Address
from pygenvm.manager.client import ManagerClient

CONTRACT = Address(bytes(19) + b"\1")
ALICE = Address(bytes(19) + b"\2")
TIME = "2026-01-01T00:00:00Z"


class Node:
    """The host of one run, as far as a contract needs it that only stores (:mod:`executor.host_protocol.host`)."""

    def __init__(self, storage: dict[bytes, bytearray], call: dict[str, Any]) -> None:
        self.storage = storage
        self.call = call
        self.outcome: Outcome | None = None

    async def get_calldata(self) -> bytes:
        return calldata.encode(self.call)

    async def storage_read(
        self, storage_type: StorageType, address: Address, slot: bytes, index: int, length: int
    ) -> bytes:
        return bytes(self.storage.get(slot, b"")[index : index + length]).ljust(length, b"\0")

    async def storage_write(self, slot: bytes, index: int, data: bytes) -> None:
        content = self.storage.setdefault(slot, bytearray())
        content.extend(bytes(max(0, index - len(content))))
        content[index : index + len(data)] = data

    async def remaining_fuel_as_gen(self) -> int:
        return (1 << 53) - 1

    async def consume_fuel(self, amount: int) -> None:
        pass

    async def consume_result(self, result: bytes) -> None:
        self.outcome = decode_result(result).outcome


def message(*, deploy: bool) -> dict[str, Any]:
    who = {"contract_address": CONTRACT.as_b64, "sender_address": ALICE.as_b64, "origin_address": ALICE.as_b64}
    return {**who, "chain_id": "0", "value": None, "is_init": deploy, "datetime": TIME}


async def carry_out(manager: ManagerClient, listener: Listener[Any], message: dict[str, Any]) -> Outcome | None:
    """One run: from the request to the result."""
    run = await manager.run(
        message=message,
        host=listener.address,
        host_data={"node_address": "0x", "tx_id": "0x"},
        timestamp=message["datetime"],
        extra_args=["--print=result"],
    )
    served = asyncio.create_task(listener.session())
    try:
        await asyncio.wait([served], timeout=1)
        # An executor that ends before it comes is seen here, and only here: a status is given once.
        status = None if served.done() else await manager.status_of(run)
        if status is None:
            await asyncio.wait([served], timeout=20 * 60)
    finally:
        await manager.stop(run, wait_ms=20)
    status = status or await manager.status_of(run)
    if not served.done() or not served.result().consumed:
        raise RuntimeError(f"the run crashed: {status and status.stderr}")
    outcome: Outcome | None = served.result().host.outcome
    return outcome


async def main(url: str, code: bytes) -> None:
    storage: dict[bytes, bytearray] = {}
    calls: list[dict[str, Any]] = [
        {"args": ["hello"]},
        {"method": "update_storage", "args": ["world"]},
        {"method": "get_storage"},
    ]
    with tempfile.TemporaryDirectory() as folder:
        async with ManagerClient(url) as manager:
            for key, value in await manager.deploy_writes(code, TIME):
                await Node(storage, {}).storage_write(key[:32], int.from_bytes(key[32:], "little"), value)
            for call in calls:
                host: Callable[[], Any] = partial(Node, storage, call)
                async with listen(host, f"unix://{folder}/host.sock") as listener:
                    outcome = await carry_out(manager, listener, message(deploy="method" not in call))
                answer = calldata.decode(outcome.calldata) if isinstance(outcome, Return) else outcome
                print(f"{call.get('method', 'deploy')}: {answer!r}")


if __name__ == "__main__":
    address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:3999"
    if address.startswith("-"):
        sys.exit("usage: python examples/node.py [ADDRESS of a manager, http://127.0.0.1:3999 by default]")
    asyncio.run(main(address, (Path(__file__).parent / "contracts" / "storage.py").read_bytes()))
