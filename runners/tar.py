"""Writes runner archives: plain ustar, the same bytes for the same files (spec executor/07 "tar", "Build side")."""

from __future__ import annotations

from collections.abc import Mapping

from pygenvm.runners.errors import BuildError

BLOCK = 512
RECORD = 10240
# Readers drop the last byte of a field and join the prefix field without a slash, so names live in the name field.
NAME_MAX = 99
SIZE_MAX = 8**11 - 1

_CHECKSUM = slice(148, 156)


def write_tar(files: Mapping[str, bytes]) -> bytes:
    """The archive of `files` (name to content), sorted by the bytes of their names.

    :raises BuildError: a name that readers would not give back, or a file too large for its header.
    """
    parts: list[bytes] = []
    for name, content in sorted((name.encode(), content) for name, content in files.items()):
        parts += (_header(name, len(content)), content, bytes(-len(content) % BLOCK))
    size = sum(map(len, parts)) + 2 * BLOCK
    parts.append(bytes(2 * BLOCK + -size % RECORD))
    return b"".join(parts)


def _header(name: bytes, size: int) -> bytes:
    if not 0 < len(name) <= NAME_MAX or b"\0" in name or name.endswith(b"/"):
        raise BuildError(f"this file name cannot be in a runner archive (1 to {NAME_MAX} bytes): {name!r}")
    if size > SIZE_MAX:
        raise BuildError(f"{name.decode()} has {size} bytes, more than the {SIZE_MAX} of a tar header")
    header = bytearray(BLOCK)
    header[0 : len(name)] = name
    header[100:108] = b"0000644\0"
    header[108:116] = header[116:124] = b"0000000\0"  # owner, group
    header[124:136] = b"%011o\0" % size
    header[136:148] = b"00000000000\0"  # modification time
    header[156:157] = b"0"  # a plain file
    header[257:265] = b"ustar\x0000"
    header[_CHECKSUM] = b" " * 8
    header[_CHECKSUM] = b"%06o\0 " % sum(header)
    return bytes(header)
