"""Structs of the accelerator interface: little-endian, naturally aligned (spec settlement/02 §13.2)."""

from __future__ import annotations

from typing import Final, NamedTuple


class Field(NamedTuple):
    name: str
    offset: int
    size: int


def _laid_out(*fields: tuple[str, int]) -> tuple[Field, ...]:
    placed, offset = [], 0
    for name, size in fields:
        placed.append(Field(name, offset, size))
        offset += size
    return tuple(placed)


LAYOUTS: Final[dict[str, tuple[Field, ...]]] = {
    "Attestation": _laid_out(
        ("TEEQuoteDigest", 32),
        ("Measurement", 32),
        ("AttestingKey", 48),
        ("ExpiryNS", 8),
        ("Kind", 4),
        ("EvidenceOffset", 4),
        ("EvidenceLen", 4),
        ("Status", 4),
        ("Occupied", 4),
        ("_pad0", 4),
    ),
    "ModelRegistryEntry": _laid_out(
        ("ModelRoot", 32),
        ("WeightHash", 32),
        ("LicenseRoot", 32),
        ("OwnerAddr", 20),
        ("_pad0", 4),
        ("Version", 8),
        ("ParameterCount", 8),
        ("Modality", 4),
        ("Occupied", 4),
        ("_pad1", 8),
        ("_pad2", 8),
    ),
    "AuditAnchor": _laid_out(
        ("CommitRoot", 32),
        ("ParentRoot", 32),
        ("ValidatorSetRootAtCommit", 32),
        ("Height", 8),
        ("TimestampNS", 8),
        ("Occupied", 4),
        ("_pad0", 4),
        ("_pad1", 8),
    ),
    "AIVMEpochState": _laid_out(
        ("CurrentEpoch", 8),
        ("NextEpochHeight", 8),
        ("TotalActiveAttestations", 8),
        ("ActiveModelCount", 4),
        ("ExpiredAttestationCount", 4),
        ("AttestationRoot", 32),
        ("ModelRegistryRoot", 32),
        ("AuditRoot", 32),
        ("AIVMStateRoot", 32),
    ),
    "AIVMRoundDescriptor": _laid_out(
        ("ChainID", 8),
        ("Round", 8),
        ("TimestampNS", 8),
        ("Epoch", 8),
        ("Mode", 4),
        ("AttestationOpCount", 4),
        ("ModelOpCount", 4),
        ("AnchorOpCount", 4),
        ("ClosingFlag", 4),
        ("_pad0", 4),
        ("_pad1", 8),
        ("ParentAIVMRoot", 32),
    ),
    "AttestationOp": _laid_out(
        ("TEEQuoteDigest", 32),
        ("Measurement", 32),
        ("AttestingKey", 48),
        ("ExpiryNS", 8),
        ("Kind", 4),
        ("EvidenceOffset", 4),
        ("EvidenceLen", 4),
        ("Epoch", 4),
        ("_pad0", 4),
        ("_pad1", 4),
    ),
    "ModelOp": _laid_out(
        ("ModelRoot", 32),
        ("WeightHash", 32),
        ("LicenseRoot", 32),
        ("OwnerAddr", 20),
        ("_pad0", 4),
        ("ParameterCount", 8),
        ("Modality", 4),
        ("Kind", 4),
        ("Epoch", 4),
        ("_pad1", 4),
        ("_pad2", 8),
        ("_pad3", 8),
    ),
    "AnchorOp": _laid_out(
        ("CommitRoot", 32),
        ("ParentRoot", 32),
        ("ValidatorSetRootAtCommit", 32),
        ("Height", 8),
        ("TimestampNS", 8),
        ("Epoch", 4),
        ("_pad0", 4),
        ("_pad1", 8),
    ),
    "AIVMTransitionResult": _laid_out(
        ("Status", 4),
        ("AttestationApplyCount", 4),
        ("ModelApplyCount", 4),
        ("AnchorApplyCount", 4),
        ("ActiveAttestations", 4),
        ("ExpiredAttestations", 4),
        ("ModelCount", 4),
        ("AnchorCount", 4),
        ("Epoch", 8),
        ("TotalModels", 8),
        ("TotalAnchors", 8),
        ("_pad0", 8),
        ("AttestationRoot", 32),
        ("ModelRegistryRoot", 32),
        ("AuditRoot", 32),
        ("AIVMStateRoot", 32),
    ),
    "InferenceWeights": _laid_out(
        ("W1", 512),
        ("B1", 64),
        ("W2", 16),
        ("B2", 4),
        ("Shift1", 1),
        ("Shift2", 1),
        ("_pad0", 2),
        ("ModelHash", 32),
        ("ModelConfigHash", 32),
        ("_pad1", 8),
    ),
    "InferenceOp": _laid_out(
        ("ModelHash", 32),
        ("PolicyHash", 32),
        ("Salt", 32),
        ("Mode", 4),
        ("InputOffset", 4),
        ("InputLen", 4),
        ("OutputOffset", 4),
        ("OutputCapacity", 4),
        ("_pad0", 4),
        ("RoundID", 8),
        ("TimestampNS", 8),
        ("_pad1", 8),
    ),
    "InferenceResult": _laid_out(
        ("Status", 4),
        ("OutputLen", 4),
        ("InputCommitment", 32),
        ("OutputCommitment", 32),
        ("AttestationRoot", 32),
        ("_pad0", 8),
    ),
    "ProofVerifyOp": _laid_out(
        ("Measurement", 32),
        ("AttestingKey", 48),
        ("Signature", 96),
        ("MessageHash", 32),
        ("ExpiryNS", 8),
        ("TimestampNS", 8),
        ("Kind", 4),
        ("Nonce", 4),
        ("_pad0", 8),
    ),
    "ProofVerifyResult": _laid_out(
        ("Status", 4),
        ("Kind", 4),
        ("BindingHash", 32),
        ("_pad0", 8),
    ),
}


def size(name: str) -> int:
    last = LAYOUTS[name][-1]
    return last.offset + last.size
