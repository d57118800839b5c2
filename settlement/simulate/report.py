"""What a simulation found, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from pygenvm.settlement.simulate.results import Outcome, Result
from pygenvm.settlement.simulate.settings import TOKEN, Behaviour, Settings
from pygenvm.settlement.simulate.sweep import Point, expected


def as_json(settings: Settings, result: Result, points: Sequence[Point]) -> str:
    """The same text for the same settings, on any machine."""
    told = {
        "operators": settings.operators,
        "tasks": settings.tasks,
        "models": settings.models,
        "n": settings.n,
        "threshold": settings.threshold,
        "mix": {behaviour.value: weight for behaviour, weight in settings.mix.items()},
        "reward": str(settings.reward),
        "stake": str(settings.stake),
        "workCost": str(settings.work_cost),
        "error": settings.error,
        "guessable": settings.guessable,
        "cooldown": settings.cooldown,
        "seed": settings.seed,
    }
    return json.dumps({"settings": told, **result.to_json(), "sweep": [point.to_json() for point in points]}, indent=2)


def print_tables(console: Console, settings: Settings, result: Result, points: Sequence[Point]) -> None:
    behaviours = _table("behaviour", "operators", "draws", "paid", "slashed", "income", "work", "net", "left")
    for behaviour in Behaviour:
        one = result.behaved[behaviour]
        if not one.operators:
            continue
        behaviours.add_row(
            behaviour.value,
            str(one.operators),
            str(one.draws),
            str(one.wins),
            f"{one.slashed / TOKEN:.1f}",
            f"{one.per_draw(one.income) / TOKEN:+.4f}",
            f"{one.per_draw(one.work) / TOKEN:.4f}",
            f"{one.per_draw(one.income - one.work) / TOKEN:+.4f}",
            str(one.eligible),
        )
    console.print(behaviours)
    console.print(
        "Tokens; income, work (what running the model costs) and net for each draw. Left: eligible at the end."
    )
    console.print()
    outcomes = ", ".join(
        f"{count} {outcome.value} ({100 * result.share(outcome):.1f} %)"
        for outcome, count in result.outcomes.items()
        if count or outcome in (Outcome.RIGHT, Outcome.NO_QUORUM)
    )
    console.print(f"Tasks: {outcomes}.")
    slashed = sum(one.slashed for one in result.behaved.values())
    console.print(
        f"Requesters spent {result.spent / TOKEN:.2f}, of that {result.burnt / TOKEN:.2f} were burnt; "
        f"{slashed / TOKEN:.2f} of stake were slashed."
    )
    if result.refused:
        refused = ", ".join(f"{name} {count}" for name, count in sorted(result.refused.items()))
        console.print(f"The engine refused: {refused}.")
    console.print(
        f"Conservation held after each of {result.steps} steps and in {result.recounts} counts of everything:"
        f" {result.total / TOKEN:g} tokens."
    )
    console.print()
    shares = _table("dishonest", "alone", "right", "chance", "forged", "chance", "cost", "chance")
    for point in points:
        chance = expected(settings, point.members)
        shares.add_row(
            f"{point.percent} %",
            _percent(point.apart.share(Outcome.RIGHT)),
            _percent(point.cartel.share(Outcome.RIGHT)),
            _percent(chance.right),
            _percent(point.cartel.share(Outcome.FORGED)),
            _percent(chance.forged),
            _tokens(point.loss_per_forgery),
            _tokens(chance.loss_per_forgery),
        )
    console.print(shares)
    console.print("Alone: right answers where each of the dishonest cheats for itself.")
    console.print("The rest: they are one cartel that also asks, and a forgery costs it so many tokens.")


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for position, title in enumerate(titles):
        table.add_column(title, justify="right" if position else "left", no_wrap=True)
    return table


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _tokens(amount: float | None) -> str:
    if amount is None:
        return ""
    return f"{amount:.2f}" if amount < 1e6 else f"{amount:.1e}"
