"""The receipt: 355 bytes, its hash, and its JSON form (spec settlement/02 §7)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from pygenvm.settlement.codec.hashes import RECEIPT_DOMAIN
from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.types.words import (
    MAX_U16,
    MAX_U64,
    MAX_U256,
    Address,
    Hash,
    checked_address,
    checked_hash,
    checked_unsigned,
    u256,
)

VERSION: Final = 1
SIZE: Final = 355
_LAYOUT = struct.Struct(">H32s32s32s32s20s32s32s32sBHH32s32s32sQ")

_HASHES = (
    "intent_id",
    "task_id",
    "c_chain_id",
    "a_chain_id",
    "model_spec_hash",
    "prompt_hash",
    "canonical_output_hash",
    "winners_root",
    "operators_root",
)

#: Names in JSON, in the order of the layout.
_JSON_NAMES = {
    "version": "version",
    "intent_id": "intentId",
    "task_id": "taskId",
    "c_chain_id": "cChainId",
    "a_chain_id": "aChainId",
    "requester": "requester",
    "model_spec_hash": "modelSpecHash",
    "prompt_hash": "promptHash",
    "canonical_output_hash": "canonicalOutputHash",
    "status": "status",
    "n": "n",
    "threshold": "threshold",
    "winners_root": "winnersRoot",
    "operators_root": "operatorsRoot",
    "fee_paid": "feePaid",
    "settled_at_height": "settledAtHeight",
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a settled task leaves behind. ``ValueError`` for wrong widths."""

    version: int
    intent_id: Hash
    task_id: Hash
    c_chain_id: Hash
    a_chain_id: Hash
    requester: Address
    model_spec_hash: Hash
    prompt_hash: Hash
    canonical_output_hash: Hash
    status: int
    n: int
    threshold: int
    winners_root: Hash
    operators_root: Hash
    fee_paid: int
    settled_at_height: int

    def __post_init__(self) -> None:
        for name in _HASHES:
            checked_hash(getattr(self, name), name)
        checked_address(self.requester, "requester")
        for name in ("version", "n", "threshold"):
            checked_unsigned(getattr(self, name), MAX_U16, name)
        checked_unsigned(int(self.status), 0xFF, "status")
        checked_unsigned(self.fee_paid, MAX_U256, "fee_paid")
        checked_unsigned(self.settled_at_height, MAX_U64, "settled_at_height")

    def encode(self) -> bytes:
        """The 355 bytes."""
        return _LAYOUT.pack(
            self.version,
            self.intent_id,
            self.task_id,
            self.c_chain_id,
            self.a_chain_id,
            self.requester,
            self.model_spec_hash,
            self.prompt_hash,
            self.canonical_output_hash,
            self.status,
            self.n,
            self.threshold,
            self.winners_root,
            self.operators_root,
            u256(self.fee_paid),
            self.settled_at_height,
        )

    def hash(self) -> Hash:
        return keccak256(RECEIPT_DOMAIN + self.encode())

    def to_json(self) -> dict[str, int | str]:
        """Bytes as hex with ``0x``, the fee as a decimal text, since it does not fit every reader's numbers."""
        shown: dict[str, int | str] = {}
        for name, json_name in _JSON_NAMES.items():
            value = getattr(self, name)
            shown[json_name] = "0x" + value.hex() if isinstance(value, bytes) else int(value)
        shown["feePaid"] = str(self.fee_paid)
        return shown


def decode(data: bytes) -> Receipt:
    """Reads what :meth:`Receipt.encode` writes; ``ValueError`` for another length."""
    if len(data) != SIZE:
        raise ValueError(f"a receipt has {SIZE} bytes, not {len(data)}")
    values = _LAYOUT.unpack(data)
    return Receipt(*(*values[:14], int.from_bytes(values[14], "big"), values[15]))
