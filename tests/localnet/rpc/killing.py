"""Kills ``genvm local serve`` under load, again and again: ``python -m tests.localnet.rpc.killing 100``.

As :mod:`tests.localnet.network.killing`, but the process is the command, its contracts run in real executors, and who
uses it are clients at its port: in anybody's name, and with signed transactions that are sent again after each kill.
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pygenvm.localnet.chain import accounts
from pygenvm.localnet.rpc.client import Client, RpcFailure, Unreachable
from tests.localnet.clients.serving import Server, serving
from tests.localnet.rpc.signing import address_of, sign
from tests.localnet.rpc.vectors import KEY

CLIENTS = 6
CONTRACTS = 3
COUNTER = b"""\
# v0.2.16
# { "Depends": "py-genlayer:test" }
from genlayer import *

class Counter(gl.Contract):
    count: u256

    def __init__(self):
        self.count = u256(0)

    @gl.public.write.payable
    def add(self) -> None:
        self.count += 1

    @gl.public.view
    def get(self) -> int:
        return self.count
"""
_NAMED = [address.as_hex for address in accounts.names()]
_SECONDS = 600.0


@dataclass
class Load:
    """What clients have done so far; ``signed`` are the bytes of what was acknowledged, by id."""

    contracts: list[str] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    signed: dict[str, str] = field(default_factory=dict)
    again: int = 0
    strange: list[str] = field(default_factory=list)

    def begin(self, server: Server) -> None:
        client = server.client
        for _ in range(CONTRACTS):
            deployed = client.wait(client.deploy(COUNTER, sender=_NAMED[0]))
            self.contracts.append(deployed["data"]["contract_address"])
        client.wait(client.submit(_transfer(_NAMED[0], address_of(KEY), 10**6)), status="FINALIZED")

    def send_again(self, server: Server) -> None:
        """What was acknowledged by a process that is no more: it must be known by its bytes."""
        for id, raw in list(self.signed.items())[-5:]:
            if server.client.call("eth_sendRawTransaction", raw) != id:
                self.strange.append(f"{id} was taken again")
            self.again += 1

    def run(self, server: Server, seconds: float) -> None:
        """Uses the server until it is killed after so many seconds."""
        threads = [threading.Thread(target=self._use, args=(server.url, number)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        server.process.kill()
        server.process.wait()
        for thread in threads:
            thread.join()

    def _use(self, url: str, number: int) -> None:
        client = Client(url, timeout=30.0)
        try:
            while True:
                if number == 0:
                    self._sign(client)
                elif random.random() < 0.3:
                    sender, recipient = random.sample(_NAMED, 2)
                    self.acknowledged.append(client.submit(_transfer(sender, recipient, 1)))
                else:
                    contract, sender = random.choice(self.contracts), random.choice(_NAMED)
                    self.acknowledged.append(client.write(contract, "add", sender=sender, value=1))
                time.sleep(random.random() * 0.05)
        except Unreachable:
            pass
        except RpcFailure as error:
            self.strange.append(f"{error.method}: {error}")

    def _sign(self, client: Client) -> None:
        nonce = int(client.call("eth_getTransactionCount", address_of(KEY)), 16)
        raw = "0x" + sign(b"", nonce=nonce, value=1, to=random.choice(_NAMED)).hex()
        id = client.call("eth_sendRawTransaction", raw)
        self.acknowledged.append(id)
        self.signed[id] = raw

    def examine(self, server: Server) -> str:
        """:raises AssertionError: something is lost, or was done twice."""
        client = server.client
        # Reading all of them again and again would leave it no time for its work.
        for id in self.acknowledged:
            client.wait(id, status="FINALIZED", timeout=_SECONDS)
        deadline = time.monotonic() + _SECONDS
        while True:
            found = list(client.transactions())
            if all(one["status"] in ("FINALIZED", "CANCELED") for one in found):
                break
            assert time.monotonic() < deadline, "transactions do not become final"
            time.sleep(1.0)
        ids = [one["hash"] for one in found]
        lost = set(self.acknowledged) - set(ids)
        twice = len(ids) - len(set(ids))
        for contract in self.contracts:
            effective = [
                one
                for one in found
                if one["type"] == 2
                and one["to_address"] == contract
                and one["txExecutionResultName"] == "FINISHED_WITH_RETURN"
            ]
            twice += abs(client.read(contract, "get") - len(effective))
            assert int(client.call("eth_getBalance", contract), 16) == len(effective)
        nonces = [one["nonce"] for one in found if one["from_address"] == address_of(KEY)]
        twice += len(nonces) - len(set(nonces))
        total = sum(int(one["balance"]) for one in client.call("genvm_getAccounts"))
        assert total == accounts.START_BALANCE * len(_NAMED), total
        assert not lost, f"{len(lost)} acknowledged transactions are lost"
        assert not twice, f"{twice} were done twice"
        assert not self.strange, self.strange
        return (
            f"{len(self.acknowledged)} transactions acknowledged by processes that were killed, {len(ids)} there,"
            f" {len(lost)} lost, {twice} twice, {self.again} sent again and known"
        )


def _transfer(sender: str, recipient: str, value: int) -> dict[str, Any]:
    return {"kind": "transfer", "sender": sender, "recipient": recipient, "value": str(value)}


def kill(times: int, folder: Path, *, seconds: float = 1.0) -> str:
    """Kills so many servers, and says what was found."""
    load = Load()
    words = ("--validators", "3", "--finality-window", "0.1")
    with serving(folder, *words) as server:
        load.begin(server)
    for number in range(times):
        with serving(folder, *words) as server:
            load.send_again(server)
            load.run(server, random.uniform(0.05, seconds))
        if number % 10 == 9:
            print(f"{number + 1} killed, {len(load.acknowledged)} acknowledged", file=sys.stderr, flush=True)
    with serving(folder, *words) as server:
        return load.examine(server)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        print(kill(int(sys.argv[1]), Path(folder)))


if __name__ == "__main__":
    main()
