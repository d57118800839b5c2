"""Plain ustar archives, the form of registry runners (spec executor/07 "tar")."""

from __future__ import annotations

from struct import Struct
from typing import NoReturn

from pygenvm.executor.limits import ARCHIVE_BYTES_MAX, ARCHIVE_FILES_MAX
from pygenvm.executor.outcome import InvalidContract

_BLOCK = 512
_END = bytes(2 * _BLOCK)
_NO_PREFIX = bytes(154)
_MAGIC = b"ustar\0" + b"00"
_TYPES = b"0\x005"
#: Name at 0, size at 124, type at 156, magic at 257, prefix at 345. The last byte of a field never counts, whatever it
#: is; all but the magic end at their first trailing NUL.
_HEADER = Struct("99s 25x 11s 21x B 100x 8s 80x 154s")


def read_tar(data: memoryview) -> dict[str, memoryview]:
    """File names and views of their contents, in the order of the archive.

    :raises InvalidContract: as :func:`tar_places`.
    """
    return {name: data[begin:end] for name, (begin, end) in tar_places(data).items()}


def tar_places(data: memoryview) -> dict[str, tuple[int, int]]:
    """File names, and where their contents begin and end, in the order of the archive.

    A name is prefix field and name field without a slash in between; names ending in ``/`` are skipped.
    Checksums are not looked at.

    :raises InvalidContract: anything but plain ustar; the cause names the offset of the header.
    """
    length = len(data)
    if length % _BLOCK or length < len(_END) or length > ARCHIVE_BYTES_MAX:
        raise InvalidContract(f"tar: the length {length} is not a multiple of {_BLOCK} from {len(_END)} up")
    files: dict[str, tuple[int, int]] = {}
    # A hot path: a thousand headers in each process that is new.
    fields = _HEADER.unpack_from
    offset, last = 0, length - len(_END)
    while offset <= last:
        name_field, size_field, kind, magic, prefix = fields(data, offset)
        if magic != _MAGIC:
            if data[offset : offset + len(_END)] == _END:
                break
            _fail(offset, "no ustar magic")
        if kind not in _TYPES:
            _fail(offset, f"entry type {kind} is not supported")
        if prefix != _NO_PREFIX:
            name_field = prefix.rstrip(b"\0") + name_field
        try:
            name = name_field.rstrip(b"\0").decode()
        except UnicodeDecodeError:
            _fail(offset, "the name is not UTF-8")
        digits = size_field.rstrip(b"\0")
        try:
            # int() would take blanks, signs and underscores.
            size = int(digits if digits.isdigit() else b"", 8)
        except ValueError:
            _fail(offset, "the size is not in octal digits")
        start = offset + _BLOCK
        end = start + size
        offset = (end + _BLOCK - 1) & -_BLOCK
        if offset > length:
            _fail(start - _BLOCK, f"{size} bytes of content leave the archive")
        if name.endswith("/"):
            continue
        if name in files:
            _fail(start - _BLOCK, f"a second file {name!r}")
        if len(files) == ARCHIVE_FILES_MAX:
            _fail(start - _BLOCK, f"more than {ARCHIVE_FILES_MAX} files")
        files[name] = start, end
    return files


def _fail(offset: int, why: str) -> NoReturn:
    raise InvalidContract(f"tar: header at offset {offset}: {why}")
