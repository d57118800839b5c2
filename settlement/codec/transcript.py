"""Transcripts: what a nondet block asked the services and what they answered, in that order.

Integers are big-endian, and every text and frame has its length before it as u32::

    version u8 = 1, count u32, then for each exchange
    service ("llm" or "web"), request frame, outcome u8, answer frame (outcome 1) or text of the failure (outcome 2)

Model and parameters are in them as far as request and answer name them. The hash is the Keccak-256 hash of
``pygenvm/settlement/transcript/v1`` and these bytes. An operator binds its vote to it by revealing it as its embedding
hash, which the engine does not compare (spec settlement/01 §7, §12).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.types.words import Hash, u32

_DOMAIN: Final = b"pygenvm/settlement/transcript/v1"
_VERSION: Final = b"\x01"
_ANSWERED: Final = b"\x01"
_FAILED: Final = b"\x02"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request to a service; ``answer`` is the frame that came, or a text that says why none did."""

    service: str
    request: bytes
    answer: bytes | str

    def encode(self) -> bytes:
        if isinstance(self.answer, str):
            outcome, rest = _FAILED, self.answer.encode()
        else:
            outcome, rest = _ANSWERED, self.answer
        return b"".join((_sized(self.service.encode()), _sized(self.request), outcome, _sized(rest)))


def encode(exchanges: Sequence[Exchange]) -> bytes:
    return b"".join((_VERSION, u32(len(exchanges)), *(one.encode() for one in exchanges)))


def transcript_hash(exchanges: Sequence[Exchange]) -> Hash:
    return keccak256(_DOMAIN + encode(exchanges))


def _sized(data: bytes) -> bytes:
    return u32(len(data)) + data
