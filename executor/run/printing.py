"""Text that ``genvm run --print`` writes to stdout (spec executor/10 "Output on stdout / stderr")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygenvm.executor.outcome import InternalError, Outcome, Return, UserError, VMError

if TYPE_CHECKING:
    from pygenvm.executor.subvm.fingerprint import Fingerprint

_RUST_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\0": "\\0",
}


def result_line(outcome: Outcome) -> str:
    """``executed with `…` `` for an outcome, without the newline."""
    match outcome:
        case Return(calldata=payload):
            text = f'Return("{escape_payload(payload)}")'
        case UserError(message=message):
            text = f"UserError({quote(message)})"
        case VMError(message=message):
            text = f'VMError("{message}")'
        case InternalError():
            text = 'InternalError("")'
    return f"executed with `{text}`"


def escape_payload(payload: bytes) -> str:
    r"""Calldata bytes read as UTF-8: ``\\``, ``\xNN`` for control characters, ``\NN`` for invalid bytes."""
    parts: list[str] = []
    for character in payload.decode("utf-8", "surrogateescape"):
        code = ord(character)
        if 0xDC80 <= code <= 0xDCFF:
            parts.append(f"\\{code - 0xDC00:02x}")
        elif character == "\\":
            parts.append("\\\\")
        elif code < 0x20 or 0x7F <= code <= 0x9F:
            parts.append(f"\\x{code:02x}")
        else:
            parts.append(character)
    return "".join(parts)


def quote(text: str) -> str:
    """A string in double quotes with Rust's debug escapes (``'`` is left alone)."""
    parts: list[str] = []
    for character in text:
        if character in _RUST_ESCAPES:
            parts.append(_RUST_ESCAPES[character])
        elif character.isprintable() or character == " ":
            parts.append(character)
        else:
            parts.append(f"\\u{{{ord(character):x}}}")
    return f'"{"".join(parts)}"'


def fingerprint_text(fingerprint: Fingerprint | None) -> str:
    """``Fingerprint: `` and a debug dump, without the newline."""
    if fingerprint is None:
        return "Fingerprint: null"
    frames = ", ".join(f"{{module_name: {quote(name)}, func: {func}}}" for name, func in fingerprint.frames)
    instances = ", ".join(
        f"{quote(name)}: {{memories: [{', '.join(digest.hex() for digest in hashes)}]}}"
        for name, hashes in fingerprint.instances.items()
    )
    return f"Fingerprint: {{frames: [{frames}], module_instances: {{{instances}}}}}"


def stderr_text(content: bytes) -> str:
    """``stderr: `` and a debug dump of what contracts wrote there, without the newline."""
    return f"stderr: {quote(content.decode('utf-8', 'backslashreplace'))}"
