"""Transactions: their bytes, their signatures, and those that wait."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pygenvm.settlement.blocks import pool as pools
from pygenvm.settlement.blocks.pool import HEIGHTS_MAX, Pool
from pygenvm.settlement.blocks.transactions import (
    Call,
    Commit,
    Deregister,
    ImportIntent,
    Register,
    Reveal,
    Settle,
    Transaction,
    WithdrawRewards,
    WithdrawStake,
    parse,
    sign,
)
from pygenvm.settlement.types.block_errors import BlockError
from pygenvm.settlement.types.words import Address
from tests.settlement.chains import OPERATOR_KEYS, REQUESTER_KEY
from tests.settlement.engines import A_CHAIN, C_CHAIN, intent
from tests.settlement.vectors import word

KEY, OTHER = OPERATOR_KEYS[:2]
CALLS: list[Call] = [
    Register(5, word(1), word(2)),
    Deregister(),
    WithdrawStake(),
    WithdrawRewards(),
    ImportIntent(intent(KEY.address)),
    Commit(word(1), word(2)),
    Reveal(word(1), word(2), word(3), word(4)),
    Settle(word(1)),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: type(call).__name__)
def test_every_call_has_a_transaction(call: Call) -> None:
    transaction = sign(KEY, A_CHAIN, 7, call)
    data = transaction.encode()
    assert parse(data) == transaction
    parse(data).check(A_CHAIN)
    for bad in (data[:-1], data + b"\0", data[:62], b""):
        with pytest.raises(BlockError) as caught:
            parse(bad)
        assert caught.value.name == "ErrTransactionMalformed"


def test_the_bytes() -> None:
    data = sign(KEY, A_CHAIN, 7, Settle(word(0x99))).encode()
    assert data[:63] == b"\x01\x01\x08" + A_CHAIN + KEY.address + (7).to_bytes(8, "big")
    assert data[63:95] == word(0x99)
    assert len(data) == 63 + 32 + 65


@pytest.mark.parametrize(
    ("position", "value", "name"),
    [
        (0, 2, "ErrTransactionMalformed"),
        (1, 2, "ErrTransactionScheme"),
        (1, 0, "ErrTransactionScheme"),
        (2, 0, "ErrTransactionMalformed"),
        (2, 9, "ErrTransactionMalformed"),
        (2, 1, "ErrTransactionMalformed"),
    ],
)
def test_bad_heads(position: int, value: int, name: str) -> None:
    data = bytearray(sign(KEY, A_CHAIN, 7, Settle(word(0x99))).encode())
    data[position] = value
    with pytest.raises(BlockError) as caught:
        parse(bytes(data))
    assert caught.value.name == name


def _check(transaction: Transaction) -> str:
    with pytest.raises(BlockError) as caught:
        parse(transaction.encode()).check(A_CHAIN)
    return caught.value.name


def test_forged_transactions() -> None:
    good = sign(KEY, A_CHAIN, 7, Settle(word(0x99)))
    assert _check(replace(good, sender=OTHER.address)) == "ErrTransactionSignature"
    assert _check(replace(good, nonce=8)) == "ErrTransactionSignature"
    assert _check(replace(good, call=Settle(word(0x98)))) == "ErrTransactionSignature"
    assert _check(replace(good, signature=bytes(65))) == "ErrTransactionSignature"
    assert _check(replace(good, signature=b"\xff" * 65)) == "ErrTransactionSignature"
    assert _check(sign(KEY, C_CHAIN, 7, Settle(word(0x99)))) == "ErrTransactionChain"
    # Whoever delivers an intent chooses the reward that the caller pays.
    assert _check(sign(OTHER, A_CHAIN, 7, ImportIntent(intent(KEY.address)))) == "ErrTransactionCaller"


def test_there_is_one_signature_of_each_transaction() -> None:
    good = sign(KEY, A_CHAIN, 7, Settle(word(0x99)))
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    s = int.from_bytes(good.signature[32:64], "big")
    twin = good.signature[:32] + (order - s).to_bytes(32, "big") + bytes((good.signature[64] ^ 1,))
    assert _check(replace(good, signature=twin)) == "ErrTransactionSignature"


def test_intents_in_transactions_are_canonical() -> None:
    data = bytearray(sign(KEY, A_CHAIN, 7, ImportIntent(intent(KEY.address))).encode())
    data[63 + 4] = 1
    with pytest.raises(BlockError, match="canonical"):
        parse(bytes(data))


def test_keys_keep_their_secret() -> None:
    assert KEY.secret.hex() not in repr(KEY)
    with pytest.raises(ValueError, match=r"[Ss]ecret"):
        type(KEY)(bytes(32))


# --- those that wait ---


def _waiting(pool: Pool, nonces: dict[Address, int]) -> list[tuple[Address, int]]:
    """Who is carried out, if everything succeeds."""
    found = []
    for transaction in pool.ready(lambda sender: nonces.get(sender, 0)):
        found.append((transaction.sender, transaction.nonce))
        nonces[transaction.sender] = transaction.nonce + 1
    return found


def test_order_is_that_of_arrival_and_of_nonces() -> None:
    pool = Pool()
    for key, nonce in ((KEY, 1), (OTHER, 0), (KEY, 0), (OTHER, 2), (REQUESTER_KEY, 0)):
        pool.add(sign(key, A_CHAIN, nonce, Deregister()), 1)
    one, other, third = KEY.address, OTHER.address, REQUESTER_KEY.address
    assert _waiting(pool, {}) == [(other, 0), (one, 0), (one, 1), (third, 0)]
    pool.prune(one, 2)
    assert _waiting(pool, {one: 2}) == [(other, 0), (third, 0)]
    # One that fills a gap goes in the order in which it came, and lets those behind it pass.
    pool.add(sign(OTHER, A_CHAIN, 1, Deregister()), 1)
    assert _waiting(pool, {one: 2}) == [(other, 0), (third, 0), (other, 1), (other, 2)]


def test_a_failure_holds_up_its_sender_only() -> None:
    pool = Pool()
    for key, nonce in ((KEY, 0), (KEY, 1), (OTHER, 0)):
        pool.add(sign(key, A_CHAIN, nonce, Deregister()), 1)
    tried = [(one.sender, one.nonce) for one in pool.ready(lambda sender: 0)]
    assert tried == [(KEY.address, 0), (OTHER.address, 0)]


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "PER_SENDER_MAX", 2)
    monkeypatch.setattr(pools, "TRANSACTIONS_MAX", 3)
    pool = Pool()
    for nonce in range(2):
        pool.add(sign(KEY, A_CHAIN, nonce, Deregister()), 1)
    for key, nonce, name in (
        (KEY, 1, "ErrTransactionKnown"),
        (KEY, 2, "ErrTransactionPoolFull"),
        (OTHER, 0, ""),
        (REQUESTER_KEY, 0, "ErrTransactionPoolFull"),
    ):
        transaction = sign(key, A_CHAIN, nonce, Deregister())
        if not name:
            pool.add(transaction, 1)
            continue
        with pytest.raises(BlockError) as caught:
            pool.add(transaction, 1)
        assert caught.value.name == name
    assert len(pool) == 3
    pool.expire(1 + HEIGHTS_MAX)
    assert len(pool) == 3
    pool.expire(2 + HEIGHTS_MAX)
    assert len(pool) == 0
    assert _waiting(pool, {}) == []
