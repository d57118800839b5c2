"""Any sequence of operations: money is where it has to be, aborts leave nothing, followers find the same root."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from pygenvm.settlement.blocks.transactions import (
    Call,
    Commit,
    Deregister,
    ImportIntent,
    Register,
    Reveal,
    Settle,
    WithdrawRewards,
    WithdrawStake,
    sign,
)
from pygenvm.settlement.codec import merkle
from pygenvm.settlement.codec.hashes import commit_hash
from pygenvm.settlement.engine.engine import Engine
from pygenvm.settlement.state.memory import MemoryStore
from pygenvm.settlement.types.block_errors import BlockError
from pygenvm.settlement.types.constants import ESCROW_ACCOUNT
from pygenvm.settlement.types.errors import QuorumError
from pygenvm.settlement.types.words import Address, Hash
from tests.settlement.chains import ETHER, KEYS, OPERATOR_KEYS, REQUESTER, Net, contents, new_chain
from tests.settlement.engines import A_CHAIN, PROMPT, SPEC, empty_engine, intent
from tests.settlement.vectors import account, word
from tests.support.properties import examples

SETTINGS = examples(
    25,
    stateful_step_count=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

PEOPLE = [account(0x10 + number) for number in range(9)]
SPECS = [SPEC, word(0xAC)]
AMOUNTS = st.sampled_from([0, 1, 7, ETHER - 1, ETHER, 2 * ETHER, 10 * ETHER, 1 << 255, (1 << 256) - 1])


class EngineMachine(RuleBasedStateMachine):
    """The engine at random heights, called by anyone with anything."""

    tasks = Bundle("tasks")

    def __init__(self) -> None:
        super().__init__()
        self.engine: Engine = empty_engine()
        self.height = 1
        self.minted = 0
        self.asked = 0
        self.known: list[Hash] = []

    @initialize()
    def everybody_has_something(self) -> None:
        for person in PEOPLE:
            self.engine.fund({person: 50 * ETHER})
            self.minted += 50 * ETHER
        for person in PEOPLE[:8]:
            self.engine.register(person, 2 * ETHER, SPEC, word(1))

    def _try(self, act: Any, *arguments: Any) -> Any:
        """What is refused has changed nothing."""
        before = dict(self.engine.state.staging._changes)
        try:
            return act(*arguments)
        except QuorumError:
            assert self.engine.state.staging._changes == before
            return None

    @rule(steps=st.sampled_from([1, 5, 29, 30, 31, 60]))
    def time_passes(self, steps: int) -> None:
        self.height += steps

    @rule(person=st.sampled_from(PEOPLE), amount=AMOUNTS)
    def fund(self, person: Address, amount: int) -> None:
        before = self.engine.balance(person)
        self._try(self.engine.fund, {person: amount})
        self.minted += self.engine.balance(person) - before

    @rule(person=st.sampled_from(PEOPLE), stake=AMOUNTS, spec=st.sampled_from(SPECS))
    def register(self, person: Address, stake: int, spec: Hash) -> None:
        self._try(self.engine.register, person, stake, spec, word(1))

    @rule(person=st.sampled_from(PEOPLE))
    def deregister(self, person: Address) -> None:
        self._try(self.engine.deregister, person, self.height)

    @rule(person=st.sampled_from(PEOPLE))
    def withdraw(self, person: Address) -> None:
        self._try(self.engine.withdraw_stake, person, self.height)
        self._try(self.engine.withdraw_rewards, person)

    @rule(
        target=tasks,
        person=st.sampled_from(PEOPLE),
        reward=AMOUNTS,
        n=st.sampled_from([3, 5, 6]),
        threshold=st.sampled_from([2, 3, 4, 5]),
    )
    def ask(self, person: Address, reward: int, n: int, threshold: int) -> Any:
        self.asked += 1
        asked = intent(person, c_tx=self.asked, reward=reward, n=n, threshold=threshold)
        task = self._try(self.engine.import_intent, asked, self.height)
        if task is None:
            return multiple()
        self.known.append(task)
        return task

    @rule(task=tasks, output=st.sampled_from([1, 1, 1, 2]), honest=st.booleans())
    def commit(self, task: Hash, output: int, honest: bool) -> None:
        """Everybody who was drawn, or somebody who may not have been."""
        people = self.engine.selection(task) if honest else PEOPLE[:2]
        for person in people:
            commitment = commit_hash(task, SPEC, PROMPT, word(output), word(1), person, word(2))
            self._try(self.engine.commit, task, person, commitment, self.height)

    @rule(task=tasks, output=st.sampled_from([1, 1, 1, 2]), count=st.integers(1, 6))
    def reveal(self, task: Hash, output: int, count: int) -> None:
        for person in self.engine.selection(task)[:count]:
            self._try(self.engine.reveal, task, person, word(output), word(1), word(2), self.height)

    @rule(task=consumes(tasks))
    def live(self, task: Hash) -> None:
        """From here to the end, with whoever has committed."""
        deadline = self.engine.task(task).commit_deadline
        self.height = max(self.height, deadline + 1)
        for person in self.engine.selection(task)[1:]:
            self._try(self.engine.reveal, task, person, word(1), word(1), word(2), self.height)
        self.height = max(self.height, deadline + 31)
        self._try(self.engine.settle, task, self.height)

    @rule(task=tasks)
    def settle(self, task: Hash) -> None:
        self._try(self.engine.settle, task, self.height)

    @rule(data=st.data())
    def what_is_aborted_leaves_nothing(self, data: st.DataObject) -> None:
        before = dict(self.engine.state.staging._changes)
        overlay = self.engine.state.staging.overlay()
        there, whole = self.engine.on(type(self.engine.state)(overlay)), self.engine
        self.engine, minted, known, height, asked = there, self.minted, list(self.known), self.height, self.asked
        for step in data.draw(st.lists(st.sampled_from(["fund", "register", "ask", "withdraw"]), max_size=4)):
            person = data.draw(st.sampled_from(PEOPLE))
            if step == "fund":
                self.fund(person, ETHER)
            elif step == "register":
                self.register(person, ETHER, SPEC)
            elif step == "ask":
                self.ask(person, 7, 3, 2)
            else:
                self.withdraw(person)
        overlay.abort()
        assert dict(overlay.items(b"")) == dict(whole.state.staging.items(b""))
        self.engine, self.minted, self.known, self.height, self.asked = whole, minted, known, height, asked
        assert self.engine.state.staging._changes == before

    @rule()
    def commit_to_the_store(self) -> None:
        before = self.engine.state.digest()
        self.engine.state.staging.commit()
        assert self.engine.state.digest() == before

    @invariant()
    def money_is_where_it_has_to_be(self) -> None:
        engine = self.engine
        stakes = sum(engine.operator(person).stake for person in PEOPLE)
        escrows = sum(engine.task(task).escrow for task in self.known)
        credits = sum(engine.credit(person) for person in PEOPLE)
        assert engine.balance(ESCROW_ACCOUNT) == stakes + escrows + credits
        assert sum(engine.state.balances().values()) == self.minted
        assert engine.total() == self.minted % (1 << 256)

    @invariant()
    def the_root_is_that_of_all_leaves(self) -> None:
        engine = self.engine
        done = [engine.task(task) for task in self.known if engine.task(task).settled_height]
        assert engine.receipt_count() == len(done)
        leaves: dict[int, Hash] = {}
        for task in done:
            exported = engine.export_receipt(task.intent_id)
            assert merkle.verify_strictly(exported.receipt.hash(), exported.proof, engine.receipt_root())
            leaves[exported.proof.index] = merkle.receipt_leaf(exported.receipt.hash())
        in_order = [leaves[index] for index in range(len(leaves))]
        assert engine.receipt_root() == merkle.root(in_order)


class ChainMachine(RuleBasedStateMachine):
    """What one node builds, another finds the same; what is rejected leaves nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.stores = MemoryStore(), MemoryStore()
        leader, self.follower = (new_chain(store) for store in self.stores)
        self.net = Net(leader)
        self.tasks: list[Hash] = []
        self.asked = 0

    @initialize()
    def operators(self) -> None:
        for number, key in enumerate(OPERATOR_KEYS):
            self._send(key.address, Register(2 * ETHER, SPEC, word(number)))
        self._accepted()

    def _send(self, sender: Address, call: Call) -> None:
        """The next free nonce, even if what waited with it was given up."""
        nonce = self.net.nonces[sender] = max(self.net.nonces.get(sender, 0), self.net.leader.nonce(sender))
        try:
            self.net.leader.submit(sign(KEYS[sender], A_CHAIN, nonce, call).encode())
        except BlockError as error:
            assert error.name in ("ErrTransactionKnown", "ErrTransactionPoolFull")  # noqa: PT017
            return
        self.net.nonces[sender] = nonce + 1

    def _accepted(self) -> None:
        built = self.net.leader.build()
        for transaction, _ in built.refused:
            self.net.nonces[transaction.sender] = transaction.nonce
        block = self.follower.parse(built.block.encode())
        self.follower.verify(block)
        self.follower.accept(block.id)
        self.net.leader.accept(block.id)

    @rule(number=st.integers(0, 7), call=st.sampled_from([Deregister(), WithdrawStake(), WithdrawRewards()]))
    def account(self, number: int, call: Call) -> None:
        self._send(OPERATOR_KEYS[number].address, call)

    @rule(reward=st.sampled_from([0, 7, ETHER]))
    def ask(self, reward: int) -> None:
        self.asked += 1
        asked = intent(REQUESTER, c_tx=self.asked, reward=reward)
        self._send(REQUESTER, ImportIntent(asked))
        self._accepted()
        task = self.net.leader.engine().task_for_intent(asked.intent_id)
        if any(task):
            self.tasks.append(task)

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), act=st.sampled_from(["commit", "reveal", "settle"]), output=st.sampled_from([1, 1, 2]))
    def play(self, data: st.DataObject, act: str, output: int) -> None:
        task = data.draw(st.sampled_from(self.tasks))
        for operator in self.net.leader.engine().selection(task):
            if act == "commit":
                commitment = commit_hash(task, SPEC, PROMPT, word(output), word(1), operator, word(2))
                self._send(operator, Commit(task, commitment))
            elif act == "reveal":
                self._send(operator, Reveal(task, word(output), word(1), word(2)))
        if act == "settle":
            self._send(REQUESTER, Settle(task))

    @rule(blocks=st.sampled_from([1, 2, 31]))
    def time_passes(self, blocks: int) -> None:
        for _ in range(blocks):
            self._accepted()

    @rule()
    def reject(self) -> None:
        before = [contents(store) for store in self.stores]
        block = self.net.leader.build().block
        self.follower.verify(block)
        self.follower.reject(block.id)
        self.net.leader.reject(block.id)
        assert [contents(store) for store in self.stores] == before

    @invariant()
    def both_have_the_same(self) -> None:
        leader, follower = (contents(store) for store in self.stores)
        assert leader == follower
        assert self.net.leader.tip.receipt_root == self.net.leader.engine().receipt_root()


TestEngine = EngineMachine.TestCase
TestEngine.settings = SETTINGS
TestChain = ChainMachine.TestCase
TestChain.settings = examples(8, parent=SETTINGS, stateful_step_count=25)
