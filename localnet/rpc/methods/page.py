"""What the page asks and does, and whoever else wants a network with names and without keys.

The named accounts of a local network send without a signature. Arguments are JSON texts in the notation of
:mod:`localnet.values`, so that integers of any size stay exact in browsers too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final

from pygenvm.executor.outcome import InternalError, Return
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits, values
from pygenvm.localnet.arguments import written_parameters
from pygenvm.localnet.chain import accounts, calldata_of_call
from pygenvm.localnet.chain.model import ContractInfo
from pygenvm.localnet.chain.network.types import NetworkTransaction, Submission, TxKind, Variant
from pygenvm.localnet.documents import receipt_head, state_document, view_document
from pygenvm.localnet.errors import BadValue
from pygenvm.localnet.names import check_contract_name, find_address, find_contract, find_sender
from pygenvm.localnet.page import documents, source
from pygenvm.localnet.rpc.errors import NOT_FOUND, RpcError, invalid
from pygenvm.localnet.rpc.registry import HEX, Methods, Node
from pygenvm.localnet.rpc.registry import OBJECT as OBJECT_RESULT
from pygenvm.localnet.rpc.values import (
    AMOUNT,
    CODE,
    HASH,
    OBJECT,
    TEXT,
    Param,
    parse_amount,
    parse_code,
    parse_variant,
)
from pygenvm.localnet.schema import NoSchema, SchemaDocument
from pygenvm.localnet.sources import Source

METHODS = Methods()

_CONTRACT: Final = Param("contract", TEXT)
_HASH: Final = Param("transaction_hash", HASH)
_ASKED: Final = Param("what", OBJECT)


@METHODS.add("genvm_getOverview", result=OBJECT_RESULT)
async def get_overview(node: Node) -> Any:
    """Contracts, accounts, validators, models, clock, snapshots, and the latest transactions."""
    return await node.feed.state()


@METHODS.add("genvm_describeContract", _CONTRACT, result=OBJECT_RESULT)
async def describe_contract(node: Node, word: str) -> Any:
    """Schema, decoded state, and source in pieces, of the contract with an address or name."""
    network = node.network
    info = await _contract(node, word)
    code = Source(await network.code(info.address), None, info.name)
    async with node.running():
        taken = await _taken(network.schema(info.address), code)
        state = state_document(await network.state(info.address))
    return {
        "address": info.address.as_hex,
        "name": info.name,
        **taken,
        "state": {"fields": state["fields"], "note": state["note"], "slots": state["slots"]},
        "balance": str(await network.balance(info.address)),
        "source": await asyncio.to_thread(source.pieces, code.files) if code.files else None,
    }


@METHODS.add("genvm_describeCode", Param("contract_code_hex", CODE), result=OBJECT_RESULT, stops=True)
async def describe_code(node: Node, code: bytes) -> Any:
    """Schema of a contract that is not deployed, with annotations and defaults of its parameters."""
    await node.ready_for(code)
    async with node.running():
        return await _taken(node.network.schema_of_code(code), Source(code))


@METHODS.add("genvm_deploy", _ASKED, result=HEX)
async def deploy(node: Node, given: Mapping[str, Any]) -> str:
    """``{code, args?, kwargs?, sender?, value?, name?}``: the id of the transaction."""
    name = str(given.get("name") or "")
    if name:
        check_contract_name(name)
    calldata = await _calldata(node, None, given)
    code = parse_code(given.get("code"))
    submission = Submission(TxKind.DEPLOY, _sender(given), value=_value(given), calldata=calldata, code=code, name=name)
    return "0x" + (await node.submit(submission)).hex()


@METHODS.add("genvm_write", _ASKED, result=HEX)
async def write(node: Node, given: Mapping[str, Any]) -> str:
    """``{contract, method, args?, kwargs?, sender?, value?}``: the id of the transaction."""
    info = await _contract(node, str(given.get("contract", "")))
    calldata = await _calldata(node, _method(given), given)
    submission = Submission(TxKind.CALL, _sender(given), info.address, _value(given), calldata)
    return "0x" + (await node.submit(submission)).hex()


@METHODS.add("genvm_read", _ASKED, result=OBJECT_RESULT)
async def read(node: Node, given: Mapping[str, Any]) -> Any:
    """``{contract, method, args?, kwargs?, sender?, variant?}``: as ``genvm local view --json``."""
    network = node.network
    info = await _contract(node, str(given.get("contract", "")))
    calldata = await _calldata(node, _method(given), given)
    variant = parse_variant(given.get("variant", Variant.ACCEPTED))
    async with node.running():
        receipt = await network.read(info.address, calldata, sender=_sender(given), variant=variant)
    return view_document(receipt, documents.names_of(await network.contracts()))


@METHODS.add("genvm_describeTransaction", _HASH, result=OBJECT_RESULT)
async def describe_transaction(node: Node, id: bytes) -> Any:
    """Everything that is known of a transaction, with what its failure means."""
    transaction = await node.network.transaction(id)
    contracts = await node.network.contracts()
    code = await _source(node, transaction, contracts)
    # What a failure means is looked up in the source, with the linter.
    return await asyncio.to_thread(
        documents.detail, transaction, documents.names_of(contracts), code, node.feed.states.changes(id)
    )


@METHODS.add("genvm_checkReceipt", _HASH, result=OBJECT_RESULT)
async def check_receipt(node: Node, id: bytes) -> Any:
    """The document of a transaction's last settled round, and what ``genvm receipt verify`` says of it."""
    transaction = await node.network.transaction(id)
    settled = [one.intent_id for one in transaction.rounds if one.intent_id is not None]
    document = await node.network.settlement_receipt(settled[-1]) if settled else None
    if document is None:
        raise RpcError(NOT_FOUND, "this transaction is not settled")
    text = document.decode()
    return {"document": json.loads(text), "checks": await asyncio.to_thread(_checked, text)}


