"""Methods of intelligent contracts (spec localnet-rpc/01 §4.3)."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, Final

from pygenvm.executor.outcome import Return, UserError
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.terminal_text import one_line
from pygenvm.localnet.chain.explain import explain, explain_method, may_be_wrong_method
from pygenvm.localnet.chain.hints import Explanation
from pygenvm.localnet.chain.model import Receipt
from pygenvm.localnet.chain.network.types import (
    ZERO_ADDRESS,
    NodeReceipt,
    Submission,
    TxKind,
    Variant,
)
from pygenvm.localnet.errors import LocalNetError
from pygenvm.localnet.failure import call_of
from pygenvm.localnet.names import RECEIVE
from pygenvm.localnet.rpc import objects
from pygenvm.localnet.rpc.errors import FAILED, NOT_FOUND, RpcError, invalid
from pygenvm.localnet.rpc.lookup import document_of
from pygenvm.localnet.rpc.raw.payload import Deploy, decode_payload, decode_read
from pygenvm.localnet.rpc.registry import INT, OBJECT, TEXT, Methods, Node
from pygenvm.localnet.rpc.values import (
    ADDRESS,
    AMOUNT,
    BYTES,
    CODE,
    FLAG,
    HASH,
    Kind,
    Param,
    SimConfig,
    parse_address,
    parse_amount,
    parse_number,
    parse_object,
    parse_sim_config,
    parse_variant,
    quoted,
)

#: Characters of what a contract said.
_SAID: Final = 300
METHODS = Methods()

READ, WRITE, DEPLOY = "read", "write", "deploy"


@dataclass(frozen=True, slots=True)
class GenCall:
    """What ``gen_call`` and ``sim_call`` are asked for."""

    kind: str = READ
    to: Address = ZERO_ADDRESS
    sender: Address = ZERO_ADDRESS
    calldata: bytes = b"\x06"
    code: bytes = b""
    value: int = 0
    origin: Address | None = None
    variant: Variant = Variant.ACCEPTED
    config: SimConfig = field(default_factory=SimConfig)
    given: Any = None
    """The parameters as they were, for errors."""


def parse_gen_call(value: Any) -> GenCall:
    """Members that nobody here knows are passed over: clients send what other servers want."""
    document = parse_object(value)
    kind = document.get("type", READ)
    if kind not in (READ, WRITE, DEPLOY):
        raise invalid(f"type is read, write or deploy, not {quoted(kind)}")

    def read(name: str, parse: Any, default: Any) -> Any:
        given = document.get(name)
        return default if given is None else Param(name, Kind(parse, {})).read(given)

    data = Param("data", BYTES).read(document.get("data"))
    to = read("to", parse_address, ZERO_ADDRESS)
    if kind != DEPLOY and to == ZERO_ADDRESS:
        raise invalid("to is missing: the address of the contract")
    code = b""
    if kind == DEPLOY:
        payload = decode_payload(data, deploys=True)
        assert isinstance(payload, Deploy)
        code, calldata = payload.code, payload.calldata
    else:
        calldata = decode_read(data)
    return GenCall(
        kind=kind,
        to=to,
        sender=read("from", parse_address, ZERO_ADDRESS),
        calldata=calldata,
        code=code,
        value=read("value", parse_amount, 0),
        origin=read("origin_address", parse_address, None),
        variant=read("transaction_hash_variant", parse_variant, Variant.ACCEPTED),
        config=read("sim_config", parse_sim_config, SimConfig()),
        given=value,
    )


GEN_CALL: Final = Param(
    "params",
    Kind(
        parse_gen_call,
        {
            "type": "object",
            "properties": {
                "type": {"enum": [READ, WRITE, DEPLOY]},
                "to": ADDRESS.schema,
                "from": ADDRESS.schema,
                "data": {"type": "string", "description": "RLP of [calldata, flag], or of [code, calldata, flag]"},
                "transaction_hash_variant": {"enum": list(Variant)},
                "value": AMOUNT.schema,
                "sim_config": {"type": "object"},
            },
        },
    ),
)


@METHODS.add("gen_call", GEN_CALL, result=TEXT, stops=True)
async def gen_call(node: Node, call: GenCall) -> str:
    """Calls a contract without effect: the calldata encoding of what it returns, in hex without 0x."""
    if call.kind == READ:
        return await run_read(node, call)
    receipt = await run_simulation(node, call)
    if not isinstance(receipt.outcome, Return):
        raise failed(receipt, {"receipt": objects.receipt_object(receipt), "params": call.given})
    return receipt.outcome.calldata.hex()


@METHODS.add("sim_call", GEN_CALL, result=OBJECT, stops=True)
async def sim_call(node: Node, call: GenCall) -> dict[str, Any]:
    """What a leader would find in a transaction now: its receipt. Nothing is kept."""
    return objects.receipt_object(await run_simulation(node, call))


async def run_read(node: Node, call: GenCall) -> str:
    """:raises RpcError: the contract fails."""
    async with node.running():
        receipt = await node.network.read(
            call.to,
            call.calldata,
            sender=call.sender,
            origin=call.origin,
            variant=call.variant,
            datetime=call.config.datetime,
            virtual=call.config.virtual,
        )
    if not isinstance(receipt.outcome, Return):
        data = {"receipt": objects.read_receipt_object(receipt), "params": call.given}
        raise failed(receipt, data, await wrong_method(node, receipt))
    return receipt.outcome.calldata.hex()


async def wrong_method(node: Node, view: Receipt) -> Explanation | None:
    """What the schema knows of a view that has failed: that there is no such method, or that it writes."""
    stderr = view.stderr.text()
    if not may_be_wrong_method(view.outcome, stderr):
        return None
    method, _, _ = call_of(view)
    try:
        methods = (await contract_schema(node, view.transaction.contract))["methods"]
    except (LocalNetError, RpcError):
        return None
    return explain_method(stderr, "the contract", "" if method == RECEIVE else method, methods, is_view=True)


async def run_simulation(node: Node, call: GenCall) -> NodeReceipt:
    submission = Submission(
        TxKind.DEPLOY if call.kind == DEPLOY else TxKind.CALL,
        call.sender,
        call.to,
        value=call.value,
        calldata=call.calldata,
        code=call.code,
        datetime=call.config.datetime,
        virtual=call.config.virtual,
    )
    await node.ready_for(submission.code)
    async with node.running():
        return await node.network.simulate(submission, variant=call.variant)


def failed(
    found: NodeReceipt | Receipt, data: dict[str, Any] | None = None, known: Explanation | None = None
) -> RpcError:
    """Clients show the text alone: so it has the last thing that the contract said, and what that means."""
    stderr = found.stderr.text()
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    said = f" ({one_line(lines[-1])[:_SAID]})" if lines else ""
    text = f"execution failed: {objects.failure_text(found.outcome)}{said}"
    # A contract that raises UserError has said itself what it means.
    if known is None and found.outcome is not None and not isinstance(found.outcome, UserError):
        known = explain(found.outcome, stderr)
    if known:
        text += one_line(f": {known.meaning} {known.advice}").rstrip()
    return RpcError(FAILED, text, data)


@METHODS.add("gen_getContractSchema", Param("contract_address", ADDRESS), result=OBJECT, stops=True)
async def contract_schema(node: Node, address: Address) -> Any:
    """Constructor and methods of a deployed contract, with the types of their parameters."""
    async with node.running():
        return await node.network.schema(address)


@METHODS.add("gen_getContractSchemaForCode", Param("contract_code_hex", CODE), result=OBJECT, stops=True)
async def contract_schema_for_code(node: Node, code: bytes) -> Any:
    """The same for a contract that is not deployed."""
    await node.ready_for(code)
    async with node.running():
        return await node.network.schema_of_code(code)


@METHODS.add("gen_getContractCode", Param("contract_address", ADDRESS), result=TEXT)
async def contract_code(node: Node, address: Address) -> str:
    """The code of a contract in base64."""
    return base64.b64encode(await node.network.code(address)).decode("ascii")


@METHODS.add("gen_getContractNonce", Param("contract_address", ADDRESS), result=INT)
async def contract_nonce(node: Node, address: Address) -> int:
    """How many transactions to a contract there are; signatures of upgrades have it in them."""
    return await node.network.received(address)


@METHODS.add("gen_getTransactionStatus", Param("transaction_hash", HASH), result=OBJECT)
async def transaction_status(node: Node, id: bytes) -> dict[str, Any]:
    """Name and number of a transaction's status."""
    status = (await node.network.transaction(id)).status
    return {"status": str(status), "statusCode": status.number}


