"""Hash preimages (spec settlement/02 §1-§6, §10)."""

from __future__ import annotations

from collections.abc import Sequence

from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.types.errors import QuorumError, Refusal
from pygenvm.settlement.types.words import Address, Hash, u32, u64

#: Domain strings, without a length before them (spec settlement/02 §1).
INTENT_DOMAIN = b"lux/aivmbridge/intent/v1"
RECEIPT_DOMAIN = b"lux/aivmbridge/receipt/v1"
MODEL_SPEC_DOMAIN = b"lux/aivmbridge/modelspec/v1"
CHAIN_ID_DOMAIN = b"av/chainid/"
TASK_DOMAIN = b"av/task"


def chain_id(label: str) -> Hash:
    """Chain id of a default deployment (spec settlement/02 §6)."""
    return keccak256(CHAIN_ID_DOMAIN + label.encode())


def task_id(
    requester: Address, nonce: Hash, model_spec: Hash, prompt: Hash, request_height: int, n: int, threshold: int
) -> Hash:
    """Id of a task; ``nonce`` is the requester's counter word before it counts this task (spec settlement/02 §3)."""
    return keccak256(
        b"".join(
            (TASK_DOMAIN, requester, nonce, model_spec, prompt, u64(request_height), u32(n), u32(threshold)),
        )
    )


def commit_hash(
    task: Hash, model_spec: Hash, prompt: Hash, output: Hash, embedding: Hash, operator: Address, nonce: Hash
) -> Hash:
    """What an operator commits to; nobody else can reveal it, since its address is inside (spec settlement/02 §4)."""
    return keccak256(b"".join((task, model_spec, prompt, output, embedding, operator, nonce)))


def draw(eligible: Sequence[Address], task: Hash, n: int) -> list[Address]:
    """``n`` of the eligible operators in the order of selection, without replacement (spec settlement/02 §5)."""
    if len(eligible) < n:
        raise QuorumError(Refusal.ErrNotEnoughEligible)
    drawn, count = list(eligible), len(eligible)
    for i in range(n):
        j = i + int.from_bytes(keccak256(task + u32(i)), "big") % (count - i)
        drawn[i], drawn[j] = drawn[j], drawn[i]
    return drawn[:n]


def prompt_hash(prompt: bytes) -> Hash:
    """Convention of clients, opaque to the engine (spec settlement/02 §10)."""
    return keccak256(prompt)


def model_spec_hash(name: str, version: int, weight_commitment: Hash, quantization: str) -> Hash:
    """Convention of clients, opaque to the engine (spec settlement/02 §10)."""
    raw_name, raw_quantization = name.encode(), quantization.encode()
    return keccak256(
        b"".join(
            (
                MODEL_SPEC_DOMAIN,
                u32(len(raw_name)),
                raw_name,
                u64(version),
                weight_commitment,
                u32(len(raw_quantization)),
                raw_quantization,
            )
        )
    )
