"""The simulation: what it finds comes out of its seed, is what the rules say, and would show a broken engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pygenvm.settlement.engine import ledger, operators, reveals
from pygenvm.settlement.engine.engine import Engine
from pygenvm.settlement.simulate.audit import AuditedStore, ConservationBroken, RuleBroken
from pygenvm.settlement.simulate.results import Outcome, Result
from pygenvm.settlement.simulate.settings import TOKEN, Behaviour, Settings
from pygenvm.settlement.simulate.sweep import expected, sweep
from pygenvm.settlement.simulate.world import World
from pygenvm.settlement.state import slots
from pygenvm.settlement.state.state import State
from pygenvm.settlement.types.constants import ESCROW_ACCOUNT, REQUEST_FEE_PER_OPERATOR, SLASH_PER_OPERATOR
from pygenvm.settlement.types.errors import QuorumError, Refusal
from pygenvm.settlement.types.words import Address
from tests.settlement.engines import OPERATORS, SPEC, empty_engine, intent
from tests.settlement.vectors import account, word

SMALL = Settings(operators=60, models=3, tasks=60, error=0.0, guessable=0.0)


def _run(*, honest: int = 3, **changes: Any) -> Result:
    """A small population: so many honest for each one of the behaviours that are named."""
    mix = {Behaviour(name): weight for name, weight in changes.items() if name in {each.value for each in Behaviour}}
    others = {name: value for name, value in changes.items() if name not in {each.value for each in mix}}
    return World(replace(SMALL, mix={Behaviour.HONEST: honest, **mix}, **others)).run()


# --- determinism ---


def test_one_seed_gives_one_result() -> None:
    everyone = Settings(operators=60, models=3, tasks=40)
    first, again = World(everyone).run(), World(everyone).run()
    assert first == again
    assert first.receipts == 40
    other = World(replace(everyone, seed=2)).run()
    assert other.receipt_root != first.receipt_root


# --- what behaviours pay ---


def test_honest_operators_get_the_reward_and_nothing_else() -> None:
    result = _run(honest=1)
    honest = result.behaved[Behaviour.HONEST]
    assert (honest.draws, honest.wins, honest.runs) == (300, 300, 300)
    assert honest.income == 300 * SMALL.reward
    assert honest.work == 300 * SMALL.work_cost
    assert result.outcomes[Outcome.RIGHT] == 60
    assert result.burnt == 300 * REQUEST_FEE_PER_OPERATOR
    assert result.spent == result.burnt + honest.income
    assert not result.refused


def test_who_withholds_is_slashed_and_the_winners_share_it() -> None:
    result = _run(withholding=1)
    honest, withholding = (result.behaved[each] for each in (Behaviour.HONEST, Behaviour.WITHHOLDING))
    assert withholding.wins == 0
    assert withholding.slashed == withholding.draws * SLASH_PER_OPERATOR > 0
    assert withholding.income == -withholding.slashed
    assert withholding.eligible < withholding.operators
    assert honest.slashed == 0
    assert honest.wins * SMALL.reward < honest.income <= honest.wins * SMALL.reward + withholding.slashed


def test_a_copied_commit_cannot_be_revealed() -> None:
    result = _run(copying=1)
    copying = result.behaved[Behaviour.COPYING]
    assert copying.wins == 0
    assert copying.income == -copying.slashed
    # All of a draw may be copying, and then nobody begins.
    copied = copying.slashed // SLASH_PER_OPERATOR
    assert 0 < result.refused["ErrCommitMismatch"] <= copied <= copying.draws
    assert set(result.refused) == {"ErrCommitMismatch"}


def test_dissent_costs_nothing_but_the_reward() -> None:
    result = _run(dissenting=1)
    dissenting = result.behaved[Behaviour.DISSENTING]
    assert dissenting.draws > 0
    assert (dissenting.wins, dissenting.income, dissenting.slashed) == (0, 0, 0)
    assert dissenting.work > 0


@pytest.mark.parametrize("guessable", [0.0, 1.0])
def test_the_lazy_are_paid_where_the_output_can_be_guessed(guessable: float) -> None:
    lazy = _run(honest=9, lazy=1, guessable=guessable).behaved[Behaviour.LAZY]
    assert lazy.draws > 0
    assert lazy.runs == 0
    assert lazy.income == guessable * lazy.draws * SMALL.reward


def test_most_of_the_lazy_agree_on_what_is_wrong() -> None:
    outcomes = _run(honest=1, lazy=9).outcomes
    assert outcomes[Outcome.GUESSED] > outcomes[Outcome.RIGHT]


def test_a_cartel_forges_where_it_is_a_quorum_and_earns_elsewhere() -> None:
    result = _run(colluding=3)
    colluding = result.behaved[Behaviour.COLLUDING]
    assert result.outcomes[Outcome.FORGED] > 0
    assert result.outcomes[Outcome.FORGED] + result.outcomes[Outcome.RIGHT] == 60
    # It is paid for every draw but none is slashed.
    assert (colluding.wins, colluding.slashed) == (colluding.draws, 0)


@pytest.mark.parametrize(("cooldown", "escapes"), [(60, True), (61, False)])
def test_who_leaves_in_the_block_of_its_draw_escapes_the_default_cooldown(cooldown: int, escapes: bool) -> None:
    """spec settlement/01 §5.3: its stake is paid out one height before the task is settled."""
    result = _run(flapping=1, cooldown=cooldown)
    flapping = result.behaved[Behaviour.FLAPPING]
    assert flapping.wins < flapping.draws
    assert (flapping.slashed == 0) is escapes
    assert not result.refused


def test_who_errs_is_not_paid() -> None:
    result = _run(honest=1, error=1.0)
    assert result.outcomes[Outcome.NO_QUORUM] == 60
    assert result.behaved[Behaviour.HONEST].income == 0
    assert result.spent == result.burnt


def test_without_enough_operators_tasks_are_refused() -> None:
    result = _run(withholding=20, stake=TOKEN)
    assert result.outcomes[Outcome.REFUSED] > 0
    named = result.refused.get("ErrEligibleBelowMargin", 0) + result.refused.get("ErrNotEnoughEligible", 0)
    assert result.outcomes[Outcome.REFUSED] == named
    assert sum(result.outcomes.values()) == 60


# --- broken engines ---


@pytest.mark.parametrize("more", [1, -1])
def test_money_that_comes_from_nowhere_is_noticed(monkeypatch: pytest.MonkeyPatch, more: int) -> None:
    right = ledger.pay

    def wrong(state: State, target: Address, amount: int) -> None:
        right(state, target, amount)
        state.set_balance(target, state.balance(target) + more)

    monkeypatch.setattr(ledger, "pay", wrong)
    with pytest.raises(RuleBroken, match=r"^withdraw_\w+ at height \d+: all balances are \d+, but \d+ were put in$"):
        _run()


def test_credit_that_is_not_in_escrow_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = State.set_number

    def wrong(state: State, slot: Any, number: int) -> None:
        right(state, slot, number + (slot in kept))

    kept = {slots.credit(address) for address in World(SMALL)._actors}
    monkeypatch.setattr(State, "set_number", wrong)
    with pytest.raises(RuleBroken, match=r"^settle_due at height \d+: \d+ are in escrow, but it should hold "):
        World(SMALL).run()


def test_a_refusal_that_changes_something_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(state: State, *_: Any) -> None:
        state.set_number(word(1), 1)
        raise QuorumError(Refusal.ErrCommitMismatch)

    monkeypatch.setattr(reveals, "reveal", wrong)
    with pytest.raises(RuleBroken, match=r"^ErrCommitMismatch at height \d+ has changed something$"):
        _run()


def test_a_due_task_that_is_not_settled_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(_engine: Engine, _height: int) -> list[Any]:
        return []

    monkeypatch.setattr(Engine, "settle_due", wrong)
    with pytest.raises(RuleBroken, match="not all tasks that were due at height 62 were settled"):
        _run()


def test_an_engine_that_tells_something_else_than_was_written_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = operators.operator
    monkeypatch.setattr(operators, "operator", lambda *where: replace(right(*where), stake=0))
    with pytest.raises(ConservationBroken):
        _run()


def _audited() -> tuple[AuditedStore, Engine]:
    store = AuditedStore()
    engine = empty_engine(store)
    for person in OPERATORS[:8]:
        store.watch_account(person)
    store.mint(8 * 9 * TOKEN)
    engine.fund(dict.fromkeys(OPERATORS[:8], 9 * TOKEN))
    engine.state.staging.commit()
    for person in OPERATORS[:8]:
        engine.register(person, 2 * TOKEN, SPEC, word(1))
        engine.state.staging.commit()
    return store, engine


def _mints(engine: Engine) -> None:
    engine.fund({account(1): 1})


def _moves_out_of_escrow(engine: Engine) -> None:
    engine.state.set_balance(ESCROW_ACCOUNT, engine.balance(ESCROW_ACCOUNT) - 1)
    engine.fund({account(1): 1})


def _invents_stake(engine: Engine) -> None:
    engine.state.set_number(slots.operator_stake(OPERATORS[0]), 3 * TOKEN)


def _asks_for_a_task_that_nobody_watches(engine: Engine) -> None:
    engine.import_intent(intent(OPERATORS[0]), 1)


@pytest.mark.parametrize(
    "step",
    [_mints, _moves_out_of_escrow, _invents_stake, _asks_for_a_task_that_nobody_watches],
    ids=lambda one: one.__name__,
)
def test_a_step_that_does_not_add_up_is_not_taken(step: Callable[[Engine], None]) -> None:
    store, engine = _audited()
    before, steps = dict(store.items(b"")), store.steps
    step(engine)
    with pytest.raises(ConservationBroken):
        engine.state.staging.commit()
    assert dict(store.items(b"")) == before
    assert store.steps == steps
    engine.state.staging.abort()
    store.recount(engine, OPERATORS[:8], [])


def test_a_recount_sees_what_went_past_the_audit() -> None:
    store, engine = _audited()
    engine.state.set_number(slots.operator_stake(OPERATORS[0]), TOKEN)
    with pytest.raises(ConservationBroken, match="are in escrow, but it should hold"):
        store.recount(engine, OPERATORS[:8], [])
    engine.state.set_number(slots.operator_stake(OPERATORS[1]), 3 * TOKEN)
    store.recount(engine, OPERATORS[:8], [])


# --- shares of dishonest operators ---


def test_a_cartel_below_the_threshold_cannot_forge() -> None:
    settings = Settings(operators=8, models=1, error=0.0)
    assert expected(settings, 2).forged == 0
    assert expected(settings, 2).loss_per_forgery is None
    assert expected(settings, 2).right == 1
    assert expected(settings, 8).forged == 1
    # All is the cartel's own but for what is burnt.
    assert expected(settings, 8).loss_per_forgery == 5 * REQUEST_FEE_PER_OPERATOR / TOKEN


@pytest.mark.slow
@pytest.mark.parametrize("percent", [20, 60])
def test_the_simulation_is_as_chance_says(percent: int) -> None:
    mix = {Behaviour.HONEST: 100 - percent, Behaviour.COLLUDING: percent}
    settings = Settings(operators=20, models=1, tasks=1500, mix=mix, error=0.05)
    result, chance = World(settings).run(), expected(settings, 20 * percent // 100)
    deviation = (chance.forged * (1 - chance.forged) / settings.tasks) ** 0.5
    assert abs(result.share(Outcome.FORGED) - chance.forged) < 3 * deviation
    assert abs(result.share(Outcome.RIGHT) - chance.right) < 3 * deviation + 0.005
    assert chance.loss_per_forgery is not None
    loss = result.cartel_loss() / result.outcomes[Outcome.FORGED] / TOKEN
    assert loss == pytest.approx(chance.loss_per_forgery, rel=0.3)


def test_quorums_give_way_as_more_are_dishonest() -> None:
    points = sweep(replace(SMALL, tasks=640))
    first, last = points[0], points[-1]
    assert (first.percent, first.members, last.percent, last.members) == (0, 0, 80, 16)
    for right in (
        [point.apart.share(Outcome.RIGHT) for point in points],
        [point.cartel.share(Outcome.RIGHT) for point in points],
    ):
        assert right[0] == 1
        assert right[-1] < right[4] < 1
    assert first.loss_per_forgery is None
    losses = [loss for point in points[2:] if (loss := point.loss_per_forgery) is not None]
    assert len(losses) > 4
    assert losses[-1] < losses[0]


# --- settings ---


def test_everybody_behaves_somehow() -> None:
    counts = Settings(operators=101, models=1).counts()
    assert sum(counts.values()) == 101
    assert counts[Behaviour.HONEST] == 65
    assert all(counts.values())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tasks": 0}, "the number of tasks"),
        ({"models": 0}, "one or more for each model"),
        ({"models": 61}, "one or more for each model"),
        ({"n": 2}, "n is 3 to 256"),
        ({"threshold": 2}, "the threshold for 5 operators is 3 to 5"),
        ({"models": 10}, "6 operators for a model are too few: a task for 5 needs 7"),
        ({"mix": {Behaviour.HONEST: 0}}, "a mix has weights"),
        ({"mix": {Behaviour.HONEST: 2, Behaviour.LAZY: -1}}, "a mix has weights"),
        ({"mix": {}}, "a mix has weights"),
        ({"stake": TOKEN - 1}, "the stake is 1 to"),
        ({"reward": -1}, "amounts are 0 to"),
        ({"error": 1.5}, "shares are 0 to 1"),
        ({"guessable": float("nan")}, "shares are 0 to 1"),
        ({"cooldown": 59}, "the cooldown is at least 60 heights"),
    ],
)
def test_what_cannot_be_played_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(SMALL, **changes)
