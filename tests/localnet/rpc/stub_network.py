"""A network without contracts, for tests of what stands in front of it: a call stores its first argument.

Transactions are accepted at once, by five validators. What a real network does is tested with a real one.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pygenvm.executor.outcome import Outcome, Return, UserError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet.chain.model import AccountInfo, ContractInfo, Kind, Receipt, Status, Transaction
from pygenvm.localnet.chain.network.errors import (
    ContractNotFound,
    InsufficientFunds,
    NonceTooLow,
    TransactionNotFound,
    ValidatorNotFound,
)
from pygenvm.localnet.chain.network.hub import Hub, Listener
from pygenvm.localnet.chain.network.network import Network
from pygenvm.localnet.chain.network.types import (
    Appeals,
    Block,
    EventKind,
    Model,
    NetworkTransaction,
    NodeMode,
    NodeReceipt,
    NodeTrace,
    Provider,
    Round,
    RoundLabel,
    RoundResult,
    StatusChange,
    Submission,
    Summary,
    TimeState,
    Trace,
    TxKind,
    TxStatus,
    Validator,
    Variant,
    VoteWord,
    summary_of,
)
from pygenvm.localnet.schema import SchemaDocument

SCHEMA: SchemaDocument = {
    "ctor": {"params": [["initial_storage", "string"]], "kwparams": {}},
    "methods": {
        "get_storage": {"params": [], "kwparams": {}, "readonly": True, "ret": "string"},
        "update_storage": {
            "params": [["new_storage", "string"]],
            "kwparams": {},
            "readonly": False,
            "payable": False,
            "ret": "null",
        },
    },
}
NULL = Return(b"\0")
GPT = Model("openai", "gpt-4o")


def _now() -> datetime:
    return datetime.now(UTC)


class StubNetwork(Network):
    def __init__(self, *, window: float = 0.0) -> None:
        self.all: dict[bytes, NetworkTransaction] = {}
        self.storage: dict[Address, Any] = {}
        self.codes: dict[Address, bytes] = {}
        self.balances: dict[Address, int] = {}
        self.nonces: dict[Address, int] = {}
        self.kept: dict[int, Any] = {}
        self.window = window
        self.offset = 0.0
        self.blocks: list[Block] = [Block(0, bytes(32), bytes(32), int(time.time()), ())]
        self.nodes = [self._validator(number, 1 + number) for number in range(1, 6)]
        self.hub = Hub()
        self.reading = 0
        self.read_at_once = 0
        self.read_seconds = 0.0

    def _validator(self, number: int, stake: int, model: Model = GPT) -> Validator:
        return Validator(number, Address(number.to_bytes(20, "big")), stake, model, _now())

    @property
    def chain_id(self) -> int:
        return 61999

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    # --- transactions ---

    async def submit(self, submission: Submission) -> bytes:
        id = submission.id or hashlib.sha256(repr((len(self.all), submission)).encode()).digest()
        if id in self.all:
            return id
        sender = submission.sender
        nonce = self.nonces.get(sender, 0) if submission.nonce is None else submission.nonce
        if nonce < self.nonces.get(sender, 0):
            raise NonceTooLow(f"nonce too low: {nonce}", expected=self.nonces[sender])
        if submission.value > self.balances.get(sender, 0):
            raise InsufficientFunds("the sender has less than the value")
        self.nonces[sender] = nonce + 1
        recipient = submission.recipient
        if submission.kind is TxKind.DEPLOY:
            recipient = Address(id[:20])
            self.codes[recipient] = submission.code
        outcome = None if submission.kind is TxKind.TRANSFER else self._execute(recipient, submission.calldata)
        self.balances[sender] = self.balances.get(sender, 0) - submission.value
        self.balances[recipient] = self.balances.get(recipient, 0) + submission.value
        number = len(self.blocks)
        parent = self.blocks[-1].hash
        self.blocks.append(Block(number, hashlib.sha256(id).digest(), parent, int(time.time()), (id,)))
        status = TxStatus.FINALIZED if not self.window or outcome is None else TxStatus.ACCEPTED
        self.all[id] = NetworkTransaction(
            seq=len(self.all) + 1,
            id=id,
            kind=submission.kind,
            status=status,
            sender=sender,
            recipient=recipient,
            origin=sender,
            nonce=nonce,
            value=submission.value,
            calldata=submission.calldata,
            code=submission.code,
            mode=submission.mode,
            validators=submission.validators,
            rotations=submission.rotations,
            datetime_override=submission.datetime,
            virtual=submission.virtual,
            raw=submission.raw,
            created_at=_now(),
            block=number,
            triggered_by=None,
            triggered_on="",
            triggered=(),
            rounds=() if outcome is None else (self._round(submission.calldata, outcome),),
            status_changes=(StatusChange(TxStatus.PENDING, _now()), StatusChange(status, _now())),
            result=RoundResult.MAJORITY_AGREE,
            rotation_count=0,
            appeals=Appeals(),
            decided_at=_now(),
            finalized_at=None,
            credited=True,
        )
        self.tell(EventKind.TRANSACTION, id=id, address=recipient, status=status)
        return id

    def _execute(self, contract: Address, data: bytes) -> Outcome:
        call = calldata.decode(data)
        assert isinstance(call, dict)
        args = call.get("args", [])
        assert isinstance(args, list)
        match call.get("method"):
            case "get_storage":
                return Return(calldata.encode(self.storage.get(contract)))
            case "fail":
                return UserError("no such luck")
        if args:
            self.storage[contract] = args[0]
        return NULL

    def _round(self, data: bytes, outcome: Outcome) -> Round:
        leader, *others = self.nodes
        receipts = [NodeReceipt(one, NodeMode.VALIDATOR, VoteWord.AGREE, outcome, data) for one in others]
        return Round(
            0,
            RoundLabel.ACCEPTED,
            NodeReceipt(leader, NodeMode.LEADER, None, outcome, data),
            tuple(receipts),
            RoundResult.MAJORITY_AGREE,
            (StatusChange(TxStatus.ACCEPTED, _now()),),
        )

    async def transaction(self, id: bytes) -> NetworkTransaction:
        if id not in self.all:
            raise TransactionNotFound(id)
        return self.all[id]

    async def transactions_of(
        self, address: Address, count: int = 100, *, size: int = 1 << 62
    ) -> list[NetworkTransaction]:
        return [one for one in await self.recent(count) if address in (one.sender, one.recipient)]

    async def recent(
        self, count: int = 50, before: int | None = None, *, size: int = 1 << 62
    ) -> list[NetworkTransaction]:
        return [one for one in reversed(self.all.values()) if before is None or one.seq < before][:count]

    async def summaries(self, count: int = 50, before: int | None = None) -> list[Summary]:
        return [summary_of(one) for one in await self.recent(count, before)]

    async def summary(self, id: bytes) -> Summary:
        return summary_of(await self.transaction(id))

    async def wait(
        self, id: bytes, *, status: TxStatus | None = None, timeout: float | None = None
    ) -> NetworkTransaction:
        found = await self.transaction(id)
        if status not in (None, found.status):
            await asyncio.sleep(timeout or 0)
            raise TimeoutError
        return found

    async def appeal(self, id: bytes) -> bool:
        return (await self.transaction(id)).status.appealable

    async def finalize(self, id: bytes) -> bool:
        return await self._become(id, TxStatus.FINALIZED)

    async def cancel(self, id: bytes) -> None:
        await self._become(id, TxStatus.CANCELED)

    async def set_status(self, id: bytes, status: TxStatus) -> NetworkTransaction:
        await self._become(id, status)
        return self.all[id]

    async def _become(self, id: bytes, status: TxStatus) -> bool:
        self.all[id] = dataclasses.replace(await self.transaction(id), status=status)
        return True

    async def trace(self, id: bytes, round: int = 0) -> Trace | None:
        rounds = (await self.transaction(id)).rounds
        if not 0 <= round < len(rounds):
            return None
        leader = self.nodes[0].address
        node = NodeTrace(leader, NodeMode.LEADER, None, NULL, "out", "err", '{"level":"info"}\nplain', 0.1, "")
        return Trace(id, round, RoundLabel.ACCEPTED, (node,))

    async def settlement_receipt(self, intent_id: bytes) -> bytes | None:
        return None

    # --- accounts and blocks ---

    async def nonce(self, address: Address) -> int:
        return self.nonces.get(address, 0)

    async def received(self, address: Address) -> int:
        return sum(one.recipient == address for one in self.all.values())

    async def balance(self, address: Address) -> int:
        return self.balances.get(address, 0)

    async def fund(self, address: Address, amount: int) -> bytes:
        self.balances[address] = self.balances.get(address, 0) + amount
        return await self.submit(Submission(TxKind.TRANSFER, Address(bytes(20)), address))

    async def accounts(self) -> list[AccountInfo]:
        return [AccountInfo(one, "", value, 0, one in self.codes) for one, value in self.balances.items()]

    async def block_number(self) -> int:
        return len(self.blocks) - 1

    async def block(self, which: int | bytes | None = None) -> Block | None:
        if which is None:
            return self.blocks[-1]
        if isinstance(which, bytes):
            return next((one for one in self.blocks if which == one.hash or which in one.transactions), None)
        return self.blocks[which] if which < len(self.blocks) else None

    # --- contracts ---

    def _known(self, contract: Address) -> None:
        if contract not in self.codes:
            raise ContractNotFound(contract.as_hex)

    async def read(self, contract: Address, calldata: bytes, *, sender: Any = None, **_: Any) -> Receipt:
        self._known(contract)
        self.reading += 1
        self.read_at_once = max(self.reading, self.read_at_once)
        await asyncio.sleep(self.read_seconds)
        self.reading -= 1
        outcome = self._execute(contract, calldata)
        status = Status.OK if isinstance(outcome, Return) else Status.FAILED
        transaction = Transaction(Kind.VIEW, contract, contract, contract, 0, calldata)
        return Receipt(transaction, status, outcome, bytes(32), "")

    async def simulate(self, submission: Submission, *, variant: Variant = Variant.ACCEPTED) -> NodeReceipt:
        if submission.kind is TxKind.CALL:
            self._known(submission.recipient)
        before = dict(self.storage)
        outcome = self._execute(submission.recipient, submission.calldata)
        self.storage = before
        return NodeReceipt(self.nodes[0], NodeMode.LEADER, None, outcome, submission.calldata)

    async def schema(self, contract: Address) -> SchemaDocument:
        self._known(contract)
        return SCHEMA

    async def schema_of_code(self, code: bytes) -> SchemaDocument:
        return SCHEMA

    async def contract(self, address: Address) -> ContractInfo | None:
        return ContractInfo(address, "", 1, True) if address in self.codes else None

    async def contracts(self) -> list[ContractInfo]:
        return [ContractInfo(one, "", number, True) for number, one in enumerate(self.codes)]

    async def code(self, contract: Address) -> bytes:
        self._known(contract)
        return self.codes[contract]

    async def slots(self, contract: Address, variant: Variant = Variant.ACCEPTED) -> dict[bytes, bytes]:
        return {bytes(32): b"x"}

    async def upgrade(self, contract: Address, code: bytes, *, sender: Address | None = None) -> bytes:
        self._known(contract)
        self.codes[contract] = code
        return await self.submit(Submission(TxKind.UPGRADE, contract, contract, code=code))

    async def deployer(self, contract: Address) -> Address | None:
        return next((one.sender for one in self.all.values() if one.recipient == contract), None)

    # --- validators ---

    async def validators(self) -> list[Validator]:
        return self.nodes

    async def validator(self, address: Address) -> Validator:
        for one in self.nodes:
            if one.address == address:
                return one
        raise ValidatorNotFound(f"no validator {address!s}")

    async def create_validator(self, stake: int, model: Model) -> Validator:
        self.nodes.append(self._validator(len(self.nodes) + 1, stake, model))
        return self.nodes[-1]

    async def create_random_validators(
        self, count: int, min_stake: int, max_stake: int, providers: Sequence[str] = (), models: Sequence[str] = ()
    ) -> list[Validator]:
        return [await self.create_validator(min_stake, GPT) for _ in range(count)]

    async def update_validator(self, address: Address, stake: int, model: Model) -> Validator:
        number = self.nodes.index(await self.validator(address))
        self.nodes[number] = dataclasses.replace(self.nodes[number], stake=stake, model=model)
        return self.nodes[number]

    async def delete_validator(self, address: Address) -> None:
        self.nodes.remove(await self.validator(address))

    async def delete_all_validators(self) -> None:
        self.nodes = []

    async def providers(self) -> list[Provider]:
        return [Provider(1, GPT, True, True, True)]

    async def add_provider(self, model: Model) -> int:
        return 2

    async def update_provider(self, number: int, model: Model) -> None: ...

    async def delete_provider(self, number: int) -> None: ...

    async def reset_providers(self) -> None: ...

    async def install_mocks(self, llm: Any, web: Any, *, strict: bool = False) -> tuple[int, int]:
        return len(llm or ()), len(web or ())

    async def mocks(self) -> tuple[Any, Any, bool]:
        return {}, {}, False

    # --- time, snapshots ---

    async def finality_window(self) -> float:
        return self.window

    async def set_finality_window(self, seconds: float) -> None:
        self.window = seconds

    async def time(self) -> TimeState:
        return TimeState(self.offset, _now() + timedelta(seconds=self.offset))

    async def increase_time(self, seconds: float) -> TimeState:
        self.offset += seconds
        return await self.time()

    async def set_time(self, now: datetime | None) -> TimeState:
        self.offset = 0.0 if now is None else (now - _now()).total_seconds()
        return await self.time()

    async def create_snapshot(self) -> int:
        self.kept[len(self.kept) + 1] = (dict(self.storage), dict(self.codes), dict(self.all), dict(self.nonces))
        return len(self.kept)

    async def restore_snapshot(self, number: int) -> bool:
        if number not in self.kept:
            return False
        self.storage, self.codes, self.all, self.nonces = map(dict, self.kept[number])
        return True

    async def delete_snapshot(self, number: int) -> bool:
        return self.kept.pop(number, None) is not None

    async def delete_all_snapshots(self) -> int:
        count = len(self.kept)
        self.kept.clear()
        return count

    async def snapshots(self) -> list[int]:
        return list(self.kept)

    async def snapshot_times(self) -> dict[int, datetime]:
        return dict.fromkeys(self.kept, _now())

    async def clear(self, tables: Sequence[str] = ()) -> None:
        for one in (self.storage, self.codes, self.all, self.nonces, self.balances):
            one.clear()

    async def export(self) -> bytes:
        return b"everything"

    async def load(self, file: bytes) -> None:
        self.loaded = file

    # --- events ---

    def tell(self, kind: EventKind, **of: Any) -> None:
        self.hub.publish(kind, _now(), **of)

    def events(self) -> Listener:
        return self.hub.listen()
