"""The receipt tree is kept node by node; what it gives is what hashing all leaves gives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import pytest

from pygenvm.settlement.codec import merkle
from pygenvm.settlement.engine import receipts
from pygenvm.settlement.state import slots
from pygenvm.settlement.state.memory import MemoryStore
from pygenvm.settlement.state.staging import Staging
from pygenvm.settlement.state.state import State
from pygenvm.settlement.state.store import StoreError
from pygenvm.settlement.types.words import ZERO, Hash
from tests.settlement.vectors import word


def _empty() -> State:
    return State(Staging(MemoryStore()))


def test_roots_and_proofs_of_every_size() -> None:
    state, leaves = _empty(), []
    assert receipts.root(state) == ZERO
    for count in range(1, 140):
        leaves.append(merkle.receipt_leaf(word(count)))
        assert receipts.append(state, ZERO, word(count)) == receipts.root(state) == merkle.root(leaves)
        if count < 40 or count in (63, 64, 65, 100, 127, 128, 129, 139):
            for index in range(count):
                assert receipts.proof(state, index) == merkle.proof(leaves, index)


@contextmanager
def _counted() -> Iterator[list[Hash]]:
    """What nodes are hashed."""
    hashed: list[Hash] = []
    real = merkle.node

    def node(left: Hash, right: Hash) -> Hash:
        hashed.append(left)
        return real(left, right)

    with mock.patch.object(merkle, "node", node):
        yield hashed


@pytest.mark.parametrize("count", [10, 1000, 5000])
def test_one_more_takes_a_hash_for_each_level(count: int) -> None:
    state = _empty()
    for number in range(count):
        receipts.append(state, ZERO, word(number))
    with _counted() as hashed:
        receipts.append(state, ZERO, word(count))
    assert len(hashed) == count.bit_length()
    with _counted() as hashed:
        receipts.proof(state, count // 3)
    assert len(hashed) <= count.bit_length()


def test_a_lost_node_is_an_error() -> None:
    state = _empty()
    for number in range(4):
        receipts.append(state, ZERO, word(number))
    state.staging.write(b"av/merkle/\x01" + bytes(8), None)
    with pytest.raises(StoreError, match="lost node 0 of level 1"):
        receipts.proof(state, 2)


def test_nodes_are_no_slots() -> None:
    state = _empty()
    for number in range(4):
        receipts.append(state, ZERO, word(number))
    assert state.digest()[1] == 4 + 2
    assert state.is_set(slots.RECEIPT_ROOT)
