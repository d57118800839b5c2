"""The same with a growing share of dishonest operators: how long the quorum holds, and what forging it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import comb
from typing import Any, Final

from pygenvm.settlement.simulate.results import Outcome, Result
from pygenvm.settlement.simulate.settings import TOKEN, Behaviour, Settings
from pygenvm.settlement.simulate.world import World
from pygenvm.settlement.types.constants import REQUEST_FEE_PER_OPERATOR

#: Shares of dishonest operators, in percent.
SHARES: Final = tuple(range(0, 90, 10))
#: A point plays this part of the tasks of the main population.
_TASKS_DIVISOR: Final = 16
_TASKS_MIN: Final = 20


@dataclass(frozen=True, slots=True)
class Point:
    """One share of dishonest operators: each on its own account, or all in one cartel that also asks."""

    percent: int
    apart: Result
    cartel: Result

    @property
    def members(self) -> int:
        """Operators of the cartel."""
        return self.cartel.behaved[Behaviour.COLLUDING].operators

    @property
    def cartel_share(self) -> float:
        """Theirs among all: the percentage, down to whole operators."""
        return self.members / sum(one.operators for one in self.cartel.behaved.values())

    @property
    def loss_per_forgery(self) -> float | None:
        """Tokens that the cartel is poorer by for each forgery; none without any."""
        forged = self.cartel.outcomes[Outcome.FORGED]
        return self.cartel.cartel_loss() / forged / TOKEN if forged else None

    def to_json(self) -> dict[str, Any]:
        return {
            "dishonestPercent": self.percent,
            "apart": {outcome.value: count for outcome, count in self.apart.outcomes.items()},
            "cartelOperators": self.members,
            "cartel": {outcome.value: count for outcome, count in self.cartel.outcomes.items()},
            "cartelLoss": str(self.cartel.cartel_loss()),
        }


@dataclass(frozen=True, slots=True)
class Expected:
    """What chance says of a cartel; the simulation has to come near."""

    share: float
    right: float
    forged: float
    #: Tokens; none where no draw can be forged.
    loss_per_forgery: float | None
    #: Tokens that all members keep locked.
    locked: float


def tasks_in_all(settings: Settings) -> int:
    """How many tasks :func:`sweep` plays."""
    return 2 * len(SHARES) * _tasks(settings)


def sweep(settings: Settings, progress: Callable[[int], None] | None = None) -> list[Point]:
    """Populations of one model each. ``progress`` as for :meth:`settlement.simulate.world.World.run`."""
    one = replace(settings, operators=settings.pool, models=1, tasks=_tasks(settings))
    points = []
    for percent in SHARES:
        apart = replace(one, mix=_apart(settings, percent))
        members = one.operators * percent // 100
        cartel = replace(one, mix={Behaviour.HONEST: one.operators - members, Behaviour.COLLUDING: members})
        points.append(
            Point(
                percent,
                World(apart, f"apart/{percent}").run(progress),
                World(cartel, f"cartel/{percent}").run(progress),
            )
        )
    return points


def _tasks(settings: Settings) -> int:
    return max(_TASKS_MIN, settings.tasks // _TASKS_DIVISOR)


def _apart(settings: Settings, percent: int) -> dict[Behaviour, int]:
    """The dishonest ones of the mix but for the cartel, in their proportions."""
    others = [behaviour for behaviour in Behaviour if behaviour not in (Behaviour.HONEST, Behaviour.COLLUDING)]
    weights = {behaviour: settings.mix.get(behaviour, 0) for behaviour in others}
    if not any(weights.values()):
        weights = dict.fromkeys(others, 1)
    mix = {behaviour: weight * percent for behaviour, weight in weights.items()}
    return {Behaviour.HONEST: sum(weights.values()) * (100 - percent), **mix}


def expected(settings: Settings, members: int) -> Expected:
    """Of a cartel with so many members among the operators of one model, that forges where it is a quorum.

    Draws are without replacement, so the number of members in one is hypergeometric; how many of the others' runs
    come out alike is binomial.
    """
    pool, n, threshold = settings.pool, settings.n, settings.threshold
    drawn = [comb(members, k) * comb(pool - members, n - k) / comb(pool, n) for k in range(n + 1)]
    same = 1 - settings.error
    agree = [comb(n, k) * same**k * settings.error ** (n - k) for k in range(n + 1)]
    forged, agreed = sum(drawn[threshold:]), sum(agree[threshold:])
    winners = sum(k * agree[k] for k in range(threshold, n + 1))
    # Who wins is anyone of the draw, and rewards of members stay in the cartel.
    outsiders = sum(drawn[k] * winners * (n - k) / n for k in range(threshold))
    loss = (n * REQUEST_FEE_PER_OPERATOR + settings.reward * outsiders) / TOKEN
    return Expected(
        share=members / pool,
        right=agreed * (1 - forged),
        forged=forged,
        loss_per_forgery=loss / forged if forged else None,
        locked=members * settings.stake / TOKEN,
    )
