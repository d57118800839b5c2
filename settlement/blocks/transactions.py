"""Transactions: one for every call of the engine, signed by who makes it.

Integers are big-endian, and every kind has one length::

    version u8 = 1, scheme u8, kind u8, chain id 32, sender 20, nonce u64, body, signature

What is signed is the Keccak-256 hash of ``pygenvm/settlement/transaction/v1`` and everything before the signature; the
id is that of everything. The sender is the operator, requester or account of the call. The nonce counts the sender's
transactions from 0.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields, replace
from typing import Any, Final, TypeAlias, get_type_hints

from pygenvm.settlement.blocks import signatures
from pygenvm.settlement.blocks.signatures import SIGNATURE_SIZES, Signer
from pygenvm.settlement.codec import wire
from pygenvm.settlement.codec.intent import Intent
from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.engine.engine import Engine
from pygenvm.settlement.types.block_errors import BlockError, BlockRefusal
from pygenvm.settlement.types.words import (
    MAX_U64,
    MAX_U256,
    Address,
    Hash,
    checked_address,
    checked_hash,
    checked_unsigned,
    u256,
)

_DOMAIN: Final = b"pygenvm/settlement/transaction/v1"
_VERSION: Final = 1
_HEAD = struct.Struct(">BBB32s20sQ")
_INTENT_SIZE: Final = 300


@dataclass(frozen=True, slots=True)
class Register:
    stake: int
    model_spec: Hash
    endpoint: Hash


@dataclass(frozen=True, slots=True)
class Deregister:
    pass


@dataclass(frozen=True, slots=True)
class WithdrawStake:
    pass


@dataclass(frozen=True, slots=True)
class WithdrawRewards:
    pass


@dataclass(frozen=True, slots=True)
class ImportIntent:
    """Signed by the caller of the intent: the reward is not part of the intent's id, and is paid by the caller."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class Commit:
    task_id: Hash
    commitment: Hash


@dataclass(frozen=True, slots=True)
class Reveal:
    task_id: Hash
    output: Hash
    embedding: Hash
    nonce: Hash


@dataclass(frozen=True, slots=True)
class Settle:
    """By anyone; due tasks are settled without it."""

    task_id: Hash


Call: TypeAlias = Register | Deregister | WithdrawStake | WithdrawRewards | ImportIntent | Commit | Reveal | Settle

#: By their byte.
_KINDS: Final[dict[int, type[Call]]] = {
    1: Register,
    2: Deregister,
    3: WithdrawStake,
    4: WithdrawRewards,
    5: ImportIntent,
    6: Commit,
    7: Reveal,
    8: Settle,
}
_KIND_OF: Final = {call: kind for kind, call in _KINDS.items()}
_FIELDS: Final = {
    call: [(one.name, get_type_hints(call)[one.name]) for one in fields(call)] for call in _KINDS.values()
}


@dataclass(frozen=True, slots=True)
class Transaction:
    """``ValueError`` for wrong widths."""

    chain_id: Hash
    sender: Address
    nonce: int
    call: Call
    scheme: int = signatures.SECP256K1
    signature: bytes = b""

    def __post_init__(self) -> None:
        checked_hash(self.chain_id, "chain_id")
        checked_address(self.sender, "sender")
        checked_unsigned(self.nonce, MAX_U64, "nonce")

    def encode(self) -> bytes:
        return self._unsigned() + self.signature

    def signing_hash(self) -> Hash:
        return keccak256(_DOMAIN + self._unsigned())

    @property
    def id(self) -> Hash:
        return keccak256(_DOMAIN + self.encode())

    def check(self, chain_id: Hash) -> None:
        """That it is for this chain, and signed by its sender, who is the caller of an intent in it."""
        if self.chain_id != chain_id:
            raise BlockError(BlockRefusal.ErrTransactionChain)
        if isinstance(self.call, ImportIntent) and self.call.intent.caller != self.sender:
            raise BlockError(BlockRefusal.ErrTransactionCaller)
        signatures.check(self.scheme, self.signature, self.signing_hash(), self.sender)

    def _unsigned(self) -> bytes:
        kind = _KIND_OF[type(self.call)]
        head = _HEAD.pack(_VERSION, self.scheme, kind, self.chain_id, self.sender, self.nonce)
        return head + b"".join(_field_bytes(self.call, name) for name, _ in _FIELDS[type(self.call)])


def _field_bytes(call: Call, name: str) -> bytes:
    value = getattr(call, name)
    if isinstance(value, Intent):
        return wire.encode_intent(value)
    return u256(checked_unsigned(value, MAX_U256, name)) if isinstance(value, int) else checked_hash(value, name)


def sign(signer: Signer, chain_id: Hash, nonce: int, call: Call) -> Transaction:
    unsigned = Transaction(chain_id, signer.address, nonce, call, signer.scheme)
    return replace(unsigned, signature=signer.sign(unsigned.signing_hash()))


def parse(data: bytes) -> Transaction:
    """``ErrTransactionMalformed`` for what no transaction encodes to; whose it is has still to be checked."""
    if len(data) < _HEAD.size:
        raise BlockError(BlockRefusal.ErrTransactionMalformed, "too short")
    version, scheme, kind, chain_id, sender, nonce = _HEAD.unpack_from(data)
    if version != _VERSION or kind not in _KINDS:
        raise BlockError(BlockRefusal.ErrTransactionMalformed, f"version {version}, kind {kind}")
    if scheme not in SIGNATURE_SIZES:
        raise BlockError(BlockRefusal.ErrTransactionScheme)
    call: Any = _KINDS[kind]
    at = _HEAD.size
    sizes = {name: _INTENT_SIZE if kind_of is Intent else 32 for name, kind_of in _FIELDS[call]}
    if len(data) != at + sum(sizes.values()) + SIGNATURE_SIZES[scheme]:
        raise BlockError(BlockRefusal.ErrTransactionMalformed, "wrong length")
    values: dict[str, Intent | int | bytes] = {}
    for name, kind_of in _FIELDS[call]:
        values[name] = _field(data[at : at + sizes[name]], kind_of)
        at += sizes[name]
    return Transaction(Hash(chain_id), Address(sender), nonce, call(**values), scheme, data[at:])


def _field(data: bytes, kind: object) -> Intent | int | bytes:
    if kind is Intent:
        try:
            return wire.parse_intent(data)
        except ValueError as error:
            raise BlockError(BlockRefusal.ErrTransactionMalformed, str(error)) from error
    return int.from_bytes(data, "big") if kind is int else data


def carry_out(engine: Engine, sender: Address, call: Call, height: int) -> None:
    """The engine call of a transaction, with its sender as who makes it."""
    match call:
        case Register():
            engine.register(sender, call.stake, call.model_spec, call.endpoint)
        case Deregister():
            engine.deregister(sender, height)
        case WithdrawStake():
            engine.withdraw_stake(sender, height)
        case WithdrawRewards():
            engine.withdraw_rewards(sender)
        case ImportIntent():
            engine.import_intent(call.intent, height)
        case Commit():
            engine.commit(call.task_id, sender, call.commitment, height)
        case Reveal():
            engine.reveal(call.task_id, sender, call.output, call.embedding, call.nonce, height)
        case Settle():
            engine.settle(call.task_id, height)
