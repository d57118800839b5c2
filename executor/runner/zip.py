"""Stored-only zip archives, one form of contract code (spec executor/07 "Contract code").

The central directory decides; local headers are only read to find the data. Everything that lets two
readers see two different archives (overlapping entries, repeated names, zip64) is refused.
"""

from __future__ import annotations

import struct
from binascii import crc32
from itertools import pairwise
from typing import NoReturn

from pygenvm.executor.frozen import Frozen
from pygenvm.executor.limits import ARCHIVE_FILES_MAX, ARCHIVE_NAME_BYTES_MAX
from pygenvm.executor.outcome import InvalidContract

_END_SIGNATURE = b"PK\5\6"
_CENTRAL_SIGNATURE = b"PK\1\2"
_LOCAL_SIGNATURE = b"PK\3\4"
#: signature, disk, disk of the directory, entries on this disk, entries, size, offset, comment length
_END = struct.Struct("<4s4H2LH")
#: signature, made by, needed, flags, method, time, date, crc, packed size, size, name length, extra
#: length, comment length, disk, internal attributes, external attributes, offset
_CENTRAL = struct.Struct("<4s6H3L5H2L")
#: signature, needed, flags, method, time, date, crc, packed size, size, name length, extra length
_LOCAL = struct.Struct("<4s5H3L2H")
_COMMENT_MAX = 0xFFFF
_ZIP64_U16 = 0xFFFF
_ZIP64_U32 = 0xFFFF_FFFF
#: bit 0: encrypted, 6: strong encryption, 13: headers masked
_ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13
_NAME_IS_UTF8 = 1 << 11
_STORED = 0


class Directory(metaclass=Frozen):
    """Where the central directory lies.

    ``start`` and ``end`` are byte positions in the code; ``shift`` is what has to be added to the offsets
    in the archive, because something stands before it.
    """

    start: int
    end: int
    shift: int
    entries: int


def find_directory(data: memoryview) -> Directory | None:
    """The central directory that ends last in ``data``; ``None`` if this is no zip.

    :raises InvalidContract: zip64, or several disks.
    """
    base = max(0, len(data) - _END.size - _COMMENT_MAX)
    tail = bytes(data[base:])
    limit = len(tail)
    while (at := tail.rfind(_END_SIGNATURE, 0, limit)) >= 0:
        limit = at + len(_END_SIGNATURE) - 1
        if at + _END.size > len(tail):
            continue
        _, disk, directory_disk, here, entries, size, offset, comment = _END.unpack_from(tail, at)
        if at + _END.size + comment > len(tail):
            continue
        if entries == _ZIP64_U16 or size == _ZIP64_U32 or offset == _ZIP64_U32:
            raise InvalidContract("zip: zip64 is not supported")
        end = base + at
        start = end - size
        if start < offset or size < entries * _CENTRAL.size:
            continue
        if entries and data[start : start + len(_CENTRAL_SIGNATURE)] != _CENTRAL_SIGNATURE:
            continue
        if disk or directory_disk or here != entries:
            raise InvalidContract("zip: archives of several disks are not supported")
        return Directory(start, end, start - offset, entries)
    return None


def read_zip(data: memoryview, directory: Directory) -> dict[str, memoryview]:
    """File names, as they are, and views of their contents, in the order of the central directory.

    :raises InvalidContract: compressed, encrypted, repeated, overlapping, damaged or otherwise malformed
        entries; the cause names the entry.
    """
    if directory.entries > ARCHIVE_FILES_MAX:
        raise InvalidContract(f"zip: {directory.entries} entries, the limit is {ARCHIVE_FILES_MAX}")
    files: dict[str, memoryview] = {}
    ranges: list[tuple[int, int]] = []
    position = directory.start
    for index in range(directory.entries):
        body = position + _CENTRAL.size
        if body > directory.end or data[position : position + 4] != _CENTRAL_SIGNATURE:
            _fail(index, "no entry of the central directory where one should be")
        _, _, _, flags, method, _, _, crc, packed, size, *lengths, disk, _, _, offset = _CENTRAL.unpack_from(
            data, position
        )
        name_length, extra_length, comment_length = lengths
        raw_name = bytes(data[body : body + name_length])
        position = body + name_length + extra_length + comment_length
        if position > directory.end:
            _fail(index, "the entry leaves the central directory")
        name = _name(index, raw_name, flags)
        if flags & _ENCRYPTED:
            _fail(index, f"{name!r} is encrypted")
        if method != _STORED:
            _fail(index, f"{name!r} is compressed (method {method}); entries have to be stored")
        if _ZIP64_U32 in (packed, size, offset):
            _fail(index, f"{name!r} uses zip64")
        if packed != size:
            _fail(index, f"{name!r} is stored with two different sizes, {packed} and {size}")
        if disk:
            _fail(index, f"{name!r} is on another disk")
        if name in files:
            _fail(index, f"a second {name!r}")
        local = offset + directory.shift
        start = _data_start(data, index, name, raw_name, local, directory.start)
        if start + size > directory.start:
            _fail(index, f"{name!r} runs into the central directory")
        content = data[start : start + size]
        if crc32(content) != crc:
            _fail(index, f"{name!r} does not have the checksum {crc:#010x}")
        files[name] = content
        ranges.append((local, start + size))
    if position != directory.end:
        raise InvalidContract("zip: the central directory is longer than its entries")
    ranges.sort()
    if any(following[0] < earlier[1] for earlier, following in pairwise(ranges)):
        raise InvalidContract("zip: entries overlap")
    return files


def _name(index: int, raw_name: bytes, flags: int) -> str:
    if len(raw_name) > ARCHIVE_NAME_BYTES_MAX:
        _fail(index, f"a name of {len(raw_name)} bytes, the limit is {ARCHIVE_NAME_BYTES_MAX}")
    try:
        return raw_name.decode("utf-8" if flags & _NAME_IS_UTF8 else "cp437")
    except UnicodeDecodeError:
        _fail(index, "the name is not UTF-8")


def _data_start(data: memoryview, index: int, name: str, raw_name: bytes, local: int, limit: int) -> int:
    """Position of the data behind the local header at ``local``."""
    if local + _LOCAL.size > limit or data[local : local + 4] != _LOCAL_SIGNATURE:
        _fail(index, f"{name!r} has no local header")
    name_length, extra_length = _LOCAL.unpack_from(data, local)[-2:]
    body = local + _LOCAL.size
    if data[body : body + name_length] != raw_name:
        _fail(index, f"the local header of {name!r} has another name")
    return int(body + name_length + extra_length)


def _fail(index: int, why: str) -> NoReturn:
    raise InvalidContract(f"zip: entry {index}: {why}")
