"""Contract code: texts, wasm modules, and the order in which the forms are tried (spec executor/07)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor import limits
from pygenvm.executor.outcome import InvalidContract, VMErrorRaised
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.runner import contract as contract_module
from pygenvm.executor.runner import wasm_sections
from pygenvm.executor.runner.contract import contract_version, parse_contract, version_text
from pygenvm.executor.runner.runner_json import Depends, StartWasm
from pygenvm.executor.runner.version import Version
from tests.support.properties import examples

DEPENDS = b'{ "Depends": "py-genlayer:test" }'
MODULE = b"\0asm\x01\0\0\0"


def fails(code: bytes, message: str = "invalid_contract", *words: str) -> None:
    with pytest.raises(InvalidContract) as error:
        parse_contract(code)
    assert error.value.error.message == message
    assert error.value.error.cause
    for word in words:
        assert word in error.value.error.cause


def header(code: bytes) -> tuple[bytes, bytes]:
    """version and runner.json of a text contract."""
    archive = parse_contract(code)
    assert set(archive.files) == {"file", "version", "runner.json"}
    assert archive.files["file"] == code
    assert archive.data_size == len(code)
    return bytes(archive.files["version"]), bytes(archive.files["runner.json"])


# --- text -------------------------------------------------------------------------------------------


def test_example_of_the_spec() -> None:
    code = b"# v0.2.0\n# " + DEPENDS + b"\n\nfrom genlayer import *\n"
    archive = parse_contract(code)
    assert archive.files["version"] == b" v0.2.0"
    assert archive.files["runner.json"] == b" " + DEPENDS
    assert version_text(archive) == b" v0.2.0"
    assert contract_version(archive) == Version(0, 2, 0)
    assert archive.action == Depends("py-genlayer:test")


@pytest.mark.parametrize("marker", [b"//", b"#", b"--"])
def test_markers(marker: bytes) -> None:
    assert header(marker + b"v0.1.3\n" + marker + b"{}\ncode") == (b"v0.1.3", b"{}")


@pytest.mark.parametrize(
    ("code", "version", "runner_json"),
    [
        pytest.param(b"# " + DEPENDS, b"v0.1.0", b" " + DEPENDS, id="no version, no line end"),
        pytest.param(b"#v1.2.3", b"v1.2.3", b"", id="only a version"),
        pytest.param(b"#", b"v0.1.0", b"", id="only a marker"),
        pytest.param(b"# \t v0.1.0 \n#{}", b" \t v0.1.0 ", b"{}", id="version untrimmed"),
        pytest.param(b"#\xc2\xa0v0.1.0\n#{}", b"\xc2\xa0v0.1.0", b"{}", id="no-break space is white space"),
        pytest.param(b"#\x1cv0.1.0\n#{}", b"v0.1.0", b"\x1cv0.1.0{}", id="U+001C is not"),
        pytest.param(b"# very nice\n# {}", b" very nice", b" {}", id="any line with v"),
        pytest.param(b"# V0.1.3\n# {}", b"v0.1.0", b" V0.1.3 {}", id="capital V is no version"),
        pytest.param(b'# {\n#   "A":\n# 1 }\nx', b"v0.1.0", b' {   "A": 1 }', id="several lines are joined"),
        pytest.param(b'#"a\n#b"', b"v0.1.0", b'"ab"', id="joined without line ends"),
        pytest.param(b"# {}\n\n# more", b"v0.1.0", b" {}", id="an empty line ends the header"),
        pytest.param(b"# {}\n # more", b"v0.1.0", b" {}", id="an indented comment ends the header"),
        pytest.param(b"# {}\n# a comment\nx", b"v0.1.0", b" {} a comment", id="a comment below breaks the JSON"),
        pytest.param(b"#v0.1.3\r\n# {}\r\nx\r\n", b"v0.1.3", b" {}", id="CR LF"),
        pytest.param(b"#v0.1.3\r# {}", b"v0.1.3\r# {}", b"", id="CR alone ends no line"),
        pytest.param(b"#v0.1.3\r", b"v0.1.3\r", b"", id="CR at the very end"),
        pytest.param(b"# {}\n// {}", b"v0.1.0", b" {}", id="another marker ends the header"),
        pytest.param(b"## {}\n#", b"v0.1.0", b"# {}", id="one marker is removed"),
        pytest.param(b"/// {}", b"v0.1.0", b"/ {}", id="slashes"),
        pytest.param(b"---\n--", b"v0.1.0", b"-", id="dashes"),
        pytest.param(b"# {}\n# v0.1.3", b"v0.1.0", b" {} v0.1.3", id="version only in the first line"),
    ],
)
def test_header(code: bytes, version: bytes, runner_json: bytes) -> None:
    assert header(code) == (version, runner_json)


@pytest.mark.parametrize(
    "code", [b"", b"\n# {}", b" # {}", b"/ {}", b"- {}", b"import x\n# {}", b"\xef\xbb\xbf# {}", b"<!-- -->", b"\0asm"]
)
def test_absent_runner_comment(code: bytes) -> None:
    fails(code, "invalid_contract absent_runner_comment")


@pytest.mark.parametrize("code", [b"\xff", b"# {}\n\xc3", b"#\xed\xa0\x80", b"x\x80"])
def test_not_utf8_text(code: bytes) -> None:
    fails(code, "invalid_contract not_utf8_text")


def test_broken_runner_json_is_found_when_it_is_used() -> None:
    archive = parse_contract(b"# {}\n# a comment\n")
    with pytest.raises(InvalidContract) as error:
        _ = archive.action
    assert error.value.error.message == "invalid_contract"
    assert "runner.json of <contract>" in error.value.error.cause


def test_header_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.RUNNER_JSON_BYTES_MAX == 1 << 20
    monkeypatch.setattr(contract_module, "RUNNER_JSON_BYTES_MAX", 10)
    assert header(b"#\n" * 5 + b"#") == (b"v0.1.0", b"")
    fails(b"#\n" * 7, "invalid_contract", "comment header")


def test_code_length_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.ARCHIVE_BYTES_MAX == 0xFFFF_FFFF
    monkeypatch.setattr(contract_module, "ARCHIVE_BYTES_MAX", 4)
    parse_contract(b"# {}")
    fails(b"# {} ", "invalid_contract", "5 bytes")


def test_names_of_archives() -> None:
    assert parse_contract(b"#").id == "<contract>"
    assert parse_contract(b"#", Address(bytes(19) + b"\xab")).id == "on_chain:0x" + "00" * 19 + "ab"


# --- wasm -------------------------------------------------------------------------------------------


def leb(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def section(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + leb(len(body)) + body


def custom(name: bytes, content: bytes) -> bytes:
    return section(0, leb(len(name)) + name + content)


def test_wasm() -> None:
    archive = parse_contract(MODULE)
    assert dict(archive.files) == {"file": MODULE, "runner.json": b'{"StartWasm": "file"}', "version": b"v0.1.0"}
    assert archive.action == StartWasm("file")
    assert archive.data_size == 8


@pytest.mark.parametrize(
    ("sections", "version"),
    [
        (b"", b"v0.1.0"),
        (custom(b"genvm.version", b"v0.1.3"), b"v0.1.3"),
        (section(1, b"\0") + custom(b"x", b"y") + custom(b"genvm.version", b" v0.1.3\n") + b"\x0b", b" v0.1.3\n"),
        (custom(b"genvm.version", b""), b""),
        (custom(b"genvm.version", b"\xff"), b"v0.1.0"),
        (custom(b"genvm.versio", b"nv0.1.3"), b"v0.1.0"),
        (custom(b"genvm.version", b"v0.1.3") + custom(b"genvm.version", b"v0.1.4"), b"v0.1.3"),
        (section(10, bytes(300)) + custom(b"genvm.version", b"v0.1.3"), b"v0.1.3"),
        # A length may be written with more bytes than it needs.
        (b"\x00\x94\x80\x80\x80\x00\x0dgenvm.versionv0.1.3", b"v0.1.3"),
    ],
)
def test_version_of_wasm(sections: bytes, version: bytes) -> None:
    assert version_text(parse_contract(MODULE + sections)) == version


@pytest.mark.parametrize(
    ("sections", "word"),
    [
        (b"\x00", "no u32 at offset 9"),
        (b"\x00\x05\x00", "section 0 with 5 bytes at offset 10"),
        (b"\x00\x00", "no u32 at offset 10"),
        (b"\x00\x02\x02x", "name"),
        (b"\x01\x80\x80\x80\x80", "no u32 at offset 9"),
        (b"\x01\xff\xff\xff\xff\x1f", "no u32 at offset 9"),
        (b"\x01\x80\x80\x80\x80\x80\x00", "no u32 at offset 9"),
        (b"\x00\x01\x80\x00", "no u32 at offset 10"),
    ],
)
def test_broken_sections(sections: bytes, word: str) -> None:
    fails(MODULE + sections, "invalid_contract", "wasm", word)


def test_number_of_sections_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.WASM_SECTIONS_MAX == 10_000
    monkeypatch.setattr(wasm_sections, "WASM_SECTIONS_MAX", 2)
    parse_contract(MODULE + section(0, b"\0"))
    fails(MODULE + section(0, b"\0") * 3, "invalid_contract", "2 sections")


def test_a_component_is_no_core_module() -> None:
    fails(b"\0asm\x0d\0\x01\0", "invalid_contract absent_runner_comment")


# --- version ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [b" very nice", b"v0.0.0", b"v1.2", b"v", b"v0.1.65536", b" v0.1.0 // first"])
def test_invalid_version(line: bytes) -> None:
    with pytest.raises(InvalidContract) as error:
        contract_version(parse_contract(b"#" + line + b"\n#{}"))
    assert error.value.error.message == "invalid_contract"
    assert "version of <contract>" in error.value.error.cause


@given(st.one_of(st.binary(max_size=80), st.binary(max_size=80).map(lambda tail: MODULE + tail)))
@examples(200)
def test_random_bytes_only_raise_vm_errors(code: bytes) -> None:
    for candidate in (code, b"#" + code):
        try:
            archive = parse_contract(candidate)
            contract_version(archive)
            _ = archive.action
        except VMErrorRaised as error:
            message = error.error.message
        else:
            message = "invalid_contract"
        assert message.split()[0] == "invalid_contract"
