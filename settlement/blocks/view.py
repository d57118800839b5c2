"""A chain as its store has it: what readers need, without knowing more than the store."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from pygenvm.settlement.codec import wire
from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.codec.wire import Block
from pygenvm.settlement.engine.engine import Engine
from pygenvm.settlement.engine.tasks import CommitmentVerifier, admit_nothing
from pygenvm.settlement.state import keys
from pygenvm.settlement.state.staging import Staging
from pygenvm.settlement.state.state import State
from pygenvm.settlement.state.store import Store, StoreError
from pygenvm.settlement.types.constants import UNBOND_COOLDOWN_BLOCKS
from pygenvm.settlement.types.words import ZERO, Address, Hash, u256

#: Chain ids of both sides, cooldown, and the hash over block and opening balances.
_GENESIS = struct.Struct(">32s32sQ32s")


@dataclass(frozen=True, slots=True)
class Genesis:
    """What all nodes of a chain start from."""

    c_chain_id: Hash
    a_chain_id: Hash
    timestamp: int = 0
    balances: Mapping[Address, int] = field(default_factory=dict)
    cooldown: int = UNBOND_COOLDOWN_BLOCKS

    def block(self) -> Block:
        return Block(ZERO, 0, self.timestamp, ZERO)

    def encode(self) -> bytes:
        """What a store keeps of it: tells chains apart whose first blocks look the same."""
        balances = (account + u256(amount) for account, amount in sorted(self.balances.items()))
        start = keccak256(self.block().id + b"".join(balances))
        return _GENESIS.pack(self.c_chain_id, self.a_chain_id, self.cooldown, start)


class ChainView:
    """The accepted blocks and state of a store. ``StoreError`` where there is no chain in it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._verifier: CommitmentVerifier = admit_nothing
        genesis = store.read(keys.GENESIS)
        if genesis is None:
            raise StoreError("the store holds no chain")
        c_chain_id, a_chain_id, self.cooldown, _ = _GENESIS.unpack(genesis)
        self.c_chain_id, self.a_chain_id = Hash(c_chain_id), Hash(a_chain_id)
        tip = ChainView.block(self, Hash(store.read(keys.TIP) or b""))
        if tip is None:
            raise StoreError("the store has lost its last accepted block")
        self._tip = tip

    @property
    def tip(self) -> Block:
        """The last accepted block."""
        return self._tip

    def engine(self) -> Engine:
        """Reads the accepted state; what is written to it goes nowhere."""
        return self._engine(Staging(self._store))

    def nonce(self, account: Address) -> int:
        """Of the account's next transaction, as of the last accepted block."""
        return nonce_in(Staging(self._store), account)

    def block(self, block_id: Hash) -> Block | None:
        """An accepted block."""
        data = self._store.read(block_id) if len(block_id) == 32 else None
        return None if data is None else wire.parse_block(data)

    def block_id_at(self, height: int) -> Hash | None:
        """The accepted block of a height."""
        found = self._store.read(keys.block_at(height))
        return None if found is None else Hash(found)

    def _engine(self, staging: Staging) -> Engine:
        return Engine(
            State(staging),
            c_chain_id=self.c_chain_id,
            a_chain_id=self.a_chain_id,
            verifier=self._verifier,
            cooldown=self.cooldown,
        )


def nonce_in(staging: Staging, account: Address) -> int:
    return int.from_bytes(staging.read(keys.nonce(account)) or b"", "big")
