"""Why validators vote as they do, in words and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pygenvm.executor.outcome import InternalError, Outcome, Return
from pygenvm.executor.primitives import calldata
from pygenvm.executor.terminal_text import one_line
from pygenvm.localnet.chain.explain import explain
from pygenvm.localnet.chain.hints import Explanation
from pygenvm.localnet.chain.model import (
    Node,
    Receipt,
    Round,
    SettledRound,
    Settlement,
    Told,
    Vote,
    Word,
    outcome_from_bytes,
)
from pygenvm.localnet.failure import error_text
from pygenvm.localnet.values import to_json

AGREES, DISAGREES, NO_VERDICT = str(Word.AGREE), str(Word.DISAGREE), str(Word.NONE)
#: Why an operator does not agree whose run is not known here.
_TOLD = {
    Word.AGREE: "",
    Word.DISAGREE: "it does not accept what the leader found",
    Word.OTHER: "it revealed an output of its own",
    Word.WITHHELD: "it committed and did not reveal: slashed",
    Word.NONE: "it did not commit",
}
#: Characters of a value that a reason quotes.
_VALUE_CHARACTERS = 200

#: What a difference is called; slots and bytes are both of the storage.
_NAMES = {
    "status": "outcome",
    "outcome": "outcome",
    "events": "events",
    "messages": "messages",
    "balances": "balances",
    "slots_written": "storage",
    "bytes_written": "storage",
}

_UNDETERMINED = Explanation(
    "Validators ask the web and language models for themselves, and more than half of all nodes must agree.",
    "Let nondet blocks give only what every node finds alike, or accept what is close enough: gl.vm.run_nondet with a"
    " validator of your own, gl.eq_principle.prompt_comparative or prompt_non_comparative. Outside of nondet blocks"
    " nothing may differ between nodes.",
)
_NOT_SETTLED = Explanation(
    "Operators ask the web and language models for themselves, and as many as --threshold must accept a result.",
    _UNDETERMINED.advice,
)


def round_document(receipt: Receipt) -> dict[str, Any]:
    """Of a transaction that validators have judged."""
    round_ = receipt.round
    assert round_ is not None
    leader = {"node": round_.leader.name, "address": round_.leader.address, "vote": AGREES, "block": None, "reason": ""}
    return {
        "nodes": round_.nodes,
        "agreeing": round_.agreeing,
        "accepted": round_.accepted,
        "votes": [
            {**leader, "seconds": round(receipt.seconds, 3)},
            *(
                {
                    "node": vote.node.name,
                    "address": vote.node.address,
                    "vote": word(vote),
                    "block": vote.verdict.disagreement,
                    "reason": reason(vote, receipt),
                    "seconds": round(vote.verdict.receipt.seconds, 3),
                }
                for vote in round_.votes
            ),
        ],
    }


def settlement_document(settlement: Settlement) -> dict[str, Any]:
    """Of a transaction that operators with stake have settled. Amounts are texts, as in receipts."""
    return {
        "state": settlement.state,
        "rounds": [
            {
                "leader": {"node": round_.leader.name, "address": round_.leader.address},
                "appeal": round_.appeal,
                "decision": str(round_.decision),
                "votes": [
                    {
                        "node": node.name,
                        "address": node.address,
                        "vote": AGREES if vote is None else word(vote),
                        "block": vote.verdict.disagreement if isinstance(vote, Vote) else None,
                        "reason": "" if vote is None else reason(vote, round_.found),
                    }
                    for node, vote in settled_votes(round_)
                ],
                "intent": "0x" + round_.intent_id.hex(),
                "receipt": {**round_.receipt.to_json(), "hash": "0x" + round_.receipt.hash().hex()},
            }
            for round_ in settlement.rounds
        ],
        "operators": [
            {
                "node": node.name,
                "address": node.address,
                "balance": str(account.balance),
                "stake": str(account.stake),
                "credit": str(account.credit),
            }
            for node, account in settlement.operators
        ],
    }


def settled_votes(round_: SettledRound) -> list[tuple[Node, Vote | Told | None]]:
    """Who was drawn, and says what; None stands for the leader's own vote."""
    return [(round_.leader if vote is None else vote.node, vote) for vote in round_.votes]


