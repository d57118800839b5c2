"""The structured error of modules and scripts, and its two ways to the executor (spec modules/01 §2.4, §2.5)."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from pygenvm.executor.module_protocol.codec import FatalError, UserError

#: What :attr:`ModuleError.ctx` holds: None, bool, int, float, str, bytes, and lists and maps of these.
Generic = Any


class ModuleError(Exception):
    """A failure with a machine-readable cause.

    ``causes[0]`` is the code, such as ``STATUS_NOT_OK``; the others tell more. A fatal one ends the whole run, any
    other is delivered to the contract.
    """

    def __init__(
        self, causes: str | Sequence[str], *, fatal: bool = True, ctx: Mapping[str, Generic] | None = None
    ) -> None:
        self.causes: list[str] = [causes] if isinstance(causes, str) else list(causes)
        self.fatal = fatal
        self.ctx: dict[str, Generic] = dict(ctx or {})
        super().__init__(": ".join(self.causes))

    def with_cause(self, cause: str, *, fatal: bool = False) -> ModuleError:
        """The same with one more cause in front; fatal if either is."""
        return ModuleError([cause, *self.causes], fatal=self.fatal or fatal, ctx=self.ctx)

    def with_fatality(self, fatal: bool) -> ModuleError:
        """The same, fatal or not."""
        return ModuleError(self.causes, fatal=fatal, ctx=self.ctx)

    def answer(self) -> UserError | FatalError:
        """The envelope. Numbers with a fraction have no calldata form and go as text."""
        if self.fatal:
            return FatalError(fatal_text(self))
        return UserError({"causes": list(self.causes), "ctx": _without_fractions(self.ctx)})


class Shortage(Exception):
    """This machine lacks something. Never told to a contract, which would take it for an answer of the world."""


#: Descriptors, memory, buffers; the last ones are those of name resolution.
_SHORTAGES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS))
_SHORTAGES_OF_NAMES = frozenset((socket.EAI_MEMORY, socket.EAI_SYSTEM))


def refuse_shortage(error: BaseException) -> None:
    """:raises Shortage: the request failed for want of something here, not elsewhere."""
    if isinstance(error, OSError):
        numbers = _SHORTAGES_OF_NAMES if isinstance(error, socket.gaierror) else _SHORTAGES
        if error.errno in numbers:
            raise Shortage(f"this machine lacks something: {error}") from error


def fatal_text(error: ModuleError) -> str:
    """The text that nodes read with regular expressions (spec modules/01 §2.5, modules/05 §6)."""
    causes = ", ".join(map(_quoted, error.causes))
    members = ", ".join(f"{_quoted(key)}: {_shown(error.ctx[key])}" for key in sorted(error.ctx))
    return f"ModuleError {{ causes: [{causes}], fatal: {str(error.fatal).lower()}, ctx: {{{members}}} }}"


def _shown(value: Generic) -> str:
    match value:
        case None:
            return "Null"
        case bool():
            return f"Bool({str(value).lower()})"
        case int() | float():
            return f"Number({_number(value)})"
        case str():
            return f"Str({_quoted(value)})"
        case bytes() | bytearray():
            return f"Bytes([{', '.join(map(str, value))}])"
        case list() | tuple():
            return f"Array([{', '.join(map(_shown, value))}])"
        case Mapping():
            members = (f"{_quoted(str(key))}: {_shown(item)}" for key, item in sorted(value.items(), key=_key))
            return f"Map({{{', '.join(members)}}})"
    return f"Str({_quoted(str(value))})"


def _key(item: tuple[Any, Any]) -> str:
    return str(item[0])


def _number(value: int | float) -> str:
    try:
        text = repr(float(value))
    except OverflowError:
        text = "inf" if value > 0 else "-inf"
    # Rust writes 1e16 and 1e-7 where Python writes 1e+16 and 1e-07.
    return "NaN" if text == "nan" else re.sub(r"e\+?(-?)0*", r"e\1", text)


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}


def _quoted(text: str) -> str:
    return '"' + "".join(_ESCAPES.get(char) or _escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    return char if char.isprintable() or char == " " else f"\\u{{{ord(char):x}}}"


def _without_fractions(value: Generic) -> Generic:
    match value:
        case float():
            return int(value) if value.is_integer() and abs(value) < 1 << 53 else repr(value)
        case Mapping():
            return {str(key): _without_fractions(item) for key, item in value.items()}
        case list() | tuple():
            return [_without_fractions(item) for item in value]
    return value
