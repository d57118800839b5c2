"""Rules and what they find."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path


class Level(StrEnum):
    """How sure it is that the contract does not do what its author wants."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of fault. ``title`` says what is wrong, ``advice`` what to do about it where nothing better is known."""

    code: str
    level: Level
    title: str
    advice: str

    @property
    def as_warning(self) -> Rule:
        """The rule where it is not certain that the contract fails."""
        return replace(self, level=Level.WARNING) if self.level is Level.ERROR else self


@dataclass(frozen=True, slots=True)
class Place:
    """A piece of one line: ``line`` from 1, ``column`` and ``end`` in characters from 0 (``end`` is behind it)."""

    line: int
    column: int
    end: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault at a place of a file. ``source`` is the line."""

    rule: Rule
    path: Path
    place: Place
    source: str
    message: str
    fix: str

    @property
    def code(self) -> str:
        return self.rule.code

    @property
    def level(self) -> Level:
        return self.rule.level


#: A fault as rules report it: the rule, where, the message, and how to fix it (None: the advice of the rule).
Fault = tuple[Rule, "ast.AST | Place", str, "str | None"]


def fault(rule: Rule, where: ast.AST | Place, message: str, fix: str | None = None) -> Fault:
    """A fault that a rule has found."""
    return rule, where, message, fix


class Rules:
    """The rules of one family, in order of their codes."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._rules: dict[str, Rule] = {}

    def error(self, code: str, title: str, advice: str) -> Rule:
        return self._add(Rule(code, Level.ERROR, title, advice))

    def warning(self, code: str, title: str, advice: str) -> Rule:
        return self._add(Rule(code, Level.WARNING, title, advice))

    def info(self, code: str, title: str, advice: str) -> Rule:
        return self._add(Rule(code, Level.INFO, title, advice))

    def __iter__(self) -> Iterator[Rule]:
        return iter(sorted(self._rules.values(), key=lambda rule: rule.code))

    def _add(self, rule: Rule) -> Rule:
        assert rule.code not in self._rules
        self._rules[rule.code] = rule
        return rule


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Without repetitions, by file and place."""
    key = lambda item: (str(item.path), item.place.line, item.place.column, item.code, item.message)  # noqa: E731
    return sorted(dict.fromkeys(findings), key=key)
