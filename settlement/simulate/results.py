"""What a simulation found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pygenvm.settlement.simulate.settings import Behaviour
from pygenvm.settlement.types.words import Hash


class Outcome(Enum):
    """What a task came to, seen by somebody who knows what the model says."""

    RIGHT = "right"
    #: The canonical output is the cartel's.
    FORGED = "forged"
    #: It is what one would guess, and wrong.
    GUESSED = "guessed"
    NO_QUORUM = "no quorum"
    #: There were too few eligible operators to ask.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Behaved:
    """The operators of one behaviour together; amounts in base units."""

    operators: int
    draws: int
    runs: int
    #: Tasks they were paid for.
    wins: int
    slashed: int
    #: What they own at the end less what they were given, by the engine's accounts.
    income: int
    #: What running the model cost them, which no ledger sees.
    work: int
    #: Who could still be drawn at the end.
    eligible: int

    def per_draw(self, amount: int) -> float:
        return amount / self.draws if self.draws else 0.0

    def to_json(self) -> dict[str, Any]:
        amounts = {"slashed": self.slashed, "income": self.income, "work": self.work}
        counts = {"draws": self.draws, "runs": self.runs, "wins": self.wins, "eligible": self.eligible}
        return {"operators": self.operators, **counts, **{name: str(amount) for name, amount in amounts.items()}}


@dataclass(frozen=True, slots=True)
class Result:
    """One population at the end of its tasks."""

    outcomes: Mapping[Outcome, int]
    behaved: Mapping[Behaviour, Behaved]
    #: Calls that the engine refused, by the name of the error.
    refused: Mapping[str, int]
    #: What requesters gave away, fees and rewards, in base units.
    spent: int
    burnt: int
    heights: int
    steps: int
    recounts: int
    total: int
    receipts: int
    receipt_root: Hash

    def share(self, outcome: Outcome) -> float:
        """Of all tasks."""
        return self.outcomes[outcome] / sum(self.outcomes.values())

    def cartel_loss(self) -> int:
        """What the cartel has paid for its forgeries if the requesters belong to it too, in base units."""
        return self.spent - self.behaved[Behaviour.COLLUDING].income

    def to_json(self) -> dict[str, Any]:
        """Amounts are decimal texts of base units, since they do not fit every reader's numbers."""
        return {
            "outcomes": {outcome.value: count for outcome, count in self.outcomes.items()},
            "behaviours": {behaviour.value: one.to_json() for behaviour, one in self.behaved.items()},
            "refused": dict(sorted(self.refused.items())),
            "spent": str(self.spent),
            "burnt": str(self.burnt),
            "heights": self.heights,
            "conservation": {"steps": self.steps, "recounts": self.recounts, "total": str(self.total)},
            "receipts": self.receipts,
            "receiptRoot": "0x" + self.receipt_root.hex(),
        }
