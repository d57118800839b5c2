"""Keccak against known hashes and an independent implementation."""

from __future__ import annotations

import hashlib

import pytest
from Crypto.Hash import keccak as reference
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor.primitives.keccak import Keccak256, KeccakHash
from tests.support.properties import examples


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
        (b"TestEvent(action,user_id)", "b4751df565fc3554764e2790943960c9cdfe7cf510331db29881bf1523b40dac"),
        (b"Ev(a,b)", "6f540626bf1f225fb18a54b91900f9d4ac708d175e8b1d5e8208db4da7891a1d"),
    ],
)
def test_vectors(data: bytes, digest: str) -> None:
    assert Keccak256(data).hexdigest() == digest
    assert Keccak256(data).digest().hex() == digest


def test_without_initial_data() -> None:
    assert Keccak256().digest() == Keccak256(b"").digest()
    assert (Keccak256().block_size, Keccak256().digest_size) == (136, 32)


@examples(100)
@given(st.lists(st.binary(max_size=300), max_size=5))
def test_equals_the_reference_however_the_data_is_cut(pieces: list[bytes]) -> None:
    ours = Keccak256()
    for piece in pieces:
        ours.update(memoryview(piece))
    assert ours.digest() == reference.new(digest_bits=256, data=b"".join(pieces)).digest()


@pytest.mark.parametrize("size", [0, 1, 134, 135, 136, 137, 271, 272, 273, 1000])
def test_block_boundaries(size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    assert Keccak256(data).digest() == reference.new(digest_bits=256, data=data).digest()


@pytest.mark.parametrize("bits", [224, 256, 384, 512])
def test_presets(bits: int) -> None:
    if bits != 224:
        create = KeccakHash.preset(1600 - 2 * bits, 2 * bits, bits)
        assert create(b"abc").digest() == reference.new(digest_bits=bits, data=b"abc").digest()
        assert create().digest_size == bits // 8
    else:
        assert KeccakHash(1152, 448, 224).hexdigest() == reference.new(digest_bits=224, data=b"").hexdigest()


def test_output_longer_than_a_block() -> None:
    sponge = KeccakHash(1344, 256, 8 * 500)
    first = KeccakHash(1344, 256, 8 * 168)
    assert len(sponge.digest()) == 500
    assert sponge.digest()[:168] == first.digest()
    assert sponge.digest()[168:336] not in (first.digest(), bytes(168))


def test_copy_is_independent_and_digest_does_not_finish() -> None:
    original = Keccak256(b"a" * 200)
    twin = original.copy()
    assert type(twin) is Keccak256
    before = original.digest()
    twin.update(b"b")
    assert original.digest() == before
    original.update(b"b")
    assert original.digest() == twin.digest() == reference.new(digest_bits=256, data=b"a" * 200 + b"b").digest()


@pytest.mark.parametrize(
    ("bitrate", "capacity", "output"), [(1088, 511, 256), (1600, 0, 256), (0, 1600, 256), (1000, 600, 256)]
)
def test_bad_rates(bitrate: int, capacity: int, output: int) -> None:
    with pytest.raises(ValueError, match="1600 bits"):
        KeccakHash(bitrate, capacity, output)


@pytest.mark.parametrize("output", [0, -8, 12])
def test_bad_outputs(output: int) -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        KeccakHash(1088, 512, output)


def test_is_not_sha3() -> None:
    assert Keccak256(b"").digest() != hashlib.sha3_256(b"").digest()
