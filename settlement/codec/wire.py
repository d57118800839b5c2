"""Intents, blocks and vertices as ZAP messages, and ids (spec settlement/02 §11.4).

Parsing takes only what encoding gives: the reference takes other bytes too and computes the id from a re-encoding, so
that several messages share one id (spec settlement/05 §4).

A block with transactions is a kind of ours. Its object starts as that of a plain block, with everything where a reader
of plain blocks looks for it, and goes on with ``transaction lengths`` at 177 and ``transaction blob`` at 185. Without
transactions a block is the specification's, byte for byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pygenvm.settlement.codec import records
from pygenvm.settlement.codec.intent import Intent
from pygenvm.settlement.codec.records import RegistrationRecord, ResultRecord, TaskRecord
from pygenvm.settlement.codec.zap import Builder, ObjectReader, ZapError, open_message
from pygenvm.settlement.types.words import (
    MAX_U32,
    MAX_U64,
    ZERO,
    Address,
    Hash,
    checked_hash,
    checked_unsigned,
    u32,
    u64,
    u256,
)

_KIND_BLOCK: Final = 1
_KIND_VERTEX: Final = 2
#: Ours.
_KIND_BLOCK_WITH_TRANSACTIONS: Final = 3

_BLOCK_SIZE: Final = 177
_BLOCK_WITH_TRANSACTIONS_SIZE: Final = 193
_INTENT_SIZE: Final = 284
_VERTEX_SIZE: Final = 77

_INTENT_HASHES: Final = ("intent_id", "c_chain_id", "a_chain_id", "c_tx_hash", "model_spec_hash", "prompt_hash")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Block:
    """``timestamp`` is in nanoseconds of Unix time. ``ValueError`` for wrong widths."""

    parent: Hash
    height: int
    timestamp: int
    receipt_root: Hash
    merkle_root: Hash = ZERO
    intents: tuple[Intent, ...] = ()
    tasks: tuple[TaskRecord, ...] = ()
    results: tuple[ResultRecord, ...] = ()
    registrations: tuple[RegistrationRecord, ...] = ()
    #: Encoded transactions of engine calls.
    transactions: tuple[bytes, ...] = ()
    _encoded: list[bytes] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("parent", "receipt_root", "merkle_root"):
            checked_hash(getattr(self, name), name)
        checked_unsigned(self.height, MAX_U64, "height")
        if not -(1 << 63) <= self.timestamp < 1 << 63:
            raise ValueError("timestamp does not fit 64 bits")

    def encode(self) -> bytes:
        if not self._encoded:
            self._encoded.append(_encode_block(self))
        return self._encoded[0]

    @property
    def id(self) -> Hash:
        return Hash(hashlib.sha256(self.encode()).digest())


def encode_intent(intent: Intent) -> bytes:
    """300 bytes; absent amounts are zero and come back as such."""
    builder = Builder()
    root = builder.root(_INTENT_SIZE)
    for index, name in enumerate(_INTENT_HASHES):
        root.fixed(32 * index, getattr(intent, name))
    root.fixed(192, intent.caller)
    root.set("I", 212, intent.call_index)
    root.set("H", 216, intent.n)
    root.set("H", 218, intent.threshold)
    root.fixed(220, u256(intent.fee or 0))
    root.fixed(252, u256(intent.reward or 0))
    return builder.finish(root)


def parse_intent(data: bytes) -> Intent:
    root = _opened(data, "aivm c-intent")
    intent = Intent(
        **{name: Hash(root.fixed(32 * index, 32)) for index, name in enumerate(_INTENT_HASHES)},
        caller=Address(root.fixed(192, 20)),
        call_index=root.get("I", 212),
        n=root.get("H", 216),
        threshold=root.get("H", 218),
        fee=int.from_bytes(root.fixed(220, 32), "big"),
        reward=int.from_bytes(root.fixed(252, 32), "big"),
    )
    return _canonical(intent, encode_intent(intent), data, "aivm c-intent")


def _encode_block(block: Block) -> bytes:
    lists = [
        [encode_intent(intent) for intent in block.intents],
        [records.encode(task) for task in block.tasks],
        [records.encode(result) for result in block.results],
        [records.encode(registration) for registration in block.registrations],
    ]
    if block.transactions:
        lists.append(list(block.transactions))
    builder = Builder()
    lengths = [builder.u32_list([len(item) for item in items]) for items in lists]
    root = builder.root(_BLOCK_WITH_TRANSACTIONS_SIZE if block.transactions else _BLOCK_SIZE)
    root.set("B", 0, _KIND_BLOCK_WITH_TRANSACTIONS if block.transactions else _KIND_BLOCK)
    root.fixed(1, block.parent)
    root.set("Q", 33, block.height)
    root.set("q", 41, block.timestamp)
    root.fixed(49, block.merkle_root)
    root.fixed(81, block.receipt_root)
    for index, (sizes, items) in enumerate(zip(lengths, lists, strict=True)):
        root.list(113 + 16 * index, sizes)
        root.bytes(121 + 16 * index, b"".join(items))
    return builder.finish(root)


def parse_block(data: bytes) -> Block:
    """``ZapError`` for what no block encodes to."""
    root = _opened(data, "aivm block")
    kind = root.get("B", 0)
    if kind not in (_KIND_BLOCK, _KIND_BLOCK_WITH_TRANSACTIONS):
        raise ZapError("aivm block: wrong kind byte")
    block = Block(
        parent=Hash(root.fixed(1, 32)),
        height=root.get("Q", 33),
        timestamp=root.get("q", 41),
        merkle_root=Hash(root.fixed(49, 32)),
        receipt_root=Hash(root.fixed(81, 32)),
        intents=_unpacked(root, 113, "packed obj", parse_intent),
        tasks=_unpacked(root, 129, "json sub-blob", lambda item: records.decode(TaskRecord, item)),
        results=_unpacked(root, 145, "json sub-blob", lambda item: records.decode(ResultRecord, item)),
        registrations=_unpacked(root, 161, "json sub-blob", lambda item: records.decode(RegistrationRecord, item)),
        transactions=_unpacked(root, 177, "packed obj", bytes) if kind == _KIND_BLOCK_WITH_TRANSACTIONS else (),
    )
    return _canonical(block, block.encode(), data, "aivm block")


# --- vertices ---


@dataclass(frozen=True, slots=True)
class Vertex:
    height: int
    epoch: int
    parents: tuple[Hash, ...] = ()
    tx_ids: tuple[Hash, ...] = ()
    job_ids: tuple[str, ...] = ()
    tasks: tuple[TaskRecord, ...] = ()
    results: tuple[ResultRecord, ...] = ()

    def __post_init__(self) -> None:
        checked_unsigned(self.height, MAX_U64, "height")
        checked_unsigned(self.epoch, MAX_U32, "epoch")
        for one in (*self.parents, *self.tx_ids):
            checked_hash(one, "parent or tx id")

    def encode(self) -> bytes:
        jobs = [job.encode() for job in self.job_ids]
        tasks = [records.encode(task) for task in self.tasks]
        results = [records.encode(result) for result in self.results]
        builder = Builder()
        lengths = [builder.u32_list([len(item) for item in items]) for items in (jobs, tasks, results)]
        root = builder.root(_VERTEX_SIZE)
        root.set("B", 0, _KIND_VERTEX)
        root.set("Q", 1, self.height)
        root.set("I", 9, self.epoch)
        root.bytes(13, b"".join(self.parents))
        root.bytes(21, b"".join(self.tx_ids))
        for index, (sizes, items) in enumerate(zip(lengths, (jobs, tasks, results), strict=True)):
            root.list(29 + 16 * index, sizes)
            root.bytes(37 + 16 * index, b"".join(items))
        return builder.finish(root)

    @property
    def id(self) -> Hash:
        """Covers neither tx ids, tasks nor results, and job ids run together: that is how it is specified."""
        jobs = (job.encode() for job in self.job_ids)
        return _sha256((u64(self.height), u32(self.epoch), *self.parents, *jobs))

    def conflicts_with(self, other: Vertex) -> bool:
        """They share a job (spec settlement/03 §5)."""
        return not set(self.job_ids).isdisjoint(other.job_ids)


def parse_vertex(data: bytes) -> Vertex:
    """``ZapError`` for what no vertex encodes to."""
    root = _opened(data, "aivm vertex")
    if root.get("B", 0) != _KIND_VERTEX:
        raise ZapError("aivm vertex: wrong kind byte")
    vertex = Vertex(
        height=root.get("Q", 1),
        epoch=root.get("I", 9),
        parents=_ids(root.bytes(13)),
        tx_ids=_ids(root.bytes(21)),
        job_ids=_unpacked(root, 29, "packed obj", _text),
        tasks=_unpacked(root, 45, "json sub-blob", lambda item: records.decode(TaskRecord, item)),
        results=_unpacked(root, 61, "json sub-blob", lambda item: records.decode(ResultRecord, item)),
    )
    return _canonical(vertex, vertex.encode(), data, "aivm vertex")


def vertex_tx_id(job_id: str) -> Hash:
    """Transaction id of a core task in a vertex (spec settlement/03 §5)."""
    return _sha256((job_id.encode(),))


def later_vertex_id(vertex: Vertex) -> Hash:
    """Id of a later revision of the reference, which counts and delimits everything (spec settlement/03 §9)."""
    jobs = [job.encode() for job in vertex.job_ids]
    return _sha256(
        (
            u64(vertex.height),
            u32(vertex.epoch),
            *(u32(len(vertex.parents)), *vertex.parents),
            *(u32(len(vertex.tx_ids)), *vertex.tx_ids),
            u32(len(jobs)),
            *(part for job in jobs for part in (u32(len(job)), job)),
        )
    )


# --- common ---


def _opened(data: bytes, what: str) -> ObjectReader:
    root, size = open_message(data)
    if size != len(data):
        raise ZapError(f"{what}: trailing bytes")
    return root


def _canonical(value: _T, encoded: bytes, data: bytes, what: str) -> _T:
    if encoded != data:
        raise ZapError(f"{what}: not in canonical form")
    return value


def _unpacked(root: ObjectReader, offset: int, what: str, read: Callable[[bytes], _T]) -> tuple[_T, ...]:
    blob, at, items = root.bytes(offset + 8), 0, []
    for index, length in enumerate(root.u32_list(offset)):
        if at + length > len(blob):
            raise ZapError(f"{what} {index} out of bounds")
        items.append(read(blob[at : at + length]))
        at += length
    return tuple(items)


def _ids(blob: bytes) -> tuple[Hash, ...]:
    return tuple(Hash(blob[at : at + 32]) for at in range(0, len(blob) - 31, 32))


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ZapError("aivm vertex: a job id is not UTF-8") from error


def _sha256(parts: Iterable[bytes]) -> Hash:
    return Hash(hashlib.sha256(b"".join(parts)).digest())