@METHODS.add("genvm_fund", Param("account", TEXT), Param("amount", AMOUNT), result=HEX)
async def fund(node: Node, word: str, amount: int) -> str:
    """Makes value out of nothing, for an account or contract by address or name; the id of the transaction."""
    address = find_address(await node.network.contracts(), word)
    return "0x" + (await node.network.fund(address, amount)).hex()


async def _taken(asked: Awaitable[SchemaDocument], code: Source) -> dict[str, Any]:
    """What the methods take: the schema, or why there is none, and annotations and defaults, which it does not say."""
    try:
        schema = await asked
    except NoSchema as error:
        receipt = error.of(code).receipt
        if receipt is not None:
            head = await asyncio.to_thread(receipt_head, receipt, {})
            return {"schema": None, "schema_error": head["error"], "written": {}}
        return {"schema": None, "schema_error": {"message": str(error)}, "written": {}}
    written = await asyncio.to_thread(written_parameters, code, ["__init__", *schema["methods"]])
    return {"schema": schema, "schema_error": None, "written": written}


# --- what was given ---


async def _contract(node: Node, word: str) -> ContractInfo:
    return find_contract(await node.network.contracts(), word)


async def _calldata(node: Node, method: str | None, given: Mapping[str, Any]) -> bytes:
    contracts = await node.network.contracts()

    def read() -> bytes:
        args = _parsed(contracts, given.get("args", "[]"), list, "args")
        kwargs = _parsed(contracts, given.get("kwargs", "{}"), dict, "kwargs")
        try:
            return calldata_of_call(method, args, kwargs)
        except (TypeError, ValueError) as error:
            raise BadValue(f"arguments that calldata cannot hold: {error}") from error

    size = sum(len(text) for name in ("args", "kwargs") if isinstance(text := given.get(name), str))
    return await asyncio.to_thread(read) if size > limits.RPC_THREAD_BYTES else read()


async def _source(node: Node, transaction: NetworkTransaction, contracts: Sequence[ContractInfo]) -> Source | None:
    leader = transaction.leader
    if leader is None or leader.outcome is None or isinstance(leader.outcome, Return | InternalError):
        return None
    if transaction.code:
        return Source(transaction.code)
    info = next((one for one in contracts if one.address == transaction.recipient), None)
    return None if info is None else Source(await node.network.code(info.address), None, info.name)


def _checked(document: str) -> list[dict[str, Any]]:
    from pygenvm.settlement.verifier.checks import Verdict, check
    from pygenvm.settlement.verifier.document import read as read_document

    holds = {Verdict.HOLDS: True, Verdict.FAILS: False, Verdict.UNKNOWN: None}
    return [{"text": one.sentence, "holds": holds[one.verdict]} for one in check(read_document(document))]


def _method(given: Mapping[str, Any]) -> str | None:
    method = given.get("method")
    if method is not None and not isinstance(method, str):
        raise invalid("method is a text")
    return method or None


def _sender(given: Mapping[str, Any]) -> Address:
    return find_sender(str(given.get("sender") or accounts.DEFAULT_SENDER))


def _value(given: Mapping[str, Any]) -> int:
    return parse_amount(given.get("value", 0))


def _parsed(contracts: Sequence[ContractInfo], given: Any, kind: type, name: str) -> Any:
    if not isinstance(given, str):
        raise invalid(f"{name} is JSON text")
    parsed = values.parse_json(given, resolve=lambda word: find_address(contracts, word))
    if not isinstance(parsed, kind):
        raise BadValue(f"{name} is the text of a JSON {'array' if kind is list else 'object'}")
    return parsed
