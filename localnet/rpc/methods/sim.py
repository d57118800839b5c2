"""What a simulator can do and a real network cannot (spec localnet-rpc/01 §4.5)."""

from __future__ import annotations

import asyncio
from pathlib import PurePosixPath
from typing import Any, Final

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits
from pygenvm.localnet.chain.network.types import TxStatus
from pygenvm.localnet.rpc import objects
from pygenvm.localnet.rpc.errors import FAILED, RpcError, invalid
from pygenvm.localnet.rpc.lookup import document_of
from pygenvm.localnet.rpc.methods.gen import GEN_CALL, GenCall, run_simulation
from pygenvm.localnet.rpc.raw.signatures import recover_message
from pygenvm.localnet.rpc.registry import BOOL, HEX, INT, LIST, NULL, OBJECT, Methods, Node
from pygenvm.localnet.rpc.values import ADDRESS, AMOUNT, BYTES, CODE, HASH, INTEGER, SECONDS, STATUS, TEXT, TEXTS, Param
from pygenvm.settlement.codec.keccak import keccak256

METHODS = Methods()

_ADDRESS: Final = Param("account_address", ADDRESS)
_HASH: Final = Param("transaction_hash", HASH)
_SIGNATURE: Final = Param("signature", BYTES, default=None)
#: Of hosted networks; there is no administrator here.
_ADMIN_KEY: Final = Param("admin_key", TEXT, default=None)


@METHODS.add("sim_fundAccount", _ADDRESS, Param("amount", AMOUNT), result=HEX)
async def fund_account(node: Node, address: Address, amount: int) -> str:
    """Gives an account value out of nothing; the hash of the transaction that does it."""
    return objects.hex_of(await node.network.fund(address, amount))


@METHODS.add("sim_estimateTransactionFees", GEN_CALL, result=OBJECT, stops=True)
async def estimate_transaction_fees(node: Node, call: GenCall) -> dict[str, Any]:
    """What a transaction would cost, which is nothing, and what a leader would find."""
    receipt = objects.receipt_object(await run_simulation(node, call))
    return {
        "scenario": call.kind,
        "receipt": receipt,
        "feeAccounting": {"total": "0", "currency": "GEN"},
        "feeReport": {"executionConsumed": "0", "storageFee": "0", "messageFees": "0"},
        "recommendedPreset": {"feeValue": "0", "fees": None},
    }


# --- snapshots and time ---


@METHODS.add("sim_createSnapshot", result=INT)
async def create_snapshot(node: Node) -> int:
    """Keeps contracts, balances, nonces and transactions as they are; the number of the snapshot."""
    return await node.network.create_snapshot()


@METHODS.add("sim_restoreSnapshot", Param("snapshot_id", INTEGER), result=BOOL)
async def restore_snapshot(node: Node, number: int) -> bool:
    """Goes back to a snapshot; false if there is none of that number."""
    node.done.clear()
    return await node.network.restore_snapshot(number)


@METHODS.add("sim_deleteAllSnapshots", result=OBJECT)
async def delete_all_snapshots(node: Node) -> dict[str, Any]:
    """Forgets all snapshots."""
    return {"deleted_count": await node.network.delete_all_snapshots()}


@METHODS.add("sim_setFinalityWindowTime", Param("time", SECONDS), result=NULL)
async def set_finality_window(node: Node, seconds: float) -> None:
    """Seconds between acceptance and finality."""
    if seconds < 0:
        raise invalid("the finality window has at least 0 seconds")
    await node.network.set_finality_window(seconds)


@METHODS.add("sim_getFinalityWindowTime", result=INT)
async def get_finality_window(node: Node) -> int | float:
    """Seconds between acceptance and finality."""
    seconds = await node.network.finality_window()
    return int(seconds) if float(seconds).is_integer() else seconds


# --- transactions ---


