"""Zip contracts: stored only, and nothing that two readers could read differently (spec executor/07)."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
import zlib
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor import limits
from pygenvm.executor.outcome import InvalidContract
from pygenvm.executor.runner import zip as zip_module
from pygenvm.executor.runner.contract import contract_version, parse_contract, version_text
from pygenvm.executor.runner.runner_json import StartWasm
from pygenvm.executor.runner.version import Version
from tests.support.properties import examples

RUNNER = b'{"StartWasm":"x"}'


@dataclass
class Entry:
    """One entry, each field of its two headers free to lie."""

    name: bytes = b"runner.json"
    content: bytes = RUNNER
    flags: int = 0
    method: int = 0
    crc: int | None = None
    packed: int | None = None
    size: int | None = None
    disk: int = 0
    extra: bytes = b""
    comment: bytes = b""
    offset: int | None = None
    local_name: bytes | None = None
    local_signature: bytes = b"PK\3\4"
    central_signature: bytes = b"PK\1\2"


def build(
    *entries: Entry, prefix: bytes = b"", comment: bytes = b"", gap: bytes = b"", end: dict[str, int] | None = None
) -> bytes:
    out = bytearray()
    central = bytearray()
    for entry in entries:
        crc = zlib.crc32(entry.content) if entry.crc is None else entry.crc
        size = len(entry.content) if entry.size is None else entry.size
        packed = size if entry.packed is None else entry.packed
        offset = len(out) if entry.offset is None else entry.offset
        local_name = entry.name if entry.local_name is None else entry.local_name
        rest = (entry.flags, entry.method, 0, 0x21, crc, packed, size)
        out += entry.local_signature
        out += struct.pack("<5H3L2H", 20, *rest, len(local_name), 0) + local_name + entry.content
        lengths = (len(entry.name), len(entry.extra), len(entry.comment))
        central += entry.central_signature
        central += struct.pack("<6H3L5H2L", 20, 20, *rest, *lengths, entry.disk, 0, 0, offset)
        central += entry.name + entry.extra + entry.comment
    fields = {
        "disk": 0,
        "directory_disk": 0,
        "here": len(entries),
        "entries": len(entries),
        "size": len(central) + len(gap),
        "offset": len(out),
        "comment": len(comment),
    }
    end_record = b"PK\5\6" + struct.pack("<4H2LH", *(fields | (end or {})).values())
    return prefix + bytes(out + central) + gap + end_record + comment


def files(code: bytes) -> dict[str, bytes]:
    return {name: bytes(content) for name, content in parse_contract(code).files.items()}


def outcome(code: bytes) -> dict[str, bytes] | str:
    """The files, or the VM error that the contract ends with."""
    try:
        return files(code)
    except InvalidContract as error:
        return error.error.message


def fails(code: bytes, *words: str) -> None:
    with pytest.raises(InvalidContract) as error:
        parse_contract(code)
    assert error.value.error.message == "invalid_contract"
    for word in words:
        assert word in error.value.error.cause


def standard(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


# --- what is accepted -------------------------------------------------------------------------------


def test_reads_what_the_standard_library_writes() -> None:
    entries = {"runner.json": RUNNER, "contract/__init__.py": b"x" * 70_000, "ünï/☃": b"", "a//../b\0": b"1"}
    code = standard(entries)
    archive = parse_contract(code)
    expected = {name.split("\0")[0]: content for name, content in entries.items()}
    assert {name: bytes(content) for name, content in archive.files.items()} == expected
    assert archive.data_size == len(code)
    assert archive.action == StartWasm("x")


def test_contents_are_views_of_the_code() -> None:
    code = build(Entry())
    content = parse_contract(code).files["runner.json"]
    assert isinstance(content, memoryview)
    assert content.obj is code


def test_streamed_entries() -> None:
    class Unseekable(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_args: int) -> int:
            raise OSError

        def tell(self) -> int:
            raise OSError

    buffer = Unseekable()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("runner.json", RUNNER)
        archive.writestr("b", b"second")
    code = buffer.getvalue()
    assert b"PK\7\x08" in code
    assert files(code) == {"runner.json": RUNNER, "b": b"second"}


@pytest.mark.parametrize(
    "prefix", [b"# {}\nimport x\n", b"\0asm\x01\0\0\0", b"\xff" * 1000, b"PK\5\6" + bytes(40), build(Entry(b"old"))]
)
def test_anything_with_a_zip_appended_is_a_zip(prefix: bytes) -> None:
    assert files(build(Entry(), prefix=prefix)) == {"runner.json": RUNNER}
    # Offsets may also count from the beginning of the whole file.
    shifted = Entry(offset=len(prefix))
    end = {"offset": len(prefix) + len(build(Entry())) - 22 - 46 - len(b"runner.json")}
    assert files(build(shifted, prefix=prefix, end=end)) == {"runner.json": RUNNER}


@pytest.mark.parametrize("comment", [b"x", b"c" * 65535, b"PK\5\6", b"PK\5\6" + b"\x01" * 30])
def test_comment(comment: bytes) -> None:
    assert files(build(Entry(), comment=comment)) == {"runner.json": RUNNER}


def test_trailing_bytes_behind_the_comment() -> None:
    assert files(build(Entry()) + b"\n") == {"runner.json": RUNNER}


def test_extra_fields_and_entry_comments() -> None:
    assert files(build(Entry(extra=b"\1\0\2\0ab", comment=b"c"), Entry(b"b", b"1"))) == {
        "runner.json": RUNNER,
        "b": b"1",
    }


def test_names_are_taken_as_they_are() -> None:
    names = [b"/abs", b"../up", b"dir/", b"", b"a\0b", b"a\\b"]
    code = build(Entry(), *(Entry(name, b"") for name in names))
    assert list(files(code)) == ["runner.json", "/abs", "../up", "dir/", "", "a\0b", "a\\b"]


def test_encoding_of_names() -> None:
    code = build(Entry(), Entry("é".encode(), b"1", flags=1 << 11), Entry(b"\x82", b"2"))
    with pytest.raises(InvalidContract, match="a second 'é'"):
        parse_contract(code)
    assert files(build(Entry(), Entry(b"\x82", b"2")))["é"] == b"2"


def test_version_of_a_zip() -> None:
    stored = parse_contract(build(Entry(), Entry(b"version", b" v0.1.3 \n")))
    assert version_text(stored) == b" v0.1.3 \n"
    assert contract_version(stored) == Version(0, 1, 3)
    absent = parse_contract(build(Entry()))
    assert "version" not in absent.files
    assert version_text(absent) == b"v*.*.*"
    assert contract_version(absent) == Version(0, 1, 0)
    with pytest.raises(InvalidContract, match="version of <contract>"):
        contract_version(parse_contract(build(Entry(), Entry(b"version", b"\xff"))))


# --- what is no zip ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tail",
    [
        b"PK\5\6",
        b"PK\5\6" + bytes(17),
        b"PK\5\6" + b"\1" * 18,
        b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 0, 0, 0, 0, 1),
        b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 1, 1, 46, 0, 0),
        b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 1, 1, 45, 0, 0),
        b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 0, 0, 4, 512, 0),
    ],
)
def test_a_signature_alone_makes_no_zip(tail: bytes) -> None:
    code = b"# {}\n" + b"x" * 100 + tail
    assert set(files(code)) == {"file", "version", "runner.json"}


def test_a_directory_too_far_from_the_end_is_not_found() -> None:
    assert outcome(build(Entry()) + b"x" * 65535) == {"runner.json": RUNNER}
    assert outcome(build(Entry()) + b"x" * 65536) == "invalid_contract not_utf8_text"


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_entries(method: int) -> None:
    fails(standard({"runner.json": RUNNER}, method), "'runner.json'", f"method {method}")


def test_runner_json_is_required() -> None:
    fails(standard({"file": b"1"}), "runner.json")
    fails(standard({}), "runner.json")
    fails(standard({"x/runner.json": RUNNER}), "runner.json")


def test_repeated_names() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("runner.json", RUNNER)
            archive.writestr("runner.json", RUNNER)
    fails(buffer.getvalue(), "entry 1", "a second 'runner.json'")


@pytest.mark.parametrize("bit", [0, 6, 13])
def test_encrypted_entries(bit: int) -> None:
    fails(build(Entry(flags=1 << bit)), "'runner.json' is encrypted")


@pytest.mark.parametrize("field", ["packed", "size", "offset"])
def test_zip64_entry(field: str) -> None:
    fails(build(Entry(**{field: 0xFFFF_FFFF})), "zip64")  # type: ignore[arg-type]


@pytest.mark.parametrize("end", [{"entries": 0xFFFF}, {"size": 0xFFFF_FFFF}, {"offset": 0xFFFF_FFFF}])
def test_zip64_directory(end: dict[str, int]) -> None:
    fails(build(Entry(), end=end), "zip64")


@pytest.mark.parametrize("end", [{"disk": 1}, {"directory_disk": 1}, {"here": 0}])
def test_several_disks(end: dict[str, int]) -> None:
    fails(build(Entry(), end=end), "disks")
    fails(build(Entry(disk=1)), "another disk")


def test_sizes_must_agree() -> None:
    fails(build(Entry(packed=3)), "two different sizes, 3 and 17")


def test_checksum() -> None:
    fails(build(Entry(crc=1)), "'runner.json'", "checksum")


def test_names_in_both_headers_must_agree() -> None:
    fails(build(Entry(local_name=b"runner.jsoN")), "another name")
    fails(build(Entry(local_name=b"")), "another name")


def test_name_must_be_utf8_if_it_says_so() -> None:
    fails(build(Entry(), Entry(b"\xff", b"", flags=1 << 11)), "entry 1", "UTF-8")


@pytest.mark.parametrize("offset", [1, 47, 1000, 0xFFFF_FFFE])
def test_offset_must_point_to_a_local_header(offset: int) -> None:
    fails(build(Entry(offset=offset)), "no local header")
    fails(build(Entry(local_signature=b"PK\3\5")), "no local header")


def test_local_header_must_stand_before_the_directory() -> None:
    behind = len(build(Entry()))
    fails(build(Entry(offset=behind), comment=b"PK\3\4"), "no local header")


def test_data_must_end_before_the_directory() -> None:
    size = len(RUNNER) + 1
    fails(build(Entry(size=size, packed=size)), "runs into the central directory")


def test_overlapping_entries() -> None:
    inner = build(Entry(b"b", b"1"))
    inner_local = inner[: 30 + 1 + 1]
    outer = Entry(b"a", inner_local)
    # The second entry of the directory points into the data of the first.
    code = build(Entry(), outer, Entry(b"b", b"1", offset=30 + 11 + len(RUNNER) + 30 + 1))
    fails(code, "overlap")
    # A classic bomb: every entry is the same data. Here the names differ, so the local header cannot fit both.
    fails(
        build(Entry(), Entry(b"a", b"1" * 100), Entry(b"b", b"1" * 100, offset=30 + 11 + len(RUNNER))), "another name"
    )


def test_directory_must_consist_of_its_entries() -> None:
    fails(build(Entry(), gap=b"x"), "longer than its entries")
    fails(build(Entry(), Entry(b"b"), end={"here": 1, "entries": 1}), "longer than its entries")
    fails(build(Entry(), Entry(b"b", central_signature=b"PK\1\3")), "entry 1", "no entry")
    # Entry counts above what the directory could hold: no zip reader would take it for a directory.
    assert outcome(build(Entry(), end={"here": 9, "entries": 9})) == "invalid_contract not_utf8_text"


def test_an_entry_may_not_leave_the_directory() -> None:
    code = bytearray(build(Entry()))
    code[code.index(b"PK\1\2") + 28] += 1
    fails(bytes(code), "leaves the central directory")
    for gap in (b"", b"PK\1\2"):
        fails(build(Entry(extra=b"x" * 46), gap=gap, end={"here": 2, "entries": 2}), "entry 1", "no entry")


def test_number_of_entries_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.ARCHIVE_FILES_MAX == 65_534
    monkeypatch.setattr(zip_module, "ARCHIVE_FILES_MAX", 2)
    assert len(files(build(Entry(), Entry(b"b")))) == 2
    fails(build(Entry(), Entry(b"b"), Entry(b"c")), "3 entries, the limit is 2")


def test_length_of_names_is_limited() -> None:
    assert "n" * 4096 in files(build(Entry(), Entry(b"n" * 4096, b"")))
    fails(build(Entry(), Entry(b"n" * 4097, b"")), "4097 bytes")


# --- properties -------------------------------------------------------------------------------------

SAMPLE = build(Entry(), Entry(b"contract/a.py", b"print(1)"), Entry(b"version", b"v0.1.3"), comment=b"bye")


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20), st.binary(max_size=50)))
@examples(100)
def test_any_stored_zip_is_read_back(entries: dict[str, bytes]) -> None:
    entries = {"runner.json": RUNNER, **entries}
    code = build(*(Entry(name.encode(), content, flags=1 << 11) for name, content in entries.items()))
    assert files(code) == entries
    with zipfile.ZipFile(io.BytesIO(code)) as archive:
        assert archive.testzip() is None


@given(st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), min_size=1, max_size=5))
@examples(200)
def test_mutated_zips_only_raise_invalid_contract(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SAMPLE)
    for position, value in changes:
        data[position] = value
    for code in (bytes(data), bytes(data[: changes[0][0]]), bytes(data[changes[0][0] :])):
        result = outcome(code)
        if isinstance(result, str):
            assert result.split()[0] == "invalid_contract"
        else:
            assert "runner.json" in result
