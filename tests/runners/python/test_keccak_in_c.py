"""The permutation that the interpreter has in C is the one that Python elsewhere computes."""

from __future__ import annotations

import pytest

from pygenvm.executor.primitives import keccak
from tests.runners.python.python_contracts import value_of_script

pytestmark = pytest.mark.usefixtures("built_runners")

_SCRIPT = """
import _genlayer_keccak
from genlayer.py import keccak

def error(state):
    try:
        return _genlayer_keccak.permute(state)
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"

def main(states):
    assert keccak.permute is _genlayer_keccak.permute
    return [
        [_genlayer_keccak.permute(state) for state in states],
        [keccak._permute(state) for state in states[:3]],
        [error(state) for state in (b"", bytes(199), bytes(201), "x" * 200, None)],
        keccak.Keccak256(b"abc").hexdigest(),
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
    in_c, in_python, errors, abc = value_of_script(_SCRIPT, given)
    assert in_c == [keccak._permute(state) for state in given]
    assert in_python == in_c[:3]
    assert errors[:3] == ["ValueError: a state has 200 bytes"] * 3
    assert [text.partition(":")[0] for text in errors[3:]] == ["TypeError"] * 2
    assert abc == "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
