"""Our own extensions: what the page and ``genvm local`` need beyond the methods that everybody knows."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits
from pygenvm.localnet.chain.network.types import (
    DEFAULT_ROTATIONS,
    DEFAULT_VALIDATORS,
    ZERO_ADDRESS,
    NetworkTransaction,
    Submission,
    TxKind,
    TxMode,
    TxStatus,
    Variant,
)
from pygenvm.localnet.chain.runs import VIEW_PERMISSIONS
from pygenvm.localnet.rpc import objects
from pygenvm.localnet.rpc.errors import FAILED, NOT_FOUND, RpcError, invalid
from pygenvm.localnet.rpc.lookup import document_of
from pygenvm.localnet.rpc.receipts import receipt_of
from pygenvm.localnet.rpc.registry import BOOL, HEX, LIST, NULL, OBJECT, Methods, Node
from pygenvm.localnet.rpc.registry import TEXT as TEXT_RESULT
from pygenvm.localnet.rpc.values import (
    ADDRESS,
    AMOUNT,
    BYTES,
    CODE,
    FLAG,
    HASH,
    INTEGER,
    NUMBER,
    SECONDS,
    SIM_CONFIG,
    STATUS,
    TEXT,
    VARIANT,
    Kind,
    Param,
    SimConfig,
    parse_integer,
    parse_object,
    parse_text,
    quoted,
)
from pygenvm.localnet.rpc.wire import encode

METHODS = Methods()

_HASH: Final = Param("transaction_hash", HASH)
_CONTRACT: Final = Param("contract_address", ADDRESS)
_VARIANT: Final = Param("variant", VARIANT, default=Variant.ACCEPTED)
_WAIT_MAX: Final = 600.0


# --- what there is ---


@METHODS.add("genvm_getStatus", result=OBJECT)
async def get_status(node: Node) -> dict[str, Any]:
    """What kind of network this is."""
    network = node.network
    return {
        "version": node.version,
        "instance": node.instance,
        "chain_id": network.chain_id,
        "block": await network.block_number(),
        "validators": len(await network.validators()),
        "finality_window": await network.finality_window(),
        "time": objects.time_object(await network.time()),
        "snapshots": await network.snapshots(),
    }


@METHODS.add("genvm_getAccounts", result=LIST)
async def get_accounts(node: Node) -> list[Any]:
    """The named accounts, contracts, and every other address with a balance; balances are decimal texts."""
    return [
        {
            "address": info.address.as_hex,
            "name": info.name,
            "balance": str(info.balance),
            "nonce": info.nonce,
            "is_contract": info.is_contract,
        }
        for info in await node.network.accounts()
    ]


@METHODS.add("genvm_getContracts", result=LIST)
async def get_contracts(node: Node) -> list[Any]:
    """All contracts in the order of their deployment."""
    return [
        {"address": info.address.as_hex, "name": info.name, "number": info.number, "top_level": info.top_level}
        for info in await node.network.contracts()
    ]


@METHODS.add("genvm_getState", _CONTRACT, _VARIANT, result=OBJECT, stops=True)
async def get_state(node: Node, address: Address, variant: Variant) -> dict[str, Any]:
    """The storage of a contract, decoded as far as its own Python can."""
    from pygenvm.localnet.documents import state_document

    async with node.running():
        return state_document(await node.network.state(address, variant))


@METHODS.add(
    "genvm_getTransactions",
    Param("count", INTEGER, default=50),
    Param("before", NUMBER, default=None),
    result=LIST,
)
async def get_transactions(node: Node, count: int, before: int | None) -> list[Any]:
    """The newest transactions, fewer if they are large; ``seq`` of the last one as ``before`` gives those before it."""
    found = await node.network.recent(
        min(max(count, 0), limits.RPC_TRANSACTIONS), before, size=limits.RPC_TRANSACTIONS_BYTES
    )
    return [{**await document_of(node, one), "seq": one.seq} for one in found]


async def _receipt_document(node: Node, transaction: NetworkTransaction) -> dict[str, Any]:
    info = await node.network.contract(transaction.recipient)
    receipt = receipt_of(transaction, info.name if info else "")
    return {"receipt": encode(receipt), "triggered": [objects.hex_of(child) for child in transaction.triggered]}


@METHODS.add("genvm_getReceipt", _HASH, result=OBJECT)
async def get_receipt(node: Node, id: bytes) -> dict[str, Any]:
    """What `genvm local` shows of a transaction, and the ids of those that it has triggered."""
    return await _receipt_document(node, await node.network.transaction(id))


@METHODS.add("genvm_getReceipts", Param("count", INTEGER, default=50), result=LIST)
async def get_receipts(node: Node, count: int) -> list[Any]:
    """The same of the newest transactions."""
    found = await node.network.recent(min(max(count, 0), limits.RPC_TRANSACTIONS), size=limits.RPC_TRANSACTIONS_BYTES)
    return [await _receipt_document(node, one) for one in found]


def _parse_view(value: Any) -> dict[str, Any]:
    document = parse_object(value)
    if unknown := document.keys() - _OF_VIEW.keys():
        raise invalid(f"unknown member {sorted(unknown)[0][:80]!r}")
    return {name: param.read(document.get(name)) for name, param in _OF_VIEW.items()}


def _parse_permissions(value: Any) -> str:
    text = parse_text(value)
    if not set(text) <= set(VIEW_PERMISSIONS):
        raise invalid(f"a subset of {VIEW_PERMISSIONS!r}, not {quoted(text)}")
    return text


_OF_VIEW: Final = {
    param.name: param
    for param in (
        Param("contract", ADDRESS),
        Param("calldata", BYTES),
        Param("sender", ADDRESS, default=ZERO_ADDRESS),
        Param("origin", ADDRESS, default=None),
        Param("permissions", Kind(_parse_permissions, {}), default=VIEW_PERMISSIONS),
        Param("sync", FLAG, default=False),
    )
}


@METHODS.add("genvm_view", Param("request", Kind(_parse_view, {"type": "object"})), result=OBJECT, stops=True)
async def view(node: Node, request: dict[str, Any]) -> Any:
    """Calls a contract without effect; a receipt as `genvm local` shows it, also of a failure."""
    async with node.running():
        receipt = await node.network.read(request.pop("contract"), request.pop("calldata"), **request)
    return encode(receipt)


@METHODS.add("genvm_getSettlementReceipt", Param("intent_id", HASH), result=OBJECT)
async def get_settlement_receipt(node: Node, intent: bytes) -> Any:
    """The document of a settled round, for ``genvm receipt verify``."""
    import json

    document = await node.network.settlement_receipt(intent)
    if document is None:
        raise RpcError(NOT_FOUND, f"no settled round {objects.hex_of(intent)}")
    return json.loads(document)


# --- transactions ---


def _parse_submission(value: Any) -> Submission:
    document = parse_object(value)
    known = ("kind", "sender", "recipient", "value", "calldata", "code", "mode", "validators", "rotations", "salt")
    if unknown := document.keys() - {*known, "name", "sim_config"}:
        raise invalid(f"unknown member {sorted(unknown)[0][:80]!r}")

    def read(name: str, kind: Kind, default: Any = ...) -> Any:
        return Param(name, kind, default).read(document.get(name))

    config: SimConfig = read("sim_config", SIM_CONFIG, SimConfig())
    kind = _parse_kind(document.get("kind"))
    return Submission(
        kind,
        read("sender", ADDRESS),
        read("recipient", ADDRESS, ZERO_ADDRESS) if kind is TxKind.DEPLOY else read("recipient", ADDRESS),
        value=read("value", AMOUNT, 0),
        calldata=read("calldata", BYTES, b"\x06"),
        code=read("code", CODE, b""),
        mode=read("mode", Kind(_parse_mode, {}), TxMode.NORMAL),
        validators=read("validators", Kind(_parse_count, {}), DEFAULT_VALIDATORS),
        rotations=read("rotations", Kind(_parse_count, {}), DEFAULT_ROTATIONS),
        salt=read("salt", AMOUNT, 0),
        name=read("name", TEXT, ""),
        datetime=config.datetime,
        virtual=config.virtual,
    )


def _parse_kind(value: Any) -> TxKind:
    names = {"transfer": TxKind.TRANSFER, "deploy": TxKind.DEPLOY, "call": TxKind.CALL}
    if not isinstance(value, str) or value not in names:
        raise invalid(f"kind is one of {', '.join(names)}, not {quoted(value)}")
    return names[value]


def _parse_mode(value: Any) -> TxMode:
    try:
        return TxMode(parse_text(value))
    except ValueError:
        raise invalid(f"one of {', '.join(TxMode)}, not {quoted(value)}") from None


def _parse_count(value: Any) -> int:
    number = parse_integer(value)
    if not 0 <= number <= 10_000:
        raise invalid("from 0 to 10000")
    return number


@METHODS.add("genvm_submit", Param("submission", Kind(_parse_submission, {"type": "object"})), result=HEX)
async def submit(node: Node, submission: Submission) -> str:
    """Takes a transaction in the name of any account, without a signature; its id, once it is on the disk."""
    if submission.kind is TxKind.DEPLOY and not submission.code:
        raise invalid("code is missing")
    return objects.hex_of(await node.submit(submission))


@METHODS.add(
    "genvm_waitForTransaction",
    _HASH,
    Param("status", STATUS, default=None),
    Param("timeout", SECONDS, default=60.0),
    result=OBJECT,
    stops=True,
)
async def wait_for_transaction(node: Node, id: bytes, status: TxStatus | None, timeout: float) -> dict[str, Any]:
    """The transaction once it is decided, or has a status."""
    try:
        found = await node.network.wait(id, status=status, timeout=min(max(timeout, 0.0), _WAIT_MAX))
    except TimeoutError:
        found = await node.network.transaction(id)
        text = f"after {timeout:g} s the transaction is {found.status}"
        raise RpcError(FAILED, text, {"hash": objects.hex_of(id), "status": str(found.status)}) from None
    return await document_of(node, found)


@METHODS.add("genvm_appealTransaction", _HASH, result=BOOL)
async def appeal_transaction(node: Node, id: bytes) -> bool:
    """Asks for another opinion of a decided transaction; false: it cannot be appealed now."""
    transaction = await node.network.transaction(id)
    voted = {address for round_ in transaction.rounds for address in round_.votes}
    everybody = {validator.address for validator in await node.network.validators()}
    if transaction.status is TxStatus.ACCEPTED and everybody and everybody <= voted and not transaction.virtual:
        text = f"all {len(everybody)} validators have judged it already: create more, then appeal again"
        raise RpcError(FAILED, text, {"hash": objects.hex_of(id)})
    return await node.network.appeal(id)


@METHODS.add("genvm_finalizeTransaction", _HASH, result=BOOL)
async def finalize_transaction(node: Node, id: bytes) -> bool:
    """Ends the finality window of a decided transaction; false: it is not decided, or final already."""
    return await node.network.finalize(id)


# --- snapshots and the file ---


@METHODS.add("genvm_getSnapshots", result=LIST)
async def get_snapshots(node: Node) -> list[int]:
    """Numbers of the snapshots, oldest first."""
    return await node.network.snapshots()


@METHODS.add("genvm_deleteSnapshot", Param("snapshot_id", INTEGER), result=BOOL)
async def delete_snapshot(node: Node, number: int) -> bool:
    """Forgets a snapshot; false if there is none of that number."""
    return await node.network.delete_snapshot(number)


@METHODS.add("genvm_exportState", result=TEXT_RESULT)
async def export_state(node: Node) -> str:
    """The whole network as a file, in base64: for ``genvm local serve --fork`` and genvm_importState."""
    return base64.b64encode(await node.network.export()).decode("ascii")


def _parse_base64(value: Any) -> bytes:
    try:
        return base64.b64decode(parse_text(value), validate=True)
    except (binascii.Error, ValueError):
        raise invalid("it is not base64") from None


@METHODS.add("genvm_importState", Param("file", Kind(_parse_base64, {"type": "string"})), result=NULL)
async def import_state(node: Node, file: bytes) -> None:
    """Goes on with the state of an exported file."""
    node.done.clear()
    await node.network.load(file)
