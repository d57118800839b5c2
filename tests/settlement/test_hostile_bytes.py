"""Bytes from strangers: refused by name, or exactly what their reading encodes to."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from pygenvm.settlement.blocks.transactions import Commit, ImportIntent, parse, sign
from pygenvm.settlement.codec import merkle, wire
from pygenvm.settlement.codec.zap import ZapError
from pygenvm.settlement.types.block_errors import BlockError
from pygenvm.settlement.verifier.document import DocumentError, read
from tests.settlement.chains import OPERATOR_KEYS
from tests.settlement.engines import A_CHAIN, intent
from tests.settlement.test_wire_vectors import BLOCKS, VERTICES
from tests.settlement.vectors import word
from tests.support.properties import examples

KEY = OPERATOR_KEYS[0]
TRANSACTIONS = [
    sign(KEY, A_CHAIN, 1, call).encode() for call in (Commit(word(1), word(2)), ImportIntent(intent(KEY.address)))
]
MESSAGES = [*(block.encode() for block in BLOCKS.values()), *(vertex.encode() for vertex in VERTICES.values())]


@st.composite
def damaged(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1))
        change = draw(st.sampled_from(["set", "cut", "insert", "number"]))
        if change == "set":
            data[at] = draw(st.integers(0, 255))
        elif change == "cut":
            del data[at : at + draw(st.integers(1, 40))]
        elif change == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=40))
        else:
            data[at : at + 4] = draw(st.sampled_from([0, 1, 1 << 31, (1 << 32) - 1])).to_bytes(4, "little")
        data = data or bytearray(1)
    return bytes(data)


@examples(400)
@given(damaged(MESSAGES) | st.binary(max_size=400))
def test_messages(data: bytes) -> None:
    for read_one in (wire.parse_block, wire.parse_vertex):
        try:
            found = read_one(data)
        except ZapError:
            continue
        assert found.encode() == data


@examples(400)
@given(damaged(TRANSACTIONS) | st.binary(max_size=500))
def test_transactions(data: bytes) -> None:
    try:
        transaction = parse(data)
    except BlockError:
        return
    assert transaction.encode() == data
    try:
        transaction.check(A_CHAIN)
    except BlockError:
        return
    assert data in TRANSACTIONS


@examples(200)
@given(st.binary(max_size=200))
def test_proof_frames(data: bytes) -> None:
    try:
        root, proof = merkle.read_frame(data)
    except ValueError:
        return
    assert proof.frame(root) == data


@examples(200)
@given(st.text(max_size=100) | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(str))
def test_documents(text: str) -> None:
    try:
        read(text)
    except DocumentError:
        return
    raise AssertionError("a receipt by chance")
