"""Nix base-32 (spec executor/07, "Registry on disk")."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor.runner.hashing import NIX_BASE32_ALPHABET, archive_hash, nix_base32
from tests.support.properties import examples


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"),
        (b"abc", "1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s"),
    ],
)
def test_check_values_of_the_spec(data: bytes, text: str) -> None:
    assert nix_base32(hashlib.sha256(data).digest()) == text
    assert archive_hash(data) == text
    assert archive_hash(memoryview(data)) == text


def test_alphabet_lacks_four_letters() -> None:
    assert len(NIX_BASE32_ALPHABET) == 32
    assert not set("eotu") & set(NIX_BASE32_ALPHABET)


@given(st.binary(min_size=32, max_size=32))
@examples(100)
def test_bits_are_taken_as_the_spec_writes_it(digest: bytes) -> None:
    def bit(k: int) -> int:
        return digest[k // 8] >> k % 8 & 1 if k < 256 else 0

    expected = "".join(NIX_BASE32_ALPHABET[sum(bit(5 * n + i) << i for i in range(5))] for n in range(51, -1, -1))
    assert nix_base32(digest) == expected
