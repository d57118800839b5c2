"""Unsigned LEB128: its lanes and shortcuts against the definition, one group at a time."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pygenvm.executor.primitives.uleb import NotMinimal, read_uleb, write_uleb
from tests.executor.primitives.plain_uleb import plain_uleb, read_plain_uleb
from tests.support.properties import examples

BOUNDED = examples(300)

# Where a shortcut ends and the next begins: groups of a loop, of one lane, of a table of masks, of a piece.
EDGES = (0, 7, 14, 21, 63, 64, 70, 77, 7 * 8, 7 * 8 * 8, 7 * 8 * 9, 7 * 8 << 13)
numbers = st.one_of(
    st.integers(0, 1 << 80),
    st.integers(0, 1 << 9000),
    st.builds(lambda bits, low: max((1 << bits) + low, 0), st.sampled_from(EDGES), st.integers(-2, 2)),
)
# Mostly groups with their top bit set, so that long numbers come out; zeros, so that needless ones do.
streams = st.one_of(
    st.binary(max_size=30),
    st.lists(st.sampled_from((0x00, 0x01, 0x7F, 0x80, 0x80, 0x81, 0xFF, 0xFF)), max_size=150).map(bytes),
    st.builds(lambda count, last: b"\x80" * count + last, st.integers(0, 150), st.sampled_from((b"", b"\0", b"\1"))),
)


@BOUNDED
@given(numbers, st.binary(max_size=3), st.binary(max_size=3))
@example(0, b"", b"")
def test_numbers_are_written_and_read_as_defined(number: int, before: bytes, behind: bytes) -> None:
    written = write_uleb(number)
    assert written == plain_uleb(number)
    assert read_uleb(before + written + behind, len(before)) == (number, len(before) + len(written))


@BOUNDED
@given(streams, st.integers(0, 3))
@example(b"\x80" * 9 + b"\0", 0)
@example(b"\x80" * 10 + b"\0", 0)
@example(b"\xff" * 200, 0)
def test_any_bytes_are_read_as_defined_or_refused(data: bytes, pos: int) -> None:
    try:
        number, end = read_plain_uleb(data, pos)
    except IndexError:
        with pytest.raises(IndexError):
            read_uleb(data, pos)
        return
    if data[pos:end] == plain_uleb(number):
        assert read_uleb(data, pos) == (number, end)
    else:
        with pytest.raises(NotMinimal, match=r"^most significant octet can not be zero$"):
            read_uleb(data, pos)
