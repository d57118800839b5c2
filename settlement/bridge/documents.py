"""What operators of a service are given to judge: a round, and the state that it is executed on.

A document is the prompt of its task, so the task's prompt hash is its Keccak-256 hash, and whoever has one can check
that it is the other's. All that an operator needs is in it: what the leader's run has read, no more. Whether that is
the state of some chain, a document cannot say. It is written as in :mod:`settlement.bridge.rounds`::

    document  "pygenvm/settlement/document/v1", sized call, sized result, id of the transaction 32, flags u8,
              effects 32, sized code (a deployment's), count u32 and accounts, count u32 and pages
    flags     1: the message of a contract, whose value has left its sender; 2: strict views
    account   address 20, flags u8 (1: there is a contract), balance u256, nonce u64
    page      contract 20, slot 32, number u32, sized content without its trailing zeros

Accounts and pages are in ascending order. Those that accept it reveal the hash of the result, the others the disagree
hash of the prompt hash; effects are a hash of what the transaction writes, sends and emits, zero if it failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pygenvm.settlement.bridge.rounds import Call, Fields, Proposal, code_hash, disagree_hash, sized
from pygenvm.settlement.codec.hashes import prompt_hash
from pygenvm.settlement.types.words import ZERO, Address, Hash, u32, u64, u256

_DOMAIN: Final = b"pygenvm/settlement/document/v1"
_MESSAGE: Final = 1
_STRICT_VIEWS: Final = 2
_CONTRACT: Final = 1


@dataclass(frozen=True, slots=True)
class Account:
    balance: int
    nonce: int
    is_contract: bool


@dataclass(frozen=True, slots=True)
class Document:
    """One round. ``ValueError`` for code that is not the one of the call."""

    call: Call
    proposal: Proposal
    tx_id: Hash
    is_message: bool
    strict_views: bool
    effects: Hash
    code: bytes
    accounts: Mapping[Address, Account]
    #: (contract, slot, number of the page) to content.
    pages: Mapping[tuple[bytes, bytes, int], bytes]

    def __post_init__(self) -> None:
        if self.call.code_hash != (code_hash(self.code) if self.code else ZERO):
            raise ValueError("the code is not the one that the call deploys")

    @classmethod
    def decode(cls, data: bytes) -> Document:
        """``ValueError`` for what is no document."""
        fields = Fields(data, "the document")
        fields.expect(_DOMAIN)
        call, proposal, tx_id = Call.decode(fields.sized()), Proposal.decode(fields.sized()), Hash(fields.take(32))
        flags, effects, code = fields.number(1), Hash(fields.take(32)), fields.sized()
        accounts, pages = {}, {}
        for _ in range(fields.count()):
            address, is_contract = Address(fields.take(20)), bool(fields.number(1))
            accounts[address] = Account(fields.number(32), fields.number(8), is_contract)
        for _ in range(fields.count()):
            key = fields.take(20), fields.take(32), fields.number(4)
            pages[key] = fields.sized()
        is_message, strict_views = bool(flags & _MESSAGE), bool(flags & _STRICT_VIEWS)
        return fields.end(cls(call, proposal, tx_id, is_message, strict_views, effects, code, accounts, pages))

    def encode(self) -> bytes:
        flags = _MESSAGE * self.is_message | _STRICT_VIEWS * self.strict_views
        return b"".join(
            (
                _DOMAIN,
                sized(self.call.encode()),
                sized(self.proposal.encode()),
                self.tx_id,
                bytes((flags,)),
                self.effects,
                sized(self.code),
                u32(len(self.accounts)),
                *(
                    address + bytes((_CONTRACT * one.is_contract,)) + u256(one.balance) + u64(one.nonce)
                    for address, one in sorted(self.accounts.items())
                ),
                u32(len(self.pages)),
                *(
                    contract + slot + u32(number) + sized(content)
                    for (contract, slot, number), content in sorted(self.pages.items())
                ),
            )
        )

    @property
    def yes(self) -> Hash:
        """What those reveal who accept it."""
        return self.proposal.hash()

    @property
    def no(self) -> Hash:
        """What those reveal who do not."""
        return disagree_hash(prompt_hash(self.encode()))
