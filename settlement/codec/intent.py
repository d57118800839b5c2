"""The intent: a question that a C-side chain has committed to (spec settlement/01 §6, settlement/02 §2)."""

from __future__ import annotations

from dataclasses import dataclass

from pygenvm.settlement.codec.hashes import INTENT_DOMAIN
from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.types.words import (
    MAX_U16,
    MAX_U32,
    MAX_U256,
    Address,
    Hash,
    checked_address,
    checked_hash,
    checked_unsigned,
    u16,
    u32,
    u256,
)


@dataclass(frozen=True, slots=True)
class Intent:
    """An intent as it is delivered; ``intent_id`` is what the deliverer claims. ``ValueError`` for wrong widths.

    The reward is not part of the id. Amounts may be absent, which the importer refuses.
    """

    intent_id: Hash
    c_chain_id: Hash
    a_chain_id: Hash
    c_tx_hash: Hash
    call_index: int
    caller: Address
    model_spec_hash: Hash
    prompt_hash: Hash
    n: int
    threshold: int
    fee: int | None
    reward: int | None

    def __post_init__(self) -> None:
        for name in ("intent_id", "c_chain_id", "a_chain_id", "c_tx_hash", "model_spec_hash", "prompt_hash"):
            checked_hash(getattr(self, name), name)
        checked_address(self.caller, "caller")
        checked_unsigned(self.call_index, MAX_U32, "call_index")
        checked_unsigned(self.n, MAX_U16, "n")
        checked_unsigned(self.threshold, MAX_U16, "threshold")
        for name in ("fee", "reward"):
            if (amount := getattr(self, name)) is not None:
                checked_unsigned(amount, MAX_U256, name)

    @property
    def preimage(self) -> bytes:
        """The 244 bytes that the id is the hash of; an absent fee counts as zero (spec settlement/02 §2)."""
        return b"".join(
            (
                INTENT_DOMAIN,
                self.c_chain_id,
                self.a_chain_id,
                self.c_tx_hash,
                u32(self.call_index),
                self.caller,
                self.model_spec_hash,
                self.prompt_hash,
                u16(self.n),
                u16(self.threshold),
                u256(self.fee or 0),
            )
        )

    def computed_id(self) -> Hash:
        return keccak256(self.preimage)
