"""ZAP messages and ids, byte for byte; what is not in canonical form is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pygenvm.settlement.codec import go_json, lp186, records, wire
from pygenvm.settlement.codec.intent import Intent
from pygenvm.settlement.codec.records import RegistrationRecord, ResultRecord, TaskRecord
from pygenvm.settlement.codec.wire import Block, Vertex
from pygenvm.settlement.codec.zap import Builder, ZapError, open_message
from pygenvm.settlement.types.words import ZERO, Hash
from tests.settlement.vectors import a, expected, h, inputs, raw, word

PARENT = Hash(bytes(range(32)))
SECOND = 1_000_000_000

INTENT = Intent(
    intent_id=ZERO,
    c_chain_id=word(0x0C0C),
    a_chain_id=word(0x0A0A),
    c_tx_hash=word(0xDEADBEEF),
    call_index=7,
    caller=a("0xf00dbabe00000000000000000000000000000001"),
    model_spec_hash=word(0x1111),
    prompt_hash=word(0x2222),
    n=5,
    threshold=3,
    fee=123456789,
    reward=1000000,
)
INTENT = replace(INTENT, intent_id=INTENT.computed_id())

BLOCKS = {
    "zap-blk_genesis": Block(ZERO, 0, 0, ZERO),
    "zap-blk_empty": Block(ZERO, 1, 1_700_000_000 * SECOND, ZERO),
    "zap-blk_intent": Block(
        PARENT,
        42,
        1_700_000_123 * SECOND + 456,
        word(0xABC123),
        merkle_root=Hash(bytes.fromhex("0102030909") + bytes(27)),
        intents=(INTENT,),
        tasks=(TaskRecord("task-1", "inference", "qwen3-8b", '{"b":1,"a":2}', status="pending", fee=99),),
    ),
    "zap-blk_two": Block(
        PARENT,
        43,
        1_700_000_124 * SECOND,
        ZERO,
        intents=(INTENT, INTENT),
        results=(ResultRecord("t1", "p1", '"x"', 12, b"\x01\x02\x03"),),
        registrations=(RegistrationRecord("p1", "0xdead", "https://gpu.example.com"),),
    ),
}
JOB_TX = wire.vertex_tx_id("job-123")
VERTICES = {
    "zap-vertex": Vertex(17, 2, (PARENT, JOB_TX), (JOB_TX,), ("job-123", "job-456")),
    "zap-vertex_min": Vertex(1, 0, job_ids=("j",)),
}


def test_intent() -> None:
    told = expected("zap-cintent")
    assert wire.encode_intent(INTENT) == raw(told["bytes"])
    assert len(wire.encode_intent(INTENT)) == told["length"]
    assert wire.parse_intent(raw(told["bytes"])) == INTENT


@pytest.mark.parametrize("name", BLOCKS)
def test_block(name: str) -> None:
    block, told = BLOCKS[name], expected(name)
    assert block.encode() == raw(told["bytes"])
    assert len(block.encode()) == told["length"]
    assert block.id == h(told["block_id_sha256"])
    assert wire.parse_block(block.encode()) == block


@pytest.mark.parametrize("name", VERTICES)
def test_vertex(name: str) -> None:
    vertex, told = VERTICES[name], expected(name)
    assert vertex.encode() == raw(told["bytes"])
    assert len(vertex.encode()) == told["length"]
    assert vertex.id == h(told["vertex_id"])
    assert wire.parse_vertex(vertex.encode()) == vertex


@pytest.mark.parametrize("name", ["zap-canonical-v1", "zap-canonical-v2"])
def test_canonical_object(name: str) -> None:
    fields = inputs(name)
    builder = Builder(fields["header_version"])
    root = builder.root(fields["size"])
    root.set("I", 0, int(fields["u32_at_0"], 0))
    root.bytes(8, fields["text_at_8"].encode())
    root.bytes(16, raw(fields["bytes_at_16"]))
    data = builder.finish(root)
    assert data == raw(expected(name))
    read, size = open_message(data)
    assert (read.get("I", 0), read.bytes(8), read.bytes(16), size) == (0xDEADBEEF, b"zap", b"\x01\x02\x03\x04", 47)


def test_other_ids() -> None:
    fields = inputs("vertex-id-later")
    vertex = Vertex(
        fields["height"],
        fields["epoch"],
        tuple(map(h, fields["parents"])),
        tuple(map(h, fields["tx_ids"])),
        tuple(fields["job_ids"]),
    )
    assert wire.later_vertex_id(vertex) == h(expected("vertex-id-later"))
    assert wire.vertex_tx_id(inputs("job-tx-id")["job_id"]) == h(expected("job-tx-id"))


def test_inference_transaction_of_lp186() -> None:
    values: dict[str, int | bytes] = {}
    for name, value in inputs("lp186-inference-tx").items():
        if isinstance(value, int):
            values[name] = value
        else:
            values[name] = raw(value) if value.startswith("0x") else value.encode()
    data = lp186.encode(lp186.INFERENCE_TX, values)
    assert data == raw(expected("lp186-inference-tx"))
    assert lp186.decode(lp186.INFERENCE_TX, data) == values
    with pytest.raises(ZapError, match="wrong kind"):
        lp186.decode(lp186.QUERY_TX, data)


def test_blocks_with_transactions_start_as_those_without() -> None:
    plain = BLOCKS["zap-blk_intent"]
    block = replace(plain, transactions=(b"one", b"another"))
    assert wire.parse_block(block.encode()) == block
    assert block.id != plain.id
    root, _ = open_message(block.encode())
    plain_root, _ = open_message(plain.encode())
    assert (root.get("B", 0), plain_root.get("B", 0)) == (3, 1)
    assert root.fixed(1, 112) == plain_root.fixed(1, 112)
    assert (root.u32_list(113), root.bytes(121)) == (plain_root.u32_list(113), plain_root.bytes(121))


def test_vertices_conflict_over_a_job() -> None:
    one, other = Vertex(1, 0, job_ids=("a", "b")), Vertex(2, 0, job_ids=("b", "c"))
    assert one.conflicts_with(other)
    assert other.conflicts_with(one)
    assert not one.conflicts_with(Vertex(1, 0, job_ids=("c",)))
    # As specified, job ids run together in the id; the rule of conflicts does not mix them up.
    assert Vertex(1, 0, job_ids=("ab", "c")).id == Vertex(1, 0, job_ids=("a", "bc")).id
    assert not Vertex(1, 0, job_ids=("ab", "c")).conflicts_with(Vertex(1, 0, job_ids=("a", "bc")))


GOOD = BLOCKS["zap-blk_intent"].encode()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "zap: buffer too small"),
        (GOOD[:-1], "zap: buffer too small"),
        (b"ZIP\0" + GOOD[4:], "zap: invalid magic bytes"),
        (GOOD[:4] + b"\x03\0" + GOOD[6:], "zap: unsupported version"),
        (GOOD + b"\0", "aivm block: trailing bytes"),
        (GOOD[:32] + b"\x02" + GOOD[33:], "aivm block: wrong kind byte"),
        # The same content with header version 1, with flags, and with bytes that nothing claims.
        (GOOD[:4] + b"\x01\0" + GOOD[6:], "aivm block: not in canonical form"),
        (GOOD[:6] + b"\x01\0" + GOOD[8:], "aivm block: not in canonical form"),
        (GOOD[:12] + (len(GOOD) + 1).to_bytes(4, "little") + GOOD[16:] + b"\0", "aivm block: not in canonical form"),
        (GOOD[:16] + (301).to_bytes(4, "little") + GOOD[20:], "packed obj 0 out of bounds"),
        (GOOD[:24] + (9999).to_bytes(4, "little") + GOOD[28:], "json sub-blob 0 out of bounds"),
        (GOOD.replace(b'"fee":99', b'"fee": 9'), "canonical form"),
        (GOOD.replace(b'"fee":99', b'"eef":99'), "no TaskRecord"),
        (GOOD.replace(b'"fee":99', b'"fee":""'), "no TaskRecord"),
        (GOOD.replace(b'{"b":1,"a":2}', b'{"b":1,"b":2}'), "occurs twice"),
        (GOOD.replace(b'{"b":1,"a":2}', b"[NaN,    NaN]"), "not JSON"),
        (GOOD.replace(b'{"b":1,"a":2}', b'{"b":1.0,"":2'), "no TaskRecord"),
    ],
)
def test_bad_blocks(data: bytes, says: str) -> None:
    with pytest.raises(ZapError, match=says):
        wire.parse_block(data)


def test_bad_intents_and_vertices() -> None:
    data = wire.encode_intent(INTENT)
    with pytest.raises(ZapError, match="aivm c-intent: trailing bytes"):
        wire.parse_intent(data + b"\0")
    vertex = VERTICES["zap-vertex"].encode()
    with pytest.raises(ZapError, match="aivm vertex: trailing bytes"):
        wire.parse_vertex(vertex + b"\0")
    with pytest.raises(ZapError, match="aivm vertex: wrong kind byte"):
        wire.parse_vertex(vertex[:24] + b"\x01" + vertex[25:])
    with pytest.raises(ZapError):
        wire.parse_vertex(GOOD)


@pytest.mark.parametrize("position", range(0, len(GOOD), 7))
def test_no_changed_byte_gives_the_same_block(position: int) -> None:
    data = bytearray(GOOD)
    data[position] ^= 0x41
    try:
        block = wire.parse_block(bytes(data))
    except ValueError:
        return
    assert block != BLOCKS["zap-blk_intent"]
    assert block.encode() == data


def test_json_is_that_of_the_reference() -> None:
    assert go_json.dumps({"a": '<&>"\\\n\u2028', "b": [1, None, True]}) == (
        '{"a":"\\u003c\\u0026\\u003e\\"\\\\\\n\\u2028","b":[1,null,true]}'
    )
    assert go_json.compact('{ "a b" : [ 1.50 , "x\\" <" ] }') == '{"a b":[1.50,"x\\" \\u003c"]}'
    task = TaskRecord("1", input='{"x":"<"}', output="[]", assigned_to="p", compute_time_ms=3, proof=b"\1")
    assert records.decode(TaskRecord, records.encode(task)) == replace(task, input='{"x":"\\u003c"}')
    with pytest.raises(TypeError):
        go_json.dumps(1.5)
