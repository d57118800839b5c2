"""The engine: every operation of the quorum settlement, on one state (spec settlement/01)."""

from __future__ import annotations

from collections.abc import Mapping

from pygenvm.settlement.codec import hashes, merkle
from pygenvm.settlement.codec.intent import Intent
from pygenvm.settlement.engine import ledger, operators, receipts, reveals, tasks
from pygenvm.settlement.engine.operators import Operator
from pygenvm.settlement.engine.receipts import Exported
from pygenvm.settlement.engine.settle import Settled, settle
from pygenvm.settlement.engine.tasks import CommitmentVerifier, Task, admit_nothing
from pygenvm.settlement.state import slots
from pygenvm.settlement.state.state import State
from pygenvm.settlement.types.constants import MAX_HEIGHT, UNBOND_COOLDOWN_BLOCKS
from pygenvm.settlement.types.errors import QuorumError
from pygenvm.settlement.types.words import (
    MAX_U64,
    MAX_U256,
    Address,
    Hash,
    address_of_word,
    checked_address,
    checked_hash,
    checked_unsigned,
)


class Engine:
    """Operations refuse with :class:`settlement.types.errors.QuorumError` and then have changed nothing.

    Arguments of wrong widths are ``ValueError``. Callers are not authenticated here: ``operator`` and ``account`` are
    whoever the host says they are.

    :param c_chain_id: the chain that intents come from.
    :param a_chain_id: this one.
    :param verifier: tells whether the C side has committed to an intent; the default admits none.
    :param cooldown: heights between leaving and withdrawing stake, at least the default. With more than that, no stake
        can leave before the tasks it is answerable for are settled (spec settlement/01 §5.3).
    """

    def __init__(
        self,
        state: State,
        *,
        c_chain_id: Hash,
        a_chain_id: Hash,
        verifier: CommitmentVerifier = admit_nothing,
        cooldown: int = UNBOND_COOLDOWN_BLOCKS,
    ) -> None:
        self.state = state
        self.chains = checked_hash(c_chain_id, "c_chain_id"), checked_hash(a_chain_id, "a_chain_id")
        if not UNBOND_COOLDOWN_BLOCKS <= cooldown <= MAX_U64:
            raise ValueError(f"the cooldown is at least {UNBOND_COOLDOWN_BLOCKS} heights")
        self.cooldown = cooldown
        self.verifier = verifier

    def on(self, state: State) -> Engine:
        """The same engine on another state."""
        c_chain_id, a_chain_id = self.chains
        return Engine(
            state, c_chain_id=c_chain_id, a_chain_id=a_chain_id, verifier=self.verifier, cooldown=self.cooldown
        )

    # --- ledger ---

    def fund(self, amounts: Mapping[Address, int]) -> None:
        """Mints: opening balances and deposits only."""
        for account, amount in amounts.items():
            checked_address(account, "account")
            checked_unsigned(amount, MAX_U256, "amount")
        ledger.fund(self.state, amounts)

    def balance(self, account: Address) -> int:
        return self.state.balance(account)

    def total(self) -> int:
        """All balances together."""
        return ledger.total(self.state)

    # --- operators ---

    def register(self, operator: Address, stake: int, model_spec: Hash, endpoint: Hash) -> None:
        """Locks stake and makes the operator eligible for draws of one model (spec settlement/01 §5.1)."""
        checked_unsigned(stake, MAX_U256, "stake")
        checked_hash(endpoint, "endpoint")
        operators.register(
            self.state, checked_address(operator, "operator"), stake, checked_hash(model_spec, "model_spec"), endpoint
        )

    def deregister(self, operator: Address, height: int) -> None:
        """Out of new draws at once; existing selections stay (spec settlement/01 §5.2)."""
        operators.deregister(self.state, checked_address(operator, "operator"), _height(height))

    def withdraw_stake(self, operator: Address, height: int) -> int:
        """What is left of the stake, paid out (spec settlement/01 §5.3)."""
        return operators.withdraw_stake(
            self.state, checked_address(operator, "operator"), _height(height), self.cooldown
        )

    def withdraw_rewards(self, account: Address) -> int:
        """Credit, paid out (spec settlement/01 §5.5)."""
        return operators.withdraw_rewards(self.state, checked_address(account, "account"))

    def operator(self, address: Address) -> Operator:
        return operators.operator(self.state, checked_address(address, "operator"))

    def credit(self, account: Address) -> int:
        return self.state.number(slots.credit(checked_address(account, "account")))

    def is_eligible(self, address: Address, model_spec: Hash) -> bool:
        return operators.is_eligible(self.state, checked_address(address, "operator"), model_spec)

    def eligible(self, model_spec: Hash) -> list[Address]:
        return operators.eligible(self.state, checked_hash(model_spec, "model_spec"))

    # --- tasks ---

    def import_intent(self, intent: Intent, height: int) -> Hash:
        """The only way in which a task is born; returns its id (spec settlement/01 §6)."""
        return tasks.import_intent(self.state, self.chains, intent, _height(height), self.verifier)

    def commit(self, task_id: Hash, operator: Address, commitment: Hash, height: int) -> None:
        checked_hash(commitment, "commitment")
        reveals.commit(
            self.state,
            checked_hash(task_id, "task_id"),
            checked_address(operator, "operator"),
            commitment,
            _height(height),
        )

    def reveal(self, task_id: Hash, operator: Address, output: Hash, embedding: Hash, nonce: Hash, height: int) -> None:
        for value, what in ((task_id, "task_id"), (output, "output"), (embedding, "embedding"), (nonce, "nonce")):
            checked_hash(value, what)
        checked_address(operator, "operator")
        reveals.reveal(self.state, task_id, operator, output, embedding, nonce, _height(height))

    def settle(self, task_id: Hash, height: int) -> Settled:
        return settle(self.state, self.chains, checked_hash(task_id, "task_id"), _height(height))

    def settle_due(self, height: int) -> list[Settled]:
        """Settles the tasks whose reveal window closed with the height before: called for each height, in order.

        A task that cannot be settled stays as it is, and :meth:`settle` says why.
        """
        done = []
        for task_id in self.state.take_due(_height(height)):
            try:
                done.append(settle(self.state, self.chains, task_id, height))
            except QuorumError:
                continue
        return done

    def task(self, task_id: Hash) -> Task:
        """``ErrTaskUnknown`` where there is none."""
        return tasks.task(self.state, checked_hash(task_id, "task_id"))

    def task_for_intent(self, intent_id: Hash) -> Hash:
        """Zero for an intent that was not imported."""
        return self.state.word(slots.intent_task(checked_hash(intent_id, "intent_id")))

    def is_selected(self, task_id: Hash, operator: Address) -> bool:
        return self.state.is_set(slots.selected(task_id, operator))

    def selected_at(self, task_id: Hash, index: int) -> Address:
        """The zero address behind the last."""
        return address_of_word(self.state.word(slots.selected_at(task_id, index)))

    def selection(self, task_id: Hash) -> list[Address]:
        """The operators that were drawn for a task, in the order of selection."""
        return tasks.selection(self.state, task_id, tasks.head(self.state, task_id).n)

    def select_operators(self, task_id: Hash, model_spec: Hash, n: int) -> list[Address]:
        """Draws again from who is eligible now: what was recorded only as long as nobody came or went."""
        return hashes.draw(operators.eligible(self.state, model_spec), task_id, n)

    def commitment(self, task_id: Hash, operator: Address) -> Hash:
        """Zero for none."""
        return self.state.word(slots.commit(task_id, operator))

    def reveals(self, task_id: Hash) -> list[tuple[Address, Hash]]:
        """Operators and outputs in the order of the reveals."""
        return reveals.revealed(self.state, checked_hash(task_id, "task_id"))

    def canonical_result(self, task_id: Hash) -> Hash:
        """Zero unless the task was settled with a quorum."""
        return self.state.word(slots.canonical_output(task_id))

    # --- receipts ---

    def receipt_root(self) -> Hash:
        return receipts.root(self.state)

    def receipt_count(self) -> int:
        return receipts.count(self.state)

    def receipt_proof(self, index: int) -> merkle.Proof:
        """``ErrProofOutOfRange`` where there is no receipt of this index."""
        return receipts.proof(self.state, index)

    def export_receipt(self, intent_id: Hash) -> Exported:
        """A receipt with its proof in the tree as it is now (spec settlement/01 §9)."""
        return receipts.export(self.state, self.chains, checked_hash(intent_id, "intent_id"))


def _height(height: int) -> int:
    """Heights whose deadlines still fit 64 bits."""
    return checked_unsigned(height, MAX_HEIGHT, "height")
