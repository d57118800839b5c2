"""Text that ``genvm run --print`` writes to stdout (spec executor/10 "Output on stdout / stderr")."""

from __future__ import annotations

import codecs
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, TypeVar

from pygenvm.executor import limits
from pygenvm.executor.outcome import InternalError, Outcome, Return, UserError, VMError

if TYPE_CHECKING:
    from pygenvm.executor.run.result import RunResult
    from pygenvm.executor.subvm.fingerprint import Fingerprint

Text = TypeVar("Text", str, bytes)

# Results may have hundreds of megabytes. So texts are translated by tables, since a list of their characters would take
# a hundred times that; and in pieces, since other threads wait meanwhile.
_PAYLOAD_ESCAPES = {
    ord("\\"): "\\\\",
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))},
    # Bytes that are no UTF-8.
    **{0xDC00 + byte: f"\\{byte:02x}" for byte in range(0x80, 0x100)},
}


class _RustEscapes(dict[int, str]):
    """Rust's debug form of each character (``'`` is left alone)."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        shown = character if character.isprintable() else f"\\u{{{code:x}}}"
        self[code] = shown
        return shown


_RUST_ESCAPES = _RustEscapes(
    {ord('"'): '\\"', ord("\\"): "\\\\", ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t", 0: "\\0"}
)


def printed_text(wanted: Collection[str], result: RunResult, stderr: bytes) -> str:
    """What ``--print`` asks for, some of ``stderr-full``, ``result`` and ``fingerprint``, in this order; with newlines.

    :param stderr: what contracts wrote there, as far as it is kept.
    """
    lines: list[str] = []
    if "stderr-full" in wanted:
        lines.append(stderr_text(stderr))
    if "result" in wanted:
        lines.append(result_line(result.outcome))
        if result.disagreement is not None:
            lines.append(f"nondet disagreement: {result.disagreement}")
    if "fingerprint" in wanted:
        lines.append(fingerprint_text(result.fingerprint))
    return "".join(f"{line}\n" for line in lines)


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
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    texts = [decoder.decode(piece).translate(_PAYLOAD_ESCAPES) for piece in _pieces(payload)]
    return "".join((*texts, decoder.decode(b"", True).translate(_PAYLOAD_ESCAPES)))


def quote(text: str) -> str:
    """A string in double quotes with Rust's debug escapes (``'`` is left alone)."""
    return f'"{"".join(piece.translate(_RUST_ESCAPES) for piece in _pieces(text))}"'


def _pieces(whole: Text) -> Iterable[Text]:
    return (whole[at : at + limits.PRINT_PIECE] for at in range(0, len(whole), limits.PRINT_PIECE))


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