def settled_summary(round_: SettledRound) -> str:
    """``4 of 5 operators agree, 3 are needed``."""
    return f"{_accepting(round_)} of {round_.receipt.n} operators agree, {round_.receipt.threshold} are needed"


def _accepting(round_: SettledRound) -> int:
    return sum(vote is None or word(vote) == AGREES for vote in round_.votes)


def undetermined_summary(receipt: Receipt) -> str:
    """How few agreed; of settled rounds, with the last leader."""
    if receipt.round is not None:
        return summary(receipt.round)
    if receipt.settlement is None:
        return ""
    rounds = receipt.settlement.rounds
    leaders = sum(not round_.appeal for round_ in rounds)
    before = "" if leaders == 1 else f"{leaders} leaders were not accepted; of the last, "
    return before + settled_summary(rounds[-1])


def word(vote: Vote | Told) -> str:
    """One of the three things that a validator can say, or what else an operator did."""
    if isinstance(vote, Told):
        return str(vote.word)
    if not vote.verdict.reached:
        return NO_VERDICT
    return AGREES if vote.verdict.agrees else DISAGREES


def reason(vote: Vote | Told, receipt: Receipt) -> str:
    """Why a validator does not agree with the leader, whose ``receipt`` it is; empty if it does."""
    if isinstance(vote, Told):
        return _TOLD[vote.word]
    verdict = vote.verdict
    own = verdict.receipt.outcome
    if verdict.agrees:
        return ""
    if not verdict.reached:
        return own.message if isinstance(own, InternalError) else error_text(own) if own else ""
    if verdict.disagreement is not None:
        number = verdict.disagreement
        return f"nondet block {number}: it does not accept the leader's result, {_claim(receipt, number)}"
    names = list(dict.fromkeys(_NAMES[name] for name in verdict.differences))
    found = f": {_shown(own)}" if "outcome" in names and own is not None else ""
    return f"outside of nondet blocks it finds another {', another '.join(names)}{found}"


def summary(round_: Round) -> str:
    """How many nodes agree."""
    return f"{round_.agreeing} of {round_.nodes} nodes agree"


def explain_undetermined(receipt: Receipt) -> Explanation:
    """Why most nodes did not agree, and what to do about it.

    Where those without a verdict would have been enough, it is what has kept them from one.
    """
    if receipt.round is not None:
        votes: Sequence[Vote | Told | None] = receipt.round.votes
        missing = receipt.round.nodes // 2 + 1 - receipt.round.agreeing
    else:
        assert receipt.settlement is not None
        last = receipt.settlement.rounds[-1]
        votes, missing = last.votes, last.receipt.threshold - _accepting(last)
    silent = [vote.verdict for vote in votes if isinstance(vote, Vote) and not vote.verdict.reached]
    if not silent or len(silent) < missing:
        return _UNDETERMINED if receipt.round is not None else _NOT_SETTLED
    known = explain(silent[0].receipt.outcome, silent[0].receipt.stderr.text()) if silent[0].receipt.outcome else None
    meaning = "A validator without a verdict does not agree, and its line says what kept it from one."
    return Explanation(*((f"{meaning} {known.meaning}", known.advice) if known else (meaning, _UNDETERMINED.advice)))


def _claim(receipt: Receipt, number: int) -> str:
    if number >= len(receipt.nondet_results):
        return "which is not there"
    return _shown(outcome_from_bytes(receipt.nondet_results[number]))


def _shown(outcome: Outcome) -> str:
    if not isinstance(outcome, Return):
        return error_text(outcome)
    try:
        text = json.dumps(to_json(calldata.decode(outcome.calldata)), ensure_ascii=False)
    except ValueError:  # a block may return any bytes
        text = f"{len(outcome.calldata)} bytes"
    return one_line(text if len(text) <= _VALUE_CHARACTERS else f"{text[:_VALUE_CHARACTERS]}…")
