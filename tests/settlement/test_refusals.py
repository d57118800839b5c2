"""Everything that the engine refuses, by its name; a refused operation has written nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from pygenvm.settlement.codec.hashes import commit_hash, draw
from pygenvm.settlement.codec.intent import Intent
from pygenvm.settlement.engine.engine import Engine
from pygenvm.settlement.state import slots
from pygenvm.settlement.types.constants import BURN_ADDRESS, ESCROW_ACCOUNT, MAX_HEIGHT
from pygenvm.settlement.types.errors import QuorumError, Refusal
from pygenvm.settlement.types.words import MAX_U256, ZERO, Address, Hash
from tests.docs.citations import SPEC as SPEC_FOLDER
from tests.settlement.engines import ENDPOINTS, OPERATORS, PROMPT, SPEC, empty_engine, intent, new_engine
from tests.settlement.vectors import account, word

ETHER = 10**18
REQUESTER, STRANGER = account(0xF0), account(0xF1)
OUTPUT, EMBEDDING, NONCE = word(0x42), word(1), word(2)
_SEEN: set[Refusal] = set()


@pytest.fixture
def engine() -> Engine:
    made = new_engine(8, funds=3 * ETHER, stake=2 * ETHER)
    made.fund({REQUESTER: 100 * ETHER, STRANGER: 3 * ETHER})
    return made


@contextmanager
def refused(engine: Engine, name: str) -> Iterator[None]:
    """Exactly this refusal, and nothing is different afterwards."""
    before = dict(engine.state.staging.items(b""))
    with pytest.raises(QuorumError) as caught:
        yield
    assert caught.value.name == name
    assert str(caught.value) == "aivm/quorum: " + Refusal[name].value
    assert dict(engine.state.staging.items(b"")) == before
    _SEEN.add(caught.value.refusal)


def begun(engine: Engine, **members: int) -> tuple[Hash, list[Address]]:
    task = engine.import_intent(intent(REQUESTER, **members), 100)
    return task, engine.selection(task)


def sealed(task: Hash, operator: Address, output: Hash = OUTPUT) -> Hash:
    return commit_hash(task, SPEC, PROMPT, output, EMBEDDING, operator, NONCE)


def test_names_and_texts_are_those_of_the_specification() -> None:
    text = (SPEC_FOLDER / "settlement" / "01-quorum-engine.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| (Err\w+) \| (.+) \|$", text, re.MULTILINE))
    table = {name: said for name, said in table.items() if name in Refusal.__members__}
    ours = {"ErrReservedAccount"}
    assert {refusal.name: refusal.value for refusal in Refusal if refusal.name not in ours} == table
    assert len(table) == 40


def test_register(engine: Engine) -> None:
    with refused(engine, "ErrEmptyModelSpec"):
        engine.register(STRANGER, 0, ZERO, ZERO)
    with refused(engine, "ErrStakeBelowMin"):
        engine.register(OPERATORS[0], ETHER - 1, SPEC, ZERO)
    with refused(engine, "ErrOperatorExists"):
        engine.register(OPERATORS[0], ETHER, SPEC, ZERO)
    engine.deregister(OPERATORS[0], 1)
    with refused(engine, "ErrOperatorExists"):
        engine.register(OPERATORS[0], ETHER, SPEC, ZERO)
    with refused(engine, "ErrInsufficientFunds"):
        engine.register(STRANGER, 4 * ETHER, SPEC, ZERO)


def test_leaving(engine: Engine) -> None:
    with refused(engine, "ErrOperatorUnknown"):
        engine.deregister(STRANGER, 1)
    with refused(engine, "ErrOperatorUnknown"):
        engine.withdraw_stake(STRANGER, 1)
    with refused(engine, "ErrOperatorUnbonding"):
        engine.withdraw_stake(OPERATORS[0], 1)
    engine.deregister(OPERATORS[0], 10)
    with refused(engine, "ErrOperatorUnbonding"):
        engine.deregister(OPERATORS[0], 10)
    with refused(engine, "ErrCooldownActive"):
        engine.withdraw_stake(OPERATORS[0], 69)
    assert engine.withdraw_stake(OPERATORS[0], 70) == 2 * ETHER
    with refused(engine, "ErrNoCredit"):
        engine.withdraw_rewards(OPERATORS[0])


def test_who_comes_back_has_its_old_place(engine: Engine) -> None:
    engine.deregister(OPERATORS[0], 10)
    engine.withdraw_stake(OPERATORS[0], 70)
    assert engine.eligible(SPEC) == OPERATORS[1:8]
    engine.register(OPERATORS[0], ETHER, word(0xAC), ENDPOINTS[0])
    assert (engine.eligible(SPEC), engine.eligible(word(0xAC))) == (OPERATORS[1:8], OPERATORS[:1])
    engine.deregister(OPERATORS[0], 80)
    engine.withdraw_stake(OPERATORS[0], 140)
    engine.register(OPERATORS[0], ETHER, SPEC, ENDPOINTS[0])
    assert (engine.eligible(SPEC), engine.eligible(word(0xAC))) == (OPERATORS[:8], [])


def test_a_longer_cooldown_keeps_the_stake_until_tasks_are_settled() -> None:
    engine = empty_engine(cooldown=61)
    engine.fund({STRANGER: ETHER})
    engine.register(STRANGER, ETHER, SPEC, ZERO)
    engine.deregister(STRANGER, 100)
    with refused(engine, "ErrCooldownActive"):
        engine.withdraw_stake(STRANGER, 160)
    assert engine.withdraw_stake(STRANGER, 161) == ETHER
    with pytest.raises(ValueError, match="cooldown"):
        empty_engine(cooldown=59)


def _with(change: Callable[[Intent], Intent]) -> Intent:
    return change(intent(REQUESTER))


FORGED = {
    "ErrIntentNilAmount": [intent(REQUESTER, fee=None), intent(REQUESTER, reward=None)],
    "ErrIntentIDMismatch": [
        replace(intent(REQUESTER), intent_id=word(1)),
        replace(intent(REQUESTER), c_chain_id=word(1)),
        replace(intent(REQUESTER), a_chain_id=word(1)),
        replace(intent(REQUESTER), caller=STRANGER),
        replace(intent(REQUESTER), fee=2),
        replace(intent(REQUESTER), n=3),
    ],
    "ErrBadN": [intent(REQUESTER, n=2, threshold=2), intent(REQUESTER, n=257, threshold=129)],
    "ErrBadThreshold": [intent(REQUESTER, threshold=2), intent(REQUESTER, threshold=6)],
    "ErrRewardOverflow": [intent(REQUESTER, reward=MAX_U256), intent(REQUESTER, reward=MAX_U256 // 5)],
    "ErrNotEnoughEligible": [intent(REQUESTER, n=9, threshold=5)],
    "ErrEligibleBelowMargin": [intent(REQUESTER, n=7, threshold=4)],
    "ErrInsufficientFunds": [intent(REQUESTER, reward=20 * ETHER), intent(account(0x99))],
    "ErrReservedAccount": [intent(ESCROW_ACCOUNT), intent(BURN_ADDRESS)],
}


@pytest.mark.parametrize(("name", "bad"), [(name, one) for name, several in FORGED.items() for one in several])
def test_intents(engine: Engine, name: str, bad: Intent) -> None:
    with refused(engine, name):
        engine.import_intent(bad, 100)


def test_intents_without_model_or_prompt(engine: Engine) -> None:
    asked = intent(REQUESTER)
    for bad, name in (
        (replace(asked, model_spec_hash=ZERO), "ErrEmptyModelSpec"),
        (replace(asked, prompt_hash=ZERO), "ErrEmptyPromptHash"),
    ):
        with refused(engine, name):
            engine.import_intent(replace(bad, intent_id=bad.computed_id()), 100)


def test_intents_that_nobody_committed_to(engine: Engine) -> None:
    def rejects(_: Intent) -> None:
        raise RuntimeError("no such transaction")

    c_chain, a_chain = engine.chains
    by_default = Engine(engine.state, c_chain_id=c_chain, a_chain_id=a_chain)
    rejecting = Engine(engine.state, c_chain_id=c_chain, a_chain_id=a_chain, verifier=rejects)
    for strict in (by_default, rejecting):
        with refused(strict, "ErrIntentNotCommitted"):
            strict.import_intent(intent(REQUESTER), 100)


def test_replay(engine: Engine) -> None:
    with refused(engine, "ErrInsufficientFunds"):
        engine.import_intent(intent(REQUESTER, reward=50 * ETHER), 100)
    # What failed may come again, here with another reward, which is not part of the id.
    engine.import_intent(intent(REQUESTER), 100)
    with refused(engine, "ErrIntentAlreadyUsed"):
        engine.import_intent(intent(REQUESTER), 101)


def test_the_margin_counts_who_is_eligible(engine: Engine) -> None:
    engine.deregister(OPERATORS[0], 1)
    engine.import_intent(intent(REQUESTER), 100)
    engine.deregister(OPERATORS[1], 1)
    with refused(engine, "ErrEligibleBelowMargin"):
        engine.import_intent(intent(REQUESTER, c_tx=2), 100)
    for operator in OPERATORS[2:4]:
        engine.deregister(operator, 1)
    with refused(engine, "ErrNotEnoughEligible"):
        engine.import_intent(intent(REQUESTER, c_tx=2), 100)
    with pytest.raises(QuorumError, match="fewer eligible"):
        draw(engine.eligible(SPEC), ZERO, 5)


def test_commits(engine: Engine) -> None:
    task, selected = begun(engine)
    operator, outsider = selected[0], next(one for one in OPERATORS if one not in selected)
    with refused(engine, "ErrEmptyCommit"):
        engine.commit(task, operator, ZERO, 100)
    with refused(engine, "ErrTaskUnknown"):
        engine.commit(word(1), operator, word(1), 100)
    with refused(engine, "ErrCommitClosed"):
        engine.commit(task, operator, word(1), 131)
    with refused(engine, "ErrNotSelected"):
        engine.commit(task, outsider, word(1), 130)
    engine.commit(task, operator, word(1), 130)
    with refused(engine, "ErrAlreadyCommitted"):
        engine.commit(task, operator, word(2), 130)
    engine.settle(task, 161)
    with refused(engine, "ErrTaskNotCommitting"):
        engine.commit(task, selected[1], word(1), 130)


def test_reveals(engine: Engine) -> None:
    task, selected = begun(engine)
    operator, thief, late = selected[:3]
    engine.commit(task, operator, sealed(task, operator), 100)
    # A copy of what another has committed to.
    engine.commit(task, thief, sealed(task, operator), 100)
    engine.commit(task, late, sealed(task, late), 100)
    with refused(engine, "ErrEmptyOutputHash"):
        engine.reveal(task, operator, ZERO, EMBEDDING, NONCE, 131)
    with refused(engine, "ErrTaskUnknown"):
        engine.reveal(word(1), operator, OUTPUT, EMBEDDING, NONCE, 131)
    with refused(engine, "ErrRevealNotOpen"):
        engine.reveal(task, operator, OUTPUT, EMBEDDING, NONCE, 130)
    with refused(engine, "ErrRevealClosed"):
        engine.reveal(task, operator, OUTPUT, EMBEDDING, NONCE, 161)
    with refused(engine, "ErrNotCommitted"):
        engine.reveal(task, selected[3], OUTPUT, EMBEDDING, NONCE, 131)
    for bad in ((word(9), EMBEDDING, NONCE), (OUTPUT, word(9), NONCE), (OUTPUT, EMBEDDING, word(9))):
        with refused(engine, "ErrCommitMismatch"):
            engine.reveal(task, operator, *bad, 131)
    engine.reveal(task, operator, OUTPUT, EMBEDDING, NONCE, 131)
    with refused(engine, "ErrCommitMismatch"):
        engine.reveal(task, thief, OUTPUT, EMBEDDING, NONCE, 131)
    with refused(engine, "ErrAlreadyRevealed"):
        engine.reveal(task, operator, OUTPUT, EMBEDDING, NONCE, 131)
    engine.settle(task, 161)
    with refused(engine, "ErrTaskNotCommitting"):
        engine.reveal(task, late, OUTPUT, EMBEDDING, NONCE, 160)


def test_settling(engine: Engine) -> None:
    task, _ = begun(engine)
    with refused(engine, "ErrSettleTooEarly"):
        engine.settle(task, 160)
    with refused(engine, "ErrTaskUnknown"):
        engine.settle(word(1), 161)
    engine.settle(task, 161)
    with refused(engine, "ErrTaskAlreadySettled"):
        engine.settle(task, 161)


def test_a_task_without_any_reveal_fails_and_slashes_nobody(engine: Engine) -> None:
    task, _ = begun(engine, reward=ETHER)
    done = engine.settle(task, 161)
    assert (done.receipt.status, done.winners, done.slashed) == (3, (), 0)
    assert engine.credit(REQUESTER) == 5 * ETHER


def test_a_broken_invariant_stops_the_settlement(engine: Engine) -> None:
    task, selected = begun(engine, reward=ETHER)
    for operator in selected:
        engine.commit(task, operator, sealed(task, operator), 100)
    for operator in selected:
        engine.reveal(task, operator, OUTPUT, EMBEDDING, NONCE, 131)
    engine.state.set_number(slots.task_escrow(task), 4 * ETHER)
    with refused(engine, "ErrEscrowUnderflow"):
        engine.settle(task, 161)
    engine.state.set_number(slots.task_reward(task), MAX_U256)
    with refused(engine, "ErrEscrowUnderflow"):
        engine.settle(task, 161)
    engine.state.set_number(slots.task_reward(task), ETHER)
    engine.state.set_number(slots.task_escrow(task), 5 * ETHER)
    engine.state.set_number(slots.credit(selected[4]), MAX_U256)
    with refused(engine, "ErrCreditOverflow"):
        engine.settle(task, 161)
    # One that cannot be settled stands in nobody's way when others fall due.
    other, _ = begun(engine, c_tx=2)
    assert [done.receipt.task_id for done in engine.settle_due(161)] == [other]
    engine.state.set_number(slots.credit(selected[4]), 0)
    assert engine.settle(task, 161).receipt.status == 2


def test_overflowing_balances(engine: Engine) -> None:
    with refused(engine, "ErrCreditOverflow"):
        engine.fund({account(1): 1, STRANGER: MAX_U256 - 3 * ETHER + 1})
    engine.state.set_balance(ESCROW_ACCOUNT, MAX_U256)
    with refused(engine, "ErrStakeOverflow"):
        engine.register(STRANGER, ETHER, SPEC, ZERO)
    with refused(engine, "ErrStakeOverflow"):
        engine.import_intent(intent(REQUESTER), 100)
    engine.state.set_balance(ESCROW_ACCOUNT, 0)
    engine.state.set_number(slots.credit(STRANGER), 5)
    with refused(engine, "ErrEscrowUnderflow"):
        engine.withdraw_rewards(STRANGER)
    engine.deregister(OPERATORS[0], 1)
    with refused(engine, "ErrEscrowUnderflow"):
        engine.withdraw_stake(OPERATORS[0], 61)
    engine.state.set_balance(ESCROW_ACCOUNT, 5)
    engine.state.set_balance(STRANGER, MAX_U256)
    with refused(engine, "ErrCreditOverflow"):
        engine.withdraw_rewards(STRANGER)
    engine.state.set_balance(BURN_ADDRESS, MAX_U256)
    with refused(engine, "ErrCreditOverflow"):
        engine.import_intent(intent(REQUESTER), 100)


@pytest.mark.parametrize("reserved", [ESCROW_ACCOUNT, BURN_ADDRESS])
def test_reserved_accounts_do_nothing(engine: Engine, reserved: Address) -> None:
    task, _ = begun(engine)
    engine.state.set_number(slots.credit(reserved), 1)
    for act in (
        lambda: engine.register(reserved, ETHER, SPEC, ZERO),
        lambda: engine.deregister(reserved, 1),
        lambda: engine.withdraw_stake(reserved, 1000),
        lambda: engine.withdraw_rewards(reserved),
        lambda: engine.commit(task, reserved, word(1), 100),
        lambda: engine.reveal(task, reserved, OUTPUT, EMBEDDING, NONCE, 131),
    ):
        with refused(engine, "ErrReservedAccount"):
            act()


def test_exports(engine: Engine) -> None:
    asked = intent(REQUESTER)
    for unknown in (asked.intent_id, word(1)):
        with refused(engine, "ErrReceiptNotFound"):
            engine.export_receipt(unknown)
    task = engine.import_intent(asked, 100)
    with refused(engine, "ErrReceiptNotFound"):
        engine.export_receipt(asked.intent_id)
    engine.settle(task, 161)
    assert engine.export_receipt(asked.intent_id).receipt.task_id == task
    with refused(engine, "ErrProofOutOfRange"):
        engine.receipt_proof(1)
    engine.state.set_number(slots.intent_receipt(asked.intent_id), 5)
    with refused(engine, "ErrProofOutOfRange"):
        engine.export_receipt(asked.intent_id)
    engine.state.set_word(slots.intent_task(asked.intent_id), word(1))
    with refused(engine, "ErrTaskUnknown"):
        engine.export_receipt(asked.intent_id)


def test_wrong_widths_are_no_requests(engine: Engine) -> None:
    task, selected = begun(engine)
    for act in (
        lambda: engine.commit(Hash(task[1:]), selected[0], word(1), 100),
        lambda: engine.commit(task, Address(selected[0][1:]), word(1), 100),
        lambda: engine.commit(task, selected[0], Hash(b"\x01"), 100),
        lambda: engine.commit(task, selected[0], word(1), -1),
        lambda: engine.commit(task, selected[0], word(1), MAX_HEIGHT + 1),
        lambda: engine.register(STRANGER, MAX_U256 + 1, SPEC, ZERO),
        lambda: engine.register(STRANGER, -1, SPEC, ZERO),
        lambda: engine.register(STRANGER, True, SPEC, ZERO),
        lambda: engine.fund({STRANGER: -1}),
        lambda: intent(REQUESTER, reward=MAX_U256 + 1),
        lambda: intent(REQUESTER, n=1 << 16),
        lambda: intent(Address(b"")),
    ):
        with pytest.raises(ValueError, match="is not"):
            act()


def test_the_last_height(engine: Engine) -> None:
    task = engine.import_intent(intent(REQUESTER), MAX_HEIGHT)
    assert engine.task(task).reveal_deadline == (1 << 64) - 2


def test_no_refusal_is_untested() -> None:
    """The last test of the file: what the others have seen, and what no call of ours can run into."""
    if not _SEEN:
        pytest.skip("needs the other tests of this file")
    elsewhere = {
        Refusal.ErrReceiptRootMismatch,  # a block's
        Refusal.ErrLedgerNotFundable,  # there is one kind of ledger
        Refusal.ErrFeeOverflow,  # unreachable for N of 16 bits
    }
    assert set(Refusal) - _SEEN - elsewhere == set()
