"""An operator that commits to what another has committed to, and repeats what it reveals.

``python -m tests.settlement.copycat RPC KEY_FILE TASK VICTIM``; it says how each of its transactions ended.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from pygenvm.settlement.blocks.signatures import Secp256k1Key
from pygenvm.settlement.blocks.transactions import Call, Commit, Reveal, sign
from pygenvm.settlement.operator.client import Client, ServiceError
from pygenvm.settlement.types.words import Hash
from tests.settlement.engines import A_CHAIN


def _hash(text: str) -> Hash:
    return Hash(bytes.fromhex(text[2:]))


async def _send(client: Client, key: Secp256k1Key, call: Call) -> None:
    account = await client.get(f"/accounts/0x{key.address.hex()}")
    transaction = sign(key, A_CHAIN, account["nextNonce"], call)
    await client.submit(transaction.encode())
    while (outcome := await client.get(f"/transactions/0x{transaction.id.hex()}"))["status"] == "waiting":
        await asyncio.sleep(0.02)
    print(json.dumps({"message": f"{type(call).__name__} ended", **outcome}), flush=True)


async def _by(client: Client, task: str, member: str, victim: str) -> dict[str, Any]:
    while True:
        for one in (await client.get(f"/tasks/{task}"))[member]:
            if one["operator"] == victim:
                return dict(one)
        await asyncio.sleep(0.02)


async def _revealed(client: Client, task: str, victim: str) -> Reveal:
    """As the block has it."""
    await _by(client, task, "reveals", victim)
    height = (await client.get("/chain"))["height"]
    while True:
        for one in (await client.get(f"/blocks/{height}"))["transactions"]:
            if (one["kind"], one["sender"], one["call"].get("taskId")) == ("reveal", victim, task):
                call = one["call"]
                return Reveal(_hash(task), _hash(call["output"]), _hash(call["embedding"]), _hash(call["nonce"]))
        height -= 1


async def main(rpc: str, key_file: str, task: str, victim: str) -> None:
    key = Secp256k1Key(bytes.fromhex(Path(key_file).read_text()))
    client = Client(rpc)
    try:
        commitment = (await _by(client, task, "commits", victim))["commitment"]
        await _send(client, key, Commit(_hash(task), _hash(commitment)))
        await _send(client, key, await _revealed(client, task, victim))
    except ServiceError as error:
        print(json.dumps({"message": "refused", "name": error.name}), flush=True)
    finally:
        await client.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5]))
