"""Ethereum's methods, as far as clients and wallets need them (spec localnet-rpc/01 §4.1)."""

from __future__ import annotations

from typing import Any, Final

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet.chain.network.errors import TransactionNotFound
from pygenvm.localnet.rpc import objects, sending
from pygenvm.localnet.rpc.consensus_contract import DATA, MAIN, PENDING_COUNT
from pygenvm.localnet.rpc.errors import invalid
from pygenvm.localnet.rpc.lookup import block_of, document_of
from pygenvm.localnet.rpc.methods.gen import GenCall, run_read
from pygenvm.localnet.rpc.raw import RawError
from pygenvm.localnet.rpc.raw.payload import decode_read
from pygenvm.localnet.rpc.registry import HEX, LIST, MAYBE_OBJECT, OBJECT, Methods, Node
from pygenvm.localnet.rpc.values import (
    ADDRESS,
    ANY,
    BLOCK,
    BYTES,
    FLAG,
    HASH,
    INTEGER,
    SIM_CONFIG,
    Param,
    SimConfig,
    parse_address,
    parse_bytes,
)
from pygenvm.localnet.rpc.values import OBJECT as OBJECT_KIND

METHODS = Methods()

_ADDRESS: Final = Param("account_address", ADDRESS)
_BLOCK: Final = Param("block_tag", BLOCK, default=None)
_HASH: Final = Param("transaction_hash", HASH)
#: What newer tools may add; there is nothing of the EVM to override.
_OVERRIDES: Final = (Param("state_override", ANY, default=None), Param("block_override", ANY, default=None))
_FULL: Final = Param("full_tx", FLAG, default=False)
#: Wallets take an account with code for a contract. There is no bytecode to show; no bytecode of the EVM begins so
#: (EIP-3541).
_CODE: Final = "0xef01"
_FEES_MAX: Final = 1024


@METHODS.add("eth_chainId", result=HEX)
async def chain_id(node: Node) -> str:
    """The chain id."""
    return hex(node.network.chain_id)


@METHODS.add("eth_blockNumber", result=HEX)
async def block_number(node: Node) -> str:
    """Number of the newest block, which moves with every transaction and every second."""
    return hex(await node.network.block_number())


@METHODS.add("eth_getBlockByNumber", Param("block_number", BLOCK), _FULL, result=MAYBE_OBJECT)
async def block_by_number(node: Node, which: int | bytes | None, full: bool) -> Any:
    """A block by its number."""
    return await _block(node, which, full)


@METHODS.add("eth_getBlockByHash", Param("block_hash", HASH), _FULL, result=MAYBE_OBJECT)
async def block_by_hash(node: Node, which: bytes, full: bool) -> Any:
    """A block by its hash, or by that of a transaction in it."""
    return await _block(node, which, full)


async def _block(node: Node, which: int | bytes | None, full: bool) -> Any:
    block = await node.network.block(which)
    if block is None:
        return None
    if not full:
        return objects.block_object(block, map(objects.hex_of, block.transactions))
    entries = []
    for id in block.transactions:
        transaction = await node.network.transaction(id)
        entries.append(objects.transaction_object(transaction, block))
    return objects.block_object(block, entries)


@METHODS.add("eth_getBalance", _ADDRESS, _BLOCK, result=HEX)
async def balance(node: Node, address: Address, block: Any) -> str:
    """Balance of an account or a contract."""
    return hex(await node.network.balance(address))


@METHODS.add("eth_getTransactionCount", _ADDRESS, _BLOCK, result=HEX)
async def transaction_count(node: Node, address: Address, block: Any) -> str:
    """The next nonce of an account."""
    return hex(await node.network.nonce(address))


@METHODS.add("eth_gasPrice", result=HEX)
async def gas_price(node: Node) -> str:
    """Gas costs nothing."""
    return "0x0"


@METHODS.add("eth_maxPriorityFeePerGas", result=HEX)
async def max_priority_fee(node: Node) -> str:
    """Gas costs nothing."""
    return "0x0"


