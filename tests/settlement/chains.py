"""Chains whose operators sign their transactions."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from pygenvm.settlement.blocks.chain import Chain
from pygenvm.settlement.blocks.signatures import Secp256k1Key
from pygenvm.settlement.blocks.transactions import Call, Commit, ImportIntent, Register, Reveal, Transaction, sign
from pygenvm.settlement.blocks.view import Genesis
from pygenvm.settlement.codec.hashes import commit_hash
from pygenvm.settlement.codec.wire import Block
from pygenvm.settlement.state.memory import MemoryStore
from pygenvm.settlement.state.staging import Staging
from pygenvm.settlement.state.store import Store
from pygenvm.settlement.types.words import Address, Hash
from tests.settlement.engines import A_CHAIN, C_CHAIN, PROMPT, SPEC, admit_all, intent
from tests.settlement.vectors import word

ETHER = 10**18
SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND

OPERATOR_KEYS = [Secp256k1Key(sha256(f"operator {number}".encode()).digest()) for number in range(8)]
REQUESTER_KEY = Secp256k1Key(sha256(b"requester").digest())
KEYS = {key.address: key for key in [*OPERATOR_KEYS, REQUESTER_KEY]}
REQUESTER = REQUESTER_KEY.address

GENESIS = Genesis(
    c_chain_id=C_CHAIN,
    a_chain_id=A_CHAIN,
    timestamp=NOW - 3600 * SECOND,
    balances={**{key.address: 3 * ETHER for key in OPERATOR_KEYS}, REQUESTER: 100 * ETHER},
)


def new_chain(store: Store | None = None, genesis: Genesis = GENESIS) -> Chain:
    return Chain(MemoryStore() if store is None else store, genesis, verifier=admit_all, clock=lambda: NOW)


class Net:
    """A leader that builds blocks, followers that check them, and everybody's next nonce."""

    def __init__(self, leader: Chain, *followers: Chain) -> None:
        self.leader = leader
        self.followers = followers
        self.nonces: dict[Address, int] = {}

    def send(self, sender: Address, call: Call) -> Transaction:
        nonce = self.nonces.get(sender, 0)
        transaction = sign(KEYS[sender], A_CHAIN, nonce, call)
        self.leader.submit(transaction.encode())
        self.nonces[sender] = nonce + 1
        return transaction

    def block(self) -> Block:
        """The next block, which all take."""
        built = self.leader.build()
        assert built.refused == []
        for chain in self.followers:
            block = chain.parse(built.block.encode())
            chain.verify(block)
            chain.accept(block.id)
        self.leader.accept(built.block.id)
        return built.block

    def to_height(self, height: int) -> None:
        """So that the next block has this height."""
        while self.leader.tip.height < height - 1:
            self.block()

    # --- lives of tasks ---

    def register_all(self) -> None:
        for number, key in enumerate(OPERATOR_KEYS):
            self.send(key.address, Register(2 * ETHER, SPEC, word(0x80 + number)))
        self.block()

    def ask(self, c_tx: int = 1, reward: int = ETHER) -> Hash:
        """Puts a task into a block and returns its id."""
        asked = intent(REQUESTER, c_tx=c_tx, reward=reward)
        self.send(REQUESTER, ImportIntent(asked))
        self.block()
        return self.leader.engine().task_for_intent(asked.intent_id)

    def commit(self, task: Hash, operator: Address, output: int) -> None:
        commitment = commit_hash(task, SPEC, PROMPT, word(output), word(1), operator, word(2))
        self.send(operator, Commit(task, commitment))

    def reveal(self, task: Hash, operator: Address, output: int) -> None:
        self.send(operator, Reveal(task, word(output), word(1), word(2)))


def contents(store: Store) -> dict[bytes, bytes]:
    return dict(Staging(store).items(b""))


def forged(block: Block, **members: object) -> Block:
    return replace(block, **members)  # type: ignore[arg-type]
