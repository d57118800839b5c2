"""Names of archives: SHA-256 of the tar file in nix base-32 (spec executor/07, "Registry on disk")."""

from __future__ import annotations

NIX_BASE32_ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"


def nix_base32(digest: bytes) -> str:
    """Text of a digest: ceil(8·len/5) characters, the highest five bits first (52 characters for SHA-256)."""
    bits = int.from_bytes(digest, "little")
    groups = (len(digest) * 8 + 4) // 5
    return "".join(NIX_BASE32_ALPHABET[bits >> 5 * n & 31] for n in reversed(range(groups)))


def archive_hash(data: bytes | memoryview) -> str:
    """The 52-character hash under which a tar file is stored and listed."""
    # Not before: it loads OpenSSL, and most runs trust the folder of their runners.
    import hashlib

    return nix_base32(hashlib.sha256(data).digest())
