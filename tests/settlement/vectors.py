"""The test vectors of the specification (``docs/spec/settlement/vectors.json``)."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from pygenvm.settlement.types.words import Address, Hash
from tests.docs.citations import SPEC


@cache
def all_vectors() -> dict[str, dict[str, Any]]:
    document = json.loads((SPEC / "settlement" / "vectors.json").read_text(encoding="utf-8"))
    assert document["count"] == len(document["vectors"])
    return {vector["id"]: vector for vector in document["vectors"]}


def inputs(name: str) -> dict[str, Any]:
    found: dict[str, Any] = all_vectors()[name]["inputs"]
    return found


def expected(name: str) -> Any:
    return all_vectors()[name]["expected"]


def raw(text: str) -> bytes:
    assert text.startswith("0x")
    return bytes.fromhex(text[2:])


def h(text: str) -> Hash:
    assert len(raw(text)) == 32
    return Hash(raw(text))


def a(text: str) -> Address:
    assert len(raw(text)) == 20
    return Address(raw(text))


def word(number: int) -> Hash:
    return Hash(number.to_bytes(32, "big"))


def account(number: int) -> Address:
    return Address(number.to_bytes(20, "big"))


def number(value: int | str | None) -> int | None:
    """An integer of a vector, which may be written as text."""
    return int(value, 0) if isinstance(value, str) else value


def typed(fields: dict[str, Any]) -> dict[str, Any]:
    """Hashes and addresses as bytes, integers as such, also those of 256 bits that are written in hex."""
    return {
        name: raw(value) if isinstance(value, str) and value.startswith("0x") and name != "fee" else number(value)
        for name, value in fields.items()
    }
