"""Blocks, transactions, receipts and validators as clients know them (spec localnet-rpc/02 §2 and §3).

Clients read few of the members; the rest is for people, for pages and for what was written for the reference servers.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from pygenvm.executor.outcome import InternalError, Outcome, Return
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits
from pygenvm.localnet.chain.explain import explain
from pygenvm.localnet.chain.model import Posted, PostedKind, Receipt, outcome_to_bytes
from pygenvm.localnet.chain.network.types import (
    ZERO_ADDRESS,
    Block,
    Model,
    NetworkTransaction,
    NodeMode,
    NodeReceipt,
    Provider,
    Round,
    RoundResult,
    StatusChange,
    TimeState,
    Trace,
    TxKind,
    TxMode,
    Validator,
    VoteWord,
)
from pygenvm.localnet.rpc.consensus_contract import MAIN, NEW_TRANSACTION
from pygenvm.localnet.rpc.raw import rlp

Document = dict[str, Any]

#: Larger integers come to other numbers in JavaScript.
_SAFE: Final = (1 << 53) - 1
_NO_HASH: Final = "0x" + 64 * "0"
_BLOOM: Final = "0x" + 512 * "0"
#: Keccak-256 of the RLP encodings of an empty list and of an empty trie.
_NO_UNCLES: Final = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
_NO_TRIE: Final = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
GAS: Final = 500_000
_GAS_LIMIT: Final = 30_000_000


def hex_of(data: bytes) -> str:
    return "0x" + data.hex()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _word(data: bytes) -> str:
    return hex_of(data.rjust(32, b"\0"))


# --- Ethereum's side ---


def block_object(block: Block, transactions: Iterable[Any]) -> Document:
    """What web3.py, viem and ethers accept (spec localnet-rpc/01 §4.2)."""
    return {
        "number": hex(block.number),
        "hash": hex_of(block.hash),
        "parentHash": hex_of(block.parent),
        "nonce": "0x" + 16 * "0",
        "sha3Uncles": _NO_UNCLES,
        "logsBloom": _BLOOM,
        "transactionsRoot": _NO_TRIE,
        "stateRoot": _NO_TRIE,
        "receiptsRoot": _NO_TRIE,
        "miner": ZERO_ADDRESS.as_hex,
        "difficulty": "0x0",
        "totalDifficulty": "0x0",
        "extraData": "0x",
        "size": "0x400",
        "gasLimit": hex(_GAS_LIMIT),
        "gasUsed": "0x0",
        "timestamp": hex(block.timestamp),
        "mixHash": _NO_HASH,
        "transactions": list(transactions),
        "uncles": [],
        "baseFeePerGas": "0x0",
    }


def ethereum_receipt(transaction: NetworkTransaction, block: Block) -> Document:
    """Of the Ethereum transaction: there as soon as that was taken, always a success (spec localnet-rpc/02 §2)."""
    logs = [] if transaction.kind is TxKind.TRANSFER else [_new_transaction(transaction, block)]
    return {
        "transactionHash": hex_of(transaction.id),
        "transactionIndex": hex(_index(transaction, block)),
        "blockHash": hex_of(block.hash),
        "blockNumber": hex(block.number),
        "from": transaction.sender.as_hex,
        "to": _envelope_to(transaction).as_hex,
        "contractAddress": None,
        "cumulativeGasUsed": hex(GAS),
        "gasUsed": hex(GAS),
        "effectiveGasPrice": "0x0",
        "type": hex(transaction.raw.envelope),
        "status": "0x1",
        "logsBloom": _BLOOM,
        "logs": logs,
    }


def _new_transaction(transaction: NetworkTransaction, block: Block) -> Document:
    return {
        "address": MAIN.as_hex,
        "topics": [
            hex_of(NEW_TRANSACTION),
            hex_of(transaction.id),
            _word(transaction.recipient.as_bytes),
            _word(transaction.sender.as_bytes),
        ],
        "data": "0x",
        "blockNumber": hex(block.number),
        "blockHash": hex_of(block.hash),
        "transactionHash": hex_of(transaction.id),
        "transactionIndex": hex(_index(transaction, block)),
        "logIndex": "0x0",
        "removed": False,
    }


def _envelope_to(transaction: NetworkTransaction) -> Address:
    if transaction.raw.to is not None:
        return transaction.raw.to
    return transaction.recipient if transaction.kind is TxKind.TRANSFER else MAIN


def _index(transaction: NetworkTransaction, block: Block) -> int:
    return block.transactions.index(transaction.id) if transaction.id in block.transactions else 0


def ethereum_transaction(transaction: NetworkTransaction, block: Block) -> Document:
    """The standard members, beside those of this network; clients of both kinds ask with the same method."""
    raw = transaction.raw
    return {
        "blockHash": hex_of(block.hash),
        "blockNumber": hex(block.number),
        "transactionIndex": hex(_index(transaction, block)),
        "from": transaction.sender.as_hex,
        "to": _envelope_to(transaction).as_hex,
        "gas": hex(raw.gas or 0),
        "gasPrice": hex(raw.gas_price or 0),
        "input": hex_of(raw.data),
        **({} if raw.chain_id is None else {"chainId": hex(raw.chain_id)}),
    }


# --- transactions of this network ---


def transaction_object(
    transaction: NetworkTransaction, block: Block, *, contract_state: Mapping[str, str] | None = None
) -> Document:
    """The whole of it (spec localnet-rpc/02 §3.2).

    :param contract_state: slots of the contract, for its last leader receipt.
    """
    if transaction.kind is TxKind.TRANSFER:
        return _transfer_object(transaction, block)
    raw = transaction.raw
    document = _common(transaction, block)
    document |= {
        "nonce": transaction.nonce,
        "value": transaction.value,
        "r": raw.r,
        "s": raw.s,
        "v": raw.v,
        "data": _safe(_data(transaction)),
        "consensus_data": _safe(_consensus_data(transaction, contract_state)),
        "consensus_history": _safe(_history(transaction)),
        "contract_snapshot": {"contract_address": transaction.recipient.as_hex},
    }
    return document


def _transfer_object(transaction: NetworkTransaction, block: Block) -> Document:
    """Without ``data``, which tools of Ethereum take for bytes; numbers are as they have them."""
    raw = transaction.raw
    signed = raw.r is not None and raw.s is not None and raw.v is not None
    return _common(transaction, block) | {
        "nonce": hex(transaction.nonce),
        "value": hex(transaction.value),
        "r": _word(raw.r.to_bytes(32, "big")) if raw.r is not None else None,
        "s": _word(raw.s.to_bytes(32, "big")) if raw.s is not None else None,
        "v": hex(raw.v) if raw.v is not None else None,
        **({"yParity": hex(raw.v or 0)} if signed and raw.envelope else {}),
        "consensus_data": None,
        "consensus_history": _safe(_history(transaction)),
    }


def _common(transaction: NetworkTransaction, block: Block) -> Document:
    last = transaction.last_round
    appeals = transaction.appeals
    created = int(transaction.created_at.timestamp())
    changes = transaction.status_changes
    leader = transaction.leader
    tx_data = _tx_data(transaction)
    return {
        **ethereum_transaction(transaction, block),
        "hash": hex_of(transaction.id),
        "tx_id": hex_of(transaction.id),
        "status": str(transaction.status),
        "type": int(transaction.kind),
        "from_address": transaction.sender.as_hex,
        "to_address": transaction.recipient.as_hex,
        "sender": transaction.sender.as_hex,
        "recipient": transaction.recipient.as_hex,
        "gaslimit": transaction.raw.gas,
        "created_at": transaction.created_at.isoformat(),
        "result": int(transaction.result),
        "result_name": transaction.result.name,
        "txExecutionResult": _execution_result(leader)[0],
        "txExecutionResultName": _execution_result(leader)[1],
        "leader_only": transaction.mode is TxMode.LEADER_ONLY,
        "execution_mode": str(transaction.mode),
        "triggered_by": None if transaction.triggered_by is None else hex_of(transaction.triggered_by),
        "triggered_on": transaction.triggered_on or None,
        "triggered_transactions": [hex_of(child) for child in transaction.triggered],
        "origin_address": transaction.origin.as_hex,
        "appealed": appeals.appealed,
        "appeal_failed": appeals.failed,
        "appeal_undetermined": appeals.undetermined,
        "appeal_leader_timeout": appeals.leader_timeout,
        "appeal_validators_timeout": appeals.validators_timeout,
        "timestamp_appeal": _seconds(appeals.appealed_at),
        "appeal_processing_time": round(appeals.processing_seconds),
        "timestamp_awaiting_finalization": _seconds(transaction.decided_at),
        "config_rotation_rounds": transaction.rotations,
        "rotation_count": transaction.rotation_count,
        "num_of_initial_validators": transaction.validators,
        "leader_timeout_validators": None,
        "last_vote_timestamp": _seconds(changes[-1].at) if changes else None,
        "value_credited": transaction.credited,
        "sim_config": _sim_config(transaction),
        "fees": None,
        "current_timestamp": str(created),
        "created_timestamp": str(created),
        "tx_slot": "0",
        "random_seed": _NO_HASH,
        "read_state_block_range": {"activation_block": "0", "processing_block": "0", "proposal_block": "0"},
        "activator": transaction.sender.as_hex,
        "last_leader": (ZERO_ADDRESS if leader is None else leader.validator.address).as_hex,
        "num_of_rounds": str(len(transaction.rounds)),
        "tx_data": tx_data.hex(),
        "tx_execution_hash": hex_of(hashlib.sha256(tx_data).digest()),
        "eq_blocks_outputs": "" if leader is None else _eq_blocks(leader),
        "messages": [] if leader is None else [_safe(_message(one)) for one in leader.messages],
        "queue_type": 0,
        "queue_position": 0,
        "last_round": _last_round(transaction, last),
    }


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


def _execution_result(leader: NodeReceipt | None) -> tuple[int, str]:
    if leader is None:
        return 0, "NOT_VOTED"
    return (1, "FINISHED_WITH_RETURN") if leader.succeeded else (2, "FINISHED_WITH_ERROR")


def _tx_data(transaction: NetworkTransaction) -> bytes:
    """As it came, without the flag of clients, which say the same thing differently."""
    mode = list(TxMode).index(transaction.mode)
    if transaction.kind is TxKind.DEPLOY:
        return rlp.encode([transaction.code, transaction.calldata, mode])
    return rlp.encode([transaction.calldata, mode])


def _eq_blocks(leader: NodeReceipt) -> str:
    return hex_of(rlp.encode(leader.nondet_results))


def _sim_config(transaction: NetworkTransaction) -> Document | None:
    if not transaction.virtual and transaction.datetime_override is None:
        return None
    virtual = [
        {
            name: value if not isinstance(value, Mapping) else dict(value)
            for name in ("stake", "provider", "model", "config", "plugin", "plugin_config")
            if (value := getattr(one, name)) is not None
        }
        for one in transaction.virtual
    ]
    moment = transaction.datetime_override
    return {"validators": _safe(virtual), "genvm_datetime": None if moment is None else moment.isoformat()}


def _data(transaction: NetworkTransaction) -> Document:
    match transaction.kind:
        case TxKind.DEPLOY:
            return {
                "contract_address": transaction.recipient.as_hex,
                "contract_code": b64(transaction.code),
                "calldata": b64(transaction.calldata),
            }
        case TxKind.UPGRADE:
            return {"contract_address": transaction.recipient.as_hex, "new_code": b64(transaction.code)}
    return {"calldata": b64(transaction.calldata)}


def _consensus_data(transaction: NetworkTransaction, contract_state: Mapping[str, str] | None) -> Document | None:
    """Of the last round; null until a leader has run (spec localnet-rpc/02 §3.3)."""
    leader, last = transaction.leader, transaction.last_round
    if leader is None or last is None:
        return None
    return {
        "votes": _votes(last),
        "leader_receipt": [
            receipt_object(leader, contract_state=contract_state),
            _leaders_own_vote(leader, transaction),
        ],
        "validators": [receipt_object(one) for one in last.validators],
    }


def _leaders_own_vote(leader: NodeReceipt, transaction: NetworkTransaction) -> Document:
    """What the leader says as a validator: it is for what it found itself."""
    round_ = next(one for one in reversed(transaction.rounds) if one.leader is leader)
    vote = round_.votes.get(leader.validator.address, VoteWord.AGREE)
    return {**receipt_object(leader), "mode": str(NodeMode.VALIDATOR), "vote": str(vote), "eq_outputs": {}}


def _votes(round_: Round) -> dict[str, str]:
    return {address.as_hex: str(vote) for address, vote in round_.votes.items()}


def _history(transaction: NetworkTransaction) -> Document:
    return {
        "consensus_results": [
            {
                "consensus_round": str(round_.label),
                "leader_result": None
                if round_.leader is None
                else [receipt_object(round_.leader), _leaders_own_vote(round_.leader, transaction)],
                "validator_results": [receipt_object(one) for one in round_.validators],
                "votes": _votes(round_),
                "status_changes": [str(change.status) for change in round_.status_changes],
                "monitoring": _monitoring(round_.status_changes),
            }
            for round_ in transaction.rounds
        ],
        "current_status_changes": [str(change.status) for change in transaction.status_changes],
        "current_monitoring": _monitoring(transaction.status_changes),
    }


def _monitoring(changes: Iterable[StatusChange]) -> dict[str, float]:
    return {str(change.status): change.at.timestamp() for change in changes}


def _last_round(transaction: NetworkTransaction, last: Round | None) -> Document:
    votes = {} if last is None else last.votes
    leader = transaction.leader
    addresses = list(votes)
    index = addresses.index(leader.validator.address) if leader and leader.validator.address in votes else 0
    return {
        "round": str(max(0, len(transaction.rounds) - 1)),
        "leader_index": str(index),
        "votes_committed": str(len(votes)),
        "votes_revealed": str(len(votes)),
        "appeal_bond": "0",
        "rotations_left": str(max(0, transaction.rotations - transaction.rotation_count)),
        "result": int(RoundResult.IDLE if last is None else last.result),
        "round_validators": [address.as_hex for address in addresses],
        "validator_votes": [vote.number for vote in votes.values()],
        "validator_votes_name": [vote.name for vote in votes.values()],
        "validator_votes_hash": [_NO_HASH for _ in votes],
    }


# --- what a node found ---


def receipt_object(
    receipt: NodeReceipt,
    *,
    contract_state: Mapping[str, str] | None = None,
    stream_limit: int = limits.RPC_STREAM_CHARACTERS,
) -> Document:
    """Of one node in one round (spec localnet-rpc/02 §3.4)."""
    leads = receipt.mode is NodeMode.LEADER
    state = dict(contract_state or {})
    return {
        "execution_result": "SUCCESS" if receipt.succeeded else "ERROR",
        "result": b64(_result(receipt.outcome)),
        "calldata": b64(receipt.calldata),
        "eq_outputs": {str(number): b64(one) for number, one in enumerate(receipt.nondet_results)} if leads else {},
        "vote": None if leads else str(receipt.vote or VoteWord.NOT_VOTED),
        "mode": str(receipt.mode),
        "genvm_result": _genvm_result(receipt.outcome, receipt.stdout.text(), receipt.stderr.text(), stream_limit),
        "node_config": node_config(receipt.validator),
        "contract_state": state,
        "contract_state_hash": hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest(),
        "pending_transactions": [_safe(_message(one)) for one in receipt.messages],
        "gas_used": 0,
        "processing_time": round(receipt.seconds * 1000),
        "nondet_disagree": receipt.disagreement,
        "reason": receipt.reason,
        "execution_stats": {
            "seconds": receipt.seconds,
            "slots_written": receipt.slots_written,
            "bytes_written": receipt.bytes_written,
            "events": len(receipt.events),
        },
    }


def read_receipt_object(receipt: Receipt) -> Document:
    """Of a read that failed, as what a leader would have found."""
    return {
        "execution_result": "SUCCESS" if receipt.ok else "ERROR",
        "result": b64(_result(receipt.outcome)),
        "calldata": b64(receipt.transaction.calldata),
        "eq_outputs": {},
        "vote": None,
        "mode": str(NodeMode.LEADER),
        "genvm_result": _genvm_result(
            receipt.outcome, receipt.stdout.text(), receipt.stderr.text(), limits.RPC_STREAM_CHARACTERS
        ),
        "contract_state": {},
        "pending_transactions": [],
        "gas_used": 0,
        "processing_time": round(receipt.seconds * 1000),
    }


def _result(outcome: Outcome | None) -> bytes:
    # At least one byte: clients cannot read less. 4: nothing was executed.
    return b"\4" if outcome is None else outcome_to_bytes(outcome)


def _genvm_result(outcome: Outcome | None, stdout: str, stderr: str, limit: int) -> Document:
    failed = outcome is not None and not isinstance(outcome, Return)
    known = explain(outcome, stderr) if outcome is not None and failed else None
    message = failure_text(outcome) if failed else None
    return {
        "stdout": stdout[:limit],
        # The end of a traceback says what went wrong.
        "stderr": stderr[-limit:],
        "error_code": message,
        "raw_error": {"message": message} if failed else None,
        "error_description": f"{known.meaning} {known.advice}".strip() if known else message,
    }


def failure_text(outcome: Outcome | None) -> str:
    """What a contract or the VM said."""
    if outcome is None or isinstance(outcome, Return):
        return ""
    return f"internal error: {outcome.message}" if isinstance(outcome, InternalError) else outcome.message


def node_config(validator: Validator) -> Document:
    model = model_object(validator.model)
    return {
        "address": validator.address.as_hex,
        "stake": validator.stake if validator.stake <= _SAFE else str(validator.stake),
        **model,
        "primary_model": {**model, "fallback_validator": None},
        "secondary_model": None,
    }


def _message(posted: Posted) -> Document:
    """What a contract sends (spec localnet-rpc/02 §3.6)."""
    on = posted.on or "finalized"
    match posted.kind:
        case PostedKind.ETH_SEND:
            return {"address": posted.receiver.as_hex, "is_eth_send": True, "on": on, "value": posted.value}
        case PostedKind.DEPLOY:
            return {
                "address": posted.receiver.as_hex,
                "code": b64(posted.code),
                "calldata": b64(posted.calldata),
                "salt_nonce": posted.salt,
                "on": on,
                "value": posted.value,
            }
    return {"address": posted.receiver.as_hex, "calldata": b64(posted.calldata), "on": on, "value": posted.value}


def state_of(slots: Mapping[bytes, bytes]) -> dict[str, str]:
    """``contract_state``: slot to content, both in base64."""
    return {b64(slot): b64(data) for slot, data in slots.items()}


# --- validators, time, traces ---


def model_object(model: Model) -> Document:
    return {
        "provider": model.provider,
        "model": model.model,
        "config": dict(model.config),
        "plugin": model.plugin,
        "plugin_config": dict(model.plugin_config),
    }


def validator_object(validator: Validator) -> Document:
    return {
        "id": validator.number,
        "address": validator.address.as_hex,
        "stake": validator.stake,
        **model_object(validator.model),
        "created_at": validator.created_at.isoformat(),
    }


def provider_object(provider: Provider) -> Document:
    return {
        "id": provider.number,
        **model_object(provider.model),
        "is_available": provider.is_available,
        "is_model_available": provider.is_model_available,
        "is_default": provider.is_default,
    }


def time_object(time: TimeState) -> Document:
    return {"total_offset_seconds": time.offset_seconds, "effective_datetime": time.now.isoformat()}


def trace_object(trace: Trace) -> Document:
    """``gen_dbg_traceTransaction``: the leader's run first, and in words that people read, then everybody's."""
    nodes = [
        {
            "validator": node.validator.as_hex,
            "mode": str(node.mode),
            "vote": None if node.vote is None else str(node.vote),
            "result_code": None if node.outcome is None else outcome_to_bytes(node.outcome)[0],
            "return_data": None if node.outcome is None else outcome_to_bytes(node.outcome)[1:].hex(),
            "error": failure_text(node.outcome) or None,
            "stdout": node.stdout,
            "stderr": node.stderr,
            "genvm_log": _log_lines(node.log),
            "seconds": node.seconds,
            "reason": node.reason,
        }
        for node in trace.nodes
    ]
    head = {name: nodes[0][name] for name in _OF_TRACE} if nodes else dict.fromkeys(_OF_TRACE)
    return {
        "transaction_id": hex_of(trace.id),
        "round": trace.round,
        "consensus_round": str(trace.label),
        **head,
        "nodes": nodes,
    }


_OF_TRACE: Final = ("result_code", "return_data", "error", "stdout", "stderr", "genvm_log")


def _log_lines(text: str) -> list[Any]:
    """The executor writes one JSON object a line."""
    found: list[Any] = []
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
        except (ValueError, RecursionError):
            found.append(line)
    return found


def _safe(value: Any) -> Any:
    """Integers that JavaScript cannot hold become decimal texts."""
    # By type: answers have hundreds of members, and whether something is a Mapping takes long to say.
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is dict or isinstance(value, Mapping):
        return {key: _safe(one) for key, one in value.items()}
    if isinstance(value, int):
        return value if abs(value) <= _SAFE else str(value)
    if isinstance(value, list | tuple):
        return [_safe(one) for one in value]
    return value