@METHODS.add("sim_cancelTransaction", _HASH, _SIGNATURE, _ADMIN_KEY, result=OBJECT)
async def cancel_transaction(node: Node, id: bytes, signature: bytes | None, key: str | None) -> dict[str, Any]:
    """Takes back a pending transaction. A signature is only needed elsewhere, but one that is given must be right."""
    if signature is not None:
        sender = (await node.network.transaction(id)).sender
        _check_signature(keccak256(b"cancel_transaction" + id), signature, sender, "sender")
    await node.network.cancel(id)
    return {"transaction_hash": objects.hex_of(id), "status": str(TxStatus.CANCELED)}


@METHODS.add(
    "sim_upgradeContractCode",
    Param("contract_address", ADDRESS),
    Param("new_code", CODE),
    _SIGNATURE,
    _ADMIN_KEY,
    result=OBJECT,
)
async def upgrade_contract_code(
    node: Node, address: Address, code: bytes, signature: bytes | None, key: str | None
) -> dict[str, Any]:
    """Replaces a contract's code, after the transactions that wait before it. A given signature must be right."""
    network = node.network
    await network.code(address)
    if signature is not None:
        nonce = (await network.received(address)).to_bytes(32, "big")
        digest = keccak256(address.as_bytes + nonce + keccak256(code))
        _check_signature(digest, signature, await network.deployer(address), "deployer")
    id = await network.upgrade(address, code)
    return {"transaction_hash": objects.hex_of(id), "message": "the new code is on its way"}


def _check_signature(digest: bytes, signature: bytes, expected: Address | None, who: str) -> None:
    if recover_message(bytes(digest), signature) != expected:
        raise invalid(f"signature: it is not one of the {who}, or of something else")


@METHODS.add("sim_updateTransactionStatus", _HASH, Param("new_status", STATUS), result=OBJECT)
async def update_transaction_status(node: Node, id: bytes, status: TxStatus) -> dict[str, Any]:
    """Brings a transaction to a status, as far as something leads there; the transaction then."""
    return await document_of(node, await node.network.set_status(id, status))


@METHODS.add("sim_getTransactionsForAddress", _ADDRESS, Param("filter", TEXT, default=None), result=LIST)
async def transactions_for_address(node: Node, address: Address, wanted: str | None) -> list[Any]:
    """The newest transactions from and to an address; only those ``from`` or ``to`` it if asked for."""
    if wanted not in (None, "all", "from", "to"):
        raise invalid("filter: all, from or to")
    found = await node.network.transactions_of(address, limits.RPC_TRANSACTIONS, size=limits.RPC_TRANSACTIONS_BYTES)
    return [
        await document_of(node, one)
        for one in found
        if wanted in (None, "all") or (one.sender if wanted == "from" else one.recipient) == address
    ]


@METHODS.add("sim_clearDbTables", Param("tables", TEXTS, default=()), result=NULL)
async def clear_tables(node: Node, tables: list[str]) -> None:
    """Forgets all contracts, balances and transactions, whichever of the tables are named."""
    node.done.clear()
    await node.network.clear(tables)


# --- the rest ---


@METHODS.add(
    "sim_lintContract", Param("source_code", TEXT), Param("filename", TEXT, default="contract.py"), result=OBJECT
)
async def lint_contract(node: Node, source: str, filename: str) -> dict[str, Any]:
    """Looks for mistakes in the source of a contract without running it."""
    return await asyncio.to_thread(_lint, source, filename)


def _lint(source: str, filename: str) -> dict[str, Any]:
    from pathlib import Path

    from pygenvm.executor.runner.contract_file import ContractFileError
    from pygenvm.lint import Level, lint_code
    from pygenvm.localnet.lint_settings import settings

    name = PurePosixPath(filename.replace("\\", "/")).name or "contract.py"
    try:
        findings = lint_code(source.encode("utf-8", "surrogatepass"), Path(name), settings())
    except ContractFileError as error:
        raise RpcError(FAILED, str(error)) from error
    results = [
        {
            "filename": name,
            "line": finding.place.line,
            "column": finding.place.column + 1,
            "severity": str(finding.level),
            "rule_id": finding.code,
            "message": finding.message,
            "suggestion": finding.fix,
        }
        for finding in findings
    ]
    counts = {str(level): sum(finding.level is level for finding in findings) for level in Level}
    return {"results": results, "summary": {"total": len(results), "by_severity": counts}}
