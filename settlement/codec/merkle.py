"""Merkle trees over receipts and addresses, and proofs (spec settlement/02 §8).

The last node of an odd level is paired with itself. So a tree with an odd number of leaves has the root of the tree
with its last leaf twice: a root does not tell the number of leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.types.errors import QuorumError, Refusal
from pygenvm.settlement.types.words import ZERO, Address, Hash, u16, u64

#: What the C side accepts, and nobody needs more.
MAX_DEPTH: Final = 64
_FRAME_HEAD: Final = 42


# Operators are drawn again and again.
@lru_cache(maxsize=1 << 13)
def address_leaf(address: Address) -> Hash:
    return keccak256(address)


def receipt_leaf(receipt_hash: Hash) -> Hash:
    """An extra hash over the digest."""
    return keccak256(receipt_hash)


def node(left: Hash, right: Hash) -> Hash:
    return keccak256(left + right)


def root(leaves: Sequence[Hash]) -> Hash:
    """Root over leaves; zero without any, the leaf itself for one."""
    if not leaves:
        return ZERO
    level = leaves
    while len(level) > 1:
        level = _above(level)
    return level[0]


def root_over_addresses(addresses: Sequence[Address]) -> Hash:
    return root([address_leaf(address) for address in addresses])


def _above(level: Sequence[Hash]) -> list[Hash]:
    paired = [*level, level[-1]] if len(level) % 2 else level
    return [keccak256(paired[i] + paired[i + 1]) for i in range(0, len(paired), 2)]


@dataclass(frozen=True, slots=True)
class Proof:
    """That a leaf is in a tree: its index and the siblings from leaf to root."""

    index: int
    siblings: tuple[Hash, ...]

    def folded(self, leaf: Hash) -> Hash:
        """The root that ``leaf`` and the siblings give."""
        current, index = leaf, self.index
        for sibling in self.siblings:
            current = node(sibling, current) if index & 1 else node(current, sibling)
            index >>= 1
        return current

    def frame(self, tree_root: Hash) -> bytes:
        """Encoding of the C side: root, index of 64 bits, depth of 16 bits, siblings."""
        return b"".join((tree_root, u64(self.index), u16(len(self.siblings)), *self.siblings))


def proof(leaves: Sequence[Hash], index: int) -> Proof:
    """Proof of one leaf; ``ErrProofOutOfRange`` where there is none of this index."""
    if not 0 <= index < len(leaves):
        raise QuorumError(Refusal.ErrProofOutOfRange)
    siblings, level, position = [], leaves, index
    while len(level) > 1:
        siblings.append(level[position ^ 1] if position ^ 1 < len(level) else level[position])
        level, position = _above(level), position >> 1
    return Proof(index, tuple(siblings))


def verify(receipt_hash: Hash, claim: Proof, tree_root: Hash) -> bool:
    """As the A side does: neither the depth nor the bits of the index above it are looked at."""
    return claim.folded(receipt_leaf(receipt_hash)) == tree_root


def verify_strictly(receipt_hash: Hash, claim: Proof, tree_root: Hash) -> bool:
    """As the C side does: at most 64 siblings, the index inside the tree, and no zero root."""
    depth = len(claim.siblings)
    inside = depth <= MAX_DEPTH and 0 <= claim.index < 1 << depth
    return inside and tree_root != ZERO and verify(receipt_hash, claim, tree_root)


def read_frame(data: bytes) -> tuple[Hash, Proof]:
    """Root and proof of a frame; ``ValueError`` unless it has exactly the length that it names."""
    if len(data) < _FRAME_HEAD:
        raise ValueError("a proof frame has at least 42 bytes")
    index, depth = int.from_bytes(data[32:40], "big"), int.from_bytes(data[40:42], "big")
    if depth > MAX_DEPTH:
        raise ValueError(f"a proof has at most {MAX_DEPTH} siblings, not {depth}")
    if len(data) != _FRAME_HEAD + 32 * depth:
        raise ValueError(f"a proof frame with {depth} siblings has {_FRAME_HEAD + 32 * depth} bytes, not {len(data)}")
    siblings = tuple(Hash(data[at : at + 32]) for at in range(_FRAME_HEAD, len(data), 32))
    return Hash(data[:32]), Proof(index, siblings)
