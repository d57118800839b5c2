"""The rows about the network for clients: one transaction with five validators, and many of them."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import contracts
from benchmarks.clients import Unavailable
from benchmarks.measure import Row, interleaved, scaled
from benchmarks.simulator import simulator
from benchmarks.support import BenchmarkError, call, node, own_environment, pool
from pygenvm.executor import interpreter
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet.rpc.client import Client
from pygenvm.localnet.rpc.consensus_contract import MAIN
from pygenvm.localnet.rpc.raw import abi, rlp
from pygenvm.localnet.rpc.raw.signatures import address_of_key
from pygenvm.settlement.codec.keccak import keccak256

_MS = 1e3
_WARM_UP = 2
_VALIDATORS = 5
#: Transactions that are sent at once, on one contract or on as many.
_MANY = 20
_CHAIN_ID = 61999
_EMPTY = b"\x06"
_ADD = abi.selector("addTransaction(address,address,uint256,uint256,bytes)")


class _Account:
    """Signs as clients do."""

    def __init__(self) -> None:
        from coincurve import PrivateKey

        self._key = PrivateKey(b"\x11" * 32)
        self.address = address_of_key(self._key.public_key.format(compressed=False))
        self._nonces = itertools.count()

    def raw(self, contract: Address, payload: Sequence[bytes]) -> str:
        inner = rlp.encode(payload)
        words = [self.address.as_bytes, contract.as_bytes, b"\5", b"\3", b"\xa0"]
        head = b"".join(word.rjust(32, b"\0") for word in words) + len(inner).to_bytes(32, "big")
        data = _ADD + head + inner + bytes(-len(inner) % 32)
        fields: list[rlp.Encodable] = [next(self._nonces), 0, 500_000, MAIN.as_bytes, 0, data]
        digest = keccak256(rlp.encode([*fields, _CHAIN_ID, b"", b""]))
        signature = self._key.sign_recoverable(digest, hasher=None)
        r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:64]))
        return "0x" + rlp.encode([*fields, 2 * _CHAIN_ID + 35 + signature[64], r, s]).hex()


class _Network:
    """A server with contracts that keep a text."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = Client(url)
        self._account = _Account()
        self._texts = itertools.count()
        code = contracts.storage()
        deployed = [self._send(Address(bytes(20)), [code, _EMPTY, b""]) for _ in range(_MANY)]
        self._contracts = [Address(self._decided(id)["data"]["contract_address"]) for id in deployed]

    def _send(self, contract: Address, payload: Sequence[bytes]) -> str:
        id: str = self._client.call("eth_sendRawTransaction", self._account.raw(contract, payload))
        return id

    def _decided(self, id: str) -> dict[str, Any]:
        found = self._client.wait(id)
        if found["status"] not in ("ACCEPTED", "FINALIZED") or found["txExecutionResult"] != 1:
            raise BenchmarkError(f"a transaction ended {found['status']}: {found['txExecutionResultName']}")
        return found

    def seconds(self, on: Sequence[int]) -> float:
        """Of one transaction on each contract, from the first that is sent to the last that is accepted."""
        payloads = [(self._contracts[number], [call("update", f"{next(self._texts)}"), b""]) for number in on]
        begun = time.perf_counter()
        sent = [self._send(contract, payload) for contract, payload in payloads]
        for id in sent:
            self._decided(id)
        return time.perf_counter() - begun


@contextlib.contextmanager
def _serving() -> Iterator[_Network]:
    with tempfile.TemporaryDirectory(prefix="genvm-bench-") as folder:
        words = ["local", "serve", "--json", "--port", "0", "--db", str(Path(folder, "network.db"))]
        command = interpreter.command("pygenvm.cli.main", *words, "--validators", str(_VALIDATORS))
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=own_environment(), text=True) as process:
            try:
                assert process.stdout is not None
                told = json.loads(process.stdout.readline() or "{}")
                if not told.get("ok"):
                    raise BenchmarkError(f"the server does not start: {told}")
                yield _Network(told["url"])
            finally:
                process.terminate()


@contextlib.contextmanager
def _authors_tests(url: str) -> Iterator[dict[str, Callable[[], float]]]:
    """One with gltest against the server at ``url``, and against glsim; none where that cannot be."""
    with contextlib.ExitStack() as stack:
        try:
            simulated = stack.enter_context(simulator())
        except Unavailable as error:
            print(f"left out: gltest beside glsim: {error}", file=sys.stderr)
            yield {}
            return
        yield {"gltest": lambda: simulated.seconds(url), "glsim": simulated.seconds}


def localnet(rounds: int) -> list[Row]:
    """Transactions on `genvm local serve` with five validators, beside calls of warm executors."""
    with (
        _serving() as network,
        node(contracts.storage(), call("update", "some text")) as host,
        pool(idle=_VALIDATORS) as executors,
        _authors_tests(network.url) as tests,
    ):
        samples = interleaved(
            {
                "one": lambda: network.seconds([0]),
                "calls": lambda: executors.calls([host], _VALIDATORS)[0],
                "same": lambda: network.seconds([0] * _MANY) / _MANY,
                "others": lambda: network.seconds(range(_MANY)) / _MANY,
                **tests,
            },
            rounds,
            _WARM_UP,
        )
    calls = scaled(samples["calls"], _MS)
    of_network: dict[str, Any] = {"name": "localnet", "unit": "ms"}
    common = {**of_network, "yardstick": calls, "yardstick_is": "five calls of a warm executor"}
    rows = [
        Row(
            **common,
            title="transaction with 5 validators, from eth_sendRawTransaction to ACCEPTED",
            ours=scaled(samples["one"], _MS),
            ratio_at_most=1.3,
            value_at_most=120,
        ),
        Row(
            **common,
            title=f"each of {_MANY} transactions on one contract",
            ours=scaled(samples["same"], _MS),
        ),
        Row(
            **common,
            title=f"each of {_MANY} transactions on {_MANY} contracts",
            ours=scaled(samples["others"], _MS),
        ),
    ]
    if tests:
        rows.append(
            Row(
                **of_network,
                title="a test with gltest that deploys, writes and reads, the whole command",
                ours=scaled(samples["gltest"], _MS),
                yardstick=scaled(samples["glsim"], _MS),
                yardstick_is="the same with glsim of genlayer-test 0.29.2, which has neither sandbox nor database",
            )
        )
    return rows