@METHODS.add(
    "eth_feeHistory",
    Param("block_count", INTEGER),
    Param("newest_block", BLOCK, default=None),
    Param("reward_percentiles", ANY, default=None),
    result=OBJECT,
)
async def fee_history(node: Node, count: int, newest: Any, percentiles: Any) -> dict[str, Any]:
    """Gas has cost nothing."""
    count = min(max(count, 0), _FEES_MAX)
    last = newest if isinstance(newest, int) else await node.network.block_number()
    count = min(count, last + 1)
    fees: dict[str, Any] = {
        "oldestBlock": hex(last - count + 1),
        "baseFeePerGas": ["0x0"] * (count + 1),
        "gasUsedRatio": [0.0] * count,
    }
    if isinstance(percentiles, list) and percentiles:
        fees["reward"] = [["0x0"] * min(len(percentiles), _FEES_MAX) for _ in range(count)]
    return fees


@METHODS.add("eth_estimateGas", Param("transaction", OBJECT_KIND), _BLOCK, *_OVERRIDES, result=HEX)
async def estimate_gas(node: Node, transaction: Any, block: Any, *overrides: Any) -> str:
    """The same for everything; gas is not counted."""
    return hex(objects.GAS)


@METHODS.add("eth_getCode", _ADDRESS, _BLOCK, result=HEX)
async def code(node: Node, address: Address, block: Any) -> str:
    """Something where there is a contract, and nothing elsewhere: that is all that wallets want to know."""
    if address in (MAIN, DATA) or await node.network.contract(address) is not None:
        return _CODE
    return "0x"


@METHODS.add("eth_getStorageAt", _ADDRESS, Param("slot", INTEGER), _BLOCK, result=HEX)
async def storage_at(node: Node, address: Address, slot: int, block: Any) -> str:
    """Contracts have no storage of the EVM's kind; genvm_getState shows what they have."""
    return "0x" + 64 * "0"


@METHODS.add("eth_getLogs", Param("filter", OBJECT_KIND, default=None), result=LIST)
async def logs(node: Node, wanted: Any) -> list[Any]:
    """None: events are in the receipts of transactions."""
    return []


@METHODS.add(
    "eth_call",
    Param("transaction", OBJECT_KIND),
    _BLOCK,
    *_OVERRIDES,
    result=HEX,
    stops=True,
)
async def call(node: Node, transaction: dict[str, Any], block: Any, *overrides: Any) -> str:
    """A read, with the same data as gen_call; some calls of the consensus contract are known."""
    given, data_given = transaction.get("to"), transaction.get("data") or transaction.get("input")
    if not given or not data_given:
        return "0x"
    to, data = parse_address(given), parse_bytes(data_given)
    if data[:4] == PENDING_COUNT and len(data) == 36:
        return "0x" + (await node.network.nonce(Address(data[16:]))).to_bytes(32, "big").hex()
    if to in (MAIN, DATA) or await node.network.contract(to) is None:
        return "0x"
    sender = parse_address(transaction["from"]) if transaction.get("from") else Address(bytes(20))
    try:
        calldata = decode_read(data)
    except RawError as error:
        raise invalid(f"the data is no call of an intelligent contract: {error}") from error
    return "0x" + await run_read(node, GenCall(to=to, sender=sender, calldata=calldata))


@METHODS.add(
    "eth_sendRawTransaction",
    Param("signed_transaction", BYTES),
    Param("sim_config", SIM_CONFIG, default=SimConfig()),
    result=HEX,
)
async def send_raw_transaction(node: Node, raw: bytes, config: SimConfig) -> str:
    """Takes a signed transaction. What is answered is its id, once it is on the disk."""
    return objects.hex_of(await sending.send(node, raw, config))


@METHODS.add("eth_getTransactionReceipt", _HASH, result=MAYBE_OBJECT)
async def transaction_receipt(node: Node, id: bytes) -> Any:
    """That a transaction was taken; what became of it says eth_getTransactionByHash."""
    try:
        transaction = await node.network.transaction(id)
    except TransactionNotFound:
        return None
    return objects.ethereum_receipt(transaction, await block_of(node, transaction))


@METHODS.add(
    "eth_getTransactionByHash",
    _HASH,
    Param("options", OBJECT_KIND, default=None),
    result=OBJECT,
)
async def transaction_by_hash(node: Node, id: bytes, options: dict[str, Any] | None) -> Any:
    """A transaction with its rounds of consensus; ``{include_contract_state: true}`` adds the contract's storage."""
    with_state = bool(options and options.get("include_contract_state"))
    return await document_of(node, await node.network.transaction(id), with_state=with_state)
