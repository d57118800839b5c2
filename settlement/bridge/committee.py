"""Operators of one machine on a chain of their own: makes tasks of rounds, casts their votes, settles them.

Every step is a transaction that its operator signs, in a block, so what is left in the store is a chain like any other:
``genvm receipt export`` finds the requests and reveals in it. The blocks of a round are committed together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from pygenvm.settlement.blocks.chain import Chain
from pygenvm.settlement.blocks.signatures import Secp256k1Key
from pygenvm.settlement.blocks.transactions import Call, Commit, ImportIntent, Register, Reveal, sign
from pygenvm.settlement.blocks.view import Genesis
from pygenvm.settlement.codec.hashes import commit_hash
from pygenvm.settlement.codec.intent import Intent
from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.codec.receipt import Receipt
from pygenvm.settlement.engine.tasks import Task, required_margin
from pygenvm.settlement.state.staging import Staging
from pygenvm.settlement.state.store import Store
from pygenvm.settlement.types.constants import MIN_PROVIDER_BOND
from pygenvm.settlement.types.words import ZERO, Address, Hash

#: What each operator locks, and what it has before.
STAKE: Final = 2 * MIN_PROVIDER_BOND
FUNDS: Final = 3 * MIN_PROVIDER_BOND
#: To each operator that voted as the quorum did.
REWARD: Final = MIN_PROVIDER_BOND // 10
_REQUESTER_FUNDS: Final = 10**12 * MIN_PROVIDER_BOND
_NONCE_DOMAIN: Final = b"pygenvm/settlement/nonce/v1"


@dataclass(frozen=True, slots=True)
class Ballot:
    """One operator's vote; ``embedding`` is the hash of its transcript. One that is withheld is never revealed."""

    operator: Address
    output: Hash
    embedding: Hash = ZERO
    withheld: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A task that waits for votes."""

    intent_id: Hash
    task: Task
    #: In the order of selection.
    drawn: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Account:
    """What an operator has: of its own, locked, and earned but not withdrawn."""

    operator: Address
    balance: int
    stake: int
    credit: int


def operators_needed(n: int) -> int:
    """So many must be eligible for ``n`` to be drawn (spec settlement/01 §6.1)."""
    return n + required_margin(n)


class Committee:
    """The chain in ``store``, which is made if there is none.

    :param operators: keys of all who may ever be registered; the genesis has their funds.
    :param requester: asks, and pays fees and rewards.
    :param model_spec: what all operators run.
    """

    def __init__(
        self,
        store: Store,
        *,
        chain_id: Hash,
        operators: Sequence[Secp256k1Key],
        requester: Secp256k1Key,
        model_spec: Hash,
    ) -> None:
        self._blocks = _Together(store)
        self._keys = {key.address: key for key in operators}
        self._requester = requester
        self._model_spec = model_spec
        balances = {**dict.fromkeys(self._keys, FUNDS), requester.address: _REQUESTER_FUNDS}
        genesis = Genesis(chain_id, chain_id, balances=balances)
        # What is asked here was asked here: there is no C side that could have committed to something else.
        self._chain = Chain(self._blocks, genesis, verifier=lambda intent: None)

    def close(self) -> None:
        self._blocks.close()

    def request(self, tx_id: Hash, attempt: int, prompt: Hash, *, n: int, threshold: int) -> Request:
        """Makes a task; ``attempt`` tells the rounds of one transaction apart."""
        self._register(operators_needed(n))
        chain_id = self._chain.a_chain_id
        unnamed = Intent(
            ZERO,
            self._chain.c_chain_id,
            chain_id,
            tx_id,
            attempt,
            self._requester.address,
            self._model_spec,
            prompt,
            n,
            threshold,
            fee=0,
            reward=REWARD,
        )
        intent_id = unnamed.computed_id()
        self._block((self._requester, ImportIntent(replace(unnamed, intent_id=intent_id))))
        engine = self._chain.engine()
        task_id = engine.task_for_intent(intent_id)
        self._blocks.commit()
        return Request(intent_id, engine.task(task_id), tuple(engine.selection(task_id)))

    def settle(self, request: Request, ballots: Sequence[Ballot]) -> Receipt:
        """Casts the votes and goes on to the height at which the task is settled.

        Drawn operators without a ballot do not commit, which costs them nothing (spec settlement/01 §8.4).
        """
        task = request.task
        cast = {ballot.operator: ballot for ballot in ballots}
        voters = [(self._keys[operator], cast[operator]) for operator in request.drawn if operator in cast]
        self._block(*((key, Commit(task.task_id, self._commitment(task, key, ballot))) for key, ballot in voters))
        self._go_to(task.commit_deadline)
        self._block(
            *(
                (key, Reveal(task.task_id, ballot.output, ballot.embedding, _nonce(key, task.task_id)))
                for key, ballot in voters
                if not ballot.withheld
            )
        )
        self._go_to(task.reveal_deadline + 1)
        receipt = self._chain.engine().export_receipt(request.intent_id).receipt
        self._blocks.commit()
        return receipt

    def accounts(self) -> list[Account]:
        """Of those who are registered, in the order in which they were."""
        engine = self._chain.engine()
        return [
            Account(operator, engine.balance(operator), engine.operator(operator).stake, engine.credit(operator))
            for operator in self._keys
            if engine.operator(operator).exists
        ]

    def _commitment(self, task: Task, key: Secp256k1Key, ballot: Ballot) -> Hash:
        return commit_hash(
            task.task_id,
            task.model_spec_hash,
            task.prompt_hash,
            ballot.output,
            ballot.embedding,
            key.address,
            _nonce(key, task.task_id),
        )

    def _register(self, count: int) -> None:
        """So that this many can be drawn: who was slashed too often cannot, and another key takes its place."""
        engine = self._chain.engine()
        missing = count - len(engine.eligible(self._model_spec))
        unused = (key for operator, key in self._keys.items() if not engine.operator(operator).exists)
        if new := list(islice(unused, max(0, missing))):
            self._block(*((key, Register(STAKE, self._model_spec, ZERO)) for key in new))

    def _block(self, *calls: tuple[Secp256k1Key, Call]) -> None:
        """The next block, with one transaction of each of these."""
        for key, call in calls:
            self._chain.submit(sign(key, self._chain.a_chain_id, self._chain.nonce(key.address), call).encode())
        built = self._chain.build()
        for _, error in built.refused:
            raise error
        self._chain.accept(built.block.id)

    def _go_to(self, height: int) -> None:
        while self._chain.tip.height < height:
            self._block()


class _Together(Staging):
    """A store whose changes wait for :meth:`commit`."""

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._store = store

    def close(self) -> None:
        self._store.close()


def _nonce(key: Secp256k1Key, task_id: Hash) -> Hash:
    """Nobody else can guess it, and it is found again after a crash."""
    return keccak256(_NONCE_DOMAIN + key.secret + task_id)
