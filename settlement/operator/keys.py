"""Files with a private key, or with the token of a service."""

from __future__ import annotations

from pathlib import Path

from pygenvm.settlement.blocks.signatures import Secp256k1Key, require_library


def key_in(file: Path) -> Secp256k1Key:
    """:raises ValueError: it is none, or others may read it; ``OSError`` if it cannot be read."""
    require_library()
    if file.stat().st_mode & 0o077:
        raise ValueError(f"{file} can be read by others; chmod 600 {file}")
    with file.open("rb") as opened:
        text = opened.read(200)
    try:
        return Secp256k1Key(bytes.fromhex(text.decode("ascii").strip().removeprefix("0x")))
    except ValueError:
        # Without what is in it.
        raise ValueError(f"{file} holds no private key: 32 bytes in hexadecimal") from None


def token_in(file: Path | None) -> str | None:
    """:raises ValueError: it is no ASCII text; ``OSError`` if it cannot be read."""
    return None if file is None else file.read_text(encoding="ascii").strip()
