"""What an operator does with a task it was drawn for, by its behaviour."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.simulate.settings import Behaviour, Settings
from pygenvm.settlement.types.words import Address, Hash

#: So often does a flapping operator answer a draw by leaving.
_LEAVES: Final = 0.3


@dataclass(slots=True)
class Actor:
    """An operator and what has come of it."""

    address: Address
    behaviour: Behaviour
    model: Hash
    #: Has told the registry that it goes.
    leaving: bool = False
    draws: int = 0
    #: How often it ran the model.
    runs: int = 0
    wins: int = 0
    slashed: int = 0


@dataclass(slots=True)
class Asked:
    """A task as the simulation knows it: what the model says is no secret here."""

    task_id: Hash
    model: Hash
    prompt: Hash
    #: What the model puts out, what one would guess, and what the cartel has agreed on.
    answer: Hash
    guess: Hash
    forgery: Hash
    drawn: Sequence[Actor]
    #: Outputs that were revealed, with the nonces: from then on everybody knows them.
    published: dict[Address, tuple[Hash, Hash]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Play:
    """What an operator will do with a task."""

    output: Hash
    ran: bool = True
    reveals: bool = True
    #: Commits to the commit of another, at the end of the window.
    copies: bool = False
    #: Leaves in the block of the draw, with its commit posted.
    leaves: bool = False


def play(actor: Actor, asked: Asked, settings: Settings, rng: random.Random) -> Play:
    return _PLAYS[actor.behaviour](actor, asked, settings, rng)


def _honest(actor: Actor, asked: Asked, settings: Settings, rng: random.Random) -> Play:
    differs = rng.random() < settings.error
    return Play(_own(actor, asked) if differs else asked.answer)


def _lazy(actor: Actor, asked: Asked, settings: Settings, rng: random.Random) -> Play:
    return Play(asked.guess, ran=False)


def _withholding(actor: Actor, asked: Asked, settings: Settings, rng: random.Random) -> Play:
    return Play(asked.answer, reveals=False)


def _copying(actor: Actor, asked: Asked, settings: Settings, rng: random.Random) -> Play:
    return Play(asked.answer, ran=False, copies=True)


def _dissenting(actor: Actor, asked: Asked, settings: Settings, rng: random.Random) -> Play:
    return Play(_own(actor, asked))


def _colluding(actor: Actor, asked: Asked, settings: Settings, rng: random.Random) -> Play:
    """Who was drawn is public, so a cartel knows whether it is a quorum, and shows itself only then."""
    members = sum(other.behaviour is Behaviour.COLLUDING for other in asked.drawn)
    if members >= settings.threshold:
        return Play(asked.forgery, ran=False)
    return _honest(actor, asked, settings, rng)


def _flapping(actor: Actor, asked: Asked, settings: Settings, rng: random.Random) -> Play:
    if rng.random() < _LEAVES:
        return Play(asked.answer, ran=False, reveals=False, leaves=True)
    return _honest(actor, asked, settings, rng)


def _own(actor: Actor, asked: Asked) -> Hash:
    return keccak256(asked.answer + actor.address)


_PLAYS: Final[Mapping[Behaviour, Callable[[Actor, Asked, Settings, random.Random], Play]]] = {
    Behaviour.HONEST: _honest,
    Behaviour.LAZY: _lazy,
    Behaviour.WITHHOLDING: _withholding,
    Behaviour.COPYING: _copying,
    Behaviour.DISSENTING: _dissenting,
    Behaviour.COLLUDING: _colluding,
    Behaviour.FLAPPING: _flapping,
}
