"""Contract code as an archive, and the version it declares (spec executor/07 "Contract code")."""

from __future__ import annotations

import json

from pygenvm.executor.limits import ARCHIVE_BYTES_MAX, RUNNER_JSON_BYTES_MAX
from pygenvm.executor.outcome import InvalidContract
from pygenvm.executor.primitives.abi import ABSENT_VERSION
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.runner.archive import Archive
from pygenvm.executor.runner.ids import CONTRACT, RUNNER_JSON, on_chain_id
from pygenvm.executor.runner.version import WHITE_SPACE, Version, check_version
from pygenvm.executor.runner.wasm_sections import MalformedWasm, custom_section, is_core_module
from pygenvm.executor.runner.zip import find_directory, read_zip

__all__ = ["ANY_VERSION", "Version", "check_version", "contract_version", "parse_contract", "version_text"]

#: What `parse-version-pattern` prints for a zip without a version file.
ANY_VERSION = b"v*.*.*"

_VERSION_FILE = "version"
_CODE_FILE = "file"
_VERSION_SECTION = "genvm.version"
_MARKERS = (b"//", b"#", b"--")
_WASM_RUNNER_JSON = json.dumps({"StartWasm": _CODE_FILE}).encode()


def parse_contract(code: bytes, address: Address | None = None) -> Archive:
    """Read contract code: a stored-only zip, a wasm module or a text, tried in this order.

    With an address the archive gets its internal id ``on_chain:0x…``, without one it is called ``<contract>``.

    :raises InvalidContract: malformed; ``invalid_contract not_utf8_text`` and ``invalid_contract
        absent_runner_comment`` for texts.
    """
    if len(code) > ARCHIVE_BYTES_MAX:
        raise InvalidContract(f"contract code of {len(code)} bytes, the limit is {ARCHIVE_BYTES_MAX}")
    archive_id = CONTRACT if address is None else on_chain_id(address.as_bytes)
    view = memoryview(code)
    directory = find_directory(view)
    if directory is not None:
        files = read_zip(view, directory)
        if RUNNER_JSON not in files:
            raise InvalidContract(f"zip: no {RUNNER_JSON}")
        return Archive(archive_id, files, len(code))
    if is_core_module(code):
        return Archive(archive_id, _wasm_files(code), len(code))
    return Archive(archive_id, _text_files(code), len(code))


def version_text(archive: Archive) -> bytes:
    """The version file of a contract exactly as stored, ``v*.*.*`` when a zip has none."""
    return bytes(archive.files.get(_VERSION_FILE, ANY_VERSION))


def contract_version(archive: Archive) -> Version:
    """The version that a contract declares, v0.1.0 if it declares none.

    :raises InvalidContract: not a version, or 0.0.0.
    """
    stored = archive.files.get(_VERSION_FILE, ABSENT_VERSION.encode())
    try:
        version = Version.parse(bytes(stored).decode("utf-8"))
    except ValueError as error:
        raise InvalidContract(f"version of {archive.id}: {error}") from error
    if version == (0, 0, 0):
        raise InvalidContract(f"version of {archive.id}: v0.0.0 does not exist")
    return version


def _wasm_files(code: bytes) -> dict[str, bytes]:
    try:
        version = custom_section(code, _VERSION_SECTION)
    except MalformedWasm as error:
        raise InvalidContract(f"wasm: {error}") from error
    if version is None or not _is_utf8(version):
        version = ABSENT_VERSION.encode()
    return {_CODE_FILE: code, RUNNER_JSON: _WASM_RUNNER_JSON, _VERSION_FILE: version}


def _text_files(code: bytes) -> dict[str, bytes]:
    if not _is_utf8(code):
        raise InvalidContract("the code is neither zip nor wasm nor UTF-8 text", "not_utf8_text")
    marker = next((marker for marker in _MARKERS if code.startswith(marker)), None)
    if marker is None:
        raise InvalidContract("the first bytes of the text are none of `//`, `#`, `--`", "absent_runner_comment")
    header = _comment_lines(code, marker)
    version = ABSENT_VERSION.encode()
    if header[0].decode().strip(WHITE_SPACE).startswith("v"):
        version = header.pop(0)
    return {_CODE_FILE: code, RUNNER_JSON: b"".join(header), _VERSION_FILE: version}


def _comment_lines(code: bytes, marker: bytes) -> list[bytes]:
    """The leading lines that start with ``marker``, without it and without line ends (LF or CR LF)."""
    lines = []
    position = 0
    while code.startswith(marker, position):
        if position > RUNNER_JSON_BYTES_MAX:
            raise InvalidContract(f"the comment header is longer than {RUNNER_JSON_BYTES_MAX} bytes")
        end = code.find(b"\n", position)
        if end < 0:
            lines.append(code[position + len(marker) :])
            break
        lines.append(code[position + len(marker) : end].removesuffix(b"\r"))
        position = end + 1
    return lines


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
