"""Compile bombs: instructions that name a thousand values in two bytes (executor/subvm/wasm/values.py)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pygenvm.executor import limits
from pygenvm.executor.outcome import InvalidContract
from pygenvm.executor.subvm.wasm.binary import encode_sized, encode_u32, encode_vector
from pygenvm.executor.subvm.wasm.prepare import prepare
from tests.support.paths import ROOT

HEADER = b"\0asm\1\0\0\0"
I32 = b"\x7f"


def kind(params: int, results: int) -> bytes:
    return b"\x60" + encode_sized(I32 * params) + encode_sized(I32 * results)


def section(number: int, items: list[bytes]) -> bytes:
    return bytes((number,)) + encode_sized(encode_vector(items))


def module(kinds: list[bytes], functions: list[tuple[int, bytes]]) -> bytes:
    """Functions (index of the type, instructions without the final end)."""
    return b"".join(
        (
            HEADER,
            section(1, kinds),
            section(3, [encode_u32(index) for index, _ in functions]),
            section(10, [encode_sized(b"\0" + code + b"\x0b") for _, code in functions]),
        )
    )


def loops(count: int) -> bytes:
    """Loops of 1,000 operands and results."""
    push, drop = b"\x41\0" * 1000, b"\x1a" * 1000
    return module([kind(0, 0), kind(1000, 1000)], [(0, push + b"\x03\x01\x0b" * count + drop)])


def calls(count: int, functions: int = 1) -> bytes:
    """Calls that pass 1,000 values from one function to the other."""
    make, take = (1, b"\x41\0" * 1000), (2, b"")
    return module(
        [kind(0, 0), kind(0, 1000), kind(1000, 0)], [make, take, *[(0, b"\x10\0\x10\x01" * count)] * functions]
    )


def branches(code: bytes) -> bytes:
    """Branches out of a block of 1,000 results."""
    push, drop = b"\x41\0" * 1000, b"\x1a" * 1000
    return module([kind(0, 0), kind(0, 1000)], [(0, b"\x02\x01" + push + code + b"\x0b" + drop)])


def refused(wasm: bytes, rule: str) -> None:
    for deterministic in (True, False):
        with pytest.raises(InvalidContract, match=rule):
            prepare(wasm, deterministic=deterministic, trusted=False)


def accepted(wasm: bytes) -> None:
    for deterministic in (True, False):
        prepare(wasm, deterministic=deterministic, trusted=False)


def test_loops_of_many_values() -> None:
    accepted(loops(10))
    refused(loops(11), "blocks of more than 20000 values")
    refused(loops(2_000), "blocks of more than 20000 values")


def test_calls_of_many_values() -> None:
    accepted(calls(5))
    refused(calls(6), "calls, blocks and branches of more than")


def test_many_functions_that_are_within_the_limit_of_one() -> None:
    accepted(calls(5, functions=5))
    refused(calls(5, functions=20), "module")


def test_branches_of_many_values() -> None:
    accepted(branches(b"\x41\0\x0d\0" * 5))
    refused(branches(b"\x41\0\x0d\0" * 30), "calls, blocks and branches of more than")
    accepted(branches(b"\x41\0\x0e\x04" + bytes(5)))
    refused(branches(b"\x41\0\x0e\x20" + bytes(33)), "calls, blocks and branches of more than")
    # To the function itself, which has no results: nothing is passed.
    accepted(branches(b"\x0e\x20" + b"\1" * 33))


def test_labels_are_those_of_the_blocks_around() -> None:
    """A branch behind the block of many values passes none."""
    inner = b"\x02\x01" + b"\x41\0" * 1000 + b"\x0b" + b"\x1a" * 1000
    kinds = [kind(0, 0), kind(0, 1000)]
    accepted(module(kinds, [(0, b"\x02\x40" + inner + b"\x41\0\x0d\0" * 1000 + b"\x0b")]))
    # A loop takes its operands again, not its results.
    kinds = [kind(0, 0), kind(0, 1000)]
    accepted(module(kinds, [(0, b"\x03\x01" + b"\x41\0\x0d\0" * 1000 + b"\x00\x0b" + b"\x1a" * 1000)]))


def test_code_that_makes_its_values_one_by_one_has_no_limit() -> None:
    push = b"\x41\0" * 900
    accepted(module([kind(0, 0), kind(900, 0)], [(1, b""), (0, (push + b"\x10\0") * 500)]))


def changing(count: int, code: bytes) -> bytes:
    """A loop that changes ``count`` locals and is entered again by the branches of ``code``."""
    changes = b"".join(b"\x20" + encode_u32(i) + b"\x41\1\x6a\x21" + encode_u32(i) for i in range(count))
    body = b"\1" + encode_u32(count) + b"\x7f" + b"\x03\x40" + changes + code + b"\x0b\x0b"
    return b"".join((HEADER, section(1, [kind(0, 0)]), section(3, [b"\0"]), section(10, [encode_sized(body)])))


def test_branches_that_bring_a_value_for_each_local() -> None:
    for code in (b"\x41\0\x0d\0" * 5_000, b"\x41\0\x0e" + encode_u32(5_000) + bytes(5_001)):
        accepted(changing(400, code))
        refused(changing(4_000, code), "branches times locals")
    refused(changing(1_000, b"\x41\0\x0d\0" * 100_000), "branches times locals")
    refused(changing(10_000, b"\x41\0\x0e" + encode_u32(30_000) + bytes(30_001)), "branches times locals")
    accepted(changing(10_000, b""))


def test_malformed_indices_are_left_to_the_engine() -> None:
    kinds = [kind(0, 0), kind(1000, 1000)]
    for code in (b"\x10\x20", b"\x11\x20\0", b"\x02\x20\x0b", b"\x0c\x20", b"\x0e\1\x20\x20", b"\x0b\x0b\x0b"):
        accepted(module(kinds, [(0, code)]))


#: Prepares 16 MB of the densest code there is, and prints by how many bytes the process grew.
_MEASURED = """
import resource, sys
from pygenvm.executor.subvm.wasm.binary import encode_sized, encode_u32, encode_vector
from pygenvm.executor.subvm.wasm.prepare import prepare
code, count = bytes.fromhex(sys.argv[1]), 16
body = encode_sized(b"\\0" + code * (((1 << 20) - 100) // len(code)) + b"\\x0b")
section = lambda number, items: bytes((number,)) + encode_sized(encode_vector(items))
wasm = b"\\0asm\\1\\0\\0\\0" + section(1, [b"\\x60\\0\\0"]) + section(3, [b"\\0"] * count) + section(10, [body] * count)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    prepare(wasm, deterministic=True, trusted=False)
except Exception as error:
    print(error, file=sys.stderr)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / len(wasm))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "bytes_per_byte"),
    [
        ("43000000004300000000921a", 8),  # f32.const, f32.const, f32.add, drop
        ("92", 15),  # nothing but f32.add: each becomes three bytes
        ("0f", 20),  # nothing but returns
        ("0fd101", 20),
        ("2300", 8),
    ],
)
def test_the_memory_of_preparing_is_a_small_multiple_of_the_module(code: str, bytes_per_byte: int) -> None:
    """It was 150 bytes for each byte of code."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=120
    )
    assert float(done.stdout) < bytes_per_byte, done.stderr


def test_what_is_added_to_the_code_is_bounded() -> None:
    """Each of these returns grows to many bytes."""
    body = b"\x0f" * 1_000_000
    refused(module([kind(0, 0)], [(0, b"\x10\0" + body)]), "with our counters")
    accepted(module([kind(0, 0)], [(0, b"\x10\0" + body[:50_000])]))
    assert limits.WASM_EDITED_BYTES_PER_BYTE * 1_000_000 > limits.WASM_EDITED_BYTES
