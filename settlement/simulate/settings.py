"""What a simulation is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from pygenvm.settlement.engine.tasks import required_margin
from pygenvm.settlement.types.constants import MAX_N, MIN_N, MIN_PROVIDER_BOND, UNBOND_COOLDOWN_BLOCKS
from pygenvm.settlement.types.words import MAX_U64

#: Base units of one token, as the constants of the engine count.
TOKEN: Final = 10**18

_OPERATORS_MAX: Final = 100_000
_TASKS_MAX: Final = 1_000_000
_TOKENS_MAX: Final = 10**6 * TOKEN


class Behaviour(Enum):
    """What an operator does when it is drawn."""

    HONEST = "honest"
    LAZY = "lazy"
    WITHHOLDING = "withholding"
    COPYING = "copying"
    DISSENTING = "dissenting"
    COLLUDING = "colluding"
    FLAPPING = "flapping"


#: One sentence on each, for help and plots.
MEANINGS: Final[Mapping[Behaviour, str]] = {
    Behaviour.HONEST: "runs the model and says what came out",
    Behaviour.LAZY: "does not run it and says what most would guess",
    Behaviour.WITHHOLDING: "commits and never reveals",
    Behaviour.COPYING: "commits to another's commit and repeats its reveal",
    Behaviour.DISSENTING: "reveals an output of its own",
    Behaviour.COLLUDING: "forges with its cartel where that is a quorum, and is honest elsewhere",
    Behaviour.FLAPPING: "comes and goes: some draws it answers with a commit and its resignation",
}

DEFAULT_MIX: Final[Mapping[Behaviour, int]] = {
    Behaviour.HONEST: 64,
    Behaviour.LAZY: 8,
    Behaviour.WITHHOLDING: 4,
    Behaviour.COPYING: 4,
    Behaviour.DISSENTING: 6,
    Behaviour.COLLUDING: 10,
    Behaviour.FLAPPING: 4,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """One population and its work. ``ValueError`` for what the engine would only refuse.

    :param models: operators are divided evenly among so many models; each task is for one of them.
    :param mix: weights.
    :param reward: base units for each operator that agreed.
    :param stake: base units that an operator registers with.
    :param work_cost: base units that running the model once costs an operator, outside of the ledger.
    :param error: share of runs whose output differs from that of the others, without intent.
    :param guessable: share of tasks whose output is what one would guess.
    """

    operators: int = 2000
    tasks: int = 2000
    models: int = 25
    n: int = 5
    threshold: int = 3
    mix: Mapping[Behaviour, int] = field(default_factory=lambda: DEFAULT_MIX)
    reward: int = TOKEN // 10
    stake: int = 3 * TOKEN // 2
    work_cost: int = TOKEN // 50
    error: float = 0.02
    guessable: float = 0.2
    cooldown: int = UNBOND_COOLDOWN_BLOCKS
    seed: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.tasks <= _TASKS_MAX:
            raise ValueError(f"the number of tasks is 1 to {_TASKS_MAX}")
        if not 1 <= self.models <= self.operators <= _OPERATORS_MAX:
            raise ValueError(f"there are at most {_OPERATORS_MAX} operators, and one or more for each model")
        if not MIN_N <= self.n <= MAX_N:
            raise ValueError(f"n is {MIN_N} to {MAX_N}")
        if not self.n // 2 + 1 <= self.threshold <= self.n:
            raise ValueError(f"the threshold for {self.n} operators is {self.n // 2 + 1} to {self.n}")
        if self.pool < (least := self.n + required_margin(self.n)):
            raise ValueError(f"{self.pool} operators for a model are too few: a task for {self.n} needs {least}")
        if not any(self.mix.values()) or min(self.mix.values()) < 0:
            raise ValueError("a mix has weights of 0 and more, and not only zeros")
        if not MIN_PROVIDER_BOND <= self.stake <= _TOKENS_MAX:
            raise ValueError("the stake is 1 to 1000000 tokens")
        if not all(0 <= amount <= _TOKENS_MAX for amount in (self.reward, self.work_cost)):
            raise ValueError("amounts are 0 to 1000000 tokens")
        if not all(0 <= share <= 1 for share in (self.error, self.guessable)):
            raise ValueError("shares are 0 to 1")
        if not UNBOND_COOLDOWN_BLOCKS <= self.cooldown <= MAX_U64:
            raise ValueError(f"the cooldown is at least {UNBOND_COOLDOWN_BLOCKS} heights")

    @property
    def pool(self) -> int:
        """Operators of the smallest model."""
        return self.operators // self.models

    def counts(self) -> dict[Behaviour, int]:
        """How many operators behave how: by weight, what is left over to the largest remainders."""
        whole = sum(self.mix.values())
        shares = {behaviour: divmod(self.operators * self.mix.get(behaviour, 0), whole) for behaviour in Behaviour}
        counts = {behaviour: share for behaviour, (share, _) in shares.items()}
        by_rest = sorted(Behaviour, key=lambda behaviour: -shares[behaviour][1])
        for behaviour in by_rest[: self.operators - sum(counts.values())]:
            counts[behaviour] += 1
        return counts
