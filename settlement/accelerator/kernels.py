"""What the accelerator's kernels compute, exactly (spec settlement/02 §13.3). Preimages have little-endian integers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.types.words import ZERO, Hash

_FNV_OFFSET: Final = 0xCBF29CE484222325
_FNV_PRIME: Final = 0x100000001B3
_MASK_64: Final = (1 << 64) - 1
_MASK_32: Final = (1 << 32) - 1

INPUTS: Final = 32
HIDDEN: Final = 16
#: Larger shifts are undefined on devices.
_SHIFT_MAX: Final = 31

MODEL_HASH_DIFFERS: Final = 1
WRONG_INPUT_LENGTH: Final = 2
NO_OUTPUT_CAPACITY: Final = 3

PROOF_OK: Final = 0x01
_SIGNATURE_ZERO: Final = 0x02
_MEASUREMENT_ZERO: Final = 0x04
_EXPIRED: Final = 0x08
_KEY_ZERO: Final = 0x10


def table_index(digest: Hash, mask: int) -> int:
    """Where a key is looked for first in a table of ``mask + 1`` slots."""
    key = int.from_bytes(digest[:8], "little")
    return ((_FNV_OFFSET ^ key) * _FNV_PRIME & _MASK_64) & _MASK_32 & mask


def chained_root(leaves: Iterable[bytes]) -> Hash:
    """Root over the leaves of occupied slots, ascending; zero without any."""
    root = ZERO
    for leaf in leaves:
        root = keccak256(root + keccak256(leaf))
    return root


def state_root(
    parent: Hash,
    attestation_root: Hash,
    model_root: Hash,
    audit_root: Hash,
    *,
    epoch: int,
    active: int,
    models: int,
    anchors: int,
) -> Hash:
    counts = b"".join(count.to_bytes(4, "little") for count in (active, models, anchors))
    return keccak256(b"".join((parent, attestation_root, model_root, audit_root, epoch.to_bytes(8, "little"), counts)))


# --- inference ---


@dataclass(frozen=True, slots=True)
class Weights:
    """A net of 32 inputs, 16 hidden units and one output: int8 data, int32 sums."""

    w1: Sequence[int]
    b1: Sequence[int]
    w2: Sequence[int]
    b2: int
    shift1: int
    shift2: int
    model_hash: Hash

    def __post_init__(self) -> None:
        if not (0 <= self.shift1 <= _SHIFT_MAX and 0 <= self.shift2 <= _SHIFT_MAX):
            raise ValueError("shifts are 0 to 31")


@dataclass(frozen=True, slots=True)
class InferenceOp:
    model_hash: Hash
    policy_hash: Hash
    salt: Hash
    mode: int
    input_length: int
    output_capacity: int
    timestamp_ns: int


@dataclass(frozen=True, slots=True)
class InferenceResult:
    """All but the status is zero unless that is."""

    status: int
    output: int = 0
    output_length: int = 0
    input_commitment: Hash = ZERO
    output_commitment: Hash = ZERO
    attestation_root: Hash = ZERO


def forward(weights: Weights, inputs: Sequence[int]) -> tuple[list[int], int]:
    """Hidden units and output: sums wrap at 32 bits, are shifted, and saturate to int8. There is no activation."""
    rows = (weights.w1[INPUTS * unit : INPUTS * (unit + 1)] for unit in range(HIDDEN))
    hidden = [_unit(bias, row, inputs, weights.shift1) for bias, row in zip(weights.b1, rows, strict=True)]
    return hidden, _unit(weights.b2, weights.w2, hidden, weights.shift2)


def _unit(bias: int, row: Sequence[int], inputs: Sequence[int], shift: int) -> int:
    total = bias + sum(weight * value for weight, value in zip(row, inputs, strict=True))
    wrapped = (total + (1 << 31) & _MASK_32) - (1 << 31)
    return max(-128, min(127, wrapped >> shift))


def infer(weights: Weights, op: InferenceOp, inputs: Sequence[int]) -> InferenceResult:
    if op.model_hash != weights.model_hash:
        return InferenceResult(MODEL_HASH_DIFFERS)
    if op.input_length != INPUTS:
        return InferenceResult(WRONG_INPUT_LENGTH)
    if op.output_capacity < 1:
        return InferenceResult(NO_OUTPUT_CAPACITY)
    _, output = forward(weights, inputs)
    taken = keccak256(op.salt + bytes(value & 0xFF for value in inputs))
    given = keccak256(op.salt + bytes((output & 0xFF,)))
    attested = ZERO
    if op.mode:
        time = op.timestamp_ns.to_bytes(8, "little")
        attested = keccak256(b"".join((op.model_hash, taken, given, op.policy_hash, time)))
    return InferenceResult(0, output, 1, taken, given, attested)


# --- proofs ---


def proof_status(
    measurement: Hash, key: bytes, signature: bytes, message: Hash, *, expiry_ns: int, timestamp_ns: int, nonce: int
) -> tuple[int, Hash]:
    """Status bits and binding hash. The reference verifies no signature, only that there is one."""
    status = 0
    if not any(measurement):
        status |= _MEASUREMENT_ZERO
    if not any(key):
        status |= _KEY_ZERO
    if expiry_ns and expiry_ns <= timestamp_ns:
        status |= _EXPIRED
    if not any(signature):
        status |= _SIGNATURE_ZERO
    binding = keccak256(b"".join((measurement, key, signature, message, nonce.to_bytes(4, "little"))))
    return status or PROOF_OK, binding