@METHODS.add(
    "gen_getStudioTransactionByHash",
    Param("transaction_hash", HASH),
    Param("full", FLAG, default=True),
    result=OBJECT,
)
async def studio_transaction(node: Node, id: bytes, full: bool) -> dict[str, Any]:
    """A transaction with some members under other names."""
    document = await document_of(node, await node.network.transaction(id))
    document["initial_rotations"] = document.pop("config_rotation_rounds")
    for name in ("hash", "from_address", "to_address", "from", "to"):
        document.pop(name)
    if not full:
        document = {name: document[name] for name in _SHORT if name in document}
    return document


_SHORT: Final = (
    *("tx_id", "sender", "recipient", "status", "type", "value", "nonce", "created_timestamp", "initial_rotations"),
    *("result", "result_name", "num_of_rounds", "triggered_by", "triggered_transactions"),
)


def parse_trace_request(value: Any) -> tuple[bytes, int]:
    document = parse_object(value)
    if unknown := document.keys() - {"txID", "round"}:
        raise invalid(f"unknown member {sorted(unknown)[0][:80]!r}; txID and round are known")
    number = 0 if document.get("round") is None else parse_number(document["round"])
    return HASH.parse(document.get("txID")), number


@METHODS.add(
    "gen_dbg_traceTransaction",
    Param(
        "params",
        Kind(
            parse_trace_request,
            {"type": "object", "required": ["txID"], "properties": {"txID": HASH.schema, "round": {"type": "integer"}}},
        ),
    ),
    result=OBJECT,
)
async def trace_transaction(node: Node, request: tuple[bytes, int]) -> dict[str, Any]:
    """What the nodes of one round printed, logged and found, the leader first."""
    id, number = request
    found = await node.network.trace(id, number)
    if found is None:
        rounds = len((await node.network.transaction(id)).rounds)
        text = f"there is no round {number} of this transaction; it has {rounds} so far, counted from 0"
        raise RpcError(NOT_FOUND, text, {"hash": objects.hex_of(id), "round": number})
    return objects.trace_object(found)
