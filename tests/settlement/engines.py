"""Engines with operators, and intents for them."""

from __future__ import annotations

from dataclasses import replace

from pygenvm.settlement.codec.hashes import chain_id
from pygenvm.settlement.codec.intent import Intent
from pygenvm.settlement.engine.engine import Engine
from pygenvm.settlement.state.memory import MemoryStore
from pygenvm.settlement.state.staging import Staging
from pygenvm.settlement.state.state import State
from pygenvm.settlement.state.store import Store
from pygenvm.settlement.types.words import ZERO, Address
from tests.settlement.vectors import account, word

C_CHAIN, A_CHAIN = chain_id("c-chain"), chain_id("a-chain")
SPEC, PROMPT = word(0xAB), word(0xCD)
OPERATORS = [account(0x10 + index) for index in range(64)]
ENDPOINTS = [word(0x80 + index) for index in range(64)]


def admit_all(intent: Intent) -> None:
    """The C side has committed to everything."""


def empty_engine(store: Store | None = None, cooldown: int = 60) -> Engine:
    state = State(Staging(MemoryStore() if store is None else store))
    return Engine(state, c_chain_id=C_CHAIN, a_chain_id=A_CHAIN, verifier=admit_all, cooldown=cooldown)


def new_engine(operators: int, *, funds: int, stake: int, store: Store | None = None) -> Engine:
    """With so many operators that have registered in order."""
    engine = empty_engine(store)
    for operator, endpoint in zip(OPERATORS[:operators], ENDPOINTS, strict=False):
        engine.fund({operator: funds})
        engine.register(operator, stake, SPEC, endpoint)
    return engine


def intent(
    caller: Address, *, c_tx: int = 1, fee: int | None = 1, reward: int | None = 7, n: int = 5, threshold: int = 3
) -> Intent:
    """A committed one, with the id that its fields give."""
    asked = Intent(
        intent_id=ZERO,
        c_chain_id=C_CHAIN,
        a_chain_id=A_CHAIN,
        c_tx_hash=word(c_tx),
        call_index=7,
        caller=caller,
        model_spec_hash=SPEC,
        prompt_hash=PROMPT,
        n=n,
        threshold=threshold,
        fee=fee,
        reward=reward,
    )
    return replace(asked, intent_id=asked.computed_id())
