"""The JSON forms of what readers are told: bytes as hex with ``0x``, amounts as decimal text, heights as numbers."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

from pygenvm.settlement.blocks.transactions import Call, ImportIntent, Transaction, parse
from pygenvm.settlement.codec.intent import Intent
from pygenvm.settlement.codec.merkle import Proof
from pygenvm.settlement.codec.wire import Block
from pygenvm.settlement.engine.engine import Engine
from pygenvm.settlement.engine.operators import Operator
from pygenvm.settlement.engine.receipts import Exported
from pygenvm.settlement.engine.tasks import Task
from pygenvm.settlement.types.constants import TaskState
from pygenvm.settlement.types.words import ZERO, Address, Hash

_STATES: Final = {
    TaskState.COMMITTING: "open",
    TaskState.SETTLED: "settled",
    TaskState.FAILED: "failed",
}
#: 256 bits do not fit every reader's numbers.
_AMOUNTS: Final = frozenset({"stake", "fee", "reward"})


def hexed(value: bytes) -> str:
    return "0x" + value.hex()


def operator(address: Address, found: Operator, credit: int) -> dict[str, object]:
    return {
        "address": hexed(address),
        "unbonding": found.unbonding,
        "unbondHeight": found.unbond_height if found.unbonding else None,
        "stake": str(found.stake),
        "modelSpecHash": hexed(found.model_spec_hash),
        "endpointHash": hexed(found.endpoint_hash),
        "credit": str(credit),
    }


def task(engine: Engine, found: Task) -> dict[str, object]:
    """With who was drawn, what they committed to, and what they revealed, in these orders."""
    outputs = dict(engine.reveals(found.task_id))
    selection = engine.selection(found.task_id)
    commits = {one: engine.commitment(found.task_id, one) for one in selection}
    canonical = engine.canonical_result(found.task_id)
    return {
        "taskId": hexed(found.task_id),
        "intentId": hexed(found.intent_id),
        "state": _STATES[found.state],
        "requester": hexed(found.requester),
        "modelSpecHash": hexed(found.model_spec_hash),
        "promptHash": hexed(found.prompt_hash),
        "n": found.n,
        "threshold": found.threshold,
        "requestHeight": found.request_height,
        "commitDeadline": found.commit_deadline,
        "revealDeadline": found.reveal_deadline,
        "settledHeight": found.settled_height or None,
        "reward": str(found.reward),
        "escrow": str(found.escrow),
        "feePaid": str(found.fee_paid),
        "operators": [hexed(one) for one in selection],
        "commits": [
            {"operator": hexed(one), "commitment": hexed(value)} for one, value in commits.items() if value != ZERO
        ],
        "reveals": [{"operator": hexed(one), "output": hexed(value)} for one, value in outputs.items()],
        "canonicalOutput": None if canonical == ZERO else hexed(canonical),
    }


def intent(found: Intent) -> dict[str, object]:
    return _members(found)


def receipt(found: Exported) -> dict[str, object]:
    return {
        "receipt": found.receipt.to_json(),
        "encoded": hexed(found.receipt.encode()),
        "hash": hexed(found.receipt.hash()),
        "root": hexed(found.root),
        "proof": proof(found.proof, found.root),
    }


def proof(found: Proof, root: Hash) -> dict[str, object]:
    return {
        "index": found.index,
        "siblings": [hexed(one) for one in found.siblings],
        "frame": hexed(found.frame(root)),
    }


def block(found: Block) -> dict[str, object]:
    return {
        "id": hexed(found.id),
        "parent": hexed(found.parent),
        "height": found.height,
        "timestamp": found.timestamp,
        "receiptRoot": hexed(found.receipt_root),
        "transactions": [transaction(parse(data)) for data in found.transactions],
    }


def transaction(found: Transaction) -> dict[str, object]:
    return {
        "id": hexed(found.id),
        "sender": hexed(found.sender),
        "nonce": found.nonce,
        "kind": kind(found.call),
        "call": intent(found.call.intent) if isinstance(found.call, ImportIntent) else _members(found.call),
    }


def kind(call: Call) -> str:
    """``importIntent`` and the like."""
    name = type(call).__name__
    return name[0].lower() + name[1:]


def _members(found: Any) -> dict[str, object]:
    members: dict[str, object] = {}
    for one in fields(found):
        value = getattr(found, one.name)
        if isinstance(value, bytes):
            value = hexed(value)
        elif one.name in _AMOUNTS and value is not None:
            value = str(value)
        head, *rest = one.name.split("_")
        members[head + "".join(part.capitalize() for part in rest)] = value
    return members
