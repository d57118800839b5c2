"""The permutation that the interpreter has in C is the one that Python elsewhere computes."""

from __future__ import annotations

import pytest

from pygenvm.executor.primitives import keccak
from tests.runners.python.python_contracts import value_of_script

pytestmark = pytest.mark.usefixtures("built_runners")

_SCRIPT = """
import _genlayer_keccak
from genlayer.py import keccak

def error(*state):
    try:
        return (_genlayer_keccak.permute if len(state) == 1 else _genlayer_keccak.absorb)(*state)
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"

def main(states, blocks):
    assert keccak.permute is _genlayer_keccak.permute
    return [
        [_genlayer_keccak.permute(state) for state in states],
        [keccak._permute(state) for state in states[:3]],
        [error(state) for state in (b"", bytes(199), bytes(201), "x" * 200, None)],
        keccak.Keccak256(b"abc").hexdigest(),
        [_genlayer_keccak.absorb(state, block) for state, block in zip(states, blocks)],
        [keccak._absorb(state, block) for state, block in zip(states, blocks)],
        keccak.absorb is _genlayer_keccak.absorb,
        error(b"", b""), error(bytes(200), bytes(201)), error(bytes(200), "x"),
    ]
"""


def states() -> list[bytes]:
    """Zeros, ones, single bits in each lane, and what permutations make of them."""
    found = [bytes(200), b"\xff" * 200, *((1 << 64 * lane + lane).to_bytes(200, "little") for lane in range(25))]
    for _ in range(20):
        found.append(keccak._permute(found[-1]))
    return found


def test_permutation() -> None:
    given = states()
    blocks = [bytes(range(rate)) for rate in (8, 72, 136, 144, 200)]
    in_c, in_python, errors, abc, absorbed, in_python_too, *rest = value_of_script(_SCRIPT, given, blocks)
    assert in_c == [keccak._permute(state) for state in given]
    assert in_python == in_c[:3]
    assert errors[:3] == ["ValueError: a state has 200 bytes"] * 3
    assert [text.partition(":")[0] for text in errors[3:]] == ["TypeError"] * 2
    assert absorbed == in_python_too
    assert absorbed == [keccak._absorb(state, block) for state, block in zip(given, blocks, strict=False)]
    assert rest[:3] == [True, "ValueError: a state has 200 bytes", "ValueError: a block has at most 200 bytes"]
    assert rest[3].startswith("TypeError: ")
    assert abc == "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
