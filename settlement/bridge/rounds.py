"""A nondet round as a task: the leader proposes, then operators accept or do not (spec settlement/01 §12, shape (b)).

The leader's result is known before the task is made, and bound into its prompt hash. An operator then commits to the
hash of that result where its own run accepts it, and to another hash where it does not, so "no" can be canonical too.
Integers are big-endian, and ``sized`` bytes have their length before them as u32; each hash is Keccak-256::

    call      version u8 = 1, kind u8 (0 call, 1 deployment), contract 20, sender 20, origin 20, value u256,
              sized datetime, sized calldata, hash of the code (a deployment's; otherwise 32 zero bytes)
    result    version u8 = 1, count u32, for each nondet block its sized result, sized outcome of the transaction
              (results and outcome with their kind byte first, so those of errors are hashed like values)
    result hash     "pygenvm/settlement/result/v1", result
    prompt hash     "pygenvm/settlement/round/v1", call, result hash
    disagree hash   "pygenvm/settlement/disagree/v1", prompt hash
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.types.words import ZERO, Address, Hash, checked_address, checked_hash, u32, u256

_RESULT_DOMAIN: Final = b"pygenvm/settlement/result/v1"
_ROUND_DOMAIN: Final = b"pygenvm/settlement/round/v1"
_DISAGREE_DOMAIN: Final = b"pygenvm/settlement/disagree/v1"
_VERSION: Final = b"\x01"


@dataclass(frozen=True, slots=True)
class Call:
    """What leader and operators execute. ``ValueError`` for wrong widths."""

    contract: Address
    sender: Address
    origin: Address
    value: int
    datetime: str
    calldata: bytes
    #: Hash of the code that is deployed; zero for a call.
    code_hash: Hash = ZERO

    def __post_init__(self) -> None:
        for name in ("contract", "sender", "origin"):
            checked_address(getattr(self, name), name)
        checked_hash(self.code_hash, "code_hash")

    @classmethod
    def decode(cls, data: bytes) -> Call:
        """``ValueError`` for what no call encodes to."""
        fields = Fields(data, "the call")
        fields.expect(_VERSION)
        fields.take(1)
        contract, sender, origin = (Address(fields.take(20)) for _ in range(3))
        value, datetime, calldata = fields.number(32), fields.text(), fields.sized()
        return fields.end(cls(contract, sender, origin, value, datetime, calldata, Hash(fields.take(32))))

    def encode(self) -> bytes:
        kind = b"\x00" if self.code_hash == ZERO else b"\x01"
        parties = self.contract + self.sender + self.origin
        texts = sized(self.datetime.encode()) + sized(self.calldata)
        return b"".join((_VERSION, kind, parties, u256(self.value), texts, self.code_hash))


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a leader found: its results of nondet blocks in order, and the outcome of the transaction."""

    results: tuple[bytes, ...]
    outcome: bytes

    @classmethod
    def decode(cls, data: bytes) -> Proposal:
        """``ValueError`` for what no proposal encodes to."""
        fields = Fields(data, "the proposal")
        fields.expect(_VERSION)
        results = tuple(fields.sized() for _ in range(fields.count()))
        return fields.end(cls(results, fields.sized()))

    def encode(self) -> bytes:
        return b"".join((_VERSION, u32(len(self.results)), *map(sized, self.results), sized(self.outcome)))

    def hash(self) -> Hash:
        """What those reveal who accept it."""
        return keccak256(_RESULT_DOMAIN + self.encode())


def prompt_hash(call: Call, proposal: Proposal) -> Hash:
    return keccak256(_ROUND_DOMAIN + call.encode() + proposal.hash())


def disagree_hash(prompt: Hash) -> Hash:
    """What those reveal who do not accept the proposal of this prompt hash."""
    return keccak256(_DISAGREE_DOMAIN + prompt)


def code_hash(code: bytes) -> Hash:
    return keccak256(code)


def sized(data: bytes) -> bytes:
    return u32(len(data)) + data


class _Encoded(Protocol):
    def encode(self) -> bytes: ...


_E = TypeVar("_E", bound=_Encoded)


class Fields:
    """Reads what was written as above; everything raises ``ValueError``, in words with ``what`` it is."""

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._at = 0
        self._what = what

    def take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) < size:
            raise ValueError(f"{self._what} breaks off at byte {len(self._data)}")
        self._at += size
        return taken

    def expect(self, wanted: bytes) -> None:
        if self.take(len(wanted)) != wanted:
            raise ValueError(f"{self._what} is of another kind or version")

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def count(self) -> int:
        """Of things that have at least a byte each."""
        count = self.number(4)
        if count > len(self._data) - self._at:
            raise ValueError(f"{self._what} breaks off at byte {len(self._data)}")
        return count

    def sized(self) -> bytes:
        return self.take(self.number(4))

    def text(self) -> str:
        return self.sized().decode()

    def end(self, found: _E) -> _E:
        """``found``, if it is all there was, and would be written so."""
        if found.encode() != self._data:
            raise ValueError(f"{self._what} is not in its canonical form")
        return found
