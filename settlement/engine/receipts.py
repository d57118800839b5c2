"""The accumulator of receipts and their export (spec settlement/01 §8.7, §9).

The root is the one that hashing all leaves gives. It is not computed so: the nodes of full subtrees are kept beside the
slots, so that a new leaf and a proof take a hash for each level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pygenvm.settlement.codec import merkle
from pygenvm.settlement.codec.receipt import VERSION, Receipt
from pygenvm.settlement.engine import tasks
from pygenvm.settlement.engine.reveals import revealed
from pygenvm.settlement.state import slots
from pygenvm.settlement.state.state import State
from pygenvm.settlement.state.store import StoreError
from pygenvm.settlement.types.constants import ReceiptStatus, TaskState
from pygenvm.settlement.types.errors import QuorumError, Refusal
from pygenvm.settlement.types.words import MAX_U32, MAX_U64, ZERO, Address, Hash


@dataclass(frozen=True, slots=True)
class Exported:
    """A receipt with what proves it: the proof belongs to this root, and both change as receipts are added."""

    receipt: Receipt
    proof: merkle.Proof
    root: Hash


def build(
    chains: tuple[Hash, Hash],
    task: tasks.Task,
    operators: Sequence[Address],
    winners: Sequence[Address],
    canonical: Hash,
    height: int,
) -> Receipt:
    """The receipt of a task that was settled at this height.

    :param operators: in the order of selection.
    :param winners: in the order of their reveals; none if the task failed, and then ``canonical`` is zero.
    """
    operators_root = merkle.root_over_addresses(operators)
    # All agreed, and revealed in the order of their selection: the same list.
    same = len(winners) == len(operators) and tuple(winners) == tuple(operators)
    return Receipt(
        version=VERSION,
        intent_id=task.intent_id,
        task_id=task.task_id,
        c_chain_id=chains[0],
        a_chain_id=chains[1],
        requester=task.requester,
        model_spec_hash=task.model_spec_hash,
        prompt_hash=task.prompt_hash,
        canonical_output_hash=canonical,
        status=ReceiptStatus.FAILED if canonical == ZERO else ReceiptStatus.COMPLETED,
        n=task.n,
        threshold=task.threshold,
        winners_root=operators_root if same else merkle.root_over_addresses(winners),
        operators_root=operators_root,
        fee_paid=task.fee_paid,
        settled_at_height=height & MAX_U64,
    )


def append(state: State, intent_id: Hash, receipt_hash: Hash) -> Hash:
    """Adds a leaf and returns the new root."""
    index = count(state)
    state.set_word(slots.receipt_leaf(index), receipt_hash)
    state.set_number(slots.RECEIPT_COUNT, index + 1)
    if intent_id != ZERO:
        state.set_number(slots.intent_receipt(intent_id), index + 1)
    new_root = _climb(state, index, merkle.receipt_leaf(receipt_hash))
    state.set_word(slots.RECEIPT_ROOT, new_root)
    return new_root


def _climb(state: State, index: int, node: Hash) -> Hash:
    """From the last leaf to the root, keeping each node whose subtree is full now."""
    level, full = 0, True
    while index:
        if full and level:
            state.set_merkle_node(level, index, node)
        if index & 1:
            node = merkle.node(_full_node(state, level, index - 1), node)
        else:
            node, full = merkle.node(node, node), False
        level, index = level + 1, index >> 1
    if full and level:
        state.set_merkle_node(level, 0, node)
    return node


def _full_node(state: State, level: int, index: int) -> Hash:
    if level == 0:
        return merkle.receipt_leaf(state.word(slots.receipt_leaf(index)))
    found = state.merkle_node(level, index)
    if found is None:
        raise StoreError(f"the receipt tree has lost node {index} of level {level}")
    return found


def proof(state: State, index: int) -> merkle.Proof:
    """Proof of one leaf in the tree as it is now; ``ErrProofOutOfRange`` where there is none of this index."""
    last, siblings, level = count(state) - 1, [], 0
    if not 0 <= index <= last:
        raise QuorumError(Refusal.ErrProofOutOfRange)
    position, edge = index, _full_node(state, 0, last)
    while last:
        # Behind the last node there is none, and its partner is it itself.
        sibling = position ^ 1
        siblings.append(edge if sibling >= last else _full_node(state, level, sibling))
        edge = merkle.node(_full_node(state, level, last - 1) if last & 1 else edge, edge)
        level, position, last = level + 1, position >> 1, last >> 1
    return merkle.Proof(index, tuple(siblings))


def count(state: State) -> int:
    return state.number(slots.RECEIPT_COUNT) & MAX_U32


def root(state: State) -> Hash:
    return state.word(slots.RECEIPT_ROOT)


def export(state: State, chains: tuple[Hash, Hash], intent_id: Hash) -> Exported:
    """Receipt, proof and root of an intent (spec settlement/01 §9)."""
    place = state.number(slots.intent_receipt(intent_id))
    task_id = state.word(slots.intent_task(intent_id))
    if not place or task_id == ZERO:
        raise QuorumError(Refusal.ErrReceiptNotFound)
    task = tasks.task(state, task_id)
    if task.state not in (TaskState.SETTLED, TaskState.FAILED):
        raise QuorumError(Refusal.ErrTaskUnknown)
    canonical = state.word(slots.canonical_output(task_id))
    completed = task.state == TaskState.SETTLED
    winners = [operator for operator, output in revealed(state, task_id) if completed and output == canonical]
    receipt = build(chains, task, tasks.selection(state, task_id, task.n), winners, canonical, task.settled_height)
    return Exported(receipt, proof(state, place - 1), root(state))
