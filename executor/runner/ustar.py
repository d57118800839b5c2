"""Plain ustar archives, the form of registry runners (spec executor/07 "tar")."""

from __future__ import annotations

from typing import NoReturn

from pygenvm.executor.limits import ARCHIVE_BYTES_MAX, ARCHIVE_FILES_MAX
from pygenvm.executor.outcome import InvalidContract

_BLOCK = 512
_END = bytes(2 * _BLOCK)
_MAGIC = b"ustar\0" + b"00"
_TYPES = b"0\x005"
# The last byte of a field never counts, whatever it is.
_NAME = slice(0, 99)
_PREFIX = slice(345, 499)
_SIZE = slice(124, 135)


def read_tar(data: memoryview) -> dict[str, memoryview]:
    """File names and views of their contents, in the order of the archive.

    A name is prefix field and name field without a slash in between; names ending in ``/`` are skipped.
    Checksums are not looked at.

    :raises InvalidContract: anything but plain ustar; the cause names the offset of the header.
    """
    length = len(data)
    if length % _BLOCK or length < len(_END) or length > ARCHIVE_BYTES_MAX:
        raise InvalidContract(f"tar: the length {length} is not a multiple of {_BLOCK} from {len(_END)} up")
    files: dict[str, memoryview] = {}
    offset = 0
    while length - offset >= len(_END):
        header = data[offset : offset + _BLOCK].tobytes()
        if header[257:265] != _MAGIC:
            if data[offset : offset + len(_END)] == _END:
                break
            _fail(offset, "no ustar magic")
        if header[156] not in _TYPES:
            _fail(offset, f"entry type {header[156]} is not supported")
        try:
            name = (header[_PREFIX].rstrip(b"\0") + header[_NAME].rstrip(b"\0")).decode()
        except UnicodeDecodeError:
            _fail(offset, "the name is not UTF-8")
        digits = header[_SIZE].rstrip(b"\0")
        try:
            # int() would take blanks, signs and underscores.
            size = int(digits if digits.isdigit() else b"", 8)
        except ValueError:
            _fail(offset, "the size is not in octal digits")
        start = offset + _BLOCK
        offset = start + (size + _BLOCK - 1) // _BLOCK * _BLOCK
        if offset > length:
            _fail(start - _BLOCK, f"{size} bytes of content leave the archive")
        if name.endswith("/"):
            continue
        if name in files:
            _fail(start - _BLOCK, f"a second file {name!r}")
        if len(files) == ARCHIVE_FILES_MAX:
            _fail(start - _BLOCK, f"more than {ARCHIVE_FILES_MAX} files")
        files[name] = data[start : start + size]
    return files


def _fail(offset: int, why: str) -> NoReturn:
    raise InvalidContract(f"tar: header at offset {offset}: {why}")
