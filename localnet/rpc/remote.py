"""The commands of ``genvm local`` on a network that a server has."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import stat
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits
from pygenvm.localnet.building import BeforeRun, needs_nothing
from pygenvm.localnet.chain import Chain, Execution
from pygenvm.localnet.chain.model import EMPTY_CALL, AccountInfo, ContractInfo, Kind, Receipt, Status
from pygenvm.localnet.chain.runs import VIEW_PERMISSIONS
from pygenvm.localnet.chain.state import RawSlot, StateDump
from pygenvm.localnet.errors import BadRequest, InsufficientBalance, LocalNetError, NotFound
from pygenvm.localnet.executors.base import Executor
from pygenvm.localnet.net import LocalNet
from pygenvm.localnet.private_files import write_file as write_private
from pygenvm.localnet.rpc.client import Client, RpcFailure, Unreachable
from pygenvm.localnet.rpc.wire import decode

T = TypeVar("T")
_NOT_FOUND, _INTERNAL = -32001, -32603
#: Seconds for what follows from a transaction; of the finality window, and beyond it.
_PATIENCE = 30.0


class NoServer(LocalNetError):
    """Nobody answers at the URL."""

    kind = "unreachable"


class RemoteNet(LocalNet):
    """A :class:`LocalNet` whose chain is at a server."""

    def __init__(
        self,
        client: Client,
        *,
        executor: Executor,
        timeout: float = limits.RUN_SECONDS,
        before_run: BeforeRun = needs_nothing,
    ) -> None:
        """
        :param executor: runs contracts that are not deployed, for their schemas.
        :param before_run: as of :class:`LocalNet`; the server may have its runners from the same cache.
        """
        self._begin(RemoteChain(client, executor, timeout), Path.cwd(), before_run)


class RemoteChain(Chain):
    """A :class:`Chain` that asks a server. Accounts need no keys: the server takes transactions in any name."""

    def __init__(self, client: Client, executor: Executor, timeout: float) -> None:
        # Its file is never made: only what needs none is run here.
        super().__init__(Path("no file"), executor=executor, timeout=timeout)
        self._client = client

    async def _ask_server(self, question: Callable[[Client], T]) -> T:
        try:
            return await _in_thread(lambda: question(self._client))
        except Unreachable as error:
            raise NoServer(str(error)) from error
        except RpcFailure as error:
            if error.code == _NOT_FOUND:
                raise NotFound(str(error)) from error
            if error.code == _INTERNAL:
                raise LocalNetError(str(error)) from error
            raise BadRequest(str(error)) from error

    def reading_once(self) -> contextlib.AbstractAsyncContextManager[None]:
        return contextlib.nullcontext()

    # --- commands that write ---

    async def deploy(
        self,
        code: bytes,
        data: bytes = EMPTY_CALL,
        *,
        sender: Address,
        origin: Address | None = None,
        value: int = 0,
        salt: int = 0,
        name: str = "",
        kept_at: str = "",
    ) -> Execution:
        return await self._submit(
            {
                "kind": "deploy",
                "sender": sender.as_hex,
                "value": str(value),
                "code": "0x" + code.hex(),
                "calldata": "0x" + data.hex(),
                "salt": str(salt),
                "name": name,
            },
            sender,
            origin,
        )

    async def call(
        self, contract: Address, data: bytes, *, sender: Address, origin: Address | None = None, value: int = 0
    ) -> Execution:
        return await self._submit(
            {
                "kind": "call",
                "sender": sender.as_hex,
                "recipient": contract.as_hex,
                "value": str(value),
                "calldata": "0x" + data.hex(),
            },
            sender,
            origin,
        )

    async def _submit(self, submission: dict[str, Any], sender: Address, origin: Address | None) -> Execution:
        if origin not in (None, sender):
            raise BadRequest("a server takes transactions of accounts only, whose origin they are")

        def submit(client: Client) -> Execution:
            id = client.submit(submission)
            client.wait(id, timeout=limits.REMOTE_SECONDS)
            receipt = _receipt(client, id)
            return Execution(receipt, tuple(_delivered(client, id)) if receipt.messages and receipt.ok else ())

        return await self._ask_server(submit)

    async def restore(self, snapshot: bytes) -> None:
        await self._ask_server(lambda client: client.load(snapshot))

    async def snapshot(self) -> bytes:
        return await self._ask_server(Client.export)

    # --- commands that read ---

    async def view(
        self,
        contract: Address,
        data: bytes,
        *,
        sender: Address,
        origin: Address | None = None,
        permissions: str = VIEW_PERMISSIONS,
        sync: bool = False,
    ) -> Receipt:
        request = {
            "contract": contract.as_hex,
            "calldata": "0x" + data.hex(),
            "sender": sender.as_hex,
            "origin": (origin or sender).as_hex,
            "permissions": permissions,
            "sync": sync,
        }
        found: Receipt = decode(await self._ask_server(lambda client: client.call("genvm_view", request)))
        return found

    async def check_sender(self, sender: Address, *, origin: Address | None = None, value: int = 0) -> None:
        balance = await self.balance(sender)
        if value > balance:
            raise InsufficientBalance(f"{sender!s} has {balance}, which is less than the value {value}")

    async def state(self, contract: Address) -> StateDump:
        document = await self._ask_server(lambda client: client.state(contract.as_hex))
        info = next(one for one in await self.contracts() if one.address == contract)
        slots = tuple(
            RawSlot(bytes.fromhex(one["slot"][2:]), one["name"], one["size"], bytes.fromhex(one["data"][2:]))
            for one in document["slots"]
        )
        return StateDump(info, document["balance"], document["fields"], document["note"], document["slot_count"], slots)

    async def code(self, contract: Address) -> bytes:
        return base64.b64decode(
            await self._ask_server(lambda client: client.call("gen_getContractCode", contract.as_hex))
        )

    async def kept_at(self, contract: Address) -> str:
        return ""

    async def balance(self, address: Address) -> int:
        return int(await self._ask_server(lambda client: client.call("eth_getBalance", address.as_hex)), 16)

    async def contracts(self) -> list[ContractInfo]:
        return [
            ContractInfo(Address(one["address"]), one["name"], one["number"], one["top_level"])
            for one in await self._ask_server(lambda client: client.call("genvm_getContracts"))
        ]

    async def accounts(self) -> list[AccountInfo]:
        return [
            AccountInfo(Address(one["address"]), one["name"], int(one["balance"]), one["nonce"], one["is_contract"])
            for one in await self._ask_server(lambda client: client.call("genvm_getAccounts"))
        ]

    async def log(self, count: int = limits.LOG_TRANSACTIONS) -> list[Receipt]:
        found = await self._ask_server(lambda client: client.call("genvm_getReceipts", count))
        return [decode(one["receipt"]) for one in reversed(found)]

    async def failed_deployment(self) -> Receipt | None:
        for receipt in reversed(await self.log()):
            if receipt.status in (Status.PENDING, Status.RUNNING):
                continue
            if receipt.transaction.kind is Kind.DEPLOY and not receipt.transaction.on:
                return None if receipt.status is Status.OK else receipt
        return None


async def _in_thread(work: Callable[[], T]) -> T:
    """As ``asyncio.to_thread``, whose threads a process waits for at its end: an interrupted command for the server."""
    outcome: Future[T] = Future()

    def carry_out() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    # One that is cancelled would refuse what comes of it.
    outcome.set_running_or_notify_cancel()
    threading.Thread(target=carry_out, daemon=True).start()
    return await asyncio.wrap_future(outcome)


def _receipt(client: Client, id: str) -> Receipt:
    receipt: Receipt = decode(client.call("genvm_getReceipt", id)["receipt"])
    return receipt


def _delivered(client: Client, id: str) -> list[Receipt]:
    """What follows from a transaction: messages on its acceptance, and on its finality if that comes soon."""
    window = float(client.status()["finality_window"])
    waiting = [id]
    found: list[Receipt] = []
    while waiting and len(found) < limits.DELIVERIES:
        parent = waiting.pop(0)
        # Nobody waits for half an hour to see what a call has done.
        if window <= _PATIENCE:
            with contextlib.suppress(RpcFailure):
                client.wait(parent, status="FINALIZED", timeout=window + _PATIENCE)
        for child in client.call("genvm_getReceipt", parent)["triggered"]:
            client.wait(child, timeout=_PATIENCE)
            receipt = _receipt(client, child)
            found.append(receipt)
            if receipt.messages:
                waiting.append(child)
    return found


def read_file(path: Path) -> bytes:
    """An exported state. Pipes and devices are none: they may have no end.

    :raises BadRequest: it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            state = os.fstat(descriptor)
            if not stat.S_ISREG(state.st_mode):
                raise BadRequest(f"{path} cannot be read: it is no file")
            if state.st_size > limits.STATE_FILE_BYTES:
                raise BadRequest(f"{path} cannot be read: it has more than {limits.STATE_FILE_BYTES >> 20} MiB")
            return file.read(limits.STATE_FILE_BYTES)
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}") from error


def write_file(path: Path, data: bytes) -> None:
    """Never half of it.

    :raises BadRequest: it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{datetime.now():%H%M%S%f}")
    try:
        write_private(unfinished, data)
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise BadRequest(f"{path} cannot be written: {error.strerror}") from error
