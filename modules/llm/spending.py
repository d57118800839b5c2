"""What prompts cost, and how much may be spent (``price`` and ``budget`` of the configuration).

Before a call the most that it can cost is reserved, and what it did cost takes the place of that afterwards: calls at
the same time cannot spend more than there is.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pygenvm.modules.config import ConfigError
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.llm.prompt import Prompt
from pygenvm.modules.llm.providers.base import Usage
from pygenvm.modules.llm.settings import Budget, Price

_MILLION = 1_000_000
#: No tokeniser makes more tokens of a text than it has bytes; ordinary text has three to five characters for each.
_CHARS_PER_TOKEN = 3
#: What providers count for a picture, about.
_TOKENS_PER_IMAGE = 1600
_LARGEST_GEN = (1 << 53) - 1


def estimated_usage(prompt: Prompt, answer: str | None = None) -> Usage:
    """Tokens of a prompt; of the answer at most what the prompt allows."""
    chars = len(prompt.user_message) + len(prompt.system_message or "")
    tokens = chars // _CHARS_PER_TOKEN + 8 + len(prompt.images) * _TOKENS_PER_IMAGE
    return Usage(tokens, prompt.max_tokens if answer is None else len(answer) // _CHARS_PER_TOKEN + 1)


def cost_of(usage: Usage, images: int, price: Price) -> float:
    """In the currency of the price."""
    tokens = (usage.input or 0) * price.input + (usage.output or 0) * price.output
    return price.request + images * price.image + tokens / _MILLION


def gen_of(cost: float, gen_per_cost: float) -> int:
    """``consumed_gen``: whole, and in the range that hosts have (spec modules/02 §1.3)."""
    return min(math.ceil(cost * gen_per_cost), _LARGEST_GEN)


@dataclass
class Purse:
    """What one run has spent, with all of its sessions: executors open more than one when VMs wait at the same time."""

    spent: float = 0.0
    reserved: float = 0.0
    sessions: int = 0


class Treasury:
    """What all sessions have spent today (UTC), and the limits."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._day = ""
        self._spent = 0.0
        self._reserved = 0.0
        self._purses: dict[str, Purse] = {}

    def purse(self, cookie: str) -> Purse:
        """That of the run with this cookie, until as many sessions have given it back as have got it."""
        purse = self._purses.setdefault(cookie, Purse())
        purse.sessions += 1
        return purse

    def give_back(self, cookie: str) -> None:
        purse = self._purses[cookie]
        purse.sessions -= 1
        if not purse.sessions:
            del self._purses[cookie]

    def start(self) -> None:
        """:raises ConfigError: the file cannot be read: money would be spent that may be spent already."""
        if not self._budget.file:
            return
        path = Path(self._budget.file)
        try:
            if path.exists():
                document = json.loads(path.read_bytes())
                self._day, self._spent = str(document["day"]), float(document["spent"])
            self._save()
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise ConfigError(f"{path} cannot be used: {error}", key=("budget", "file")) from error

    @property
    def spent_today(self) -> float:
        self._turn_page()
        return self._spent

    def reserve(self, purse: Purse, cost: float) -> None:
        """:raises ModuleError: ``BUDGET_EXHAUSTED``: there is not enough left for a call that can cost so much."""
        self._turn_page()
        if not cost:
            return
        for scope, limit, taken in (
            ("session", self._budget.session, purse.spent + purse.reserved),
            ("day", self._budget.day, self._spent + self._reserved),
        ):
            if limit is not None and taken + cost > limit:
                ctx = {"scope": scope, "limit": limit, "spent": taken, "cost_at_most": cost}
                raise ModuleError("BUDGET_EXHAUSTED", ctx=ctx)
        purse.reserved += cost
        self._reserved += cost

    def settle(self, purse: Purse, reserved: float, cost: float) -> None:
        """A call is over. :raises OSError: the file cannot be written; what was spent is counted all the same."""
        self._turn_page()
        purse.reserved = max(purse.reserved - reserved, 0.0)
        self._reserved = max(self._reserved - reserved, 0.0)
        purse.spent += cost
        self._spent += cost
        if cost:
            self._save()

    def _turn_page(self) -> None:
        day = datetime.now(UTC).date().isoformat()
        if day != self._day:
            self._day, self._spent = day, 0.0

    def _save(self) -> None:
        if not self._budget.file:
            return
        self._turn_page()
        path = Path(self._budget.file)
        beside = path.with_name(path.name + ".new")
        beside.write_text(json.dumps({"day": self._day, "spent": self._spent}))
        os.replace(beside, path)
