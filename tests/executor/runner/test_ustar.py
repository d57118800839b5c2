"""Registry archives (spec executor/07 "tar")."""

from __future__ import annotations

import io
import random
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor import limits
from pygenvm.executor.outcome import InvalidContract
from pygenvm.executor.runner import ustar
from pygenvm.executor.runner.ustar import read_tar
from tests.support.properties import examples

END = bytes(1024)


def header(
    name: bytes = b"a",
    size: bytes = b"00000000000",
    kind: bytes = b"0",
    prefix: bytes = b"",
    magic: bytes = b"ustar\x0000",
) -> bytes:
    block = bytearray(512)
    block[0 : len(name)] = name
    block[124 : 124 + len(size)] = size
    block[156:157] = kind
    block[257 : 257 + len(magic)] = magic
    block[345 : 345 + len(prefix)] = prefix
    assert len(block) == 512
    return bytes(block)


def read(data: bytes) -> dict[str, bytes]:
    return {name: bytes(content) for name, content in read_tar(memoryview(data)).items()}


def outcome(data: bytes) -> dict[str, bytes] | str:
    """The files, or the VM error that the contract ends with."""
    try:
        return read(data)
    except InvalidContract as error:
        return error.error.message


def fails(data: bytes, *words: str) -> None:
    with pytest.raises(InvalidContract) as error:
        read(data)
    assert error.value.error.message == "invalid_contract"
    for word in words:
        assert word in error.value.error.cause


def file(name: bytes, content: bytes, **fields: bytes) -> bytes:
    return header(name, f"{len(content):011o}".encode(), **fields) + content + bytes(-len(content) % 512)


def test_files_in_order_as_views_of_the_archive() -> None:
    data = memoryview(file(b"b.txt", b"x" * 513) + file(b"a", b"") + file(b"c/d", b"yz") + END)
    files = read_tar(data)
    assert list(files) == ["b.txt", "a", "c/d"]
    assert [bytes(content) for content in files.values()] == [b"x" * 513, b"", b"yz"]
    assert files["c/d"].obj is data.obj


def test_reads_what_the_standard_library_writes() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in ("dir", "dir/x.py", "y"):
            info = tarfile.TarInfo(name)
            if name == "dir":
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            else:
                info.size = 3
                tar.addfile(info, io.BytesIO(b"abc"))
    assert read(buffer.getvalue()) == {"dir/x.py": b"abc", "y": b"abc"}


@pytest.mark.parametrize("length", [0, 1, 511, 512, 1023, 1025, 10239])
def test_length(length: int) -> None:
    fails(bytes(length), str(length))


@pytest.mark.parametrize("length", [1024, 10240])
def test_empty(length: int) -> None:
    assert read(bytes(length)) == {}


def test_ends_at_two_zero_blocks_whatever_follows() -> None:
    assert read(file(b"a", b"1") + END + b"\xff" * 512) == {"a": b"1"}


def test_one_zero_block_is_a_bad_header() -> None:
    fails(file(b"a", b"1") + bytes(512) + file(b"b", b"2") + END, "offset 1024", "magic")


@pytest.mark.parametrize("rest", [b"", bytes(512), b"\xff" * 512])
def test_ends_when_fewer_than_1024_bytes_are_left(rest: bytes) -> None:
    assert read(file(b"a", b"1") + rest) == {"a": b"1"}


def test_a_last_header_alone_is_not_read() -> None:
    assert read(file(b"a", b"1") + header(b"b")) == {"a": b"1"}


@pytest.mark.parametrize("magic", [b"ustar  \0", b"ustar\0\0\0", b"ustar\x0001", b"USTAR\x0000", bytes(8)])
def test_magic(magic: bytes) -> None:
    fails(header(magic=magic) + END, "offset 0", "magic")


@pytest.mark.parametrize("kind", [b"0", b"\0", b"5"])
def test_accepted_types(kind: bytes) -> None:
    assert read(file(b"a", b"1", kind=kind) + END) == {"a": b"1"}


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"6", b"7", b"L", b"K", b"g", b"x", b"S", b"\xff"])
def test_links_pax_and_others_are_errors(kind: bytes) -> None:
    fails(file(b"ok", b"") + file(b"a", b"1", kind=kind) + END, "offset 512", f"type {kind[0]}")


def test_long_names_are_written_as_types_that_are_refused() -> None:
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
            tar.addfile(tarfile.TarInfo("n" * 300))
        fails(buffer.getvalue(), "offset 0")


def test_99_bytes_of_name_count() -> None:
    assert read(file(b"n" * 99, b"") + END) == {"n" * 99: b""}
    assert read(file(b"n" * 100, b"") + END) == {"n" * 99: b""}
    assert read(file(b"n" * 99 + b"/", b"") + END) == {"n" * 99: b""}


