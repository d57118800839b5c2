"""The file of a receipt from a chain: what state has of it, and the transactions of its blocks."""

from __future__ import annotations

from collections.abc import Iterator

from pygenvm.settlement.blocks.transactions import ImportIntent, Reveal, Transaction, parse
from pygenvm.settlement.blocks.view import ChainView
from pygenvm.settlement.codec.hashes import task_id
from pygenvm.settlement.codec.intent import Intent
from pygenvm.settlement.engine.tasks import Task
from pygenvm.settlement.state import slots
from pygenvm.settlement.types.words import Address, Hash, u256
from pygenvm.settlement.verifier.document import Document, Revealed


def export(chain: ChainView, intent_id: Hash) -> Document:
    """``QuorumError`` with ``ErrReceiptNotFound`` for an intent without a receipt."""
    engine = chain.engine()
    exported = engine.export_receipt(intent_id)
    task = engine.task(exported.receipt.task_id)
    revealed: dict[Address, Reveal] = {}
    intent: Intent | None = None
    for transaction in _transactions(chain, task):
        call = transaction.call
        if isinstance(call, ImportIntent) and call.intent.intent_id == intent_id:
            intent = call.intent
        elif isinstance(call, Reveal) and call.task_id == task.task_id:
            revealed[transaction.sender] = call
    reveals = []
    for operator, output in engine.reveals(task.task_id):
        call_of = revealed.get(operator)
        reveals.append(
            Revealed(
                operator,
                output,
                embedding=call_of.embedding if call_of else None,
                nonce=call_of.nonce if call_of else None,
                commit=engine.commitment(task.task_id, operator),
            )
        )
    return Document(
        receipt=exported.receipt,
        root=exported.root,
        proof=exported.proof,
        intent=intent,
        request_nonce=_nonce(task, engine.state.number(slots.requester_nonce(task.requester))),
        request_height=task.request_height,
        operators=tuple(engine.selection(task.task_id)),
        reveals=tuple(reveals),
    )


def _transactions(chain: ChainView, task: Task) -> Iterator[Transaction]:
    for height in range(task.request_height, task.reveal_deadline + 1):
        block_id = chain.block_id_at(height)
        block = None if block_id is None else chain.block(block_id)
        yield from map(parse, block.transactions if block else ())


def _nonce(task: Task, count: int) -> int | None:
    """State has only how many tasks a requester has made: the one whose id this is."""
    request = task.model_spec_hash, task.prompt_hash, task.request_height, task.n, task.threshold
    for nonce in range(count):
        if task_id(task.requester, u256(nonce), *request) == task.task_id:
            return nonce
    return None
