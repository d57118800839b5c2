"""The yardstick of settled tasks is what the specification has to be hashed for a task, no less and no more."""

from __future__ import annotations

from benchmarks import settlement
from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.codec.receipt import Receipt
from pygenvm.settlement.state.memory import MemoryStore
from pygenvm.settlement.types.words import u32, u64, u256

#: A receipt has that many before it.
BEFORE = 12


def by_the_specification(lives: settlement._Lives) -> set[bytes]:
    """Preimages of the life of the task that was settled last (spec settlement/01 §3, §6-§8, 02 §2-§8)."""
    engine = lives.engine
    intent_id = lives.last.intent_id
    task_id = engine.task_for_intent(intent_id)
    task, selected = engine.task(task_id), engine.selection(task_id)
    receipt: Receipt = engine.export_receipt(intent_id).receipt
    request = task.model_spec_hash + task.prompt_hash
    asked = lives.last

    hashed = {
        # Ids of intent and task, and the draw.
        b"lux/aivmbridge/intent/v1"
        + asked.c_chain_id
        + asked.a_chain_id
        + asked.c_tx_hash
        + u32(asked.call_index)
        + asked.caller
        + request
        + b"\0\x05\0\x03"
        + u256(asked.fee or 0),
        b"av/task" + task.requester + u256(BEFORE) + request + u64(task.request_height) + u32(5) + u32(3),
        *(task_id + u32(number) for number in range(5)),
        # Slots of the intent and of the task.
        *(b"av/intent." + name + intent_id for name in (b"seen", b"task", b"rcpt")),
        *(b"av/task" + task_id + name for name in (b"", b"B", b"spec", b"prompt")),
        *(b"av/task." + name + task_id for name in (b"reward", b"escrow", b"intent", b"fee", b"height")),
        b"av/reveal.cnt" + task_id,
        b"av/settled" + task_id,
        b"av/canon" + task_id,
        # The receipt, and its leaf.
        b"lux/aivmbridge/receipt/v1" + receipt.encode(),
        b"av/receipt.leaf" + u32(BEFORE),
        receipt.hash(),
    }
    for number, operator in enumerate(selected):
        hashed |= {
            b"av/sel" + task_id + operator,
            b"av/sel.list" + task_id + u32(number),
            b"av/commit" + task_id + operator,
            b"av/reveal" + task_id + operator,
            b"av/reveal.f" + task_id + operator,
            b"av/reveal.list" + task_id + u32(number),
            # The commit, which a reveal has to be equal to.
            task_id + request + settlement._OUTPUT + settlement._EMBEDDING + operator + settlement._NONCE,
        }
    # Roots over those who were drawn and those who were paid, which are the same here.
    level = [keccak256(operator) for operator in selected]
    while len(level) > 1:
        pairs = [level[at] + level[min(at + 1, len(level) - 1)] for at in range(0, len(level), 2)]
        hashed |= set(pairs)
        level = [keccak256(pair) for pair in pairs]
    # From the new leaf to the receipt root: a node for each level.
    leaves = [keccak256(engine.state.word(keccak256(b"av/receipt.leaf" + u32(at)))) for at in range(BEFORE + 1)]
    position = BEFORE
    while len(leaves) > 1:
        pairs = [leaves[at] + leaves[min(at + 1, len(leaves) - 1)] for at in range(0, len(leaves), 2)]
        position //= 2
        hashed.add(pairs[position])
        leaves = [keccak256(pair) for pair in pairs]
    return hashed


def test_no_less_and_no_more() -> None:
    lives = settlement._Lives(MemoryStore())
    lives.live(lives.intents(BEFORE))
    (last,) = lives.intents(1)
    assert settlement.needed_for(lives, last) == by_the_specification(lives)
