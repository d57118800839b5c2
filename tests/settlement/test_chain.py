"""Blocks: built, verified on an overlay, accepted in one transaction of the store, rejected without a trace."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pygenvm.settlement.blocks import chain as chains
from pygenvm.settlement.blocks.chain import BLOCK_BYTES_MAX, SKEW_NS, Chain
from pygenvm.settlement.blocks.transactions import (
    Deregister,
    ImportIntent,
    Register,
    Reveal,
    Settle,
    WithdrawRewards,
    WithdrawStake,
    sign,
)
from pygenvm.settlement.codec.merkle import verify_strictly
from pygenvm.settlement.codec.records import RegistrationRecord, ResultRecord, TaskRecord
from pygenvm.settlement.codec.wire import Block
from pygenvm.settlement.state.memory import MemoryStore
from pygenvm.settlement.state.opening import open_store
from pygenvm.settlement.state.staging import Staging
from pygenvm.settlement.state.store import Changes, StoreError
from pygenvm.settlement.types.block_errors import BlockError
from pygenvm.settlement.types.constants import ESCROW_ACCOUNT
from pygenvm.settlement.types.errors import QuorumError
from pygenvm.settlement.types.words import ZERO
from tests.settlement.chains import (
    ETHER,
    GENESIS,
    NOW,
    OPERATOR_KEYS,
    REQUESTER,
    REQUESTER_KEY,
    SECOND,
    Net,
    contents,
    forged,
    new_chain,
)
from tests.settlement.engines import A_CHAIN, SPEC, intent
from tests.settlement.test_state import lasting, name, name_of
from tests.settlement.vectors import word

__all__ = ["lasting", "name", "name_of"]


def live(net: Net) -> tuple[object, ...]:
    """Three agree, one dissents, one keeps its reveal back; then the money goes out."""
    net.register_all()
    task = net.ask()
    selected = net.leader.engine().selection(task)
    for operator, output in zip(selected, (1, 1, 1, 2, 1), strict=True):
        net.commit(task, operator, output)
    created = net.block().height - 1
    assert net.leader.engine().task(task).request_height == created
    net.to_height(created + 31)
    for operator, output in zip(selected[:4], (1, 1, 1, 2), strict=True):
        net.reveal(task, operator, output)
    net.block()
    net.to_height(created + 61)
    assert net.leader.engine().task(task).state == 1
    net.block()
    settled = net.leader.engine().task(task)
    assert (settled.state, settled.settled_height) == (2, created + 61)
    for operator in selected[:3]:
        net.send(operator, WithdrawRewards())
    net.send(selected[4], Deregister())
    left = net.block().height
    net.to_height(left + 60)
    net.send(selected[4], WithdrawStake())
    net.block()
    engine = net.leader.engine()
    share = ETHER // 10 // 3
    assert [engine.balance(one) for one in selected[:3]] == [2 * ETHER + share] * 3
    assert engine.credit(REQUESTER) == 2 * ETHER + 1
    assert engine.balance(selected[4]) == 3 * ETHER - ETHER // 10
    return engine.state.digest()


def test_a_life_in_blocks(name: str) -> None:
    """The follower has another store, hears of nothing but blocks, and has the same state in the end."""
    store, memory = open_store(name), MemoryStore()
    follower = new_chain(memory)
    digest = live(Net(new_chain(store), follower))
    assert follower.engine().state.digest() == digest
    assert contents(memory) == contents(store)
    store.close()


def test_opened_again(lasting: str) -> None:
    store = open_store(lasting)
    net = Net(new_chain(store))
    net.register_all()
    task = net.ask()
    tip, before = net.leader.tip, contents(store)
    net.leader.build()
    store.close()

    store = open_store(lasting)
    chain = new_chain(store)
    assert (chain.tip, contents(store)) == (tip, before)
    assert chain.engine().task(task).state == 1
    assert chain.nonce(REQUESTER) == 1
    assert chain.block_id_at(1) == tip.parent
    genesis = chain.block_id_at(0)
    assert genesis is not None
    assert chain.block(genesis) == GENESIS.block()
    assert (chain.block_id_at(3), chain.block(word(1))) == (None, None)
    net.leader = chain
    assert net.block().height == 3
    for other in (
        replace(GENESIS, a_chain_id=word(1)),
        replace(GENESIS, balances={}),
        replace(GENESIS, cooldown=61),
        replace(GENESIS, timestamp=0),
    ):
        with pytest.raises(BlockError) as caught:
            new_chain(store, other)
        assert caught.value.name == "ErrGenesisDiffers"
    store.close()


def test_the_cooldown_of_the_genesis_holds() -> None:
    chain = new_chain(genesis=replace(GENESIS, cooldown=61))
    assert chain.engine().cooldown == 61


def test_blocks_have_the_bytes_of_the_specification() -> None:
    chain = new_chain()
    empty = chain.build().block
    assert len(empty.encode()) == 193
    net = Net(chain)
    net.register_all()
    asked = intent(REQUESTER)
    net.send(REQUESTER, ImportIntent(asked))
    block = net.block()
    assert block.intents == (asked,)
    assert chain.parse(block.encode()) == block


# --- bad blocks ---


@pytest.fixture
def net() -> Net:
    made = Net(new_chain())
    made.register_all()
    return made


def _refusal(chain: Chain, block: Block) -> str:
    """By what name it is refused; the chain knows nothing of it afterwards."""
    before = contents(chain._store)
    with pytest.raises((BlockError, QuorumError)) as caught:
        chain.verify(block)
    assert contents(chain._store) == before
    assert chain.block(block.id) is None or chain.block_id_at(block.height) == block.id
    with pytest.raises(BlockError, match="not verified"):
        chain.accept(block.id)
    assert isinstance(caught.value, BlockError | QuorumError)
    return caught.value.name


def test_bad_blocks(net: Net) -> None:
    chain, key = net.leader, OPERATOR_KEYS[0]
    net.send(key.address, Deregister())
    net.send(REQUESTER, ImportIntent(intent(REQUESTER)))
    good = chain.build().block
    chain.reject(good.id)
    assert len(good.transactions) == 2
    again = sign(key, A_CHAIN, 2, Deregister()).encode()
    stolen = sign(REQUESTER_KEY, A_CHAIN, 1, Deregister())
    stolen = replace(stolen, sender=key.address)
    too_early = sign(key, A_CHAIN, 2, WithdrawStake()).encode()
    skipped = sign(key, A_CHAIN, 3, WithdrawRewards()).encode()
    elsewhere = sign(key, word(5), 1, WithdrawRewards()).encode()
    others_intent = sign(key, A_CHAIN, 1, ImportIntent(intent(REQUESTER, c_tx=9))).encode()

    bad = {
        "ErrBlockParent": [forged(good, parent=word(1)), forged(good, parent=ZERO)],
        "ErrBlockHeight": [forged(good, height=good.height + 1), forged(good, height=1), forged(good, height=0)],
        "ErrBlockTime": [
            forged(good, timestamp=NOW + SKEW_NS + 1),
            forged(good, timestamp=chain.tip.timestamp - 1),
            forged(good, timestamp=-1),
        ],
        "ErrBlockContent": [
            forged(good, tasks=(TaskRecord("1"),)),
            forged(good, results=(ResultRecord("1"),)),
            forged(good, registrations=(RegistrationRecord("1"),)),
            forged(good, merkle_root=word(1)),
        ],
        "ErrBlockIntents": [
            forged(good, intents=()),
            forged(good, intents=good.intents * 2),
            forged(good, transactions=good.transactions[:1]),
            forged(good, intents=(replace(good.intents[0], reward=1),)),
        ],
        "ErrReceiptRootMismatch": [forged(good, receipt_root=word(1))],
        "ErrTransactionNonce": [
            forged(good, transactions=(good.transactions[0], *good.transactions)),
            forged(good, transactions=(*good.transactions, skipped)),
        ],
        "ErrTransactionSignature": [
            forged(good, transactions=(*good.transactions, stolen.encode())),
            forged(good, transactions=(*good.transactions, again[:-65] + bytes(65))),
        ],
        "ErrTransactionMalformed": [forged(good, transactions=(*good.transactions, b"nothing"))],
        "ErrTransactionChain": [forged(good, transactions=(*good.transactions, elsewhere))],
        "ErrTransactionCaller": [
            forged(
                good,
                transactions=(*good.transactions, others_intent),
                intents=(*good.intents, intent(REQUESTER, c_tx=9)),
            )
        ],
        "ErrBlockTransaction": [
            forged(good, transactions=(*good.transactions, again)),
            forged(good, transactions=(*good.transactions, too_early)),
        ],
        "ErrBlockTooLarge": [forged(good, transactions=(*good.transactions, bytes(BLOCK_BYTES_MAX)))],
    }
    for refusal, blocks in bad.items():
        for block in blocks:
            assert _refusal(chain, block) == refusal
    # What they had to do with is still good.
    chain.verify(good)
    chain.accept(good.id)
    assert chain.tip == good


def test_bytes_that_are_no_block(net: Net) -> None:
    good = net.leader.build().block.encode()
    for data, refusal in (
        (b"", "ErrBlockMalformed"),
        (good[:-1], "ErrBlockMalformed"),
        (good + b"\0", "ErrBlockMalformed"),
        (good[:4] + b"\1" + good[5:], "ErrBlockMalformed"),
        (bytes(BLOCK_BYTES_MAX + 1), "ErrBlockTooLarge"),
    ):
        with pytest.raises(BlockError) as caught:
            net.leader.parse(data)
        assert caught.value.name == refusal


def test_a_root_is_compared_even_if_the_block_says_zero_and_has_no_intents(net: Net) -> None:
    net.ask()
    net.to_height(net.leader.tip.height + 62)
    root = net.leader.engine().receipt_root()
    assert root != ZERO
    honest = net.leader.build().block
    assert honest.receipt_root == root
    assert _refusal(net.leader, forged(honest, receipt_root=ZERO)) == "ErrReceiptRootMismatch"


def test_duplicate_and_reordered_blocks(net: Net) -> None:
    follower = new_chain()
    net.block()
    first, second = (net.leader.block(one) for one in map(net.leader.block_id_at, (1, 2)) if one)
    assert first is not None
    assert second is not None
    assert _refusal(follower, second) == "ErrBlockParent"
    follower.verify(first)
    follower.verify(first)
    follower.verify(second)
    with pytest.raises(BlockError) as caught:
        follower.accept(second.id)
    assert caught.value.name == "ErrBlockNotNext"
    follower.accept(first.id)
    assert _refusal(follower, first) == "ErrBlockKnown"
    follower.accept(second.id)
    assert contents(follower._store) == contents(net.leader._store)
    assert _refusal(follower, first) == "ErrBlockKnown"
    assert _refusal(follower, GENESIS.block()) == "ErrBlockKnown"


def test_blocks_in_flight_do_not_see_each_other(net: Net) -> None:
    chain, key = net.leader, OPERATOR_KEYS[0]
    before = contents(chain._store)
    empty = chain.build().block
    net.send(key.address, Deregister())
    leaving = chain.build().block
    assert empty.id != leaving.id
    # A child of one of them.
    child = Block(leaving.id, leaving.height + 1, NOW, ZERO)
    chain.verify(child)
    assert contents(chain._store) == before
    chain.reject(leaving.id)
    with pytest.raises(BlockError):
        chain.accept(child.id)
    assert contents(chain._store) == before
    chain.accept(empty.id)
    assert not chain.engine().operator(key.address).unbonding
    # The transaction of the rejected block still waits.
    assert chain.waiting == 1
    net.block()
    assert chain.engine().operator(key.address).unbonding
    assert chain.waiting == 0


def test_what_does_not_follow_an_accepted_block_is_dropped(net: Net) -> None:
    chain, key = net.leader, OPERATOR_KEYS[0]
    empty = chain.build().block
    net.send(key.address, Deregister())
    leaving = chain.build().block
    child = Block(leaving.id, leaving.height + 1, NOW, ZERO)
    grandchild = Block(child.id, child.height + 1, NOW, ZERO)
    chain.verify(child)
    chain.verify(grandchild)
    chain.accept(leaving.id)
    with pytest.raises(BlockError, match="not verified"):
        chain.accept(empty.id)
    chain.accept(child.id)
    chain.accept(grandchild.id)
    assert chain.engine().operator(key.address).unbonding
    assert chain.tip == grandchild


def test_undecided_blocks_are_bounded(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains, "VERIFIED_MAX", 2)
    tip = net.leader.tip
    for offset in range(2):
        net.leader.verify(Block(tip.id, tip.height + 1, NOW + offset, ZERO))
    assert _refusal(net.leader, Block(tip.id, tip.height + 1, NOW + 2, ZERO)) == "ErrBlocksUndecided"


def test_unknown_blocks_can_neither_be_accepted_nor_rejected(net: Net) -> None:
    for act in (net.leader.accept, net.leader.reject):
        with pytest.raises(BlockError) as caught:
            act(word(1))
        assert caught.value.name == "ErrBlockNotVerified"


class _Failing(MemoryStore):
    fails = False

    def apply(self, changes: Changes) -> None:
        if self.fails:
            raise StoreError("the disk is full")
        super().apply(changes)


def test_a_block_that_cannot_be_written_may_be_accepted_later() -> None:
    store = _Failing()
    net = Net(new_chain(store))
    net.register_all()
    before, tip = contents(store), net.leader.tip
    block = net.leader.build().block
    store.fails = True
    with pytest.raises(StoreError):
        net.leader.accept(block.id)
    assert (contents(store), net.leader.tip) == (before, tip)
    store.fails = False
    net.leader.accept(block.id)
    assert new_chain(store).tip == block


# --- what the builder takes ---


def test_transactions_that_can_never_succeed_are_given_up(net: Net) -> None:
    chain = net.leader
    bad = net.send(OPERATOR_KEYS[0].address, Register(2 * ETHER, SPEC, ZERO))
    early = net.send(OPERATOR_KEYS[1].address, Settle(word(1)))
    built = chain.build()
    assert [(one, error.name) for one, error in built.refused] == [
        (bad, "ErrOperatorExists"),
        (early, "ErrTaskUnknown"),
    ]
    assert built.block.transactions == ()
    assert chain.waiting == 0


def test_transactions_that_come_early_wait(net: Net) -> None:
    task = net.ask()
    operator = net.leader.engine().selection(task)[0]
    net.commit(task, operator, 1)
    created = net.block().height - 1
    net.send(operator, Reveal(task, word(1), word(1), word(2)))
    net.to_height(created + 31)
    assert net.leader.waiting == 1
    assert len(net.block().transactions) == 1
    assert net.leader.engine().reveals(task) == [(operator, word(1))]


def test_outdated_transactions_are_not_taken(net: Net) -> None:
    with pytest.raises(BlockError) as caught:
        net.leader.submit(sign(OPERATOR_KEYS[0], A_CHAIN, 0, Deregister()).encode())
    assert caught.value.name == "ErrTransactionNonce"


def test_a_transaction_of_another_replaces_what_waited_with_its_nonce() -> None:
    net, other = Net(new_chain()), new_chain()
    key = OPERATOR_KEYS[0]
    net.leader.submit(sign(key, A_CHAIN, 0, Register(2 * ETHER, SPEC, ZERO)).encode())
    other.submit(sign(key, A_CHAIN, 0, Register(ETHER, SPEC, ZERO)).encode())
    block = other.build().block
    net.leader.verify(block)
    net.leader.accept(block.id)
    assert net.leader.waiting == 0


def test_a_block_is_never_too_large(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains, "BLOCK_BYTES_MAX", 3000)
    for c_tx in range(9):
        net.send(REQUESTER, ImportIntent(intent(REQUESTER, c_tx=c_tx)))
    sizes = []
    while net.leader.waiting:
        block = net.block()
        sizes.append(len(block.transactions))
        assert len(block.encode()) <= 3000
    assert sum(sizes) == 9
    assert max(sizes) == 3


def test_time_never_goes_back(net: Net) -> None:
    late = Block(net.leader.tip.id, net.leader.tip.height + 1, NOW + 50 * SECOND, ZERO)
    net.leader.verify(late)
    net.leader.accept(late.id)
    assert net.block().timestamp == late.timestamp


# --- what everybody may check ---


def test_receipts_of_a_chain_prove_themselves(net: Net) -> None:
    asked = [intent(REQUESTER, c_tx=number) for number in range(5)]
    for one in asked:
        net.send(REQUESTER, ImportIntent(one))
    net.block()
    net.to_height(net.leader.tip.height + 62)
    engine = net.leader.engine()
    assert engine.receipt_count() == 5
    for one in asked:
        exported = engine.export_receipt(one.intent_id)
        assert exported.root == net.leader.tip.receipt_root
        assert verify_strictly(exported.receipt.hash(), exported.proof, exported.root)
    escrow = engine.balance(ESCROW_ACCOUNT)
    assert escrow == 8 * 2 * ETHER + engine.credit(REQUESTER)


def test_reading_changes_nothing(net: Net) -> None:
    before = contents(net.leader._store)
    net.leader.engine().deregister(OPERATOR_KEYS[0].address, 5)
    assert contents(net.leader._store) == before
    assert dict(Staging(net.leader._store).items(b"")) == before
