"""The file that a chain starts from.

============  =======================================================================================================
member        content
============  =======================================================================================================
``cChain``    the chain that intents come from: a label, or its id as 32 bytes in hexadecimal with ``0x``
``aChain``    this chain, in the same way
``balances``  optional: opening balances by address, as decimal text
``timestamp`` optional: nanoseconds of Unix time, else 0
``cooldown``  optional: heights between leaving and withdrawing stake, at least 60, which is the default
============  =======================================================================================================
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from pygenvm.executor.json_text import parse_json
from pygenvm.settlement.blocks.view import Genesis
from pygenvm.settlement.codec.hashes import chain_id
from pygenvm.settlement.types.constants import UNBOND_COOLDOWN_BLOCKS
from pygenvm.settlement.types.words import MAX_U64, MAX_U256, Address, Hash, checked_unsigned

_CHARS_MAX: Final = 16 << 20
_MEMBERS: Final = frozenset({"cChain", "aChain", "balances", "timestamp", "cooldown"})


class GenesisError(ValueError):
    """The file is none; the text says why."""


def read_genesis(path: Path) -> Genesis:
    """:raises GenesisError: it cannot be read or used."""
    try:
        with path.open("rb") as file:
            text = file.read(_CHARS_MAX + 1).decode()
        return _genesis(parse_json(text, max_chars=_CHARS_MAX, max_depth=3))
    except (OSError, ValueError) as error:
        raise GenesisError(f"{path}: {error}") from error


def _genesis(found: Any) -> Genesis:
    if not isinstance(found, dict):
        raise ValueError("a genesis is a JSON object")
    unknown = sorted(set(found) - _MEMBERS)
    if unknown:
        raise ValueError(f"{unknown[0]!r:.80} is no member of a genesis")
    balances = found.get("balances", {})
    if not isinstance(balances, dict):
        raise ValueError("balances is no JSON object")
    cooldown = checked_unsigned(found.get("cooldown", UNBOND_COOLDOWN_BLOCKS), MAX_U64, "cooldown")
    if cooldown < UNBOND_COOLDOWN_BLOCKS:
        raise ValueError(f"cooldown is less than {UNBOND_COOLDOWN_BLOCKS}")
    opening: dict[Address, int] = {}
    for account, amount in balances.items():
        address = Address(_hex(account, 20))
        if address in opening:
            raise ValueError(f"{account!r:.80} has two balances")
        opening[address] = _amount(amount)
    if sum(opening.values()) > MAX_U256:
        raise ValueError("the balances together do not fit 256 bits")
    return Genesis(
        c_chain_id=_chain(found, "cChain"),
        a_chain_id=_chain(found, "aChain"),
        timestamp=checked_unsigned(found.get("timestamp", 0), (1 << 63) - 1, "timestamp"),
        balances=opening,
        cooldown=cooldown,
    )


def _chain(found: dict[str, Any], name: str) -> Hash:
    label = found.get(name)
    if not isinstance(label, str) or not label:
        raise ValueError(f"{name} is missing; it must be a label, or 32 bytes in hexadecimal")
    return Hash(_hex(label, 32)) if label.startswith("0x") else chain_id(label)


def _amount(text: Any) -> int:
    if not isinstance(text, str) or not text.isascii() or not text.isdecimal() or len(text) > 78:
        raise ValueError("a balance is a decimal text")
    return checked_unsigned(int(text), MAX_U256, "a balance")


def _hex(text: str, size: int) -> bytes:
    try:
        data = bytes.fromhex(text[2:]) if text.startswith("0x") else b""
    except ValueError:
        data = b""
    if len(data) != size or len(text) != 2 + 2 * size:
        raise ValueError(f"{text!r:.80} is not {size} bytes in hexadecimal with 0x")
    return data