def test_154_bytes_of_prefix_count() -> None:
    assert read(file(b"n", b"", prefix=b"p" * 154) + END) == {"p" * 154 + "n": b""}
    assert read(file(b"n", b"", prefix=b"p" * 155) + END) == {"p" * 154 + "n": b""}


def test_11_digits_of_size_count() -> None:
    assert read(header(size=b"000000000017") + b"x" * 512 + END) == {"a": b"x"}
    fails(header(size=b"77777777777") + END, "offset 0", "8589934591 bytes")


def test_prefix_is_joined_without_a_slash() -> None:
    assert read(file(b"b.py", b"", prefix=b"lib/a") + END) == {"lib/ab.py": b""}


def test_only_trailing_nuls_are_trimmed() -> None:
    assert read(file(b"a\0b", b"") + END) == {"a\0b": b""}


@pytest.mark.parametrize(
    "size",
    [b"0000000001 ", b" 0000000001", b"1 ", b"8", b"9", b"0o1", b"1_1", b"+1", b"-1", b"1\x001", b"", b"\x80\0\0\1"],
)
def test_size_is_octal_digits_only(size: bytes) -> None:
    fails(file(b"ok", b"") + header(size=size) + b"x" * 512 + END, "offset 512", "octal")


def test_size_may_be_short() -> None:
    assert read(header(size=b"2") + b"xy" + bytes(510) + END) == {"a": b"xy"}


def test_content_leaving_the_archive() -> None:
    fails(header(size=b"2001") + bytes(1024), "offset 0", "1025 bytes")
    assert read(header(size=b"2000") + b"z" * 1024) == {"a": b"z" * 1024}


def test_names_ending_in_a_slash_are_skipped_with_their_content() -> None:
    assert read(file(b"d/", b"xyz", kind=b"5") + file(b"e/", b"") + file(b"f", b"1") + END) == {"f": b"1"}
    # Repeated directories are no repeated names, and the type does not decide.
    assert read(file(b"d/", b"") * 2 + file(b"d", b"1", kind=b"5") + END) == {"d": b"1"}


def test_repeated_name() -> None:
    fails(file(b"a", b"1") + file(b"b", b"2") + file(b"a", b"1") + END, "offset 2048", "'a'")
    # The same name, split in another way.
    fails(file(b"ab", b"1") + file(b"b", b"2", prefix=b"a") + END, "offset 1024", "'ab'")


@pytest.mark.parametrize("name", [b"\xff", b"a\xc3", b"\xed\xa0\x80"])
def test_name_must_be_utf8(name: bytes) -> None:
    fails(file(name, b"") + END, "offset 0", "UTF-8")


def test_utf8_names() -> None:
    assert read(file("é/☃".encode(), b"") + END) == {"é/☃": b""}
    # A character may even be spread over both fields.
    assert read(file(b"\x98\x83", b"", prefix=b"\xe2") + END) == {"☃": b""}


def test_checksum_is_not_looked_at() -> None:
    assert read(file(b"a", b"1")[:148] + b"garbage!" + file(b"a", b"1")[156:] + END) == {"a": b"1"}


def test_number_of_files_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.ARCHIVE_FILES_MAX == 65_534
    monkeypatch.setattr(ustar, "ARCHIVE_FILES_MAX", 2)
    assert len(read(file(b"a", b"") + file(b"b", b"") + file(b"d/", b"") + END)) == 2
    fails(file(b"a", b"") + file(b"b", b"") + file(b"c", b"") + END, "offset 1024", "2 files")


@given(st.binary(max_size=64), st.integers(0, 5))
@examples(200)
def test_random_bytes_only_raise_invalid_contract(noise: bytes, blocks: int) -> None:
    data = random.Random(noise).randbytes(512 * blocks)
    for candidate in (noise, data, header() + data, file(noise[:100], noise) + data):
        result = outcome(candidate)
        assert isinstance(result, dict) or result == "invalid_contract"


@given(st.lists(st.tuples(st.integers(0, 5 * 512 - 1), st.integers(0, 255)), max_size=6), st.integers(0, 7))
@examples(200)
def test_mutated_archives_only_raise_invalid_contract(changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(file(b"dir/a.py", b"print()") + file(b"b", b"x" * 600) + END)
    for position, value in changes:
        data[position] = value
    shortened = bytes(data[: len(data) - 512 * cut])
    result = outcome(shortened)
    if isinstance(result, dict):
        assert sum(map(len, result.values())) <= len(shortened)
    else:
        assert result == "invalid_contract"
