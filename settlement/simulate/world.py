"""One population on the real engine, height by height, each call a step of its own that has to add up."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final, ParamSpec, TypeVar

from pygenvm.settlement.codec.hashes import chain_id, commit_hash
from pygenvm.settlement.codec.intent import Intent
from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.engine.engine import Engine
from pygenvm.settlement.engine.settle import Settled
from pygenvm.settlement.simulate.audit import AuditedStore, RuleBroken
from pygenvm.settlement.simulate.behaviours import Actor, Asked, Play, play
from pygenvm.settlement.simulate.results import Behaved, Outcome, Result
from pygenvm.settlement.simulate.settings import Behaviour, Settings
from pygenvm.settlement.state.staging import Staging
from pygenvm.settlement.state.state import State
from pygenvm.settlement.types.constants import (
    BURN_ADDRESS,
    COMMIT_BLOCKS,
    MIN_PROVIDER_BOND,
    REQUEST_FEE_PER_OPERATOR,
    REVEAL_BLOCKS,
    ReceiptStatus,
)
from pygenvm.settlement.types.errors import QuorumError
from pygenvm.settlement.types.words import ZERO, Address, Hash

#: Heights over which tasks arrive: longer than a task takes, so that there are some after the first slashes.
_ARRIVALS: Final = 150
_REQUESTERS: Final = 20
#: Heights between two counts of everything.
_RECOUNT_EVERY: Final = 10
#: So often does somebody who is paid take the money at once.
_WITHDRAWS: Final = 0.25
#: Heights that a flapping operator stays away at most.
_AWAY_MAX: Final = 20

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Act = Callable[[], None]


class World:
    """Operators, requesters and their engine."""

    def __init__(self, settings: Settings, label: str = "main") -> None:
        self._settings = settings
        self._label = f"{settings.seed}/{label}"
        self._rng = random.Random(self._label)
        self._store = AuditedStore()
        self._staging = Staging(self._store)
        self.engine = Engine(
            State(self._staging),
            c_chain_id=chain_id("c-chain"),
            a_chain_id=chain_id("a-chain"),
            verifier=_admit,
            cooldown=settings.cooldown,
        )
        self._height = 1
        #: What happens at a height, in this order: calls, then calls that wait for what others have done.
        self._early: defaultdict[int, list[_Act]] = defaultdict(list)
        self._late: defaultdict[int, list[_Act]] = defaultdict(list)
        self._open: dict[Hash, Asked] = {}
        self._due: defaultdict[int, list[Asked]] = defaultdict(list)
        self._outcomes: Counter[Outcome] = Counter()
        self._refused: Counter[str] = Counter()
        self._models = [self._hash("model", index) for index in range(settings.models)]
        self._requesters = [self._address("requester", index) for index in range(_REQUESTERS)]
        self._actors: dict[Address, Actor] = {}
        self._populate()

    def _populate(self) -> None:
        settings = self._settings
        behaviours = [behaviour for behaviour, count in settings.counts().items() for _ in range(count)]
        self._rng.shuffle(behaviours)
        asking = settings.tasks * settings.n * (settings.reward + REQUEST_FEE_PER_OPERATOR)
        self._opening: dict[Address, int] = dict.fromkeys(self._requesters, asking)
        for index, behaviour in enumerate(behaviours):
            address = self._address("operator", index)
            self._actors[address] = Actor(address, behaviour, self._models[index % settings.models])
            self._opening[address] = settings.stake
        for account in self._opening:
            self._store.watch_account(account)
        self._store.mint(sum(self._opening.values()))
        self._step(self.engine.fund, self._opening)
        for actor in self._actors.values():
            self._register(actor)

    def run(self, progress: Callable[[int], None] | None = None) -> Result:
        """Until all tasks are settled. :class:`settlement.simulate.audit.RuleBroken` if the engine breaks one.

        :param progress: is told of how many tasks have been asked and settled more.
        """
        asked, tasks = 0, self._settings.tasks
        while asked < tasks or self._open:
            settled = self._settle_due()
            arrived = min(tasks, -(-self._height * tasks // _ARRIVALS)) - asked
            for number in range(asked, asked + arrived):
                self._ask(number)
            asked += arrived
            for waiting in (self._early, self._late):
                acts = waiting.pop(self._height, [])
                self._rng.shuffle(acts)
                for act in acts:
                    act()
            if self._height % _RECOUNT_EVERY == 0:
                self._recount()
            if progress is not None:
                progress(settled + arrived)
            self._height += 1
        self._recount()
        return self._result()

    # --- steps ---

    def _step(self, call: Callable[_P, _T], *arguments: _P.args, **options: _P.kwargs) -> _T | None:
        """One call of the engine, committed; nothing where the engine refuses it."""
        try:
            done = call(*arguments, **options)
        except QuorumError as error:
            if self._staging.changed:
                raise RuleBroken(f"{error.name} at height {self._height} has changed something") from error
            self._refused[error.name] += 1
            return None
        try:
            self._staging.commit()
        except RuleBroken as error:
            raise RuleBroken(f"{call.__name__} at height {self._height}: {error}") from error
        return done

    def _register(self, actor: Actor) -> None:
        stake = min(self._settings.stake, self.engine.balance(actor.address))
        if stake >= MIN_PROVIDER_BOND:
            self._step(self.engine.register, actor.address, stake, actor.model, self._hash("endpoint", 0))
            actor.leaving = False

    def _withdraw_stake(self, actor: Actor) -> None:
        self._step(self.engine.withdraw_stake, actor.address, self._height)
        self._early[self._height + self._rng.randint(1, _AWAY_MAX)].append(partial(self._register, actor))

    def _ask(self, number: int) -> None:
        """A task, and what those who are drawn for it will do."""
        rng = self._rng
        intent = self._intent(number)

        task_id = self._step(self._import, intent)
        if task_id is None:
            self._outcomes[Outcome.REFUSED] += 1
            return
        answer = self._hash("answer", number)
        asked = Asked(
            task_id=task_id,
            model=intent.model_spec_hash,
            prompt=intent.prompt_hash,
            answer=answer,
            guess=answer if rng.random() < self._settings.guessable else self._hash("guess", number),
            forgery=self._hash("forgery", number),
            drawn=[self._actors[address] for address in self.engine.selection(task_id)],
        )
        self._open[task_id] = asked
        self._due[self._height + COMMIT_BLOCKS + REVEAL_BLOCKS + 1].append(asked)
        for actor in asked.drawn:
            self._plan(actor, asked, play(actor, asked, self._settings, rng))

    def _import(self, intent: Intent) -> Hash:
        task_id = self.engine.import_intent(intent, self._height)
        self._store.watch_task(task_id)
        return task_id

    def _plan(self, actor: Actor, asked: Asked, chosen: Play) -> None:
        rng, height = self._rng, self._height
        actor.draws += 1
        actor.runs += chosen.ran
        revealing = height + COMMIT_BLOCKS + rng.randint(1, REVEAL_BLOCKS)
        if chosen.copies:
            self._late[height + COMMIT_BLOCKS].append(partial(self._copy, actor, asked))
            return
        nonce = keccak256(asked.task_id + actor.address)
        if chosen.leaves:
            self._early[height].append(partial(self._commit, actor, asked, chosen.output, nonce))
            if not actor.leaving:
                self._late[height].append(partial(self._leave, actor))
                actor.leaving = True
            return
        committing = height + rng.randint(0, COMMIT_BLOCKS)
        self._early[committing].append(partial(self._commit, actor, asked, chosen.output, nonce))
        if chosen.reveals:
            self._early[revealing].append(partial(self._reveal, actor, asked, chosen.output, nonce))

    def _commit(self, actor: Actor, asked: Asked, output: Hash, nonce: Hash) -> None:
        sealed = commit_hash(asked.task_id, asked.model, asked.prompt, output, ZERO, actor.address, nonce)
        self._step(self.engine.commit, asked.task_id, actor.address, sealed, self._height)

    def _reveal(self, actor: Actor, asked: Asked, output: Hash, nonce: Hash) -> None:
        self._step(self.engine.reveal, asked.task_id, actor.address, output, ZERO, nonce, self._height)
        asked.published[actor.address] = output, nonce

    def _copy(self, actor: Actor, asked: Asked) -> None:
        """Takes the first commit of another, and will repeat what that one reveals."""
        for other in asked.drawn:
            sealed = self.engine.commitment(asked.task_id, other.address)
            if other is not actor and sealed != ZERO:
                self._step(self.engine.commit, asked.task_id, actor.address, sealed, self._height)
                self._late[self._height + REVEAL_BLOCKS].append(partial(self._repeat, actor, other, asked))
                return

    def _repeat(self, actor: Actor, other: Actor, asked: Asked) -> None:
        if (known := asked.published.get(other.address)) is not None:
            output, nonce = known
            self._step(self.engine.reveal, asked.task_id, actor.address, output, ZERO, nonce, self._height)

    def _leave(self, actor: Actor) -> None:
        self._step(self.engine.deregister, actor.address, self._height)
        self._early[self._height + self._settings.cooldown].append(partial(self._withdraw_stake, actor))

    def _settle_due(self) -> int:
        due = self._due.pop(self._height, [])
        before = {actor.address: self.engine.operator(actor.address).stake for one in due for actor in one.drawn}
        done = self._step(self.engine.settle_due, self._height) or []
        if [settled.receipt.task_id for settled in done] != [one.task_id for one in due]:
            raise RuleBroken(f"not all tasks that were due at height {self._height} were settled, or others were")
        for address, stake in before.items():
            self._actors[address].slashed += stake - self.engine.operator(address).stake
        for settled in done:
            self._count(settled, self._open.pop(settled.receipt.task_id))
        return len(done)

    def _count(self, settled: Settled, asked: Asked) -> None:
        canonical = settled.receipt.canonical_output_hash
        if settled.receipt.status == ReceiptStatus.FAILED:
            outcome = Outcome.NO_QUORUM
        elif canonical == asked.answer:
            outcome = Outcome.RIGHT
        else:
            outcome = Outcome.FORGED if canonical == asked.forgery else Outcome.GUESSED
        self._outcomes[outcome] += 1
        for winner in settled.winners:
            self._actors[winner].wins += 1
        for account in (*settled.winners, settled.receipt.requester):
            if self._rng.random() < _WITHDRAWS and self.engine.credit(account):
                self._step(self.engine.withdraw_rewards, account)

    # --- accounts ---

    def _recount(self) -> None:
        self._store.recount(self.engine, self._opening, self._open)

    def _income(self, account: Address) -> int:
        engine = self.engine
        owned = engine.balance(account) + engine.operator(account).stake + engine.credit(account)
        return owned - self._opening[account]

    def _result(self) -> Result:
        store = self._store
        return Result(
            outcomes={outcome: self._outcomes[outcome] for outcome in Outcome},
            behaved={behaviour: self._behaved(behaviour) for behaviour in Behaviour},
            refused=dict(self._refused),
            spent=-sum(self._income(requester) for requester in self._requesters),
            burnt=self.engine.balance(BURN_ADDRESS),
            heights=self._height - 1,
            steps=store.steps,
            recounts=store.recounts,
            total=store.total,
            receipts=self.engine.receipt_count(),
            receipt_root=self.engine.receipt_root(),
        )

    def _behaved(self, behaviour: Behaviour) -> Behaved:
        actors = [actor for actor in self._actors.values() if actor.behaviour is behaviour]
        runs = sum(actor.runs for actor in actors)
        return Behaved(
            operators=len(actors),
            draws=sum(actor.draws for actor in actors),
            runs=runs,
            wins=sum(actor.wins for actor in actors),
            slashed=sum(actor.slashed for actor in actors),
            income=sum(self._income(actor.address) for actor in actors),
            work=runs * self._settings.work_cost,
            eligible=sum(self.engine.is_eligible(actor.address, actor.model) for actor in actors),
        )

    # --- names ---

    def _intent(self, number: int) -> Intent:
        settings, (c_chain_id, a_chain_id) = self._settings, self.engine.chains
        intent = Intent(
            intent_id=ZERO,
            c_chain_id=c_chain_id,
            a_chain_id=a_chain_id,
            c_tx_hash=self._hash("transaction", number),
            call_index=0,
            caller=self._rng.choice(self._requesters),
            model_spec_hash=self._rng.choice(self._models),
            prompt_hash=self._hash("prompt", number),
            n=settings.n,
            threshold=settings.threshold,
            fee=0,
            reward=settings.reward,
        )
        return replace(intent, intent_id=intent.computed_id())

    def _hash(self, kind: str, number: int) -> Hash:
        return keccak256(f"{self._label}/{kind}/{number}".encode())

    def _address(self, kind: str, number: int) -> Address:
        return Address(self._hash(kind, number)[:20])


def _admit(_: Intent) -> None:
    """The C side has committed to everything that is asked here."""
