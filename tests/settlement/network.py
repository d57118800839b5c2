"""A settlement service and operators, each a process of its own, and what a test asks of them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp

from pygenvm.settlement.blocks.signatures import Secp256k1Key
from pygenvm.settlement.blocks.transactions import Call, ImportIntent, Register, sign
from pygenvm.settlement.codec.hashes import prompt_hash
from pygenvm.settlement.codec.intent import Intent
from pygenvm.settlement.types.words import Hash
from pygenvm.settlement.verifier.checks import Finding, check
from pygenvm.settlement.verifier.document import read
from tests.settlement.chains import ETHER, KEYS, OPERATOR_KEYS, REQUESTER, REQUESTER_KEY
from tests.settlement.engines import A_CHAIN, SPEC, intent
from tests.settlement.vectors import word

GENESIS = {
    "cChain": "c-chain",
    "aChain": "a-chain",
    "balances": {"0x" + key.address.hex(): str(3 * ETHER) for key in OPERATOR_KEYS}
    | {"0x" + REQUESTER.hex(): str(100 * ETHER)},
}
PROMPT = b"Which is the highest mountain?"
PATIENCE = 40.0


class Process:
    """A program whose log lines are read."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[dict[str, Any]] = []
        self.text = ""
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, *arguments: str) -> Process:
        pipe = asyncio.subprocess.PIPE
        return cls(await asyncio.create_subprocess_exec(sys.executable, "-m", *arguments, stdout=pipe))

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.text += line.decode()
            with suppress(ValueError):
                self.lines.append(json.loads(line))

    async def said(self, message: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            while True:
                for line in self.lines:
                    if line.get("message") == message:
                        return line
                if self._reading.done():
                    raise AssertionError(f"the process ended and said {self.lines}")
                await asyncio.sleep(0.02)

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE):
            status = await self._process.wait()
            await self._reading
            return status

    async def stop(self) -> int:
        with suppress(ProcessLookupError):
            self._process.terminate()
        return await self.ended()

    async def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self.ended()


class Network:
    service: Process
    base: str

    def __init__(self, folder: Path, http: aiohttp.ClientSession) -> None:
        self.folder = folder
        self.operators: dict[bytes, Process] = {}
        self._http = http

    # --- the service ---

    async def start(self, *options: str) -> None:
        self.service = await Process.start(
            "pygenvm.cli.main",
            "settlement",
            "serve",
            f"--genesis={self.folder / 'genesis.json'}",
            f"--state={self.folder / 'state.db'}",
            "--commitments=signed",
            "--port=0",
            "--block-seconds=0",
            *options,
        )
        self.base = (await self.service.said("settlement listening"))["address"]

    async def restart(self, *options: str) -> None:
        """As after a power cut."""
        await self.service.kill()
        await self.start(*options)

    async def get(self, path: str) -> Any:
        async with self._http.get(f"{self.base}/v1/settlement{path}") as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def post(self, path: str, body: object) -> tuple[int, Any]:
        async with self._http.post(f"{self.base}/v1/settlement{path}", json=body) as response:
            return response.status, await response.json()

    async def send(self, key: Secp256k1Key, call: Call, **members: str) -> str:
        account = await self.get(f"/accounts/0x{key.address.hex()}")
        transaction = sign(key, A_CHAIN, account["nextNonce"], call)
        body = {"transaction": "0x" + transaction.encode().hex(), **members}
        status, answer = await self.post("/transactions", body)
        assert status == 202, answer
        return str(answer["id"])

    async def blocks(self, count: int = 1) -> list[dict[str, Any]]:
        status, answer = await self.post("/blocks", {"count": count})
        assert status == 200, answer
        return list(answer["blocks"])

    async def to_height(self, height: int) -> None:
        """So that the next block has this height."""
        now = (await self.get("/chain"))["height"]
        if height - 1 > now:
            await self.blocks(height - 1 - now)

    async def until(self, path: str, wanted: Callable[[Any], bool]) -> Any:
        async with asyncio.timeout(PATIENCE):
            while not wanted(found := await self.get(path)):
                await asyncio.sleep(0.03)
        return found

    async def waiting(self, count: int) -> None:
        await self.until("/chain", lambda chain: chain["waiting"] == count)

    # --- lives of tasks ---

    async def register_all(self) -> None:
        for number, key in enumerate(OPERATOR_KEYS):
            await self.send(key, Register(2 * ETHER, SPEC, word(0x80 + number)))
        await self.blocks()

    async def ask(self, c_tx: int = 1) -> tuple[Intent, dict[str, Any]]:
        asked = replace(intent(REQUESTER, c_tx=c_tx, reward=ETHER), prompt_hash=prompt_hash(PROMPT))
        asked = replace(asked, intent_id=asked.computed_id())
        await self.send(REQUESTER_KEY, ImportIntent(asked), prompt="0x" + PROMPT.hex())
        await self.blocks()
        found = await self.get(f"/intents/0x{asked.intent_id.hex()}")
        return asked, await self.get(f"/tasks/{found['taskId']}")

    async def operate(self, address: str, *answer: str, options: Sequence[str] = ()) -> Process:
        """Starts the operator with this address; a second time with what it has left on disk."""
        key = KEYS[bytes.fromhex(address[2:])]  # type: ignore[index]
        process = await Process.start(
            "pygenvm.cli.main", "operator", "run", f"--rpc={self.base}", *self.own(key), *options, "--", *answer
        )
        self.operators[key.address] = process
        return process

    async def copycat(self, address: str, task: str, victim: str) -> Process:
        key = KEYS[bytes.fromhex(address[2:])]  # type: ignore[index]
        file = self.own(key)[0].removeprefix("--key-file=")
        process = await Process.start("tests.settlement.copycat", self.base, file, task, victim)
        self.operators[key.address] = process
        return process

    def own(self, key: Secp256k1Key) -> tuple[str, str, str]:
        file = self.folder / f"{key.address.hex()}.key"
        file.touch(mode=0o600)
        file.write_text(key.secret.hex())
        return f"--key-file={file}", f"--state={self.folder / key.address.hex()}", "--poll-seconds=1"

    async def receipt(self, intent_id: Hash) -> tuple[dict[str, Any], list[Finding]]:
        """And what an offline check with the root of a block finds."""
        found = await self.get(f"/receipts/0x{intent_id.hex()}")
        root = await self.get(f"/roots/{(await self.get('/chain'))['height']}")
        async with self._http.get(f"{self.base}/v1/settlement/receipts/0x{intent_id.hex()}/document") as response:
            document = read(await response.text())
        return found, check(document, Hash(bytes.fromhex(root["receiptRoot"][2:])))


@asynccontextmanager
async def network(folder: Path, *options: str) -> AsyncIterator[Network]:
    """Blocks are made when the test asks for them."""
    (folder / "genesis.json").write_text(json.dumps(GENESIS))
    async with aiohttp.ClientSession() as http:
        found = Network(folder, http)
        try:
            await found.start(*options)
            yield found
        finally:
            for process in found.operators.values():
                await process.kill()
            await found.service.kill()
